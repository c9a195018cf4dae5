//! The queue door: jobs that other routers sent, answered over the result bus.
//!
//! ```text
//! poll ─ claim ─ receive ─┬ handling ─ read ─ regroup ─ fetch ─ ledger ─ compile ─ deliver ─ settle
//! (one lane)              ├ handling …    └──────────────── keeper: it stays ours ──────────┘
//!                         └ handling …
//! ```
//!
//! A place first, a message second: what is received can begin soon. A message is deleted when its result has arrived,
//! and not before, so whatever dies on the way, the queue hands it out again (decision D4). What nobody waits for any
//! more, because its time is over or its client has left, is dropped and counted; what cannot be done is answered; what
//! keeps killing workers is put aside (D23).
//!
//! During a pause nothing is asked for. What the receive that was under way brings is done: to give it back would count
//! as one of its few receives (D23). The [`Intake`] is open until that receive is over, and whoever waits for this worker
//! to take no more goes by it. What is in hand then, the slots and the tasks tell.
//!
//! [`Intake`]: crate::lifecycle::intake::Intake

mod cancelled;
mod delivery;
mod handling;
mod keeper;
mod ledger;
mod overflow;
mod pace;
mod verdict;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, RwLock, Semaphore};
use tokio::time::{Instant, timeout_at};

use self::cancelled::Cancelled;
use self::ledger::Ledger;
use self::pace::{Attention, Pace};
pub use self::verdict::Settled;
use crate::domain::trace::Sampling;
use crate::doors::workshop::Workshop;
use crate::lifecycle::Lifecycle;
use crate::lifecycle::intake::{Intake, Taking};
use crate::lifecycle::pause::Pause;
use crate::ports::{
    Ask, BlobPlace, BlobStore, LARGEST_BATCH, QueueAddress, QueueSink, QueueSource, ResultBus,
};

/// What the door lets its owner choose.
#[derive(Debug, Clone)]
pub struct QueueSettings {
    /// Where jobs come from, and where regrouped ones go back to.
    pub queue: QueueAddress,
    /// Where messages go that no worker can do; without one they are deleted, and told to the log.
    pub dead_letters: Option<QueueAddress>,
    /// Jobs in the making at once: as many as the engine has slots.
    pub slots: usize,
    /// Results under way at once. When so many wait for their receipt, no more jobs are taken.
    pub outbox: usize,
    /// How long a message is ours before it shows up again, unless we say that we still have it.
    pub visibility: Duration,
    /// How long one receive waits for a message, where none has come lately.
    pub poll_wait: Duration,
    /// How long after it was sent a job is still worth doing, when the message does not say (decision D24).
    pub budget: Duration,
    /// The receive at which a job is tried for the last time (decision D23).
    pub attempts: u32,
    /// Where jobs may lie that are too large for the queue.
    pub overflow: Option<BlobPlace>,
    /// Where results go that are too large for a frame, or that nobody took.
    pub results: Option<BlobPlace>,
    /// Which traces are recorded, if any are.
    pub sampling: Option<Sampling>,
}

impl QueueSettings {
    /// What contract and decisions say (D4, D20, D23, D24), for a worker with so many slots.
    pub fn new(queue: QueueAddress, slots: usize) -> Self {
        Self {
            queue,
            dead_letters: None,
            slots,
            outbox: 256,
            visibility: Duration::from_secs(10),
            poll_wait: Duration::from_secs(10),
            budget: Duration::from_secs(55),
            attempts: 3,
            overflow: None,
            results: None,
            sampling: None,
        }
    }
}

/// What a door is made of.
pub struct Parts<W> {
    /// Where compiles are made.
    pub workshop: W,
    /// The owner's choices.
    pub settings: QueueSettings,
    /// Where messages come from.
    pub source: Arc<dyn QueueSource>,
    /// Where regrouped messages and dead letters go.
    pub sink: Arc<dyn QueueSink>,
    /// How results reach those who wait for them.
    pub bus: Arc<dyn ResultBus>,
    /// Where large jobs and results lie.
    pub blobs: Arc<dyn BlobStore>,
    /// When to stop.
    pub lifecycle: Lifecycle,
    /// When to take nothing for a while.
    pub pause: Pause,
    /// Told whether more may come.
    pub intake: Intake,
    /// Told what became of every message.
    pub observe: Box<dyn Fn(Settled) + Send + Sync>,
}

impl<W> fmt::Debug for Parts<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// Where messages are handled.
struct Desk<W> {
    parts: Parts<W>,
    /// One permit for each job that may be in the making.
    claims: Arc<Semaphore>,
    /// One permit for each message that may be in the house.
    outbox: Arc<Semaphore>,
    ledger: Ledger,
    cancelled: Cancelled,
    /// Shared by ordinary jobs of the queue; one that may have killed a worker has it to itself.
    company: RwLock<()>,
}

