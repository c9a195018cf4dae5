//! A fleet on its way from today's halves to ours: all four on one queue and one hub.

use std::time::Duration;

use compilation_worker::local::queue::Depth;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::todays_router::TodaysRouter;
use super::todays_worker::TodaysWorker;
use super::yard::Yard;
use crate::support::client::until;
use crate::support::obedient::{self, Obedient};

const PATIENCE: Duration = Duration::from_secs(20);
const JSON: &str = "application/json";

fn job(number: usize) -> Value {
    json!({ "source": format!("// {number}\n"), "options": {} })
}

fn is_listing(result: &Value) -> bool {
    result["code"] == 0 && result["asm"].as_array().is_some_and(|lines| !lines.is_empty())
}

#[tokio::test]
async fn both_routers_and_both_workers_share_a_queue_and_lose_nothing() {
    const EACH: usize = 40;
    let (yard, compiler) = (Yard::open().await, Obedient::make());
    let (router, worker) = tokio::join!(yard.router(&[]), yard.worker(&compiler));
    let old_router = TodaysRouter::open(&yard, Duration::ZERO).await;
    let old_worker = TodaysWorker::open(&yard, 0).await;
    let ours = join_all((0..EACH).map(|number| {
        let (router, job) = (&router, job(number));
        async move { router.compile(obedient::ID, &job).await }
    }));
    let theirs = join_all((0..EACH).map(|number| {
        let (router, job) = (&old_router, job(EACH + number));
        async move { router.compile(obedient::ID, JSON, &job).await }
    }));
    let both = timeout(PATIENCE, old_worker.during(async { tokio::join!(ours, theirs) }));
    let (ours, theirs) = both.await.expect("results were lost");
    assert!(ours.iter().all(|reply| reply.status == 200 && is_listing(&reply.json())), "{ours:?}");
    assert!(theirs.iter().all(is_listing), "{theirs:?}");
    until(|| yard.bed().queues().depth(&yard.queue).unwrap() == Depth::default()).await;
    let old = old_worker.notes().waits.len();
    assert!((1..2 * EACH).contains(&old), "only one of the workers worked: {old}");
    worker.metric_until("queue_messages_total{outcome=\"done\"}", (2 * EACH - old) as u64).await;
    assert_eq!(old_worker.notes().given_up, 0);
}

#[tokio::test]
async fn todays_halves_meet_on_our_hub() {
    let yard = Yard::open().await;
    let (router, worker) =
        (TodaysRouter::open(&yard, Duration::ZERO).await, TodaysWorker::open(&yard, 0).await);
    let jobs = join_all((0..20).map(|number| {
        let (router, job) = (&router, job(number));
        async move { router.compile("far", JSON, &job).await }
    }));
    let results = timeout(PATIENCE, worker.during(jobs)).await.expect("results were lost");
    assert!(results.iter().all(is_listing), "{results:?}");
    worker.settled().await;
    assert_eq!((worker.notes().given_up, yard.fleet.status().unknown), (0, 0));
}

/// F-6: the result is there, and nobody hears it for five seconds.
#[tokio::test]
async fn todays_router_may_lose_its_connection_while_our_worker_works() {
    let (yard, compiler) = (Yard::open().await, Obedient::make());
    let worker = yard.worker(&compiler).await;
    let router = TodaysRouter::open(&yard, Duration::ZERO).await;
    let held = obedient::held("gap", 0);
    let asked = router.compile(obedient::ID, JSON, &held);
    let broken = async {
        worker.running_until("sh", 1).await;
        let redialed = router.break_off();
        compiler.release("gap");
        redialed.await;
    };
    let (result, ()) = timeout(PATIENCE, async { tokio::join!(asked, broken) }).await.expect("it was lost");
    assert!(is_listing(&result), "{result}");
    worker.metric_until("queue_messages_total{outcome=\"done\"}", 1).await;
}

#[tokio::test]
async fn todays_worker_may_lose_its_connection_while_our_router_waits() {
    let yard = Yard::open().await;
    let (router, worker) = (yard.router(&[]).await, TodaysWorker::open(&yard, 0).await);
    let body = |source: &str| json!({ "source": source, "options": {} });
    let (while_it_works, before_it_works) = (body("sleep 300"), body("sleep 0"));
    let asked = async {
        let first = router.compile("far", &while_it_works).await;
        (first, router.compile("far", &before_it_works).await)
    };
    let broken = async {
        while worker.notes().waits.is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        worker.break_off().await;
    };
    let both = worker.during(async { tokio::join!(asked, broken) });
    let ((first, second), ()) = timeout(PATIENCE, both).await.expect("it was lost");
    assert_eq!((first.status, second.status), (200, 200), "{} {}", first.text(), second.text());
}

/// The worker has sent its result and lost the receipt; on its next connection, the result comes again.
#[tokio::test]
async fn receipts_that_are_lost_with_a_connection_are_given_again() {
    let yard = Yard::open().await;
    let (router, worker) = (yard.router(&[]).await, TodaysWorker::open(&yard, 1).await);
    let asked = async {
        let reply = router.compile("far", &json!({ "source": "x", "options": {} })).await;
        worker.break_off().await;
        worker.settled().await;
        reply
    };
    let reply = timeout(PATIENCE, worker.during(asked)).await.expect("it is held up");
    assert_eq!(reply.status, 200, "{}", reply.text());
    let notes = worker.notes();
    assert_eq!(notes.given_up, 0, "{notes:?}");
    assert!(notes.sends.values().all(|sends| (2..=3).contains(sends)), "{notes:?}");
}
