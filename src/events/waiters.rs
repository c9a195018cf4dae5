//! Who waits in this process for which results, and on which connection the hub was told so.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use futures_channel::mpsc;
use tokio::time::Instant;

use crate::domain::ids::RequestId;
use crate::domain::recent::Recent;
use crate::wire::frame::CANCELLATIONS;

/// How long a receipt is repeated for every repeat of its result (D6).
const RECEIPT_MEMORY: Duration = Duration::from_mins(2);
/// Receipts remembered; two minutes' worth at a thousand a second.
const MOST_RECEIPTS: usize = 120_000;
/// Results asked for in this way; beyond them, the oldest go sooner.
const MOST_FAREWELLS: usize = 4096;
/// Frames that may wait for one subscriber; of a result, more of them are repeats.
const UNREAD_FRAMES: usize = 4;
/// The same of cancellations. If more come all at once to somebody busy, some jobs are done in vain.
const UNREAD_WORDS: usize = 64;
/// How long a result without a subscriber is kept. Its sender goes on repeating it, so this only spares the wait.
const EARLY_SPAN: Duration = Duration::from_secs(10);
/// Results kept without a subscriber.
const MOST_EARLY: usize = 256;
/// Their bytes, all told.
const MOST_EARLY_BYTES: usize = 4 * 1024 * 1024;

/// All who wait.
#[derive(Debug)]
pub(super) struct Waiters {
    topics: HashMap<RequestId, Topic>,
    /// Topics that have a subscriber.
    waiting: usize,
    most: usize,
    /// How long the hub is still asked for a result that has had its receipt.
    farewell: Duration,
    /// Topics that have had one and lost their subscribers, by [`Topic::parting`].
    farewells: BTreeSet<(Instant, RequestId)>,
    early: Early,
    answered: Recent<()>,
    /// Numbers subscribers.
    last: u64,
}

/// Who waits for one request's result.
#[derive(Debug, Default)]
struct Topic {
    subscribers: BTreeMap<u64, mpsc::Sender<Bytes>>,
    /// The connection on which the hub was told; none while there is none.
    home: Option<u64>,
    /// The connection on which the last result came.
    via: Option<u64>,
    /// When the farewell began, while there is one.
    parting: Option<Instant>,
}

/// Results that came before anybody asked, oldest first.
#[derive(Debug, Default)]
struct Early {
    kept: VecDeque<(Instant, RequestId, Bytes)>,
    bytes: usize,
}

/// What became of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivery {
    /// Somebody has it now.
    Taken,
    /// It has had its receipt, which its sender may have missed.
    Repeated,
    /// Nobody waits for it; it is kept for a moment.
    Kept,
}

impl Waiters {
    /// Nobody yet; at most `most` requests will be waited for at once, and asked for so long after their receipts.
    pub(super) fn new(most: usize, farewell: Duration) -> Self {
        Self {
            topics: HashMap::new(),
            waiting: 0,
            most,
            farewell,
            farewells: BTreeSet::new(),
            early: Early::default(),
            answered: Recent::new(RECEIPT_MEMORY, MOST_RECEIPTS),
            last: 0,
        }
    }

    /// Takes a subscriber in, unless there are too many.
    pub(super) fn join(&mut self, id: &RequestId) -> Option<(u64, mpsc::Receiver<Bytes>)> {
        let is_new = self.topics.get(id).is_none_or(|topic| topic.subscribers.is_empty());
        if is_new && self.waiting >= self.most {
            return None;
        }
        self.waiting += usize::from(is_new);
        let unread = if id.as_str() == CANCELLATIONS { UNREAD_WORDS } else { UNREAD_FRAMES };
        // Thousands may wait, each for one frame: nothing is set aside for more.
        let (mut sender, frames) = mpsc::channel(unread);
        for frame in self.early.take(id) {
            // A full channel holds the same result already.
            let _repeat = sender.try_send(frame).is_err();
        }
        self.last += 1;
        let topic = self.topics.entry(id.clone()).or_default();
        topic.subscribers.insert(self.last, sender);
        // The hub is told when they leave.
        if let Some(since) = topic.parting.take() {
            self.farewells.remove(&(since, id.clone()));
        }
        Some((self.last, frames))
    }

    /// Lets a subscriber go. If it was the last, the hub has to be told: now, on the connection that is returned, or
    /// after a farewell if there was a receipt.
    pub(super) fn leave(&mut self, id: &RequestId, number: u64) -> Option<u64> {
        let topic = self.topics.get_mut(id)?;
        if topic.subscribers.remove(&number).is_none() || !topic.subscribers.is_empty() {
            return None;
        }
        self.waiting -= 1;
        if self.answered.recall(id).is_some() {
            self.linger(id);
            return None;
        }
        self.topics.remove(id).and_then(|topic| topic.home)
    }

