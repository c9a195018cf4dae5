//! Rendered answers, fresh and remembered.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::compilers::{Compiler, Toolchain};
use crate::domain::result::{CompileResult, JobStatus};
use crate::engine::cache::Weigh;
use crate::{text, wire};

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rendition {
    /// Compiler Explorer's JSON.
    Json,
    /// The listing as text, between comments.
    Text,
}

/// A rendered answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The body, in two pieces to be sent one after the other; the second may be empty.
    pub body: [Bytes; 2],
    /// How the job ended.
    pub status: JobStatus,
    /// Whether it was remembered.
    pub cached: bool,
}

/// An answer as it is remembered, with what it depends on beside the request's bytes.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) body: Bytes,
    pub(super) rendition: Rendition,
    pub(super) status: JobStatus,
    pub(super) compiler: Arc<Compiler>,
    pub(super) toolchain: Toolchain,
}

impl Weigh for Reply {
    fn bytes(&self) -> usize {
        self.body.len()
    }
}

impl Reply {
    /// The answer to whoever asked for this at `asked`, marked as remembered.
    pub(super) fn recalled(&self, asked: Instant) -> Answer {
        recalled(&self.body, self.rendition, self.status, asked)
    }
}

impl Answer {
    /// An answer that was just made.
    pub(super) fn fresh(body: Bytes, status: JobStatus) -> Self {
        Self { body: [body, Bytes::new()], status, cached: false }
    }
}

/// A budget of memory for what is large. A body leaves it when the last who holds it lets go: a cache, a slow reader.
#[derive(Debug)]
pub(super) struct Room {
    permits: u32,
    free: Arc<Semaphore>,
}

/// Bytes of the budget that one permit stands for.
const ROOM_UNIT: u64 = 1024;

/// A body and its place in the budget.
struct Held {
    body: Vec<u8>,
    _room: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

impl Room {
    pub(super) fn new(bytes: u64) -> Self {
        // A semaphore takes at least this many on every platform: 512 GiB.
        let permits = u32::try_from(bytes.div_ceil(ROOM_UNIT)).unwrap_or(u32::MAX).clamp(1, u32::MAX >> 3);
        Self { permits, free: Arc::new(Semaphore::new(permits as usize)) }
    }

    /// Waits for room for `bytes`; what is larger than the whole waits for the whole.
    pub(super) async fn enter(&self, bytes: u64) -> Option<OwnedSemaphorePermit> {
        let permits = u32::try_from(bytes.div_ceil(ROOM_UNIT)).unwrap_or(u32::MAX).min(self.permits);
        Arc::clone(&self.free).acquire_many_owned(permits).await.ok()
    }

    /// Takes `body` in, if there is room for it now.
    pub(super) fn hold(&self, body: Vec<u8>) -> Option<Bytes> {
        let permits = u32::try_from((body.len() as u64).div_ceil(ROOM_UNIT)).ok()?;
        let room = Arc::clone(&self.free).try_acquire_many_owned(permits).ok()?;
        Some(Bytes::from_owner(Held { body, _room: room }))
    }
}

/// Writes `result`.
pub(super) fn render(result: &CompileResult, rendition: Rendition, filter_ansi: bool) -> Vec<u8> {
    match rendition {
        Rendition::Json => wire::result::json(result),
        Rendition::Text => wire::result::text(result, filter_ansi.then_some(text::ansi::strip)),
    }
}

/// A remembered body, marked as such where its format has room for it; nothing of it is copied.
pub(super) fn recalled(body: &Bytes, rendition: Rendition, status: JobStatus, asked: Instant) -> Answer {
    let body = match rendition {
        Rendition::Text => [body.clone(), Bytes::new()],
        Rendition::Json => {
            let took = asked.elapsed().as_millis();
            let mark = format!(r#","retreivedFromCache":true,"retreivedFromCacheTime":{took}}}"#);
            // The object's closing brace gives way to the mark's.
            [body.slice(..body.len() - 1), Bytes::from(mark)]
        }
    };
    Answer { body, status, cached: true }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_leaves_the_room_when_the_last_lets_go() {
        let room = Room::new(10 * ROOM_UNIT);
        let first = room.hold(vec![b'x'; 9000]).unwrap();
        let kept = first.slice(..100);
        assert!(room.hold(vec![b'y'; 2000]).is_none());
        drop(first);
        assert!(room.hold(vec![b'y'; 2000]).is_none());
        drop(kept);
        assert_eq!(room.hold(vec![b'y'; 2000]).unwrap().len(), 2000);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_recalled_says_so_in_json_only() {
        let body = Bytes::from_static(br#"{"code":0}"#);
        let json = recalled(&body, Rendition::Json, JobStatus::Ok, Instant::now());
        let marked = br#"{"code":0,"retreivedFromCache":true,"retreivedFromCacheTime":0}"#;
        assert_eq!(json.body.concat(), marked);
        assert!(json.cached);
        let text = recalled(&body, Rendition::Text, JobStatus::Ok, Instant::now());
        assert_eq!(text.body.concat(), body);
    }
}
