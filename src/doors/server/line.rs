//! What the accept loop, the connection and the reply know of one another.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::sync::Notify;

use super::Traffic;

/// One connection, as others see it.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// A whole head has arrived, and its reply has not been written yet.
    busy: AtomicBool,
    /// The reply's last byte was handed to the HTTP library.
    answered: AtomicBool,
    /// It shall end as soon as it is idle.
    leaving: AtomicBool,
    /// Milliseconds since the server's start at which it last became idle.
    idle_since: AtomicU64,
    told: Notify,
    pub(super) traffic: Traffic,
}

impl Line {
    /// A connection whose bytes are counted there.
    pub(super) fn counted_in(traffic: Traffic) -> Self {
        Self { traffic, ..Self::default() }
    }

    pub(super) fn begin(&self) {
        self.busy.store(true, Ordering::Release);
    }

    pub(super) fn rest(&self, now: u64) {
        self.idle_since.store(now, Ordering::Relaxed);
        self.busy.store(false, Ordering::Release);
    }

    pub(super) fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Acquire)
    }

    pub(super) fn idle_since(&self) -> u64 {
        self.idle_since.load(Ordering::Relaxed)
    }

    /// Asks it to end as soon as it is idle.
    pub(super) fn dismiss(&self) {
        self.leaving.store(true, Ordering::Release);
        self.told.notify_one();
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Acquire)
    }

    /// Resolves once it has been asked to end.
    pub(super) async fn dismissed(&self) {
        self.told.notified().await;
    }

    /// Whether the reply has been handed over since this was last asked.
    pub(super) fn take_answered(&self) -> bool {
        self.answered.swap(false, Ordering::AcqRel)
    }
}

/// A reply's body that tells its connection when it is done with.
#[derive(Debug)]
pub(super) struct Tracked {
    body: Body,
    line: Arc<Line>,
}

impl Tracked {
    pub(super) fn new(body: Body, line: Arc<Line>) -> Self {
        Self { body, line }
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        self.line.answered.store(true, Ordering::Release);
    }
}

impl http_body::Body for Tracked {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let next = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &next
            && let Some(data) = frame.data_ref()
        {
            self.line.traffic.sent.inc_by(data.len() as u64);
        }
        next
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