/// Places for messages that are about to be received.
struct Claim {
    making: OwnedSemaphorePermit,
    delivering: OwnedSemaphorePermit,
}

/// Takes messages until the drain begins. What was received by then is finished by tasks that the drain waits for.
pub async fn run<W: Workshop>(parts: Parts<W>) {
    let lifecycle = parts.lifecycle.clone();
    let desk = Arc::new(Desk::new(parts));
    let listening = Arc::clone(&desk);
    drop(lifecycle.accompany("cancellations", async move {
        listening.cancelled.listen(&*listening.parts.bus).await;
    }));
    let mut taking = None;
    let (mut pace, mut attention) = (Pace::default(), Attention::new(desk.parts.settings.poll_wait));
    loop {
        let claim = tokio::select! {
            biased;
            () = lifecycle.draining() => return,
            claim = desk.claim_unless_paused(&mut taking) => claim,
        };
        let Some(mut claim) = claim else { return };
        // Never dropped: what a dropped receive brings is hidden from everybody until its time runs out.
        let (asked, wait) = (Instant::now(), attention.wait());
        let received = desk.parts.source.receive(desk.ask(claim.size(), wait)).await;
        match &received {
            Ok(messages) if messages.is_empty() => attention.rest(),
            Ok(_) | Err(_) => attention.rouse(),
        }
        match received {
            // Something between us and the queue answers in its place.
            Ok(messages) if messages.is_empty() && asked.elapsed() < wait / 10 => {
                let _draining_is_seen_above = timeout_at(asked + pace.next(), lifecycle.draining()).await;
            }
            Ok(messages) => {
                pace.reset();
                for message in messages {
                    let Some(one) = claim.split() else { break };
                    drop(lifecycle.spawn("queue job", Arc::clone(&desk).handle(message, one)));
                }
            }
            Err(error) => {
                let wait = pace.next();
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    wait_ms = wait.as_millis(),
                    "could not receive"
                );
                // A call that hung has waited already.
                let _draining_is_seen_above = timeout_at(asked + wait, lifecycle.draining()).await;
            }
        }
    }
}

impl<W: Workshop> Desk<W> {
    fn new(parts: Parts<W>) -> Self {
        let settings = &parts.settings;
        Self {
            claims: Arc::new(Semaphore::new(settings.slots.max(1))),
            outbox: Arc::new(Semaphore::new(settings.outbox.max(1))),
            ledger: Ledger::default(),
            cancelled: Cancelled::default(),
            company: RwLock::new(()),
            parts,
        }
    }

    /// The same as [`Self::claim`], but not while there is a pause: one that begins meanwhile wins.
    async fn claim_unless_paused(&self, taking: &mut Option<Taking>) -> Option<Claim> {
        let pause = &self.parts.pause;
        loop {
            if pause.is_on() {
                *taking = None;
                tracing::info!(queue = %self.parts.settings.queue, "paused, taking no jobs");
                pause.over().await;
                tracing::info!(queue = %self.parts.settings.queue, "taking jobs again");
            }
            let _open = taking.get_or_insert_with(|| self.parts.intake.open());
            tokio::select! {
                biased;
                () = pause.begun() => {}
                claim = self.claim() => return claim,
            }
        }
    }

    /// Waits until a message could begin at once, and takes places for as many as could.
    async fn claim(&self) -> Option<Claim> {
        let mut making = Arc::clone(&self.claims).acquire_owned().await.ok()?;
        let mut delivering = Arc::clone(&self.outbox).acquire_owned().await.ok()?;
        self.parts.bus.room().await;
        let room = self.parts.workshop.room().await;
        while making.num_permits() < room.min(LARGEST_BATCH) {
            let more = Arc::clone(&self.claims).try_acquire_owned().ok();
            let Some((more, place)) = more.zip(Arc::clone(&self.outbox).try_acquire_owned().ok()) else {
                break;
            };
            making.merge(more);
            delivering.merge(place);
        }
        Some(Claim { making, delivering })
    }

    fn ask(&self, most: usize, wait: Duration) -> Ask {
        Ask { most, wait, hidden_for: self.parts.settings.visibility }
    }
}

impl Claim {
    fn size(&self) -> usize {
        self.making.num_permits()
    }

    /// The place for one message.
    fn split(&mut self) -> Option<Self> {
        Some(Self { making: self.making.split(1)?, delivering: self.delivering.split(1)? })
    }
}
