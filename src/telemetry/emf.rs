//! CloudWatch's rendering of the metrics: one JSON event a period in embedded metric format.
//!
//! Nothing is counted for it. [`PUBLISHED`] says which of the registry's series become which of CloudWatch's metrics; a
//! [`Reading`] has their values at one moment, and an event tells what has come since another. Names, units and limits
//! are those of Amazon's "Specification: Embedded metric format".

use std::collections::BTreeMap;

use serde::Serialize;

use crate::telemetry::metrics::UPKEEP_ROUTES;
use crate::telemetry::samples::{Sample, Samples};

/// The namespace of every metric.
pub const NAMESPACE: &str = "CompilationWorker";
/// The one dimension of every metric: the fleet's name.
pub const DIMENSION: &str = "Fleet";
/// Most metrics of one directive.
pub const MOST_METRICS: usize = 100;
/// Most values of one metric.
pub const MOST_VALUES: usize = 100;
/// Longest line that the CloudWatch agent reads, in bytes: what its scanner of lines holds. CloudWatch would take more.
pub const LARGEST_EVENT: usize = 64 * 1024;
/// Longest value of a dimension, name of a group and name of a stream that we send; the services take 512 at least.
const LONGEST_NAME: usize = 512;
/// Seconds between two values of a metric as CloudWatch keeps them: its standard resolution.
const RESOLUTION: u32 = 60;

/// A unit as CloudWatch spells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub enum Unit {
    /// A number of something.
    Count,
    /// Time.
    Seconds,
    /// Memory, traffic.
    Bytes,
    /// A share of a hundred.
    Percent,
}

/// How a metric comes from its series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A counter: what came since the last event.
    Rise,
    /// A gauge: what it is now.
    Level,
    /// A histogram: how often each value came since the last event. A bucket's value is its upper bound, so that no
    /// percentile looks better than it was; that of the open one is twice the bound below it.
    Spread,
}

/// One metric in CloudWatch.
#[derive(Debug, Clone, Copy)]
pub struct Published {
    /// Its name there.
    pub name: &'static str,
    /// Its unit there.
    pub unit: Unit,
    /// How it is made.
    pub kind: Kind,
    /// The series it comes from, added up over their labels; of a histogram, without `_bucket`.
    pub series: &'static str,
    /// Whether there is such a series on some machines only. A counter that is everywhere, and of which nothing has been
    /// counted yet, is zero.
    pub optional: bool,
    /// Which of their samples.
    counts: fn(&Sample) -> bool,
}

/// Every metric there is in CloudWatch.
pub const PUBLISHED: &[Published] = &[
    rise("http_requests", Unit::Count, "http_requests_total", is_api),
    rise("http_errors", Unit::Count, "http_requests_total", |reply| {
        is_api(reply) && reply.label("code").starts_with('5')
    }),
    spread("http_request_duration_seconds", "http_request_duration_seconds"),
    level("http_connections", Unit::Count, "http_connections"),
    rise("bytes_in", Unit::Bytes, "http_received_bytes_total", all),
    rise("bytes_out", Unit::Bytes, "http_sent_bytes_total", all),
    rise("compile_jobs", Unit::Count, "compile_jobs_total", all),
    rise("infra_errors", Unit::Count, "compile_jobs_total", |job| job.label("status") == "infra_error"),
    spread("compilation_duration_seconds", "ce_base_compiler_compilation_duration_seconds"),
    spread("compilation_queue_seconds", "ce_base_compiler_compilation_queue_seconds"),
    rise("queue_messages", Unit::Count, "queue_messages_total", all),
    rise("queue_messages_buried", Unit::Count, "queue_messages_total", |message| {
        message.label("outcome") == "buried"
    }),
    spread("queue_messages_age_seconds", "queue_messages_age_seconds"),
    level("slots", Unit::Count, "slots"),
    level("slots_busy", Unit::Count, "slots_busy"),
    level("queue_waiting", Unit::Count, "queue_waiting"),
    level("saturation", Unit::Percent, "saturation"),
    rise("cache_hits", Unit::Count, "ce_cache_get_total", |lookup| lookup.label("result") == "hit"),
    rise("cache_misses", Unit::Count, "ce_cache_get_total", |lookup| lookup.label("result") == "miss"),
    rise("jail_failures", Unit::Count, "jail_failures_total", all),
    level("events_connections", Unit::Count, "events_connections"),
    if_any("ena_allowance_exceeded", "ena_allowance_exceeded_total", all),
    if_any("shadow_compared", "shadow_comparisons_total", |compared| compared.label("verdict") != "failed"),
    if_any("shadow_mismatched", "shadow_comparisons_total", |compared| {
        compared.label("verdict") == "different"
    }),
    level("process_resident_memory_bytes", Unit::Bytes, "process_resident_memory_bytes"),
    rise("task_panics", Unit::Count, "task_panics", all),
    rise("log_dropped_lines", Unit::Count, "log_dropped_lines", all),
];

