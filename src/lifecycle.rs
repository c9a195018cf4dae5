//! Birth and death of every task: spawned by name, watched, drained, and killed when patience ends.
//!
//! ```text
//! Lifecycle ── work        spawn()      the drain waits for these: connections, jobs
//!           └─ companions  accompany()  dropped once the last work has ended: heartbeat, signals, sandbox reader
//!                          attend()     told so, and awaited: connections on which something is left to say
//! ```
//!
//! Killing ends the *work* through [`Lifecycle::kill_token`]; tasks are then still awaited, so that each gives back
//! what it holds. Only a task that ignores the kill is abandoned to the end of the runtime, and named in the log.

pub mod intake;
pub mod pause;
pub mod signals;

use std::any::Any;
use std::collections::BTreeMap;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;
use std::{fmt, io};

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use crate::telemetry::fields;

/// How long killed work has to give back what it holds. Killing a jail takes milliseconds; this is for a machine
/// that is out of memory or whose disk hangs.
pub const KILL_GRACE: Duration = Duration::from_secs(5);

/// Where in its life the process is. It only ever moves down this list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Not everything is up yet.
    Starting,
    /// Doing its job.
    Serving,
    /// Finishing what it has; taking nothing new.
    Draining,
    /// Ending what would not finish.
    Killing,
    /// Nothing is left.
    Stopped,
}

impl Phase {
    /// Every phase, first to last.
    pub const ALL: [Self; 5] = [Self::Starting, Self::Serving, Self::Draining, Self::Killing, Self::Stopped];

    /// The name shown to people and in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Serving => "serving",
            Self::Draining => "draining",
            Self::Killing => "killing",
            Self::Stopped => "stopped",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How the end went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// All work finished by itself.
    Clean,
    /// Some work had to be killed.
    Killed,
}

impl Ending {
    /// What the process returns: 0, or 75, "try again" in sysexits, which tells the unit that work was cut.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Clean => 0,
            Self::Killed => 75,
        }
    }
}

/// What one name of task has done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Census {
    /// Running now.
    pub alive: u64,
    /// Begun since the start.
    pub started: u64,
    /// Ended by a panic since the start.
    pub panicked: u64,
}

/// The handle through which everything is born and ends. Clones are the same life.
#[derive(Debug, Clone)]
pub struct Lifecycle(Arc<Life>);

#[derive(Debug)]
struct Life {
    phase: watch::Sender<Phase>,
    work: TaskTracker,
    companions: TaskTracker,
    kill: CancellationToken,
    /// When patience ends at the latest, whatever the drain is given.
    limit: watch::Sender<Option<Instant>>,
    end: CancellationToken,
    census: Mutex<BTreeMap<&'static str, Census>>,
}

/// Counts one task among the living for as long as it exists, however it ends.
struct Alive {
    life: Arc<Life>,
    name: &'static str,
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self::new()
    }
}

impl Lifecycle {
    /// A life in phase [`Phase::Starting`].
    pub fn new() -> Self {
        Self(Arc::new(Life {
            phase: watch::Sender::new(Phase::Starting),
            work: TaskTracker::new(),
            companions: TaskTracker::new(),
            kill: CancellationToken::new(),
            limit: watch::Sender::new(None),
            end: CancellationToken::new(),
            census: Mutex::default(),
        }))
    }

    /// Starts work that the drain waits for. A panic in it is logged, counted, and reported by the handle alone.
    pub fn spawn<F>(&self, name: &'static str, future: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.0.work.spawn(self.named(name, future))
    }

    /// Starts something that serves the work and is dropped, wherever it stands, once the last work has ended.
    /// The handle yields `None` if that is how it ended.
    pub fn accompany<F>(&self, name: &'static str, future: F) -> JoinHandle<Option<F::Output>>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let end = self.0.end.clone();
        self.0.companions.spawn(self.named(name, async move { end.run_until_cancelled_owned(future).await }))
    }

    /// Starts something that serves the work to its end and then takes its leave, in [`KILL_GRACE`] at most:
    /// [`Self::ending`] tells when.
    pub fn attend<F>(&self, name: &'static str, future: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.0.companions.spawn(self.named(name, future))
    }

    /// Resolves once the last work has ended.
    pub fn ending(&self) -> impl Future<Output = ()> + use<> {
        self.0.end.clone().cancelled_owned()
    }

