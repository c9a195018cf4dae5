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
use super::stalls::{Stalls, Starvation};
use crate::support::client::{Client, get};
use crate::support::daemon::{Daemon, compile};
use crate::support::fleet::Services;
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

/// How soon a dead worker's messages are to be received again.
struct Bound {
    visibility: Duration,
    /// Whether the queue goes on giving messages to a worker that is dead, which hides them once more.
    gives_to_the_dead: bool,
    stalls: Stalls,
}

/// What became of all jobs.
#[derive(Debug, Default)]
struct Ledger {
    deaths: usize,
    sent: usize,
    acked: usize,
    /// Replies beyond the first that a client saw, and jobs that one worker compiled once more.
    ///
    /// That results reach the hub twice, and routers, is no double: whatever has died between sending one and deleting
    /// its message, another must send it again, and the router keeps it from the client (annex C, goal G9). How often
    /// that happened is [`Self::offered`], so that it is seen that there was something to keep back. A reply is HTTP's
    /// answer to its request, so the second can only follow the first on its connection: each client waits there until
    /// its job's message is gone, and counts all that came. What queues deliver twice to one worker shows nowhere but in
    /// the work done, so that is counted too.
    doubled: usize,
    /// Compiles of the workers that took over.
    compiled: usize,
    /// Results that came to the hub.
    offered: u64,
    stale: usize,
    dead: usize,
    returned: usize,
    /// How long after a death each message that the dead worker had was received again.
    redelivered: Vec<Duration>,
    /// How many of these were late, and no later than the machine had kept us waiting.
    excused: usize,
    failures: Vec<String>,
}

/// A worker that has taken over.
struct Heir {
    worker: Daemon,
    /// When the first was dead, and this one could have had its messages.
    since: Timestamp,
    starvation: Starvation,
}

impl Bound {
    fn new(visibility: Duration, gives_to_the_dead: bool) -> Arc<Self> {
        Arc::new(Self { visibility, gives_to_the_dead, stalls: Stalls::watch() })
    }

    /// When at the latest a message is to be received again, counted from a death.
    fn of(&self, message: &Settled) -> Duration {
        let times = if self.gives_to_the_dead { message.receives - 1 } else { 1 };
        self.visibility * u32::try_from(times).unwrap() + SLACK
    }
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

/// One worker that dies with jobs in its hands, and one that takes over. The second is returned with what the death cost
/// so far; it may still have results to offer that nobody wants.
async fn die(ground: &Ground, producer: &Arc<Producer>, place: &Place, cycle: &Cycle) -> (Heir, Ledger) {
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
    ground.fleet.until(&place.jobs, |depth| depth.waiting == JOBS).await;
    let mut doomed = ground.worker(place, &flags, Some(&plan)).await;
    let status = doomed.exit().await;
    let death = Timestamp::now();
    assert_eq!(status.signal(), Some(9), "{cycle:?}: {status}; it said: {}", doomed.log());
    let held = ground.fleet.depth(&place.jobs).await;
    let count = held.waiting + held.in_flight;
    assert!(count >= IN_FLIGHT, "{cycle:?}: only {held:?} when it died; it said: {}", doomed.log());
    let worker = ground.worker(place, &flags, None).await;
    // Where all is well this is the death: another worker takes less than the visibility to start. On a machine that is
    // busy with other things it may take more, and nobody can receive what there is nobody to receive.
    let since = death.max(Timestamp::now() - cycle.visibility);
    let heir = Heir { starvation: Starvation::of(&worker), worker, since };
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
        ground.fleet.emptied(&place.jobs).await;
        for client in clients {
            ledger.doubled += replies(client).await - 1;
        }
    }
    (heir, ledger)
}

/// How many replies have come to a client since it had the first, and one to its farewell.
async fn replies(mut client: Client) -> usize {
    client.send(get("/health/live", "Connection: close\r\n")).await;
    memchr::memmem::find_iter(&client.rest().await, b"HTTP/1.1 ").count()
}

