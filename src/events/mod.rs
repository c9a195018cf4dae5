//! Results over `WebSocket` connections: the client's half as a [`ResultBus`], and a hub that serves the same protocol.
//!
//! ```text
//! publish ── offers ─┐                     ┌─ link ─ socket ═══ hub
//!                    ├─ board (one lock) ──┤
//! subscribe ─ waiters┘                     └─ link ─ socket ═══ hub
//!                         pool: dials, replaces before two hours are over
//! ```
//!
//! Nothing here trusts a connection. A result is sent until its receipt comes, each time on another connection; a
//! subscription lives on one connection and moves to the next at once when that ends; a silent connection is dead
//! after [`Settings::ping`] and [`Settings::pong`]; and dialing never ends.

mod board;
mod dial;
mod fence;
mod frames;
pub mod hub;
mod line;
mod link;
mod offers;
mod pace;
mod pool;
mod publish;
mod socket;
mod waiters;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Uri;
use tokio::time::timeout;

use crate::domain::ids::RequestId;
use crate::domain::limits::Deadline;
use crate::events::board::Board;
use crate::events::dial::Dialer;
use crate::events::pool::Pool;
use crate::lifecycle::Lifecycle;
use crate::ports::{Membership, Pending, PublishError, ResultBus, SubscribeError, Subscription};

pub use crate::events::dial::OpenError;

/// Largest frame towards API Gateway, in bytes: its relay posts whole messages of at most 32 KB (D5).
pub const LARGEST_FOR_API_GATEWAY: usize = 31_744;
/// Largest frame towards our own hub, in bytes (D5).
pub const LARGEST_FOR_OUR_HUB: usize = 120_000;

/// How the hub is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `ws://` or `wss://`.
    pub url: Uri,
    /// Connections held at once; with two or more, none is ever missed.
    pub connections: u32,
    /// Age at which a connection is replaced, less up to a tenth at random. API Gateway cuts at two hours.
    pub rotation: Duration,
    /// How long a replaced connection goes on hearing, because receipts under way still come on it.
    pub linger: Duration,
    /// A connection this long silent is pinged.
    pub ping: Duration,
    /// Without a sign of life for this long after a ping, it is dead.
    pub pong: Duration,
    /// How long [`ResultBus::subscribe`] waits for the hub to confirm what it was told.
    pub fence: Duration,
    /// How long the hub is still asked for a result that has had its receipt. Should that be lost, the result's next
    /// repeat comes at most 3 s later; should its worker have died, another's comes after its visibility (10 s) and a
    /// compile (20 s). Without a receipt either is offered in vain until the job's deadline.
    pub farewell: Duration,
    /// How long a dial may take, handshake included.
    pub dial: Duration,
    /// Largest result, in bytes of UTF-8.
    pub largest_frame: usize,
    /// Largest WebSocket frame written, in bytes; longer results are fragmented.
    pub fragment: usize,
    /// Bytes of results that may await their receipts before [`ResultBus::room`] waits.
    pub outbox: usize,
    /// Bytes that may wait to be written on one connection; what finds no room is sent later.
    pub line: usize,
    /// Requests waited for at once.
    pub subscriptions: usize,
}

/// The way to an events hub and back. Cheap to clone.
#[derive(Clone)]
pub struct EventsBus {
    board: Arc<Board>,
    settings: Settings,
}

/// What a bus has at this moment, and what has happened to it since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// Connections that stand. With none, results wait for the next.
    pub connections: usize,
    /// Requests waited for.
    pub subscriptions: usize,
    /// Results offered and not acknowledged.
    pub offers: usize,
    /// Their bytes.
    pub offered_bytes: usize,
    /// Connections made.
    pub connected: u64,
    /// Results sent again.
    pub repeats: u64,
    /// Results that the hub found too large.
    pub refused: u64,
    /// Texts from the hub that were none of ours.
    pub garbage: u64,
    /// Results that came when nobody waited.
    pub early: u64,
}

/// One subscriber's place; its drop gives it up.
struct Place {
    board: Arc<Board>,
    id: RequestId,
    number: u64,
}

/// There is no room for another subscription.
#[derive(Debug, thiserror::Error)]
#[error("{0} results are waited for already")]
struct TooMany(usize);

