//! Both halves: our router sends, our worker answers.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};
use std::time::Duration;

use bytes::Bytes;
use compilation_worker::domain::class::Classify as _;
use compilation_worker::domain::ids::RequestId;
use compilation_worker::domain::limits::Deadline;
use compilation_worker::ports::{BlobPlace, QueueAddress, ResultBus as _};
use compilation_worker::relay::{JobName, Parts, Relay, RelayError, RelaySettings, Relayed};
use compilation_worker::wire::envelope::{self, Body, Build, Outgoing};
use compilation_worker::wire::frame;
use compilation_worker::wire::relayed::Shape;

use tokio::time::{Instant, sleep, timeout};

use super::yard::{QUEUE, Yard};

fn relay(yard: &Yard) -> Relay {
    relay_with_room(yard, RelaySettings::default().room)
}

/// A relay in which so many bytes of large results find room.
fn relay_with_room(yard: &Yard, room: u64) -> Relay {
    let place =
        |bucket: &str, prefix: &str| BlobPlace { bucket: bucket.to_owned(), prefix: prefix.to_owned() };
    Relay::new(Parts {
        settings: RelaySettings {
            environment: "prod".to_owned(),
            overflow: Some(place("temp", "overflow/")),
            results: Some(place("results", "cache/")),
            room,
        },
        sink: Arc::new(yard.queues.clone()),
        bus: Arc::new(yard.bus.clone()),
        blobs: Arc::clone(&yard.blobs) as _,
        lifecycle: yard.lifecycle.clone(),
    })
}

async fn ask(relay: &Relay, source: &str) -> Result<Bytes, RelayError> {
    ask_on(relay, &QueueAddress::new(QUEUE), source).await
}

async fn ask_on(relay: &Relay, queue: &QueueAddress, source: &str) -> Result<Bytes, RelayError> {
    Ok(ask_for(relay, queue, source, Shape::Json).await?.body)
}

