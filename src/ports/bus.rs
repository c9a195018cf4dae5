//! The way of a result to whoever waits for it, and of the receipt back.

use std::fmt;

use bytes::Bytes;
use futures_channel::mpsc;
use futures_util::StreamExt as _;

use crate::domain::class::{Class, Classify};
use crate::domain::ids::RequestId;
use crate::domain::limits::Deadline;
use crate::ports::{Cause, Pending};

/// The way from whoever computed a result to whoever waits for it, and the receipt back.
pub trait ResultBus: Send + Sync + fmt::Debug {
    /// Offers a result under `id` until a subscriber has acknowledged it, and resolves then. A subscriber that comes
    /// later, but before the deadline, still gets it. Once acknowledged, offering again resolves at once for two
    /// minutes. Must be driven to its end.
    fn publish(
        &self,
        id: &RequestId,
        frame: Bytes,
        until: Deadline,
    ) -> Pending<'static, Result<(), PublishError>>;

    /// Resolves once the subscription stands: a result published from then on is not missed.
    fn subscribe(&self, id: &RequestId) -> Pending<'_, Result<Subscription, SubscribeError>>;

    /// Resolves once there is room for more results: whoever takes new work waits for this first, while what runs
    /// already is published regardless.
    fn room(&self) -> Pending<'_, ()>;

    /// The largest frame [`Self::publish`] takes, in bytes; what is larger travels as a blob, and the frame names it.
    fn largest_frame(&self) -> usize;
}

/// One request's results as they arrive, duplicates included. Dropping it unsubscribes.
pub struct Subscription {
    id: RequestId,
    frames: mpsc::Receiver<Bytes>,
    membership: Box<dyn Membership>,
}

/// The adapter's half of a [`Subscription`]; its drop ends the subscription at the far side.
pub trait Membership: Send {
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

impl Subscription {
    /// For adapters: the subscription to `id`, fed through `frames` for as long as `membership` lives.
    pub fn new(id: RequestId, frames: mpsc::Receiver<Bytes>, membership: Box<dyn Membership>) -> Self {
        Self { id, frames, membership }
    }

    /// Whose results.
    pub fn id(&self) -> &RequestId {
        &self.id
    }

    /// The next result; `None` when the bus has closed. May be dropped and asked again.
    pub async fn next(&mut self) -> Option<Bytes> {
        self.frames.next().await
    }

    /// Acknowledges: to be called once a *valid* result is here, or the word of where it lies, and never before.
    pub fn acknowledge(&self) {
        self.membership.acknowledge();
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("id", &self.id).finish_non_exhaustive()
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
