//! Replies: what every door answers with.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue};
use http_body::{Frame, SizeHint};
use tokio::time::Instant;

/// `application/json; charset=utf-8`
pub const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
/// `text/plain; charset=utf-8`
pub const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// What a service answers.
pub type Reply = Response;

/// Bytes handed to the connection at a time when a reply has to be read in time.
const MOUTHFUL: usize = 256 * 1024;

/// Until when a client has to have read its reply. Travels as an extension of the reply while its body is still being
/// packed.
#[derive(Debug, Clone, Copy)]
pub struct ReadBy(pub Instant);

/// The client has not read its reply in time, and others wait for its room.
#[derive(Debug, thiserror::Error)]
#[error("the reply was not read in time")]
struct Unread;

/// A body that has to be read in time. It is asked for more only as the client reads. One who reads nothing is cut off
/// sooner, by the server.
struct Timed {
    body: Body,
    next: Bytes,
    until: Instant,
}

impl http_body::Body for Timed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.is_end_stream() {
            return Poll::Ready(None);
        }
        if self.until <= Instant::now() {
            tracing::info!(
                left = length(&*self),
                "cut off a client that did not read its large reply in time"
            );
            return Poll::Ready(Some(Err(axum::Error::new(Unread))));
        }
        if self.next.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(context))
                .map(|frame| frame.map(Frame::into_data))
            {
                Some(Ok(Ok(data))) => self.next = data,
                Some(Ok(Err(frame))) => return Poll::Ready(Some(Ok(frame))),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
        let bytes = self.next.len().min(MOUTHFUL);
        Poll::Ready(Some(Ok(Frame::data(self.next.split_to(bytes)))))
    }

    fn is_end_stream(&self) -> bool {
        self.next.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact((self.next.len() + length(&self.body)) as u64)
    }
}

impl ReadBy {
    /// The same reply, of which whoever has not read it all by then gets no more.
    pub fn bind(self, reply: Reply) -> Reply {
        reply.map(|body| Body::new(Timed { body, next: Bytes::new(), until: self.0 }))
    }
}

/// A body of two pieces that nobody copies. The first is empty only when both are.
struct Pieces {
    first: Bytes,
    second: Bytes,
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let rest = std::mem::take(&mut self.second);
        let next = std::mem::replace(&mut self.first, rest);
        Poll::Ready((!next.is_empty()).then(|| Ok(Frame::data(next))))
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact((self.first.len() + self.second.len()) as u64)
    }
}

/// A body of two pieces, sent as they are; either may be empty.
pub fn pieces([first, second]: [Bytes; 2]) -> Body {
    if first.is_empty() {
        return Body::from(second);
    }
    Body::new(Pieces { first, second })
}

/// The bytes in a reply's body.
pub fn length(body: &impl http_body::Body) -> usize {
    // Everything we send is there when the reply is, and so has an exact size.
    usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX)
}

/// A reply with a body of one piece.
pub fn reply(status: StatusCode, content_type: HeaderValue, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(Body::from(body.into()));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, content_type);
    reply
}

/// A reply with what `value` is in JSON.
pub fn json(status: StatusCode, value: &impl serde::Serialize) -> Reply {
    // Only a map with keys that are no strings could fail here, and nothing we send has one.
    reply(status, JSON, serde_json::to_vec(value).unwrap_or_default())
}

/// What clearing the caches has always been answered with.
pub fn cleared() -> Reply {
    #[derive(serde::Serialize)]
    struct Cleared {
        success: bool,
        message: &'static str,
        timestamp: String,
    }
    let timestamp = format!("{:.3}", jiff::Timestamp::now());
    json(
        StatusCode::OK,
        &Cleared { success: true, message: "Routing caches cleared successfully", timestamp },
    )
}

#[cfg(test)]
mod tests {
    use http_body::Body as _;
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_has_to_be_read_in_time_is_whole_or_breaks_off() {
        let timed = || {
            let by = ReadBy(Instant::now() + std::time::Duration::from_mins(1));
            by.bind(reply(StatusCode::OK, TEXT, vec![b'x'; 3 * MOUTHFUL + 1])).into_body()
        };
        let body = timed();
        assert_eq!(length(&body), 3 * MOUTHFUL + 1);
        assert_eq!(body.collect().await.unwrap().to_bytes().len(), 3 * MOUTHFUL + 1);
        let mut body = timed();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap().len(), MOUTHFUL);
        tokio::time::advance(std::time::Duration::from_mins(1)).await;
        assert!(body.frame().await.unwrap().is_err());
    }

    #[tokio::test]
    async fn pieces_come_in_order() {
        for (first, second) in [("ab", "c"), ("", "c"), ("ab", ""), ("", "")] {
            let body = pieces([Bytes::from(first), Bytes::from(second)]);
            assert_eq!(body.size_hint().exact(), Some((first.len() + second.len()) as u64));
            assert_eq!(body.is_end_stream(), first.is_empty() && second.is_empty());
            let collected = body.collect().await.unwrap().to_bytes();
            assert_eq!(collected, format!("{first}{second}"));
        }
    }
}
