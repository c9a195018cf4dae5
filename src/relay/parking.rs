//! Jobs and results too large to be sent (contract-cloud 3.3 and 4.6; decisions D5 and D10).

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use tokio::time::{sleep, timeout_at};

use super::{JobName, Relay, RelayError};
use crate::domain::ids::RequestId;
use crate::domain::limits::{Deadline, MIB};
use crate::ports::{Blob, BlobAddress};
use crate::wire::envelope::{self, Parked};
use crate::wire::frame::Notice;
use crate::wire::relayed::{self, Joined};

/// Bytes of the largest result fetched: the largest artifact a worker keeps, as JSON.
const LARGEST_RESULT: u64 = 256 * MIB;
/// How often a result is asked for. Its store may not have it yet when the word of it comes.
const TRIES: u32 = 4;
/// Before the second try; doubles.
const PAUSE: Duration = Duration::from_millis(100);

/// A result as it is for the client.
#[derive(Debug)]
pub(super) struct Opened {
    /// The JSON object.
    pub(super) result: Bytes,
    /// How long the job waited on its queue, if the frame tells.
    pub(super) queued: Option<Duration>,
}

impl Relay {
    /// Parks a job, and writes the note that stands in for it.
    pub(super) async fn park(&self, job: JobName<'_>, body: String) -> Result<String, RelayError> {
        let (settings, bytes, now) = (&self.0.parts.settings, body.len(), Timestamp::now());
        let failed = |source| RelayError::Park { bytes, source };
        let place = settings.overflow.as_ref().ok_or_else(|| failed(None))?;
        let environment = &settings.environment;
        let at = place.at(&format!("{environment}/{}/{}.json", now.strftime("%Y-%m-%d"), job.id));
        let metadata = BTreeMap::from([
            ("guid".to_owned(), job.id.as_str().to_owned()),
            // Metadata travels in headers.
            ("compilerId".to_owned(), job.compiler.escape_default().to_string()),
            ("environment".to_owned(), environment.clone()),
            ("originalSize".to_owned(), bytes.to_string()),
        ]);
        let blob = Blob { bytes: Bytes::from(body), content_type: "application/json".to_owned(), metadata };
        self.0.parts.blobs.put(&at, blob).await.map_err(|error| failed(Some(error)))?;
        let parked = Parked { id: job.id.clone(), bucket: at.bucket, key: at.key };
        Ok(envelope::write_parked(&parked, job.compiler, bytes, &format!("{now:.3}")))
    }

    /// The result of the job `wanted`, in a frame or where the frame says; `None` if the frame is nothing of the kind.
    pub(super) async fn open(
        &self,
        wanted: &RequestId,
        frame: &Bytes,
        deadline: Deadline,
    ) -> Result<Option<Opened>, RelayError> {
        let notice = std::str::from_utf8(frame).ok().and_then(|text| Notice::read(text).ok());
        let Some(Notice::Result { id, parked }) = notice.filter(|notice| notice.is_result_of(wanted)) else {
            return Ok(None);
        };
        let join = |parked: Option<&[u8]>| {
            relayed::join(parked, frame).map_err(|error| {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(request.id = %wanted, error, "a result is none");
                RelayError::Fetch
            })
        };
        let Some(key) = parked else {
            let Joined { result, queued } = join(None)?;
            return Ok(Some(Opened { result: Bytes::from(result), queued }));
        };
        let turn = timeout_at(deadline.instant(), self.0.fetches.acquire()).await;
        let _turn = turn.map_err(|_| RelayError::Crowded)?;
        let Joined { result, queued } = join(Some(&self.fetch(&id, &key, deadline).await?))?;
        let result = self.0.room.hold(result).ok_or(RelayError::Crowded)?;
        Ok(Some(Opened { result, queued }))
    }

    async fn fetch(&self, id: &RequestId, key: &str, deadline: Deadline) -> Result<Bytes, RelayError> {
        let failed = |reason: &str| {
            tracing::error!(request.id = %id, key, reason, "could not fetch a result");
            RelayError::Fetch
        };
        let place = self.0.parts.settings.results.as_ref();
        let place = place.ok_or_else(|| failed("no bucket for results is configured"))?;
        let at: BlobAddress = place.at(key);
        if !place.holds(&at) {
            return Err(failed("not a key this worker reads"));
        }
        let (mut pause, mut tries) = (PAUSE, 1);
        loop {
            let reason = match self.0.parts.blobs.get(&at, LARGEST_RESULT).await {
                Ok(Some(blob)) => return Ok(blob.bytes),
                Ok(None) => "there is nothing".to_owned(),
                Err(error) => error.to_string(),
            };
            if tries == TRIES || deadline.remaining() < pause {
                return Err(failed(&reason));
            }
            sleep(pause).await;
            pause *= 2;
            tries += 1;
        }
    }
}
