//! What travels on an events socket: short texts and JSON objects (contract-cloud 4.2, 4.5, 4.6 and 6.2; decisions D5
//! and D6).

use std::time::Duration;

use super::json::{JsonError, Kind, Reader};
use super::result::string;
use crate::domain::ids::RequestId;

/// The text that asks a hub whether it is there.
pub const PING: &str = "ping";
/// The hub's answer to [`PING`].
pub const PONG: &str = "pong";

/// The name under which routers tell workers whose results nobody waits for any more. To a hub it is a name like any
/// other, and peers that never heard of it never see it. No job may be called so.
pub const CANCELLATIONS: &str = "cancelled-jobs";

const SUBSCRIBE: &str = "subscribe: ";
const UNSUBSCRIBE: &str = "unsubscribe: ";
const ACKNOWLEDGE: &str = "ack: ";

/// Members of which one at least stands in a frame that carries its result; without any, a key says where it lies.
const CARRIED: [&str; 6] = ["asm", "stdout", "stderr", "code", "output", "result"];

/// What a client asks of a hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// To be sent the results of this name.
    Subscribe(RequestId),
    /// Not to be sent them any more.
    Unsubscribe(RequestId),
    /// To tell whoever sent the result of this name that it has arrived.
    Acknowledge(RequestId),
    /// To answer [`PONG`].
    Ping,
}

/// What a client hears from a hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A result has arrived at somebody who waited for it.
    Acknowledged(RequestId),
    /// A result.
    Result {
        /// Whose.
        id: RequestId,
        /// Where the rest of it lies in the blob store, if it does not stand in the frame.
        parked: Option<String>,
        /// How long the job waited on its queue, if that is told.
        queued: Option<Duration>,
    },
    /// The hub is there.
    Pong,
}

/// Why a frame is not one we know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Not JSON we accept.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// An object without a name.
    #[error("the object has no guid")]
    Nameless,
    /// A text nobody agreed on.
    #[error("an unknown text")]
    Unknown,
}

impl Request {
    /// The text that travels. The one space after the colon counts.
    pub fn text(&self) -> String {
        match self {
            Self::Subscribe(id) => format!("{SUBSCRIBE}{id}"),
            Self::Unsubscribe(id) => format!("{UNSUBSCRIBE}{id}"),
            Self::Acknowledge(id) => format!("{ACKNOWLEDGE}{id}"),
            Self::Ping => PING.to_owned(),
        }
    }

    /// Reads what a client sent.
    pub fn read(text: &str) -> Result<Self, FrameError> {
        let named = |prefix, request: fn(RequestId) -> Self| {
            text.strip_prefix(prefix).and_then(|id| RequestId::parse(id).ok()).map(request)
        };
        named(SUBSCRIBE, Self::Subscribe)
            .or_else(|| named(UNSUBSCRIBE, Self::Unsubscribe))
            .or_else(|| named(ACKNOWLEDGE, Self::Acknowledge))
            .or_else(|| (text == PING).then_some(Self::Ping))
            .ok_or(FrameError::Unknown)
    }
}

impl Notice {
    /// Reads what a hub sent.
    pub fn read(text: &str) -> Result<Self, FrameError> {
        if text == PONG {
            return Ok(Self::Pong);
        }
        if !text.starts_with('{') {
            return Err(FrameError::Unknown);
        }
        let mut reader = Reader::of_result(text.as_bytes())?;
        let (mut id, mut acknowledged, mut key, mut carried) = (None, false, None, false);
        let mut queued = None;
        reader.object(|reader, name| {
            carried |= CARRIED.contains(&name);
            let kind = reader.kind()?;
            let is_text = kind == Kind::String;
            match name {
                "queueTime" if kind == Kind::Number => {
                    queued = Duration::try_from_secs_f64(reader.number()? / 1e3).ok();
                }
                "guid" if is_text => id = RequestId::parse(&reader.string()?).ok(),
                "type" if is_text => acknowledged = reader.string()? == "ack",
                "s3Key" if is_text => key = Some(reader.string()?.into_owned()),
                _ => reader.skip()?,
            }
            Ok::<(), JsonError>(())
        })?;
        reader.end()?;
        let id = id.ok_or(FrameError::Nameless)?;
        if acknowledged && !carried {
            return Ok(Self::Acknowledged(id));
        }
        Ok(Self::Result { id, parked: key.filter(|key| !carried && !key.is_empty()), queued })
    }
}

