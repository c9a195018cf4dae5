//! Fetches jobs that were too large for the queue (decision D10).

use std::time::Duration;

use tokio::time::sleep;

use super::Desk;
use crate::domain::limits::{Deadline, MIB};
use crate::doors::workshop::Workshop;
use crate::ports::{Blob, BlobAddress, BlobError};
use crate::wire::envelope::{self, EnvelopeError, Incoming, Job, Parked};

/// Bytes of a parked job: the largest body a router takes (16 MiB), and what JSON's escapes can make of it.
const LARGEST: u64 = 32 * MIB;
/// How often a job is asked for.
const TRIES: u32 = 3;
/// Between two tries, with jitter.
const PAUSE: Duration = Duration::from_millis(500);

/// Why a parked job could not be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    /// It lies where we do not read.
    #[error("the job lies at {0}, where this worker does not read")]
    Forbidden(BlobAddress),
    /// Nothing lies there.
    #[error("the job does not lie at {0}")]
    Missing(BlobAddress),
    /// The store did not give it.
    #[error("could not fetch the job")]
    Store(#[source] BlobError),
    /// It is no text.
    #[error("the job at {0} is not UTF-8")]
    Encoding(BlobAddress),
    /// It is no job.
    #[error(transparent)]
    Envelope(EnvelopeError),
    /// It is another job than the message announced.
    #[error("another job lies at {0}")]
    Other(BlobAddress),
}

impl FetchError {
    /// Whether another try may do better.
    pub(super) fn may_pass(&self) -> bool {
        matches!(self, Self::Store(error) if !matches!(error, BlobError::TooLarge { .. }))
    }
}

impl<W: Workshop> Desk<W> {
    /// The job that `parked` announces, and its text.
    pub(super) async fn fetch(
        &self,
        parked: Parked,
        deadline: Deadline,
    ) -> Result<(Job, String), FetchError> {
        let at = BlobAddress { bucket: parked.bucket, key: parked.key };
        if !self.parts.settings.overflow.as_ref().is_some_and(|place| place.holds(&at)) {
            return Err(FetchError::Forbidden(at));
        }
        let blob = self.get(&at, deadline).await?;
        let text = String::from_utf8(blob.bytes.into()).map_err(|_| FetchError::Encoding(at.clone()))?;
        match envelope::read(&text).map_err(FetchError::Envelope)? {
            Incoming::Job(job) if job.id == parked.id => Ok((*job, text)),
            // One that announces a third would lead us around for ever.
            Incoming::Job(_) | Incoming::Parked(_) => Err(FetchError::Other(at)),
        }
    }

    async fn get(&self, at: &BlobAddress, deadline: Deadline) -> Result<Blob, FetchError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let failure = match self.parts.blobs.get(at, LARGEST).await {
                Ok(Some(blob)) => return Ok(blob),
                Ok(None) => FetchError::Missing(at.clone()),
                Err(error @ BlobError::TooLarge { .. }) => return Err(FetchError::Store(error)),
                Err(error) => FetchError::Store(error),
            };
            let pause = PAUSE.mul_f64(0.5 + fastrand::f64());
            if tries == TRIES || deadline.remaining() < pause {
                return Err(failure);
            }
            sleep(pause).await;
        }
    }
}
