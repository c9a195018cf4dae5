//! What our router sends to a queue, and when it looks up where to (contract-cloud 3.1 to 3.3, 8.2, 8.3, 8.6 and B.3).

use std::time::Duration;

use compilation_worker::ports::{Ask, BlobStore as _, Message, QueueSource as _};
use serde_json::{Value, json};

use super::yard::{TABLE, Yard, at};
use crate::support::bed::queue_row;
use crate::support::client::post;
use crate::support::daemon::Daemon;

const JSON: &str = "Content-Type: application/json\r\n";
/// Bytes of the largest message: SQS takes 262,144, and the job's remaining time needs some of them.
const LARGEST_INLINE: usize = 262_144 - 64;

/// What a request becomes. Nobody waits for its answer.
async fn sent(yard: &Yard, router: &Daemon, request: impl AsRef<[u8]>) -> Message {
    let mut client = router.client().await;
    client.send(request).await;
    let source = yard.bed().queues().source(&yard.queue).unwrap();
    let ask = Ask { most: 1, wait: Duration::from_secs(10), hidden_for: Duration::from_mins(1) };
    let received = source.receive(ask).await.unwrap().pop().expect("nothing was sent");
    source.delete(vec![received.receipt]).await.unwrap();
    received.message
}

fn read(message: &Message) -> Value {
    serde_json::from_str(&message.body).unwrap()
}

fn path(query: &str) -> String {
    format!("/api/compiler/g132/compile{query}")
}

#[tokio::test]
async fn a_job_has_the_members_that_workers_read() {
    let yard = Yard::open().await;
    let router = yard.router(&[]).await;
    let headers = "Content-Type: application/json; charset=utf-8\r\nCookie: a=b\r\nAuthorization: secret\r\n";
    let body = r#"{"source":"int x;","lang":"c++","options":{"userArguments":"-O1 'a b'"},"bypassCache":1}"#;
    let message = sent(&yard, &router, post(&path("?a=b&c=%20d"), headers, body)).await;
    let mut job = read(&message);
    let guid = job.as_object_mut().unwrap().remove("guid").unwrap();
    let guid = guid.as_str().unwrap();
    assert_eq!(uuid::Uuid::parse_str(guid).unwrap().get_version_num(), 4);
    assert_eq!((message.group.as_deref(), message.dedup.as_deref()), (Some(guid), Some(guid)));
    assert!(message.attributes["RemainingMs"].parse::<u64>().unwrap() <= 55_000);
    assert_eq!(
        job,
        json!({
            "compilerId": "g132", "isCMake": false, "headers": {"content-type": "application/json"},
            "queryStringParameters": {"a": "b", "c": " d"}, "source": "int x;", "lang": "c++",
            "options": {"userArguments": "-O1 'a b'"}, "bypassCache": 1, "filters": {}, "backendOptions": {},
            "tools": [], "libraries": [], "files": [], "executeParameters": {},
        })
    );
    let again = sent(&yard, &router, post(&path(""), JSON, body)).await;
    assert_ne!(again.dedup.as_deref(), Some(guid), "each request has a name of its own");
    assert!(yard.bed().calls().iter().all(|call| call.verb != "PUT"), "nothing was parked");
}

#[tokio::test]
async fn every_kind_of_body_becomes_a_job_or_is_refused() {
    let yard = Yard::open().await;
    let router = yard.router(&[]).await;
    let object = r#"{"source":"x","options":{}}"#;
    for (kind, body, expected) in [
        ("application/json", object, Ok(("application/json", "x"))),
        ("Application/JSON; charset=utf-8", object, Ok(("application/json", "x"))),
        ("text/plain", object, Ok(("text/plain", object))),
        ("text/plain", "int x;", Ok(("text/plain", "int x;"))),
        ("", "int x;", Ok(("text/plain", "int x;"))),
        ("application/octet-stream", "int x;", Ok(("text/plain", "int x;"))),
        // curl says so if it is not told otherwise; today's router reads a form, and the source is gone.
        (
            "application/x-www-form-urlencoded",
            "int a[3]; int f(){return a[0]&1;}",
            Ok(("text/plain", "int a[3]; int f(){return a[0]&1;}")),
        ),
        ("application/json", "{bad", Err(400)),
        ("application/json", "", Err(400)),
        ("application/json", "[1,2]", Err(400)),
        ("text/plain", "", Err(400)),
    ] {
        let headers = if kind.is_empty() { String::new() } else { format!("Content-Type: {kind}\r\n") };
        let request = post(&path(""), &headers, body);
        match expected {
            Ok((told, source)) => {
                let job = read(&sent(&yard, &router, request).await);
                assert_eq!((&job["headers"]["content-type"], &job["source"]), (&json!(told), &json!(source)));
            }
            Err(status) => {
                let reply = router.ask(request).await;
                assert_eq!((reply.status, &reply.json()["error"]), (status, &json!(true)), "{kind} {body}");
            }
        }
    }
}

