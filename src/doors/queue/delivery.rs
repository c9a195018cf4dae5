//! Brings a result to whoever waits for it (decisions D5 and D6).

use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep};
use tracing::field::DisplayValue;

use super::Desk;
use super::handling::REST;
use super::ledger::Sent;
use super::verdict::Verdict;
use crate::domain::ids::RequestId;
use crate::domain::limits::Deadline;
use crate::domain::result::JobStatus;
use crate::domain::trace::{TraceId, Traced};
use crate::doors::trace_of;
use crate::doors::workshop::Workshop;
use crate::failpoint::{Point, amid, reach};
use crate::ports::{Blob, PublishError};
use crate::wire::frame;

/// How long it is tried to store a result that is too large to be sent. Its job's place is not free for so long.
const STORING: Duration = Duration::from_secs(20);

/// Whose result it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct JobRef<'a> {
    pub(super) id: &'a RequestId,
    /// Its place in the trace that it is part of.
    pub(super) traced: Option<Traced>,
}

impl JobRef<'_> {
    /// Its trace, as the log has it.
    pub(super) fn trace(self) -> Option<DisplayValue<TraceId>> {
        trace_of(self.traced)
    }
}

/// A result that was made.
#[derive(Debug)]
pub(super) struct Made {
    /// The JSON object, in pieces.
    pub(super) body: [Bytes; 2],
    /// How the job ended.
    pub(super) status: JobStatus,
    /// How long it took.
    pub(super) took: Duration,
}

impl Made {
    /// The result of a job that could not be done.
    pub(super) fn failed(message: &str, status: JobStatus, took: Duration) -> Self {
        let body = Bytes::from(frame::failure(message, took));
        Self { body: [body, Bytes::new()], status, took }
    }
}

impl<W: Workshop> Desk<W> {
    /// The frame for a result: the whole of it, or the word where it lies if it is larger than the bus takes.
    pub(super) async fn frame(
        &self,
        job: JobRef<'_>,
        made: &Made,
        queued: Option<Duration>,
        deadline: Deadline,
    ) -> Sent {
        let whole = Bytes::from(frame::result(job.id, &[&made.body[0], &made.body[1]], queued));
        let frame = if whole.len() <= self.parts.bus.largest_frame() {
            whole
        } else {
            self.light(job, whole, made.took, deadline).await
        };
        Sent { frame, status: made.status }
    }

    /// Offers a result until somebody has it, or nobody waits for it any more.
    pub(super) async fn deliver(&self, job: JobRef<'_>, sent: Sent, deadline: Deadline) -> Verdict {
        let JobRef { id, .. } = job;
        match self.publish(id, sent.frame.clone(), deadline).await {
            Ok(()) => Verdict::Done(sent.status),
            Err(PublishError::Unacknowledged { .. }) => {
                // Whoever comes later finds it by its name.
                if let Err(reason) = self.park(id, sent.frame).await {
                    tracing::debug!(request.id = %id, trace.id = job.trace(), reason, "an unclaimed result is not kept");
                }
                Verdict::Unclaimed(sent.status)
            }
            Err(error @ PublishError::TooLarge { .. }) => {
                // The other end takes less than it said: the same frame would only be refused again.
                tracing::error!(request.id = %id, trace.id = job.trace(), error = &error as &dyn std::error::Error, "refused");
                let light = self.light(job, sent.frame, Duration::ZERO, deadline).await;
                match self.publish(id, light, deadline).await {
                    Ok(()) => Verdict::Done(sent.status),
                    Err(_) => Verdict::Unclaimed(sent.status),
                }
            }
        }
    }

    async fn publish(&self, id: &RequestId, frame: Bytes, deadline: Deadline) -> Result<(), PublishError> {
        let publishing = self.parts.bus.publish(id, frame, deadline);
        let planted = |_| PublishError::Unacknowledged { id: id.clone() };
        amid(Point::Published, publishing).await.map_err(planted)?
    }

    /// A frame that stands for one that is too large: where that lies now or, if nowhere, that it is lost.
    async fn light(&self, job: JobRef<'_>, whole: Bytes, took: Duration, deadline: Deadline) -> Bytes {
        let JobRef { id, .. } = job;
        let (bytes, until) = (whole.len(), deadline.instant().min(Instant::now() + STORING));
        let parked = loop {
            match self.park(id, whole.clone()).await {
                Err(_) if self.parts.settings.results.is_some() && Instant::now() + REST < until => {
                    sleep(REST).await;
                }
                parked => break parked,
            }
        };
        Bytes::from(match parked {
            Ok(key) => frame::announcement(id, &key, false, took),
            Err(reason) => {
                tracing::error!(request.id = %id, trace.id = job.trace(), bytes, reason, "could not park a large result");
                let message = format!("the result has {bytes} bytes, and could not be stored: {reason}");
                frame::result(id, &[&frame::failure(&message, took)], None)
            }
        })
    }

    /// Stores the exact bytes of a result under its name, and tells the key by which routers ask for it.
    async fn park(&self, id: &RequestId, bytes: Bytes) -> Result<String, String> {
        let place = self.parts.settings.results.as_ref().ok_or("no bucket for results is configured")?;
        let key = format!("temp/{id}");
        let blob = Blob { bytes, content_type: "application/json".to_owned(), ..Blob::default() };
        self.parts.blobs.put(&place.at(&key), blob).await.map_err(|error| error.to_string())?;
        reach(Point::Stored).await.map_err(|planted| planted.to_string())?;
        Ok(key)
    }
}
