//! Which jobs are being done, and what was lately sent: queues deliver twice, and routers try again.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::domain::ids::RequestId;
use crate::domain::result::JobStatus;

/// How long a result is remembered: longer than anybody waits for it and than a message may be hidden behind it.
const MEMORY: Duration = Duration::from_mins(2);
/// Bytes of remembered results together; the oldest make room.
const ROOM: usize = 64 << 20;

/// The jobs of this worker by name.
#[derive(Debug, Default)]
pub(super) struct Ledger(Arc<Mutex<Book>>);

#[derive(Debug, Default)]
struct Book {
    entries: HashMap<RequestId, Entry>,
    /// What is remembered, oldest first, with its size.
    done: VecDeque<(Instant, RequestId, usize)>,
    held: usize,
}

#[derive(Debug)]
enum Entry {
    /// Being done; the channel closes at its end.
    Running(watch::Sender<()>),
    /// Done.
    Done(Sent),
}

/// What was sent as the result of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sent {
    /// The frame.
    pub(super) frame: Bytes,
    /// How the job ended.
    pub(super) status: JobStatus,
}

/// What the ledger knows of a job.
#[derive(Debug)]
pub(super) enum Known {
    /// Nothing: it is for the asker to do.
    New(Running),
    /// It is being done.
    Running(End),
    /// It was done.
    Done(Sent),
}

/// The end of a job under way, whatever it is.
#[derive(Debug)]
pub(super) struct End(watch::Receiver<()>);

impl End {
    /// Resolves when the job has ended.
    pub(super) async fn reached(mut self) {
        let _closed = self.0.changed().await;
    }
}

/// The right to do a job. Dropped without a result, it leaves the job to the next who asks.
#[derive(Debug)]
pub(super) struct Running {
    book: Arc<Mutex<Book>>,
    id: RequestId,
}

impl Ledger {
    /// What is known of a job; if it is nothing, the asker does it.
    pub(super) fn begin(&self, id: &RequestId) -> Known {
        let mut book = lock(&self.0);
        book.forget(Instant::now());
        match book.entries.get(id) {
            Some(Entry::Running(end)) => Known::Running(End(end.subscribe())),
            Some(Entry::Done(sent)) => Known::Done(sent.clone()),
            None => {
                book.entries.insert(id.clone(), Entry::Running(watch::Sender::default()));
                Known::New(Running { book: Arc::clone(&self.0), id: id.clone() })
            }
        }
    }
}

impl Running {
    /// Notes what was sent, for whoever asks again.
    pub(super) fn done(self, sent: Sent) {
        let mut book = lock(&self.book);
        let size = sent.frame.len();
        book.held += size;
        book.done.push_back((Instant::now(), self.id.clone(), size));
        book.entries.insert(self.id.clone(), Entry::Done(sent));
        book.forget(Instant::now());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut book = lock(&self.book);
        if matches!(book.entries.get(&self.id), Some(Entry::Running(_))) {
            book.entries.remove(&self.id);
        }
    }
}

impl Book {
    fn forget(&mut self, now: Instant) {
        while let Some((since, _, _)) = self.done.front()
            && (now.duration_since(*since) >= MEMORY || self.held > ROOM)
        {
            let Some((_, id, size)) = self.done.pop_front() else { return };
            self.held -= size;
            self.entries.remove(&id);
        }
    }
}

fn lock(book: &Mutex<Book>) -> MutexGuard<'_, Book> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> RequestId {
        RequestId::parse(name).unwrap()
    }

    fn sent(bytes: usize) -> Sent {
        Sent { frame: Bytes::from(vec![b'x'; bytes]), status: JobStatus::Ok }
    }

    fn begun(ledger: &Ledger, name: &str) -> Running {
        match ledger.begin(&id(name)) {
            Known::New(running) => running,
            known => panic!("{known:?}"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_is_done_once_and_remembered_for_two_minutes() {
        let ledger = Ledger::default();
        let running = begun(&ledger, "a");
        let Known::Running(end) = ledger.begin(&id("a")) else { panic!("nobody does it") };
        drop(begun(&ledger, "b"));
        running.done(sent(3));
        end.reached().await;
        assert!(matches!(ledger.begin(&id("a")), Known::Done(known) if known == sent(3)));
        tokio::time::advance(MEMORY).await;
        drop(begun(&ledger, "a"));
        let book = lock(&ledger.0);
        assert_eq!((book.entries.len(), book.done.len(), book.held), (0, 0, 0));
    }

    #[tokio::test]
    async fn a_job_that_came_to_nothing_is_for_the_next() {
        let ledger = Ledger::default();
        let running = begun(&ledger, "a");
        let Known::Running(end) = ledger.begin(&id("a")) else { panic!("nobody does it") };
        drop(running);
        end.reached().await;
        drop(begun(&ledger, "a"));
    }

    #[test]
    fn the_oldest_make_room() {
        let ledger = Ledger::default();
        for name in ["a", "b", "c"] {
            begun(&ledger, name).done(sent(ROOM / 2));
        }
        drop(begun(&ledger, "a"));
        assert!(matches!(ledger.begin(&id("b")), Known::Done(_)));
        assert!(matches!(ledger.begin(&id("c")), Known::Done(_)));
    }
}
