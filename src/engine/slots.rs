//! Permits to compile: as many as the machine carries, a bounded queue before them, and a quick no beyond.
//!
//! A request that could not start before its deadline is refused when it arrives, not when it has waited: a
//! refusal within milliseconds lets the balancer try elsewhere. What a job takes is learnt as we go: the median of the
//! last ones, which a few that ran into their time limit do not move as they would an average.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use crate::domain::limits::Deadline;

/// How many jobs run at once, and how many may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotSettings {
    /// Jobs that run at the same time.
    pub slots: usize,
    /// Requests that may wait for a slot.
    pub queue: usize,
}

/// Why there is no slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SlotError {
    /// The queue is full, or the wait would outlast the deadline.
    #[error("every slot is busy and {waiting} requests wait already; try again in {} s", .retry_after.as_secs())]
    Full {
        /// How many wait.
        waiting: usize,
        /// When a slot is likely to be free.
        retry_after: Duration,
    },
    /// It waited until its deadline.
    #[error("the request waited {:.1} s for a slot, until its deadline", .waited.as_secs_f64())]
    Expired {
        /// How long it waited.
        waited: Duration,
    },
}

/// How long a request waited for its slot, noted while it is still being answered: whoever leaves gets no answer that
/// could tell. Clones are the same note.
#[derive(Debug, Clone, Default)]
pub struct Waited(Arc<OnceLock<(Duration, Instant)>>);

/// When something was in its slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Work {
    /// How long it waited for the slot.
    pub waited: Duration,
    /// From the beginning to the slot, what came before the wait included.
    pub after: Duration,
    /// From there on.
    pub took: Duration,
}

impl Waited {
    /// The time, once it has a slot. Who shares another's job has none of its own.
    pub fn get(&self) -> Option<Duration> {
        self.0.get().map(|(waited, _)| *waited)
    }

    /// The work until now of what began at `begun`, once it has a slot.
    pub fn work(&self, begun: Instant) -> Option<Work> {
        let (waited, had) = *self.0.get()?;
        Some(Work { waited, after: had.duration_since(begun), took: had.elapsed() })
    }

    /// Notes that a slot was had now, after so long.
    pub fn note(&self, waited: Duration) {
        let _the_first_slot_counts = self.0.set((waited, Instant::now()));
    }
}

/// Permission to run one job; dropping it frees the slot.
#[derive(Debug)]
#[must_use = "dropping a slot frees it"]
pub struct Slot {
    number: u64,
    started: Instant,
    /// How long the request waited for it.
    pub waited: Duration,
    slots: Arc<Inner>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.taken().remove(&self.number);
        self.slots.learn(self.started.elapsed());
    }
}

/// The permits of one engine.
#[derive(Debug, Clone)]
pub struct Slots(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: SlotSettings,
    permits: Arc<Semaphore>,
    waiting: AtomicUsize,
    /// When each slot in use was taken, under ever higher numbers: the first is the oldest.
    taken: Mutex<BTreeMap<u64, Instant>>,
    next: AtomicU64,
    /// What the last [`MOST_RECENT`] jobs took.
    recent: Mutex<VecDeque<Duration>>,
}

/// Jobs whose median is what the next one is expected to take.
const MOST_RECENT: usize = 31;
/// Fewer say too little to refuse anybody.
const LEAST_RECENT: usize = 5;

