//! Where jobs come from and go to: queues with groups, hiding, and receipts.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::class::{Class, Classify};
use crate::domain::trace::TraceContext;
use crate::ports::{Cause, Pending};

/// Most messages one receive can bring, and most receipts one delete can settle at the far side in one call.
pub const LARGEST_BATCH: usize = 10;
/// Longest a receive may wait for a first message.
pub const LONGEST_POLL: Duration = Duration::from_secs(20);
/// Longest a message may be hidden.
pub const LONGEST_HIDING: Duration = Duration::from_hours(12);

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
    /// The trace that it is part of. Queues count none of it against their limit.
    pub trace: Option<TraceContext>,
}

/// The right to settle one receive of one message. A later receive of the same message makes it void.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Receipt(Arc<str>);

/// One message, received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// What the queue calls it, the same at every receive.
    pub id: String,
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

impl QueueAddress {
    /// The queue with this name or URL.
    pub fn new(address: &str) -> Self {
        Self(Arc::from(address))
    }

    /// The name or URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the address says where the queue is, and not only its name.
    pub fn is_url(&self) -> bool {
        self.0.contains("://")
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
