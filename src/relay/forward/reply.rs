//! The body of a service's reply, which brings its connection along.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until};

use super::wire::{BoxError, Origin, Wire, Wires};
use crate::domain::limits::Deadline;

/// The rest of a service's reply, as it comes. Ends with an error at the deadline. Dropped while more of it is to come,
/// it closes the connection, by which the service learns that nobody waits.
pub struct Body {
    rest: Incoming,
    deadline: Pin<Box<Sleep>>,
    /// Where it comes from; gone once that has failed.
    source: Option<Source>,
}

struct Source {
    /// The service may count from here how long it waits for the next request.
    since: Instant,
    wire: Wire,
    origin: Origin,
    wires: Arc<Wires>,
}

impl Body {
    pub(super) fn new(
        rest: Incoming,
        wire: Wire,
        origin: Origin,
        wires: Arc<Wires>,
        deadline: Deadline,
    ) -> Self {
        let source = Some(Source { since: Instant::now(), wire, origin, wires });
        Self { rest, deadline: Box::pin(sleep_until(deadline.instant())), source }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut next = Pin::new(&mut self.rest).poll_frame(context);
        if next.is_pending()
            && let Some(source) = &mut self.source
        {
            source.wire.drive(context);
            next = Pin::new(&mut self.rest).poll_frame(context);
        }
        // There may be more at every moment, for ever.
        let is_late = !matches!(next, Poll::Ready(None)) && self.deadline.deadline() <= Instant::now();
        if is_late || next.is_pending() && self.deadline.as_mut().poll(context).is_ready() {
            self.source = None;
            return Poll::Ready(Some(Err("the service did not answer in time".into())));
        }
        next.map(|next| next.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.rest.size_hint()
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        // One with more of this reply to come is not ready for another request, and so is closed.
        if let Some(Source { since, wire, origin, wires }) = self.source.take() {
            wires.keep(origin, wire, since);
        }
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Body").field("rest", &self.rest).finish_non_exhaustive()
    }
}
