//! Turns a request into an answer: remembered, shared with who asks the same, or compiled in the jail.
//!
//! ```text
//! recall(key) ── reply remembered ───────────────────────────────► answer
//! compile(job) ─ probe ─ plan ─┬─ output remembered ──┐
//!                              └─ flight: slot ─ jail ─┴─ present ─ render ─► answer
//! ```
//!
//! It does not know how a request arrived or what a status code is. A compile that fails is an answer; an error
//! means that *we* could not do our part.

mod answer;
pub mod cache;
mod desk;
mod error;
mod flight;
pub mod plan;
mod present;
pub mod probe;
mod run;
pub mod slots;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::compilers::{Capabilities, Catalogue, Compiler, Toolchain};
use crate::domain::limits::{Deadline, Limits, MIB};
use crate::domain::request::{BypassCache, CompileRequest};
use crate::domain::result::{CompileResult, JobStatus};
use crate::domain::room::Room;
use crate::engine::answer::Reply;
use crate::engine::cache::{Key, KeyBuilder, Memory, Weigh as _};
use crate::engine::flight::{Flights, LostError};
use crate::engine::plan::{Plan, PlanError, PlanSettings, Refusal};
use crate::engine::probe::{Jailed, Prober};
use crate::engine::run::RawOutput;
use crate::engine::slots::{Slot, SlotError, SlotSettings, Slots};
use crate::lifecycle::{self, Lifecycle};
use crate::sandbox::Sandbox;
use crate::telemetry::metrics::{Lookup, Metrics};
use crate::wire;

pub use self::answer::{Answer, Rendition};
pub use self::error::CompileError;
pub use self::slots::{Waited, Work};

/// The digest of a request, byte for byte.
pub type RequestKey = Key;

/// The name in metrics of the cache of compiler outputs.
pub const OUTPUTS: &str = "default";
/// The name in metrics of the cache of rendered replies.
pub const REPLIES: &str = "reply";

/// Callers that may wait for a compile which others have asked for too, beyond those that fill slots and queue.
const MOST_SHARING: usize = 256;
/// Memory for large replies on their way to slow readers, in bytes, beyond what the reply cache may keep.
const REPLIES_IN_FLIGHT: u64 = 512 * MIB;

/// What one engine may use.
#[derive(Debug, Clone)]
pub struct EngineSettings {
    /// Jobs at once, and requests that may wait.
    pub slots: SlotSettings,
    /// What one compile may use.
    pub limits: Limits,
    /// Longest wait for a slot.
    pub queue_wait: Duration,
    /// What every plan takes from the daemon.
    pub plan: PlanSettings,
    /// Memory for compiler outputs, in bytes.
    pub output_cache: u64,
    /// Memory for rendered replies, in bytes.
    pub reply_cache: u64,
}

/// One request, ready to be compiled.
#[derive(Debug)]
pub struct CompileJob {
    /// Under which its answer is remembered; see [`Engine::key`].
    pub key: RequestKey,
    /// With what.
    pub compiler: Arc<Compiler>,
    /// What.
    pub request: CompileRequest,
    /// How the answer is written.
    pub rendition: Rendition,
    /// Until when the caller waits.
    pub deadline: Deadline,
    /// Where to note how long it waited for a slot.
    pub waited: Waited,
    /// How it is treated.
    pub terms: Terms,
}

/// How a job is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Terms {
    /// Somebody holds a connection, and can go elsewhere: the line for a slot has an end.
    Held,
    /// It came from a queue. Such a job cannot be sent elsewhere, and no more are taken than there are slots, so it waits
    /// in line however long that is.
    Queued,
    /// The same, and it may have taken workers down with it: it runs under half the limits (decision D23).
    Suspect,
}

impl Terms {
    fn limits(self, limits: Limits) -> Limits {
        match self {
            Self::Held | Self::Queued => limits,
            Self::Suspect => limits.halved(),
        }
    }
}

/// Who waits for a job, as far as its running is concerned.
#[derive(Debug)]
struct Caller {
    /// Until when.
    deadline: Deadline,
    /// Where to note how long it waited for a slot.
    waited: Waited,
    terms: Terms,
}

