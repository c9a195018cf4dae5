//! What has broken the running system, done to ours, where no other test does it already (contract-cloud 9 and 10).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use compilation_worker::local::queue::Depth;
use compilation_worker::ports::QueueAddress;
use futures_util::future::join_all;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::socket::Socket;
use super::yard::{TABLE, Yard};
use crate::support::bed::{Call, Fault, queue_row};
use crate::support::client::{Reply, post, until};
use crate::support::daemon::{self, Daemon};
use crate::support::obedient::{self, Obedient};
use crate::support::proxy::{Mood, Proxy};

/// How soon all is well after a heal.
const RECOVERY: Duration = Duration::from_secs(10);

fn body(source: &str) -> serde_json::Value {
    json!({ "source": source, "options": {} })
}

fn waiting(yard: &Yard, queue: &QueueAddress) -> usize {
    yard.bed().queues().depth(queue).unwrap().waiting
}

/// Asks until the answer is another than "not now".
async fn ask_again(router: &Daemon, request: &[u8]) -> Reply {
    let begun = Instant::now();
    loop {
        let reply = router.ask(request).await;
        if reply.status != 503 {
            return reply;
        }
        assert!(begun.elapsed() < RECOVERY, "after {RECOVERY:?} still {}", reply.text());
        sleep(Duration::from_millis(100)).await;
    }
}

/// F-11, F-20, F-23 and X-11: a router and a worker that found nothing when they began, and for longer than the running
/// system has patience for one dial, tell the truth, live, and need no restart.
#[tokio::test]
async fn born_in_an_outage_they_say_so_and_are_well_when_it_ends() {
    let (yard, compiler) = (Yard::open().await, Obedient::make());
    let middle = Proxy::before(yard.fleet.hub, &yard.fleet.lifecycle).await;
    middle.set(Mood::Cut);
    yard.bed().faults(|_: &Call| Fault::Refuse(500, "InternalError", "everything is down"));
    let (hub, table) = (format!("--events-url=ws://{}", middle.address), format!("--routing-table={TABLE}"));
    let mut own = compiler.flags();
    own.push(hub.clone());
    let worker = yard.fleet.worker(&yard.queue, own, None).await;
    let router = yard.router(&[&hub, &table]).await;
    let request = daemon::compile(obedient::ID, &body("// late\n"));
    let reply = router.ask(&request).await;
    assert_eq!((reply.status, reply.header("retry-after").is_some()), (503, true), "{}", reply.text());
    for daemon in [&router, &worker] {
        let health = daemon.page("/healthcheck").await;
        assert_eq!((health.status, &health.json()["websocket"]), (200, &"disconnected".into()));
        assert_eq!(daemon.page("/health/live").await.status, 200);
    }
    yard.bed().heal();
    middle.set(Mood::Honest);
    let begun = Instant::now();
    let reply = ask_again(&router, &request).await;
    assert_eq!((reply.status, reply.header("x-job-status")), (200, Some("ok")), "{}", reply.text());
    assert!(begun.elapsed() < 2 * RECOVERY, "{:?}", begun.elapsed());
    for daemon in [&router, &worker] {
        assert_eq!(daemon.page("/healthcheck").await.json()["websocket"], "connected");
    }
}

/// F-3, F-12 and X-22: the route is warm, the color is not; and each worker serves its own color's queue alone.
#[tokio::test]
async fn a_deployment_moves_jobs_to_the_new_color_and_its_workers_alone() {
    let (yard, compiler) = (Yard::open().await, Obedient::make());
    let (blue, green) = (yard.bed().queue("jobs-blue.fifo"), yard.bed().queue("jobs-green.fifo"));
    yard.bed().route(TABLE, &format!("prod#{}", obedient::ID), queue_row("jobs"));
    yard.bed().parameter("/active-color", "blue");
    let (others, table) = (yard.bed().address_of("others.fifo"), format!("--routing-table={TABLE}"));
    let colored = [&table, "--queues-colours", "--aws-color-parameter=/active-color"];
    let router = yard.fleet.router(&others, &colored).await;
    let request = daemon::compile(obedient::ID, &body("// colored\n"));
    let mut first = router.client().await;
    first.send(&request).await;
    until(|| waiting(&yard, &blue) == 1).await;
    yard.bed().parameter("/active-color", "green");
    assert_eq!(router.ask(post("/admin/clear-cache", "", "")).await.status, 200);
    let mut second = router.client().await;
    second.send(&request).await;
    until(|| waiting(&yard, &green) == 1).await;
    let _worker = yard.fleet.worker(&green, compiler.flags(), None).await;
    let reply = second.reply().await;
    assert_eq!((reply.status, reply.header("x-job-status")), (200, Some("ok")), "{}", reply.text());
    assert_eq!(yard.bed().queues().depth(&blue).unwrap(), Depth { waiting: 1, in_flight: 0 });
    assert!(
        yard.bed().calls().iter().all(|call| call.verb != "ReceiveMessage" || call.what == green.as_str())
    );
}

