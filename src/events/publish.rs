//! One offer from its first sending to its end: the only way in which a result is ever sent.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::domain::ids::RequestId;
use crate::domain::limits::Deadline;
use crate::events::board::Board;
use crate::events::offers::{Key, News};
use crate::events::pace::repeats;
use crate::ports::PublishError;

/// An open offer; its drop withdraws it.
struct Offer {
    board: Arc<Board>,
    key: Key,
    frame: Utf8Bytes,
    news: watch::Receiver<News>,
}

/// Offers `frame` until its receipt comes, or `until`. What is larger than `cap` bytes is not even tried.
pub(super) async fn publish(
    board: Arc<Board>,
    id: RequestId,
    (frame, cap): (Bytes, usize),
    until: Deadline,
) -> Result<(), PublishError> {
    let frame = text(&frame);
    if frame.len() > cap {
        return Err(PublishError::TooLarge { id, bytes: frame.len(), cap });
    }
    let Some((key, news)) = board.open(&id, frame.len()) else { return Ok(()) };
    let mut offer = Offer { board, key, frame, news };
    match offer.press(until).await {
        News::Acknowledged => Ok(()),
        News::Refused => {
            offer.board.refused();
            let bytes = offer.frame.len();
            // The hub does not say what it would have taken; less than this, in any case.
            Err(PublishError::TooLarge { id, bytes, cap: bytes.saturating_sub(1) })
        }
        News::Open | News::Orphaned => Err(PublishError::Unacknowledged { id }),
    }
}

impl Offer {
    /// Sends, and sends again: at growing intervals, and at once when the connection that took it is over. In a gap
    /// it goes out when the next connection stands.
    async fn press(&mut self, until: Deadline) -> News {
        let mut standing = self.board.standing();
        let mut waits = repeats();
        loop {
            standing.mark_unchanged();
            self.news.mark_unchanged();
            let news = *self.news.borrow();
            if matches!(news, News::Acknowledged | News::Refused) || until.remaining().is_zero() {
                return news;
            }
            let carried = self.board.carry(&self.key, &self.frame);
            if !carried {
                // After a gap the other side may come back a little later than we do.
                waits = repeats();
            }
            let again = waits.next().map_or(until.instant(), |wait| Instant::now() + wait);
            tokio::select! {
                // Its sender lives in the board for as long as we do.
                _ = self.news.changed() => {}
                _ = standing.changed(), if !carried => {}
                () = sleep_until(again.min(until.instant())) => {}
            }
        }
    }
}

impl Drop for Offer {
    fn drop(&mut self) {
        self.board.close(&self.key);
    }
}

/// A frame as text. Ours are; should one not be, it goes out with its odd bytes marked rather than not at all.
fn text(frame: &Bytes) -> Utf8Bytes {
    Utf8Bytes::try_from(frame.clone()).unwrap_or_else(|_| String::from_utf8_lossy(frame).into_owned().into())
}
