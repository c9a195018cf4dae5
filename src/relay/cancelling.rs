//! Tells workers of jobs that nobody waits for any more. Every worker hears every word, so what comes in one moment is
//! gathered into one.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use tokio::time::sleep;

use crate::domain::ids::RequestId;
use crate::domain::limits::Deadline;
use crate::lifecycle::Lifecycle;
use crate::ports::ResultBus;
use crate::wire::frame;

/// How long the first of several waits for the others.
const GATHER: Duration = Duration::from_millis(25);
/// How long a word is offered: it is sent once, and nobody acknowledges it.
const OFFER: Duration = Duration::from_millis(150);

/// The way to all workers.
#[derive(Debug)]
pub(super) struct Cancelling {
    bus: Arc<dyn ResultBus>,
    lifecycle: Lifecycle,
    /// Aliases that the next words tell of: as many as callers leave in a moment.
    gathered: Mutex<Vec<RequestId>>,
}

impl Cancelling {
    pub(super) fn new(bus: Arc<dyn ResultBus>, lifecycle: Lifecycle) -> Self {
        Self { bus, lifecycle, gathered: Mutex::default() }
    }

    /// For what else becomes of a job whose caller has left.
    pub(super) fn lifecycle(&self) -> &Lifecycle {
        &self.lifecycle
    }

    /// Has the workers told, in a moment. If they do not hear, they work in vain.
    pub(super) fn tell(self: &Arc<Self>, id: &RequestId) {
        let Some(alias) = frame::alias(id) else { return };
        let mut gathered = self.gathered.lock().unwrap_or_else(PoisonError::into_inner);
        gathered.push(alias);
        if gathered.len() > 1 {
            return;
        }
        drop(gathered);
        let telling = Arc::clone(self);
        let ending = self.lifecycle.ending();
        drop(self.lifecycle.attend("cancelling", async move {
            // Who leaves last is told of too, before the connections take their leave.
            tokio::select! { () = sleep(GATHER) => {}, () = ending => {} }
            telling.say().await;
        }));
    }

    async fn say(&self) {
        let aliases = std::mem::take(&mut *self.gathered.lock().unwrap_or_else(PoisonError::into_inner));
        let Ok(topic) = RequestId::parse(frame::CANCELLATIONS) else { return };
        let words = aliases.chunks(frame::most_cancelled(self.bus.largest_frame()));
        let offers = words.map(|aliases| {
            self.bus.publish(&topic, Bytes::from(frame::cancellation(aliases)), Deadline::after(OFFER))
        });
        let _nobody_acknowledges = join_all(offers).await;
    }
}
