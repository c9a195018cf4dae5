//! What waits to be written on one connection, bounded in bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Utf8Bytes;

/// The end into which everybody puts what is to be written.
#[derive(Debug)]
pub(super) struct Line {
    sender: mpsc::UnboundedSender<Utf8Bytes>,
    queued: Arc<AtomicUsize>,
    cap: usize,
}

/// The end from which the connection writes.
#[derive(Debug)]
pub(super) struct Feed {
    receiver: mpsc::UnboundedReceiver<Utf8Bytes>,
    queued: Arc<AtomicUsize>,
}

/// A line in which `cap` bytes may wait.
pub(super) fn line(cap: usize) -> (Line, Feed) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let queued = Arc::<AtomicUsize>::default();
    (Line { sender, queued: Arc::clone(&queued), cap }, Feed { receiver, queued })
}

impl Line {
    /// Puts a text in, unless the line is full or its connection over; says whether it did. A text longer than the
    /// whole line still passes alone.
    pub(super) fn send(&self, text: impl Into<Utf8Bytes>) -> bool {
        let text = text.into();
        let queued = self.queued.load(Ordering::Relaxed);
        if queued > 0 && queued + text.len() > self.cap {
            return false;
        }
        self.insist(text)
    }

    /// Puts in a text that is bounded elsewhere, full or not; `false` if the connection is over.
    pub(super) fn insist(&self, text: impl Into<Utf8Bytes>) -> bool {
        let text = text.into();
        self.queued.fetch_add(text.len(), Ordering::Relaxed);
        self.sender.send(text).is_ok()
    }
}

impl Feed {
    /// The next text to write; `None` if there will be no more. May be dropped and asked again.
    pub(super) async fn next(&mut self) -> Option<Utf8Bytes> {
        let text = self.receiver.recv().await?;
        self.queued.fetch_sub(text.len(), Ordering::Relaxed);
        Some(text)
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.receiver.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_line_takes_only_what_is_bounded_elsewhere() {
        let (line, mut feed) = line(10);
        assert!(line.send("0123456789abc"), "alone, a text of any length passes");
        assert!(!line.send("x"));
        assert!(line.insist("subscribe"));
        assert_eq!(feed.next().await.unwrap().len(), 13);
        assert!(line.send("y") && !line.send("z"));
        assert!(feed.next().await.is_some() && feed.next().await.is_some() && feed.is_empty());
        drop(feed);
        assert!(!line.send("z") && !line.insist("z"));
    }
}
