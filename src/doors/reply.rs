//! Replies: what every door answers with.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue};
use http_body::{Frame, SizeHint};

/// `application/json; charset=utf-8`
pub const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
/// `text/plain; charset=utf-8`
pub const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// What a service answers.
pub type Reply = Response;

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