#[tokio::test]
async fn the_largest_job_is_sent_and_a_larger_one_is_parked() {
    let yard = Yard::open().await;
    let own = ["--storage-overflow-bucket=mine", "--storage-overflow-prefix=large/"];
    let router = yard.router(&own).await;
    let of = |length: usize| {
        // One character of three bytes: what counts are bytes.
        let source = format!("\u{20ac}{}", "x".repeat(length - 3));
        post(&path(""), JSON, json!({ "source": source, "options": {} }).to_string())
    };
    let around = sent(&yard, &router, of(1000)).await.body.len() - 1000;
    let message = sent(&yard, &router, of(LARGEST_INLINE - around)).await;
    assert_eq!((message.body.len(), yard.bed().count("PUT")), (LARGEST_INLINE, 0));
    let message = sent(&yard, &router, of(LARGEST_INLINE - around + 1)).await;
    assert_eq!(yard.bed().count("PUT"), 1);
    let note = read(&message);
    let guid = note["guid"].as_str().unwrap();
    assert_eq!(
        (&note["type"], &note["compilerId"], &note["s3Bucket"], &note["originalSize"]),
        (&json!("s3-overflow"), &json!("g132"), &json!("mine"), &json!(LARGEST_INLINE + 1))
    );
    assert!(note.get("source").is_none());
    let time: jiff::Timestamp = note["timestamp"].as_str().unwrap().parse().unwrap();
    let key = format!("large/prod/{}/{guid}.json", time.strftime("%Y-%m-%d"));
    assert_eq!(note["s3Key"], json!(key));
    let parked = yard.bed().blobs().get(&at("mine", key), u64::MAX).await.unwrap().unwrap();
    assert_eq!((parked.bytes.len(), parked.content_type.as_str()), (LARGEST_INLINE + 1, "application/json"));
    let job: Value = serde_json::from_slice(&parked.bytes).unwrap();
    assert_eq!((&job["guid"], &job["compilerId"]), (&json!(guid), &json!("g132")));
    // Names of such facts travel in lower case.
    let size = (LARGEST_INLINE + 1).to_string();
    for (name, value) in
        [("guid", guid), ("compilerid", "g132"), ("environment", "prod"), ("originalsize", size.as_str())]
    {
        let fact = parked.metadata.iter().find(|(fact, _)| fact.eq_ignore_ascii_case(name));
        assert_eq!(fact.map(|(_, value)| value.as_str()), Some(value), "{name}");
    }
}

#[tokio::test]
async fn routes_are_looked_up_once_until_they_are_forgotten() {
    let yard = Yard::open().await;
    let green = yard.bed().queue("prod-compilation-queue-green.fifo");
    yard.bed().route(TABLE, "prod#g132", queue_row("prod-compilation-queue"));
    yard.bed().parameter("/active-color", "green");
    let table = format!("--routing-table={TABLE}");
    let router = yard.router(&[&table, "--queues-colours", "--aws-color-parameter=/active-color"]).await;
    let lookups = || (yard.bed().count("GetItem"), yard.bed().count("GetParameter"));
    let clear = || router.ask(post("/admin/clear-cache", "", ""));
    assert_eq!(clear().await.status, 200, "there is nothing yet to forget");
    let mut clients = Vec::new();
    for (round, expected) in [(1, (1, 1)), (2, (1, 1)), (3, (2, 2))] {
        if round == 3 {
            clear().await;
        }
        let mut client = router.client().await;
        client.send(post(&path(""), JSON, r#"{"source":"x","options":{}}"#)).await;
        let arrived = || yard.bed().queues().depth(&green).unwrap().waiting == round;
        crate::support::client::until(arrived).await;
        assert_eq!(lookups(), expected, "{round}");
        clients.push(client);
    }
}
