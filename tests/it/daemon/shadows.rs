//! A second service is asked what it would have answered: nobody waits for it, and every difference is counted.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::any;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::support::client::post;
use crate::support::daemon::Daemon;

const SOURCE: &str = "int square(int n) { return n * n; }";
const BROKEN: &str = "int square(int n) { return m; }";

/// A service that answers every request in one way, and tells what it was asked.
struct Second {
    address: SocketAddr,
    asked: mpsc::UnboundedReceiver<(String, Bytes)>,
    _serving: JoinSet<()>,
}

impl Second {
    async fn answering(status: u16, body: &Value) -> Self {
        let body = body.to_string();
        Self::serving(move || {
            let body = body.clone();
            async move { Response::builder().status(status).body(body.into()).unwrap() }
        })
        .await
    }

    async fn serving<F>(answer: impl Fn() -> F + Clone + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Response> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, asked) = mpsc::unbounded_channel();
        let routes = Router::new().fallback(any(move |request: Request| {
            let (tell, answer) = (tell.clone(), answer());
            async move {
                let (head, body) = request.into_parts();
                let head = format!("{} {}\n{:?}", head.method, head.uri, head.headers);
                tell.send((head, body.collect().await.unwrap().to_bytes())).unwrap();
                answer.await
            }
        }));
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { address, asked, _serving: serving }
    }

    async fn asked(&mut self) -> (String, Bytes) {
        timeout(Duration::from_secs(20), self.asked.recv()).await.expect("nobody asks").unwrap()
    }
}

async fn shadowed_by(address: SocketAddr, more: &[&str]) -> Daemon {
    let url = format!("http://{address}/");
    Daemon::start(&[&["--shadow-url", &url, "--shadow-share", "100%"], more].concat()).await
}

fn source(text: &str) -> Value {
    json!({ "source": text, "options": { "userArguments": "-O1" } })
}

#[tokio::test]
async fn two_of_us_agree_about_results_errors_and_texts() {
    let second = Daemon::start(&[]).await;
    let first = shadowed_by(second.http, &["--shadow-at-once", "16"]).await;
    for text in [SOURCE, BROKEN, "", SOURCE] {
        assert_eq!(first.compile("g++", &source(text)).await.status, 200);
    }
    assert_eq!(first.compile("no-such-compiler", &source(SOURCE)).await.status, 404);
    assert_eq!(
        first.ask(post("/api/compiler/g++/compile", "Content-Type: application/json\r\n", "{")).await.status,
        400
    );
    let text = post("/api/compiler/g++/compile?options=-O2", "Accept: text/plain\r\n", SOURCE);
    assert!(first.ask(text).await.text().contains("square"));
    first.metric_until("shadow_comparisons_total{verdict=\"same\"}", 7).await;
    // What was remembered, the repeat, and what was refused took no time worth comparing.
    assert_eq!(first.metric("shadow_ours_seconds_count").await, 4);
    assert_eq!(first.metric("shadow_theirs_seconds_count").await, 4);
    assert_eq!(first.metric("shadow_passed_over_total").await, 0);
    assert_eq!(first.metric("shadow_comparisons_total{verdict=\"different\"}").await, 0, "{}", first.log());
    // What is a copy itself is not copied again.
    assert_eq!(second.metric("shadow_comparisons_total{verdict=\"same\"}").await, 0);
    first.stop().await;
    second.stop().await;
}

