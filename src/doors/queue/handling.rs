//! One message's way, from its receive to its end.

use std::borrow::Cow;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

use super::delivery::{JobRef, Made};
use super::keeper::keep;
use super::ledger::{Known, Running, Sent};
use super::verdict::{Settled, Verdict};
use super::{Claim, Desk, Parts};
use crate::domain::class::{Class, chain};
use crate::domain::ids::{self, RequestId};
use crate::domain::limits::Deadline;
use crate::domain::request::BUILD_SYSTEMS;
use crate::domain::result::JobStatus;
use crate::domain::trace::Traced;
use crate::doors::trace_of;
use crate::doors::workshop::{Failure, Job, Workshop};
use crate::engine::{Answer, Rendition, Terms, Waited, Work};
use crate::failpoint::{Planted, Point, amid, reach};
use crate::lifecycle::Phase;
use crate::ports::{Message, QueueError, Received};
use crate::wire::envelope::{self, Build, EnvelopeError, Incoming, REASON, REMAINING};

/// Characters of a reason that travel.
const LONGEST_REASON: usize = 200;
/// How long a job rests that failed through no fault of its own, before another worker may try it.
pub(super) const REST: Duration = Duration::from_secs(1);
/// How often what is to become of a message is tried to be told to the queue.
const SETTLING: u32 = 4;

/// A message and what is known of it.
struct Handling<'a, W> {
    desk: &'a Desk<W>,
    received: &'a Received,
    /// The message's place in the trace that it is part of.
    traced: Option<Traced>,
    begun: Instant,
    deadline: Deadline,
    notes: Notes,
}

/// What is learnt on the way that the closing event tells.
#[derive(Default)]
struct Notes {
    compiler: OnceLock<String>,
    work: OnceLock<Work>,
    cached: AtomicBool,
}

impl<W: Workshop> Desk<W> {
    /// Handles one message to its end.
    pub(super) async fn handle(self: Arc<Self>, received: Received, claim: Claim) {
        let begun = Instant::now();
        let (read, budget) = (envelope::read(&received.message.body), self.budget(&received));
        let id = name(&read).cloned();
        let deadline = Deadline::at(begun + budget.saturating_sub(received.age));
        let traced = Traced::begin(received.message.trace, self.parts.settings.sampling, SystemTime::now);
        let notes = Notes::default();
        let handling = Handling { desk: &self, received: &received, traced, begun, deadline, notes };
        let source = Arc::clone(&self.parts.source);
        let (visibility, over) = (self.parts.settings.visibility, CancellationToken::new());
        let mut keeping = pin!(async {
            if let Err(error) = keep(&*source, &received, visibility, deadline, &over).await {
                let (id, error) = (id.as_ref().map(RequestId::as_str), &error as &dyn std::error::Error);
                tracing::warn!(
                    request.id = id,
                    trace.id = trace_of(traced),
                    error,
                    "could not keep a message"
                );
            }
        });
        let verdict = {
            let mut handled = pin!(handling.unless_cancelled(id.as_ref(), read, claim));
            tokio::select! {
                biased;
                verdict = &mut handled => {
                    over.cancel();
                    keeping.await;
                    verdict
                }
                () = &mut keeping => {
                    // The message is another's, who may be ourselves, and must begin anew if we stop. Whose result
                    // comes first is the one that counts; the message is for the other to settle.
                    handled.await;
                    Verdict::Lost
                }
            }
        };
        let verdict = handling.settle(verdict, id.as_ref()).await;
        let Notes { compiler, work, cached } = handling.notes;
        let settled = Settled {
            id: id.clone(),
            message: received.id.clone(),
            receives: received.receives,
            traced,
            compiler: compiler.into_inner(),
            outcome: verdict.as_str(),
            failed: verdict.is_failure(),
            job: verdict.job(),
            cached: cached.into_inner(),
            work: work.into_inner(),
            queued: received.age,
            duration: begun.elapsed(),
        };
        close(&settled);
        (self.parts.observe)(settled);
    }

