//! Who asked for which results, who sent them, and the relaying between the two.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::domain::ids::RequestId;
use crate::domain::recent::Recent;
use crate::events::hub::HubStatus;
use crate::events::line::{Feed, Line, line};
use crate::wire::frame::{self, Notice, PONG, Request};

/// How long a receipt finds its way back to whoever sent the result.
const SENDER_MEMORY: Duration = Duration::from_mins(2);
/// Senders remembered.
const MOST_SENDERS: usize = 120_000;

/// The answer to an object without a name, as API Gateway's relay gives it.
const UNKNOWN_OBJECT: &str = "unknown object message";
/// The answer to any text that nobody agreed on, likewise.
const UNKNOWN_TEXT: &str = "unknown text message";
/// The answer to one subscription too many; ours alone.
const TOO_MANY: &str = "too many subscriptions";

/// The relay.
#[derive(Debug)]
pub(super) struct Exchange {
    state: Mutex<State>,
    most_subscriptions: usize,
}

#[derive(Debug)]
struct State {
    clients: HashMap<u64, Client>,
    /// In the order of their numbers, so that relaying has one.
    subscribers: HashMap<RequestId, BTreeSet<u64>>,
    senders: Recent<u64>,
    /// Numbers clients.
    last: u64,
    counts: HubStatus,
}

/// A client's place in the relay; its drop gives it up, and its subscriptions.
#[derive(Debug)]
pub(super) struct Seat {
    exchange: Arc<Exchange>,
    number: u64,
}

#[derive(Debug)]
struct Client {
    line: Line,
    subscriptions: HashSet<RequestId>,
}

impl Exchange {
    /// A relay that takes so many subscriptions from each client.
    pub(super) fn new(most_subscriptions: usize) -> Self {
        let state = State {
            clients: HashMap::new(),
            subscribers: HashMap::new(),
            senders: Recent::new(SENDER_MEMORY, MOST_SENDERS),
            last: 0,
            counts: HubStatus::default(),
        };
        Self { state: Mutex::new(state), most_subscriptions }
    }

    /// Lets a client in, unless there are `most` already. At most `backlog` bytes will wait for it.
    pub(super) fn join(self: &Arc<Self>, most: usize, backlog: usize) -> Option<(Seat, Feed)> {
        let mut state = self.state();
        if state.clients.len() >= most {
            return None;
        }
        let (line, feed) = line(backlog);
        state.last += 1;
        let number = state.last;
        state.clients.insert(number, Client { line, subscriptions: HashSet::new() });
        drop(state);
        Some((Seat { exchange: Arc::clone(self), number }, feed))
    }

    /// The figures of this moment.
    pub(super) fn status(&self) -> HubStatus {
        let state = self.state();
        let subscriptions = state.clients.values().map(|client| client.subscriptions.len()).sum();
        HubStatus { connections: state.clients.len(), subscriptions, ..state.counts }
    }

    /// Nothing under the lock panics halfway through a change.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// The client has sent a text.
    pub(super) fn hear(&self, text: &Utf8Bytes) {
        let (mut state, from) = (self.exchange.state(), self.number);
        if text.starts_with('{') {
            match Notice::read(text) {
                Ok(Notice::Result { id, .. } | Notice::Acknowledged(id)) => state.relay(from, &id, text),
                Ok(Notice::Pong) | Err(_) => state.unknown(from, UNKNOWN_OBJECT),
            }
            return;
        }
        match Request::read(text) {
            Ok(Request::Subscribe(id)) => state.subscribe(from, id, self.exchange.most_subscriptions),
            Ok(Request::Unsubscribe(id)) => state.unsubscribe(from, &id),
            Ok(Request::Acknowledge(id)) => state.acknowledge(from, &id),
            Ok(Request::Ping) => state.tell(from, Utf8Bytes::from_static(PONG)),
            Err(_) => state.unknown(from, UNKNOWN_TEXT),
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut state = self.exchange.state();
        let Some(client) = state.clients.remove(&self.number) else { return };
        for id in &client.subscriptions {
            state.unlist(self.number, id);
        }
    }
}

impl State {
    fn subscribe(&mut self, from: u64, id: RequestId, most: usize) {
        let Some(client) = self.clients.get_mut(&from) else { return };
        if client.subscriptions.len() >= most && !client.subscriptions.contains(&id) {
            return self.unknown(from, TOO_MANY);
        }
        client.subscriptions.insert(id.clone());
        self.subscribers.entry(id).or_default().insert(from);
    }

    fn unsubscribe(&mut self, from: u64, id: &RequestId) {
        if let Some(client) = self.clients.get_mut(&from) {
            client.subscriptions.remove(id);
        }
        self.unlist(from, id);
    }

    fn unlist(&mut self, number: u64, id: &RequestId) {
        if let Some(subscribers) = self.subscribers.get_mut(id) {
            subscribers.remove(&number);
            if subscribers.is_empty() {
                self.subscribers.remove(id);
            }
        }
    }

    /// Sends a result to everybody who asked for it, byte for byte. One who is slow keeps nobody else waiting.
    fn relay(&mut self, from: u64, id: &RequestId, text: &Utf8Bytes) {
        self.senders.remember(id.clone(), from);
        let Some(subscribers) = self.subscribers.get(id) else {
            self.counts.unheard += 1;
            return;
        };
        for client in subscribers.iter().filter_map(|number| self.clients.get(number)) {
            let sent = client.line.send(text.clone());
            self.counts.relayed += u64::from(sent);
            self.counts.dropped += u64::from(!sent);
        }
    }

