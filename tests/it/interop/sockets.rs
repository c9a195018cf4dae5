//! Our processes on the deployed gateway: what they say to it, and that its ways cost them nothing (contract-cloud 4.2, 8.5).

use std::time::Duration;

use compilation_worker::local::queue::Depth;
use futures_util::future::join_all;
use rustix::process::Signal;
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};

use super::gateway::{Gateway, Ways};
use super::todays_worker::TodaysWorker;
use super::yard::Yard;
use crate::support::client::until;
use crate::support::daemon;
use crate::support::obedient::{self, Obedient};

/// How long a client of ours waits here; some of it is the stand-ins' own.
const PATIENCE: Duration = Duration::from_secs(20);

/// A place whose hub is that gateway.
async fn yard(gateway: &Gateway) -> Yard {
    let mut yard = Yard::open().await;
    yard.fleet.meet_at(gateway.address);
    yard
}

#[tokio::test]
async fn every_word_is_one_that_was_agreed() {
    let gateway = Gateway::open(Ways::default()).await;
    let yard = yard(&gateway).await;
    let quick = ["--engine-request-budget=3s", "--engine-queue-wait=1s", "--limits-wall=1s"];
    let (router, worker) = (yard.router(&quick).await, TodaysWorker::open(&yard, 0).await);
    let body = json!({ "source": "x", "options": {} });
    let compile = || router.compile("far", &body);
    until(|| gateway.clients() >= 3).await;
    let dials = gateway.dials();
    worker
        .during(async {
            assert_eq!(compile().await.status, 200);
            for odd in ["{", "{bad}", "[1]", "unknown text message", r#"{"guid":7}"#, "pong", ""] {
                gateway.shout(odd);
            }
            assert_eq!(compile().await.status, 200);
        })
        .await;
    assert_eq!(gateway.dials(), dials, "a frame that makes no sense ends no connection");
    let said = |verb: &str| {
        gateway
            .heard()
            .iter()
            .filter_map(|text| text.strip_prefix(verb).map(str::to_owned))
            .collect::<Vec<_>>()
    };
    // What has had its receipt is asked for a while longer, should that be lost; what had none is not.
    assert_eq!(compile().await.status, 408, "nobody works any more");
    until(|| said("unsubscribe: ").len() == 1).await;
    let names = said("subscribe: ");
    assert_eq!((said("ack: "), said("unsubscribe: ")), (names[..2].to_vec(), names[2..].to_vec()));
    for name in names {
        let parsed = uuid::Uuid::parse_str(&name).unwrap();
        assert_eq!((parsed.get_version_num(), parsed.to_string()), (4, name));
    }
    for text in gateway.heard() {
        let known =
            ["subscribe: ", "unsubscribe: ", "ack: ", "{"].iter().any(|begin| text.starts_with(begin));
        assert!(known || text == "ping", "{text}");
    }
}

/// F-6, X-4, X-7 and X-8 at once, both halves ours: nothing is told too late to be heard.
#[tokio::test]
async fn late_subscriptions_lost_receipts_and_repeats_cost_no_result() {
    const JOBS: usize = 20;
    let ways = Ways { late: Duration::from_millis(500), loses: 2, twice: true, ..Ways::default() };
    let gateway = Gateway::open(ways).await;
    let (yard, compiler) = (yard(&gateway).await, Obedient::make());
    let (router, worker) = tokio::join!(yard.router(&[]), yard.worker(&compiler));
    let begun = Instant::now();
    let jobs = (0..JOBS).map(|number| {
        let body = json!({ "source": format!("// {}\n", number % 4), "options": {} });
        let router = &router;
        async move { router.compile(obedient::ID, &body).await }
    });
    let replies = timeout(PATIENCE, join_all(jobs)).await.expect("results were lost");
    assert!(replies.iter().all(|reply| reply.status == 200), "{replies:?}");
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    worker.metric_until("queue_messages_total{outcome=\"done\"}", JOBS as u64).await;
    assert_eq!(yard.bed().queues().depth(&yard.queue).unwrap(), Depth::default());
}

#[tokio::test]
async fn todays_worker_is_not_held_up_by_a_gateway_that_loses_receipts() {
    let gateway = Gateway::open(Ways { loses: 2, ..Ways::default() }).await;
    let yard = yard(&gateway).await;
    let (router, worker) = (yard.router(&[]).await, TodaysWorker::open(&yard, 0).await);
    worker
        .during(async {
            for number in 0..2 {
                let body = json!({ "source": format!("job {number}"), "options": {} });
                let reply = timeout(PATIENCE, router.compile("far", &body)).await.expect("it was lost");
                assert_eq!(reply.status, 200, "{}", reply.text());
            }
            worker.settled().await;
        })
        .await;
    let notes = worker.notes();
    assert_eq!(notes.given_up, 0, "{notes:?}");
    assert!(notes.sends.values().all(|sends| *sends <= 3), "{notes:?}");
}

