//! Where a request goes: compiled here, put on a queue, forwarded to a URL, or nowhere.
//!
//! A decision rests on a row of the routing table, which is remembered; the color of a queue is not part of it and is
//! asked for when a job is sent. "There is no row" and "the table cannot be read" are different things throughout:
//! the first has an answer, the second has the last row known, or an error.
//!
//! Knows no compiler and no slot: what this node can do is told by whoever asks.

mod cache;
mod color;
mod decision;
mod memo;
pub mod queue_url;
mod queues;
mod table;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::domain::class::{Class, Classify};
use crate::domain::ids::CompilerId;
use crate::lifecycle::Lifecycle;
use crate::ports::{Color, LookupError, QueueAddress, RouteStore};
use crate::routing::cache::RouteCache;
use crate::routing::color::LiveColor;
use crate::routing::queues::Queues;
use crate::routing::table::Table;
use crate::telemetry::metrics::Metrics;

pub use decision::{Decision, Destination, Here, Origin, Route, Target, forwardable};
pub use queues::{Queue, QueueSettings};
pub use table::Trust;

/// When a caller whom the table's absence turned away may come again: by then the table has been asked anew.
const RETRY: Duration = Duration::from_secs(2);

/// What routing goes by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouterSettings {
    /// The environment whose rows are ours; without one only rows that belong to none.
    pub environment: Option<String>,
    /// The queues there are.
    pub queues: QueueSettings,
    /// How long what is known is believed.
    pub trust: Trust,
}

/// The one thing a door asks where a request goes.
#[derive(Debug)]
pub struct Router {
    queues: Arc<Queues>,
    routes: RouteCache,
    color: LiveColor,
    /// Raised to forget.
    era: AtomicU64,
}

/// Why nobody knows where a request goes.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RoutingError {
    /// The table cannot be read, and what it says of this compiler is not known from before.
    #[error("could not find out where {compiler} is served")]
    Route {
        /// The compiler.
        compiler: CompilerId,
        /// What the store said.
        #[source]
        source: Arc<LookupError>,
    },
    /// The live color cannot be read, and is not known from before.
    #[error("could not find out which color is live")]
    Color(#[source] Arc<LookupError>),
}

impl Router {
    /// A router that remembers nothing yet. Its looks into the store are companions in `lifecycle`.
    pub fn new(
        settings: RouterSettings,
        store: Arc<dyn RouteStore>,
        lifecycle: Lifecycle,
        metrics: Arc<Metrics>,
    ) -> Self {
        let RouterSettings { environment, queues, trust } = settings;
        let queues = Arc::new(Queues::new(queues));
        let failures = metrics.routing_color_failures.clone();
        let color = LiveColor::new(Arc::clone(&store), lifecycle.clone(), failures);
        let table = Table {
            store,
            environment,
            queues: Arc::clone(&queues),
            trust,
            metrics,
            failing: AtomicBool::new(false),
        };
        Self { queues, routes: RouteCache::new(table, lifecycle), color, era: AtomicU64::new(0) }
    }

    /// Where a request for `compiler` goes that reached a node in the state `here`. Costs less than two microseconds
    /// when the route is known; may be dropped at any time.
    pub async fn decide(&self, compiler: &CompilerId, here: Here) -> Result<Decision, RoutingError> {
        let told = self.routes.route(compiler, self.era.load(Ordering::Relaxed)).await;
        let (route, origin) =
            told.map_err(|source| RoutingError::Route { compiler: compiler.clone(), source })?;
        Ok(Decision { destination: route.destination(&self.queues, here), route, origin })
    }

    /// Where to send a job for `queue` now. Ask for each job: the color changes with every deployment.
    pub async fn address(&self, queue: &Queue) -> Result<QueueAddress, RoutingError> {
        Ok(self.queues.address(queue, self.live_color().await?))
    }

    /// The live color, if queues have one.
    pub async fn live_color(&self) -> Result<Option<Color>, RoutingError> {
        if !self.queues.have_colors() {
            return Ok(None);
        }
        let told = self.color.get(self.era.load(Ordering::Relaxed)).await;
        told.map(|(color, _)| Some(color)).map_err(RoutingError::Color)
    }

    /// Reads the whole table once, so that no request has to wait for its row, and says how many compilers are known
    /// then. Until it is done, rows are read as they are asked for.
    pub async fn warm_up(&self) -> Result<usize, LookupError> {
        self.routes.warm_up(self.era.load(Ordering::Relaxed)).await
    }

    /// From now on everything is read anew. Rows read before only stand in while the table cannot be read.
    pub fn clear(&self) {
        self.era.fetch_add(1, Ordering::Relaxed);
    }
}

impl RoutingError {
    /// When it is worth trying again.
    pub const fn retry_after(&self) -> Duration {
        RETRY
    }
}

impl Classify for RoutingError {
    fn class(&self) -> Class {
        Class::Upstream
    }
}

#[cfg(test)]
mod tests;
