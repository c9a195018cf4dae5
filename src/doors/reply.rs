//! Replies: a body of at most two pieces that nobody copies.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use http_body::{Body, Frame, SizeHint};

/// `application/json; charset=utf-8`
pub const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
/// `text/plain; charset=utf-8`
pub const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// What a service answers.
pub type Reply = Response<Payload>;

/// A body of at most two pieces, sent as they are.
#[derive(Debug, Clone, Default)]
pub struct Payload {
    first: Bytes,
    second: Bytes,
}

impl Payload {
    /// The bytes in all.
    pub fn len(&self) -> usize {
        self.first.len() + self.second.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The pieces in order; either may be empty.
    pub fn pieces(&self) -> [&[u8]; 2] {
        [&self.first, &self.second]
    }
}

impl From<[Bytes; 2]> for Payload {
    fn from([first, second]: [Bytes; 2]) -> Self {
        if first.is_empty() { Self { first: second, second: first } } else { Self { first, second } }
    }
}

impl From<Bytes> for Payload {
    fn from(bytes: Bytes) -> Self {
        Self { first: bytes, second: Bytes::new() }
    }
}

impl Body for Payload {
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
        self.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.len() as u64)
    }
}

/// A reply with a body of one piece.
pub fn reply(status: StatusCode, content_type: HeaderValue, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(Payload::from(body.into()));
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
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn pieces_come_in_order() {
        for (first, second) in [("ab", "c"), ("", "c"), ("ab", ""), ("", "")] {
            let payload = Payload::from([Bytes::from(first), Bytes::from(second)]);
            assert_eq!(payload.size_hint().exact(), Some((first.len() + second.len()) as u64));
            assert_eq!(payload.is_end_stream(), first.is_empty() && second.is_empty());
            let collected = payload.collect().await.unwrap().to_bytes();
            assert_eq!(collected, format!("{first}{second}"));
        }
    }
}
