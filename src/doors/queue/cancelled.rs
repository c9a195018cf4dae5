//! Jobs that nobody waits for any more, as routers tell.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use crate::domain::ids::RequestId;
use crate::domain::recent::Recent;
use crate::ports::ResultBus;
use crate::wire::frame;

/// How long a cancellation is remembered: as long as its job may be on the queue.
const MEMORY: Duration = Duration::from_mins(2);
/// Cancellations remembered; two minutes' worth at a hundred a second.
const MOST: usize = 12_000;
/// Before listening is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// The jobs that were cancelled lately, by their aliases.
#[derive(Debug)]
pub(super) struct Cancelled {
    known: Mutex<Recent<()>>,
    /// Touched whenever one more is known.
    more: watch::Sender<()>,
}

impl Default for Cancelled {
    fn default() -> Self {
        Self { known: Mutex::new(Recent::new(MEMORY, MOST)), more: watch::Sender::default() }
    }
}

impl Cancelled {
    /// Hears, for ever, what routers tell.
    pub(super) async fn listen(&self, bus: &dyn ResultBus) {
        let Ok(topic) = RequestId::parse(frame::CANCELLATIONS) else { return };
        loop {
            if let Ok(mut words) = bus.subscribe(&topic).await {
                while let Some(word) = words.next().await {
                    let aliases = frame::cancelled(&word);
                    if aliases.is_empty() {
                        continue;
                    }
                    for alias in aliases {
                        self.known().remember(alias, ());
                    }
                    self.more.send_replace(());
                }
            }
            sleep(PAUSE).await;
        }
    }

    /// Resolves once this job is cancelled.
    pub(super) async fn told_of(&self, id: &RequestId) {
        let Some(alias) = frame::alias(id) else { return std::future::pending().await };
        let mut more = self.more.subscribe();
        while self.known().recall(&alias).is_none() {
            // Its sender lives in here.
            let _closed = more.changed().await.is_err();
        }
    }

    /// Every change is whole.
    fn known(&self) -> MutexGuard<'_, Recent<()>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
