//! The live color, asked for when a job is sent: a router that remembers an address remembers yesterday's deployment.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;

use super::memo::{Era, Fact, Memo, Told, in_time};
use crate::lifecycle::Lifecycle;
use crate::ports::{Color, LookupError, RouteStore};

/// How long a color is believed; the old one's workers are kept for longer than that after a switch.
const GOOD_FOR: Duration = Duration::from_secs(30);

/// What a failure speaks of.
const WHAT: &str = "the live color";

/// The live color, remembered.
#[derive(Debug)]
pub(super) struct LiveColor {
    store: Arc<dyn RouteStore>,
    memo: Arc<Memo<Color>>,
    failures: Counter,
}

impl LiveColor {
    /// Not known yet.
    pub(super) fn new(store: Arc<dyn RouteStore>, lifecycle: Lifecycle, failures: Counter) -> Self {
        Self { store, memo: Arc::new(Memo::new(WHAT, lifecycle)), failures }
    }

    /// The color, or the last one known: a guess would send jobs to a queue that nobody reads.
    pub(super) async fn get(&self, era: Era) -> Told<Color> {
        let (store, failures) = (Arc::clone(&self.store), self.failures.clone());
        self.memo.get(era, || look(store, failures)).await
    }
}

async fn look(store: Arc<dyn RouteStore>, failures: Counter) -> Result<Fact<Color>, LookupError> {
    let seen = in_time(WHAT, store.active_color()).await;
    if let Err(error) = &seen {
        failures.inc();
        tracing::warn!(error = error as &dyn std::error::Error, "could not look up the live color");
    }
    Ok(Fact { value: seen?, good_for: GOOD_FOR, lasts: true })
}