impl Settings {
    /// The settings for API Gateway at `url`.
    pub fn new(url: Uri) -> Self {
        Self {
            url,
            connections: 2,
            rotation: Duration::from_mins(110),
            linger: Duration::from_secs(5),
            ping: Duration::from_secs(15),
            pong: Duration::from_secs(10),
            fence: Duration::from_millis(500),
            farewell: Duration::from_secs(35),
            dial: Duration::from_secs(3),
            largest_frame: LARGEST_FOR_API_GATEWAY,
            fragment: 32_000,
            outbox: 8 * 1024 * 1024,
            line: 1024 * 1024,
            subscriptions: 20_000,
        }
    }
}

impl EventsBus {
    /// Begins to hold connections, for as long as `lifecycle` has work. Does not wait for the first.
    pub fn open(settings: Settings, lifecycle: &Lifecycle) -> Result<Self, OpenError> {
        let board = Arc::new(Board::new(settings.subscriptions, settings.farewell));
        let dialer = Dialer::new(settings.url.clone(), settings.dial)?;
        for index in 0..settings.connections.max(1) {
            let pool = Pool {
                board: Arc::clone(&board),
                dialer: dialer.clone(),
                settings: settings.clone(),
                lifecycle: lifecycle.clone(),
            };
            lifecycle.accompany("events place", pool.keep(index));
        }
        lifecycle.accompany("events farewells", Arc::clone(&board).sweep());
        Ok(Self { board, settings })
    }

    /// Resolves once a connection stands.
    pub async fn connected(&self) {
        // The sender lives in the board.
        let _closed = self.board.standing().wait_for(|standing| *standing > 0).await.is_err();
    }

    /// The figures of this moment.
    pub fn status(&self) -> Status {
        self.board.status()
    }

    /// Waits until the hub has confirmed a subscription: by the answer to a ping written behind it. Our own hub keeps
    /// that order; API Gateway handles the two at once, so there the answer is a good guess, and so is going ahead
    /// without one after [`Settings::fence`]. Repeats cover the rest.
    async fn confirmed(&self, id: &RequestId) {
        let mut standing = self.board.standing();
        loop {
            standing.mark_unchanged();
            let Some((link, passed)) = self.board.fence(id) else {
                let _closed = standing.changed().await.is_err();
                continue;
            };
            match timeout(self.settings.fence, passed).await {
                Ok(Ok(())) => return,
                // That connection is over; the subscription has moved, or will.
                Ok(Err(_)) => {}
                Err(_) => return link.pass(),
            }
        }
    }
}

impl ResultBus for EventsBus {
    fn publish(
        &self,
        id: &RequestId,
        frame: Bytes,
        until: Deadline,
    ) -> Pending<'static, Result<(), PublishError>> {
        let cap = self.settings.largest_frame;
        Box::pin(publish::publish(Arc::clone(&self.board), id.clone(), (frame, cap), until))
    }

    fn subscribe(&self, id: &RequestId) -> Pending<'_, Result<Subscription, SubscribeError>> {
        let id = id.clone();
        Box::pin(async move {
            let Some((number, frames)) = self.board.join(&id) else {
                return Err(SubscribeError { id, source: Box::new(TooMany(self.settings.subscriptions)) });
            };
            let place = Place { board: Arc::clone(&self.board), id: id.clone(), number };
            self.confirmed(&id).await;
            Ok(Subscription::new(id, frames, Box::new(place)))
        })
    }

    /// Less than [`Settings::outbox`] awaits receipts then.
    fn room(&self) -> Pending<'_, ()> {
        let (mut outbox, most) = (self.board.outbox(), self.settings.outbox);
        Box::pin(async move {
            let _closed = outbox.wait_for(|offered| *offered < most).await.is_err();
        })
    }

    fn largest_frame(&self) -> usize {
        self.settings.largest_frame
    }
}

impl Membership for Place {
    fn acknowledge(&self) {
        self.board.answer(&self.id);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.board.leave(&self.id, self.number);
    }
}

impl fmt::Debug for EventsBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventsBus")
            .field("url", &self.settings.url)
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}