impl Caller {
    fn of(job: &CompileJob) -> Self {
        Self { deadline: job.deadline, waited: job.waited.clone(), terms: job.terms }
    }
}

/// Whence an output comes.
#[derive(Debug, Clone, Copy)]
struct Origin {
    /// Under which it is remembered; see [`run::key`].
    key: Key,
    /// What the compiler was when that was made.
    toolchain: Toolchain,
}

/// What an operator asks of an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineStatus {
    /// Jobs that may run at once.
    pub slots: usize,
    /// Jobs that run now.
    pub slots_busy: usize,
    /// How long the oldest running job has run.
    pub oldest_job: Option<Duration>,
    /// Requests that wait now.
    pub queued: usize,
    /// Requests that may wait.
    pub queue_limit: usize,
    /// Bytes of compiler output remembered.
    pub output_cache_bytes: u64,
    /// Bytes of replies remembered.
    pub reply_cache_bytes: u64,
}

/// Compiles. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Engine(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    catalogue: ArcSwap<Catalogue>,
    /// Counts catalogues, so that a reply remembered under an old one is never found under a new one.
    generation: AtomicU64,
    prober: Prober,
    plan: PlanSettings,
    sandbox: Sandbox,
    queue_wait: Duration,
    slots: Slots,
    /// Everybody who waits for a compile, one permit each.
    callers: Arc<Semaphore>,
    /// What presenting large outputs may take together; see [`desk`].
    desk: Room,
    /// What large replies may take in memory together.
    room: Room,
    outputs: Memory<RawOutput>,
    replies: Memory<Reply>,
    flights: Flights<Key, Result<Arc<RawOutput>, CompileError>>,
    kill: CancellationToken,
    metrics: Arc<Metrics>,
    limits: Limits,
}

impl Engine {
    /// An engine for `catalogue` that runs its jobs in `sandbox`.
    pub fn new(
        settings: &EngineSettings,
        catalogue: Arc<Catalogue>,
        sandbox: Sandbox,
        lifecycle: Lifecycle,
        metrics: Arc<Metrics>,
    ) -> Self {
        let slots = Slots::new(settings.slots);
        Self(Arc::new(Inner {
            callers: Arc::new(Semaphore::new(settings.slots.slots + settings.slots.queue + MOST_SHARING)),
            desk: Room::new(desk::size(settings.limits.artifact)),
            room: Room::new(settings.reply_cache.saturating_add(REPLIES_IN_FLIGHT)),
            catalogue: ArcSwap::new(catalogue),
            generation: AtomicU64::new(0),
            prober: Prober::new(
                Arc::new(Jailed::new(sandbox.clone(), slots.clone(), settings.limits)),
                settings.plan.clone(),
            ),
            plan: settings.plan.clone(),
            queue_wait: settings.queue_wait,
            sandbox,
            slots,
            outputs: Memory::new(settings.output_cache),
            replies: Memory::new(settings.reply_cache),
            kill: lifecycle.kill_token(),
            flights: Flights::new(lifecycle),
            metrics,
            limits: settings.limits,
        }))
    }

    /// The catalogue as it is now.
    pub fn catalogue(&self) -> Arc<Catalogue> {
        self.0.catalogue.load_full()
    }

    /// Swaps the catalogue; requests under way keep the one they began with.
    pub fn replace_catalogue(&self, catalogue: Arc<Catalogue>) {
        self.0.catalogue.store(catalogue);
        self.0.generation.fetch_add(1, Ordering::Release);
    }

    /// What is known of `compiler` already, for the listings.
    pub fn capabilities(&self, compiler: &Compiler) -> Option<Arc<Capabilities>> {
        self.0.prober.known(compiler)
    }

    /// Forgets every result remembered.
    pub fn clear_caches(&self) {
        self.0.outputs.clear();
        self.0.replies.clear();
    }

    /// Whether every slot is taken.
    pub fn is_busy(&self) -> bool {
        self.0.slots.busy() >= self.0.slots.total()
    }

    /// Waits for a free slot, in line with the jobs that do, and says how many are free. It takes none.
    pub async fn room(&self) -> usize {
        self.0.slots.room().await
    }