async fn ask_for(
    relay: &Relay,
    queue: &QueueAddress,
    source: &str,
    shape: Shape,
) -> Result<Relayed, RelayError> {
    let (id, body) = (RequestId::mint(), serde_json::json!({"source": source, "options": {}}).to_string());
    let job = Outgoing {
        id: &id,
        compiler: "g1",
        build: &Build::Compile,
        query: "",
        body: Body::Json(body.as_bytes()),
    };
    let name = JobName { id: &id, compiler: "g1", trace: None };
    let message = envelope::write(&job).unwrap();
    relay.ask(queue, name, message, Deadline::after(Duration::from_secs(55)), shape).await
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_is_answered() {
    let yard = Yard::open();
    let answer = ask(&relay(&yard), "hello").await.unwrap();
    let text = std::str::from_utf8(&answer).unwrap();
    assert!(text.starts_with(r#"{"echo":"hello []","queueTime":"#), "{text}");
    assert_eq!(yard.settled(1).await, [("done", Some("ok"))]);
}

#[tokio::test(start_paused = true)]
async fn five_hundred_at_once_and_none_lost() {
    let yard = Yard::with(|settings| settings.slots = 8);
    let relay = relay(&yard);
    let mut asked = tokio::task::JoinSet::new();
    for number in 0..500 {
        let relay = relay.clone();
        asked.spawn(async move { (number, ask(&relay, &format!("job {number}")).await.unwrap()) });
    }
    while let Some(answer) = asked.join_next().await {
        let (number, answer) = answer.unwrap();
        assert!(answer.starts_with(format!(r#"{{"echo":"job {number} []""#).as_bytes()));
    }
    assert_eq!(yard.settled(500).await, [("done", Some("ok")); 500]);
    assert_eq!(
        (yard.depth(QUEUE), yard.bus.topics()),
        ((0, 0), 501),
        "receipts are remembered for two minutes, and the worker hears of cancellations"
    );
    tokio::time::sleep(Duration::from_mins(2)).await;
    assert_eq!(yard.bus.topics(), 1);
}

#[tokio::test(start_paused = true)]
async fn large_jobs_and_large_results_take_the_way_round() {
    let yard = Yard::open();
    let relay = relay(&yard);
    let answer = ask(&relay, "reply 300000").await.unwrap();
    assert_eq!(
        serde_json::from_slice::<serde_json::Value>(&answer).unwrap()["echo"].as_str().unwrap().len(),
        300_000
    );
    let source = format!("hello {}", "x".repeat(300_000));
    let answer = ask(&relay, &source).await.unwrap();
    let echo: serde_json::Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(echo["echo"], format!("{source} []"));
    assert!(echo.get("s3Key").is_none() && echo.get("guid").is_none());
}

#[tokio::test(start_paused = true)]
async fn what_a_caller_who_left_asked_for_is_not_done() {
    let yard = Yard::with(|settings| settings.slots = 1);
    let relay = relay(&yard);
    let begun = Instant::now();
    let both = async { tokio::join!(ask(&relay, "sleep 30000"), ask(&relay, "sleep 30001")) };
    assert!(tokio::time::timeout(Duration::from_secs(1), both).await.is_err());
    assert_eq!(yard.settled(2).await, [("done", Some("cancelled")); 2]);
    assert!(begun.elapsed() < Duration::from_secs(2), "the one under way is stopped");
    assert_eq!(yard.workshop.begun(), 1, "the one behind it is not begun");
    assert!(ask(&relay, "hello").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn callers_who_leave_in_one_moment_are_told_of_in_few_words() {
    const CALLERS: usize = 100;
    let yard = Yard::open();
    let (relay, idle) = (relay(&yard), yard.idle_queue());
    let topic = RequestId::parse(frame::CANCELLATIONS).unwrap();
    let mut words = yard.bus.subscribe(&topic).await.unwrap();
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..CALLERS {
        let (relay, idle) = (relay.clone(), idle.clone());
        callers.spawn(async move { ask_on(&relay, &idle, "hello").await });
    }
    sleep(Duration::from_secs(1)).await;
    callers.shutdown().await;
    let (mut told, mut said) = (BTreeSet::new(), 0);
    while let Ok(word) = timeout(Duration::from_secs(1), words.next()).await {
        said += 1;
        told.extend(frame::cancelled(&word.unwrap()));
    }
    assert_eq!((told.len(), said), (CALLERS, CALLERS.div_ceil(28)), "as many in each as find room");
}

#[tokio::test(start_paused = true)]
async fn the_result_of_a_caller_who_left_is_acknowledged() {
    let yard = Yard::open();
    let (relay, idle) = (relay(&yard), yard.idle_queue());
    let left = tokio::time::timeout(Duration::from_secs(1), ask_on(&relay, &idle, "hello")).await;
    assert!(left.is_err());
    // A worker that never heard of cancellations does the job all the same.
    let job = yard.first_of(&idle).await;
    let until = Deadline::after(Duration::from_secs(30));
    let begun = Instant::now();
    yard.bus.publish(&job, format!(r#"{{"guid":"{job}","code":0}}"#).into(), until).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(1), "not offered until the deadline");
}

#[tokio::test(start_paused = true)]
async fn no_answer_is_told_at_the_deadline() {
    let yard = Yard::open();
    let began = Instant::now();
    let error = ask(&relay(&yard), "sleep 100000").await.unwrap_err();
    assert_eq!(began.elapsed(), Duration::from_secs(55));
    assert_eq!(error.class().as_str(), "expired");
    let told = error.to_string();
    assert!(
        told.starts_with("Compilation timeout: No response received within 55 seconds for GUID: "),
        "{told}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_is_not_there_is_told_without_its_name() {
    let yard = Yard::open();
    let (relay, id) = (relay(&yard), RequestId::mint());
    let name = JobName { id: &id, compiler: "g1", trace: None };
    let secret = QueueAddress::new("https://queue.example/123/secret.fifo");
    let error = relay
        .ask(&secret, name, "{}".to_owned(), Deadline::after(Duration::from_secs(5)), Shape::Json)
        .await
        .unwrap_err();
    assert_eq!((error.class().as_str(), error.to_string().contains("secret")), ("upstream", false));
}

#[tokio::test(start_paused = true)]
async fn what_is_no_result_is_waited_past() {
    let yard = Yard::open();
    let queue = yard.idle_queue();
    let (relay, id) = (relay(&yard), RequestId::mint());
    let name = JobName { id: &id, compiler: "g1", trace: None };
    let deadline = Deadline::after(Duration::from_secs(5));
    let publish = async {
        for frame in ["", "x", "{", "{}", r#"{"guid":"other","code":0}"#, r#"{"type":"ack","guid":"x"}"#] {
            let soon = Deadline::after(Duration::from_millis(10));
            let told = yard.bus.publish(&id, Bytes::from(frame), soon).await;
            assert!(told.is_err(), "acknowledged: {frame}");
        }
        let frame = format!(r#"{{"guid":"{id}","code":0,"asm":"","x":1}}"#);
        yard.bus.publish(&id, Bytes::from(frame), deadline).await.unwrap();
    };
    let (answer, ()) = tokio::join!(relay.ask(&queue, name, "{}".to_owned(), deadline, Shape::Json), publish);
    assert_eq!(answer.unwrap().body, r#"{"code":0,"asm":"","x":1}"#);
}

#[tokio::test(start_paused = true)]
async fn a_result_with_half_a_character_arrives() {
    let yard = Yard::open();
    let (relay, id, queue) = (relay(&yard), RequestId::mint(), yard.idle_queue());
    let deadline = Deadline::after(Duration::from_secs(5));
    let frame = format!(r#"{{"guid":"{id}","code":0,"asm":[{{"text":"\ud83d"}}]}}"#);
    let publish = yard.bus.publish(&id, Bytes::from(frame), deadline);
    let name = JobName { id: &id, compiler: "g1", trace: None };
    let (answer, told) =
        tokio::join!(relay.ask(&queue, name, "{}".to_owned(), deadline, Shape::Json), publish);
    assert_eq!(answer.unwrap().body, r#"{"code":0,"asm":[{"text":"\ud83d"}]}"#, "as it stands");
    told.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_result_that_lies_nowhere_is_told_as_a_failure_of_ours() {
    let yard = Yard::open();
    let queue = yard.idle_queue();
    for key in ["temp/missing", "../../secret", "a\\nb"] {
        let (relay, id) = (relay(&yard), RequestId::mint());
        let name = JobName { id: &id, compiler: "g1", trace: None };
        let deadline = Deadline::after(Duration::from_secs(5));
        let frame = format!(r#"{{"guid":"{id}","s3Key":"{key}"}}"#);
        let publish = yard.bus.publish(&id, Bytes::from(frame), deadline);
        let (answer, told) =
            tokio::join!(relay.ask(&queue, name, "{}".to_owned(), deadline, Shape::Json), publish);
        let error = answer.unwrap_err();
        assert_eq!(error.class().as_str(), "upstream", "{error}");
        told.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_is_too_far_behind_is_not_asked() {
    let yard = Yard::open();
    let (relay, idle) = (relay(&yard), yard.idle_queue());
    let error = ask_on(&relay, &idle, "hello").await.unwrap_err();
    assert!(matches!(error, RelayError::Silent { .. }), "{error}");
    let begun = Instant::now();
    let error = ask_on(&relay, &idle, "hello").await.unwrap_err();
    assert!(matches!(error, RelayError::Backlog(_)), "{error}");
    assert_eq!((error.class().as_str(), begun.elapsed()), ("busy", Duration::ZERO), "told at once");
    assert!(ask(&relay, "hello").await.is_ok(), "another queue is another matter");
    tokio::time::sleep(Duration::from_secs(5)).await;
    let error = ask_on(&relay, &idle, "hello").await.unwrap_err();
    assert!(matches!(error, RelayError::Silent { .. }), "after a while somebody is let through: {error}");
}

#[tokio::test(start_paused = true)]
async fn a_large_result_waits_for_room_and_is_not_lost() {
    let yard = Yard::open();
    let (relay, queue) = (relay_with_room(&yard, 300_000), QueueAddress::new(QUEUE));
    for shape in [Shape::Json, Shape::Text { strip: None }] {
        let unread = ask_for(&relay, &queue, "listing 200000", shape).await.unwrap();
        assert!(unread.body.len() > 200_000, "{}", unread.body.len());
        let begun = Instant::now();
        let (next, ()) = tokio::join!(ask_for(&relay, &queue, "listing 200001", shape), async {
            sleep(Duration::from_secs(20)).await;
            drop(unread);
        });
        assert!(next.unwrap().body.len() > 200_000);
        assert!(begun.elapsed() >= Duration::from_secs(20), "{shape:?} took no room");
    }
    assert_eq!(
        yard.settled(4).await,
        [("done", Some("ok")); 4],
        "none was offered longer than it took to arrive"
    );
}

#[tokio::test(start_paused = true)]
async fn a_large_result_that_finds_no_room_in_time_is_told_as_such() {
    let yard = Yard::open();
    let (relay, queue) = (relay_with_room(&yard, 300_000), QueueAddress::new(QUEUE));
    let unread = ask_for(&relay, &queue, "listing 200000", Shape::Json).await.unwrap();
    let begun = Instant::now();
    let error = ask_on(&relay, &queue, "listing 200001").await.unwrap_err();
    assert!(matches!(error, RelayError::Crowded), "{error}");
    assert_eq!((error.class().as_str(), begun.elapsed()), ("busy", Duration::from_secs(55)));
    drop(unread);
    assert!(ask_on(&relay, &queue, "listing 200001").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn large_results_are_put_together_where_nobody_else_waits() {
    static THREADS: Mutex<Vec<ThreadId>> = Mutex::new(Vec::new());
    fn note(text: &str) -> Cow<'_, str> {
        THREADS.lock().unwrap().push(thread::current().id());
        Cow::Borrowed(text)
    }
    let yard = Yard::open();
    let (relay, queue, here) = (relay(&yard), QueueAddress::new(QUEUE), thread::current().id());
    for (source, on_the_spot) in [("listing 100", true), ("listing 100000", true), ("listing 200000", false)]
    {
        ask_for(&relay, &queue, source, Shape::Text { strip: Some(note) }).await.unwrap();
        let threads = std::mem::take(&mut *THREADS.lock().unwrap());
        assert!(
            !threads.is_empty() && threads.iter().all(|thread| (*thread == here) == on_the_spot),
            "{source}"
        );
    }
}