    /// The current phase.
    pub fn phase(&self) -> Phase {
        *self.0.phase.borrow()
    }

    /// The current phase and every later one.
    pub fn phases(&self) -> watch::Receiver<Phase> {
        self.0.phase.subscribe()
    }

    /// Everything is up: [`Phase::Serving`], unless the end has already begun.
    pub fn begin_serving(&self) {
        self.0.advance(Phase::Serving);
    }

    /// Takes nothing new from here on.
    pub fn begin_drain(&self) {
        self.0.advance(Phase::Draining);
    }

    /// Ends patience at that moment at the latest: by then, the machine is nearly gone. Only an earlier one changes it.
    pub fn end_by(&self, moment: Instant) {
        self.0.limit.send_if_modified(|limit| {
            let earlier = limit.is_none_or(|limit| moment < limit);
            if earlier {
                *limit = Some(moment);
            }
            earlier
        });
    }

    /// Ends patience now: what a second signal asks for.
    pub fn begin_kill(&self) {
        self.0.advance(Phase::Killing);
        self.0.kill.cancel();
    }

    /// Resolves once the drain has begun.
    pub async fn draining(&self) {
        // The sender lives in `self`, so the channel cannot close under us.
        let _closed = self.phases().wait_for(|phase| *phase >= Phase::Draining).await.is_err();
    }

    /// Cancelled when work must end at once. Whoever holds a process kills it then, and still cleans up.
    pub fn kill_token(&self) -> CancellationToken {
        self.0.kill.clone()
    }

    /// Every name of task ever spawned, with what became of it.
    pub fn tasks(&self) -> Vec<(&'static str, Census)> {
        self.0.census().iter().map(|(name, census)| (*name, *census)).collect()
    }

    /// Drains; after `patience`, at the moment of [`Self::end_by`], or at [`Self::begin_kill`], kills. Returns when nothing is left, or when killed work
    /// has not ended in [`KILL_GRACE`].
    pub async fn shut_down(&self, patience: Duration) -> Ending {
        self.begin_drain();
        self.0.work.close();
        tokio::select! {
            // Work that ends at the last instant has ended in time.
            biased;
            () = self.0.work.wait() => {}
            () = self.0.kill.cancelled() => {}
            () = self.impatient(patience) => self.begin_kill(),
        }
        // Asked now, not taken from the race above: killed work may have ended before we were woken.
        let killed = self.0.kill.is_cancelled();
        if killed {
            self.report_alive("work did not finish in time, killed it");
            if timeout(KILL_GRACE, self.0.work.wait()).await.is_err() {
                self.report_alive("work ignores the kill, leaving it behind");
            }
        }
        self.0.companions.close();
        self.0.end.cancel();
        if timeout(KILL_GRACE, self.0.companions.wait()).await.is_err() {
            self.report_alive("companions do not end, leaving them behind");
        }
        self.0.advance(Phase::Stopped);
        if killed { Ending::Killed } else { Ending::Clean }
    }

    /// Resolves after `patience`, or at the moment that is set before or meanwhile.
    async fn impatient(&self, patience: Duration) {
        let (own, mut limits) = (Instant::now() + patience, self.0.limit.subscribe());
        loop {
            let end = limits.borrow_and_update().map_or(own, |limit| limit.min(own));
            tokio::select! {
                () = sleep_until(end) => return,
                // The sender lives in `self`, so the channel cannot close under us.
                _ = limits.changed() => {}
            }
        }
    }

    fn report_alive(&self, what: &str) {
        for (name, census) in self.tasks().into_iter().filter(|(_, census)| census.alive > 0) {
            tracing::warn!({ fields::TASK_NAME } = name, { fields::TASKS } = census.alive, "{what}");
        }
    }

    /// Wraps `future` in its span, its count, and a fence that sees a panic before tokio hides it in the handle.
    fn named<F: Future>(&self, name: &'static str, future: F) -> impl Future<Output = F::Output> + use<F> {
        let alive = Alive::begin(Arc::clone(&self.0), name);
        let task = async move {
            let alive = alive;
            let mut future = pin!(future);
            let outcome = std::future::poll_fn(move |context| {
                match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
                    Ok(poll) => poll.map(Ok),
                    Err(panic) => Poll::Ready(Err(panic)),
                }
            })
            .await;
            outcome.unwrap_or_else(|panic| {
                alive.panicked(panic.as_ref());
                resume_unwind(panic)
            })
        };
        task.instrument(tracing::debug_span!("task", { fields::TASK_NAME } = name))
    }
}

