//! Receives request bodies.

use std::sync::Arc;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::reject::Rejection;
use crate::doors::server::Refusal;

/// Up to here a body is nothing to reckon with, and a promised length reserves no more than this.
const SMALL: usize = 64 * 1024;
/// What room is counted in, in bytes.
const UNIT: usize = 4096;

/// What a body says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Media {
    Json,
    Other,
}

/// What the headers say the body is; refuses what could not be read.
pub(super) fn media(headers: &HeaderMap) -> Result<Media, Rejection> {
    if let Some(coding) = headers.get(CONTENT_ENCODING)
        && !coding.as_bytes().eq_ignore_ascii_case(b"identity")
    {
        return Err(Rejection::media(
            "packed request bodies are not accepted, send it without Content-Encoding",
        ));
    }
    let Some(text) = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()) else {
        return Ok(Media::Other);
    };
    let mut parts = text.split(';').map(str::trim);
    let json = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("application/json"));
    for parameter in parts {
        if let Some((name, value)) = parameter.split_once('=')
            && name.trim().eq_ignore_ascii_case("charset")
        {
            let charset = value.trim().trim_matches('"');
            if !["utf-8", "utf8", "us-ascii"].iter().any(|known| known.eq_ignore_ascii_case(charset)) {
                return Err(Rejection::media(format!("the charset {charset:?} is not accepted, send UTF-8")));
            }
        }
    }
    Ok(if json { Media::Json } else { Media::Other })
}

/// Where bodies are kept while they are received and read: bounded each, and all together.
#[derive(Debug)]
pub(super) struct Store {
    most: usize,
    /// One permit per [`UNIT`] of memory.
    room: Arc<Semaphore>,
}

/// A received body, and its part of the [`Store`]'s room.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) bytes: Bytes,
    room: Option<OwnedSemaphorePermit>,
}

impl Received {
    /// Lets go of the bytes alone.
    pub(super) fn room(self) -> Option<OwnedSemaphorePermit> {
        self.room
    }
}

impl Store {
    /// Room for bodies of up to `most` bytes, and `all` bytes together.
    pub(super) fn new(most: usize, all: usize) -> Self {
        Self { most, room: Arc::new(Semaphore::new(all / UNIT)) }
    }

    /// The whole body.
    pub(super) async fn receive(&self, mut body: Body) -> Result<Received, Rejection> {
        let promised = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
        if promised > self.most {
            return Err(Rejection::too_large(self.most));
        }
        let first = piece(&mut body).await?.unwrap_or_default();
        // The common case: it came in one piece, and is used where it lies.
        if body.is_end_stream() {
            return if first.len() <= self.most {
                Ok(Received { bytes: first, room: None })
            } else {
                Err(Rejection::too_large(self.most))
            };
        }
        let mut whole = BytesMut::with_capacity(promised.clamp(first.len(), SMALL.max(first.len())));
        let mut room = None;
        let mut next = first;
        loop {
            if whole.len() + next.len() > self.most {
                return Err(Rejection::too_large(self.most));
            }
            self.make_room(&mut room, whole.len() + next.len())?;
            whole.extend_from_slice(&next);
            match piece(&mut body).await? {
                Some(piece) => next = piece,
                None => return Ok(Received { bytes: whole.freeze(), room }),
            }
        }
    }

    /// Takes room as the body grows, so that a promise alone takes none.
    fn make_room(&self, room: &mut Option<OwnedSemaphorePermit>, bytes: usize) -> Result<(), Rejection> {
        let held = room.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let needed = bytes.saturating_sub(SMALL).div_ceil(UNIT);
        let Some(more) = needed.checked_sub(held).filter(|more| *more > 0) else { return Ok(()) };
        let more = u32::try_from(more).unwrap_or(u32::MAX);
        let Ok(permit) = Arc::clone(&self.room).try_acquire_many_owned(more) else {
            return Err(Rejection::crowded("too many large requests at once"));
        };
        match room {
            Some(room) => room.merge(permit),
            None => *room = Some(permit),
        }
        Ok(())
    }
}

/// The next piece with data in it; trailers are passed over.
async fn piece(body: &mut Body) -> Result<Option<Bytes>, Rejection> {
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
            Err(error) => {
                return Err(Refusal::cause_of(&error).map_or_else(Rejection::cut_off, Rejection::from));
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use http::header::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    use super::*;

    fn of(name: HeaderName, value: &str) -> Result<Media, StatusCode> {
        let headers = HeaderMap::from_iter([(name, value.parse().unwrap())]);
        media(&headers).map_err(|rejection| rejection.status)
    }

    #[test]
    fn media_types() {
        for text in
            ["application/json", "Application/JSON; charset=utf-8", "application/json;charset=\"UTF-8\""]
        {
            assert_eq!(of(CONTENT_TYPE, text), Ok(Media::Json), "{text}");
        }
        for text in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "application/jsonp",
            "",
            "text/plain; charset=us-ascii",
        ] {
            assert_eq!(of(CONTENT_TYPE, text), Ok(Media::Other), "{text}");
        }
        assert_eq!(of(CONTENT_TYPE, "text/plain; charset=utf-16"), Err(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        assert_eq!(of(CONTENT_ENCODING, "gzip"), Err(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        assert_eq!(of(CONTENT_ENCODING, "Identity"), Ok(Media::Other));
        assert_eq!(media(&HeaderMap::new()), Ok(Media::Other));
    }

    proptest! {
        #[test]
        fn no_header_is_too_odd(text in "(application/json|charset|utf-8|[;=\" \ta\u{e9}\u{1f600}]){0,12}", bytes: Vec<u8>) {
            for value in [text.as_bytes(), &bytes].map(HeaderValue::from_bytes).into_iter().flatten() {
                for name in [CONTENT_TYPE, CONTENT_ENCODING] {
                    let _media = media(&HeaderMap::from_iter([(name, value.clone())])).is_ok();
                }
            }
        }
    }
}
