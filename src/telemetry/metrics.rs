//! One declared table of metrics: the comment above each is its help text, and nothing is registered elsewhere.
//!
//! Names beginning with `ce_` are those that Compiler Explorer's own workers export, where the meaning is the same, so
//! that existing dashboards keep working. Every label comes from a closed set: never a compiler, a path or a request.
//! Numbers that somebody else already keeps (slots, tasks, phase) are copied here on scrape.

use std::fmt::{self, Write as _};
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::domain::ids::LanguageId;
use crate::domain::result::JobStatus;
use crate::telemetry::process::Process;
use crate::telemetry::recent::Recent;

/// A gauge of a quantity that is not a whole number.
pub type Fraction = Gauge<f64, AtomicU64>;

/// `language`: from the catalogue, never from a request that named no known compiler.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByLanguage {
    /// The compiler's language.
    pub language: Language,
}

/// A language as a label value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Language(pub LanguageId);

/// `status`: how a job ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByStatus {
    /// The job's status.
    pub status: Status,
}

/// A job's status as a label value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Status(pub JobStatus);

/// `route`, `code`: one kind of HTTP reply.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByReply {
    /// The matched route as the router spells it; what matched none shares one name.
    pub route: &'static str,
    /// The status sent.
    pub code: u16,
}

/// `result`, `name`, `type`: one kind of cache lookup.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByLookup {
    /// What the lookup found.
    pub result: Lookup,
    /// Which cache.
    pub name: &'static str,
    /// Where it lives: `memory`.
    pub r#type: &'static str,
}

/// What a cache lookup found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lookup {
    /// It was there.
    Hit,
    /// It was not.
    Miss,
}

/// `type`, `name`: one cache.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByCache {
    /// Where it lives: `memory`.
    pub r#type: &'static str,
    /// Which cache.
    pub name: &'static str,
}

/// `step`: what the jail was doing when it failed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByStep {
    /// The step, as the jail names it.
    pub step: &'static str,
}

/// `outcome`: what became of a message.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByOutcome {
    /// `done`, `unclaimed`, `regrouped`, `back`, `buried` or `lost`.
    pub outcome: &'static str,
}

/// `outcome`: how a look into the routing table ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByLook {
    /// `found`, `absent`, `malformed` or `unreachable`.
    pub outcome: &'static str,
}

/// `verdict`: what a comparison with a second service showed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByVerdict {
    /// `same`, `different` or `failed`.
    pub verdict: &'static str,
}

/// `what`: in what two answers differed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByDifference {
    /// As the comparison names it, such as `assembly` or `stderr`.
    pub what: &'static str,
}

/// `allowance`: what an instance has an allowance for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByAllowance {
    /// One of [`ALLOWANCES`](crate::telemetry::network::ALLOWANCES).
    pub allowance: &'static str,
}

/// `task`: one name of tracked task.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByTask {
    /// The name it was spawned with.
    pub task: &'static str,
}

/// `reason`: why spans were dropped.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByReason {
    /// `overflow`, `refused`, `unreachable` or `end`.
    pub reason: &'static str,
}

/// `cause`: why something does not happen.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByCause {
    /// One of the causes of a pause.
    pub cause: &'static str,
}

/// `phase`: one phase of the process's life.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByPhase {
    /// The phase.
    pub phase: &'static str,
}

/// Compile durations and queue times: the buckets that existing dashboards expect, in seconds.
const COMPILE_BUCKETS: [f64; 7] = [0.1, 0.5, 1.0, 5.0, 10.0, 20.0, 30.0];
/// Starting a jail takes about a millisecond; the slow end shows a machine in trouble. In seconds.
const START_BUCKETS: [f64; 9] = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5];
/// From a remembered answer to the longest held request, in seconds: closest where compiles end, because no percentile can
/// be told more exactly than this.
const REQUEST_BUCKETS: [f64; 23] = [
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 7.5, 10.0,
    15.0, 20.0, 30.0, 45.0, 60.0,
];
/// The names of routes that are no use of the API: balancers and operators ask there, or nothing is there at all.
pub const UPKEEP_ROUTES: [&str; 6] =
    ["healthcheck", "health", "health_live", "health_ready", "clear_cache", "none"];

