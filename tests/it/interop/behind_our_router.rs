//! Today's worker behind our router: it is told at once what has arrived, so it never stands still.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::todays_worker::TodaysWorker;
use super::yard::Yard;
use crate::support::bed::{Call, Fault};
use crate::support::client::{Reply, post};
use crate::support::daemon::Daemon;

/// What a worker that misses one receipt loses.
const STALL: Duration = Duration::from_secs(3);
const AS_SENT: &str = "Content-Type: application/json; charset=utf-8\r\nAccept: application/json\r\n";

async fn compile(router: &Daemon, source: &str) -> Reply {
    let body = json!({ "source": source, "options": { "userArguments": "-O3" } }).to_string();
    router.ask(post("/api/compiler/far/compile", AS_SENT, body)).await
}

#[tokio::test]
async fn its_results_are_acknowledged_at_once_and_the_next_job_is_taken() {
    const JOBS: usize = 10;
    let yard = Yard::open().await;
    let (router, worker) = (yard.router(&[]).await, TodaysWorker::open(&yard, 0).await);
    let begun = Instant::now();
    worker
        .during(async {
            for number in 0..JOBS {
                let reply = compile(&router, &format!("job {number}")).await;
                assert_eq!(reply.status, 200, "{}", reply.text());
                assert_eq!(reply.json()["asm"][1]["text"], format!("job {number}"));
            }
            let results = join_all((0..JOBS).map(|_| compile(&router, "sleep 20"))).await;
            assert!(results.iter().all(|reply| reply.status == 200), "{results:?}");
        })
        .await;
    let notes = worker.notes();
    assert!(begun.elapsed() < 2 * STALL, "{:?}: {notes:?}", begun.elapsed());
    assert!(notes.waits.iter().all(|wait| *wait < STALL), "{notes:?}");
    assert_eq!((notes.sends.len(), notes.given_up), (2 * JOBS, 0));
    assert!(notes.sends.values().all(|sends| *sends == 1), "{notes:?}");
}

/// The receipt is lost, and lost again; the client has its answer, and the router is done with the request.
#[tokio::test]
async fn each_repeat_gets_its_receipt_again() {
    const LOST: usize = 3;
    let yard = Yard::open().await;
    let (router, worker) = (yard.router(&[]).await, TodaysWorker::open(&yard, LOST).await);
    worker
        .during(async {
            let begun = Instant::now();
            let reply = compile(&router, "once").await;
            assert_eq!(reply.status, 200, "{}", reply.text());
            assert!(begun.elapsed() < STALL, "the client does not wait for receipts");
            worker.settled().await;
        })
        .await;
    let notes = worker.notes();
    assert_eq!(notes.given_up, 0, "{notes:?}");
    assert!(notes.sends.values().all(|sends| *sends == LOST + 1), "{notes:?}");
    assert!(notes.receipts.values().all(|receipts| *receipts == LOST + 1), "{notes:?}");
}

/// Nobody waits any more when the result comes: the worker hears that it has arrived all the same.
#[tokio::test]
async fn a_client_who_leaves_costs_it_nothing() {
    let yard = Yard::open().await;
    let (router, worker) = (yard.router(&[]).await, TodaysWorker::open(&yard, 0).await);
    worker
        .during(async {
            let body = json!({ "source": "sleep 500", "options": {} }).to_string();
            let mut client = router.client().await;
            client.send(post("/api/compiler/far/compile", AS_SENT, body)).await;
            while worker.notes().waits.is_empty() {
                sleep(Duration::from_millis(5)).await;
            }
            drop(client);
            while worker.notes().receipts.is_empty() {
                sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    let notes = worker.notes();
    assert!(notes.sends.values().all(|sends| *sends == 1), "{notes:?}");
}

#[tokio::test]
async fn what_clients_wish_arrives_in_the_words_it_knows() {
    let yard = Yard::open().await;
    let (router, worker) = (yard.router(&[]).await, TodaysWorker::open(&yard, 0).await);
    worker
        .during(async {
            let reply = compile(&router, "x").await;
            assert_eq!(reply.json()["asm"][0]["text"], "arguments: -O3");
            let text = post("/api/compiler/far/compile?options=-O2", "Accept: application/json\r\n", "int x;");
            let reply = router.ask(text).await.json();
            assert_eq!((&reply["asm"][0]["text"], &reply["asm"][1]["text"]), (&"arguments: -O2".into(), &"int x;".into()));
            let form = "Content-Type: application/x-www-form-urlencoded\r\nAccept: application/json\r\n";
            let reply = router.ask(post("/api/compiler/far/compile", form, "int a[3]; a&1;")).await.json();
            assert_eq!(reply["asm"][1]["text"], "int a[3]; a&1;");
            let project = json!({ "source": "", "files": [], "options": {} }).to_string();
            for path in ["cmake", "build/cargo"] {
                let reply = router.ask(post(&format!("/api/compiler/far/{path}"), AS_SENT, &project)).await;
                assert_eq!((reply.status, &reply.json()["project"]), (200, &true.into()), "{path}");
            }
            let forged = json!({
                "source": "x", "options": {}, "guid": "forged", "compilerId": "nope", "headers": {"content-type": "text/plain"},
            });
            let reply = router.ask(post("/api/compiler/far/compile", AS_SENT, forged.to_string())).await;
            assert_eq!((reply.status, &reply.json()["code"]), (200, &0.into()), "{}", reply.text());
        })
        .await;
}

#[tokio::test]
async fn large_jobs_and_results_are_found_where_it_puts_them() {
    let yard = Yard::open().await;
    let (router, worker) = (yard.router(&[]).await, TodaysWorker::open(&yard, 0).await);
    worker
        .during(async {
            let source = "x".repeat(300_000);
            let reply = compile(&router, &source).await;
            assert_eq!(reply.json()["asm"][1]["text"].as_str().unwrap().len(), source.len());
            let reply = compile(&router, "lines 1000").await;
            assert_eq!(reply.json()["asm"].as_array().unwrap().len(), 1001, "{}", reply.text());
            assert!(reply.json().get("s3Key").is_none());
        })
        .await;
}

/// the word of a result may be sooner than the result, and its bucket busy.
#[tokio::test]
async fn a_result_that_is_late_in_its_bucket_is_waited_for() {
    let yard = Yard::open().await;
    let asked = AtomicUsize::new(0);
    yard.bed().faults(move |call: &Call| {
        if call.verb != "GET" {
            return Fault::None;
        }
        match asked.fetch_add(1, Ordering::SeqCst) {
            0 => Fault::Refuse(404, "NoSuchKey", "The specified key does not exist."),
            1 => Fault::Refuse(503, "SlowDown", "Please reduce your request rate."),
            _ => Fault::None,
        }
    });
    let (router, worker) = (yard.router(&[]).await, TodaysWorker::open(&yard, 0).await);
    let reply = worker.during(compile(&router, "lines 1000")).await;
    assert_eq!((reply.status, yard.bed().count("GET")), (200, 3), "{}", reply.text());
    assert_eq!(reply.json()["asm"].as_array().unwrap().len(), 1001);
}
