//! What the operator sees of a worker: the document behind the page, at `GET /admin/status`.
//!
//! Its members are called as the metrics are, with the unit at the end. It tells of this process alone; of a source, a
//! header or an address it tells nothing. What a caller has chosen, names of compilers and of requests, is cut to
//! [`LONGEST_ID`](crate::domain::ids::LONGEST_ID) bytes and is text wherever it stands.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::domain::result::JobStatus;
use crate::lifecycle::{Census, Phase};
use crate::telemetry::history::{Figures, Sample};
use crate::telemetry::recent::{Entry, Way};

/// Compilers that the document names; of more it tells the number.
pub const MOST_NAMED: usize = 100;

/// The whole document.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// What to make of it all, in one word: `starting`, `serving`, `paused`, `trouble`, `draining`,
    /// `killing` or `stopped`.
    pub state: &'static str,
    /// What is wrong, in words, the worst first.
    pub problems: Vec<Problem>,
    /// What can be told at a moment.
    #[serde(flatten)]
    pub now: Now,
    /// The last requests, the latest first.
    pub recent: Vec<Request>,
    /// The last quarter of an hour.
    pub history: Past,
}

/// What can be told of a worker at a moment.
#[derive(Debug, Clone, Serialize)]
pub struct Now {
    /// The program's version.
    pub version: &'static str,
    /// What this machine is called.
    pub instance: String,
    /// The time here, in UTC.
    pub time: String,
    /// Whole seconds since the start.
    pub uptime_seconds: u64,
    /// Where in its life the process is.
    pub phase: Phase,
    /// Whether anything may still come from its queue; without one, whether it would be taken.
    pub consuming: bool,
    /// Why it is to take nothing from its queue, if it is not although it serves.
    pub paused_by: Vec<&'static str>,
    /// Why it cannot do its main job, if it cannot.
    pub trouble: Option<String>,
    /// Whether requests for compilers that are not here can be answered elsewhere.
    pub has_fleet: bool,
    /// Room to compile.
    pub slots: Slots,
    /// The last minute.
    pub lately: Figures,
    /// HTTP connections open.
    pub http_connections: u64,
    /// The process.
    pub process: Process,
    /// What is remembered, by the cache's name.
    pub caches: BTreeMap<&'static str, Cache>,
    /// What can be compiled with.
    pub compilers: Compilers,
    /// Where jobs come from, if a queue is ours.
    pub queue: Option<Queue>,
    /// The way to the events hub, if there is one.
    pub hub: Option<Hub>,
    /// Looks into the routing table since the start, by how they ended; without a fleet there are none.
    pub routing: BTreeMap<&'static str, u64>,
    /// Tasks, by name.
    pub tasks: BTreeMap<&'static str, Census>,
}

/// How grave a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// It does not do its job, or not all of it.
    Trouble,
    /// It does, and somebody should look.
    Warning,
    /// As it should be, and worth knowing.
    Note,
}

/// Something that is wrong, or worth knowing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// How grave it is.
    pub level: Level,
    /// What it is.
    pub text: String,
}

/// Room to compile.
#[derive(Debug, Clone, Serialize)]
pub struct Slots {
    /// Jobs that may run at once.
    pub total: usize,
    /// Jobs that run.
    pub busy: usize,
    /// Requests that wait.
    pub waiting: usize,
    /// Requests that may wait.
    pub wait_limit: usize,
    /// Whole seconds for which the oldest job has run.
    pub oldest_job_seconds: Option<u64>,
}

/// The process.
#[derive(Debug, Clone, Serialize)]
pub struct Process {
    /// Its memory.
    pub resident_bytes: u64,
    /// Its threads.
    pub threads: u64,
    /// Log lines dropped because their reader was too slow.
    pub log_dropped_lines: u64,
}

/// One cache.
#[derive(Debug, Clone, Serialize)]
pub struct Cache {
    /// Lookups that found something, since the start.
    pub hits: u64,
    /// Lookups that did not.
    pub misses: u64,
    /// What it holds.
    pub size_bytes: u64,
}

/// What can be compiled with.
#[derive(Debug, Clone, Serialize)]
pub struct Compilers {
    /// Compilers in the catalogue.
    pub total: usize,
    /// Entries of the catalogue that were skipped as broken.
    pub problems: u64,
    /// Reloads that failed and kept the old catalogue, since the start.
    pub reload_failures: u64,
    /// The first [`MOST_NAMED`] of them.
    pub named: Vec<Compiler>,
}

/// One compiler.
#[derive(Debug, Clone, Serialize)]
pub struct Compiler {
    /// Its name in URLs.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// Its language.
    pub language: String,
}

/// The queue that is ours.
#[derive(Debug, Clone, Serialize)]
pub struct Queue {
    /// Its name or URL.
    pub name: String,
    /// Its messages since the start, by what became of them.
    pub messages: BTreeMap<&'static str, u64>,
}

/// The way to the events hub.
#[derive(Debug, Clone, Serialize)]
pub struct Hub {
    /// Connections that stand.
    pub connections: usize,
    /// Results waited for.
    pub subscriptions: usize,
    /// Results offered and not acknowledged.
    pub offers: usize,
    /// Their bytes.
    pub offers_bytes: usize,
    /// Connections that came to stand since the start.
    pub connections_made: u64,
    /// Results sent again since the start.
    pub results_repeated: u64,
}

/// One of the last requests.
#[derive(Debug, Clone, Serialize)]
pub struct Request {
    /// When it was over, in UTC.
    pub time: String,
    /// Through which door it came.
    pub door: Way,
    /// Its route; of a message, what became of it.
    pub route: &'static str,
    /// The compiler, as the caller called it.
    pub compiler: Option<String>,
    /// What it is called.
    pub id: Option<String>,
    /// The status of an HTTP reply; 499 if the caller left before it.
    pub status: Option<u16>,
    /// How the job ended, where there was one.
    pub job: Option<&'static str>,
    /// Whether the answer was remembered.
    pub cached: bool,
    /// How long it waited for a slot, if it needed one.
    pub waited_ms: Option<f64>,
    /// How long it had been in the queue, if it came from there.
    pub queued_ms: Option<f64>,
    /// From its arrival to its end.
    pub duration_ms: f64,
}

/// Samples, oldest first.
#[derive(Debug, Clone, Serialize)]
pub struct Past {
    /// Seconds from one to the next, unless the machine was too busy.
    pub period_seconds: u64,
    /// Samples that are kept.
    pub most: usize,
    /// The samples.
    pub samples: Vec<Sample>,
}

impl Status {
    /// The document, with what there is to say of it.
    pub fn new(now: Now, recent: Vec<Request>, history: Past) -> Self {
        let problems = now.problems();
        let state = match now.phase {
            Phase::Serving if problems.iter().any(|problem| problem.level == Level::Trouble) => "trouble",
            Phase::Serving if !now.paused_by.is_empty() => "paused",
            phase => phase.as_str(),
        };
        Self { state, problems, now, recent, history }
    }
}

impl From<Entry> for Request {
    fn from(entry: Entry) -> Self {
        let millis = |time: std::time::Duration| (time.as_secs_f64() * 1e6).round() / 1e3;
        Self {
            time: format!("{:.3}", entry.ended),
            door: entry.way,
            route: entry.route,
            compiler: entry.compiler,
            id: entry.id.map(|id| id.as_str().to_owned()),
            status: entry.status,
            job: entry.job.map(JobStatus::as_str),
            cached: entry.cached,
            waited_ms: entry.waited.map(millis),
            queued_ms: entry.queued.map(millis),
            duration_ms: millis(entry.duration),
        }
    }
}