macro_rules! metrics {
    ($( #[doc = $help:literal] $field:ident: $kind:ty = $name:literal $(in $unit:ident)? $(with $make:expr)?; )+) => {
        /// Every metric of the process. Fields are public: whoever does the deed counts it.
        #[derive(Debug)]
        pub struct Metrics {
            registry: Registry,
            /// What the status page shows beside them.
            pub recent: Recent,
            $( #[doc = $help] pub $field: $kind, )+
        }

        impl Metrics {
            /// Every metric at zero.
            pub fn new() -> Self {
                let mut registry = Registry::default();
                $(
                    let $field: $kind = metrics!(@make $($make)?);
                    metrics!(@register registry, $field, $name, $help $(, $unit)?);
                )+
                registry.register_collector(Box::new(Process));
                Self { registry, recent: Recent::default(), $( $field, )+ }
            }

            /// Name, help and unit of every declared metric, in order.
            pub const DECLARED: &'static [(&'static str, &'static str, Option<&'static str>)] =
                &[$( ($name, $help, metrics!(@unit $($unit)?)), )+];
        }
    };
    (@make) => { Default::default() };
    (@make $make:expr) => { $make };
    (@unit) => { None };
    (@unit $unit:ident) => { Some(stringify!($unit)) };
    (@register $registry:ident, $field:ident, $name:literal, $help:literal) => {
        $registry.register($name, $help.trim().trim_end_matches('.'), $field.clone())
    };
    (@register $registry:ident, $field:ident, $name:literal, $help:literal, $unit:ident) => {
        $registry.register_with_unit($name, $help.trim().trim_end_matches('.'), Unit::$unit, $field.clone())
    };
}

