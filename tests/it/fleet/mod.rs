//! The whole way through real processes: a router, an emulator of Amazon's queues and buckets, a hub, and workers that
//! run real compilers.

#[cfg(debug_assertions)]
mod crashes;
#[cfg(debug_assertions)]
mod deployed;
mod drains;
mod faults;
mod field;
mod ground;
#[cfg(debug_assertions)]
mod hitches;
#[cfg(debug_assertions)]
mod stalls;
mod traces;
mod yard;

use std::fmt::Write as _;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;
use tokio::time::timeout;

use self::faults::sqs;
use self::field::Field;
use self::yard::Yard;
use crate::support::bed::Fault;
use crate::support::daemon::Daemon;
use crate::support::obedient::{self, ID};

#[tokio::test]
async fn a_compile_goes_through_the_queue_and_back() {
    let yard = Yard::open().await;
    let worker = yard.worker().await;
    let compiler = worker.compiler("g++", "g++").await;
    let body = json!({"source": "int seven() { return 7; }", "options": {"userArguments": "-O2"}});
    let reply = yard.router.compile(&compiler, &body).await;
    assert_eq!((reply.status, reply.header("x-job-status")), (200, Some("ok")), "{}", reply.text());
    let result = reply.json();
    let lines: Vec<&str> =
        result["asm"].as_array().unwrap().iter().filter_map(|line| line["text"].as_str()).collect();
    assert!(lines.contains(&"seven():"), "{lines:?}");
    assert!(result.get("guid").is_none() && result["queueTime"].is_number());
    let reply = yard.router.compile(&compiler, &json!({"source": "int x = ;", "options": {}})).await;
    assert_eq!(
        (reply.status, reply.header("x-job-status")),
        (200, Some("compile_error")),
        "{}",
        reply.text()
    );
    let health = yard.router.page("/healthcheck").await;
    assert_eq!((health.status, &health.json()["websocket"]), (200, &"connected".into()), "{}", health.text());
    let reply = yard.router.compile("nowhere", &json!({"source": "x", "options": {}})).await;
    assert!(reply.text().contains("Compiler with ID nowhere not found"), "{}", reply.text());
    worker.metric_until("queue_messages_total{outcome=\"done\"}", 3).await;
}

#[tokio::test]
async fn one_process_can_be_the_whole_fleet() {
    let queue = ["--queues-own", "jobs.fifo", "--queues-default", "jobs.fifo"];
    let daemon = Daemon::start(&queue).await;
    let compiler = daemon.compiler("g++", "g++").await;
    let reply = daemon.compile(&compiler, &json!({"source": "int seven;", "options": {}})).await;
    assert_eq!((reply.status, reply.header("x-job-status")), (200, Some("ok")), "{}", reply.text());
    let far = json!({"source": "int seven;", "options": {}});
    let reply = daemon.compile("nowhere", &far).await;
    assert!(reply.text().contains("Compiler with ID nowhere not found"), "{}", reply.text());
    daemon.metric_until("queue_messages_total{outcome=\"done\"}", 1).await;
}

#[tokio::test]
async fn large_jobs_and_results_go_through_the_buckets() {
    let yard = Yard::open().await;
    let worker = yard.worker().await;
    let compiler = worker.compiler("g++", "g++").await;
    let mut functions = String::new();
    for number in 0..9000 {
        writeln!(functions, "int f{number}(int a) {{ return a * {number}; }}").unwrap();
    }
    assert!(functions.len() > 262_144);
    let reply = yard.router.compile(&compiler, &json!({"source": functions, "options": {}})).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let result = reply.json();
    assert!(result["asm"].as_array().unwrap().len() > 60_000, "{}", result["asm"].as_array().unwrap().len());
    assert!(result.get("s3Key").is_none());
}

#[tokio::test]
async fn a_worker_that_is_killed_loses_nothing() {
    let yard = Yard::open().await;
    let doomed = yard.worker().await;
    let compiler = doomed.compiler("g++", "g++").await;
    // Slow to compile, so that it is surely under way when the worker dies.
    let source = "template<int N> struct S { static constexpr int v = S<N-1>::v + S<N-2>::v; };\n\
        template<> struct S<0> { static constexpr int v = 0; }; template<> struct S<1> { static constexpr int v = 1; };\n\
        constexpr int f(int n) { return n < 2 ? n : f(n - 1) + f(n - 2); }\n\
        static_assert(f(27) > 0); static_assert(f(26) > 0); static_assert(f(25) > 0);\nint marker() { return S<40>::v != 0; }";
    let body = json!({"source": source, "options": {"userArguments": "-fconstexpr-ops-limit=2000000000 -std=c++17"}});
    let asked = yard.router.compile(&compiler, &body);
    let replaced = async {
        doomed.running_until("cc1plus", 1).await;
        doomed.signal(Signal::KILL);
        yard.worker().await
    };
    let (reply, heir) =
        timeout(Duration::from_secs(50), async { tokio::join!(asked, replaced) }).await.unwrap();
    assert_eq!((reply.status, reply.header("x-job-status")), (200, Some("ok")), "{}", reply.text());
    assert!(reply.text().contains("marker()"));
    heir.metric_until("queue_messages_total{outcome=\"done\"}", 1).await;
}

#[tokio::test]
async fn a_job_that_may_have_taken_workers_down_runs_under_half_the_limits() {
    let field = Field::with(&["--limits-wall=8s"]).await;
    sqs(&field, "ReceiveMessage", Fault::Worn);
    // The poll that is under way brings the first of them.
    for (number, suspect) in [false, true].into_iter().enumerate() {
        let reply = field.router.compile(ID, &obedient::sleep("5", number)).await.json();
        assert_eq!((&reply["timedOut"], reply["code"] == 0), (&suspect.into(), !suspect), "{reply}");
    }
}
