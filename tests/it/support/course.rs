//! Cases that wait more than they work, several at a time within one test.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::{Id, JoinSet};
use tokio::time::timeout;

/// How long one case may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// Cases under way.
pub(crate) struct Course {
    left_out: Vec<&'static str>,
    places: Arc<Semaphore>,
    running: JoinSet<()>,
    names: HashMap<Id, &'static str>,
}

impl Course {
    /// A course of so many cases at a time, without these.
    pub(crate) fn new(at_a_time: usize, left_out: Vec<&'static str>) -> Self {
        let places = Arc::new(Semaphore::new(at_a_time));
        Self { left_out, places, running: JoinSet::new(), names: HashMap::new() }
    }

    /// Runs a case as soon as there is a place, unless it is left out.
    pub(crate) fn run(&mut self, name: &'static str, case: impl Future<Output = ()> + Send + 'static) {
        if self.left_out.contains(&name) {
            return;
        }
        let places = Arc::clone(&self.places);
        let task = self.running.spawn(async move {
            let _place = places.acquire().await;
            timeout(PATIENCE, case).await.expect("the case does not end");
        });
        self.names.insert(task.id(), name);
    }

    /// Waits for all. What those that failed said is in the output.
    pub(crate) async fn run_out(mut self) {
        let mut failed = Vec::new();
        while let Some(outcome) = self.running.join_next().await {
            failed.extend(outcome.err().map(|error| self.names[&error.id()]));
        }
        assert!(failed.is_empty(), "these failed: {failed:?}");
    }
}
