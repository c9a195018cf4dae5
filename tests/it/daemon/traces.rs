//! Traces: what is logged of them, what a collector is told, and that no collector, whatever it does, is anybody's trouble.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::net::TcpSocket;
use tokio::time::Instant;

use crate::aws::server::{Act, Request};
use crate::support::client::{Reply, get, post, until};
use crate::support::collector::{Collector, fact, officially, spans};
use crate::support::daemon::{Daemon, compile};
use crate::support::obedient::{ID, Obedient, sleep};

const ROOT: &str = "1-5759e988-bd862e3fe1be46a994272793";
const PARENT: &str = "53995c3f42cd8ad8";
/// How long a request or an end may take that nothing holds up: less than a collector's own patience.
const AT_ONCE: Duration = Duration::from_secs(8);

async fn serve(obedient: &Obedient, collector: &Collector) -> Daemon {
    let flags = collector.flags();
    obedient.serve(&flags.each_ref().map(String::as_str)).await
}

/// A request of another `number`, with this header.
fn traced(header: &str, body: &Value) -> String {
    let request = String::from_utf8(compile(ID, body)).unwrap();
    request.replacen("\r\n\r\n", &format!("\r\nX-Amzn-Trace-Id: {header}\r\n\r\n"), 1)
}

/// The closing event of the request that was answered so.
async fn closing(daemon: &Daemon, reply: &Reply) -> Value {
    let id = reply.header("x-request-id").unwrap();
    let find = || {
        let log = daemon.log();
        let mut events = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        events.find(|event| event["request.id"] == id && event.get("status").is_some())
    };
    until(|| find().is_some()).await;
    find().unwrap()
}

/// Ends it, which must take no longer than work itself: none is left.
async fn ends_at_once(daemon: Daemon) {
    let held = daemon.holdings();
    daemon.signal(Signal::TERM);
    let begun = Instant::now();
    daemon.ends_with(0, held).await;
    assert!(begun.elapsed() < AT_ONCE, "it took {:?}", begun.elapsed());
}

async fn asked_at_once(daemon: &Daemon, number: usize) {
    let begun = Instant::now();
    assert_eq!(daemon.compile(ID, &sleep("0", number)).await.status, 200);
    assert!(begun.elapsed() < AT_ONCE, "it took {:?}", begun.elapsed());
}

#[tokio::test]
async fn without_a_collector_the_log_has_what_the_balancer_says() {
    let obedient = Obedient::make();
    let daemon = obedient.serve(&[]).await;
    for (number, header, expected) in [
        (0, format!("Self=1-67891234-12456789abcdef012345678;Root={ROOT}"), json!(ROOT)),
        (0, format!("Root={ROOT};Parent={PARENT};Sampled=1"), json!(ROOT)),
        (1, format!("Root={ROOT};Parent=0"), Value::Null),
        (2, "Root=%0d%0a;;=".to_owned(), Value::Null),
        (3, format!("Root={ROOT};Lineage={}", "x".repeat(2000)), Value::Null),
    ] {
        let reply = daemon.ask(traced(&header, &sleep("0", number))).await;
        assert_eq!(reply.status, 200, "{header}");
        assert_eq!(closing(&daemon, &reply).await["trace.id"], expected, "{header}");
    }
    let reply = daemon.compile(ID, &sleep("0", 4)).await;
    assert_eq!(closing(&daemon, &reply).await.get("trace.id"), None);
    daemon.stop().await;
}

