//! Blobs in S3.

use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::operation::get_object::{GetObjectError, GetObjectOutput};
use aws_sdk_s3::primitives::ByteStream;
use bytes::{Bytes, BytesMut};

use crate::aws::clients::{Clients, Patience};
use crate::aws::fault::{Fault, Kind, chain};
use crate::ports::{Blob, BlobAddress, BlobError, BlobStore, Pending};

/// Reading and writing whole blobs can both be repeated. The time is for a put with its body, of some megabytes at
/// most, or for the head of a get; a body that stands still is noticed by itself.
const TRANSFER: Patience = Patience { attempt: Duration::from_secs(5), attempts: 3 };

/// Any bucket that the credentials open.
#[derive(Debug)]
pub struct S3Blobs {
    clients: Clients,
    client: Client,
}

impl S3Blobs {
    /// Asks nothing yet.
    pub fn new(clients: &Clients) -> Self {
        Self { clients: clients.clone(), client: clients.s3(TRANSFER) }
    }

    async fn fetch(&self, at: &BlobAddress) -> Result<Option<GetObjectOutput>, BlobError> {
        let call = self.client.get_object().bucket(&at.bucket).key(&at.key);
        match call.send().await {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if error.as_service_error().is_some_and(GetObjectError::is_no_such_key) => Ok(None),
            Err(error) => Err(unreachable("get", at, told(self.clients.fault(&error)))),
        }
    }
}

impl BlobStore for S3Blobs {
    fn get<'a>(&'a self, at: &'a BlobAddress, cap: u64) -> Pending<'a, Result<Option<Blob>, BlobError>> {
        Box::pin(async move {
            let Some(answer) = self.fetch(at).await? else { return Ok(None) };
            let announced =
                answer.content_length().and_then(|length| u64::try_from(length).ok()).unwrap_or(0);
            let bytes = read(answer.body, announced, cap).await.map_err(|trouble| match trouble {
                Trouble::TooLarge(bytes) => BlobError::TooLarge { at: at.clone(), bytes, cap },
                Trouble::Lost(fault) => unreachable("get", at, fault),
            })?;
            Ok(Some(Blob {
                bytes,
                content_type: answer.content_type.unwrap_or_default(),
                metadata: answer.metadata.into_iter().flatten().collect(),
            }))
        })
    }

    fn put<'a>(&'a self, at: &'a BlobAddress, blob: Blob) -> Pending<'a, Result<(), BlobError>> {
        Box::pin(async move {
            let call =
                self.client.put_object().bucket(&at.bucket).key(&at.key).content_type(blob.content_type);
            let call = call.set_metadata(Some(blob.metadata.into_iter().collect()));
            let answer = call.body(ByteStream::from(blob.bytes)).send().await;
            answer.map(drop).map_err(|error| unreachable("put", at, self.clients.fault(&error)))
        })
    }
}

/// Why a body is not read.
enum Trouble {
    TooLarge(u64),
    Lost(Fault),
}

/// Reads a body of at most `cap` bytes. What was announced as larger is not begun, and an announcement that was too
/// small is not believed.
async fn read(mut body: ByteStream, announced: u64, cap: u64) -> Result<Bytes, Trouble> {
    if announced > cap {
        return Err(Trouble::TooLarge(announced));
    }
    let mut whole = BytesMut::new();
    while let Some(part) = body.next().await {
        let part = part.map_err(|error| Trouble::Lost(Fault::new(Kind::Unreachable, &chain(&error))))?;
        let bytes = whole.len() as u64 + part.len() as u64;
        if bytes > cap {
            return Err(Trouble::TooLarge(bytes));
        }
        whole.extend_from_slice(&part);
    }
    Ok(whole.freeze())
}

/// Without the right to list a bucket, S3 denies the existence of what is not there as it denies access. Nobody looks for
/// a missing object because of that word alone.
fn told(mut fault: Fault) -> Fault {
    if fault.kind == Kind::Denied {
        fault
            .detail
            .push_str(" (said of objects that are not there too, as long as s3:ListBucket is not granted)");
    }
    fault
}

fn unreachable(act: &'static str, at: &BlobAddress, fault: Fault) -> BlobError {
    BlobError::Unreachable { act, at: at.clone(), source: Box::new(fault) }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn size(announced: u64, cap: u64) -> Result<usize, u64> {
        match read(ByteStream::from_static(b"12345"), announced, cap).await {
            Ok(bytes) => Ok(bytes.len()),
            Err(Trouble::TooLarge(bytes)) => Err(bytes),
            Err(Trouble::Lost(fault)) => panic!("{fault}"),
        }
    }

    #[tokio::test]
    async fn a_cap_holds_whatever_was_announced() {
        assert_eq!(size(5, 5).await, Ok(5));
        assert_eq!(size(0, 5).await, Ok(5), "nothing was announced");
        assert_eq!(size(5, 4).await, Err(5));
        assert_eq!(size(1, 4).await, Err(5), "less was announced than came");
        assert_eq!(size(u64::MAX, 4).await, Err(u64::MAX));
    }
}