    /// The next request whose farewell is over, and the connection on which the hub has to be told so.
    pub(super) fn gone(&mut self) -> Option<(RequestId, Option<u64>)> {
        let (since, _) = self.farewells.first()?;
        if since.elapsed() < self.farewell && self.farewells.len() <= MOST_FAREWELLS {
            return None;
        }
        let (_, id) = self.farewells.pop_first()?;
        let home = self.topics.remove(&id).and_then(|topic| topic.home);
        Some((id, home))
    }

    /// The farewell begins, or begins anew because a receipt was lost, and its next one may be.
    fn linger(&mut self, id: &RequestId) {
        let Some(topic) = self.topics.get_mut(id) else { return };
        let now = Instant::now();
        if let Some(before) = topic.parting.replace(now) {
            self.farewells.remove(&(before, id.clone()));
        }
        self.farewells.insert((now, id.clone()));
    }

    /// A result has come on connection `via`.
    pub(super) fn deliver(&mut self, id: RequestId, frame: Bytes, via: u64) -> Delivery {
        let answered = self.answered.recall(&id).is_some();
        match self.topics.get_mut(&id) {
            Some(topic) if !topic.subscribers.is_empty() => {
                topic.via = Some(via);
                for subscriber in topic.subscribers.values_mut() {
                    let _repeat = subscriber.try_send(frame.clone()).is_err();
                }
                if answered { Delivery::Repeated } else { Delivery::Taken }
            }
            _ if answered => {
                self.linger(&id);
                Delivery::Repeated
            }
            _ => {
                self.early.keep(id, frame);
                Delivery::Kept
            }
        }
    }

    /// A subscriber has given its receipt; returns the connection on which its sender is best reached.
    pub(super) fn answer(&mut self, id: &RequestId) -> Option<u64> {
        self.answered.remember(id.clone(), ());
        self.topics.get(id)?.via
    }

    /// The connection on which the hub was told of this name.
    pub(super) fn home(&self, id: &RequestId) -> Option<u64> {
        self.topics.get(id)?.home
    }

    /// The hub is told on `home` from now on, or not at all.
    pub(super) fn settle(&mut self, id: &RequestId, home: Option<u64>) {
        if let Some(topic) = self.topics.get_mut(id) {
            topic.home = home;
        }
    }

    /// The requests of which the hub was told on one of these connections, or on none.
    pub(super) fn homed(&self, homes: &[Option<u64>]) -> Vec<RequestId> {
        self.topics
            .iter()
            .filter(|(_, topic)| homes.contains(&topic.home))
            .map(|(id, _)| id.clone())
            .collect()
    }

    /// Requests somebody waits for.
    pub(super) fn len(&self) -> usize {
        self.waiting
    }
}

impl Early {
    fn keep(&mut self, id: RequestId, frame: Bytes) {
        self.bytes += frame.len();
        self.kept.push_back((Instant::now(), id, frame));
        self.forget();
    }

    fn take(&mut self, id: &RequestId) -> Vec<Bytes> {
        self.forget();
        let mut taken = Vec::new();
        self.kept.retain(|(_, whose, frame)| {
            let asked = whose == id;
            if asked {
                taken.push(frame.clone());
            }
            !asked
        });
        self.bytes -= taken.iter().map(Bytes::len).sum::<usize>();
        taken
    }

