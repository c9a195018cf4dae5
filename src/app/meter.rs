//! The measure of the process: one registry, brought up to date for whoever reads it, and read in two renderings.
//!
//! ```text
//! registry ── page ─┬ /metrics, when Prometheus asks
//!                   └ reading ── event, every so often ── standard output or the CloudWatch agent
//! ```

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use prometheus_client::metrics::counter::Counter;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::app::fleet::Ways;
use crate::app::instance::Instance;
use crate::config::keys::{Config, Fleet};
use crate::engine::Engine;
use crate::lifecycle::{self, Lifecycle, Phase};
use crate::publish::{self, Measure, Moment};
use crate::telemetry::emf::{About, Reading};
use crate::telemetry::identity::Identity;
use crate::telemetry::log::Log;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::network::Watch;
use crate::telemetry::samples::Samples;

/// What is measured.
pub(super) struct Meter {
    pub(super) lifecycle: Lifecycle,
    pub(super) engine: Engine,
    pub(super) metrics: Arc<Metrics>,
    pub(super) ways: Option<Ways>,
    pub(super) log: Log,
    pub(super) begun: Instant,
    pub(super) identity: Identity,
    pub(super) instance: Instance,
    /// Held by whoever brings the registry up to date: two at once would raise a counter twice.
    pub(super) turn: Mutex<()>,
}

impl Meter {
    /// All metrics; what somebody else keeps is copied now, because nobody reads it in between.
    pub(super) fn page(&self) -> String {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let (metrics, status) = (&self.metrics, self.engine.status());
        metrics.slots.set(gauge(status.slots));
        metrics.slots_busy.set(gauge(status.slots_busy));
        metrics.queue_waiting.set(gauge(status.queued));
        metrics.saturation.set(percent(status.slots_busy + status.queued, status.slots));
        metrics.cache_size.set(gauge(status.output_cache_bytes + status.reply_cache_bytes));
        metrics.log_dropped.set(gauge(self.log.dropped()));
        metrics.uptime.set(gauge(self.begun.elapsed().as_secs()));
        if let Some(events) = self.ways.as_ref().and_then(Ways::hub) {
            metrics.events_connections.set(gauge(events.connections));
            metrics.events_subscriptions.set(gauge(events.subscriptions));
            metrics.events_offers.set(gauge(events.offers));
            metrics.events_offers_size.set(gauge(events.offered_bytes));
            raise(&metrics.events_connected, events.connected);
            raise(&metrics.events_repeats, events.repeats);
            raise(&metrics.events_refused, events.refused);
            raise(&metrics.events_garbage, events.garbage);
            raise(&metrics.events_early, events.early);
        }
        let mut panics = 0;
        for (task, census) in self.lifecycle.tasks() {
            metrics.set_tasks(task, census.alive);
            panics += census.panicked;
        }
        metrics.task_panics.set(gauge(panics));
        let phase = self.lifecycle.phase();
        self.instance.measure(metrics, phase);
        metrics.set_phase(Phase::ALL.map(Phase::as_str), phase.as_str());
        metrics.render()
    }

    /// Looks at the network every so often, and publishes, if that is configured, until the last work has ended.
    pub(super) fn publish(self: &Arc<Self>, config: &Config) -> anyhow::Result<()> {
        let every = config.metrics.every;
        drop(self.lifecycle.accompany("network", watch_network(Arc::clone(&self.metrics), every)));
        let Some(outlet) = config.metrics.emf else { return Ok(()) };
        let deliver = outlet.open().with_context(|| format!("could not open metrics.emf = {outlet}"))?;
        let (meter, fleet) = (Arc::clone(self), config.fleet.clone());
        let measure: Measure = Arc::new(move || meter.moment(&fleet));
        drop(
            self.lifecycle.attend("publish", publish::run(every, measure, deliver, self.lifecycle.ending())),
        );
        tracing::info!(%outlet, every_s = every.as_secs_f64(), "publishing metrics");
        Ok(())
    }

    /// What an event is made from.
    fn moment(&self, fleet: &Fleet) -> Moment {
        let reading = Reading::of(&Samples::read(&self.page()));
        let phase = self.lifecycle.phase();
        let about = About {
            fleet: fleet.name.clone(),
            group: fleet.metrics_group.clone(),
            instance: self.identity.name().to_owned(),
            version: env!("CARGO_PKG_VERSION"),
            phase: phase.as_str(),
            consuming: self.instance.is_consuming(phase),
            uptime_seconds: self.begun.elapsed().as_secs(),
            timestamp: Timestamp::now().as_millisecond(),
        };
        Moment { reading, about }
    }
}

/// Counts what the network's driver has throttled. The driver may take its time, and so is asked on a thread that may
/// wait, and by nobody who has something else to do.
async fn watch_network(metrics: Arc<Metrics>, every: Duration) {
    let (mut watch, mut told) = (Watch::default(), false);
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let look = lifecycle::blocking("look at the network", move || {
            let rises = watch.look();
            (watch, rises)
        });
        let Ok((back, rises)) = look.await else { return };
        watch = back;
        match rises {
            Ok(rises) => {
                for (allowance, more) in rises {
                    metrics.count_exceeded(allowance, more);
                }
            }
            Err(error) if !told => {
                told = true;
                tracing::info!(%error, "the network's driver does not tell what it throttles");
            }
            Err(_) => {}
        }
    }
}

/// Raises a counter to what somebody else has counted.
fn raise(counter: &Counter, to: u64) {
    counter.inc_by(to.saturating_sub(counter.get()));
}

pub(super) fn gauge(value: impl TryInto<i64>) -> i64 {
    value.try_into().unwrap_or(i64::MAX)
}

/// 100 for all of `whole`; more, if there is more.
fn percent(part: usize, whole: usize) -> f64 {
    let number = |number: usize| f64::from(u32::try_from(number).unwrap_or(u32::MAX));
    100.0 * number(part) / number(whole.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::float_cmp, reason = "these are exact")]
    fn saturation_goes_beyond_a_hundred() {
        assert_eq!(
            [(0, 4), (1, 4), (4, 4), (6, 4), (3, 0)].map(|(part, whole)| percent(part, whole)),
            [0.0, 25.0, 100.0, 150.0, 300.0]
        );
    }

    #[test]
    fn counters_are_raised_and_never_lowered() {
        let counter = Counter::default();
        for (to, expected) in [(3, 3), (3, 3), (7, 7), (5, 7)] {
            raise(&counter, to);
            assert_eq!(counter.get(), expected);
        }
        assert_eq!(gauge(u64::MAX), i64::MAX);
    }
}
