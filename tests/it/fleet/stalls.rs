//! How long the machine kept us waiting: bounds on time are for the program, not for whatever else is running.

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::support::daemon::Daemon;

/// How often it is looked.
const TICK: Duration = Duration::from_millis(10);
/// Later than this by itself is no clock.
const USUAL: Duration = Duration::from_millis(5);

/// What was noted, and when.
type Notes = Arc<Mutex<Vec<(Timestamp, Duration)>>>;

/// A clock that notes when it runs late.
pub(super) struct Stalls {
    noted: Notes,
    _ticking: JoinSet<()>,
}

/// A look at one process now and then: for how long it could have run, and had no core.
pub(super) struct Starvation {
    /// In all, until then.
    noted: Notes,
    _looking: JoinSet<()>,
}

impl Stalls {
    pub(super) fn watch() -> Self {
        let noted = Notes::default();
        let (book, mut ticking) = (Arc::clone(&noted), JoinSet::new());
        ticking.spawn(async move {
            loop {
                let begun = Instant::now();
                sleep(TICK).await;
                let late = begun.elapsed().saturating_sub(TICK);
                if late > USUAL {
                    book.lock().unwrap().push((Timestamp::now(), late));
                }
            }
        });
        Self { noted, _ticking: ticking }
    }

    /// By how much the clock ran late, all told, in so long a time.
    pub(super) fn within(&self, since: Timestamp, span: Duration) -> Duration {
        let noted = self.noted.lock().unwrap();
        noted.iter().filter(|(at, _)| (since..=since + span).contains(at)).map(|(_, late)| *late).sum()
    }
}

impl Starvation {
    /// Looks until it is dropped, or the process ends.
    pub(super) fn of(daemon: &Daemon) -> Self {
        let (noted, pid) = (Notes::default(), daemon.pid());
        let (book, mut looking) = (Arc::clone(&noted), JoinSet::new());
        looking.spawn(async move {
            while let Some(starved) = starved(pid) {
                book.lock().unwrap().push((Timestamp::now(), starved));
                sleep(5 * TICK).await;
            }
        });
        Self { noted, _looking: looking }
    }

    /// How long its threads waited for a core, all told, in so long a time. Whatever waits for a chain of threads waits
    /// no longer than all of them together.
    pub(super) fn within(&self, since: Timestamp, span: Duration) -> Duration {
        let noted = self.noted.lock().unwrap();
        let before = noted.iter().rfind(|(at, _)| *at <= since).or(noted.first());
        let after = noted.iter().find(|(at, _)| *at >= since + span).or(noted.last());
        before.zip(after).map(|((_, before), (_, after))| after.saturating_sub(*before)).unwrap_or_default()
    }
}

/// How long the threads of a process have waited for a core; nothing if it is no more.
fn starved(pid: u32) -> Option<Duration> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let waits = threads.filter_map(|thread| {
        // Time on a core, time waiting for one, and how often.
        let figures = fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        figures.split(' ').nth(1)?.parse().ok().map(Duration::from_nanos)
    });
    Some(waits.sum())
}
