//! What the connections of one process have in common: who waits, what is offered, and which of them stand.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_channel::mpsc;
use tokio::sync::{oneshot, watch};
use tokio::time::sleep;
use tokio_tungstenite::tungstenite::Utf8Bytes;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::domain::ids::RequestId;
use crate::events::Status;
use crate::events::link::Link;
use crate::events::offers::{Key, News, Offers};
use crate::events::socket::End;
use crate::events::waiters::{Delivery, Waiters};
use crate::wire::frame::{CANCELLATIONS, Notice};

/// How often farewells are looked at.
const SWEEP: Duration = Duration::from_secs(1);

/// The shared state of one bus.
#[derive(Debug)]
pub(super) struct Board {
    state: Mutex<State>,
    /// Connections that stand; touched whenever one comes or goes.
    standing: watch::Sender<usize>,
    /// Bytes offered and not acknowledged.
    outbox: watch::Sender<usize>,
}

#[derive(Debug)]
struct State {
    links: BTreeMap<u64, Arc<Link>>,
    /// Numbers connections.
    last: u64,
    /// Whose turn it is.
    turn: usize,
    waiters: Waiters,
    offers: Offers,
    counts: Counts,
}

/// What has happened since the start.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    connected: u64,
    repeats: u64,
    refused: u64,
    garbage: u64,
    early: u64,
}

impl Board {
    /// A board on which at most `most` requests are waited for at once, and asked for so long after their receipts.
    pub(super) fn new(most: usize, farewell: Duration) -> Self {
        Self {
            state: Mutex::new(State {
                links: BTreeMap::new(),
                last: 0,
                turn: 0,
                waiters: Waiters::new(most, farewell),
                offers: Offers::default(),
                counts: Counts::default(),
            }),
            standing: watch::Sender::default(),
            outbox: watch::Sender::default(),
        }
    }

    /// A number for a new connection.
    pub(super) fn number(&self) -> u64 {
        let mut state = self.state();
        state.last += 1;
        state.last
    }

    /// A connection stands. It takes over the subscriptions of the one it replaces, and those that have none; the
    /// replaced one goes on hearing until it is closed, so nothing falls in between.
    pub(super) fn stand(&self, link: &Arc<Link>, replaced: Option<&Link>) {
        let mut state = self.state();
        state.counts.connected += 1;
        let mut homes = vec![None];
        if let Some(old) = replaced {
            state.links.remove(&old.number);
            homes.push(Some(old.number));
        }
        state.links.insert(link.number, Arc::clone(link));
        for id in state.waiters.homed(&homes) {
            state.house(&id, Some(link));
        }
        self.standing.send_replace(state.links.len());
    }

    /// A connection is over: its subscriptions move to another, and its offers are made again.
    pub(super) fn fall(&self, link: &Link, end: &End) {
        let mut state = self.state();
        state.links.remove(&link.number);
        link.fall();
        for id in state.waiters.homed(&[Some(link.number)]) {
            let next = state.pick(None);
            state.house(&id, next.as_ref());
        }
        let oversized = *end == End::Closed(Some(CloseCode::Size));
        state.offers.orphan(link.number, oversized);
        self.standing.send_replace(state.links.len());
    }

    /// A text has come on `link`.
    pub(super) fn hear(&self, link: &Link, text: Utf8Bytes) {
        match Notice::read(&text) {
            Ok(Notice::Pong) => link.pass(),
            // What is told to all has no receipt: one would silence us.
            Ok(Notice::Acknowledged(id)) if id.as_str() == CANCELLATIONS => {}
            Ok(Notice::Acknowledged(id)) => self.state().offers.acknowledged(&id),
            Ok(Notice::Result { id, .. }) => {
                let mut state = self.state();
                match state.waiters.deliver(id.clone(), text.into(), link.number) {
                    Delivery::Taken => {}
                    Delivery::Kept => state.counts.early += 1,
                    Delivery::Repeated => {
                        // Dropped on a full connection: the result will be repeated once more.
                        let _dropped = link.acknowledge(&id);
                    }
                }
            }
            Err(error) => {
                self.state().counts.garbage += 1;
                tracing::debug!(%error, bytes = text.len(), "the hub sent a text that is none of ours");
            }
        }
    }

    /// Takes a subscriber in and tells the hub, now or when a connection stands. `None`: there are too many.
    pub(super) fn join(&self, id: &RequestId) -> Option<(u64, mpsc::Receiver<Bytes>)> {
        let mut state = self.state();
        let joined = state.waiters.join(id)?;
        if state.waiters.home(id).is_none() {
            let home = state.pick(None);
            state.house(id, home.as_ref());
        }
        Some(joined)
    }