    /// Sends a receipt to whoever sent the result last. If nobody did, or it is gone, nobody waits for it.
    fn acknowledge(&mut self, from: u64, id: &RequestId) {
        let Some(sender) = self.senders.recall(id).copied() else { return };
        self.tell(sender, frame::acknowledgement(id, &from.to_string()).into());
    }

    fn unknown(&mut self, from: u64, answer: &'static str) {
        self.counts.unknown += 1;
        self.tell(from, Utf8Bytes::from_static(answer));
    }

    fn tell(&mut self, number: u64, text: Utf8Bytes) {
        let sent = self.clients.get(&number).is_none_or(|client| client.line.send(text));
        self.counts.dropped += u64::from(!sent);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use proptest::prelude::*;

    use super::*;

    /// A client as the relay sees it.
    struct Peer {
        seat: Seat,
        feed: Feed,
    }

    impl Peer {
        fn join(exchange: &Arc<Exchange>) -> Self {
            let (seat, feed) = exchange.join(10, 10_000).unwrap();
            Self { seat, feed }
        }

        fn say(&self, text: &str) {
            self.seat.hear(&text.into());
        }

        /// Everything it has been sent.
        fn heard(&mut self) -> Vec<String> {
            std::iter::from_fn(|| self.feed.next().now_or_never().flatten())
                .map(|text| text.as_str().to_owned())
                .collect()
        }
    }

    #[tokio::test]
    async fn results_go_to_subscribers_and_receipts_to_the_last_sender() {
        let exchange = Arc::new(Exchange::new(10));
        let [mut first, mut second, mut router] = std::array::from_fn(|_| Peer::join(&exchange));
        router.say("subscribe: g");
        first.say(r#"{"guid":"g", "code":0}"#);
        second.say(r#"{"guid":"g","code":1}"#);
        assert_eq!(router.heard(), [r#"{"guid":"g", "code":0}"#, r#"{"guid":"g","code":1}"#]);
        router.say("ack: g");
        assert!(first.heard().is_empty());
        assert_eq!(second.heard(), [r#"{"type":"ack","guid":"g","acknowledgedBy":"3"}"#]);
        router.say("unsubscribe: g");
        router.say("unsubscribe: g");
        first.say(r#"{"guid":"g"}"#);
        assert!(router.heard().is_empty());
        assert_eq!(exchange.status().unheard, 1);
    }

    #[tokio::test]
    async fn unknown_texts_are_answered_as_the_deployed_relay_does() {
        let exchange = Arc::new(Exchange::new(1));
        let mut peer = Peer::join(&exchange);
        for (said, answer) in [
            ("ping", "pong"),
            ("hello", UNKNOWN_TEXT),
            ("subscribe:g", UNKNOWN_TEXT),
            ("subscribe: ", UNKNOWN_TEXT),
            ("pong", UNKNOWN_TEXT),
            ("", UNKNOWN_TEXT),
            ("[]", UNKNOWN_TEXT),
            ("{}", UNKNOWN_OBJECT),
            (r#"{"guid":7}"#, UNKNOWN_OBJECT),
            (r#"{"guid":"g""#, UNKNOWN_OBJECT),
        ] {
            peer.say(said);
            assert_eq!(peer.heard(), [answer], "{said}");
        }
        peer.say("subscribe: g");
        peer.say("subscribe: g");
        assert!(peer.heard().is_empty());
        peer.say("subscribe: h");
        assert_eq!(peer.heard(), [TOO_MANY]);
    }

    #[tokio::test]
    async fn a_slow_client_costs_only_its_own_results() {
        let exchange = Arc::new(Exchange::new(10));
        let [sender, mut quick] = std::array::from_fn(|_| Peer::join(&exchange));
        let (slow, _unread) = exchange.join(10, 30).unwrap();
        slow.hear(&"subscribe: g".into());
        quick.say("subscribe: g");
        for _ in 0..5 {
            sender.say(r#"{"guid":"g","code":0}"#);
        }
        assert_eq!(quick.heard().len(), 5);
        assert_eq!((exchange.status().relayed, exchange.status().dropped), (6, 4));
    }

    proptest! {
        /// Whatever clients say, the tables say the same, and nothing is left when they are gone.
        #[test]
        fn the_tables_agree(said in proptest::collection::vec((0_usize..4, 0_u8..5, "[abc]|.{0,9}"), 0..80)) {
            let exchange = Arc::new(Exchange::new(2));
            let peers: [Peer; 4] = std::array::from_fn(|_| Peer::join(&exchange));
            for (who, verb, word) in said {
                let text = match verb {
                    0 => format!("subscribe: {word}"),
                    1 => format!("unsubscribe: {word}"),
                    2 => format!("ack: {word}"),
                    3 => format!(r#"{{"guid":"{word}"}}"#),
                    _ => word,
                };
                peers[who].say(&text);
                let state = exchange.state();
                let listed: usize = state.subscribers.values().map(BTreeSet::len).sum();
                let held: usize = state.clients.values().map(|client| client.subscriptions.len()).sum();
                prop_assert_eq!(listed, held);
                prop_assert!(state.subscribers.values().all(|subscribers| !subscribers.is_empty()));
            }
            drop(peers);
            prop_assert!(exchange.state().subscribers.is_empty() && exchange.state().clients.is_empty());
        }
    }
}
