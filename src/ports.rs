//! Five narrow doors to the world outside, in our words: no adapter's type is named here or above.
//!
//! Futures are boxed by hand, because a trait with `async fn` cannot be held as `Arc<dyn _>`. A future borrowed from
//! its port may be dropped at any time; one that is `'static` **must be driven to its end**, because the other side
//! may have acted already: a dropped receive strands a message, a dropped publish withdraws a result.
//!
//! Every port has a contract suite in `tests/it/contract`, which each of its adapters passes.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::domain::class::{Class, Classify};
use crate::domain::ids::RequestId;
use crate::domain::limits::Deadline;

/// A future that a port hands out.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What an adapter knows about a failure beyond our words for it.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Most messages one receive can bring, and most receipts one delete can settle at the far side in one call.
pub const LARGEST_BATCH: usize = 10;
/// Longest a receive may wait for a first message.
pub const LONGEST_POLL: Duration = Duration::from_secs(20);
/// Longest a message may be hidden.
pub const LONGEST_HIDING: Duration = Duration::from_secs(12 * 60 * 60);

// ── queues ──────────────────────────────────────────────────────────────────────────────────────────────────────────

/// Which queue: its name or URL, as the adapter understands it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueAddress(Arc<str>);

/// What travels on a queue.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Message {
    /// The text, usually JSON.
    pub body: String,
    /// Messages of one group are delivered in order, one flight at a time. `None` on queues without groups.
    pub group: Option<String>,
    /// A message whose id was sent to the queue in the last five minutes is dropped in silence, even if the first has
    /// been deleted since. `None` on queues that do not deduplicate.
    pub dedup: Option<String>,
    /// Small facts beside the body: the time that is left, the reason for a dead letter.
    pub attributes: BTreeMap<String, String>,
}

/// The right to settle one receive of one message. A later receive of the same message makes it void.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Receipt(Arc<str>);

/// One message, received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// What was sent.
    pub message: Message,
    /// For [`QueueSource::delete`] and [`QueueSource::hide`].
    pub receipt: Receipt,
    /// How often it has been received, this time included. A release counts.
    pub receives: u32,
    /// How long ago it was sent, by the queue's own clock and not by ours.
    pub age: Duration,
}

/// What to ask of a receive. Values beyond a port's limits are clamped, never refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    /// Most messages, 1 to [`LARGEST_BATCH`].
    pub most: usize,
    /// How long to wait for the first, up to [`LONGEST_POLL`]; zero looks once.
    pub wait: Duration,
    /// How long each is hidden from other receivers, up to [`LONGEST_HIDING`].
    pub hidden_for: Duration,
}

/// Where messages come from: one queue.
pub trait QueueSource: Send + Sync + fmt::Debug {
    /// Waits for messages; empty when none came in time. Comes back promptly once there is one: it never waits to
    /// fill the batch. Must be driven to its end.
    fn receive(&self, ask: Ask) -> Pending<'static, Result<Vec<Received>, QueueError>>;

    /// Deletes messages for good, and returns the receipts that were void by then: their messages come again, or
    /// came again already. Deleting what is already deleted succeeds. An empty list does nothing.
    fn delete(&self, receipts: Vec<Receipt>) -> Pending<'static, Result<Vec<Receipt>, QueueError>>;

    /// Hides a message for so long from now, in place of what was left; zero gives it back at once. Fails with
    /// [`QueueError::Void`] when the message is no longer ours.
    fn hide(&self, receipt: Receipt, visible_in: Duration) -> Pending<'_, Result<(), QueueError>>;
}

/// Where messages go.
pub trait QueueSink: Send + Sync + fmt::Debug {
    /// Resolves once the queue has the message for good. A duplicate succeeds, and is dropped.
    fn send<'a>(&'a self, to: &'a QueueAddress, message: Message) -> Pending<'a, Result<(), QueueError>>;
}