/// Counts one waiting request for as long as it lives, whatever ends the wait.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    /// One more, behind as many as are returned.
    fn begin(waiting: &'a AtomicUsize) -> (usize, Self) {
        (waiting.fetch_add(1, Ordering::Relaxed), Self(waiting))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Slots {
    /// Permits for `settings.slots` jobs (at least one).
    pub fn new(settings: SlotSettings) -> Self {
        let settings = SlotSettings { slots: settings.slots.max(1), ..settings };
        Self(Arc::new(Inner {
            permits: Arc::new(Semaphore::new(settings.slots)),
            settings,
            waiting: AtomicUsize::new(0),
            taken: Mutex::default(),
            next: AtomicU64::new(0),
            recent: Mutex::default(),
        }))
    }

    /// Waits for a slot, first come first served, until `deadline`. Cancel-safe: a dropped wait leaves no trace.
    pub async fn acquire(&self, deadline: Deadline) -> Result<Slot, SlotError> {
        let inner = &self.0;
        let asked = Instant::now();
        if let Ok(permit) = Arc::clone(&inner.permits).try_acquire_owned() {
            return Ok(self.slot(asked, permit));
        }
        let (ahead, _waiting) = Waiting::begin(&inner.waiting);
        let wait = inner.expected_wait(ahead);
        if ahead >= inner.settings.queue || wait > deadline.remaining() {
            return Err(SlotError::Full { waiting: ahead, retry_after: wait.max(Duration::from_secs(1)) });
        }
        self.wait(asked, deadline).await
    }

    async fn wait(&self, asked: Instant, deadline: Deadline) -> Result<Slot, SlotError> {
        match timeout_at(deadline.instant(), Arc::clone(&self.0.permits).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(self.slot(asked, permit)),
            // The semaphore is never closed, so its error can only be the deadline's twin.
            Ok(Err(_)) | Err(_) => Err(SlotError::Expired { waited: asked.elapsed() }),
        }
    }

    /// Waits for a slot until the deadline, however many wait already.
    pub async fn acquire_in_any_case(&self, deadline: Deadline) -> Result<Slot, SlotError> {
        let inner = &self.0;
        let asked = Instant::now();
        let (_ahead, _waiting) = Waiting::begin(&inner.waiting);
        self.wait(asked, deadline).await
    }

    /// Waits for a free slot, in line with those who want one, and says how many are free. It takes none.
    pub async fn room(&self) -> usize {
        let permits = &self.0.permits;
        // The semaphore is never closed; if it were, there would be no room.
        permits.acquire().await.map_or(0, |_free_again| permits.available_permits() + 1)
    }

    fn slot(&self, asked: Instant, permit: OwnedSemaphorePermit) -> Slot {
        let started = Instant::now();
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        self.0.taken().insert(number, started);
        Slot { number, started, waited: started - asked, slots: Arc::clone(&self.0), _permit: permit }
    }

    /// How many jobs may run at once.
    pub fn total(&self) -> usize {
        self.0.settings.slots
    }

    /// How many run now.
    pub fn busy(&self) -> usize {
        self.total() - self.0.permits.available_permits()
    }

    /// How many wait now.
    pub fn waiting(&self) -> usize {
        self.0.waiting.load(Ordering::Relaxed)
    }

    /// How long the oldest running job has run.
    pub fn oldest(&self) -> Option<Duration> {
        self.0.taken().first_key_value().map(|(_, started)| started.elapsed())
    }

    /// How many may wait.
    pub fn queue(&self) -> usize {
        self.0.settings.queue
    }
}

impl Inner {
    fn taken(&self) -> MutexGuard<'_, BTreeMap<u64, Instant>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn recent(&self) -> MutexGuard<'_, VecDeque<Duration>> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When a slot comes free for a request with `ahead` others before it, if all take what jobs usually take.
    fn expected_wait(&self, ahead: usize) -> Duration {
        let turns = u32::try_from(ahead / self.settings.slots + 1).unwrap_or(u32::MAX);
        self.usual().saturating_mul(turns)
    }

    /// What half of the last jobs did not exceed; nothing is expected of too few.
    fn usual(&self) -> Duration {
        let mut recent: Vec<Duration> = self.recent().iter().copied().collect();
        if recent.len() < LEAST_RECENT {
            return Duration::ZERO;
        }
        let middle = recent.len() / 2;
        *recent.select_nth_unstable(middle).1
    }

    fn learn(&self, took: Duration) {
        let mut recent = self.recent();
        if recent.len() == MOST_RECENT {
            recent.pop_front();
        }
        recent.push_back(took);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn soon() -> Deadline {
        Deadline::after(Duration::from_secs(10))
    }

    #[tokio::test(start_paused = true)]
    async fn refuses_at_once_when_the_queue_is_full() {
        let slots = Slots::new(SlotSettings { slots: 1, queue: 1 });
        let first = slots.acquire(soon()).await.unwrap();
        let mut second = Box::pin(slots.acquire(soon()));
        assert!(futures_pending(&mut second).await);
        assert_eq!((slots.busy(), slots.waiting()), (1, 1));
        let refused = slots.acquire(soon()).await.unwrap_err();
        assert!(matches!(refused, SlotError::Full { waiting: 1, .. }), "{refused}");
        drop(first);
        drop(second.await.unwrap());
        assert_eq!((slots.busy(), slots.waiting()), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_ends_at_the_deadline() {
        let slots = Slots::new(SlotSettings { slots: 1, queue: 8 });
        let _held = slots.acquire(soon()).await.unwrap();
        let started = Instant::now();
        let error = slots.acquire(Deadline::after(Duration::from_secs(3))).await.unwrap_err();
        assert_eq!(error, SlotError::Expired { waited: Duration::from_secs(3) });
        assert_eq!(started.elapsed(), Duration::from_secs(3));
        assert_eq!(slots.waiting(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_cannot_succeed_is_refused_on_arrival() {
        let slots = Slots::new(SlotSettings { slots: 1, queue: 8 });
        for _ in 0..LEAST_RECENT {
            let slow = slots.acquire(soon()).await.unwrap();
            tokio::time::advance(Duration::from_secs(8)).await;
            assert_eq!(slots.oldest(), Some(Duration::from_secs(8)));
            drop(slow);
            assert_eq!(slots.oldest(), None);
        }
        let _held = slots.acquire(soon()).await.unwrap();
        let error = slots.acquire(Deadline::after(Duration::from_secs(5))).await.unwrap_err();
        assert_eq!(error, SlotError::Full { waiting: 0, retry_after: Duration::from_secs(8) });
    }

    /// Runs jobs that take so many milliseconds, one after the other.
    async fn run(slots: &Slots, jobs: impl IntoIterator<Item = u64>) {
        for millis in jobs {
            let slot = slots.acquire(Deadline::after(Duration::from_hours(1))).await.unwrap();
            tokio::time::advance(Duration::from_millis(millis)).await;
            drop(slot);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_few_that_ran_into_their_limit_turn_nobody_away() {
        let usual = |slots: &Slots| slots.0.usual().as_millis();
        let slots = Slots::new(SlotSettings { slots: 1, queue: 8 });
        run(&slots, [10_000; LEAST_RECENT - 1]).await;
        assert_eq!(usual(&slots), 0, "too few to tell");
        run(&slots, (0..40).map(|number| 90 + number % 20)).await;
        assert!((90..110).contains(&usual(&slots)), "{}", usual(&slots));
        run(&slots, [10_000; 10]).await;
        assert!((90..110).contains(&usual(&slots)), "{}", usual(&slots));
        let held = slots.acquire(soon()).await.unwrap();
        let waited = slots.acquire(Deadline::after(Duration::from_secs(1))).await.unwrap_err();
        assert!(matches!(waited, SlotError::Expired { .. }), "it was turned away: {waited}");
        drop(held);
        run(&slots, [10_000; 10]).await;
        assert_eq!(usual(&slots), 10_000, "when most are slow, that is what is usual");
        run(&slots, [100; 20]).await;
        assert_eq!(usual(&slots), 100);
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_from_a_queue_waits_in_a_line_that_is_full() {
        let slots = Slots::new(SlotSettings { slots: 1, queue: 0 });
        let held = slots.acquire(soon()).await.unwrap();
        let mut queued = Box::pin(slots.acquire_in_any_case(soon()));
        assert!(futures_pending(&mut queued).await);
        assert!(matches!(slots.acquire(soon()).await.unwrap_err(), SlotError::Full { .. }));
        drop(held);
        drop(queued.await.unwrap());
        assert_eq!((slots.busy(), slots.waiting()), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_wait_leaves_no_trace() {
        let slots = Slots::new(SlotSettings { slots: 1, queue: 8 });
        let held = slots.acquire(soon()).await.unwrap();
        let mut waiting = Box::pin(slots.acquire(soon()));
        assert!(futures_pending(&mut waiting).await);
        drop(waiting);
        assert_eq!(slots.waiting(), 0);
        drop(held);
        drop(slots.acquire(soon()).await.unwrap());
    }

    /// Polls once; true if it is not done yet.
    async fn futures_pending<F: Future + Unpin>(future: &mut F) -> bool {
        std::future::poll_fn(|context| {
            std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(context).is_pending())
        })
        .await
    }
}
