//! Brings a result to whoever waits for it (decisions D5 and D6).

use std::time::Duration;

use bytes::Bytes;

use super::Desk;
use super::ledger::Sent;
use super::verdict::Verdict;
use crate::domain::ids::RequestId;
use crate::domain::limits::Deadline;
use crate::domain::result::JobStatus;
use crate::doors::workshop::Workshop;
use crate::ports::{Blob, PublishError};
use crate::wire::frame;

/// Under which name in the results' place a result lies, and what a frame calls it.
fn key_of(id: &RequestId) -> String {
    format!("temp/{id}")
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
    pub(super) async fn frame(&self, id: &RequestId, made: &Made, queued: Duration) -> Sent {
        let whole = Bytes::from(frame::result(id, &[&made.body[0], &made.body[1]], queued));
        let status = made.status;
        if whole.len() <= self.parts.bus.largest_frame() {
            return Sent { frame: whole, status };
        }
        let bytes = whole.len();
        let frame = match self.park(id, whole).await {
            Ok(key) => frame::announcement(id, &key, false, made.took),
            Err(reason) => {
                tracing::error!(request.id = %id, bytes, reason, "could not park a large result");
                let message = format!("the result has {bytes} bytes, and could not be stored: {reason}");
                frame::result(id, &[&frame::failure(&message, made.took)], queued)
            }
        };
        Sent { frame: Bytes::from(frame), status }
    }

    /// Offers a result until somebody has it, or nobody waits for it any more.
    pub(super) async fn deliver(&self, id: &RequestId, sent: Sent, deadline: Deadline) -> Verdict {
        match self.parts.bus.publish(id, sent.frame.clone(), deadline).await {
            Ok(()) => Verdict::Done(sent.status),
            Err(PublishError::Unacknowledged { .. }) => {
                // Whoever comes later finds it by its name.
                if let Err(reason) = self.park(id, sent.frame).await {
                    tracing::debug!(request.id = %id, reason, "an unclaimed result is not kept");
                }
                Verdict::Unclaimed(sent.status)
            }
            Err(error @ PublishError::TooLarge { .. }) => {
                // The other end takes less than it said: the same frame would only be refused again.
                tracing::error!(request.id = %id, error = &error as &dyn std::error::Error, "refused");
                match self.park(id, sent.frame).await {
                    Ok(key) => {
                        let light = Bytes::from(frame::announcement(id, &key, false, Duration::ZERO));
                        match self.parts.bus.publish(id, light, deadline).await {
                            Ok(()) => Verdict::Done(sent.status),
                            Err(_) => Verdict::Unclaimed(sent.status),
                        }
                    }
                    Err(reason) => {
                        let told = frame::failure("the result is too large to be delivered", Duration::ZERO);
                        let light = Bytes::from(frame::result(id, &[&told], Duration::ZERO));
                        let _if_anybody_waits = self.parts.bus.publish(id, light, deadline).await.is_ok();
                        Verdict::Buried(format!("its result cannot be delivered: {reason}"))
                    }
                }
            }
        }
    }

    /// Stores the exact bytes of a result under its name, and tells the key by which routers ask for it.
    async fn park(&self, id: &RequestId, bytes: Bytes) -> Result<String, String> {
        let place = self.parts.settings.results.as_ref().ok_or("no bucket for results is configured")?;
        let key = key_of(id);
        let blob = Blob { bytes, content_type: "application/json".to_owned(), ..Blob::default() };
        self.parts.blobs.put(&place.at(&key), blob).await.map_err(|error| error.to_string())?;
        Ok(key)
    }
}