#[tokio::test]
async fn our_time_begins_when_the_request_has_come_and_what_they_remembered_has_none() {
    let second = Second::answering(200, &json!({ "code": 0, "asm": [] })).await;
    let first = shadowed_by(second.address, &[]).await;
    let request =
        post("/api/compiler/g++/compile", "Content-Type: application/json\r\n", source(SOURCE).to_string());
    let (early, late) = request.split_at(request.len() - 1);
    let mut client = first.client().await;
    client.send(early).await;
    // A client on a slow line: its time is not ours. Much longer than a compile takes.
    tokio::time::sleep(Duration::from_secs(4)).await;
    client.send(late).await;
    assert_eq!(client.reply().await.status, 200);
    first.metric_until("shadow_ours_seconds_count", 1).await;
    let page = first.admin_page("/metrics").await;
    let ours = page.text().lines().find_map(|line| line.strip_prefix("shadow_ours_seconds_sum ")).unwrap();
    assert!(ours.parse::<f64>().unwrap() < 4.0, "{ours}");
    first.stop().await;

    let second = Second::answering(200, &json!({ "code": 0, "asm": [], "retreivedFromCache": true })).await;
    let first = shadowed_by(second.address, &[]).await;
    assert_eq!(first.compile("g++", &source(SOURCE)).await.status, 200);
    first.metric_until("shadow_comparisons_total{verdict=\"different\"}", 1).await;
    assert_eq!(first.metric("shadow_theirs_seconds_count").await, 0);
    first.stop().await;
}

#[tokio::test]
async fn differences_are_counted_and_kept_and_the_client_sees_none_of_it() {
    let mut second = Second::answering(200, &json!({ "code": 1, "asm": [{ "text": "other" }] })).await;
    let samples = tempfile::tempdir().unwrap();
    let directory = samples.path().join("kept");
    let first = shadowed_by(second.address, &["--shadow-samples", directory.to_str().unwrap()]).await;
    let request = post(
        "/api/compiler/g++/compile?a=1",
        "Content-Type: application/json\r\nCookie: secret=1\r\nAuthorization: secret\r\nAccept: application/json\r\n",
        source(SOURCE).to_string(),
    );
    let reply = first.ask(request).await;
    assert_eq!((reply.status, &reply.json()["code"]), (200, &json!(0)));
    let (head, body) = second.asked().await;
    assert!(head.starts_with("POST /api/compiler/g++/compile?a=1\n"), "{head}");
    assert!(!head.contains("secret"), "what a client says of itself is not passed on: {head}");
    assert_eq!(body, source(SOURCE).to_string());
    first.metric_until("shadow_comparisons_total{verdict=\"different\"}", 1).await;
    for what in ["code", "assembly"] {
        assert_eq!(first.metric(&format!("shadow_differences_total{{what=\"{what}\"}}")).await, 1, "{what}");
    }
    let kept = std::fs::read_to_string(directory.join("difference-00.json")).unwrap();
    let kept: Value = serde_json::from_str(&kept).unwrap();
    assert_eq!(kept["differences"], "code, assembly at line 1");
    assert_eq!(kept["request"]["body"], source(SOURCE).to_string());
    // Lines of the log leave in batches.
    timeout(Duration::from_secs(10), async {
        while !first.log().contains("the shadow answered otherwise") {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the log does not tell");
    assert!(!first.log().contains("square"), "the log shows a source");
    first.stop().await;
}

#[tokio::test]
async fn a_second_service_in_trouble_costs_nobody_anything() {
    let broken = Second::answering(503, &json!({})).await;
    let first = shadowed_by(broken.address, &[]).await;
    assert_eq!(first.compile("g++", &source(SOURCE)).await.status, 200);
    first.metric_until("shadow_comparisons_total{verdict=\"failed\"}", 1).await;
    first.stop().await;

    let mut hung = Second::serving(std::future::pending).await;
    let first = shadowed_by(hung.address, &["--shadow-at-once", "1", "--shadow-patience", "1s"]).await;
    for number in 0..3 {
        assert_eq!(
            first.compile("g++", &source(&format!("int f() {{ return {number}; }}"))).await.status,
            200
        );
    }
    // Those that found no room were not copied, and are counted.
    assert!(first.metric("shadow_passed_over_total").await > 0);
    hung.asked().await;
    first.metric_until("shadow_comparisons_total{verdict=\"failed\"}", 1).await;
    let waits = first.compile("g++", &source("int waits();")).await;
    assert_eq!(waits.status, 200);
    hung.asked().await;
    // It ends at once, whoever still waits for the second service.
    first.stop().await;
}
