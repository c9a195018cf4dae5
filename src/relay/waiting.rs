//! Somebody who waits for a result.

use bytes::Bytes;
use tokio::time::timeout_at;

use crate::domain::limits::Deadline;
use crate::lifecycle::Lifecycle;
use crate::ports::Subscription;

/// A subscription whose owner may leave. A worker goes on offering what nobody acknowledges, so once the job is sent,
/// somebody stays until its result has come.
#[derive(Debug)]
pub(super) struct Waiting {
    subscription: Option<Subscription>,
    deadline: Deadline,
    lifecycle: Lifecycle,
    sent: bool,
}

impl Waiting {
    pub(super) fn new(subscription: Subscription, deadline: Deadline, lifecycle: Lifecycle) -> Self {
        Self { subscription: Some(subscription), deadline, lifecycle, sent: false }
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
        if deadline <= tokio::time::Instant::now() {
            return;
        }
        drop(self.lifecycle.accompany("left result", async move {
            if let Ok(Some(_unwanted)) = timeout_at(deadline, subscription.next()).await {
                subscription.acknowledge();
            }
        }));
    }
}
