//! One connection as the rest of the client sees it: what can be said on it, and what it has confirmed.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::domain::ids::RequestId;
use crate::events::fence::{Fences, Write};
use crate::events::line::{Feed, Line, line};
use crate::wire::frame::{PING, Request};

/// A connection's speaking end.
#[derive(Debug)]
pub(super) struct Link {
    /// Counts connections of this process; a later one is younger.
    pub(super) number: u64,
    line: Line,
    fences: Mutex<Fences>,
}

impl Link {
    /// A connection on which `cap` bytes of results and receipts may wait to be written.
    pub(super) fn new(number: u64, cap: usize) -> (Self, Feed) {
        let (line, feed) = line(cap);
        (Self { number, line, fences: Mutex::default() }, feed)
    }

    /// Asks for results. As many of these may wait as there are subscriptions, and those are counted.
    pub(super) fn subscribe(&self, id: &RequestId) {
        // On a connection that is over, nothing is lost: the subscription moves to the next one.
        let _over = self.line.insist(Request::Subscribe(id.clone()).text());
    }

    /// Asks for no more. On a full connection the wish is dropped: what still arrives is then thrown away.
    pub(super) fn unsubscribe(&self, id: &RequestId) {
        let _dropped = self.line.send(Request::Unsubscribe(id.clone()).text());
    }

    /// Sends a receipt; `false` if this connection does not take it.
    pub(super) fn acknowledge(&self, id: &RequestId) -> bool {
        self.line.send(Request::Acknowledge(id.clone()).text())
    }

    /// Sends a result; `false` if this connection does not take it.
    pub(super) fn carry(&self, frame: Utf8Bytes) -> bool {
        self.line.send(frame)
    }

    /// A fence that passes once the hub has read everything written before it.
    pub(super) fn fence(&self) -> oneshot::Receiver<()> {
        let mut fences = self.fences();
        let (passed, write) = fences.plant();
        self.write(write);
        passed
    }

    /// The hub has answered a ping, or will not any more.
    pub(super) fn pass(&self) {
        let mut fences = self.fences();
        let write = fences.pass();
        self.write(write);
    }

    /// The connection is over.
    pub(super) fn fall(&self) {
        self.fences().fall();
    }

    fn write(&self, write: Write) {
        if write == Write::Ping {
            let _over = self.line.insist(Utf8Bytes::from_static(PING));
        }
    }

    /// Every change of the fences is whole, whatever its holder did afterwards.
    fn fences(&self) -> MutexGuard<'_, Fences> {
        self.fences.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