impl Life {
    fn advance(&self, to: Phase) {
        let moved = self.phase.send_if_modified(|phase| {
            let forward = *phase < to;
            *phase = to.max(*phase);
            forward
        });
        if moved {
            tracing::info!({ fields::PHASE } = to.as_str(), "now {to}");
        }
    }

    /// The counts stay true whatever a panicking holder did: each update is one addition.
    fn census(&self) -> MutexGuard<'_, BTreeMap<&'static str, Census>> {
        self.census.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Alive {
    fn begin(life: Arc<Life>, name: &'static str) -> Self {
        {
            let mut all = life.census();
            let census = all.entry(name).or_default();
            census.alive += 1;
            census.started += 1;
        }
        Self { life, name }
    }

    fn panicked(&self, panic: &(dyn Any + Send)) {
        self.life.census().entry(self.name).or_default().panicked += 1;
        let message = panic_message(panic);
        tracing::error!(
            { fields::TASK_NAME } = self.name,
            { fields::PANIC_MESSAGE } = message,
            "task {} panicked",
            self.name
        );
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.life.census().entry(self.name).or_default().alive -= 1;
    }
}

/// Runs `work`, which may block, on the runtime's blocking threads.
pub fn blocking<T, F>(name: &'static str, work: F) -> JoinHandle<T>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    let span = tracing::debug_span!("blocking", { fields::TASK_NAME } = name);
    #[expect(clippy::disallowed_methods, reason = "this is the wrapper that names the work")]
    tokio::task::spawn_blocking(move || span.in_scope(work))
}

/// Starts an operating-system thread that carries its name where debuggers and `ps` see it.
pub fn thread<T, F>(name: &'static str, work: F) -> io::Result<std::thread::JoinHandle<T>>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    std::thread::Builder::new().name(name.to_owned()).spawn(work)
}

/// What a panic said, when it said it in words.
pub fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let words = panic.downcast_ref::<&str>().copied();
    words.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use tokio::time::sleep;

    use super::*;

    fn census(life: &Lifecycle, name: &str) -> Census {
        life.tasks().into_iter().find(|(known, _)| *known == name).unwrap().1
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_has_begun_finishes() {
        let life = Lifecycle::new();
        life.begin_serving();
        let work = life.spawn("work", async {
            sleep(Duration::from_secs(30)).await;
            7
        });
        let begun = Instant::now();
        assert_eq!(life.shut_down(Duration::from_mins(1)).await, Ending::Clean);
        assert_eq!(
            begun.elapsed(),
            Duration::from_secs(30),
            "the drain ends with the last work, not with the budget"
        );
        assert_eq!(work.await.unwrap(), 7);
        assert_eq!(life.phase(), Phase::Stopped);
        assert_eq!(census(&life, "work"), Census { alive: 0, started: 1, panicked: 0 });
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_will_not_finish_is_killed_and_still_awaited() {
        let life = Lifecycle::new();
        let (kill, cleaned) = (life.kill_token(), Arc::new(AtomicBool::new(false)));
        let done = Arc::clone(&cleaned);
        let _work = life.spawn("straggler", async move {
            kill.cancelled().await;
            sleep(Duration::from_secs(1)).await;
            done.store(true, Ordering::Relaxed);
        });
        let begun = Instant::now();
        assert_eq!(life.shut_down(Duration::from_mins(1)).await, Ending::Killed);
        assert_eq!(begun.elapsed(), Duration::from_secs(61));
        assert!(cleaned.load(Ordering::Relaxed), "killed work must get to clean up");
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_signal_ends_patience() {
        let life = Lifecycle::new();
        let kill = life.kill_token();
        let _work = life.spawn("work", async move { kill.cancelled().await });
        let again = life.clone();
        let _signal = life.accompany("signals", async move {
            sleep(Duration::from_secs(3)).await;
            again.begin_kill();
        });
        let begun = Instant::now();
        assert_eq!(life.shut_down(Duration::from_mins(1)).await, Ending::Killed);
        assert_eq!(begun.elapsed(), Duration::from_secs(3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_moment_that_is_set_ends_patience_and_a_later_one_does_not_restore_it() {
        for (before, meanwhile, expected) in [(40, 90, 40), (90, 20, 20), (90, 70, 60)] {
            let (life, begun) = (Lifecycle::new(), Instant::now());
            let at = move |seconds| begun + Duration::from_secs(seconds);
            let kill = life.kill_token();
            let _work = life.spawn("work", async move { kill.cancelled().await });
            life.end_by(at(before));
            let notice = life.clone();
            let _notice = life.accompany("notice", async move {
                sleep(Duration::from_secs(10)).await;
                notice.end_by(at(meanwhile));
            });
            assert_eq!(life.shut_down(Duration::from_mins(1)).await, Ending::Killed);
            assert_eq!(begun.elapsed().as_secs(), expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_ignores_the_kill_does_not_hold_the_end() {
        let life = Lifecycle::new();
        let _deaf = life.spawn("deaf", std::future::pending::<()>());
        let begun = Instant::now();
        assert_eq!(life.shut_down(Duration::from_secs(10)).await, Ending::Killed);
        assert_eq!(begun.elapsed(), Duration::from_secs(10) + KILL_GRACE);
        assert_eq!(census(&life, "deaf").alive, 1, "the census names what was left behind");
    }

    #[tokio::test(start_paused = true)]
    async fn who_attends_takes_leave_when_the_work_is_done() {
        let life = Lifecycle::new();
        let (ending, begun) = (life.ending(), Instant::now());
        let attendant = life.attend("attendant", async move {
            ending.await;
            sleep(Duration::from_secs(1)).await;
            begun.elapsed()
        });
        let _work = life.spawn("work", sleep(Duration::from_secs(3)));
        assert_eq!(life.shut_down(Duration::from_mins(1)).await, Ending::Clean);
        assert_eq!(attendant.await.unwrap(), Duration::from_secs(4));
        assert_eq!(begun.elapsed(), Duration::from_secs(4), "nobody waits longer than that");
    }

    #[tokio::test(start_paused = true)]
    async fn companions_outlive_work_and_then_end() {
        let life = Lifecycle::new();
        let companion = life.accompany("heartbeat", std::future::pending::<()>());
        let watch = life.clone();
        let work = life.spawn("work", async move {
            watch.draining().await;
            sleep(Duration::from_secs(2)).await;
            census(&watch, "heartbeat").alive
        });
        assert_eq!(life.shut_down(Duration::from_secs(10)).await, Ending::Clean);
        assert_eq!(work.await.unwrap(), 1, "the companion ended before the work");
        assert_eq!(companion.await.unwrap(), None);
        assert_eq!(census(&life, "heartbeat").alive, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_is_counted_and_touches_nobody_else() {
        let life = Lifecycle::new();
        let bad = life.spawn("bad", async { panic!("planted {}", 1) });
        let good = life.spawn("good", async {
            sleep(Duration::from_secs(1)).await;
            1
        });
        let panic = bad.await.unwrap_err().into_panic();
        assert_eq!(panic_message(panic.as_ref()), "planted 1");
        assert_eq!(good.await.unwrap(), 1);
        assert_eq!(census(&life, "bad"), Census { alive: 0, started: 1, panicked: 1 });
        assert_eq!(census(&life, "good"), Census { alive: 0, started: 1, panicked: 0 });
        assert_eq!(life.shut_down(Duration::ZERO).await, Ending::Clean);
    }

    #[tokio::test(start_paused = true)]
    async fn an_aborted_task_leaves_the_census() {
        let life = Lifecycle::new();
        let task = life.spawn("aborted", std::future::pending::<()>());
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(census(&life, "aborted").alive, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn phases_never_go_back() {
        let life = Lifecycle::new();
        let mut phases = life.phases();
        life.begin_drain();
        life.begin_serving();
        assert_eq!(*phases.borrow_and_update(), Phase::Draining);
        life.begin_kill();
        life.begin_drain();
        assert_eq!(life.phase(), Phase::Killing);
        assert!(life.kill_token().is_cancelled());
        life.draining().await;
    }

    #[tokio::test]
    async fn threads_and_blocking_work_carry_their_names() {
        let named = thread("wisp", || std::thread::current().name().map(str::to_owned)).unwrap();
        assert_eq!(named.join().unwrap().as_deref(), Some("wisp"));
        assert_eq!(blocking("sum", || 1 + 1).await.unwrap(), 2);
    }
}
