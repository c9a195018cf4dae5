//! One request, one trace: through a router, its queue, and the worker that did it.

use compilation_worker::aws::SqsSink;
use compilation_worker::domain::trace::TraceContext;
use compilation_worker::ports::{Message, QueueSink as _};
use serde_json::{Value, json};

use super::ground::{self, Ground, source};
use crate::support::client::{post, until};
use crate::support::collector::{Collector, fact};
use crate::support::daemon::Daemon;
use crate::support::fleet::Services;
use crate::support::obedient::ID;

const ROOT: &str = "1-5759e988-bd862e3fe1be46a994272793";

/// The `trace.id` of each event with this message, in order.
fn traces(daemon: &Daemon, message: &str) -> Vec<Value> {
    let log = daemon.log();
    let events = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    events.filter(|event| event["message"] == message).map(|event| event["trace.id"].clone()).collect()
}

#[tokio::test]
async fn one_request_is_one_trace() {
    let (ground, collector) = (Ground::over(Services::bed().await).await, Collector::start().await);
    let place = ground.place("traced").await;
    let flags = collector.flags();
    let flags = flags.each_ref().map(String::as_str);
    let router = ground.fleet.router(&place.jobs, &flags).await;
    let worker = ground.worker(&place, &flags, None).await;
    worker.task_over("warm-up").await;
    // As a balancer writes it: who began the trace is nobody that it knows.
    let headers = format!("Content-Type: application/json\r\nX-Amzn-Trace-Id: Root={ROOT}\r\n");
    let body = json!({"source": source("traced", 100), "options": {}}).to_string();
    let reply = router.ask(post(&format!("/api/compiler/{ID}/compile"), &headers, body)).await;
    assert_eq!((reply.status, reply.header("x-job-status")), (200, Some("ok")), "{}", reply.text());
    let spans = collector.spans_once(4).await;
    let named =
        |name: &str| spans.iter().find(|span| span["name"] == name).unwrap_or_else(|| panic!("{spans:?}"));
    let server = named("POST /api/compiler/{id}/compile");
    let consumer = named("process traced.fifo");
    assert!(spans.iter().all(|span| span["traceId"] == ROOT.replace('-', "")[1..]), "{spans:?}");
    assert_eq!(server.get("parentSpanId"), None);
    assert_eq!((&consumer["kind"], &consumer["parentSpanId"]), (&json!(5), &server["spanId"]));
    for part in ["wait for a slot", "compile"] {
        assert_eq!(named(part)["parentSpanId"], consumer["spanId"]);
    }
    for (key, value) in [
        ("messaging.system", json!("aws_sqs")),
        ("messaging.operation.type", json!("process")),
        ("messaging.destination.name", json!("traced.fifo")),
        ("outcome", json!("done")),
        ("receives", json!("1")),
        ("job.status", json!("ok")),
        ("compiler.id", json!(ID)),
    ] {
        assert_eq!(fact(consumer, key), Some(&value), "{key}: {consumer}");
    }
    assert!(fact(consumer, "messaging.message.id").unwrap().as_str().is_some_and(|id| !id.is_empty()));
    until(|| traces(&worker, "message settled") == [ROOT]).await;
    until(|| traces(&router, "answered").contains(&json!(ROOT))).await;
    router.stop().await;
    worker.stop().await;
}

/// Today's routers put all jobs into one group, and know nothing of traces; the service before them may.
#[tokio::test]
async fn a_regrouped_job_stays_in_its_trace() {
    let (ground, collector) = (Ground::over(Services::bed().await).await, Collector::start().await);
    let place = ground.place("shared").await;
    let flags = collector.flags();
    let worker = ground.worker(&place, &flags.each_ref().map(String::as_str), None).await;
    worker.task_over("warm-up").await;
    let sink = SqsSink::new(&ground.fleet.clients(), ground.fleet.lifecycle.clone());
    let header = format!("Root={ROOT};Parent=53995c3f42cd8ad8;Sampled=1");
    let job = json!({
        "guid": "shared", "compilerId": ID, "isCMake": false, "source": source("shared", 0),
        "headers": {"content-type": "application/json"}, "queryStringParameters": {}, "options": {},
        "filters": {}, "backendOptions": {}, "tools": [], "libraries": [], "files": [], "executeParameters": {},
    });
    let message = Message {
        body: job.to_string(),
        group: Some("default".to_owned()),
        dedup: Some("shared".to_owned()),
        // Nobody waits for the result; it need not be offered for long.
        attributes: [("RemainingMs".to_owned(), "8000".to_owned())].into(),
        trace: TraceContext::parse(&header),
    };
    assert!(message.trace.is_some());
    sink.send(&place.jobs, message).await.unwrap();
    ground.fleet.emptied(&place.jobs).await;
    let spans = collector.spans_once(4).await;
    let consumers: Vec<&Value> = spans.iter().filter(|span| span["kind"] == 5).collect();
    let outcomes: Vec<_> =
        consumers.iter().map(|span| fact(span, "outcome").unwrap().as_str().unwrap()).collect();
    assert_eq!(outcomes, ["regrouped", "unclaimed"]);
    assert!(consumers.iter().all(|span| span["parentSpanId"] == "53995c3f42cd8ad8"), "{consumers:?}");
    let settled = ground::settled(&worker).await;
    assert_eq!(settled.len(), 2, "{settled:?}");
    assert_eq!(traces(&worker, "message settled"), [ROOT, ROOT]);
    worker.stop().await;
}
