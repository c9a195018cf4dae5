//! SIGTERM with the queue's jobs in a worker's hands: what runs is finished and delivered, what does not run yet is
//! everybody's again at once, and the process ends when the last is delivered.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use compilation_worker::local::queue::Depth;
use jiff::Timestamp;
use rustix::process::Signal;
use serde_json::json;
use tokio::task::JoinSet;

use super::ground::{Ground, Place, is_of, read, settled, source};
use crate::support::client::Client;
use crate::support::daemon::{Daemon, compile};
use crate::support::fleet::Services;
use crate::support::obedient::ID;

/// Cycles in all, side by side in so many lanes.
const CYCLES: usize = 50;
const LANES: usize = 5;
/// Slots of a worker.
const SLOTS: usize = 4;
/// Jobs on the queue in each cycle.
const JOBS: usize = 12;
/// What does not run yet is visible again so soon after the signal.
const AT_ONCE: Duration = Duration::from_secs(3);
/// How soon after its last result the process is gone: its parts end in tens of milliseconds, on a busy machine later.
const SOON: Duration = Duration::from_secs(5);
/// What the drain may take.
const BUDGET: Duration = Duration::from_secs(20);

/// What the cycles of a lane came to.
#[derive(Debug, Default)]
struct Tally {
    cycles: usize,
    jobs: usize,
    /// Finished after the signal, by the worker that got it.
    finished: usize,
    /// Received by it, and given back.
    given_back: usize,
    /// The longest that this took.
    slowest: Duration,
    /// The longest from the last result to the end.
    longest_end: Duration,
}

/// A compile by the daemon at `address`, which must end well.
async fn compiled(address: SocketAddr, label: String, millis: u64) {
    let body = json!({"source": source(&label, millis), "options": {}});
    let reply = Client::connect(address).await.ask(compile(ID, &body)).await;
    assert_eq!((reply.status, reply.header("x-job-status")), (200, Some("ok")), "{label}: {}", reply.text());
    assert!(is_of(&reply.json(), &label), "{label}: {}", reply.text());
}

/// One worker that is told to stop, and one that does the rest. `direct` of the slots are taken by requests that came
/// over HTTP while the worker asked for messages: so it gets some that have to wait.
async fn cycle(ground: &Ground, router: SocketAddr, place: &Place, name: &str, direct: usize) -> Tally {
    let (slots, budget) = (SLOTS.to_string(), format!("{}s", BUDGET.as_secs()));
    let flags = ["--engine-slots", &slots, "--limits-wall", "10s", "--drain-budget", &budget];
    let mut old = ground.worker(place, &flags, None).await;
    old.task_over("warm-up").await;
    let mut jobs = JoinSet::new();
    for number in 0..direct {
        jobs.spawn(compiled(old.http, format!("{name}d{number}"), 1500 + 50 * number as u64));
    }
    old.health_until(|health| health["slotsBusy"] == direct).await;
    for number in 0..JOBS {
        jobs.spawn(compiled(router, format!("{name}n{number}"), 300 + 20 * number as u64));
    }
    // Every slot is taken, and the worker has jobs of the queue in its hands; others wait, or are on their way.
    let held = (SLOTS - direct).max(1);
    ground.fleet.until(&place.jobs, |depth| depth.in_flight >= held).await;
    old.health_until(|health| health["slotsBusy"] == SLOTS).await;
    let told = Timestamp::now();
    old.signal(Signal::TERM);
    let ended = async { (old.exit().await, Timestamp::now()) };
    let ((status, end), new) = tokio::join!(ended, async {
        let new = ground.worker(place, &flags, None).await;
        while let Some(job) = jobs.join_next().await {
            job.unwrap();
        }
        new
    });
    let log = old.log();
    assert_eq!(status.code(), Some(0), "{status}; it said: {log}");
    tally(ground, place, (told, end), (&log, &new)).await
}

/// What the log of the old worker and the work of the new one tell of a cycle.
async fn tally(
    ground: &Ground,
    place: &Place,
    (told, end): (Timestamp, Timestamp),
    (log, new): (&str, &Daemon),
) -> Tally {
    ground.fleet.emptied(&place.jobs).await;
    let span =
        |from: Timestamp, to: Timestamp| Duration::try_from(to.duration_since(from)).unwrap_or_default();
    let (old, new) = (read(log), settled(new).await);
    let done = |one: &&super::ground::Settled| one.outcome == "done";
    let finished = old.iter().filter(done).filter(|one| one.at > told).count();
    let returns = old.iter().filter(|one| one.outcome == "back");
    let back: BTreeSet<&str> = returns.clone().map(|one| one.id.as_str()).collect();
    assert_eq!(old.len(), old.iter().filter(done).count() + returns.clone().count(), "{old:?}");
    // Each job was done by one of the two, and what was given back by the second.
    assert_eq!(old.iter().chain(&new).filter(done).count(), JOBS, "{old:?} {new:?}");
    let again: BTreeSet<&str> =
        new.iter().filter(|one| one.receives > 1).map(|one| one.id.as_str()).collect();
    assert_eq!(again, back);
    let slowest = returns.map(|one| span(told, one.at)).max().unwrap_or_default();
    assert!(slowest < AT_ONCE, "given back only after {slowest:?}");
    assert_eq!(ground.fleet.depth(&place.dead).await, Depth::default());
    let answered = log.lines().filter(|line| line.contains("\"answered\"")).filter_map(|line| {
        serde_json::from_str::<serde_json::Value>(line).ok()?["timestamp"].as_str()?.parse::<Timestamp>().ok()
    });
    let last = old.iter().map(|one| one.at).chain(answered).max().unwrap().max(told);
    assert!(span(told, end) < BUDGET, "the drain took {:?}", span(told, end));
    let longest_end = span(last, end);
    assert!(longest_end < SOON, "it ended {longest_end:?} after its last result: {log}");
    Tally { cycles: 1, jobs: JOBS, finished, given_back: back.len(), slowest, longest_end }
}

async fn lane(ground: Arc<Ground>, lane: usize) -> Tally {
    let place = ground.place(&format!("drain{lane}")).await;
    let router = ground.router(&place).await;
    let mut all = Tally::default();
    for number in 0..CYCLES / LANES {
        // Everything runs, or half of it, or nothing of the queue's.
        let direct = [0, SLOTS / 2, SLOTS][number % 3];
        let one = cycle(&ground, router.http, &place, &format!("l{lane}c{number}"), direct).await;
        all.add(&one);
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_told_to_stop_finishes_what_runs_and_gives_the_rest_back() {
    let ground = Arc::new(Ground::over(Services::bed().await).await);
    let mut lanes = JoinSet::new();
    for number in 0..LANES {
        lanes.spawn(lane(Arc::clone(&ground), number));
    }
    let mut all = Tally::default();
    while let Some(lane) = lanes.join_next().await {
        all.add(&lane.unwrap());
    }
    println!("{all:?}");
    assert_eq!((all.cycles, all.jobs), (CYCLES, CYCLES * JOBS));
    assert!(all.finished >= CYCLES && all.given_back >= CYCLES / 4, "too little happened: {all:?}");
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.cycles += other.cycles;
        self.jobs += other.jobs;
        self.finished += other.finished;
        self.given_back += other.given_back;
        self.slowest = self.slowest.max(other.slowest);
        self.longest_end = self.longest_end.max(other.longest_end);
    }
}
