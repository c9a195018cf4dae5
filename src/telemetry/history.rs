//! The last minutes, a sample every few seconds: so that a page opened in trouble shows what was before.

use std::collections::VecDeque;
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use crate::telemetry::recent::{Flow, Recent};

/// How often a sample is taken.
pub const PERIOD: Duration = Duration::from_secs(5);
/// Samples that are kept: a quarter of an hour.
pub const SAMPLES: usize = 180;
/// Samples, the unfinished one included, of which [`History::lately`] tells: the last minute.
const LATELY: usize = 12;

/// What is the case at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Levels {
    /// Slots in use.
    pub slots_busy: usize,
    /// Requests that wait for one.
    pub waiting: usize,
    /// HTTP connections.
    pub connections: u64,
    /// Memory of the process.
    pub resident_bytes: u64,
    /// Answers that were remembered, since the start.
    pub hits: u64,
    /// Answers that were not, since the start.
    pub misses: u64,
}

/// What happened in a while. Times are in milliseconds; without any there is no percentile.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figures {
    /// How long the while was.
    pub seconds: f64,
    /// HTTP requests for the API answered: what CloudWatch counts as `http_requests`.
    pub requests: u64,
    /// Of these and of the messages, how many failed through our fault.
    pub failed: u64,
    /// Requests told to come again, or to go elsewhere (503).
    pub refused: u64,
    /// Half of the requests took at most so long.
    pub request_p50_ms: Option<f64>,
    /// 95 of a hundred did.
    pub request_p95_ms: Option<f64>,
    /// 99 of a hundred did.
    pub request_p99_ms: Option<f64>,
    /// Compiles that ran.
    pub compiles: u64,
    /// Half of them ran for at most so long.
    pub compile_p50_ms: Option<f64>,
    /// 95 of a hundred did.
    pub compile_p95_ms: Option<f64>,
    /// 99 of a hundred did.
    pub compile_p99_ms: Option<f64>,
    /// Messages of the job queue.
    pub messages: u64,
    /// 95 of a hundred had been in the queue for at most so long.
    pub message_age_p95_ms: Option<f64>,
    /// Jails that could not be built or watched.
    pub jail_failures: u64,
    /// Answers that were remembered.
    pub cache_hits: u64,
    /// Answers that were not.
    pub cache_misses: u64,
}

/// One sample.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sample {
    /// When it was taken, in milliseconds since 1970.
    pub time_ms: i64,
    /// What happened since the one before.
    #[serde(flatten)]
    pub figures: Figures,
    /// Slots in use, on average over looks a second apart.
    pub slots_busy: f64,
    /// The most requests that were seen waiting.
    pub waiting: usize,
    /// HTTP connections at its end.
    pub connections: u64,
    /// Memory of the process at its end.
    pub resident_bytes: u64,
}

/// A while, raw.
#[derive(Debug, Clone, Default)]
struct While {
    length: Duration,
    flow: Flow,
    hits: u64,
    misses: u64,
}

/// The samples, and what the next is being made of.
#[derive(Debug)]
pub struct History {
    samples: VecDeque<Sample>,
    /// The last of them, raw, because percentiles cannot be added.
    lately: VecDeque<While>,
    since: Instant,
    /// Looks since then, the slots that were seen busy, and the most that were seen waiting.
    looks: u32,
    busy: usize,
    waiting: usize,
    hits: u64,
    misses: u64,
}

impl History {
    /// Without a sample yet.
    pub fn new(now: Instant) -> Self {
        Self {
            samples: VecDeque::with_capacity(SAMPLES),
            lately: VecDeque::with_capacity(LATELY),
            since: now,
            looks: 0,
            busy: 0,
            waiting: 0,
            hits: 0,
            misses: 0,
        }
    }

    /// Looks once, and takes a sample if the last one is old enough.
    pub fn look(&mut self, levels: Levels, recent: &Recent, now: Instant, time_ms: i64) {
        self.looks += 1;
        self.busy += levels.slots_busy;
        self.waiting = self.waiting.max(levels.waiting);
        if now - self.since < PERIOD {
            return;
        }
        let closed = self.open(recent.take(), levels, now);
        let busy = u32::try_from(self.busy).unwrap_or(u32::MAX);
        let sample = Sample {
            time_ms,
            figures: closed.figures(),
            slots_busy: f64::from(busy) / f64::from(self.looks),
            waiting: self.waiting,
            connections: levels.connections,
            resident_bytes: levels.resident_bytes,
        };
        keep(&mut self.samples, sample, SAMPLES);
        keep(&mut self.lately, closed, LATELY - 1);
        (self.since, self.looks, self.busy, self.waiting) = (now, 0, 0, 0);
        (self.hits, self.misses) = (levels.hits, levels.misses);
    }