    fn forget(&mut self) {
        while let Some((at, _, frame)) = self.kept.front() {
            let room = self.kept.len() <= MOST_EARLY && self.bytes <= MOST_EARLY_BYTES;
            if room && at.elapsed() < EARLY_SPAN {
                return;
            }
            self.bytes -= frame.len();
            self.kept.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAREWELL: Duration = Duration::from_secs(5);

    fn id(name: &str) -> RequestId {
        RequestId::parse(name).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn an_early_result_is_kept_for_a_moment_and_in_bounds() {
        let mut waiters = Waiters::new(10, FAREWELL);
        assert_eq!(waiters.deliver(id("a"), Bytes::from_static(b"r"), 1), Delivery::Kept);
        let (_, mut frames) = waiters.join(&id("a")).unwrap();
        assert_eq!(frames.try_recv().unwrap(), "r");
        assert_eq!(waiters.early.bytes, 0);
        for _ in 0..50 {
            waiters.deliver(id("b"), vec![b'x'; MOST_EARLY_BYTES / 10].into(), 1);
        }
        assert_eq!(waiters.early.kept.len(), 10);
        for _ in 0..2 * MOST_EARLY {
            waiters.deliver(id("c"), Bytes::from_static(b"r"), 1);
        }
        assert_eq!(waiters.early.kept.len(), MOST_EARLY);
        tokio::time::advance(EARLY_SPAN).await;
        let (_, mut frames) = waiters.join(&id("c")).unwrap();
        assert!(frames.try_recv().is_err());
        assert_eq!((waiters.early.kept.len(), waiters.early.bytes), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn repeats_get_receipts_for_two_minutes() {
        let mut waiters = Waiters::new(10, FAREWELL);
        let (number, _frames) = waiters.join(&id("a")).unwrap();
        assert_eq!(waiters.deliver(id("a"), Bytes::new(), 7), Delivery::Taken);
        assert_eq!(waiters.answer(&id("a")), Some(7));
        assert_eq!(waiters.deliver(id("a"), Bytes::new(), 7), Delivery::Repeated);
        assert_eq!(waiters.leave(&id("a"), number), None, "the farewell has begun");
        assert_eq!(waiters.deliver(id("a"), Bytes::new(), 7), Delivery::Repeated, "with nobody left, too");
        tokio::time::advance(RECEIPT_MEMORY).await;
        assert_eq!(waiters.deliver(id("a"), Bytes::new(), 7), Delivery::Kept);
    }

    #[tokio::test(start_paused = true)]
    async fn a_result_with_a_receipt_is_asked_for_a_little_longer() {
        let mut waiters = Waiters::new(1, FAREWELL);
        let mut served = |name: &str| {
            let (number, _frames) = waiters.join(&id(name)).unwrap();
            waiters.settle(&id(name), Some(3));
            waiters.answer(&id(name));
            assert_eq!(waiters.leave(&id(name), number), None);
            (waiters.len(), waiters.gone())
        };
        assert_eq!(served("a"), (0, None));
        assert_eq!(served("b"), (0, None), "who has its result takes no place");
        tokio::time::advance(FAREWELL / 2).await;
        let (number, _frames) = waiters.join(&id("b")).unwrap();
        tokio::time::advance(FAREWELL / 2).await;
        assert_eq!(waiters.gone(), Some((id("a"), Some(3))));
        assert_eq!((waiters.gone(), waiters.len()), (None, 1), "somebody waits again");
        waiters.leave(&id("b"), number);
        tokio::time::advance(FAREWELL / 2).await;
        let (number, _frames) = waiters.join(&id("b")).unwrap();
        waiters.leave(&id("b"), number);
        tokio::time::advance(FAREWELL / 2).await;
        assert_eq!(waiters.gone(), None, "the last farewell is the one that counts");
        tokio::time::advance(FAREWELL / 2).await;
        assert_eq!(waiters.gone(), Some((id("b"), Some(3))));
        assert!(waiters.topics.is_empty() && waiters.farewells.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn every_repeat_makes_the_farewell_longer() {
        let mut waiters = Waiters::new(1, FAREWELL);
        let (number, _frames) = waiters.join(&id("a")).unwrap();
        waiters.settle(&id("a"), Some(3));
        waiters.answer(&id("a"));
        waiters.leave(&id("a"), number);
        for _ in 0..3 {
            tokio::time::advance(FAREWELL * 3 / 5).await;
            assert_eq!(waiters.gone(), None);
            assert_eq!(waiters.deliver(id("a"), Bytes::new(), 7), Delivery::Repeated);
        }
        tokio::time::advance(FAREWELL).await;
        assert_eq!(waiters.gone(), Some((id("a"), Some(3))));
        assert_eq!(waiters.gone(), None);
    }

    #[test]
    fn subscriptions_are_counted_and_leave_nothing() {
        let mut waiters = Waiters::new(1, FAREWELL);
        let (first, _one) = waiters.join(&id("a")).unwrap();
        let (second, _two) = waiters.join(&id("a")).unwrap();
        assert!(waiters.join(&id("b")).is_none(), "one request is the most");
        waiters.settle(&id("a"), Some(3));
        assert_eq!(waiters.homed(&[Some(3)]), [id("a")]);
        assert_eq!(waiters.leave(&id("a"), first), None);
        assert_eq!(waiters.leave(&id("a"), second), Some(3));
        assert_eq!(waiters.len(), 0);
    }
}
