//! Every request ends with one event in the log and one count in the metrics, in the same words as the reply's header.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep as pause};

use crate::support::client::get;
use crate::support::daemon::{Daemon, compile};
use crate::support::obedient::{ID, Obedient, held, sleep};

/// The closing event of the request with this name, once it is there.
async fn event(daemon: &Daemon, id: &str) -> Value {
    let begun = Instant::now();
    loop {
        let log = daemon.log();
        let mut events = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let closing = |event: &Value| event["request.id"] == id && event.get("status").is_some();
        if let Some(event) = events.find(closing) {
            return event;
        }
        assert!(begun.elapsed() < Duration::from_secs(5), "nothing closes {id}: {log}");
        pause(Duration::from_millis(10)).await;
    }
}

fn named(id: &str, body: &Value) -> String {
    let request = String::from_utf8(compile(ID, body)).unwrap();
    request.replacen("\r\n\r\n", &format!("\r\nX-Request-Id: {id}\r\n\r\n"), 1)
}

#[tokio::test]
async fn how_each_request_ended() {
    let obedient = Obedient::make();
    let flags = ["--engine-slots", "1", "--engine-queue-length", "0", "--limits-wall", "2s"];
    let daemon = obedient.serve(&flags).await;
    let unrunnable = json!({"source": "", "options": {}});
    let malformed = json!({"options": {}});
    for (id, body, code, status) in [
        ("fresh", sleep("0", 0), 200, "ok"),
        ("again", sleep("0", 0), 200, "ok"),
        ("empty", unrunnable, 200, "rejected"),
        ("malformed", malformed, 400, "rejected"),
        ("slow", sleep("60", 1), 200, "timeout_wall"),
    ] {
        let reply = daemon.ask(named(id, &body)).await;
        assert_eq!((reply.status, reply.header("x-job-status")), (code, Some(status)), "{id}");
        assert_eq!(reply.header("x-request-id"), Some(id));
        let event = event(&daemon, id).await;
        assert_eq!((&event["status"], &event["job.status"]), (&json!(code), &json!(status)), "{event}");
        assert_eq!(
            (&event["route"], &event["cached"]),
            (&json!("compile"), &json!(id == "again")),
            "{event}"
        );
    }
    let mut leaving = daemon.client().await;
    leaving.send(named("leaving", &sleep("60", 2))).await;
    daemon.running_until("sleep", 1).await;
    let busy = daemon.ask(named("busy", &sleep("0", 3))).await;
    assert_eq!((busy.status, busy.header("x-job-status")), (503, Some("rejected")));
    drop(leaving);
    let left = event(&daemon, "leaving").await;
    assert_eq!((&left["status"], &left["job.status"]), (&json!(499), &json!("cancelled")), "{left}");
    assert!(left["compiler.id"] == ID && left["waited_ms"].is_f64(), "{left}");
    for (status, count) in [("ok", 2), ("rejected", 3), ("timeout_wall", 1), ("cancelled", 1)] {
        let series = format!("compile_jobs_total{{status=\"{status}\"}}");
        assert_eq!(daemon.metric(&series).await, count, "{series}");
    }
    assert!(!daemon.log().contains("// sleep"), "the log shows a source");
    daemon.stop().await;
}

#[tokio::test]
async fn who_waits_and_leaves_gives_up_the_place() {
    let obedient = Obedient::make();
    let daemon = obedient.serve(&["--engine-slots", "1"]).await;
    let mut running = daemon.client().await;
    running.send(compile(ID, &held("leaving", 0))).await;
    daemon.health_until(|health| health["slotsBusy"] == 1).await;
    let mut waiting = daemon.client().await;
    waiting.send(compile(ID, &sleep("60", 1))).await;
    daemon.health_until(|health| health["queued"] == 1).await;
    drop(waiting);
    daemon.health_until(|health| health["queued"] == 0 && health["slotsBusy"] == 1).await;
    obedient.release("leaving");
    assert_eq!(running.reply().await.status, 200);
    assert_eq!(daemon.metric("compile_jobs_total{status=\"cancelled\"}").await, 1);
    daemon.stop().await;
}

#[tokio::test]
async fn the_metrics_name_what_dashboards_look_for() {
    let obedient = Obedient::make();
    let daemon = obedient.serve(&["--engine-slots", "3"]).await;
    for number in [0, 1, 1] {
        assert_eq!(daemon.compile(ID, &sleep("0", number)).await.status, 200);
    }
    let idle = daemon.client().await;
    daemon.metric_until("http_connections", 1).await;
    for (series, value) in [
        ("ce_compilations_total{language=\"c++\"}", 3),
        ("ce_compilation_queue_completed_total", 2),
        ("ce_base_compiler_compilation_queue_seconds_count", 2),
        ("http_requests_total{route=\"compile\",code=\"200\"}", 3),
        ("catalogue_compilers", 1),
        ("slots", 3),
        ("slots_busy", 0),
        ("phase{phase=\"serving\"}", 1),
        ("task_panics", 0),
    ] {
        assert_eq!(daemon.metric(series).await, value, "{series}");
    }
    drop(idle);
    let begun = Instant::now();
    while daemon.metric("http_connections").await > 0 {
        assert!(begun.elapsed() < Duration::from_secs(5), "a closed connection is still counted");
        pause(Duration::from_millis(10)).await;
    }
    let page = daemon.admin_page("/metrics").await;
    assert!(page.header("content-type").unwrap().starts_with("text/plain; version=0.0.4"));
    let public = daemon.ask(get("/metrics", "")).await;
    assert_eq!(public.status, 404, "metrics are not for the public");
    daemon.stop().await;
}
