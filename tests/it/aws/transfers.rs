//! Blobs: never a part of one, never more than asked for.

use std::time::Duration;

use compilation_worker::aws::{Kind, S3Blobs};
use compilation_worker::ports::{Blob, BlobAddress, BlobError, BlobStore as _};
use tokio::time::timeout;

use super::server::{Act, Server};
use super::{kind, said};

/// How long anything may take. A body that stands still is given up within half of it.
const PATIENCE: Duration = Duration::from_secs(20);

fn at() -> BlobAddress {
    BlobAddress { bucket: "results".to_owned(), key: "cache/temp/r-1".to_owned() }
}

/// Gets the blob, of so many bytes at most.
async fn get(server: &Server, cap: u64) -> Result<Option<Blob>, BlobError> {
    let (blobs, at) = (S3Blobs::new(&server.clients()), at());
    timeout(PATIENCE, blobs.get(&at, cap)).await.expect("it does not end")
}

async fn put(server: &Server) -> Result<(), BlobError> {
    S3Blobs::new(&server.clients()).put(&at(), Blob::default()).await
}

fn with_headers(headers: &str, body: &[u8]) -> Act {
    Act::Answer(200, headers.to_owned(), body.to_vec())
}

#[tokio::test]
async fn what_is_too_large_is_not_read() {
    // The first of them never comes in full, and is refused for what it announced.
    let announced = with_headers("Content-Length: 10000000000\r\n", b"{}");
    let chunked = with_headers("Transfer-Encoding: chunked\r\n", b"5\r\n12345\r\n5\r\n67890\r\n0\r\n\r\n");
    for (act, size) in [(announced, 10_000_000_000), (chunked, 10)] {
        let server = Server::doing([act]).await;
        let error = get(&server, 9).await.unwrap_err();
        let BlobError::TooLarge { bytes, cap, .. } = error else { panic!("{error}") };
        assert_eq!((bytes, cap), (size, 9));
    }
}

#[tokio::test]
async fn a_part_of_a_blob_is_none() {
    let begun = with_headers("Content-Length: 10\r\n", b"12345");
    for act in [begun.clone(), Act::Last(Box::new(begun))] {
        let server = Server::doing([act.clone()]).await;
        let error = get(&server, 100).await.unwrap_err();
        assert!(matches!(error, BlobError::Unreachable { act: "get", .. }), "{act:?}: {error}");
    }
}

#[tokio::test]
async fn a_denied_object_may_be_one_that_is_not_there() {
    let server = Server::doing([Act::xml_error(403, "AccessDenied")]).await;
    let error = get(&server, 5).await.unwrap_err();
    assert_eq!(kind(&error), Kind::Denied);
    assert!(
        said(&error).contains("not there too, as long as s3:ListBucket is not granted"),
        "{}",
        said(&error)
    );
}

#[tokio::test]
async fn reading_and_writing_are_tried_three_times() {
    let act = Act::xml_error(503, "SlowDown");
    let server = Server::doing([act.clone(), act.clone(), with_headers("", b"12345")]).await;
    let blob = get(&server, 5).await.unwrap().unwrap();
    assert_eq!((&blob.bytes[..], server.asked()), (&b"12345"[..], 3));

    let server = Server::doing([act]).await;
    let error = put(&server).await.unwrap_err();
    assert!(matches!(error, BlobError::Unreachable { act: "put", .. }), "{error}");
    assert_eq!((kind(&error), server.asked()), (Kind::Throttled, 3));
}

#[tokio::test]
async fn only_a_missing_key_is_a_missing_blob() {
    for (act, expected) in [
        (Act::xml_error(404, "NoSuchBucket"), Kind::Refused),
        (Act::xml_error(403, "AccessDenied"), Kind::Denied),
        (Act::xml_error(400, "ExpiredToken"), Kind::Expired),
        (Act::garbage(404), Kind::Refused),
    ] {
        let server = Server::doing([act]).await;
        let error = get(&server, 5).await.unwrap_err();
        assert_eq!(kind(&error), expected, "{error}");
    }
    let server = Server::doing([Act::xml_error(404, "NoSuchKey")]).await;
    assert_eq!(get(&server, 5).await.unwrap(), None);
}

#[tokio::test]
async fn no_name_leads_elsewhere() {
    let server = Server::doing([Act::xml_error(404, "NoSuchKey")]).await;
    let blobs = S3Blobs::new(&server.clients());
    let long = "x".repeat(3000);
    for name in [
        "",
        ".",
        "..",
        "a/../../b",
        "a?list-type=2",
        "a#b",
        "a b",
        "a\r\nHost: b",
        "@b",
        "http://b/",
        "\0",
        "ü",
        &long,
    ] {
        for (bucket, key) in [(name, "key"), ("results", name)] {
            let at = BlobAddress { bucket: bucket.to_owned(), key: key.to_owned() };
            let before = server.asked();
            let got = timeout(PATIENCE, blobs.get(&at, 5)).await.expect("it does not end");
            assert!(got.as_ref().is_ok_and(Option::is_none) || got.is_err(), "{at:?}: {got:?}");
            for request in &server.seen()[before..] {
                assert_eq!(request.header("host"), Some(server.host().as_str()), "{at:?}");
                assert!(
                    request.line().starts_with("GET /") && !request.line().contains("list-type="),
                    "{at:?}: {}",
                    request.line()
                );
            }
        }
    }
}