#[tokio::test]
async fn a_request_becomes_spans() {
    let (obedient, collector) = (Obedient::make(), Collector::start().await);
    let daemon = serve(&obedient, &collector).await;
    let header = format!("Root={ROOT};Parent={PARENT};Sampled=1");
    let reply = daemon.ask(traced(&header, &sleep("0.2", 0))).await;
    let spans = collector.spans_once(3).await;
    let named = |name: &str| spans.iter().find(|span| span["name"] == name).unwrap();
    let server = named("POST /api/compiler/{id}/compile");
    assert_eq!((&server["kind"], &server["parentSpanId"]), (&json!(2), &json!(PARENT)));
    assert_eq!(server["traceId"], ROOT.replace('-', "")[1..]);
    for (key, value) in [
        ("http.request.method", json!("POST")),
        ("http.route", json!("/api/compiler/{id}/compile")),
        ("http.response.status_code", json!("200")),
        ("compiler.id", json!(ID)),
        ("request.id", json!(reply.header("x-request-id").unwrap())),
        ("job.status", json!("ok")),
        ("cached", json!(false)),
    ] {
        assert_eq!(fact(server, key), Some(&value), "{key}: {server}");
    }
    assert!(server.get("status").is_none() && fact(server, "error.type").is_none(), "{server}");
    for part in ["wait for a slot", "compile"].map(named) {
        assert_eq!((&part["kind"], &part["parentSpanId"]), (&json!(1), &server["spanId"]));
        assert_eq!(part["traceId"], server["traceId"]);
    }
    assert_eq!(closing(&daemon, &reply).await["trace.id"], ROOT);
    // As everybody else reads them.
    let read = officially(&collector.seen()[0]).await;
    assert_eq!(read.len(), 3);
    let nanoseconds = |name: &str| {
        let span = read.iter().find(|span| span["name"] == name).unwrap();
        assert_eq!(span["trace"], server["traceId"], "{span}");
        assert_eq!(span["service"], "compilation-worker");
        span["nanoseconds"].as_u64().unwrap()
    };
    let (whole, work) = (nanoseconds("POST /api/compiler/{id}/compile"), nanoseconds("compile"));
    assert!((200_000_000..20_000_000_000).contains(&work), "{work}");
    assert!(whole >= work + nanoseconds("wait for a slot"));

    // One that was answered before has no parts.
    daemon.ask(traced(&format!("Root={ROOT};Sampled=1"), &sleep("0.2", 0))).await;
    let cached = collector.spans_once(4).await.pop().unwrap();
    assert_eq!((fact(&cached, "cached"), cached.get("parentSpanId")), (Some(&json!(true)), None));
    daemon.metric_until("trace_spans_exported_total", 4).await;
    assert!(!daemon.admin_page("/metrics").await.text().contains("trace_spans_dropped_total{"));
    daemon.stop().await;
}

#[tokio::test]
async fn the_header_decides_and_what_failed_by_us_says_so() {
    let (obedient, collector) = (Obedient::make(), Collector::start().await);
    let daemon = serve(&obedient, &collector).await;
    let not = daemon.ask(traced(&format!("Root={ROOT};Sampled=0"), &sleep("0", 0))).await;
    assert_eq!(closing(&daemon, &not).await["trace.id"], ROOT);
    // Balancers and operators ask for nothing that is worth a trace.
    assert_eq!(
        daemon.ask(get("/healthcheck", &format!("X-Amzn-Trace-Id: Root={ROOT};Sampled=1\r\n"))).await.status,
        200
    );
    let wrong = daemon.compile(ID, &json!({"options": {}})).await;
    let unknown = daemon.compile("nowhere", &sleep("0", 1)).await;
    std::fs::remove_file(obedient.directory().join("compiler")).unwrap();
    let failed = daemon.compile(ID, &sleep("0", 2)).await;
    assert_eq!([wrong.status, unknown.status, failed.status], [400, 404, 500]);
    let spans = collector.spans_once(3).await;
    for (span, reply, failure) in
        [(&spans[0], &wrong, None), (&spans[1], &unknown, None), (&spans[2], &failed, Some("internal"))]
    {
        let status = json!(reply.status.to_string());
        assert_eq!(fact(span, "http.response.status_code"), Some(&status), "{span}");
        assert_eq!(fact(span, "error.type").and_then(Value::as_str), failure, "{span}");
        assert_eq!(span.get("status").is_some(), failure.is_some(), "{span}");
        // They had no header: each is a trace of its own, and the log knows which.
        let root = closing(&daemon, reply).await["trace.id"].as_str().unwrap().replace('-', "");
        assert_eq!(span["traceId"], root[1..], "{span}");
        assert!(span.get("parentSpanId").is_none(), "{span}");
    }
    let text = collector
        .seen()
        .iter()
        .map(|seen| String::from_utf8_lossy(&seen.body).into_owned())
        .collect::<String>();
    assert!(!text.contains("sleep") && !text.contains("localhost"), "{text}");
    daemon.stop().await;
}

#[tokio::test]
async fn what_a_collector_refuses_is_dropped_and_said_once() {
    let obedient = Obedient::make();
    let collector = Collector::doing(|_| Act::garbage(400)).await;
    let daemon = serve(&obedient, &collector).await;
    for (number, spans) in [(0, 3), (1, 6)] {
        asked_at_once(&daemon, number).await;
        daemon.metric_until("trace_spans_dropped_total{reason=\"refused\"}", spans).await;
    }
    assert_eq!(collector.seen().len(), 2, "nothing was sent again");
    assert_eq!(daemon.log().matches("the collector refuses spans").count(), 1, "{}", daemon.log());
    assert_eq!(daemon.metric("trace_spans_exported_total").await, 0);
    daemon.stop().await;
}

