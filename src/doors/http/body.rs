//! Receives request bodies.

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use super::reject::Rejection;
use crate::doors::server::Refusal;

/// Room made at once for a body that comes in pieces; a promised length alone reserves no more.
const FIRST_ROOM: usize = 64 * 1024;

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

/// The whole body, if it has at most `most` bytes.
pub(super) async fn receive(mut body: Incoming, most: usize) -> Result<Bytes, Rejection> {
    let promised = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if promised > most {
        return Err(Rejection::too_large(most));
    }
    let Some(first) = piece(&mut body).await? else { return Ok(Bytes::new()) };
    // The common case: it came in one piece, and is used where it lies.
    if body.is_end_stream() {
        return within(first, most);
    }
    let mut whole = BytesMut::with_capacity(promised.clamp(first.len(), FIRST_ROOM.max(first.len())));
    whole.extend_from_slice(&first);
    while let Some(next) = piece(&mut body).await? {
        if whole.len() + next.len() > most {
            return Err(Rejection::too_large(most));
        }
        whole.extend_from_slice(&next);
    }
    within(whole.freeze(), most)
}

fn within(body: Bytes, most: usize) -> Result<Bytes, Rejection> {
    if body.len() <= most { Ok(body) } else { Err(Rejection::too_large(most)) }
}

/// The next piece with data in it; trailers are passed over.
async fn piece(body: &mut Incoming) -> Result<Option<Bytes>, Rejection> {
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
    use http::header::HeaderName;

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
}