/// Waits until nothing is left to do, and completes the ledger of one cycle.
async fn close(ground: &Ground, place: &Place, heir: Heir, mut ledger: Ledger, bound: &Bound) -> Ledger {
    let Heir { worker, since, starvation } = heir;
    ground.fleet.emptied(&place.jobs).await;
    let settled = settled(&worker).await;
    for (message, delay) in redeliveries(&settled, since) {
        ledger.redelivered.push(delay);
        // The queue and the hub live in this process, and the worker in its own: neither is faster than its cores.
        let stall = bound.stalls.within(since, delay) + starvation.within(since, delay);
        let late = delay.saturating_sub(bound.of(message));
        if late > stall {
            ledger.failures.push(format!("again after {delay:?}, {stall:?} for want of a core: {message:?}"));
        }
        ledger.excused += usize::from(!late.is_zero());
    }
    let jobs: BTreeSet<&String> = settled.iter().map(|one| &one.id).collect();
    let compiled = usize::try_from(worker.compiles().await).unwrap();
    ledger.doubled += compiled.saturating_sub(jobs.len());
    ledger.compiled += compiled;
    ledger.stale = settled.iter().filter(|one| one.job.as_deref() == Some("stale")).count();
    ledger
}

/// What is left on the queues of a place.
async fn left(ground: &Ground, place: &Place) -> Ledger {
    let (left, dead) = (ground.fleet.depth(&place.jobs).await, ground.fleet.depth(&place.dead).await);
    let count = |depth: Depth| depth.waiting + depth.in_flight;
    Ledger { returned: count(left), dead: count(dead), ..Ledger::default() }
}

/// The messages that another worker had had before, and how long after `since` each was received first. One that this
/// worker has let slip and received again is none of them.
fn redeliveries(settled: &[Settled], since: Timestamp) -> Vec<(&Settled, Duration)> {
    let mut in_order: Vec<&Settled> = settled.iter().collect();
    in_order.sort_by_key(|one| one.received);
    // A job of a shared group is two messages, of which the first is sent back.
    let is_first = |one: &Settled| one.outcome == "regrouped";
    let mut again = Vec::new();
    for (number, one) in in_order.iter().enumerate() {
        let is_same = |before: &&&Settled| {
            before.id == one.id && (before.outcome == "lost" || is_first(before) == is_first(one))
        };
        if one.receives > 1 && in_order[..number].iter().find(is_same).is_none() {
            again.push((*one, one.received.duration_since(since).try_into().unwrap_or_default()));
        }
    }
    again
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
    bound: Arc<Bound>,
) -> Ledger {
    let place = ground.place(&format!("own{lane}")).await;
    let producer = Arc::new(Producer::Ours(ground.router(&place).await));
    let mut ledger = Ledger::default();
    for round in 0..rounds {
        for point in points.iter().copied() {
            let turn = turn(point, false, lane * rounds + round);
            let name = format!("o{lane}r{round}{}", point.as_str());
            let plan = Plan { point, act: Act::Die, turn };
            let cycle = Cycle { name, plan, visibility: bound.visibility, jailed: round == 0 };
            let (heir, begun) = die(&ground, &producer, &place, &cycle).await;
            ledger.add(close(&ground, &place, heir, begun, &bound).await);
        }
    }
    ledger.add(left(&ground, &place).await);
    ledger
}