    /// The samples, oldest first.
    pub fn samples(&self) -> Vec<Sample> {
        self.samples.iter().cloned().collect()
    }

    /// The last minute, up to this moment.
    pub fn lately(&self, levels: Levels, recent: &Recent, now: Instant) -> Figures {
        let mut all = self.open(recent.peek(), levels, now);
        for one in &self.lately {
            all.length += one.length;
            all.flow.add(&one.flow);
            all.hits += one.hits;
            all.misses += one.misses;
        }
        all.figures()
    }

    /// The while that is under way.
    fn open(&self, flow: Flow, levels: Levels, now: Instant) -> While {
        While {
            length: now - self.since,
            flow,
            hits: levels.hits.saturating_sub(self.hits),
            misses: levels.misses.saturating_sub(self.misses),
        }
    }
}

impl While {
    fn figures(&self) -> Figures {
        let Flow { requests, compiles, messages, refused, failed, jail_failures } = &self.flow;
        Figures {
            // Nobody reads more than milliseconds.
            seconds: (self.length.as_secs_f64() * 1e3).round() / 1e3,
            requests: requests.total(),
            failed: *failed,
            refused: *refused,
            request_p50_ms: requests.percentile(50),
            request_p95_ms: requests.percentile(95),
            request_p99_ms: requests.percentile(99),
            compiles: compiles.total(),
            compile_p50_ms: compiles.percentile(50),
            compile_p95_ms: compiles.percentile(95),
            compile_p99_ms: compiles.percentile(99),
            messages: messages.total(),
            message_age_p95_ms: messages.percentile(95),
            jail_failures: *jail_failures,
            cache_hits: self.hits,
            cache_misses: self.misses,
        }
    }
}

/// Appends, and drops the oldest if there are more than `most`.
fn keep<T>(ring: &mut VecDeque<T>, one: T, most: usize) {
    while ring.len() >= most {
        ring.pop_front();
    }
    ring.push_back(one);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_every_five_seconds_and_a_minute_of_them() {
        let (recent, begun) = (Recent::default(), Instant::now());
        let mut history = History::new(begun);
        let mut levels = Levels::default();
        for second in 1..=100_u64 {
            recent.compiled(Duration::from_millis(second));
            levels.hits = 2 * second;
            levels.misses = second;
            levels.slots_busy = usize::from(second % 5 == 0);
            levels.waiting = usize::from(second % 5 == 1);
            history.look(levels, &recent, begun + Duration::from_secs(second), 1000);
        }
        let samples = history.samples();
        assert_eq!(samples.len(), 20);
        let last = &samples[19];
        let figures = &last.figures;
        assert_eq!((figures.compiles, figures.cache_hits, figures.cache_misses), (5, 10, 5));
        assert_eq!((figures.seconds, figures.requests, figures.request_p99_ms), (5.0, 0, None));
        assert!(figures.compile_p50_ms.unwrap() >= 98.0);
        assert_eq!((last.slots_busy, last.waiting), (0.2, 1));
        recent.compiled(Duration::from_secs(1));
        let lately = history.lately(levels, &recent, begun + Duration::from_secs(103));
        assert_eq!((lately.compiles, lately.seconds, lately.cache_hits), (56, 58.0, 110));
        assert!(lately.compile_p99_ms.unwrap() >= 1000.0);
    }

    #[test]
    fn it_does_not_grow() {
        let (recent, begun) = (Recent::default(), Instant::now());
        let mut history = History::new(begun);
        for number in 1..=SAMPLES as u64 + 7 {
            let time = i64::try_from(number).unwrap();
            let now = begun + PERIOD * u32::try_from(number).unwrap();
            history.look(Levels::default(), &recent, now, time);
        }
        let samples = history.samples();
        assert_eq!((samples.len(), samples[0].time_ms), (SAMPLES, 8));
        assert_eq!(history.lately.len(), LATELY - 1);
    }
}
