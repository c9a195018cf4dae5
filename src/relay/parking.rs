//! Jobs and results too large to be sent (contract-cloud 3.3 and 4.6; decisions D5 and D10).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{sleep, timeout_at};
use tracing::field::display;

use super::{JobName, Relay, RelayError, Relayed};
use crate::domain::ids::RequestId;
use crate::domain::limits::{Deadline, MIB};
use crate::domain::trace::TraceId;
use crate::lifecycle;
use crate::ports::{Blob, BlobAddress};
use crate::wire::envelope::{self, Parked};
use crate::wire::frame::Notice;
use crate::wire::relayed::{self, Shape, Shown};

/// Bytes of the largest result fetched: the largest artifact a worker keeps, as JSON.
const LARGEST_RESULT: u64 = 256 * MIB;
/// How often a result is asked for. Its store may not have it yet when the word of it comes.
const TRIES: u32 = 4;
/// Before the second try; doubles.
const PAUSE: Duration = Duration::from_millis(100);

/// Above this, putting a result together takes about a millisecond: too long for a thread that others wait for.
const LARGE: usize = 128 * 1024;

/// A frame that brings a result, or says where it lies.
#[derive(Debug)]
pub(super) struct Word {
    id: RequestId,
    trace: Option<TraceId>,
    parked: Option<String>,
    /// How long the job waited on its queue, if that is told.
    pub(super) queued: Option<Duration>,
    frame: Bytes,
}

impl Word {
    /// What `frame` says; `None` if it is not the word of this job.
    pub(super) fn read(job: JobName<'_>, frame: Bytes) -> Option<Self> {
        let notice = std::str::from_utf8(&frame).ok().and_then(|text| Notice::read(text).ok())?;
        match notice {
            Notice::Result { id, parked, queued } if id == *job.id => {
                let trace = job.trace.map(|context| context.id);
                Some(Self { id, trace, parked, queued, frame })
            }
            _ => None,
        }
    }
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

    /// The result that a word brings. What lies in the store waits there until it may be fetched, and then until there
    /// is room for it; a client who does not read has it for as long as the door lets it.
    pub(super) async fn open(
        &self,
        word: Word,
        deadline: Deadline,
        shape: Shape,
    ) -> Result<Relayed, RelayError> {
        let Some(key) = &word.parked else {
            let Shown { body, status } = show(word, None, shape, None).await?;
            return Ok(Relayed { body: body.into(), status });
        };
        let turn = Arc::clone(&self.0.fetches).acquire_owned();
        let turn = timeout_at(deadline.instant(), turn).await.ok().and_then(Result::ok);
        let turn = Arc::new(turn.ok_or(RelayError::Crowded)?);
        let parked = self.fetch(&word, key, deadline).await?;
        let Shown { body, status } = show(word, Some(parked), shape, Some(Arc::clone(&turn))).await?;
        let held = timeout_at(deadline.instant(), self.0.room.hold_when_free(body)).await.ok().flatten();
        Ok(Relayed { body: held.ok_or(RelayError::Crowded)?, status })
    }

    async fn fetch(&self, word: &Word, key: &str, deadline: Deadline) -> Result<Bytes, RelayError> {
        let failed = |reason: &str| {
            let (id, trace) = (&word.id, word.trace.map(display));
            tracing::error!(request.id = %id, trace.id = trace, key, reason, "could not fetch a result");
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
            let getting = self.0.parts.blobs.get(&at, LARGEST_RESULT);
            let reason = match timeout_at(deadline.instant(), getting).await {
                Ok(Ok(Some(blob))) => return Ok(blob.bytes),
                Ok(Ok(None)) => "there is nothing".to_owned(),
                Ok(Err(error)) => error.to_string(),
                Err(_) => "it did not come in time".to_owned(),
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

/// Puts a result together. `turn` is held to the end of the work, which goes on when the caller has left.
async fn show(
    word: Word,
    parked: Option<Bytes>,
    shape: Shape,
    turn: Option<Arc<OwnedSemaphorePermit>>,
) -> Result<Shown, RelayError> {
    let bytes = word.frame.len() + parked.as_ref().map_or(0, Bytes::len);
    let shown = if bytes < LARGE {
        relayed::show(parked, &word.frame, shape)
    } else {
        let frame = word.frame;
        let showing = lifecycle::blocking("show result", move || {
            let _turn = turn;
            relayed::show(parked, &frame, shape)
        });
        showing.await.map_err(|_| RelayError::Fetch)?
    };
    shown.map_err(|error| {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(request.id = %word.id, trace.id = word.trace.map(display), error, "a result is none");
        RelayError::Fetch
    })
}