/// What went wrong with a queue.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The queue did not answer, or said "later".
    #[error("could not {act} on queue {queue}")]
    Unreachable {
        /// The verb: receive, delete, hide, send.
        act: &'static str,
        /// Which queue.
        queue: QueueAddress,
        /// What the adapter knows.
        #[source]
        source: Cause,
    },
    /// There is no such queue.
    #[error("there is no queue {queue}")]
    Absent {
        /// Which queue.
        queue: QueueAddress,
    },
    /// The message's hiding ran out, and it may be another's now.
    #[error("the receipt of a message on queue {queue} is void")]
    Void {
        /// Which queue.
        queue: QueueAddress,
    },
    /// The message lacks what this queue requires.
    #[error("queue {queue} takes no message without a {lacking}")]
    Incomplete {
        /// Which queue.
        queue: QueueAddress,
        /// The missing member.
        lacking: &'static str,
    },
    /// The message is larger than the queue takes.
    #[error("a message of {bytes} bytes is more than the {cap} that queue {queue} takes")]
    TooLarge {
        /// Which queue.
        queue: QueueAddress,
        /// Body and attributes.
        bytes: usize,
        /// What it takes.
        cap: usize,
    },
}

// ── routes ──────────────────────────────────────────────────────────────────────────────────────────────────────────

/// Where requests for one compiler go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteRow {
    /// The row's key: `<environment>#<compiler>`, or the bare compiler.
    pub key: String,
    /// Where to.
    pub target: RouteTarget,
    /// The environment that owns the row.
    pub environment: Option<String>,
}

/// Where to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteTarget {
    /// This queue, by its name without color.
    Queue(String),
    /// The environment's default queue: the row names neither queue nor URL.
    DefaultQueue,
    /// This URL, complete.
    Url(String),
}

/// Which half of a blue/green deployment is live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Color {
    /// Also what a missing or unknown value means.
    Blue,
    /// The other.
    Green,
}

/// The routing table, read only. It caches nothing: that is the router's trade.
pub trait RouteStore: Send + Sync + fmt::Debug {
    /// The row under exactly this key; `None` when there is none, which is not the same as a lookup that failed.
    fn lookup<'a>(&'a self, key: &'a str) -> Pending<'a, Result<Option<RouteRow>, LookupError>>;

    /// The live color.
    fn active_color(&self) -> Pending<'_, Result<Color, LookupError>>;
}

/// Why a route is not known.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    /// The store did not answer, or said "later".
    #[error("could not look up {what}")]
    Unreachable {
        /// The key, or the active color.
        what: String,
        /// What the adapter knows.
        #[source]
        source: Cause,
    },
    /// The store holds something that is no row.
    #[error("the row {key} is malformed: {wrong}")]
    Malformed {
        /// Its key.
        key: String,
        /// What is wrong.
        wrong: String,
    },
}

// ── blobs ───────────────────────────────────────────────────────────────────────────────────────────────────────────

/// Where a blob is. Whether a bucket may be read at all is decided above, from configuration.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobAddress {
    /// The bucket.
    pub bucket: String,
    /// The key within.
    pub key: String,
}

/// Bytes too many for a message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Blob {
    /// The bytes.
    pub bytes: Bytes,
    /// Their media type.
    pub content_type: String,
    /// Small facts beside them.
    pub metadata: BTreeMap<String, String>,
}

/// A store of blobs by address.
pub trait BlobStore: Send + Sync + fmt::Debug {
    /// The blob, or `None` when there is none. More than `cap` bytes are refused before they are read into memory.
    fn get<'a>(&'a self, at: &'a BlobAddress, cap: u64) -> Pending<'a, Result<Option<Blob>, BlobError>>;

    /// Resolves once the store has the whole blob; readers see the old one or the new one, never a part.
    fn put<'a>(&'a self, at: &'a BlobAddress, blob: Blob) -> Pending<'a, Result<(), BlobError>>;
}

/// What went wrong with a blob.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// The store did not answer, or said "later".
    #[error("could not {act} blob {at}")]
    Unreachable {
        /// The verb: get, put.
        act: &'static str,
        /// Which blob.
        at: BlobAddress,
        /// What the adapter knows.
        #[source]
        source: Cause,
    },
    /// It is larger than asked for, or than the store takes.
    #[error("blob {at} has {bytes} bytes, more than the {cap} allowed")]
    TooLarge {
        /// Which blob.
        at: BlobAddress,
        /// Its size.
        bytes: u64,
        /// What is allowed.
        cap: u64,
    },
}

// ── results ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/// The way from whoever computed a result to whoever waits for it, and the receipt back.
pub trait ResultBus: Send + Sync + fmt::Debug {
    /// Offers a result under `id` until a subscriber has acknowledged it, and resolves then. A subscriber that comes
    /// later, but before the deadline, still gets it. Once acknowledged, offering again resolves at once for two
    /// minutes. Must be driven to its end.
    fn publish(&self, id: &RequestId, frame: Bytes, until: Deadline) -> Pending<'static, Result<(), PublishError>>;