/// The frame in which a hub tells that a result of this name has arrived.
pub fn acknowledgement(id: &RequestId, by: &str) -> String {
    let mut out = br#"{"type":"ack","guid":"#.to_vec();
    string(&mut out, id.as_str());
    out.extend_from_slice(br#","acknowledgedBy":"#);
    string(&mut out, by);
    out.push(b'}');
    into_text(out)
}

/// The frame of a result: its JSON object, given in pieces, with its name in front and its time in the queue behind, if
/// that is known.
pub fn result(id: &RequestId, pieces: &[&[u8]], queued: Option<Duration>) -> Vec<u8> {
    let size: usize = pieces.iter().map(|piece| piece.len()).sum();
    let mut out = Vec::with_capacity(size + 96);
    out.extend_from_slice(br#"{"guid":"#);
    string(&mut out, id.as_str());
    out.push(b',');
    for (index, piece) in pieces.iter().enumerate() {
        out.extend_from_slice(if index == 0 { piece.strip_prefix(b"{").unwrap_or(piece) } else { piece });
    }
    if let Some(queued) = queued {
        if out.last() == Some(&b'}') {
            out.pop();
        }
        out.extend_from_slice(format!(r#","queueTime":{}}}"#, queued.as_millis()).as_bytes());
    }
    out
}

/// What a cancelled job is called where all can hear it. Its name is a secret: whoever knows it may fetch the result.
pub fn alias(id: &RequestId) -> Option<RequestId> {
    RequestId::parse(&blake3::hash(id.as_str().as_bytes()).to_hex()).ok()
}

/// The frame that tells that nobody waits for the results of the jobs with these aliases any more: see [`alias`].
pub fn cancellation(aliases: &[RequestId]) -> Vec<u8> {
    let mut out = br#"{"guid":"#.to_vec();
    string(&mut out, CANCELLATIONS);
    out.extend_from_slice(br#","cancelled":["#);
    for (index, alias) in aliases.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        string(&mut out, alias.as_str());
    }
    out.extend_from_slice(b"]}");
    out
}

/// How many aliases a frame of so many bytes can tell of, at least one.
pub const fn most_cancelled(bytes: usize) -> usize {
    // Each is a hash of 64 letters between quotes, and the rest of the frame takes less room than one.
    let most = bytes / 67;
    if most > 2 { most - 1 } else { 1 }
}

/// The aliases of the jobs whose results nobody waits for any more, if that is what a frame tells.
pub fn cancelled(frame: &[u8]) -> Vec<RequestId> {
    let mut aliases = Vec::new();
    let read = Reader::of_result(frame).and_then(|mut reader| {
        reader.object(|reader, name| {
            if name != "cancelled" || reader.kind()? != Kind::Array {
                return reader.skip();
            }
            reader.array(|reader, _| {
                if reader.kind()? != Kind::String {
                    return reader.skip();
                }
                aliases.extend(RequestId::parse(&reader.string()?));
                Ok(())
            })
        })?;
        reader.end()
    });
    if read.is_ok() { aliases } else { Vec::new() }
}

/// The frame that announces a result lying in the blob store under `key`.
pub fn announcement(id: &RequestId, key: &str, cacheable: bool, took: Duration) -> Vec<u8> {
    let mut out = br#"{"guid":"#.to_vec();
    string(&mut out, id.as_str());
    out.extend_from_slice(br#","s3Key":"#);
    string(&mut out, key);
    let facts = format!(r#","okToCache":{cacheable},"execTime":{}}}"#, took.as_millis());
    out.extend_from_slice(facts.as_bytes());
    out
}

/// The result of a job that could not be done (contract-cloud 6.3).
pub fn failure(message: &str, took: Duration) -> Vec<u8> {
    let mut out = br#"{"code":-1,"stderr":[{"text":"#.to_vec();
    string(&mut out, message);
    out.extend_from_slice(
        br#"}],"stdout":[],"okToCache":false,"timedOut":false,"inputFilename":"","asm":[],"tools":[],"execTime":"#,
    );
    out.extend_from_slice(format!("{}}}", took.as_millis()).as_bytes());
    out
}

fn into_text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests;
