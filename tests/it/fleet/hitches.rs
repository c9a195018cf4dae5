//! A worker that hangs or fails at each of the nine points of a job's way, and one that stands still as a whole: nothing
//! is lost, nothing becomes a dead letter, and no other job has to wait for it.
//!
//! Only builds with debug assertions have fail-points, so only those have these tests.

use std::sync::Arc;
use std::time::Duration;

use compilation_worker::failpoint::{Act, Plan, Point};
use compilation_worker::local::queue::Depth;
use jiff::SignedDuration;
use rustix::process::Signal;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::ground::{Ground, Settled, is_of, settled, source};
use crate::support::course::Course;
use crate::support::daemon::{Daemon, compile};
use crate::support::fleet::Services;
use crate::support::obedient::ID;

/// Jobs of one case.
const JOBS: usize = 4;
/// Which of them it happens to.
const TURN: u32 = 2;
/// How long a job takes.
const JOB: u64 = 300;
/// How long a message is hidden: a hang lasts many times as long, and the keeper goes on.
const VISIBILITY: Duration = Duration::from_secs(2);
/// How long a hang lasts ([`Act::Hang`]).
const HANG: SignedDuration = SignedDuration::from_secs(30);
/// How long one rests who has failed.
const REST: SignedDuration = SignedDuration::from_secs(1);
/// What everybody else may take, on a machine where twenty fleets begin at once.
const PROMPT: Duration = Duration::from_secs(15);

/// How a worker of these tests is started.
fn flags(point: Option<Point>) -> Vec<&'static str> {
    let mut flags = vec!["--engine-slots", "4", "--sandbox", "none", "--queues-visibility", "2s"];
    if point == Some(Point::Stored) {
        // A result is stored only if it is too large to be sent.
        flags.extend(["--events-largest-frame", "256B"]);
    }
    flags
}

/// Asks for one job; returns how long it took.
async fn ask(router: &Daemon, label: String) -> Duration {
    let begun = Instant::now();
    let body = json!({"source": source(&label, JOB), "options": {}});
    let reply = router.ask(compile(ID, &body)).await;
    assert!(
        reply.status == 200 && is_of(&reply.json(), &label),
        "{label}: {} {}",
        reply.status,
        reply.text()
    );
    begun.elapsed()
}

/// Asks for some jobs at once; returns how long they took, the quickest first.
async fn ask_all(router: &Arc<Daemon>, name: &str) -> Vec<Duration> {
    let mut jobs = JoinSet::new();
    for number in 0..JOBS {
        let (router, label) = (Arc::clone(router), format!("{name}n{number}"));
        jobs.spawn(async move { ask(&router, label).await });
    }
    let mut spans = Vec::new();
    while let Some(answered) = jobs.join_next().await {
        spans.push(answered.unwrap());
    }
    spans.sort_unstable();
    spans
}

/// One job meets with `plan`.
async fn meet(ground: Arc<Ground>, plan: Plan) {
    let name = format!("{}{:?}", plan.point.as_str(), plan.act).to_lowercase();
    let place = ground.place(&name).await;
    let router = Arc::new(ground.router(&place).await);
    let worker = ground.worker(&place, &flags(Some(plan.point)), Some(&plan.to_string())).await;
    let spans = ask_all(&router, &name).await;
    let (last, others) = spans.split_last().unwrap();
    assert!(others.iter().all(|span| *span < PROMPT), "{name}: {spans:?}");
    // From there on, whoever waits has the result.
    let is_told = [Point::Published, Point::Acknowledged, Point::Deleting].contains(&plan.point);
    if plan.act == Act::Hang && !is_told {
        assert!((HANG.unsigned_abs()..HANG.unsigned_abs() + PROMPT).contains(last), "{name}: {spans:?}");
    } else {
        assert!(*last < PROMPT, "{name}: {spans:?}");
    }
    ground.fleet.emptied(&place.jobs).await;
    assert_eq!(ground.fleet.depth(&place.dead).await, Depth::default(), "{name}");
    let told = settled(&worker).await;
    assert!(told.iter().all(|one| ["done", "back", "unclaimed"].contains(&one.outcome.as_str())), "{told:?}");
    // It happened: nothing is proved by what has not. Who has failed tries again after a rest.
    let span = if plan.act == Act::Hang { HANG } else { REST };
    let felt = |one: &Settled| one.outcome != "done" || one.at.duration_since(one.received) >= span;
    assert!(told.iter().any(felt), "{name}: {told:?}");
}

/// A worker that stands still keeps its messages only for as long as they are hidden; what it has in its hands when it
/// goes on is another's.
async fn stand_still(ground: Arc<Ground>) {
    let place = ground.place("still").await;
    let router = Arc::new(ground.router(&place).await);
    let old = ground.worker(&place, &flags(None), None).await;
    let (spans, new) = tokio::join!(ask_all(&router, "still"), async {
        ground.fleet.until(&place.jobs, |depth| depth.in_flight == JOBS).await;
        old.signal(Signal::STOP);
        ground.worker(&place, &flags(None), None).await
    });
    assert!(spans.iter().all(|span| *span < VISIBILITY + PROMPT), "{spans:?}");
    ground.fleet.emptied(&place.jobs).await;
    let done = settled(&new).await;
    assert!(done.iter().all(|one| one.outcome == "done" && one.receives == 2), "{done:?}");
    assert_eq!(done.len(), JOBS);
    // It offers what it has, in vain, and puts nothing back.
    old.signal(Signal::CONT);
    let told = settled(&old).await;
    assert!(told.iter().all(|one| ["done", "lost"].contains(&one.outcome.as_str())), "{told:?}");
    assert_eq!(ground.fleet.depth(&place.jobs).await, Depth::default());
    assert_eq!(ground.fleet.depth(&place.dead).await, Depth::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_may_hang_or_fail_anywhere() {
    let ground = Arc::new(Ground::over(Services::bed().await).await);
    let mut course = Course::new(20, Vec::new());
    course.run("it stands still", stand_still(Arc::clone(&ground)));
    // A hang takes longest.
    for act in [Act::Hang, Act::Fail] {
        for point in Point::ALL {
            course.run(point.as_str(), meet(Arc::clone(&ground), Plan { point, act, turn: TURN }));
        }
    }
    course.run_out().await;
}
