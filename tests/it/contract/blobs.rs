//! What every blob store promises.

use std::sync::Arc;

use bytes::Bytes;
use compilation_worker::domain::class::{Class, Classify as _};
use compilation_worker::local::blobs::LocalBlobs;
use compilation_worker::ports::{Blob, BlobAddress, BlobError, BlobStore};

use super::suite;

fn local() -> Arc<dyn BlobStore> {
    Arc::new(LocalBlobs::new(1024 * 1024))
}

suite! { Arc<dyn BlobStore>; in_process = super::local:
    what_is_put_is_got
    a_missing_blob_is_not_a_failure
    a_later_put_wins
    the_cap_is_exact
}

fn at(key: &str) -> BlobAddress {
    BlobAddress { bucket: "results".to_owned(), key: key.to_owned() }
}

fn blob(bytes: &'static [u8]) -> Blob {
    Blob {
        bytes: Bytes::from_static(bytes),
        content_type: "application/json".to_owned(),
        metadata: [("guid".to_owned(), "r-1".to_owned())].into(),
    }
}

async fn what_is_put_is_got(blobs: Arc<dyn BlobStore>) {
    let weird = blob(b"{\"a\":\"\xff\x00\"}");
    blobs.put(&at("temp/r-1"), weird.clone()).await.unwrap();
    assert_eq!(blobs.get(&at("temp/r-1"), 1024).await.unwrap(), Some(weird));
}

async fn a_missing_blob_is_not_a_failure(blobs: Arc<dyn BlobStore>) {
    blobs.put(&at("there"), blob(b"1")).await.unwrap();
    assert_eq!(blobs.get(&at("elsewhere"), 1024).await.unwrap(), None);
    let elsewhere = BlobAddress { bucket: "other".to_owned(), ..at("there") };
    assert_eq!(blobs.get(&elsewhere, 1024).await.unwrap(), None);
}

async fn a_later_put_wins(blobs: Arc<dyn BlobStore>) {
    blobs.put(&at("twice"), blob(b"1")).await.unwrap();
    blobs.put(&at("twice"), blob(b"22")).await.unwrap();
    assert_eq!(blobs.get(&at("twice"), 2).await.unwrap(), Some(blob(b"22")));
}

async fn the_cap_is_exact(blobs: Arc<dyn BlobStore>) {
    blobs.put(&at("capped"), blob(b"12345")).await.unwrap();
    assert!(blobs.get(&at("capped"), 5).await.unwrap().is_some());
    let error = blobs.get(&at("capped"), 4).await.unwrap_err();
    assert!(matches!(error, BlobError::TooLarge { bytes: 5, cap: 4, .. }), "{error}");
    assert_eq!(error.class(), Class::TooLarge);
    assert_eq!(error.to_string(), "blob results/capped has 5 bytes, more than the 4 allowed");
}

#[tokio::test]
async fn a_store_in_this_process_is_bounded() {
    let blobs = LocalBlobs::new(10);
    for key in ["a", "b", "c"] {
        blobs.put(&at(key), blob(b"1234")).await.unwrap();
    }
    assert_eq!(blobs.held(), 8);
    assert_eq!(blobs.get(&at("a"), 99).await.unwrap(), None, "the oldest made room");
    blobs.put(&at("c"), blob(b"123456")).await.unwrap();
    assert_eq!(blobs.held(), 10, "a blob replaced is counted once");
    assert!(blobs.get(&at("b"), 99).await.unwrap().is_some(), "what is replaced makes room first");
    let error = blobs.put(&at("d"), blob(b"12345678901")).await.unwrap_err();
    assert!(matches!(error, BlobError::TooLarge { bytes: 11, cap: 10, .. }), "{error}");
    assert_eq!(blobs.held(), 10, "what does not fit evicts nothing");
}