    /// How long after it was sent the job is worth doing. A sender can ask for less than is usual, and not for more.
    fn budget(&self, received: &Received) -> Duration {
        let budget = self.parts.settings.budget;
        let told = received.message.attributes.get(REMAINING).and_then(|text| text.parse().ok());
        told.map_or(budget, |millis| Duration::from_millis(millis).min(budget))
    }
}

impl<W: Workshop> Handling<'_, W> {
    /// Does what the message asks for, unless nobody waits for it any more.
    async fn unless_cancelled(
        &self,
        id: Option<&RequestId>,
        read: Result<Incoming, EnvelopeError>,
        claim: Claim,
    ) -> Verdict {
        let Some(id) = id else { return self.verdict(read, claim).await };
        tokio::select! {
            biased;
            // Whatever runs of it is dropped, and killed.
            () = self.desk.cancelled.told_of(id) => Verdict::Done(JobStatus::Cancelled),
            verdict = self.verdict(read, claim) => verdict,
        }
    }

    /// Does what the message asks for, and says what is to become of it.
    async fn verdict(&self, read: Result<Incoming, EnvelopeError>, claim: Claim) -> Verdict {
        let Claim { making, delivering: _until_delivered } = claim;
        let outcome = self.outcome(read).await;
        // The next may begin: a receipt that is late holds up nobody.
        drop(making);
        match outcome {
            Outcome::Over(verdict) => verdict,
            Outcome::Offer(id, sent) => self.desk.deliver(self.job(&id), sent, self.deadline).await,
            Outcome::Hopeless(id, sent, reason) => {
                let _told_if_anybody_waits = self.desk.deliver(self.job(&id), sent, self.deadline).await;
                Verdict::Buried(reason)
            }
        }
    }

    /// Everything up to the delivery.
    async fn outcome(&self, read: Result<Incoming, EnvelopeError>) -> Outcome {
        if self.desk.parts.lifecycle.phase() >= Phase::Draining {
            return Outcome::Over(Verdict::Back(Duration::ZERO));
        }
        if self.deadline.remaining().is_zero() {
            return Outcome::Over(Verdict::Done(JobStatus::Stale));
        }
        let Some(id) = name(&read).cloned() else {
            let reason = "it is no job, and names nobody to tell".to_owned();
            return Outcome::Over(Verdict::Buried(reason));
        };
        if let Err(planted) = reach(Point::Received).await {
            return self.failed(id, planted.to_string()).await;
        }
        if let Some(verdict) = self.regroup(&id).await {
            return Outcome::Over(verdict);
        }
        loop {
            match self.desk.ledger.begin(&id) {
                Known::Done(sent) => return Outcome::Offer(id, sent),
                Known::Running(end) => {
                    if timeout_at(self.deadline.instant(), end.reached()).await.is_err() {
                        return Outcome::Over(Verdict::Done(JobStatus::Stale));
                    }
                }
                Known::New(running) => return self.begin(id, running, read).await,
            }
        }
    }

    /// What comes of a job of which this worker knows nothing yet.
    async fn begin(&self, id: RequestId, running: Running, read: Result<Incoming, EnvelopeError>) -> Outcome {
        // Not asked before: that what runs here is received again speaks against nobody but a slow keeper.
        if self.received.receives > self.desk.parts.settings.attempts {
            let message = format!("the job was received {} times before", self.received.receives - 1);
            return self.give_up(id, message).await;
        }
        let (job, text) = match read {
            Ok(Incoming::Job(job)) => (*job, Cow::Borrowed(self.received.message.body.as_str())),
            Ok(Incoming::Parked(parked)) => match self.desk.fetch(parked, self.deadline).await {
                Ok((job, text)) => (job, Cow::Owned(text)),
                Err(error) if error.may_pass() => return self.failed(id, chain(&error)).await,
                Err(error) => return self.tell(id, &error.to_string(), JobStatus::Rejected).await,
            },
            Err(error) => return self.tell(id, &chain(&error), JobStatus::Rejected).await,
        };
        let made = match self.make(job, &text).await {
            Ok(made) => made,
            Err(Unmade::Over(verdict)) => return Outcome::Over(verdict),
            Err(Unmade::Failed(message)) => return self.failed(id, message).await,
        };
        let sent = self.desk.frame(self.job(&id), &made, self.queued(), self.deadline).await;
        running.done(sent.clone());
        Outcome::Offer(id, sent)
    }

    /// The job that the message is for.
    fn job<'a>(&self, id: &'a RequestId) -> JobRef<'a> {
        JobRef { id, traced: self.traced }
    }

    /// Whether the message holds up others behind it: today's router puts all of them into one group.
    fn is_shared(&self, id: &RequestId) -> bool {
        let group = self.received.message.group.as_deref();
        self.desk.parts.settings.queue.is_fifo() && group.is_some_and(|group| group != id.as_str())
    }

    /// Sends a message of a shared group back under a group of its own; `None` if it is to be done as it is. If we die
    /// before this copy is deleted, the next worker does the same, and the queue drops the repeat for its name.
    async fn regroup(&self, id: &RequestId) -> Option<Verdict> {
        if !self.is_shared(id) {
            return None;
        }
        let mut attributes = self.received.message.attributes.clone();
        attributes.insert(REMAINING.to_owned(), self.deadline.remaining().as_millis().to_string());
        let message = Message {
            body: self.received.message.body.clone(),
            group: Some(id.as_str().to_owned()),
            dedup: Some(format!("{id}:1")),
            attributes,
            trace: self.received.message.trace,
        };
        let parts = &self.desk.parts;
        match parts.sink.send(&parts.settings.queue, message).await {
            Ok(()) => Some(Verdict::Regrouped),
            Err(error) => {
                tracing::warn!(request.id = %id, trace.id = self.job(id).trace(), error = &error as &dyn std::error::Error, "could not regroup");
                // What no queue takes back, such as a name it does not allow, would hold up the others for ever.
                (self.received.receives == 1).then_some(Verdict::Back(REST))
            }
        }
    }

    /// The result of a job that was read from `text`.
    async fn make(&self, job: envelope::Job, text: &str) -> Result<Made, Unmade> {
        reach(Point::Begun).await?;
        let _only_one_is_asked_for = self.notes.compiler.set(ids::shortened(&job.compiler).to_owned());
        let rejected =
            |message: String| Ok(Made::failed(&message, JobStatus::Rejected, self.begun.elapsed()));
        let workshop = &self.desk.parts.workshop;
        let draft = match job.draft {
            Ok(draft) => draft,
            Err(error) => return rejected(error.to_string()),
        };
        if let Build::Project(system) = &job.build {
            return rejected(if BUILD_SYSTEMS.contains(&system.as_str()) {
                "Compiler does not support compiling to binaries".to_owned()
            } else {
                format!("Unknown build system '{system}'")
            });
        }
        let Some(_) = workshop.find(draft.language(), &job.compiler) else {
            let language = draft.language().map_or("undefined", |language| language.as_str());
            return rejected(format!("Compiler with ID {} not found for language {language}", job.compiler));
        };
        // Everything but its name makes the request what it is.
        let (before, after) = text.split_once(job.id.as_str()).unwrap_or((text, ""));
        let key = || workshop.key(&[b"queue", before.as_bytes(), after.as_bytes()]);
        if let Some(answer) = workshop.recall(&key()).await {
            return Ok(self.made(answer));
        }
        let language = draft.language().cloned();
        let request = match draft.finish(W::split) {
            Ok(request) => request,
            Err(error) => return rejected(error.to_string()),
        };
        loop {
            // Looked for anew, because the catalogue may have changed while it waited.
            let Some(compiler) = workshop.find(language.as_ref(), &job.compiler) else {
                return Err(Unmade::Over(Verdict::Back(REST)));
            };
            let attempt = Job {
                key: key(),
                compiler,
                request: request.clone(),
                rendition: Rendition::Json,
                deadline: self.deadline,
                waited: Waited::default(),
                terms: if self.is_last() { Terms::Suspect } else { Terms::Queued },
            };
            match self.attempt(attempt).await {
                Attempt::Made(answer) => return Ok(self.made(answer)),
                Attempt::Refused(message) => return rejected(message),
                Attempt::Failed(message) => return Err(Unmade::Failed(message)),
                Attempt::Over(verdict) => return Err(Unmade::Over(verdict)),
                Attempt::Again(pause) if self.deadline.remaining() <= pause => {
                    return Err(Unmade::Over(Verdict::Done(JobStatus::Stale)));
                }
                Attempt::Again(pause) => sleep(pause).await,
            }
        }
    }

    /// Tries to compile once, unless the drain begins before the job does.
    async fn attempt(&self, job: Job<W>) -> Attempt {
        let Desk { parts, company, .. } = self.desk;
        let waited = job.waited.clone();
        let work = async {
            // A job that may have taken workers down with it gets one to itself.
            if self.is_last() {
                let _alone = company.write().await;
                parts.workshop.compile(job).await
            } else {
                let _in_company = company.read().await;
                parts.workshop.compile(job).await
            }
        };
        let mut work = pin!(timeout_at(self.deadline.instant(), work));
        let outcome = tokio::select! {
            biased;
            outcome = &mut work => outcome,
            () = parts.lifecycle.draining() => match waited.get() {
                None => return Attempt::Over(Verdict::Back(Duration::ZERO)),
                Some(_) => work.await,
            },
        };
        if let Some(work) = waited.work(self.begun) {
            let _the_first_slot_counts = self.notes.work.set(work);
        }
        match outcome {
            Ok(Ok(answer)) => Attempt::Made(answer),
            Ok(Err(Failure { class, message, retry_after })) => match class {
                Class::Malformed | Class::Unknown | Class::TooLarge => Attempt::Refused(message),
                Class::Busy | Class::Expired => Attempt::Again(retry_after.unwrap_or(REST).min(REST)),
                Class::Draining => Attempt::Over(Verdict::Back(Duration::ZERO)),
                Class::Upstream | Class::Internal => Attempt::Failed(message),
            },
            Err(_) => Attempt::Over(Verdict::Done(JobStatus::Stale)),
        }
    }

    /// How long the queue made the message wait. Of one that was received before nobody knows: its age counts what was
    /// tried before too, and routers take this figure for the queue's backlog.
    fn queued(&self) -> Option<Duration> {
        (self.received.receives == 1).then_some(self.received.age)
    }

    /// Whether this is the last time the job is tried.
    fn is_last(&self) -> bool {
        self.received.receives >= self.desk.parts.settings.attempts
    }

    fn made(&self, answer: Answer) -> Made {
        self.notes.cached.store(answer.cached, Ordering::Relaxed);
        Made { body: answer.body, status: answer.status, took: self.begun.elapsed() }
    }

    /// An error as the job's result.
    async fn tell(&self, id: RequestId, message: &str, status: JobStatus) -> Outcome {
        let sent = self.error(&id, message, status).await;
        Outcome::Offer(id, sent)
    }

    /// What a failure of ours leads to: another worker may do better, unless this was the last try.
    async fn failed(&self, id: RequestId, message: String) -> Outcome {
        tracing::warn!(
            request.id = %id,
            trace.id = self.job(&id).trace(),
            error = message,
            "a job failed through no fault of its own"
        );
        if self.is_last() { self.give_up(id, message).await } else { Outcome::Over(Verdict::Back(REST)) }
    }

    /// Tells whoever waits, and puts the message aside.
    async fn give_up(&self, id: RequestId, message: String) -> Outcome {
        let sent = self.error(&id, &message, JobStatus::InfraError).await;
        Outcome::Hopeless(id, sent, message)
    }

    async fn error(&self, id: &RequestId, message: &str, status: JobStatus) -> Sent {
        let made = Made::failed(message, status, self.begun.elapsed());
        self.desk.frame(self.job(id), &made, self.queued(), self.deadline).await
    }

    /// Tells the queue what is to become of the message, again if it does not hear. What it never hears of comes back.
    async fn settle(&self, verdict: Verdict, id: Option<&RequestId>) -> Verdict {
        for attempt in 1..=SETTLING {
            match self.tell_queue(&verdict, id).await {
                Ok(()) => return verdict,
                Err(QueueError::Void { .. }) => return Verdict::Lost,
                Err(error) => {
                    tracing::warn!(
                        request.id = id.map(RequestId::as_str),
                        trace.id = trace_of(self.traced),
                        outcome = verdict.as_str(),
                        attempt,
                        error = &error as &dyn std::error::Error,
                        "could not settle a message"
                    );
                    sleep(REST).await;
                }
            }
        }
        Verdict::Lost
    }

    async fn tell_queue(&self, verdict: &Verdict, id: Option<&RequestId>) -> Result<(), QueueError> {
        let Parts { source, settings, sink, .. } = &self.desk.parts;
        match verdict {
            Verdict::Lost => return Ok(()),
            Verdict::Back(after) => return source.hide(self.received.receipt.clone(), *after).await,
            Verdict::Buried(reason) => {
                let buried = match &settings.dead_letters {
                    Some(graveyard) => sink.send(graveyard, self.dead_letter(reason)).await,
                    None => Err(QueueError::Absent { queue: settings.queue.clone() }),
                };
                match buried {
                    Err(error @ QueueError::Unreachable { .. }) => return Err(error),
                    Err(_) => tracing::error!(
                        request.id = id.map(RequestId::as_str),
                        trace.id = trace_of(self.traced),
                        reason,
                        "a message is deleted that no worker can do"
                    ),
                    Ok(()) => {}
                }
            }
            Verdict::Done(_) | Verdict::Unclaimed(_) | Verdict::Regrouped => {}
        }
        let planted = |planted: Planted| QueueError::Unreachable {
            act: "delete",
            queue: settings.queue.clone(),
            source: planted.into(),
        };
        reach(Point::Acknowledged).await.map_err(planted)?;
        let deleting = source.delete(vec![self.received.receipt.clone()]);
        let void = amid(Point::Deleting, deleting).await.map_err(planted)??;
        if void.is_empty() { Ok(()) } else { Err(QueueError::Void { queue: settings.queue.clone() }) }
    }

    fn dead_letter(&self, reason: &str) -> Message {
        let mut message = self.received.message.clone();
        message.attributes.insert(REASON.to_owned(), reason.chars().take(LONGEST_REASON).collect());
        let left = self.deadline.remaining().as_millis().to_string();
        message.attributes.insert(REMAINING.to_owned(), left);
        // Sent again, should the deletion fail, it is the same letter. A job that was brought back from the dead letters
        // makes another one, however soon: the queue would drop a repeat, and the job with it.
        let mut name = blake3::Hasher::new();
        name.update(self.received.id.as_bytes()).update(b"\n").update(message.body.as_bytes());
        message.dedup = Some(format!("dead:{}", name.finalize()));
        message.group.get_or_insert_with(|| "dead".to_owned());
        message
    }
}