metrics! {
    /// Compilations asked for, whether computed or remembered.
    compilations: Family<ByLanguage, Counter> = "ce_compilations";
    /// Jobs that asked for a slot.
    queue_enqueued: Counter = "ce_compilation_queue_enqueued";
    /// Jobs that got a slot.
    queue_dequeued: Counter = "ce_compilation_queue_dequeued";
    /// Jobs that gave their slot back.
    queue_completed: Counter = "ce_compilation_queue_completed";
    /// Jobs dropped because they waited too long for a slot.
    queue_stale: Counter = "ce_compilation_queue_stale";
    /// Cache lookups.
    cache_get: Family<ByLookup, Counter> = "ce_cache_get";
    /// Entries put into a cache.
    cache_put: Family<ByCache, Counter> = "ce_cache_put";
    /// Wall time of compiles that ran, without the wait for a slot.
    compilation_duration: Histogram = "ce_base_compiler_compilation_duration" in Seconds
        with Histogram::new(COMPILE_BUCKETS);
    /// Time compiles waited for a slot.
    compilation_queue: Histogram = "ce_base_compiler_compilation_queue" in Seconds
        with Histogram::new(COMPILE_BUCKETS);
    /// Time from the start of the process to its readiness.
    startup: Fraction = "ce_startup" in Seconds;
    /// Jobs that ended, by how they ended.
    jobs: Family<ByStatus, Counter> = "compile_jobs";
    /// HTTP replies, by route and status.
    http_requests: Family<ByReply, Counter> = "http_requests";
    /// Time from the arrival of a request's head to the end of its reply, where it was for the API.
    http_duration: Histogram = "http_request_duration" in Seconds with Histogram::new(REQUEST_BUCKETS);
    /// HTTP connections open now.
    http_connections: Gauge = "http_connections";
    /// Request bodies as they came, whatever became of the request.
    http_received: Counter = "http_received" in Bytes;
    /// Reply bodies as they went.
    http_sent: Counter = "http_sent" in Bytes;
    /// Time from asking for a jail to its program running.
    sandbox_start: Histogram = "sandbox_start" in Seconds with Histogram::new(START_BUCKETS);
    /// Jails that could not be built or watched, by the step that failed.
    jail_failures: Family<ByStep, Counter> = "jail_failures";
    /// Jobs whose output was cut at its limit.
    output_truncated: Counter = "output_truncated";
    /// Slots there are.
    slots: Gauge = "slots";
    /// Slots in use.
    slots_busy: Gauge = "slots_busy";
    /// Jobs waiting for a slot now.
    queue_waiting: Gauge = "queue_waiting";
    /// Slots in use and jobs waiting, in percent of all slots.
    saturation: Fraction = "saturation";
    /// Memory the result caches hold.
    cache_size: Gauge = "cache_size" in Bytes;
    /// Compilers in the current catalogue.
    catalogue_compilers: Gauge = "catalogue_compilers";
    /// Entries of the current catalogue that were skipped as broken.
    catalogue_problems: Gauge = "catalogue_problems";
    /// Catalogue reloads that failed and kept the old one.
    catalogue_reload_failures: Counter = "catalogue_reload_failures";
    /// Looks into the routing table, by how they ended.
    routing_lookups: Family<ByLook, Counter> = "routing_lookups";
    /// Decisions that rest on a row which the table would not give again.
    routing_stale: Counter = "routing_stale";
    /// Looks at the live color that failed.
    routing_color_failures: Counter = "routing_color_failures";
    /// Messages of the job queue, by what became of them.
    queue_messages: Family<ByOutcome, Counter> = "queue_messages";
    /// How long messages had been in the job queue when they were received.
    queue_messages_age: Histogram = "queue_messages_age" in Seconds with Histogram::new(REQUEST_BUCKETS);
    /// Connections to the events hub that stand.
    events_connections: Gauge = "events_connections";
    /// Results waited for from the events hub.
    events_subscriptions: Gauge = "events_subscriptions";
    /// Results offered to the events hub and not acknowledged.
    events_offers: Gauge = "events_offers";
    /// Memory of the results offered.
    events_offers_size: Gauge = "events_offers_size" in Bytes;
    /// Connections to the events hub that came to stand.
    events_connected: Counter = "events_connections_made";
    /// Results sent again, because no receipt came.
    events_repeats: Counter = "events_results_repeated";
    /// Results that the events hub found too large.
    events_refused: Counter = "events_results_refused";
    /// Texts from the events hub that were none of ours.
    events_garbage: Counter = "events_texts_unknown";
    /// Results that came when nobody waited for them.
    events_early: Counter = "events_results_early";
    /// Requests that a second service was asked too, by what the comparison showed.
    shadow_comparisons: Family<ByVerdict, Counter> = "shadow_comparisons";
    /// Places in which the second service's answers differed.
    shadow_differences: Family<ByDifference, Counter> = "shadow_differences";
    /// Requests that a second service was to be asked too, and for which there was no room.
    shadow_passed_over: Counter = "shadow_passed_over";
    /// Our own time for the requests that were compared, from their last byte to the reply; none that was remembered.
    shadow_ours: Histogram = "shadow_ours" in Seconds with Histogram::new(REQUEST_BUCKETS);
    /// The second service's time for the same requests, the way there and back included.
    shadow_theirs: Histogram = "shadow_theirs" in Seconds with Histogram::new(REQUEST_BUCKETS);
    /// Spans that the collector of traces has taken.
    spans_exported: Counter = "trace_spans_exported";
    /// Spans that were dropped: there was no room, the collector refused or did not answer, or the process ended.
    spans_dropped: Family<ByReason, Counter> = "trace_spans_dropped";
    /// Tracked tasks alive.
    tasks: Family<ByTask, Gauge> = "tasks";
    /// Tracked tasks that ended by a panic.
    task_panics: Gauge = "task_panics";
    /// Packets that were queued or dropped because the instance had used up an allowance, since the process started.
    ena_exceeded: Family<ByAllowance, Counter> = "ena_allowance_exceeded";
    /// Time since the process started.
    uptime: Gauge = "uptime" in Seconds;
    /// 1 for the phase the process is in, 0 for the others.
    phase: Family<ByPhase, Gauge> = "phase";
    /// 1 while anything may still come from the queue, 0 once nothing does; without a queue, whether it would be taken.
    consuming: Gauge = "consuming";
    /// 1 for each cause why nothing is to be taken from the queue, 0 for the others.
    paused: Family<ByCause, Gauge> = "paused";
    /// Log lines dropped because the reader of standard error was too slow.
    log_dropped: Gauge = "log_dropped_lines";
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Every metric as text, for a scrape.
    pub fn render(&self) -> String {
        // Room for about a hundred series, so that a scrape allocates once.
        let mut page = String::with_capacity(16 * 1024);
        // Writing to a String cannot fail; an encoder that did would leave a page without its closing line.
        if let Err(error) = text::encode(&mut page, &self.registry) {
            tracing::error!(error = %error, "could not render the metrics");
        }
        page
    }

    /// Counts a compilation asked for.
    pub fn count_compilation(&self, language: &LanguageId) {
        self.compilations.get_or_create(&ByLanguage { language: Language(language.clone()) }).inc();
    }

    /// Counts the end of a job.
    pub fn count_job(&self, status: JobStatus) {
        self.jobs.get_or_create(&ByStatus { status: Status(status) }).inc();
    }

    /// Counts a lookup in the memory cache `name`.
    pub fn count_lookup(&self, name: &'static str, result: Lookup) {
        self.cache_get.get_or_create(&ByLookup { result, name, r#type: "memory" }).inc();
    }

    /// Counts an entry put into the memory cache `name`.
    pub fn count_put(&self, name: &'static str) {
        self.cache_put.get_or_create(&ByCache { r#type: "memory", name }).inc();
    }

    /// Counts an HTTP reply that took so long.
    pub fn count_reply(&self, route: &'static str, code: u16, took: Duration) {
        self.http_requests.get_or_create(&ByReply { route, code }).inc();
        if !UPKEEP_ROUTES.contains(&route) {
            self.http_duration.observe(took.as_secs_f64());
        }
    }

    /// Counts a compile that ran for so long.
    pub fn count_compile(&self, wall: Duration) {
        self.compilation_duration.observe(wall.as_secs_f64());
        self.recent.compiled(wall);
    }

    /// Lookups in the memory cache `name` that found this.
    pub fn lookups(&self, name: &'static str, result: Lookup) -> u64 {
        let series = ByLookup { result, name, r#type: "memory" };
        self.cache_get.get(&series).map_or(0, |counter| counter.get())
    }

    /// Messages of the job queue of which this became.
    pub fn messages(&self, outcome: &'static str) -> u64 {
        self.queue_messages.get(&ByOutcome { outcome }).map_or(0, |counter| counter.get())
    }

    /// Looks into the routing table that ended so.
    pub fn looks(&self, outcome: &'static str) -> u64 {
        self.routing_lookups.get(&ByLook { outcome }).map_or(0, |counter| counter.get())
    }

    /// Counts a jail that failed at `step`.
    pub fn count_jail_failure(&self, step: &'static str) {
        self.jail_failures.get_or_create(&ByStep { step }).inc();
        self.recent.jail_failed();
    }

    /// Counts what became of a message of the job queue that was so old when it was received.
    pub fn count_message(&self, outcome: &'static str, age: Duration) {
        self.queue_messages.get_or_create(&ByOutcome { outcome }).inc();
        self.queue_messages_age.observe(age.as_secs_f64());
    }

    /// Counts a look into the routing table.
    pub fn count_look(&self, outcome: &'static str) {
        self.routing_lookups.get_or_create(&ByLook { outcome }).inc();
    }

    /// Counts a comparison with a second service; the places in which it differed; and, if both made their answers for this
    /// request, what we took and what it took.
    pub fn count_comparison(
        &self,
        verdict: &'static str,
        differences: impl IntoIterator<Item = &'static str>,
        times: Option<[Duration; 2]>,
    ) {
        for what in differences {
            self.shadow_differences.get_or_create(&ByDifference { what }).inc();
        }
        if let Some([ours, theirs]) = times {
            self.shadow_ours.observe(ours.as_secs_f64());
            self.shadow_theirs.observe(theirs.as_secs_f64());
        }
        // Last: whoever sees the comparison sees all of it.
        self.shadow_comparisons.get_or_create(&ByVerdict { verdict }).inc();
    }

    /// Counts that an allowance of the instance was exceeded so many times more.
    pub fn count_exceeded(&self, allowance: &'static str, more: u64) {
        self.ena_exceeded.get_or_create(&ByAllowance { allowance }).inc_by(more);
    }

    /// Counts spans that were dropped.
    pub fn count_dropped(&self, reason: &'static str, spans: usize) {
        self.spans_dropped.get_or_create(&ByReason { reason }).inc_by(spans as u64);
    }

    /// Sets the gauge of one name of task.
    pub fn set_tasks(&self, task: &'static str, alive: u64) {
        self.tasks.get_or_create(&ByTask { task }).set(i64::try_from(alive).unwrap_or(i64::MAX));
    }

    /// Says whether `cause` keeps us from taking jobs.
    pub fn set_paused(&self, cause: &'static str, holds: bool) {
        self.paused.get_or_create(&ByCause { cause }).set(i64::from(holds));
    }

    /// Marks `current` among `all` phases.
    pub fn set_phase(&self, all: impl IntoIterator<Item = &'static str>, current: &'static str) {
        for phase in all {
            self.phase.get_or_create(&ByPhase { phase }).set(i64::from(phase == current));
        }
    }
}

impl EncodeLabelValue for Language {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        encoder.write_str(self.0.as_str())
    }
}

impl EncodeLabelValue for Status {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        encoder.write_str(self.0.as_str())
    }
}

impl EncodeLabelValue for Lookup {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        encoder.write_str(match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn used() -> Metrics {
        let metrics = Metrics::new();
        metrics.count_compilation(&LanguageId::parse("c++").unwrap());
        metrics.count_job(JobStatus::Oom);
        metrics.count_lookup("default", Lookup::Hit);
        metrics.count_put("default");
        metrics.count_reply("healthcheck", 200, Duration::from_millis(1));
        metrics.count_reply("compile", 200, Duration::from_millis(400));
        metrics.count_jail_failure("mount");
        metrics.count_look("absent");
        metrics.count_message("done", Duration::from_millis(20));
        metrics.count_comparison("different", ["assembly"], Some([Duration::from_millis(20); 2]));
        metrics.count_exceeded("pps", 3);
        metrics.count_dropped("overflow", 2);
        metrics.set_tasks("http connection", 3);
        metrics.set_phase(["starting", "serving"], "serving");
        metrics.set_paused("operator", true);
        metrics.compilation_duration.observe(0.2);
        metrics
    }

    #[test]
    fn names_that_dashboards_know() {
        let page = used().render();
        for line in [
            r#"ce_compilations_total{language="c++"} 1"#,
            "ce_compilation_queue_enqueued_total 0",
            "ce_compilation_queue_dequeued_total 0",
            "ce_compilation_queue_completed_total 0",
            "ce_compilation_queue_stale_total 0",
            r#"ce_cache_get_total{result="hit",name="default",type="memory"} 1"#,
            r#"ce_cache_put_total{type="memory",name="default"} 1"#,
            r#"ce_base_compiler_compilation_duration_seconds_bucket{le="0.1"} 0"#,
            r#"ce_base_compiler_compilation_duration_seconds_bucket{le="0.5"} 1"#,
            r#"ce_base_compiler_compilation_queue_seconds_bucket{le="30.0"} 0"#,
            "ce_startup_seconds 0.0",
            r#"compile_jobs_total{status="oom"} 1"#,
            r#"http_requests_total{route="healthcheck",code="200"} 1"#,
            "http_request_duration_seconds_count 1",
            r#"jail_failures_total{step="mount"} 1"#,
            r#"routing_lookups_total{outcome="absent"} 1"#,
            r#"ena_allowance_exceeded_total{allowance="pps"} 3"#,
            "trace_spans_exported_total 0",
            r#"trace_spans_dropped_total{reason="overflow"} 2"#,
            r#"tasks{task="http connection"} 3"#,
            "http_received_bytes_total 0",
            "uptime_seconds 0",
            r#"phase{phase="serving"} 1"#,
            r#"phase{phase="starting"} 0"#,
            r#"paused{cause="operator"} 1"#,
            "sandbox_start_seconds_count 0",
        ] {
            assert!(page.lines().any(|have| have == line), "no {line} in\n{page}");
        }
        for series in ["process_resident_memory_bytes ", "process_threads ", "process_open_fds "] {
            let value = page.lines().find_map(|line| line.strip_prefix(series)).unwrap();
            assert!(value.parse::<u64>().unwrap() > 0, "{series}{value}");
        }
        assert!(page.ends_with("# EOF\n"));
    }

    #[test]
    fn every_metric_is_declared_once_with_help_and_unit() {
        let page = used().render();
        let mut families = HashMap::new();
        for line in page.lines().filter_map(|line| line.strip_prefix("# HELP ")) {
            let (name, help) = line.split_once(' ').unwrap();
            assert!(help.len() > 10, "{name} has no help worth the name: {help:?}");
            assert_eq!(families.insert(name.to_owned(), help), None, "{name} is registered twice");
        }
        for (name, help, unit) in Metrics::DECLARED {
            assert!(help.trim().ends_with('.'), "the help of {name} is not a sentence: {help:?}");
            let unit = unit.map(str::to_lowercase);
            let full = unit.as_ref().map_or_else(|| (*name).to_owned(), |unit| format!("{name}_{unit}"));
            assert!(families.contains_key(&full), "{full} is declared and not rendered");
            if let Some(unit) = unit {
                assert!(page.contains(&format!("# UNIT {full} {unit}\n")), "{full} does not state its unit");
            }
        }
        for (name, _) in families {
            let base_unit = ["_seconds", "_bytes"].iter().any(|unit| name.ends_with(unit));
            assert_eq!(page.contains(&format!("# UNIT {name} ")), base_unit, "{name} and its unit disagree");
            assert!(
                !["_ms", "_millis", "_kb", "_mb"].iter().any(|unit| name.ends_with(unit)),
                "{name}: base units only"
            );
        }
    }
}
