//! How much memory what is large may take together.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A budget of memory for what is large. A body leaves it when the last who holds it lets go: a cache, a slow reader.
#[derive(Debug)]
pub struct Room {
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
    /// Room for so many bytes.
    pub fn new(bytes: u64) -> Self {
        // A semaphore takes at least this many on every platform: 512 GiB.
        let permits = u32::try_from(bytes.div_ceil(ROOM_UNIT)).unwrap_or(u32::MAX).clamp(1, u32::MAX >> 3);
        Self { permits, free: Arc::new(Semaphore::new(permits as usize)) }
    }

    /// Waits for room for `bytes`; what is larger than the whole waits for the whole.
    pub async fn enter(&self, bytes: u64) -> Option<OwnedSemaphorePermit> {
        let permits = u32::try_from(bytes.div_ceil(ROOM_UNIT)).unwrap_or(u32::MAX).min(self.permits);
        Arc::clone(&self.free).acquire_many_owned(permits).await.ok()
    }

    /// Takes `body` in, if there is room for it now.
    pub fn hold(&self, body: Vec<u8>) -> Option<Bytes> {
        let permits = u32::try_from((body.len() as u64).div_ceil(ROOM_UNIT)).ok()?;
        let room = Arc::clone(&self.free).try_acquire_many_owned(permits).ok()?;
        Some(Bytes::from_owner(Held { body, _room: room }))
    }

    /// Takes `body` in as soon as there is room for it; what is larger than the whole waits for the whole.
    pub async fn hold_when_free(&self, body: Vec<u8>) -> Option<Bytes> {
        let room = self.enter(body.len() as u64).await?;
        Some(Bytes::from_owner(Held { body, _room: room }))
    }
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

    #[tokio::test]
    async fn who_finds_no_room_may_wait_for_it() {
        let room = Room::new(10 * ROOM_UNIT);
        let first = room.hold(vec![b'x'; 9000]).unwrap();
        let mut waiting = Box::pin(room.hold_when_free(vec![b'y'; 20_000]));
        assert!(futures_util::poll!(&mut waiting).is_pending());
        drop(first);
        assert_eq!(waiting.await.unwrap().len(), 20_000);
    }
}