const _: () = assert!(PUBLISHED.len() <= MOST_METRICS, "one directive holds them all");

const fn rise(
    name: &'static str,
    unit: Unit,
    series: &'static str,
    counts: fn(&Sample) -> bool,
) -> Published {
    Published { name, unit, kind: Kind::Rise, series, optional: false, counts }
}

const fn if_any(name: &'static str, series: &'static str, counts: fn(&Sample) -> bool) -> Published {
    Published { optional: true, ..rise(name, Unit::Count, series, counts) }
}

const fn level(name: &'static str, unit: Unit, series: &'static str) -> Published {
    Published { name, unit, kind: Kind::Level, series, optional: false, counts: all }
}

const fn spread(name: &'static str, series: &'static str) -> Published {
    Published { name, unit: Unit::Seconds, kind: Kind::Spread, series, optional: false, counts: all }
}

fn all(_: &Sample) -> bool {
    true
}

fn is_api(reply: &Sample) -> bool {
    !UPKEEP_ROUTES.contains(&reply.label("route"))
}

/// What stands beside the metrics of an event, and where it belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// The fleet's name.
    pub fleet: String,
    /// The group of logs that the event becomes part of.
    pub group: String,
    /// This machine's name, which its stream of logs has too.
    pub instance: String,
    /// The program's version.
    pub version: &'static str,
    /// Where in its life the process is.
    pub phase: &'static str,
    /// Whether anything may still come from its queue; without one, whether it would be taken.
    pub consuming: bool,
    /// How long it has been running, in whole seconds.
    pub uptime_seconds: u64,
    /// Now, in milliseconds since 1970.
    pub timestamp: i64,
}

/// The values of every metric at one moment, in the order of [`PUBLISHED`]. By default nothing has happened yet.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Reading(Vec<Option<Value>>);

/// One of them.
#[derive(Debug, Clone, PartialEq)]
enum Value {
    Number(f64),
    Histogram(Histogram),
}

/// A histogram, as its page has it.
#[derive(Debug, Clone, PartialEq, Default)]
struct Histogram {
    /// Each bucket's upper bound, and how many values are at most so large.
    buckets: Vec<(f64, f64)>,
    sum: f64,
}

/// A value in an event.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
enum Target {
    Number(f64),
    Spread(Spread),
}

/// Values and how often each came, in the one shape for it that CloudWatch reads.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Spread {
    values: Vec<f64>,
    counts: Vec<f64>,
    min: f64,
    max: f64,
    sum: f64,
    count: f64,
}

