//! Routes remembered, by compiler. What is known is found without waiting for anybody: the only lock on the way is held
//! for one look into a map.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use quick_cache::sync::Cache;

use super::decision::{Origin, Route};
use super::memo::{Era, Memo, Told};
use super::table::Table;
use crate::domain::ids::CompilerId;
use crate::lifecycle::Lifecycle;
use crate::ports::LookupError;
use crate::telemetry::metrics::{ByLookup, Lookup};

/// Compilers remembered at once; all deployments together have about 5,200. Callers may ask for any name, so there
/// has to be an end, and a name that was asked for once is the first to go.
const MOST_REMEMBERED: usize = 16_384;

/// What has been read of the table.
pub(super) struct RouteCache {
    table: Arc<Table>,
    routes: Cache<CompilerId, Arc<Memo<Arc<Route>>>>,
    lifecycle: Lifecycle,
    hits: Counter,
    misses: Counter,
    stale: Counter,
}

impl RouteCache {
    /// Nothing has been read yet.
    pub(super) fn new(table: Table, lifecycle: Lifecycle) -> Self {
        // Found once: a cached decision should not pay for two more look-ups.
        let count = |result| {
            let by = ByLookup { result, name: "routing", r#type: "memory" };
            table.metrics.cache_get.get_or_create(&by).clone()
        };
        let (hits, misses) = (count(Lookup::Hit), count(Lookup::Miss));
        let stale = table.metrics.routing_stale.clone();
        Self { table: Arc::new(table), routes: Cache::new(MOST_REMEMBERED), lifecycle, hits, misses, stale }
    }

    /// Reads the whole table, and says of how many compilers something is known then.
    pub(super) async fn warm_up(&self, era: Era) -> Result<usize, LookupError> {
        let known = self.table.read_all().await?;
        let count = known.len();
        for (compiler, fact) in known {
            self.memo(&compiler).learn(era, fact).await;
        }
        Ok(count)
    }

    fn memo(&self, compiler: &CompilerId) -> Arc<Memo<Arc<Route>>> {
        let blank = || Ok::<_, Infallible>(Arc::new(Memo::new(compiler.as_str(), self.lifecycle.clone())));
        let Ok(memo) = self.routes.get_or_insert_with(compiler, blank);
        memo
    }

    /// What the table says of `compiler`.
    pub(super) async fn route(&self, compiler: &CompilerId, era: Era) -> Told<Arc<Route>> {
        let told = self.memo(compiler).get(era, || Arc::clone(&self.table).look(compiler.clone())).await;
        let counter = match &told {
            Ok((_, Origin::Memory)) => &self.hits,
            Ok((_, Origin::Stale)) => &self.stale,
            Ok((_, Origin::Table)) | Err(_) => &self.misses,
        };
        counter.inc();
        told
    }
}

impl fmt::Debug for RouteCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RouteCache")
            .field("table", &self.table)
            .field("remembered", &self.routes.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::time::Duration;

    use super::*;
    use crate::local::routes::LocalRoutes;
    use crate::routing::{QueueSettings, Queues, Trust};
    use crate::telemetry::metrics::Metrics;

    #[tokio::test(start_paused = true)]
    async fn there_is_an_end_to_what_is_remembered() {
        let table = Table {
            store: Arc::new(LocalRoutes::new()),
            environment: None,
            queues: Arc::new(Queues::new(QueueSettings::default())),
            trust: Trust { row: Duration::from_mins(1), absence: Duration::from_mins(1) },
            metrics: Arc::new(Metrics::new()),
            failing: AtomicBool::new(false),
        };
        let cache = RouteCache::new(table, Lifecycle::new());
        let origin = async |name: &str| cache.route(&CompilerId::parse(name).unwrap(), 0).await.unwrap().1;
        for _ in 0..3 {
            origin("g132").await;
        }
        for stranger in 0..2 * MOST_REMEMBERED {
            origin(&format!("x{stranger}")).await;
        }
        assert!(cache.routes.len() <= MOST_REMEMBERED, "{}", cache.routes.len());
        assert_eq!(origin("g132").await, Origin::Memory, "a flood of strangers drove out a regular");
    }
}
