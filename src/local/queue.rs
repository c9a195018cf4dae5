//! Queues in this process: order and one flight per group, hiding, deduplication, receive counts, dead letters.
//!
//! A queue whose name ends in `.fifo` groups and deduplicates; any other does neither. Time is tokio's.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::local::lock;
use crate::ports::{
    Ask, LONGEST_HIDING, Message, Pending, QueueAddress, QueueError, QueueSink, QueueSource, Receipt,
    Received,
};

/// How long a dedup id is remembered after a send, whatever became of the message.
const DEDUP_WINDOW: Duration = Duration::from_mins(5);

/// How one queue behaves.
#[derive(Debug, Clone)]
pub struct LocalQueueSettings {
    /// How long a message is kept.
    pub retention: Duration,
    /// The largest message taken, in bytes.
    pub largest: usize,
    /// After how many receives a message moves, and to which queue.
    pub dead_letters: Option<(u32, QueueAddress)>,
}

/// All queues of the process, and the way to send to them.
#[derive(Debug, Clone, Default)]
pub struct LocalQueues(Arc<Mutex<BTreeMap<QueueAddress, Arc<Queue>>>>);

/// The receiving end of one queue.
#[derive(Debug, Clone)]
pub struct LocalSource {
    queues: LocalQueues,
    queue: Arc<Queue>,
}

/// How many messages a queue holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Depth {
    /// Free to be received, apart from waiting for their group.
    pub waiting: usize,
    /// Received, and neither deleted nor free again.
    pub in_flight: usize,
}

struct Queue {
    address: QueueAddress,
    settings: LocalQueueSettings,
    shelf: Mutex<Shelf>,
    /// Told when a message may have become free: sent, deleted or given back.
    changed: Notify,
}

/// The messages of one queue, in the order sent.
#[derive(Default)]
struct Shelf {
    entries: BTreeMap<u64, Entry>,
    sends: u64,
    receives: u64,
    recent: HashSet<String>,
    recent_order: VecDeque<(Instant, String)>,
}

struct Entry {
    message: Message,
    sent: Instant,
    receives: u32,
    /// While in flight: until when, and under which receipt.
    flight: Option<(Instant, Receipt)>,
}

/// What one look at the shelf yields.
struct Taken {
    received: Vec<Received>,
    dead: Vec<Message>,
    /// When the next message in flight comes back, if nothing else happens.
    next: Option<Instant>,
}

impl Default for LocalQueueSettings {
    /// The deployed queues' retention, the managed service's message limit, no dead letters.
    fn default() -> Self {
        Self { retention: Duration::from_mins(5), largest: 1024 * 1024, dead_letters: None }
    }
}

impl LocalQueues {
    /// No queues yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a queue, in place of one with the same address, and hands out its receiving end.
    pub fn create(&self, address: QueueAddress, settings: LocalQueueSettings) -> LocalSource {
        let queue = Arc::new(Queue {
            address: address.clone(),
            settings,
            shelf: Mutex::default(),
            changed: Notify::new(),
        });
        lock(&self.0).insert(address, Arc::clone(&queue));
        LocalSource { queues: self.clone(), queue }
    }

    /// The receiving end of a queue that exists.
    pub fn source(&self, address: &QueueAddress) -> Option<LocalSource> {
        self.find(address).map(|queue| LocalSource { queues: self.clone(), queue })
    }

    /// How full a queue is.
    pub fn depth(&self, address: &QueueAddress) -> Option<Depth> {
        let queue = self.find(address)?;
        let (now, state) = (Instant::now(), lock(&queue.shelf));
        let in_flight = state.entries.values().filter(|entry| entry.in_flight(now)).count();
        Some(Depth { waiting: state.entries.len() - in_flight, in_flight })
    }

    fn find(&self, address: &QueueAddress) -> Option<Arc<Queue>> {
        lock(&self.0).get(address).cloned()
    }

    /// A dead letter without a queue to go to is dropped, as its maker configured.
    fn bury(&self, queue: &Queue, dead: Vec<Message>) {
        let Some((_, address)) = &queue.settings.dead_letters else { return };
        let Some(graveyard) = self.find(address) else { return };
        for message in dead {
            lock(&graveyard.shelf).push(message, Instant::now());
        }
        graveyard.changed.notify_waiters();
    }
}

impl QueueSink for LocalQueues {
    fn send<'a>(&'a self, to: &'a QueueAddress, message: Message) -> Pending<'a, Result<(), QueueError>> {
        Box::pin(async move {
            let queue = self.find(to).ok_or_else(|| QueueError::Absent { queue: to.clone() })?;
            queue.accepts(&message)?;
            let once = message.dedup.clone().filter(|_| to.is_fifo());
            lock(&queue.shelf).send(message, once, Instant::now());
            queue.changed.notify_waiters();
            Ok(())
        })
    }
}

impl QueueSource for LocalSource {
    fn receive(&self, ask: Ask) -> Pending<'static, Result<Vec<Received>, QueueError>> {
        let source = self.clone();
        Box::pin(async move { Ok(source.wait_for(ask.clamped()).await) })
    }

    fn delete(&self, receipts: Vec<Receipt>) -> Pending<'static, Result<Vec<Receipt>, QueueError>> {
        let queue = Arc::clone(&self.queue);
        Box::pin(async move {
            let now = Instant::now();
            let void =
                receipts.into_iter().filter(|receipt| !lock(&queue.shelf).delete(receipt, now)).collect();
            queue.changed.notify_waiters();
            Ok(void)
        })
    }

    fn hide(&self, receipt: Receipt, visible_in: Duration) -> Pending<'_, Result<(), QueueError>> {
        Box::pin(async move {
            let (now, visible_in) = (Instant::now(), visible_in.min(LONGEST_HIDING));
            if !lock(&self.queue.shelf).hide(&receipt, now, visible_in) {
                return Err(QueueError::Void { queue: self.queue.address.clone() });
            }
            self.queue.changed.notify_waiters();
            Ok(())
        })
    }
}

