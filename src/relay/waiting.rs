//! Somebody who waits for a result.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout_at};

use crate::domain::ids::RequestId;
use crate::domain::limits::Deadline;
use crate::lifecycle::Lifecycle;
use crate::ports::{ResultBus, Subscription};
use crate::wire::frame;

/// How long somebody stays for the result of a job that was cancelled: deployed workers know of no cancellation, and
/// repeat a result for twelve seconds (contract-cloud 4.5).
const STAY: Duration = Duration::from_secs(15);
/// How long the word of a cancellation is offered: it is sent once, and nobody acknowledges it.
const WORD: Duration = Duration::from_millis(150);

/// A subscription whose owner may leave. Once the job is sent, the workers are told so; one that has done it already
/// goes on offering what nobody acknowledges, so somebody stays until its result has come.
#[derive(Debug)]
pub(super) struct Waiting {
    bus: Arc<dyn ResultBus>,
    subscription: Option<Subscription>,
    deadline: Deadline,
    lifecycle: Lifecycle,
    sent: bool,
}

impl Waiting {
    pub(super) fn new(
        bus: Arc<dyn ResultBus>,
        subscription: Subscription,
        deadline: Deadline,
        lifecycle: Lifecycle,
    ) -> Self {
        Self { bus, subscription: Some(subscription), deadline, lifecycle, sent: false }
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
        let bus = Arc::clone(&self.bus);
        drop(self.lifecycle.accompany("left result", async move {
            cancel(&*bus, subscription.id()).await;
            let until = deadline.min(Instant::now() + STAY);
            if let Ok(Some(_unwanted)) = timeout_at(until, subscription.next()).await {
                subscription.acknowledge();
            }
        }));
    }
}

/// Tells the workers that nobody waits for a result any more. If they do not hear, they work in vain.
async fn cancel(bus: &dyn ResultBus, id: &RequestId) {
    let topic = RequestId::parse(frame::CANCELLATIONS).ok();
    let Some((topic, alias)) = topic.zip(frame::alias(id)) else { return };
    let word = Bytes::from(frame::cancellation(&alias));
    let _nobody_acknowledges = bus.publish(&topic, word, Deadline::after(WORD)).await.is_err();
}