    /// Lets a subscriber go.
    pub(super) fn leave(&self, id: &RequestId, number: u64) {
        let mut state = self.state();
        let home = state.waiters.leave(id, number);
        state.unsubscribe(id, home);
        state.part();
    }

    /// Tells the hub, for ever, of whose farewell is over, also when nothing else happens.
    pub(super) async fn sweep(self: Arc<Self>) {
        loop {
            sleep(SWEEP).await;
            self.state().part();
        }
    }

    /// Sends a subscriber's receipt, the way the result came if that still stands.
    pub(super) fn answer(&self, id: &RequestId) {
        let mut state = self.state();
        let via = state.waiters.answer(id).and_then(|via| state.links.get(&via).cloned());
        let sent = via.is_some_and(|link| link.acknowledge(id));
        if !sent && let Some(link) = state.pick(None) {
            // If no connection takes it, the result will be repeated, and then it will.
            let _dropped = link.acknowledge(id);
        }
    }

    /// The connection on which the hub was told of `id`, and a fence behind it; `None` while there is none.
    pub(super) fn fence(&self, id: &RequestId) -> Option<(Arc<Link>, oneshot::Receiver<()>)> {
        let state = self.state();
        let link = state.links.get(&state.waiters.home(id)?)?;
        Some((Arc::clone(link), link.fence()))
    }

    /// Opens an offer, unless its receipt is here already.
    pub(super) fn open(&self, id: &RequestId, bytes: usize) -> Option<(Key, watch::Receiver<News>)> {
        let mut state = self.state();
        let opened = state.offers.open(id, bytes);
        self.outbox.send_replace(state.offers.bytes());
        opened
    }

    /// Ends an offer.
    pub(super) fn close(&self, key: &Key) {
        let mut state = self.state();
        state.offers.close(key);
        self.outbox.send_replace(state.offers.bytes());
    }

    /// Sends an offer, each time on another connection if there is one. `false`: none stands that would take it.
    pub(super) fn carry(&self, key: &Key, frame: &Utf8Bytes) -> bool {
        let mut state = self.state();
        let before = state.offers.carrier(key);
        let Some(link) = state.pick(before).filter(|link| link.carry(frame.clone())) else { return false };
        state.counts.repeats += u64::from(before.is_some());
        state.offers.taken(key, link.number);
        true
    }

    /// An offer was refused for its size.
    pub(super) fn refused(&self) {
        self.state().counts.refused += 1;
    }

    /// How many connections stand, now and whenever that changes.
    pub(super) fn standing(&self) -> watch::Receiver<usize> {
        self.standing.subscribe()
    }

    /// How many bytes are offered, now and whenever that changes.
    pub(super) fn outbox(&self) -> watch::Receiver<usize> {
        self.outbox.subscribe()
    }

    /// The figures of this moment.
    pub(super) fn status(&self) -> Status {
        let state = self.state();
        Status {
            connections: state.links.len(),
            subscriptions: state.waiters.len(),
            offers: state.offers.len(),
            offered_bytes: state.offers.bytes(),
            connected: state.counts.connected,
            repeats: state.counts.repeats,
            refused: state.counts.refused,
            garbage: state.counts.garbage,
            early: state.counts.early,
        }
    }

    /// Nothing under the lock panics halfway through a change.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Tells the hub of all whose farewell is over.
    fn part(&mut self) {
        while let Some((id, home)) = self.waiters.gone() {
            self.unsubscribe(&id, home);
        }
    }

    fn unsubscribe(&self, id: &RequestId, home: Option<u64>) {
        if let Some(link) = home.and_then(|home| self.links.get(&home)) {
            link.unsubscribe(id);
        }
    }

    /// The next connection in turn, another than `before` if there is one.
    fn pick(&mut self, before: Option<u64>) -> Option<Arc<Link>> {
        self.turn = self.turn.wrapping_add(1);
        let others: Vec<&Arc<Link>> =
            self.links.values().filter(|link| Some(link.number) != before).collect();
        match others.len() {
            0 => self.links.values().next().cloned(),
            count => Some(Arc::clone(others[self.turn % count])),
        }
    }

    /// Tells the hub of a subscription on `link`, or leaves it for the next connection.
    fn house(&mut self, id: &RequestId, link: Option<&Arc<Link>>) {
        self.waiters.settle(id, link.map(|link| link.number));
        if let Some(link) = link {
            link.subscribe(id);
        }
    }
}
