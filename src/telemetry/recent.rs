//! What was asked last, and how long it took: what the status page shows beside the metrics.
//!
//! It is noted on the way of every request, so it costs that next to nothing: a few additions, and a lock that is held
//! while one entry takes the place of the oldest. Nothing of a source, a header or an address is kept.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use crate::domain::ids::RequestId;
use crate::domain::result::JobStatus;
use crate::telemetry::metrics::UPKEEP_ROUTES;
use crate::telemetry::spread::{Counts, Spread};

/// Requests that are remembered.
pub const MOST: usize = 100;

/// Through which door a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// Over HTTP.
    Http,
    /// From the job queue.
    Queue,
}

/// One request that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When it was over.
    pub ended: Timestamp,
    /// Through which door it came.
    pub way: Way,
    /// Its route; of a message, what became of it.
    pub route: &'static str,
    /// The compiler, as the caller called it.
    pub compiler: Option<String>,
    /// What it is called.
    pub id: Option<RequestId>,
    /// The status of an HTTP reply.
    pub status: Option<u16>,
    /// How the job ended, where there was one.
    pub job: Option<JobStatus>,
    /// Whether the answer was remembered.
    pub cached: bool,
    /// How long it waited for a slot, if it needed one.
    pub waited: Option<Duration>,
    /// How long it had been in the queue, if it came from there.
    pub queued: Option<Duration>,
    /// From its arrival to its end.
    pub duration: Duration,
}

/// The last requests, and figures of all that came since they were last taken.
#[derive(Debug)]
pub struct Recent {
    entries: Mutex<VecDeque<Entry>>,
    requests: Spread,
    compiles: Spread,
    messages: Spread,
    refused: AtomicU64,
    failed: AtomicU64,
    jails: AtomicU64,
}

/// Figures of a while.
#[derive(Debug, Clone, Default)]
pub struct Flow {
    /// HTTP requests for the API, and how long they took.
    pub requests: Counts,
    /// Compiles that ran, and how long they did.
    pub compiles: Counts,
    /// Messages from the queue, and how old they were.
    pub messages: Counts,
    /// Requests that were told to come again or to go elsewhere (503).
    pub refused: u64,
    /// Requests and messages that failed through our fault.
    pub failed: u64,
    /// Jails that could not be built or watched.
    pub jail_failures: u64,
}

impl Default for Recent {
    fn default() -> Self {
        Self {
            entries: Mutex::new(VecDeque::with_capacity(MOST)),
            requests: Spread::default(),
            compiles: Spread::default(),
            messages: Spread::default(),
            refused: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            jails: AtomicU64::new(0),
        }
    }
}

impl Recent {
    /// Notes a request. What balancers ask every second would push out what people want to see. The figures are those of
    /// the API, as CloudWatch has them; but whoever went astray is among the last requests.
    pub fn note(&self, entry: Entry) {
        if entry.way == Way::Http && entry.route.starts_with("health") {
            return;
        }
        if entry.way == Way::Queue || !UPKEEP_ROUTES.contains(&entry.route) {
            self.count(&entry);
        }
        let oldest = {
            let mut entries = self.entries();
            let oldest = if entries.len() < MOST { None } else { entries.pop_front() };
            entries.push_back(entry);
            oldest
        };
        // Its memory is given back when nobody waits for the lock any more.
        drop(oldest);
    }

    fn count(&self, entry: &Entry) {
        match entry.way {
            Way::Http => self.requests.note(entry.duration),
            Way::Queue => self.messages.note(entry.queued.unwrap_or_default()),
        }
        match entry.status {
            Some(503) => self.refused.fetch_add(1, Ordering::Relaxed),
            Some(500..) => self.failed.fetch_add(1, Ordering::Relaxed),
            _ if entry.job == Some(JobStatus::InfraError) => self.failed.fetch_add(1, Ordering::Relaxed),
            _ => 0,
        };
    }

    /// Notes that a compile ran for so long.
    pub fn compiled(&self, wall: Duration) {
        self.compiles.note(wall);
    }

    /// Notes that a jail could not be built or watched.
    pub fn jail_failed(&self) {
        self.jails.fetch_add(1, Ordering::Relaxed);
    }

    /// The last requests, the latest first.
    pub fn last(&self) -> Vec<Entry> {
        self.entries().iter().rev().cloned().collect()
    }

    /// The figures of all that came since they were last taken.
    pub fn take(&self) -> Flow {
        Flow {
            requests: self.requests.take(),
            compiles: self.compiles.take(),
            messages: self.messages.take(),
            refused: self.refused.swap(0, Ordering::Relaxed),
            failed: self.failed.swap(0, Ordering::Relaxed),
            jail_failures: self.jails.swap(0, Ordering::Relaxed),
        }
    }

    /// The same, and they are not taken.
    pub fn peek(&self) -> Flow {
        Flow {
            requests: self.requests.peek(),
            compiles: self.compiles.peek(),
            messages: self.messages.peek(),
            refused: self.refused.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            jail_failures: self.jails.load(Ordering::Relaxed),
        }
    }

    fn entries(&self) -> MutexGuard<'_, VecDeque<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Flow {
    /// Adds the figures of another while.
    pub fn add(&mut self, other: &Self) {
        self.requests.add(&other.requests);
        self.compiles.add(&other.compiles);
        self.messages.add(&other.messages);
        self.refused += other.refused;
        self.failed += other.failed;
        self.jail_failures += other.jail_failures;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(route: &'static str, status: u16) -> Entry {
        Entry {
            ended: Timestamp::UNIX_EPOCH,
            way: Way::Http,
            route,
            compiler: None,
            id: None,
            status: Some(status),
            job: None,
            cached: false,
            waited: None,
            queued: None,
            duration: Duration::from_millis(1),
        }
    }

    #[test]
    fn the_latest_stay() {
        let recent = Recent::default();
        for number in 0..MOST + 5 {
            recent.note(Entry { duration: Duration::from_secs(number as u64), ..entry("compile", 200) });
        }
        let last = recent.last();
        assert_eq!(last.len(), MOST);
        assert_eq!((last[0].duration.as_secs(), last[MOST - 1].duration.as_secs()), (104, 5));
        assert_eq!(recent.take().requests.total(), 105);
    }

    #[test]
    fn what_went_wrong_is_counted_apart() {
        let recent = Recent::default();
        for status in [200, 404, 408, 499, 500, 502, 503] {
            recent.note(entry("compile", status));
        }
        recent.note(entry("healthcheck", 503));
        // Another protocol than ours is refused with 505 by no route at all.
        for (route, status) in [("none", 404), ("none", 505), ("clear_cache", 200), ("clear_cache", 503)] {
            recent.note(entry(route, status));
        }
        let message = Entry { way: Way::Queue, status: None, ..entry("buried", 0) };
        recent.note(Entry { job: Some(JobStatus::InfraError), ..message.clone() });
        recent.note(Entry {
            job: Some(JobStatus::CompileError),
            queued: Some(Duration::from_secs(3)),
            ..message
        });
        recent.compiled(Duration::from_millis(30));
        let flow = recent.peek();
        assert_eq!((flow.requests.total(), flow.messages.total(), flow.compiles.total()), (7, 2, 1));
        assert_eq!((flow.refused, flow.failed), (1, 3));
        let mut all = recent.take();
        all.add(&recent.take());
        assert_eq!((all.requests.total(), all.failed), (7, 3), "what is taken is taken once");
        assert_eq!(
            recent.last().len(),
            13,
            "the last requests stay, and those that went astray are among them"
        );
    }
}
