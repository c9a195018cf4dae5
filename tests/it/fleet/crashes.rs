//! kill -9 at each of the nine points of a job's way: nothing is lost, nobody is answered twice, nothing becomes a dead
//! letter, and the next worker has what was in the dead one's hands within its visibility and a second.
//!
//! Only builds with debug assertions have fail-points, so only those have these tests.

use std::collections::BTreeSet;
use std::fmt;
use std::os::unix::process::ExitStatusExt as _;
use std::sync::Arc;
use std::time::Duration;

use compilation_worker::failpoint::{Act, Plan, Point};
use compilation_worker::local::queue::Depth;
use jiff::Timestamp;
use serde_json::json;
use tokio::task::JoinSet;

use super::deployed::Deployed;
use super::ground::{Ground, Place, Settled, is_of, settled, source};
use super::stalls::Stalls;
use crate::support::client::{Client, get};
use crate::support::daemon::{Daemon, compile};
use crate::support::obedient::ID;

/// Jobs of one cycle, all on the queue when the worker comes.
const JOBS: usize = 24;
/// So many of them at least are on the queue or in the worker's hands when it dies.
const IN_FLIGHT: usize = 20;
/// How much later than its visibility a message may be received again.
const SLACK: Duration = Duration::from_secs(1);
/// Lanes for either kind of producer, and how often each of them visits every point.
const LANES: usize = 2;
const ROUNDS: usize = 3;

/// How a worker of these tests is started: with a place for every job, so that it holds all of them when it dies.
const WORKER: [&str; 2] = ["--engine-slots", "24"];
/// How most of them are. That nothing outlives its jail is shown elsewhere (`daemon::ends`), and sixty jails for each of
/// two hundred workers cost more than all else together.
const WALL_LESS: [&str; 2] = ["--sandbox", "none"];
/// For jobs of the deployed router: it gives no second receipt, so a repeat is offered in vain until this ends.
const BRIEF: [&str; 6] =
    ["--engine-request-budget", "40s", "--engine-queue-wait", "10s", "--limits-wall", "10s"];
/// A result is stored only if it is too large to be sent.
const TINY_FRAMES: [&str; 2] = ["--events-largest-frame", "256B"];

/// Who sends jobs and waits for their results.
enum Producer {
    /// Our router: each job has a group to itself.
    Ours(Daemon),
    /// Today's: all jobs have one.
    Deployed(Deployed),
}

/// One death.
#[derive(Debug, Clone)]
struct Cycle {
    name: String,
    plan: Plan,
    visibility: Duration,
    jailed: bool,
}

/// What became of all jobs.
#[derive(Debug, Default)]
struct Ledger {
    deaths: usize,
    sent: usize,
    acked: usize,
    doubled: usize,
    stale: usize,
    dead: usize,
    returned: usize,
    /// When a worker died, and how long after that a message of its was received again, for each of them.
    redelivered: Vec<(Timestamp, Duration)>,
    failures: Vec<String>,
}

impl Producer {
    /// Whether the result came that belongs to the source; then perhaps with the connection, on which no more may come.
    async fn compile(&self, place: &Place, label: &str, millis: u64) -> Result<Option<Client>, String> {
        let source = source(label, millis);
        match self {
            Self::Ours(router) => {
                let mut client = router.client().await;
                let reply = client.ask(compile(ID, &json!({"source": source, "options": {}}))).await;
                let right = reply.status == 200 && is_of(&reply.json(), label);
                if right {
                    Ok(Some(client))
                } else {
                    Err(format!("{label}: {} {}", reply.status, reply.text()))
                }
            }
            Self::Deployed(router) => {
                let result = router.compile(&place.jobs, &source).await;
                let right = result.as_ref().is_some_and(|result| is_of(result, label));
                if right { Ok(None) } else { Err(format!("{label}: {result:?}")) }
            }
        }
    }

    fn flags(&self, point: Point) -> Vec<&'static str> {
        let mut flags = WORKER.to_vec();
        if matches!(self, Self::Deployed(_)) {
            flags.extend(BRIEF);
        }
        if point == Point::Stored {
            flags.extend(TINY_FRAMES);
        }
        flags
    }
}

