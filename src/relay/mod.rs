//! Has work done elsewhere, and brings the result back.
//!
//! ```text
//! admit ─ subscribe ─ (park) ─ send ─┬─ frame ─ acknowledge ─ (fetch ─ room) ─► result
//!                                    └─ the caller leaves: workers are told; what comes is acknowledged, and thrown away
//! ```
//!
//! A queue that is too far behind is not asked (`backlog`). The waiter is there before the job is sent, so no result
//! comes too early (contract-cloud X-7, X-8). What has come is acknowledged before it is fetched: a deployed worker takes
//! no more jobs until it is (X-4), and what lies in the store stays there. It does not know who asks.

mod backlog;
mod cancelling;
pub mod forward;
mod parking;
pub mod shadow;
mod waiting;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use self::backlog::Backlogs;
use self::cancelling::Cancelling;
use self::parking::Word;
use self::waiting::Waiting;
use crate::domain::class::{Class, Classify};
use crate::domain::ids::RequestId;
use crate::domain::limits::{Deadline, MIB};
use crate::domain::result::JobStatus;
use crate::domain::room::Room;
use crate::domain::trace::TraceContext;
use crate::lifecycle::Lifecycle;
use crate::ports::{
    BlobError, BlobPlace, BlobStore, Message, QueueAddress, QueueError, QueueSink, ResultBus, SubscribeError,
};
use crate::wire::envelope::{LARGEST_INLINE, REMAINING};
use crate::wire::relayed::Shape;

/// Where things lie that are too large to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelaySettings {
    /// The environment's name, as it stands in the keys of parked jobs.
    pub environment: String,
    /// Where large jobs are parked.
    pub overflow: Option<BlobPlace>,
    /// Where workers leave large results.
    pub results: Option<BlobPlace>,
    /// Bytes of such results that may wait together for their clients to read them.
    pub room: u64,
}

impl Default for RelaySettings {
    fn default() -> Self {
        Self { environment: String::new(), overflow: None, results: None, room: 512 * MIB }
    }
}

/// A result on its way to its client.
#[derive(Debug, Clone)]
pub struct Relayed {
    /// The JSON object without the members that are between router and worker, or the text made of it. A large one takes
    /// room from others until the last copy is dropped.
    pub body: Bytes,
    /// How the job ended, as far as the result tells.
    pub status: JobStatus,
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

/// Bytes of the largest body that is sent; its attribute counts too (contract-cloud 3.3).
const LARGEST_BODY: usize = LARGEST_INLINE - 64;

/// Large results fetched at a time. The largest takes a quarter of a gigabyte, twice over while it is put together; the
/// usual one a few megabytes.
const FETCHES: usize = 4;

/// How a job is called, and for which compiler it is.
#[derive(Debug, Clone, Copy)]
pub struct JobName<'a> {
    /// What its result will be called.
    pub id: &'a RequestId,
    /// The compiler asked for.
    pub compiler: &'a str,
    /// The trace that goes on with it.
    pub trace: Option<TraceContext>,
}

/// A way to workers elsewhere. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Relay(Arc<Office>);

#[derive(Debug)]
struct Office {
    parts: Parts,
    backlogs: Backlogs,
    cancelling: Arc<Cancelling>,
    /// One permit for each result that is being fetched.
    fetches: Arc<Semaphore>,
    /// For results that were fetched, until their clients have read them.
    room: Room,
}

/// Why a job done elsewhere has no result here.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// Nobody would be there any more when a worker got to it.
    #[error("Failed to queue compilation request: the queue is {} seconds behind", .0.as_secs())]
    Backlog(Duration),
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
    /// A result came, and there was no room for it in time.
    #[error("Failed to fetch the compilation result: too many large ones are being read")]
    Crowded,
    /// A result came, and lies where we could not get it.
    #[error("An internal error has occurred while retrieving the compilation result")]
    Fetch,
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
            Self::Backlog(_) | Self::Crowded => Class::Busy,
            Self::Park { source: None, .. } => Class::TooLarge,
            Self::Subscribe(_) | Self::Park { .. } | Self::Send(_) | Self::Fetch => Class::Upstream,
            Self::Silent { .. } => Class::Expired,
        }
    }
}

impl Relay {
    /// A relay made of `parts`.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(Office {
            backlogs: Backlogs::default(),
            cancelling: Arc::new(Cancelling::new(Arc::clone(&parts.bus), parts.lifecycle.clone())),
            fetches: Arc::new(Semaphore::new(FETCHES)),
            room: Room::new(parts.settings.room),
            parts,
        }))
    }

    /// Has a job done by a worker that listens to `queue`, and returns its result in the `shape` that is wanted. `message`
    /// is what [`crate::wire::envelope::write`] made of the job.
    pub async fn ask(
        &self,
        queue: &QueueAddress,
        job: JobName<'_>,
        message: String,
        deadline: Deadline,
        shape: Shape,
    ) -> Result<Relayed, RelayError> {
        let Office { parts, backlogs, cancelling, .. } = &*self.0;
        let patience = deadline.remaining();
        if let Some(behind) = backlogs.hopeless(queue, patience) {
            return Err(RelayError::Backlog(behind));
        }
        let subscribing = timeout_at(deadline.instant(), parts.bus.subscribe(job.id)).await;
        let subscription = subscribing
            .map_err(|_| RelayError::Subscribe(None))?
            .map_err(|error| RelayError::Subscribe(Some(error)))?;
        let mut waiting = Waiting::new(Arc::clone(cancelling), subscription, deadline);
        // What is rare is kept apart, so that those who wait, which are thousands, carry no room for it.
        let body =
            if message.len() > LARGEST_BODY { Box::pin(self.park(job, message)).await? } else { message };
        let group = Some(job.id.as_str().to_owned());
        let left = deadline.remaining().as_millis().to_string();
        let attributes = BTreeMap::from([(REMAINING.to_owned(), left)]);
        let message = Message { body, dedup: group.clone(), group, attributes, trace: job.trace };
        // From here on a worker may have it, whether we hear of that or not.
        let sent = Instant::now();
        waiting.sent(true);
        match timeout_at(deadline.instant(), parts.sink.send(queue, message)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                waiting.sent(false);
                return Err(RelayError::Send(Some(error)));
            }
            Err(_) => return Err(RelayError::Send(None)),
        }
        let word = loop {
            let Some(frame) = waiting.frame().await else {
                backlogs.silent(queue, sent);
                return Err(RelayError::Silent { id: job.id.clone(), waited: patience });
            };
            // What is none of ours is waited past; a valid one may follow.
            if let Some(word) = Word::read(job, frame) {
                break word;
            }
        };
        waiting.over();
        if let Some(queued) = word.queued {
            backlogs.heard(queue, queued);
        }
        Box::pin(self.open(word, deadline, shape)).await
    }
}
