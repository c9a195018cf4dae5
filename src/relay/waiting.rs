//! Somebody who waits for a result.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout_at};

use super::cancelling::Cancelling;
use crate::domain::limits::Deadline;
use crate::ports::Subscription;

/// How long somebody stays for the result of a job that was cancelled: deployed workers know of no cancellation, and
/// repeat a result for twelve seconds (contract-cloud 4.5).
const STAY: Duration = Duration::from_secs(15);

/// A subscription whose owner may leave. Once the job is sent, the workers are told so; one that has done it already
/// goes on offering what nobody acknowledges, so somebody stays until its result has come.
#[derive(Debug)]
pub(super) struct Waiting {
    cancelling: Arc<Cancelling>,
    subscription: Option<Subscription>,
    deadline: Deadline,
    sent: bool,
}

impl Waiting {
    pub(super) fn new(cancelling: Arc<Cancelling>, subscription: Subscription, deadline: Deadline) -> Self {
        Self { cancelling, subscription: Some(subscription), deadline, sent: false }
    }

    /// Whether the job may be on its way.
    pub(super) fn sent(&mut self, sent: bool) {
        self.sent = sent;
    }

    /// The next frame; `None` at the deadline, or when the bus has closed.
    pub(super) async fn frame(&mut self) -> Option<Bytes> {
        let subscription = self.subscription.as_mut()?;
        timeout_at(self.deadline.instant(), subscription.next()).await.ok().flatten()
    }

    /// Acknowledges: no more frames are wanted.
    pub(super) fn over(&mut self) {
        if let Some(subscription) = self.subscription.take() {
            subscription.acknowledge();
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let Some(mut subscription) = self.subscription.take().filter(|_| self.sent) else { return };
        let deadline = self.deadline.instant();
        if deadline <= Instant::now() {
            return;
        }
        self.cancelling.tell(subscription.id());
        drop(self.cancelling.lifecycle().accompany("left result", async move {
            let until = deadline.min(Instant::now() + STAY);
            if let Ok(Some(_unwanted)) = timeout_at(until, subscription.next()).await {
                subscription.acknowledge();
            }
        }));
    }
}
