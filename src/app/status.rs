//! What the status page shows, gathered from those who know it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::app::fleet::Ways;
use crate::app::meter::Meter;
use crate::config::keys::Config;
use crate::doors::admin::status::{
    Cache, Compiler, Compilers, Hub, MOST_NAMED, Now, Past, Process, Queue, Slots, Status,
};
use crate::doors::health::Health;
use crate::doors::http::Served;
use crate::doors::queue::Settled;
use crate::engine::{OUTPUTS, REPLIES};
use crate::lifecycle::pause::Cause;
use crate::telemetry::history::{History, Levels, PERIOD, SAMPLES};
use crate::telemetry::metrics::Lookup;
use crate::telemetry::process::Reading;
use crate::telemetry::recent::{Entry, Way};

/// How often slots are looked at, between two samples.
const LOOK: Duration = Duration::from_secs(1);
/// What can become of a message.
const OUTCOMES: [&str; 6] = ["done", "unclaimed", "regrouped", "back", "buried", "lost"];
/// How a look into the routing table can end.
const LOOKS: [&str; 4] = ["found", "absent", "malformed", "unreachable"];

/// Those who know.
pub(super) struct Sources {
    pub(super) meter: Arc<Meter>,
    pub(super) health: Health,
    /// The queue that is ours.
    pub(super) queue: Option<String>,
}

/// Gathers. Clones share what they remember.
#[derive(Clone)]
pub(super) struct Gatherer(Arc<Inner>);

struct Inner {
    sources: Sources,
    history: Mutex<History>,
}

impl Gatherer {
    pub(super) fn new(sources: Sources) -> Self {
        Self(Arc::new(Inner { sources, history: Mutex::new(History::new(Instant::now())) }))
    }

    /// Takes samples for ever.
    pub(super) async fn sample(self) {
        let mut clock = interval(LOOK);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            clock.tick().await;
            let (levels, time) = (self.0.levels(), Timestamp::now().as_millisecond());
            self.0.history().look(levels, &self.0.sources.meter.metrics.recent, Instant::now(), time);
        }
    }

    /// The document, as it is now.
    pub(super) fn status(&self) -> Status {
        let recent = &self.0.sources.meter.metrics.recent;
        let samples = self.0.history().samples();
        let past = Past { period_seconds: PERIOD.as_secs(), most: SAMPLES, samples };
        Status::new(self.0.now(), recent.last().into_iter().map(Into::into).collect(), past)
    }
}

impl Inner {
    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn levels(&self) -> Levels {
        let Meter { metrics, engine, .. } = &*self.sources.meter;
        let status = engine.status();
        let lookups =
            |result| [OUTPUTS, REPLIES].into_iter().map(|cache| metrics.lookups(cache, result)).sum::<u64>();
        let requests = metrics.lookups(REPLIES, Lookup::Hit) + metrics.lookups(REPLIES, Lookup::Miss);
        let hits = lookups(Lookup::Hit);
        Levels {
            slots_busy: status.slots_busy,
            waiting: status.queued,
            connections: metrics.http_connections.get().try_into().unwrap_or(0),
            resident_bytes: Reading::take().unwrap_or_default().resident_bytes,
            hits,
            // What the first cache lacks, the second is asked for: such a request is still one.
            misses: requests.saturating_sub(hits),
        }
    }

    fn now(&self) -> Now {
        let Sources { meter, health, queue } = &self.sources;
        let Meter { begun, engine, metrics, lifecycle, ways, log, identity, .. } = &**meter;
        let (vitals, status) = (health.vitals(), engine.status());
        let reading = Reading::take().unwrap_or_default();
        let cache = |name, size_bytes| {
            let [hits, misses] = [Lookup::Hit, Lookup::Miss].map(|result| metrics.lookups(name, result));
            (name, Cache { hits, misses, size_bytes })
        };
        let lately = self.history().lately(self.levels(), &metrics.recent, Instant::now());
        Now {
            version: env!("CARGO_PKG_VERSION"),
            instance: identity.name().to_owned(),
            time: format!("{:.3}", Timestamp::now()),
            uptime_seconds: begun.elapsed().as_secs(),
            phase: vitals.phase,
            consuming: vitals.consuming,
            paused_by: vitals.paused_by.into_iter().map(Cause::as_str).collect(),
            trouble: vitals.trouble,
            has_fleet: vitals.has_fleet,
            slots: Slots {
                total: status.slots,
                busy: status.slots_busy,
                waiting: status.queued,
                wait_limit: status.queue_limit,
                oldest_job_seconds: status.oldest_job.map(|age| age.as_secs()),
            },
            lately,
            http_connections: metrics.http_connections.get().try_into().unwrap_or(0),
            process: Process {
                resident_bytes: reading.resident_bytes,
                threads: reading.threads,
                log_dropped_lines: log.dropped(),
            },
            caches: BTreeMap::from([
                cache(OUTPUTS, status.output_cache_bytes),
                cache(REPLIES, status.reply_cache_bytes),
            ]),
            compilers: self.compilers(),
            queue: queue.clone().map(|name| Queue {
                name,
                messages: OUTCOMES.map(|outcome| (outcome, metrics.messages(outcome))).into(),
            }),
            hub: ways.as_ref().and_then(Ways::hub).map(|hub| Hub {
                connections: hub.connections,
                subscriptions: hub.subscriptions,
                offers: hub.offers,
                offers_bytes: hub.offered_bytes,
                connections_made: hub.connected,
                results_repeated: hub.repeats,
            }),
            routing: match ways {
                Some(_) => LOOKS.map(|outcome| (outcome, metrics.looks(outcome))).into(),
                None => BTreeMap::new(),
            },
            tasks: lifecycle.tasks().into_iter().collect(),
        }
    }

    fn compilers(&self) -> Compilers {
        let Meter { engine, metrics, .. } = &*self.sources.meter;
        let catalogue = engine.catalogue();
        let named = catalogue.compilers(None).take(MOST_NAMED).map(|compiler| Compiler {
            id: compiler.id.to_string(),
            name: compiler.name.to_string(),
            language: compiler.language.to_string(),
        });
        Compilers {
            total: catalogue.len(),
            problems: metrics.catalogue_problems.get().try_into().unwrap_or(0),
            reload_failures: metrics.catalogue_reload_failures.get(),
            named: named.collect(),
        }
    }
}

/// The queue that is ours, by the name it is configured under.
pub(super) fn queue(config: &Config) -> Option<String> {
    config.queues.own.as_ref().map(ToString::to_string)
}

/// What is remembered of a request.
pub(super) fn of_request(served: Served) -> Entry {
    Entry {
        ended: Timestamp::now(),
        way: Way::Http,
        route: served.route,
        compiler: served.compiler,
        id: Some(served.id),
        status: Some(served.status),
        job: served.job,
        cached: served.cached,
        waited: served.work.map(|work| work.waited),
        queued: None,
        duration: served.duration,
    }
}

/// What is remembered of a message.
pub(super) fn of_message(settled: Settled) -> Entry {
    Entry {
        ended: Timestamp::now(),
        way: Way::Queue,
        route: settled.outcome,
        compiler: settled.compiler,
        id: settled.id,
        status: None,
        job: settled.job,
        cached: settled.cached,
        waited: settled.work.map(|work| work.waited),
        queued: Some(settled.queued),
        duration: settled.duration,
    }
}