#[derive(Serialize)]
struct Event<'a> {
    #[serde(rename = "_aws")]
    aws: Aws<'a>,
    #[serde(rename = "Fleet")]
    fleet: String,
    instance: &'a str,
    version: &'a str,
    phase: &'a str,
    consuming: bool,
    uptime_seconds: u64,
    #[serde(flatten)]
    metrics: BTreeMap<&'static str, Target>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Aws<'a> {
    timestamp: i64,
    log_group_name: String,
    log_stream_name: &'a str,
    cloud_watch_metrics: [Directive; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Directive {
    namespace: &'static str,
    dimensions: [[&'static str; 1]; 1],
    metrics: Vec<Definition>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Definition {
    name: &'static str,
    unit: Unit,
    storage_resolution: u32,
}

impl Reading {
    /// The values that `samples` have.
    pub fn of(samples: &Samples) -> Self {
        Self(PUBLISHED.iter().map(|metric| metric.read(samples)).collect())
    }

    /// The event about what has come since another reading, as one line of JSON.
    pub fn event(&self, since: &Self, about: &About) -> Vec<u8> {
        let values = PUBLISHED.iter().zip(&self.0).enumerate();
        let (definitions, metrics) = values
            .filter_map(|(index, (metric, now))| {
                let before = since.0.get(index).and_then(Option::as_ref);
                let target = metric.target(now.as_ref()?, before)?;
                Some((metric.definition(), (metric.name, target)))
            })
            .unzip();
        let instance = name(&about.instance, |letter| !":*".contains(letter));
        let directive = Directive { namespace: NAMESPACE, dimensions: [[DIMENSION]], metrics: definitions };
        let event = Event {
            aws: Aws {
                timestamp: about.timestamp,
                log_group_name: name(&about.group, |letter| {
                    letter.is_ascii_alphanumeric() || "._-/#".contains(letter)
                }),
                log_stream_name: &instance,
                cloud_watch_metrics: [directive],
            },
            fleet: name(&about.fleet, |letter| letter.is_ascii_graphic() && letter != ':'),
            instance: &instance,
            version: about.version,
            phase: about.phase,
            consuming: about.consuming,
            uptime_seconds: about.uptime_seconds,
            metrics,
        };
        // Only a map with keys that are no strings could fail here.
        let mut line = serde_json::to_vec(&event).unwrap_or_default();
        line.push(b'\n');
        line
    }
}

impl Published {
    fn read(&self, samples: &Samples) -> Option<Value> {
        if self.kind == Kind::Spread {
            return Histogram::read(self.series, samples).map(Value::Histogram);
        }
        let mut found = samples.of(self.series).peekable();
        if found.peek().is_none() && (self.optional || self.kind == Kind::Level) {
            return None;
        }
        let counted = found.filter(|sample| (self.counts)(sample)).map(|sample| sample.value);
        // The sum of nothing would be -0, which reads oddly.
        Some(Value::Number(counted.fold(0.0, |sum, value| sum + value)))
    }

    /// What an event says, if it says anything.
    fn target(&self, now: &Value, before: Option<&Value>) -> Option<Target> {
        match (now, before) {
            (Value::Number(now), _) if self.kind == Kind::Level => number(*now),
            (Value::Number(now), Some(Value::Number(before))) => number((now - before).max(0.0)),
            (Value::Number(now), _) => number(now.max(0.0)),
            (Value::Histogram(now), Some(Value::Histogram(before))) => now.since(before).map(Target::Spread),
            (Value::Histogram(now), _) => now.since(&Histogram::default()).map(Target::Spread),
        }
    }

    fn definition(&self) -> Definition {
        Definition { name: self.name, unit: self.unit, storage_resolution: RESOLUTION }
    }
}

/// A number, unless it is none that JSON has.
fn number(value: f64) -> Option<Target> {
    value.is_finite().then_some(Target::Number(value))
}

impl Histogram {
    fn read(series: &str, samples: &Samples) -> Option<Self> {
        let (bucket, sum) = (format!("{series}_bucket"), format!("{series}_sum"));
        let bound = |sample: &Sample| sample.label("le").parse().ok();
        let buckets: Vec<(f64, f64)> =
            samples.of(&bucket).filter_map(|sample| Some((bound(sample)?, sample.value))).collect();
        let sum = samples.of(&sum).map(|sample| sample.value).sum();
        (!buckets.is_empty()).then_some(Self { buckets, sum })
    }

    /// What has come since `before`; nothing, if nothing has.
    fn since(&self, before: &Self) -> Option<Spread> {
        let (mut values, mut counts) = (Vec::new(), Vec::<f64>::new());
        let (mut below, mut counted) = (0.0, 0.0);
        for (index, (bound, now)) in self.buckets.iter().enumerate() {
            let earlier = before.buckets.get(index).map_or(0.0, |(_, earlier)| *earlier);
            let value = if bound.is_finite() { *bound } else { 2.0 * below };
            below = value;
            let up_to_here = (now - earlier).max(counted);
            let here = up_to_here - counted;
            if !(value.is_finite() && here.is_finite() && here > 0.0) {
                continue;
            }
            counted = up_to_here;
            if values.len() < MOST_VALUES {
                values.push(value);
                counts.push(here);
            } else if let (Some(last), Some(count)) = (values.last_mut(), counts.last_mut()) {
                *last = value;
                *count += here;
            }
        }
        let (min, max) = (values.iter().copied().reduce(f64::min)?, values.iter().copied().reduce(f64::max)?);
        let sum = Some(self.sum - before.sum).filter(|sum| sum.is_finite())?;
        Some(Spread { values, counts, min, max, sum, count: counted })
    }
}

/// The text with only such letters in it, not too long and not empty, so that no service refuses it.
fn name(text: &str, may: impl Fn(char) -> bool) -> String {
    let clean: String = text.chars().map(|letter| if may(letter) { letter } else { '-' }).collect();
    let end = clean.floor_char_boundary(LONGEST_NAME);
    if clean.is_empty() { "unknown".to_owned() } else { clean[..end].to_owned() }
}

#[cfg(test)]
mod tests;