    /// Resolves once the subscription stands: a result published from then on is not missed.
    fn subscribe(&self, id: &RequestId) -> Pending<'_, Result<Subscription, SubscribeError>>;

    /// The largest frame [`Self::publish`] takes, in bytes; what is larger travels as a blob, and the frame names it.
    fn largest_frame(&self) -> usize;
}

/// One request's results as they arrive, duplicates included. Dropping it unsubscribes.
pub struct Subscription {
    id: RequestId,
    frames: mpsc::Receiver<Bytes>,
    line: Box<dyn Line>,
}

/// The adapter's half of a [`Subscription`]; its drop ends the subscription at the far side.
pub trait Line: Send {
    /// Tells the publisher that its result has arrived. Swallows failure: the publisher will offer it again.
    fn acknowledge(&self);
}

/// Why a result did not get through.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// Nobody acknowledged it in time.
    #[error("nobody acknowledged the result of {id} in time")]
    Unacknowledged {
        /// Whose result.
        id: RequestId,
    },
    /// The frame is larger than the bus takes.
    #[error("the result of {id} has {bytes} bytes, more than the {cap} a frame may have")]
    TooLarge {
        /// Whose result.
        id: RequestId,
        /// Its size.
        bytes: usize,
        /// What is allowed.
        cap: usize,
    },
}

/// Why a subscription does not stand.
#[derive(Debug, thiserror::Error)]
#[error("could not subscribe to the result of {id}")]
pub struct SubscribeError {
    /// Whose result.
    pub id: RequestId,
    /// What the adapter knows.
    #[source]
    pub source: Cause,
}

impl QueueAddress {
    /// The queue with this name or URL.
    pub fn new(address: &str) -> Self {
        Self(Arc::from(address))
    }

    /// The name or URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the queue keeps order and deduplicates, which its name must say.
    pub fn is_fifo(&self) -> bool {
        self.0.ends_with(".fifo")
    }
}

impl fmt::Display for QueueAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Message {
    /// Bytes the queue counts against its limit: the body, and each attribute's name and value.
    pub fn size(&self) -> usize {
        self.body.len() + self.attributes.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>()
    }
}

impl Receipt {
    /// The adapter's handle.
    pub fn new(handle: &str) -> Self {
        Self(Arc::from(handle))
    }

    /// The adapter's handle.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Ask {
    /// The same, within the limits every port has.
    #[must_use]
    pub fn clamped(self) -> Self {
        Self {
            most: self.most.clamp(1, LARGEST_BATCH),
            wait: self.wait.min(LONGEST_POLL),
            hidden_for: self.hidden_for.min(LONGEST_HIDING),
        }
    }
}

impl fmt::Display for BlobAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.bucket, self.key)
    }
}

impl Subscription {
    /// For adapters: the subscription to `id`, fed through `frames` for as long as `line` lives.
    pub fn new(id: RequestId, frames: mpsc::Receiver<Bytes>, line: Box<dyn Line>) -> Self {
        Self { id, frames, line }
    }

    /// Whose results.
    pub fn id(&self) -> &RequestId {
        &self.id
    }

    /// The next result; `None` when the bus has closed. May be dropped and asked again.
    pub async fn next(&mut self) -> Option<Bytes> {
        self.frames.recv().await
    }

    /// Acknowledges: to be called once a *valid* result is here, and never before.
    pub fn acknowledge(&self) {
        self.line.acknowledge();
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Classify for QueueError {
    fn class(&self) -> Class {
        match self {
            Self::Unreachable { .. } => Class::Upstream,
            Self::Absent { .. } | Self::Incomplete { .. } => Class::Internal,
            Self::Void { .. } => Class::Expired,
            Self::TooLarge { .. } => Class::TooLarge,
        }
    }
}

impl Classify for LookupError {
    fn class(&self) -> Class {
        match self {
            Self::Unreachable { .. } | Self::Malformed { .. } => Class::Upstream,
        }
    }
}

impl Classify for BlobError {
    fn class(&self) -> Class {
        match self {
            Self::Unreachable { .. } => Class::Upstream,
            Self::TooLarge { .. } => Class::TooLarge,
        }
    }
}

impl Classify for PublishError {
    fn class(&self) -> Class {
        match self {
            Self::Unacknowledged { .. } => Class::Expired,
            Self::TooLarge { .. } => Class::TooLarge,
        }
    }
}

impl Classify for SubscribeError {
    fn class(&self) -> Class {
        Class::Upstream
    }
}