/// One worker that dies with jobs in its hands, and one that takes over. The second is returned with the time since which
/// it might have had them, and with what the death cost so far; it may still have results to offer that nobody wants.
async fn die(
    ground: &Ground,
    producer: &Arc<Producer>,
    place: &Place,
    cycle: &Cycle,
) -> (Daemon, Timestamp, Ledger) {
    let visibility = format!("{}s", cycle.visibility.as_secs());
    let mut flags = producer.flags(cycle.plan.point);
    if !cycle.jailed {
        flags.extend(WALL_LESS);
    }
    flags.extend(["--queues-visibility", visibility.as_str()]);
    let plan = cycle.plan.to_string();
    // Where the worker dies at a result, all jobs have been sent back under groups of their own before the first.
    let first = if cycle.plan.turn as usize > JOBS { 900 } else { 250 };
    let mut jobs = JoinSet::new();
    for number in 0..JOBS {
        let (producer, place, label) =
            (Arc::clone(producer), place.clone(), format!("{}n{number}", cycle.name));
        // One after the other, so that most are not done when the first is about to be.
        let millis = first + 12 * number as u64;
        jobs.spawn(async move { producer.compile(&place, &label, millis).await });
    }
    ground.until(&place.jobs, |depth| depth.waiting == JOBS).await;
    let mut doomed = ground.worker(place, &flags, Some(&plan)).await;
    let status = doomed.exit().await;
    let death = Timestamp::now();
    assert_eq!(status.signal(), Some(9), "{cycle:?}: {status}; it said: {}", doomed.log());
    let held = ground.depth(&place.jobs).await;
    let count = held.waiting + held.in_flight;
    assert!(count >= IN_FLIGHT, "{cycle:?}: only {held:?} when it died; it said: {}", doomed.log());
    let heir = ground.worker(place, &flags, None).await;
    // Where all is well this is the death: another worker takes less than the visibility to start. On a machine that is
    // busy with other things it may take more, and nobody can receive what there is nobody to receive.
    let since = death.max(Timestamp::now() - cycle.visibility);
    let mut ledger = Ledger { deaths: 1, sent: JOBS, ..Ledger::default() };
    let mut clients = Vec::new();
    while let Some(outcome) = jobs.join_next().await {
        match outcome.unwrap() {
            Ok(client) => {
                ledger.acked += 1;
                clients.extend(client);
            }
            Err(failure) => ledger.failures.push(failure),
        }
    }
    // Repeats of results that have arrived may come until here.
    if let Producer::Ours(_) = **producer {
        ground.emptied(&place.jobs, &heir).await;
        for mut client in clients {
            let next = client.ask(get("/health/live", "")).await;
            ledger.doubled += usize::from(next.header("x-job-status").is_some());
        }
    }
    (heir, since, ledger)
}

/// Waits until nothing is left to do, and completes the ledger of one cycle.
async fn close(ground: &Ground, place: &Place, heir: Daemon, since: Timestamp, mut ledger: Ledger) -> Ledger {
    ground.emptied(&place.jobs, &heir).await;
    let settled = settled(&heir).await;
    ledger.redelivered = redeliveries(&settled, since);
    ledger.stale = settled.iter().filter(|one| one.job.as_deref() == Some("stale")).count();
    ledger
}

/// What is left on the queues of a place.
async fn left(ground: &Ground, place: &Place) -> Ledger {
    let (left, dead) = (ground.depth(&place.jobs).await, ground.depth(&place.dead).await);
    let count = |depth: Depth| depth.waiting + depth.in_flight;
    Ledger { returned: count(left), dead: count(dead), ..Ledger::default() }
}

/// How long after `since` those messages were received that had been received before, but not by this worker.
fn redeliveries(settled: &[Settled], since: Timestamp) -> Vec<(Timestamp, Duration)> {
    let mut known = BTreeSet::new();
    let mut delays = Vec::new();
    for one in settled {
        if known.insert(&one.id) && one.receives == 2 {
            delays.push((since, one.received.duration_since(since).try_into().unwrap_or_default()));
        }
    }
    delays
}

/// When a point is visited for the so-manieth time, after how many passages the worker dies there.
fn turn(point: Point, shared: bool, visit: usize) -> u32 {
    let early = u32::try_from(visit % 3).unwrap() + 1;
    match point {
        _ if visit.is_multiple_of(2) => early,
        // Jobs of a shared group pass these twice: when they are sent back under their own, and when they are done.
        Point::Received | Point::Acknowledged | Point::Deleting if shared => {
            u32::try_from(JOBS).unwrap() + early
        }
        // Where nothing is done yet, the later it is the more it has in its hands.
        Point::Received | Point::Begun | Point::Launching => 8 + early,
        _ => early,
    }
}

/// Jobs with a group each, from our router, on one queue.
async fn own_groups(
    ground: Arc<Ground>,
    (lane, points): (usize, &[Point]),
    rounds: usize,
    visibility: Duration,
) -> Ledger {
    let place = ground.place(&format!("own{lane}")).await;
    let producer = Arc::new(Producer::Ours(ground.router(&place).await));
    let mut ledger = Ledger::default();
    for round in 0..rounds {
        for point in points.iter().copied() {
            let turn = turn(point, false, lane * rounds + round);
            let name = format!("o{lane}r{round}{}", point.as_str());
            let cycle =
                Cycle { name, plan: Plan { point, act: Act::Die, turn }, visibility, jailed: round == 0 };
            let (heir, since, begun) = die(&ground, &producer, &place, &cycle).await;
            ledger.add(close(&ground, &place, heir, since, begun).await);
        }
    }
    ledger.add(left(&ground, &place).await);
    ledger
}

