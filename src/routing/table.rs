//! The routing table as one compiler sees it: which keys its row may have, and what looking for it is worth.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::decision::{Route, Target};
use super::memo::{Fact, in_time, part_of};
use super::queues::Queues;
use crate::domain::ids::CompilerId;
use crate::ports::{LookupError, RouteStore};
use crate::telemetry::metrics::Metrics;

/// How long what is known is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trust {
    /// A row, at most; each is read again up to a fifth earlier, so that a table's rows do not come due together.
    pub row: Duration,
    /// That there is no row.
    pub absence: Duration,
}

/// The table, and how it is read.
pub(super) struct Table {
    pub(super) store: Arc<dyn RouteStore>,
    /// Whose rows are ours.
    pub(super) environment: Option<String>,
    pub(super) queues: Arc<Queues>,
    pub(super) trust: Trust,
    pub(super) metrics: Arc<Metrics>,
    /// Whether the last look failed: that a table is away is told once, not once for each compiler.
    pub(super) failing: AtomicBool,
}

impl Table {
    /// Looks for the row of a compiler.
    pub(super) async fn look(self: Arc<Self>, compiler: CompilerId) -> Result<Fact<Arc<Route>>, LookupError> {
        let read = in_time(compiler.as_str(), self.read(&compiler)).await;
        self.report(&compiler, &read);
        let route = read?;
        let is_absent = route.target == Target::Absent;
        let good_for = if is_absent { self.trust.absence } else { jittered(self.trust.row) };
        // Absence is never what we fall back on: an outage would become a default.
        Ok(Fact { value: Arc::new(route), good_for, lasts: !is_absent })
    }

    /// Reads the rows of all compilers of ours. One that cannot be read is left for those who ask for it.
    pub(super) async fn read_all(&self) -> Result<HashMap<CompilerId, Fact<Arc<Route>>>, LookupError> {
        let rows = self.store.all().await?;
        let mut known = HashMap::new();
        // The bare names first, so that those of the environment take their places.
        for is_bare in [true, false] {
            for (key, row) in &rows {
                let compiler = match (self.environment.as_deref(), key.split_once('#')) {
                    (_, None) if is_bare => key.as_str(),
                    (Some(ours), Some((environment, compiler))) if !is_bare && environment == ours => {
                        compiler
                    }
                    _ => continue,
                };
                let Ok(compiler) = CompilerId::parse(compiler) else { continue };
                let route = row.clone().map(|row| Route::read(Some(row), &self.queues));
                let Some(Ok(route)) = route else {
                    // Nor does the bare name's row stand in for it.
                    known.remove(&compiler);
                    continue;
                };
                let good_for = jittered(self.trust.row);
                known.insert(compiler, Fact { value: Arc::new(route), good_for, lasts: true });
            }
        }
        Ok(known)
    }

    async fn read(&self, compiler: &CompilerId) -> Result<Route, LookupError> {
        for key in keys(self.environment.as_deref(), compiler) {
            let row = self.store.lookup(&key).await?;
            if row.is_some() {
                return Route::read(row, &self.queues);
            }
        }
        Route::read(None, &self.queues)
    }

    /// Counts a look, and logs what is new: a bad row, a table that went away, one that came back.
    fn report(&self, compiler: &CompilerId, read: &Result<Route, LookupError>) {
        let (outcome, failing) = match read {
            Ok(route) if route.row.is_none() => ("absent", false),
            Ok(_) => ("found", false),
            Err(LookupError::Malformed { .. }) => ("malformed", false),
            Err(LookupError::Unreachable { .. }) => ("unreachable", true),
        };
        self.metrics.count_look(outcome);
        let failed = self.failing.swap(failing, Ordering::Relaxed);
        match read {
            Err(error) if !(failing && failed) => {
                let error = error as &dyn std::error::Error;
                tracing::warn!(compiler.id = %compiler, error, "could not look up where a compiler is served");
            }
            Ok(_) if failed => tracing::info!("the routing table answers again"),
            Ok(_) | Err(_) => {}
        }
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table")
            .field("store", &self.store)
            .field("trust", &self.trust)
            .finish_non_exhaustive()
    }
}

/// Four fifths of `most` to the whole of it.
fn jittered(most: Duration) -> Duration {
    most.saturating_sub(part_of(most / 5))
}

/// The keys a compiler's row may have: that of its environment, and the bare name of rows older than environments.
fn keys(environment: Option<&str>, compiler: &CompilerId) -> Vec<String> {
    let of_environment = environment.map(|environment| format!("{environment}#{compiler}"));
    // A caller's name with the separator in it would reach into another environment.
    let bare = (!compiler.as_str().contains('#')).then(|| compiler.to_string());
    of_environment.into_iter().chain(bare).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_has_bounds_and_spreads() {
        let most = Duration::from_mins(5);
        let drawn: Vec<Duration> = (0..200).map(|_| jittered(most)).collect();
        assert!(drawn.iter().all(|drawn| (Duration::from_mins(4)..=most).contains(drawn)), "{drawn:?}");
        let middle = Duration::from_secs(270);
        assert!(drawn.iter().any(|drawn| *drawn < middle) && drawn.iter().any(|drawn| *drawn > middle));
        assert_eq!(jittered(Duration::ZERO), Duration::ZERO);
    }

    #[test]
    fn the_environment_comes_first_and_nobody_reaches_into_another() {
        let keys = |environment, id| keys(environment, &CompilerId::parse(id).unwrap());
        assert_eq!(keys(Some("prod"), "g132"), ["prod#g132", "g132"]);
        assert_eq!(keys(None, "g132"), ["g132"]);
        assert_eq!(keys(Some("prod"), "staging#g132"), ["prod#staging#g132"]);
        assert_eq!(keys(None, "staging#g132"), [""; 0]);
    }
}