/// What a message comes to, its delivery aside.
enum Outcome {
    /// This is to be delivered.
    Offer(RequestId, Sent),
    /// The same, and then the message is to be put aside.
    Hopeless(RequestId, Sent, String),
    /// Nothing is.
    Over(Verdict),
}

/// Why a job has no result.
enum Unmade {
    /// We failed.
    Failed(String),
    /// It is over for this message.
    Over(Verdict),
}

impl From<Planted> for Unmade {
    fn from(planted: Planted) -> Self {
        Self::Failed(planted.to_string())
    }
}

/// How one try went.
enum Attempt {
    /// There is an answer.
    Made(Answer),
    /// The request cannot be done, here or anywhere, for the reason given.
    Refused(String),
    /// We failed.
    Failed(String),
    /// It is over for this message.
    Over(Verdict),
    /// There was no room; to be tried again after a while.
    Again(Duration),
}

/// Whom a message names as its own, if it could be read that far.
fn name(read: &Result<Incoming, EnvelopeError>) -> Option<&RequestId> {
    match read {
        Ok(Incoming::Job(job)) => Some(&job.id),
        Ok(Incoming::Parked(parked)) => Some(&parked.id),
        Err(error) => error.id.as_ref(),
    }
}

/// The closing event. Never the source, never the arguments.
fn close(settled: &Settled) {
    tracing::info!(
        request.id = settled.id.as_ref().map(RequestId::as_str),
        trace.id = trace_of(settled.traced),
        outcome = settled.outcome,
        job.status = settled.job.map(JobStatus::as_str),
        receives = settled.receives,
        queued_ms = settled.queued.as_millis(),
        duration_ms = settled.duration.as_secs_f64() * 1e3,
        "message settled"
    );
}