    /// What is going on.
    pub fn status(&self) -> EngineStatus {
        let inner = &self.0;
        EngineStatus {
            slots: inner.slots.total(),
            slots_busy: inner.slots.busy(),
            oldest_job: inner.slots.oldest(),
            queued: inner.slots.waiting(),
            queue_limit: inner.slots.queue(),
            output_cache_bytes: inner.outputs.bytes(),
            reply_cache_bytes: inner.replies.bytes(),
        }
    }

    fn generation(&self) -> u64 {
        self.0.generation.load(Ordering::Acquire)
    }

    /// The digest of a request: everything that decides its answer, part by part.
    pub fn key(&self, parts: &[&[u8]]) -> RequestKey {
        let mut key = KeyBuilder::default();
        key.part(&self.generation().to_le_bytes());
        for part in parts {
            key.part(part);
        }
        key.finish()
    }

    /// The remembered answer to a byte-identical request, unless the compiler has changed since.
    pub async fn recall(&self, key: &RequestKey) -> Option<Answer> {
        let asked = Instant::now();
        let metrics = &self.0.metrics;
        let mut current = self.0.replies.find(key);
        if let Some(reply) = &current
            && reply.compiler.toolchain().await.ok() != Some(reply.toolchain)
        {
            current = None;
        }
        metrics.count_lookup(REPLIES, if current.is_some() { Lookup::Hit } else { Lookup::Miss });
        let reply = current?;
        metrics.count_compilation(&reply.compiler.language);
        Some(reply.recalled(asked))
    }

    /// Asks `compiler` what it can do, so that nobody has to wait for it later.
    pub async fn warm(&self, compiler: &Arc<Compiler>) {
        if let Err(error) = self.0.prober.capabilities(compiler).await {
            tracing::warn!(compiler.id = %compiler.id, error = &error as &dyn std::error::Error, "could not probe");
        }
    }

    /// Answers `job`. Dropping the future withdraws from the work, which is cancelled if nobody else waits for it.
    pub async fn compile(&self, job: CompileJob) -> Result<Answer, CompileError> {
        let asked = Instant::now();
        let inner = &self.0;
        inner.metrics.count_compilation(&job.compiler.language);
        let _waiting = if job.terms == Terms::Held { Some(self.admit()?) } else { None };
        let (plan, toolchain) = match self.plan(&job.compiler, &job.request).await {
            Ok(planned) => planned,
            Err(CompileError::Plan(error)) => return refuse(&error, &job),
            Err(error) => return Err(error),
        };
        let key = run::key(&plan, &toolchain, self.generation());
        let (raw, cached) = self.output(&plan, Origin { key, toolchain }, &job).await?;
        let (body, status) = self.render(&plan, &raw, &job).await?;
        let answer = if cached {
            answer::recalled(&body, job.rendition, status, asked)
        } else {
            Answer::fresh(body.clone(), status)
        };
        if raw.is_repeatable() && job.request.bypass_cache != BypassCache::Compilation {
            let reply = Reply { body, rendition: job.rendition, status, compiler: job.compiler, toolchain };
            inner.replies.keep(job.key, Arc::new(reply));
            inner.metrics.count_put(REPLIES);
        }
        Ok(answer)
    }

    /// Compiles `request`, remembering nothing and rendering nothing. A refusal is an error here.
    pub async fn result(
        &self,
        compiler: &Arc<Compiler>,
        request: &CompileRequest,
        deadline: Deadline,
    ) -> Result<CompileResult, CompileError> {
        let (plan, toolchain) = self.plan(compiler, request).await?;
        let key = run::key(&plan, &toolchain, self.generation());
        let origin = Origin { key, toolchain };
        let caller = Caller { deadline, waited: Waited::default(), terms: Terms::Held };
        let raw = self.execute(Arc::clone(&plan), compiler, origin, caller).await?;
        Ok(present::present(&plan, &raw, request))
    }

