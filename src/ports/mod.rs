//! Five narrow doors to the world outside, in our words: no adapter's type is named here or above.
//!
//! Futures are boxed by hand, because a trait with `async fn` cannot be held as `Arc<dyn _>`. A future borrowed from
//! its port may be dropped at any time; one that is `'static` **must be driven to its end**, because the other side
//! may have acted already: a dropped receive strands a message, a dropped publish withdraws a result.
//!
//! Every port has a contract suite in `tests/it/contract`, which each of its adapters passes.

mod blobs;
mod bus;
mod queue;
mod routes;

use std::future::Future;
use std::pin::Pin;

pub use blobs::{Blob, BlobAddress, BlobError, BlobPlace, BlobStore};
pub use bus::{Membership, PublishError, ResultBus, SubscribeError, Subscription};
pub use queue::{
    Ask, LARGEST_BATCH, LONGEST_HIDING, LONGEST_POLL, Message, QueueAddress, QueueError, QueueSink,
    QueueSource, Receipt, Received,
};
pub use routes::{Color, Keyed, LookupError, RouteRow, RouteStore, RouteTarget};

/// A future that a port hands out.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What an adapter knows about a failure beyond our words for it.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;