#[tokio::test]
async fn what_a_collector_takes_later_is_sent_again() {
    let obedient = Obedient::make();
    let busy = Act::Answer(429, "Retry-After: 2\r\n".to_owned(), Vec::new());
    let partly = json!({ "partialSuccess": { "rejectedSpans": "1", "errorMessage": "one is too old" } });
    let acts = [Act::garbage(503), Act::Reset, busy, Act::ok(&json!({})), Act::ok(&partly)];
    let times = Arc::new(Mutex::new(Vec::new()));
    let clock = Arc::clone(&times);
    let script = move |request: &Request| {
        clock.lock().unwrap().push(Instant::now());
        acts[request.number.min(acts.len() - 1)].clone()
    };
    let collector = Collector::doing(script).await;
    let daemon = serve(&obedient, &collector).await;
    asked_at_once(&daemon, 0).await;
    daemon.metric_until("trace_spans_exported_total", 3).await;
    let wished = times.lock().unwrap().get(2..4).map(|pair| pair[1] - pair[0]).unwrap();
    assert!(wished > Duration::from_millis(1_900), "it wished for 2 s, and had {wished:?}");
    let seen = collector.seen();
    assert!(seen.iter().all(|request| spans(request) == spans(&seen[0])), "each is the same batch");
    until(|| daemon.log().contains("spans of traces are exported again")).await;
    assert_eq!(daemon.log().matches("could not export spans").count(), 1, "{}", daemon.log());
    asked_at_once(&daemon, 1).await;
    daemon.metric_until("trace_spans_dropped_total{reason=\"refused\"}", 1).await;
    assert_eq!(daemon.metric("trace_spans_exported_total").await, 5);
    until(|| daemon.log().contains("one is too old")).await;
    daemon.stop().await;
}

#[tokio::test]
async fn what_a_collector_puts_off_for_too_long_is_dropped() {
    let obedient = Obedient::make();
    let busy = Act::Answer(503, "Retry-After: 0\r\n".to_owned(), Vec::new());
    let collector = Collector::doing(move |_| busy.clone()).await;
    let daemon = serve(&obedient, &collector).await;
    asked_at_once(&daemon, 0).await;
    daemon.metric_until("trace_spans_dropped_total{reason=\"unreachable\"}", 3).await;
    assert_eq!(collector.seen().len(), 5);
    assert_eq!(daemon.log().matches("could not export spans").count(), 1, "{}", daemon.log());
    daemon.stop().await;
}

#[tokio::test]
async fn a_collector_that_hangs_holds_up_nobody() {
    let obedient = Obedient::make();
    let collector = Collector::doing(|_| Act::Hang).await;
    let daemon = serve(&obedient, &collector).await;
    for number in 0..2 {
        asked_at_once(&daemon, number).await;
        until(|| !collector.seen().is_empty()).await;
    }
    let log = daemon.directory.path().join("log");
    let kept = std::fs::File::open(log).unwrap();
    ends_at_once(daemon).await;
    let said = std::io::read_to_string(kept).unwrap();
    assert!(said.contains("the last spans of traces were not taken in time"), "{said}");
}

#[tokio::test]
async fn a_collector_that_is_away_holds_up_nobody() {
    let obedient = Obedient::make();
    // Bound, so that nobody else has it, and not listened to.
    let closed = TcpSocket::new_v4().unwrap();
    closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("--trace-url=http://{}", closed.local_addr().unwrap());
    let daemon = obedient.serve(&[&url, "--trace-share=100%"]).await;
    asked_at_once(&daemon, 0).await;
    until(|| daemon.log().contains("could not export spans")).await;
    asked_at_once(&daemon, 1).await;
    ends_at_once(daemon).await;
}

#[tokio::test]
async fn the_last_spans_come_with_the_end() {
    let obedient = Obedient::make();
    // One that takes its time, but not too much.
    let late = || Act::Late(Duration::from_millis(300), Box::new(Act::ok(&json!({}))));
    let collector = Collector::doing(move |_| late()).await;
    let daemon = serve(&obedient, &collector).await;
    let mut running = daemon.client().await;
    running.send(compile(ID, &sleep("1.5", 0))).await;
    daemon.health_until(|health| health["slotsBusy"] == 1).await;
    let begun = Instant::now();
    let held = daemon.holdings();
    daemon.signal(Signal::TERM);
    assert_eq!(running.reply().await.status, 200);
    daemon.ends_with(0, held).await;
    assert!(begun.elapsed() < AT_ONCE + Duration::from_secs(2), "it took {:?}", begun.elapsed());
    assert_eq!(collector.spans().len(), 3);
}

#[tokio::test]
async fn a_project_build_has_a_route_of_its_own() {
    let (obedient, collector) = (Obedient::make(), Collector::start().await);
    let daemon = serve(&obedient, &collector).await;
    for path in [format!("/api/compiler/{ID}/build/cmake"), "/api/compilers".to_owned()] {
        let request =
            if path.contains("build") { post(&path, "", "{}") } else { get(&path, "").into_bytes() };
        daemon.ask(request).await;
    }
    let spans = collector.spans_once(2).await;
    let names: Vec<&str> = spans.iter().map(|span| span["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["POST /api/compiler/{id}/build/{system}", "GET /api/compilers"]);
    daemon.stop().await;
}