/// Jobs of one group, from a stand-in for the deployed router. Each cycle has a queue of its own, so that the next need
/// not wait until what nobody wants has been offered long enough.
async fn shared_group(ground: Arc<Ground>, lane: usize, rounds: usize, visibility: Duration) -> Ledger {
    let producer = Arc::new(Producer::Deployed(Deployed::start(&ground).await));
    let mut closing = JoinSet::new();
    for round in 0..rounds {
        // From the end, because that is where repeats of what has arrived come from.
        for point in Point::ALL.into_iter().rev() {
            let turn = turn(point, true, lane * rounds + round);
            let name = format!("s{lane}r{round}{}", point.as_str());
            let place = ground.place(&name).await;
            let cycle = Cycle { name, plan: Plan { point, act: Act::Die, turn }, visibility, jailed: false };
            let (heir, since, begun) = die(&ground, &producer, &place, &cycle).await;
            let ground = Arc::clone(&ground);
            closing.spawn(async move {
                let mut ledger = close(&ground, &place, heir, since, begun).await;
                ledger.add(left(&ground, &place).await);
                ledger
            });
        }
    }
    let mut ledger = Ledger::default();
    while let Some(cycle) = closing.join_next().await {
        ledger.add(cycle.unwrap());
    }
    ledger
}

/// Waits for all lanes, and shows what became of their jobs.
#[expect(clippy::print_stdout, reason = "the ledger is what these tests are for")]
async fn balance(mut lanes: JoinSet<Ledger>) -> Ledger {
    let mut ledger = Ledger::default();
    while let Some(lane) = lanes.join_next().await {
        ledger.add(lane.unwrap());
    }
    println!("{ledger}");
    assert!(ledger.failures.is_empty(), "{:?}", ledger.failures);
    let Ledger { sent, acked, doubled, dead, returned, .. } = ledger;
    assert_eq!(sent, acked + dead + ledger.stale() + returned, "{ledger}");
    assert_eq!((acked, doubled, dead), (sent, 0, 0), "{ledger}");
    ledger
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_may_die_anywhere() {
    let (ground, stalls) = (Arc::new(Ground::bed().await), Stalls::watch());
    let visibility = Duration::from_secs(1);
    let mut lanes = JoinSet::new();
    for lane in 0..LANES {
        lanes.spawn(own_groups(Arc::clone(&ground), (lane, &Point::ALL), ROUNDS, visibility));
        lanes.spawn(shared_group(Arc::clone(&ground), lane, ROUNDS, visibility));
    }
    let ledger = balance(lanes).await;
    assert!(ledger.deaths >= 100 && ledger.sent >= 2000, "{ledger}");
    // When our own clock ran late, so did the workers'; and one in a hundred may meet a stall that we did not see.
    let is_late =
        |(since, delay): &&(_, Duration)| *delay > visibility + SLACK + stalls.within(*since, *delay);
    let late = ledger.redelivered.iter().filter(is_late).count();
    assert!(late <= ledger.redelivered.len() / 100, "{late} were late: {ledger}");
    // Most of what a worker has in its hands when it dies comes again, or the cycles prove little.
    assert!(ledger.redelivered.len() > ledger.sent / 4, "{ledger}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_may_die_anywhere_on_an_emulator() {
    let ground = Arc::new(Ground::emulator().await);
    let mut lanes = JoinSet::new();
    // It goes on sending messages to workers that are dead, so every death has a queue of its own.
    for (number, points) in Point::ALL.chunks(3).enumerate() {
        let (ground, points) = (Arc::clone(&ground), points.to_vec());
        lanes.spawn(async move {
            let mut ledger = Ledger::default();
            for (nth, point) in points.into_iter().enumerate() {
                let lane = (10 * number + nth, &[point][..]);
                ledger.add(own_groups(Arc::clone(&ground), lane, 1, Duration::from_secs(2)).await);
            }
            ledger
        });
    }
    let ledger = balance(lanes).await;
    assert_eq!(ledger.deaths, Point::ALL.len());
}

impl Ledger {
    /// Jobs that were too old when their turn came. A repeat of what has arrived may be that too, and is nobody's loss.
    fn stale(&self) -> usize {
        self.stale.min(self.sent - self.acked)
    }

    fn add(&mut self, other: Self) {
        self.deaths += other.deaths;
        self.sent += other.sent;
        self.acked += other.acked;
        self.doubled += other.doubled;
        self.stale += other.stale;
        self.dead += other.dead;
        self.returned += other.returned;
        self.redelivered.extend(other.redelivered);
        self.failures.extend(other.failures);
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { deaths, sent, acked, doubled, dead, returned, redelivered, .. } = self;
        let stale = self.stale();
        let found = acked + dead + stale + returned;
        write!(
            f,
            "jobs {sent}, lost {}, doubled {doubled}, stale {stale}, dlq {dead}",
            sent.abs_diff(found)
        )?;
        let mut delays: Vec<Duration> = redelivered.iter().map(|(_, delay)| *delay).collect();
        delays.sort_unstable();
        let half = delays.get(delays.len() / 2).copied().unwrap_or_default();
        let all = delays.last().copied().unwrap_or_default();
        write!(
            f,
            "; {deaths} deaths, {acked} acked, {returned} returned, {} redelivered, half within {} ms, all within {} ms",
            redelivered.len(),
            half.as_millis(),
            all.as_millis()
        )
    }
}