impl LocalSource {
    async fn wait_for(&self, ask: Ask) -> Vec<Received> {
        let until = Instant::now() + ask.wait;
        loop {
            // Registered before looking, so that a change between the look and the wait still wakes us.
            let mut changed = std::pin::pin!(self.queue.changed.notified());
            changed.as_mut().enable();
            let now = Instant::now();
            let taken = lock(&self.queue.shelf).take(&self.queue, &ask, now);
            self.queues.bury(&self.queue, taken.dead);
            if !taken.received.is_empty() || now >= until {
                return taken.received;
            }
            let wake = taken.next.map_or(until, |next| next.min(until));
            let _timed_out = timeout_at(wake, changed).await.is_err();
        }
    }
}

impl Queue {
    fn accepts(&self, message: &Message) -> Result<(), QueueError> {
        let queue = || self.address.clone();
        let (bytes, cap) = (message.size(), self.settings.largest);
        if bytes > cap {
            return Err(QueueError::TooLarge { queue: queue(), bytes, cap });
        }
        let lacking = match (&message.group, &message.dedup) {
            (None, _) => "group",
            (_, None) => "dedup id",
            _ => return Ok(()),
        };
        if self.address.is_fifo() { Err(QueueError::Incomplete { queue: queue(), lacking }) } else { Ok(()) }
    }
}

impl Shelf {
    /// Drops the message if `once` was sent within the window.
    fn send(&mut self, message: Message, once: Option<String>, now: Instant) {
        while self.recent_order.front().is_some_and(|(sent, _)| now.duration_since(*sent) >= DEDUP_WINDOW) {
            if let Some((_, id)) = self.recent_order.pop_front() {
                self.recent.remove(&id);
            }
        }
        if let Some(id) = once {
            if !self.recent.insert(id.clone()) {
                return;
            }
            self.recent_order.push_back((now, id));
        }
        self.push(message, now);
    }

    fn push(&mut self, message: Message, now: Instant) {
        self.sends += 1;
        self.entries.insert(self.sends, Entry { message, sent: now, receives: 0, flight: None });
    }

    fn take(&mut self, queue: &Queue, ask: &Ask, now: Instant) -> Taken {
        self.entries.retain(|_, entry| now.duration_since(entry.sent) < queue.settings.retention);
        let groups = |entry: &Entry| entry.message.group.clone().filter(|_| queue.address.is_fifo());
        let blocked: HashSet<String> =
            self.entries.values().filter(|entry| entry.in_flight(now)).filter_map(groups).collect();
        let mut taken = Taken { received: Vec::new(), dead: Vec::new(), next: None };
        let mut worn = Vec::new();
        for (number, entry) in &mut self.entries {
            if entry.in_flight(now) {
                let back = entry.flight.as_ref().map(|(until, _)| *until);
                taken.next = taken.next.into_iter().chain(back).min();
            } else if taken.received.len() < ask.most
                && groups(entry).is_none_or(|group| !blocked.contains(&group))
            {
                if queue.settings.dead_letters.as_ref().is_some_and(|(most, _)| entry.receives >= *most) {
                    worn.push(*number);
                    continue;
                }
                self.receives += 1;
                taken.received.push(entry.receive(
                    *number,
                    &format!("{number}.{}", self.receives),
                    ask.hidden_for,
                    now,
                ));
            }
        }
        taken
            .dead
            .extend(worn.iter().filter_map(|number| self.entries.remove(number)).map(|entry| entry.message));
        taken
    }

    /// Whether the message is gone afterwards for good: false if the receipt is void.
    fn delete(&mut self, receipt: &Receipt, now: Instant) -> bool {
        let Some((number, live)) = self.find(receipt, now) else { return true };
        if live {
            self.entries.remove(&number);
        }
        live
    }

    fn hide(&mut self, receipt: &Receipt, now: Instant, visible_in: Duration) -> bool {
        let Some((number, true)) = self.find(receipt, now) else { return false };
        if let Some(entry) = self.entries.get_mut(&number) {
            entry.flight = Some((now + visible_in, receipt.clone()));
        }
        true
    }

    /// The entry a receipt was made for, if it still exists, and whether the receipt still holds.
    fn find(&self, receipt: &Receipt, now: Instant) -> Option<(u64, bool)> {
        let number = receipt.as_str().split('.').next()?.parse().ok()?;
        let entry = self.entries.get(&number)?;
        let live = entry.flight.as_ref().is_some_and(|(until, current)| *until > now && current == receipt);
        Some((number, live))
    }
}

impl Entry {
    fn receive(&mut self, number: u64, handle: &str, hidden_for: Duration, now: Instant) -> Received {
        let receipt = Receipt::new(handle);
        self.receives += 1;
        self.flight = Some((now + hidden_for, receipt.clone()));
        let age = now.duration_since(self.sent);
        let id = number.to_string();
        Received { id, message: self.message.clone(), receipt, receives: self.receives, age }
    }

    fn in_flight(&self, now: Instant) -> bool {
        self.flight.as_ref().is_some_and(|(until, _)| *until > now)
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("address", &self.address).finish_non_exhaustive()
    }
}