/// Jobs of one group, from a stand-in for the deployed router. Each cycle has a queue of its own, so that the next need
/// not wait until what nobody wants has been offered long enough.
async fn shared_group(ground: Arc<Ground>, lane: usize, rounds: usize, bound: Arc<Bound>) -> Ledger {
    let producer = Arc::new(Producer::Deployed(Deployed::start(&ground).await));
    let mut closing = JoinSet::new();
    for round in 0..rounds {
        // From the end, because that is where repeats of what has arrived come from.
        for point in Point::ALL.into_iter().rev() {
            let turn = turn(point, true, lane * rounds + round);
            let name = format!("s{lane}r{round}{}", point.as_str());
            let place = ground.place(&name).await;
            let plan = Plan { point, act: Act::Die, turn };
            let cycle = Cycle { name, plan, visibility: bound.visibility, jailed: false };
            let (heir, begun) = die(&ground, &producer, &place, &cycle).await;
            let (ground, bound) = (Arc::clone(&ground), Arc::clone(&bound));
            closing.spawn(async move {
                let mut ledger = close(&ground, &place, heir, begun, &bound).await;
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
async fn balance(ground: &Ground, mut lanes: JoinSet<Ledger>) -> Ledger {
    let mut ledger = Ledger::default();
    while let Some(lane) = lanes.join_next().await {
        ledger.add(lane.unwrap());
    }
    let heard = ground.fleet.status();
    ledger.offered = heard.relayed + heard.unheard;
    println!("{ledger}");
    assert!(ledger.failures.is_empty(), "{:?}", ledger.failures);
    let Ledger { sent, acked, doubled, dead, returned, .. } = ledger;
    assert_eq!(sent, acked + dead + ledger.stale() + returned, "{ledger}");
    assert_eq!((acked, doubled, dead), (sent, 0, 0), "{ledger}");
    ledger
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_may_die_anywhere() {
    let (ground, bound) =
        (Arc::new(Ground::over(Services::bed().await).await), Bound::new(Duration::from_secs(1), false));
    let mut lanes = JoinSet::new();
    for lane in 0..LANES {
        lanes.spawn(own_groups(Arc::clone(&ground), (lane, &Point::ALL), ROUNDS, Arc::clone(&bound)));
        lanes.spawn(shared_group(Arc::clone(&ground), lane, ROUNDS, Arc::clone(&bound)));
    }
    let ledger = balance(&ground, lanes).await;
    assert!(ledger.deaths >= 100 && ledger.sent >= 2000, "{ledger}");
    // Else there was nothing to keep from clients, and no work that could have been done twice.
    assert!(ledger.offered > ledger.acked as u64 && ledger.compiled > ledger.sent / 4, "{ledger}");
    // Most of what a worker has in its hands when it dies comes again, or the cycles prove little.
    assert!(ledger.redelivered.len() > ledger.sent / 4, "{ledger}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_may_die_anywhere_on_an_emulator() {
    let (ground, bound) =
        (Arc::new(Ground::over(Services::emulator().await).await), Bound::new(Duration::from_secs(2), true));
    let mut lanes = JoinSet::new();
    // What one dead worker is given keeps no other waiting: every death has a queue of its own.
    for (number, points) in Point::ALL.chunks(3).enumerate() {
        let (ground, bound, points) = (Arc::clone(&ground), Arc::clone(&bound), points.to_vec());
        lanes.spawn(async move {
            let mut ledger = Ledger::default();
            for (nth, point) in points.into_iter().enumerate() {
                let lane = (10 * number + nth, &[point][..]);
                ledger.add(own_groups(Arc::clone(&ground), lane, 1, Arc::clone(&bound)).await);
            }
            ledger
        });
    }
    let ledger = balance(&ground, lanes).await;
    assert_eq!(ledger.deaths, Point::ALL.len());
}

impl Ledger {
    /// Jobs that were too old when their turn came. A repeat of what has arrived may be that too, and is nobody's loss.
    ///
    /// It is so if a worker stands still for longer than its messages are hidden, receives them once more, and dies: its
    /// heir has them for the third time, runs them alone, one after the other (D23), and each repeat that somebody had
    /// the result of already takes its turn like the others, until its time is over.
    fn stale(&self) -> usize {
        self.stale.min(self.sent - self.acked)
    }

    fn add(&mut self, other: Self) {
        self.deaths += other.deaths;
        self.sent += other.sent;
        self.acked += other.acked;
        self.doubled += other.doubled;
        self.compiled += other.compiled;
        self.offered += other.offered;
        self.stale += other.stale;
        self.dead += other.dead;
        self.returned += other.returned;
        self.redelivered.extend(other.redelivered);
        self.excused += other.excused;
        self.failures.extend(other.failures);
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            deaths,
            sent,
            acked,
            doubled,
            compiled,
            offered,
            dead,
            returned,
            redelivered,
            excused,
            ..
        } = self;
        let stale = self.stale();
        let found = acked + dead + stale + returned;
        write!(
            f,
            "jobs {sent}, lost {}, doubled {doubled}, stale {stale}, dlq {dead}",
            sent.abs_diff(found)
        )?;
        let mut delays = redelivered.clone();
        delays.sort_unstable();
        let half = delays.get(delays.len() / 2).copied().unwrap_or_default();
        let all = delays.last().copied().unwrap_or_default();
        write!(
            f,
            "; {deaths} deaths, {acked} acked, {returned} returned, {compiled} compiles by heirs, {offered} results at the hub, \
             {} redelivered, half within {} ms, all within {} ms, {excused} late for want of a core",
            redelivered.len(),
            half.as_millis(),
            all.as_millis()
        )
    }
}