/// F-9: whoever has no queue of its own takes no jobs, whatever compilers it has.
#[tokio::test]
async fn a_machine_without_a_queue_takes_no_jobs() {
    let (yard, compiler) = (Yard::open().await, Obedient::make());
    let mut flags = compiler.flags();
    flags.push(format!("--queues-default={}", yard.queue));
    let daemon = yard.fleet.start(flags, None).await;
    let mut client = daemon.client().await;
    client.send(daemon::compile("elsewhere", &body("// far\n"))).await;
    until(|| waiting(&yard, &yard.queue) == 1).await;
    let reply = daemon.compile(obedient::ID, &body("// here\n")).await;
    assert_eq!((reply.status, waiting(&yard, &yard.queue)), (200, 1), "{}", reply.text());
    assert_eq!((yard.bed().count("ReceiveMessage"), yard.bed().count("SendMessageBatch")), (0, 1));
}

/// F-7: what nobody hears any more is not held against the others.
#[tokio::test]
async fn a_subscriber_who_is_gone_takes_no_result_from_the_others() {
    let yard = Yard::open().await;
    let heard = Arc::new(AtomicUsize::new(0));
    let silent = |_: &str| None;
    let mut gone = Vec::new();
    for _ in 0..5 {
        gone.push(Socket::dial(yard.fleet.hub, silent).await);
    }
    let counted = Arc::clone(&heard);
    let staying = Socket::dial(yard.fleet.hub, move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        None
    })
    .await;
    for socket in gone.iter().chain([&staying]) {
        socket.say("subscribe: shared".to_owned());
    }
    until(|| yard.fleet.status().subscriptions == 6).await;
    let sender = Socket::dial(yard.fleet.hub, silent).await;
    // They go without a word while results are on their way.
    for round in 0..50 {
        sender.say(r#"{"guid":"shared","code":0}"#.to_owned());
        if round % 10 == 0 {
            gone.pop();
        }
    }
    until(|| heard.load(Ordering::SeqCst) == 50).await;
    until(|| yard.fleet.status().subscriptions == 1).await;
}

/// X-25: whatever goes wrong with a request, nothing of it stays behind.
#[tokio::test]
async fn requests_that_fail_leave_no_subscription_behind() {
    const EACH: usize = 20;
    let yard = Yard::open().await;
    yard.bed().faults(|call: &Call| {
        let refused = call.verb.starts_with("SendMessage") && call.what.ends_with("refusing.fifo");
        if refused { Fault::Refuse(500, "InternalError", "no") } else { Fault::None }
    });
    let quick = ["--engine-request-budget=3s", "--engine-queue-wait=1s", "--limits-wall=1s"];
    let router = yard.router(&quick).await;
    let refused = yard.fleet.router(&yard.bed().queue("refusing.fifo"), &quick).await;
    let request = daemon::compile("far", &body("// nobody's\n"));
    let unanswered = join_all((0..EACH).map(|_| router.ask(&request)));
    let unsent = join_all((0..EACH).map(|_| refused.ask(&request)));
    let left = async {
        let mut clients = Vec::new();
        for _ in 0..EACH {
            let mut client = router.client().await;
            client.send(&request).await;
            clients.push(client);
        }
        until(|| yard.fleet.status().subscriptions >= 2 * EACH).await;
    };
    let (unanswered, unsent, ()) = tokio::join!(unanswered, unsent, left);
    assert!(unanswered.iter().all(|reply| reply.status == 408), "{unanswered:?}");
    assert!(unsent.iter().all(|reply| reply.status == 503), "{unsent:?}");
    until(|| yard.fleet.status().subscriptions == 0).await;
}
