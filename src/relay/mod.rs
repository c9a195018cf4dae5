//! Has work done elsewhere, and brings the result back.
//!
//! ```text
//! subscribe ─ (park) ─ send ─┬─ frame ─ (fetch) ─ acknowledge ─► result
//!                            └─ the caller leaves: whatever comes is acknowledged, and thrown away
//! ```
//!
//! The waiter is there before the job is sent, so no result comes too early (contract-cloud X-7, X-8). It does not know
//! who asks, or how the result is shown.

pub mod forward;
mod parking;
mod waiting;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout_at;

use self::waiting::Waiting;
use crate::domain::class::{Class, Classify};
use crate::domain::ids::RequestId;
use crate::domain::limits::Deadline;
use crate::lifecycle::Lifecycle;
use crate::ports::{
    BlobError, BlobPlace, BlobStore, Message, QueueAddress, QueueError, QueueSink, ResultBus, SubscribeError,
};
use crate::wire::envelope::{self, LARGEST_INLINE, Outgoing, REMAINING};
use crate::wire::request::RequestError;

/// Where things lie that are too large to be sent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RelaySettings {
    /// The environment's name, as it stands in the keys of parked jobs.
    pub environment: String,
    /// Where large jobs are parked.
    pub overflow: Option<BlobPlace>,
    /// Where workers leave large results.
    pub results: Option<BlobPlace>,
}

/// What a relay is made of.
#[derive(Debug)]
pub struct Parts {
    /// The owner's choices.
    pub settings: RelaySettings,
    /// Where jobs go.
    pub sink: Arc<dyn QueueSink>,
    /// Where results come from.
    pub bus: Arc<dyn ResultBus>,
    /// Where large jobs and results lie.
    pub blobs: Arc<dyn BlobStore>,
    /// For the results of callers who have left.
    pub lifecycle: Lifecycle,
}

/// A way to workers elsewhere. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Relay(Arc<Parts>);

/// Why a job done elsewhere has no result here.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The request is none.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The result would not have found its way back.
    #[error("Failed to setup result subscription: {}", if .0.is_some() { "the result bus refused" } else { "the result bus did not answer in time" })]
    Subscribe(#[source] Option<SubscribeError>),
    /// The job is too large for a message, and could not be parked.
    #[error("Failed to queue compilation request: it has {bytes} bytes, and could not be parked")]
    Park {
        /// Bytes of the message.
        bytes: usize,
        /// What the store said; nothing if there is no place for such jobs.
        #[source]
        source: Option<BlobError>,
    },
    /// The queue did not take the job.
    #[error("Failed to queue compilation request: the queue did not take it")]
    Send(#[source] Option<QueueError>),
    /// A result came, and lies where we could not get it.
    #[error("Failed to retrieve the compilation result: {0}")]
    Fetch(String),
    /// No result came.
    #[error("Compilation timeout: No response received within {} seconds for GUID: {id}", .waited.as_secs())]
    Silent {
        /// The job's name.
        id: RequestId,
        /// How long it was waited for.
        waited: Duration,
    },
}

impl Classify for RelayError {
    fn class(&self) -> Class {
        match self {
            Self::Request(error) => error.class(),
            Self::Park { source: None, .. } => Class::TooLarge,
            Self::Subscribe(_) | Self::Park { .. } | Self::Send(_) | Self::Fetch(_) => Class::Upstream,
            Self::Silent { .. } => Class::Expired,
        }
    }
}

impl Relay {
    /// A relay made of `parts`.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// Has `job` done by a worker that listens to `queue`, and returns its result: a JSON object without the members
    /// that are between router and worker.
    pub async fn ask(
        &self,
        queue: &QueueAddress,
        job: &Outgoing<'_>,
        deadline: Deadline,
    ) -> Result<Bytes, RelayError> {
        let patience = deadline.remaining();
        let body = envelope::write(job)?;
        let subscribing = timeout_at(deadline.instant(), self.0.bus.subscribe(job.id)).await;
        let subscription = subscribing
            .map_err(|_| RelayError::Subscribe(None))?
            .map_err(|error| RelayError::Subscribe(Some(error)))?;
        let mut waiting = Waiting::new(subscription, deadline, self.0.lifecycle.clone());
        let body = if body.len() > LARGEST_INLINE { self.park(job, body).await? } else { body };
        let message = Message {
            body,
            group: Some(job.id.as_str().to_owned()),
            dedup: Some(job.id.as_str().to_owned()),
            attributes: BTreeMap::from([(
                REMAINING.to_owned(),
                deadline.remaining().as_millis().to_string(),
            )]),
        };
        let sending = timeout_at(deadline.instant(), self.0.sink.send(queue, message)).await;
        sending.map_err(|_| RelayError::Send(None))?.map_err(|error| RelayError::Send(Some(error)))?;
        waiting.sent();
        loop {
            let Some(frame) = waiting.frame().await else {
                return Err(RelayError::Silent { id: job.id.clone(), waited: patience });
            };
            match self.open(job.id, &frame, deadline).await {
                Ok(Some(result)) => {
                    waiting.over();
                    return Ok(result);
                }
                // It is none of ours; a valid one may follow.
                Ok(None) => {}
                Err(error) => {
                    // It will not become better by being sent again.
                    waiting.over();
                    return Err(error);
                }
            }
        }
    }
}
