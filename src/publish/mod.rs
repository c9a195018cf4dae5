//! Publishes what was measured: the metrics, an event a period, to whoever passes it on to CloudWatch; and the spans of
//! traces, to a collector of OpenTelemetry's ([`spans`]).
//!
//! It runs beside the work and never holds it up. An event tells what has come since the last one that was *delivered*,
//! so what could not be published is not lost, it comes later; and while it is not known what became of an event there
//! is no other, so nothing is told twice. The last event is made when the last work has ended.

mod outlet;
mod spans;
mod trouble;

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};

use crate::lifecycle;
use crate::telemetry::emf::{About, Reading};

pub use self::outlet::{Outlet, OutletError};
pub use self::spans::{Collector, CollectorError, Resource, Spans};
use self::trouble::Trouble;

/// How long a delivery may take before the log is told that somebody is slow.
const SLOW: Duration = Duration::from_secs(10);
/// How long what is left may take at the end. Below the time that companions have to end
/// ([`KILL_GRACE`](crate::lifecycle::KILL_GRACE)).
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Everything an event is made from.
#[derive(Debug, Clone)]
pub struct Moment {
    /// The metrics.
    pub reading: Reading,
    /// What stands beside them.
    pub about: About,
}

/// Takes the measure of the process. It may look at files, so it is called where waiting is allowed.
pub type Measure = Arc<dyn Fn() -> Moment + Send + Sync>;

/// An event on its way: an error means that it was not read, and for as long as neither is known there is no outcome.
pub type Delivery = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

/// The way to whoever collects events.
pub type Deliver = Box<dyn Fn(Vec<u8>) -> Delivery + Send + Sync>;

/// Publishes `measure` through `deliver` once in `every`, until `ending` resolves, and then once more.
pub async fn run(
    every: Duration,
    measure: Measure,
    deliver: Deliver,
    ending: impl Future<Output = ()> + Send,
) {
    let mut ending = pin!(ending);
    let mut desk = Desk { measure, deliver, delivered: Reading::default() };
    let mut trouble = Trouble::default();
    let mut due = Instant::now() + every;
    let last = loop {
        tokio::select! {
            biased;
            () = &mut ending => break None,
            () = sleep_until(due) => {}
        }
        let begun = Instant::now();
        let Some(mut event) = desk.event().await else {
            due = begun + every;
            continue;
        };
        let slow = async {
            sleep_until(begun + SLOW).await;
            tracing::warn!("whoever collects the metrics has taken an event and not read it yet; waiting");
            std::future::pending().await
        };
        let outcome = tokio::select! {
            biased;
            () = &mut ending => break Some(event),
            outcome = &mut event.delivery => outcome,
            outcome = slow => outcome,
        };
        due = match outcome {
            Ok(()) => {
                if let Some(failures) = trouble.over() {
                    tracing::info!(failures, "the metrics are published again");
                }
                desk.delivered = event.reading;
                begun + every
            }
            Err(error) => {
                let failures = trouble.failures();
                let pause = trouble.pause(every);
                if trouble.is_news() {
                    tracing::warn!(%error, failures, "could not publish the metrics; nothing is lost, they come later");
                }
                Instant::now() + pause
            }
        };
    };
    match timeout(LAST_WORDS, desk.close(last)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "the last metrics were not published"),
        Err(_) => tracing::warn!("the last metrics were not read in time"),
    }
}

/// Where events are made and sent.
struct Desk {
    measure: Measure,
    deliver: Deliver,
    /// What has been told.
    delivered: Reading,
}

/// One that is under way, and what will have been told once it has been read.
struct Event {
    reading: Reading,
    delivery: Delivery,
}

impl Desk {
    async fn event(&self) -> Option<Event> {
        let measure = Arc::clone(&self.measure);
        let moment = match lifecycle::blocking("measure", move || measure()).await {
            Ok(moment) => moment,
            Err(error) => {
                tracing::error!(%error, "could not take the measure");
                return None;
            }
        };
        let Moment { reading, about } = moment;
        let delivery = (self.deliver)(reading.event(&self.delivered, &about));
        Some(Event { reading, delivery })
    }

    /// Waits for what is under way, and sends what has come since.
    async fn close(mut self, under_way: Option<Event>) -> io::Result<()> {
        if let Some(event) = under_way
            && event.delivery.await.is_ok()
        {
            self.delivered = event.reading;
        }
        match self.event().await {
            Some(event) => event.delivery.await,
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