    async fn plan(
        &self,
        compiler: &Arc<Compiler>,
        request: &CompileRequest,
    ) -> Result<(Arc<Plan>, Toolchain), CompileError> {
        let toolchain = compiler.toolchain().await.map_err(|source| CompileError::Toolchain {
            path: compiler.exe.display().to_string(),
            source: Arc::new(source),
        })?;
        let probing = self.0.prober.capabilities(compiler);
        let probed = self.0.kill.run_until_cancelled(probing).await.ok_or(CompileError::Stopped)?;
        let capabilities = probed.map_err(|error| CompileError::Probe(Arc::new(error)))?;
        let plan = plan::plan(request, compiler, &capabilities, &self.0.plan);
        Ok((Arc::new(plan.map_err(|error| CompileError::Plan(Arc::new(error)))?), toolchain))
    }

    /// The output of `plan`, and whether it was remembered.
    async fn output(
        &self,
        plan: &Arc<Plan>,
        origin: Origin,
        job: &CompileJob,
    ) -> Result<(Arc<RawOutput>, bool), CompileError> {
        // What comes of half the limits is for nobody else.
        if job.request.bypass_cache == BypassCache::Compilation || job.terms == Terms::Suspect {
            let raw = self.execute(Arc::clone(plan), &job.compiler, origin, Caller::of(job)).await?;
            return Ok((raw, false));
        }
        let found = self.0.outputs.find(&origin.key);
        self.0.metrics.count_lookup(OUTPUTS, if found.is_some() { Lookup::Hit } else { Lookup::Miss });
        match found {
            Some(raw) => Ok((raw, true)),
            None => Ok((self.share(plan, origin, job).await?, false)),
        }
    }

    /// The output of `plan`, compiled once for all who ask for it at the same time.
    async fn share(
        &self,
        plan: &Arc<Plan>,
        origin: Origin,
        job: &CompileJob,
    ) -> Result<Arc<RawOutput>, CompileError> {
        let deadline = job.deadline;
        let (engine, shared, caller) = (self.clone(), Arc::clone(plan), Caller::of(job));
        let compiler = Arc::clone(&job.compiler);
        let work = || async move { engine.execute(shared, &compiler, origin, caller).await };
        match self.0.flights.join(origin.key, work).await? {
            // It was the leader's patience that ended, not ours: go alone.
            Err(error) if error.is_impatience() && !deadline.remaining().is_zero() => {
                self.execute(Arc::clone(plan), &job.compiler, origin, Caller::of(job)).await
            }
            outcome => outcome,
        }
    }

    /// Waits for a slot and runs `plan` in the jail; remembers the output if it would come out the same again.
    async fn execute(
        &self,
        plan: Arc<Plan>,
        compiler: &Compiler,
        origin: Origin,
        caller: Caller,
    ) -> Result<Arc<RawOutput>, CompileError> {
        let (inner, deadline) = (&self.0, caller.deadline);
        let slot = self.slot(&caller).await?;
        caller.waited.note(slot.waited);
        let limits = caller.terms.limits(inner.limits);
        let outcome = self.run(&plan, limits, deadline).await;
        let waited = slot.waited;
        drop(slot);
        inner.metrics.queue_completed.inc();
        let mut raw = outcome.inspect_err(|error| {
            if let CompileError::Run(error) = error {
                inner.metrics.count_jail_failure(error.step());
            }
        })?;
        if raw.out_of_time && deadline.remaining().is_zero() && raw.wall < limits.wall {
            // Not the job's limit struck but this caller's deadline; another caller may have more time.
            return Err(SlotError::Expired { waited }.into());
        }
        let repeatable = raw.is_repeatable();
        if repeatable {
            // It was planned for what the compiler was a second ago, on some file systems.
            let now = compiler.toolchain_since(Instant::now()).await;
            raw.doubtful = now.ok() != Some(origin.toolchain) || caller.terms == Terms::Suspect;
        }
        let kept = repeatable && !raw.doubtful;
        let raw = Arc::new(raw);
        inner.metrics.sandbox_start.observe(raw.start.as_secs_f64());
        inner.metrics.count_compile(raw.wall);
        if raw.stdout.truncated || raw.stderr.truncated {
            inner.metrics.output_truncated.inc();
        }
        if kept {
            inner.outputs.keep(origin.key, Arc::clone(&raw));
            inner.metrics.count_put(OUTPUTS);
        }
        Ok(raw)
    }

