//! Packs replies for the way, when the client asks for it and it is worth it.

use std::io::{self, Write as _};

use axum::body::Body;
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, HeaderValue};
use http_body_util::BodyExt as _;

use super::negotiate::Coding;
use crate::doors::reply::{self, ReadBy, Reply};
use crate::lifecycle;

/// Below this packing costs more than it saves: the head and the body fit one segment anyway.
const WORTH_PACKING: usize = 1024;
/// Up to here packing takes well under a millisecond, and is done on the spot.
const ON_THE_SPOT: usize = 64 * 1024;
/// Listings shrink about tenfold at the lowest levels; the higher ones cost more than they give.
const GZIP_LEVEL: u32 = 1;
const ZSTD_LEVEL: i32 = 1;

/// Packs the body of `reply` the way the client prefers, which has to read it in time from now on.
pub(super) async fn pack(mut reply: Reply, coding: Coding) -> Reply {
    let read_by = reply.extensions_mut().remove::<ReadBy>();
    let packed = packed(reply, coding).await;
    match read_by {
        None => packed,
        Some(read_by) => read_by.bind(packed),
    }
}

async fn packed(reply: Reply, coding: Coding) -> Reply {
    let bytes = reply::length(reply.body());
    if coding == Coding::Identity || bytes < WORTH_PACKING {
        return reply;
    }
    let (mut head, body) = reply.into_parts();
    let pieces = pieces(body).await;
    let packed = if bytes <= ON_THE_SPOT {
        squeeze(&pieces, coding)
    } else {
        let pieces = pieces.clone();
        let work = lifecycle::blocking("pack", move || squeeze(&pieces, coding));
        work.await.unwrap_or_else(|error| Err(io::Error::other(error)))
    };
    match packed {
        Ok((packed, name)) => {
            head.headers.insert(CONTENT_ENCODING, HeaderValue::from_static(name));
            Reply::from_parts(head, Body::from(packed))
        }
        // The client can read it as it is, too.
        Err(error) => {
            tracing::warn!(error = %error, "could not pack a reply");
            Reply::from_parts(head, Body::from(pieces.concat()))
        }
    }
}

/// What a body is made of, uncopied. It is all there already, and cannot fail.
async fn pieces(mut body: Body) -> Vec<Bytes> {
    let mut pieces = Vec::new();
    while let Some(Ok(frame)) = body.frame().await {
        pieces.extend(frame.into_data());
    }
    pieces
}

fn squeeze(pieces: &[Bytes], coding: Coding) -> io::Result<(Vec<u8>, &'static str)> {
    let bytes: usize = pieces.iter().map(Bytes::len).sum();
    let room = Vec::with_capacity(bytes / 8 + 64);
    match coding {
        Coding::Identity => Ok((pieces.concat(), "identity")),
        Coding::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(room, flate2::Compression::new(GZIP_LEVEL));
            pieces.iter().try_for_each(|piece| encoder.write_all(piece))?;
            Ok((encoder.finish()?, "gzip"))
        }
        Coding::Zstd => {
            let mut encoder = zstd::Encoder::new(room, ZSTD_LEVEL)?;
            pieces.iter().try_for_each(|piece| encoder.write_all(piece))?;
            Ok((encoder.finish()?, "zstd"))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use http::StatusCode;

    use super::*;
    use crate::doors::reply::{TEXT, reply};

    async fn packed(bytes: usize, coding: Coding) -> (Option<String>, Vec<u8>) {
        let reply = pack(reply(StatusCode::OK, TEXT, "a listing ".repeat(bytes / 10)), coding).await;
        let name = reply.headers().get(CONTENT_ENCODING).map(|name| name.to_str().unwrap().to_owned());
        (name, pieces(reply.into_body()).await.concat())
    }

    #[tokio::test]
    async fn what_is_packed_can_be_unpacked() {
        for bytes in [2_000, 200_000] {
            let (name, body) = packed(bytes, Coding::Gzip).await;
            assert_eq!(name.as_deref(), Some("gzip"));
            let mut text = String::new();
            flate2::read::GzDecoder::new(body.as_slice()).read_to_string(&mut text).unwrap();
            assert_eq!(text, "a listing ".repeat(bytes / 10));
            let (name, body) = packed(bytes, Coding::Zstd).await;
            assert_eq!(name.as_deref(), Some("zstd"));
            assert_eq!(zstd::decode_all(body.as_slice()).unwrap(), text.as_bytes());
        }
    }

    #[tokio::test]
    async fn small_and_unasked_bodies_stay_as_they_are() {
        assert_eq!(packed(1_000, Coding::Zstd).await, (None, "a listing ".repeat(100).into_bytes()));
        assert_eq!(packed(2_000, Coding::Identity).await.0, None);
    }
}