/// X-14: the worker is told so, in words that nobody else hears.
#[tokio::test]
async fn a_client_who_leaves_ends_its_job() {
    let gateway = Gateway::open(Ways::default()).await;
    let (yard, compiler) = (yard(&gateway).await, Obedient::make());
    let (router, worker) = tokio::join!(yard.router(&[]), yard.worker(&compiler));
    let mut client = router.client().await;
    client.send(daemon::compile(obedient::ID, &obedient::held("never", 0))).await;
    worker.running_until("sh", 1).await;
    drop(client);
    worker.running_until("sh", 0).await;
    worker.metric_until("queue_messages_total{outcome=\"done\"}", 1).await;
    assert_eq!(yard.bed().queues().depth(&yard.queue).unwrap(), Depth::default());
    let reply = router.compile(obedient::ID, &json!({ "source": "// another\n", "options": {} })).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
}

/// X-3: a process that ends as soon as it has answered has said what was left to say.
#[tokio::test]
async fn the_last_receipt_is_said_before_the_end() {
    let gateway = Gateway::open(Ways::default()).await;
    let yard = yard(&gateway).await;
    let worker = TodaysWorker::open(&yard, 0).await;
    let ending = async |number: usize| {
        let mut router = yard.router(&[]).await;
        let mut client = router.client().await;
        let body = json!({ "source": format!("sleep {}", 400 + number), "options": {} });
        client.send(daemon::compile("far", &body)).await;
        until(|| worker.notes().waits.len() > number).await;
        router.signal(Signal::TERM);
        assert_eq!(client.reply().await.status, 200);
        drop(client);
        let begun = Instant::now();
        assert_eq!(router.exit().await.code(), Some(0));
        begun.elapsed()
    };
    worker
        .during(async {
            let mut quickest = Duration::MAX;
            for number in 0..5 {
                quickest = quickest.min(ending(number).await);
            }
            assert!(quickest < Duration::from_secs(2), "it took {quickest:?} to leave");
            worker.settled().await;
        })
        .await;
    let notes = worker.notes();
    assert!(notes.sends.values().all(|sends| *sends == 1), "a receipt was swallowed: {notes:?}");
    assert!(gateway.closed().iter().all(|code| *code == Some(1000)), "{:?}", gateway.closed());
}

/// Today's router dials ten times, and then never again; today's worker five times.
#[tokio::test]
async fn patience_outlasts_that_of_the_deployed_halves_and_ends_with_the_process() {
    let refused = Ways { refuses: 12, ..Ways::default() };
    let gateway = Gateway::open(refused).await;
    let yard = yard(&gateway).await;
    let mut router = yard.router(&[]).await;
    let connected = async {
        while gateway.clients() < 2 {
            assert_eq!(router.page("/healthcheck").await.status, 200);
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(2 * PATIENCE, connected).await.expect("it has given up");
    let (dials, health) = (gateway.dials(), router.page("/healthcheck").await.json());
    assert!(dials >= 14 && health["websocket"] == "connected", "{dials} dials, {health}");
    router.signal(Signal::TERM);
    assert_eq!(router.exit().await.code(), Some(0));
    until(|| gateway.clients() == 0).await;
    let well_closed = gateway.closed().iter().filter(|code| **code == Some(1000)).count();
    assert_eq!((gateway.dials(), well_closed), (dials, 2), "{:?}", gateway.closed());
}

#[tokio::test]
async fn leaving_our_own_hub_takes_no_time() {
    let yard = Yard::open().await;
    let (mut router, mut worker) = (yard.router(&[]).await, yard.router(&[]).await);
    until(|| yard.fleet.status().connections == 4).await;
    let mut quickest = Duration::MAX;
    for daemon in [&mut router, &mut worker] {
        daemon.signal(Signal::TERM);
        let begun = Instant::now();
        assert_eq!(daemon.exit().await.code(), Some(0));
        quickest = quickest.min(begun.elapsed());
    }
    assert!(quickest < Duration::from_millis(1900), "it took {quickest:?} to leave: {}", worker.log());
    until(|| yard.fleet.status().connections == 0).await;
}