    /// Runs `plan`, unless all work is to end: what has not begun by then never will, and what has is killed.
    async fn run(&self, plan: &Plan, limits: Limits, deadline: Deadline) -> Result<RawOutput, CompileError> {
        let Inner { sandbox, kill, .. } = &*self.0;
        let berth = kill.run_until_cancelled(sandbox.berth(deadline)).await.ok_or(CompileError::Stopped)?;
        let berth = berth.map_err(|error| CompileError::Run(Arc::new(error)))?;
        let running = run::run(berth, plan, limits, deadline);
        kill.run_until_cancelled(running).await.unwrap_or(Err(CompileError::Killed))
    }

    /// Counts one caller, whatever it waits for.
    fn admit(&self) -> Result<OwnedSemaphorePermit, SlotError> {
        let callers = Arc::clone(&self.0.callers).try_acquire_owned();
        let full = SlotError::Full { waiting: self.0.slots.waiting(), retry_after: Duration::from_secs(1) };
        callers.map_err(|_| full)
    }

    async fn slot(&self, caller: &Caller) -> Result<Slot, CompileError> {
        let (metrics, slots, deadline) = (&self.0.metrics, &self.0.slots, caller.deadline);
        metrics.queue_enqueued.inc();
        let slot = if caller.terms == Terms::Held {
            slots.acquire(deadline.sooner(self.0.queue_wait)).await
        } else {
            slots.acquire_in_any_case(deadline).await
        };
        match slot {
            Ok(slot) => {
                metrics.queue_dequeued.inc();
                metrics.compilation_queue.observe(slot.waited.as_secs_f64());
                Ok(slot)
            }
            Err(error) => {
                if matches!(error, SlotError::Expired { .. }) {
                    metrics.queue_stale.inc();
                }
                Err(error.into())
            }
        }
    }

    /// Reads and renders an output; off the async threads when it is large.
    async fn render(
        &self,
        plan: &Arc<Plan>,
        raw: &Arc<RawOutput>,
        job: &CompileJob,
    ) -> Result<(Bytes, JobStatus), CompileError> {
        /// Above this, presenting takes about a millisecond: too long for a thread that others wait for.
        const LARGE: usize = 128 * 1024;
        let rendition = job.rendition;
        let present = move |plan: &Plan, raw: &RawOutput, request: &CompileRequest| {
            let result = present::present(plan, raw, request);
            (answer::render(&result, rendition, request.backend.filter_ansi), result.status)
        };
        if raw.bytes() < LARGE {
            let (body, status) = present(plan, raw, &job.request);
            return Ok((Bytes::from(body), status));
        }
        let room = self.0.desk.enter(desk::cost(raw)).await;
        let (plan, raw, request) = (Arc::clone(plan), Arc::clone(raw), job.request.clone());
        let presented = lifecycle::blocking("present", move || {
            // Until the end of the work, which goes on when the caller has left.
            let _room = room;
            present(&plan, &raw, &request)
        });
        let (body, status) = presented.await.map_err(|_| CompileError::Lost(LostError))?;
        let full = SlotError::Full { waiting: self.0.slots.waiting(), retry_after: Duration::from_secs(1) };
        Ok((self.0.room.hold(body).ok_or(full)?, status))
    }
}

/// Answers a refusal as a result, as the running system does; any other plan error is the caller's.
fn refuse(error: &Arc<PlanError>, job: &CompileJob) -> Result<Answer, CompileError> {
    let body = match &**error {
        PlanError::Refused(refusal @ Refusal::BadOptions(_)) => {
            Bytes::from(wire::result::refusal(&refusal.to_string()))
        }
        PlanError::Refused(refusal) => {
            let result = present::refused(refusal, &job.compiler, &job.request);
            Bytes::from(answer::render(&result, job.rendition, job.request.backend.filter_ansi))
        }
        _ => return Err(CompileError::Plan(Arc::clone(error))),
    };
    Ok(Answer::fresh(body, JobStatus::Rejected))
}
