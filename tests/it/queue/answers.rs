//! Jobs that can be done.

use std::time::Duration;

use compilation_worker::domain::trace::{Sampling, TraceContext};
use compilation_worker::ports::{Blob, BlobAddress, BlobStore as _, Message, ResultBus as _};
use tokio::time::Instant;

use super::yard::{Yard, id, message, next};

#[tokio::test(start_paused = true)]
async fn a_job_is_answered_and_its_message_deleted() {
    let yard = Yard::open();
    let mut subscription = yard.wait_for("a").await;
    yard.send("a", "hello").await;
    let frame = next(&mut subscription).await;
    let text = std::str::from_utf8(&frame).unwrap();
    assert!(text.starts_with(r#"{"guid":"a","echo":"hello [\"-O1\"]","queueTime":"#), "{text}");
    assert_eq!(yard.depth("compilation-queue.fifo"), (0, 1), "it stays until the receipt");
    subscription.acknowledge();
    assert_eq!(yard.settled(1).await, [("done", Some("ok"))]);
    let told = yard.settled.lock().unwrap()[0].clone();
    assert_eq!(
        (told.compiler.as_deref(), told.cached, told.work.map(|work| work.waited)),
        (Some("g1"), false, Some(Duration::ZERO))
    );
    assert_eq!(yard.depth("compilation-queue.fifo"), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn today_s_content_types_are_read_as_they_are_meant() {
    let yard = Yard::open();
    for (guid, kind, expected) in [
        ("plain", "application/json", "hello [\"-O1\"]"),
        ("charset", "application/json; charset=utf-8", "hello [\"-O1\"]"),
        ("text", "text/plain", "hello []"),
        ("form", "application/x-www-form-urlencoded", "hello []"),
    ] {
        let mut job: serde_json::Value = serde_json::from_str(&message(guid, "hello")).unwrap();
        job["headers"]["content-type"] = kind.into();
        yard.post(&job.to_string(), guid, guid).await;
        assert_eq!(yard.result(guid).await["echo"], expected, "{kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_slow_job_of_a_shared_group_holds_up_nobody() {
    let yard = Yard::open();
    yard.post(&message("slow", "sleep 20000"), "default", "slow").await;
    for number in 0..10 {
        let guid = format!("quick{number}");
        yard.post(&message(&guid, "hello"), "default", &guid).await;
    }
    let begun = Instant::now();
    for number in 0..10 {
        yard.result(&format!("quick{number}")).await;
    }
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    yard.result("slow").await;
    let settled = yard.settled(22).await;
    assert_eq!(settled.iter().filter(|(outcome, _)| *outcome == "regrouped").count(), 11);
    assert_eq!(yard.depth("compilation-queue.fifo"), (0, 0));
    assert_eq!(yard.workshop.begun(), 11);
}

#[tokio::test(start_paused = true)]
async fn a_trace_stays_with_its_job() {
    let yard = Yard::with(|settings| settings.sampling = Some(Sampling::of(0)));
    let told = |sampled| {
        let root = "Root=1-5759e988-bd862e3fe1be46a994272793";
        TraceContext::parse(&format!("{root};Parent=53995c3f42cd8ad8;Sampled={sampled}"))
    };
    for (guid, sampled) in [("recorded", 1), ("not", 0)] {
        yard.put(Message {
            body: message(guid, "sleep 3000"),
            group: Some("default".to_owned()),
            dedup: Some(guid.to_owned()),
            trace: told(sampled),
            ..Message::default()
        })
        .await;
        yard.result(guid).await;
    }
    yard.send("without", "hello").await;
    yard.result("without").await;
    yard.settled(5).await;
    let settled = yard.settled.lock().unwrap().clone();
    for (guid, outcome, sampled) in [
        ("recorded", "regrouped", Some(1)),
        ("recorded", "done", Some(1)),
        ("not", "regrouped", Some(0)),
        ("not", "done", Some(0)),
        ("without", "done", None),
    ] {
        let mut found = settled
            .iter()
            .filter(|one| one.outcome == outcome && one.id.as_ref().is_some_and(|id| id.as_str() == guid));
        let one = found.next().unwrap();
        let traced = one.traced.unwrap();
        assert_eq!(traced.span.is_some(), sampled == Some(1), "{guid} {outcome}");
        match sampled {
            Some(sampled) => assert_eq!(Some(traced.context), told(sampled), "{guid} {outcome}"),
            // A router that knows nothing of traces: it begins here.
            None => assert_ne!(traced.context.id, told(0).unwrap().id),
        }
        if one.id.as_ref().unwrap().as_str() != "without" && outcome == "done" {
            let work = one.work.unwrap();
            assert_eq!((work.waited, work.took.as_secs()), (Duration::ZERO, 3), "{guid}");
            assert!(work.after + work.took <= one.duration);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_put_aside_keeps_its_trace() {
    let yard = Yard::open();
    let trace = TraceContext::parse("Root=1-5759e988-bd862e3fe1be46a994272793");
    yard.put(Message {
        body: "garbage".to_owned(),
        group: Some("g".to_owned()),
        dedup: Some("g".to_owned()),
        trace,
        ..Message::default()
    })
    .await;
    assert_eq!(yard.settled(1).await, [("buried", Some("rejected"))]);
    assert_eq!(yard.dead().await.pop().unwrap().message.trace, trace);
    // Nobody records anything here.
    assert_eq!(
        yard.settled.lock().unwrap()[0].traced.map(|traced| (Some(traced.context), traced.span)),
        Some((trace, None))
    );
}

#[tokio::test(start_paused = true)]
async fn a_regrouped_job_keeps_the_time_it_had() {
    let yard = Yard::open();
    // Two fill the slots for a while, so that the third is regrouped, and comes again, with less time.
    for guid in ["a", "b"] {
        yard.send(guid, "sleep 30000").await;
    }
    tokio::time::sleep(Duration::from_millis(10)).await;
    yard.post(&message("late", "sleep 30000"), "default", "late").await;
    for guid in ["a", "b"] {
        yard.result(guid).await;
    }
    let settled = yard.settled(4).await;
    assert!(
        settled.contains(&("done", Some("stale"))),
        "30 s waiting and 30 s running are too many: {settled:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn never_more_at_once_than_there_are_slots() {
    let yard = Yard::open();
    for number in 0..40 {
        yard.send(&format!("job{number}"), "sleep 100").await;
    }
    let watch = async {
        let mut most = 0;
        loop {
            most = most.max(yard.workshop.running());
            if yard.workshop.begun() == 40 {
                return most;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    assert_eq!(tokio::time::timeout(Duration::from_secs(10), watch).await.unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_large_result_is_parked_byte_for_byte() {
    let yard = Yard::open();
    yard.send("big", "reply 5000").await;
    let frame = yard.result("big").await;
    assert_eq!(frame["s3Key"], "temp/big");
    assert!(frame.get("echo").is_none());
    let parked = yard.blob("results", "cache/temp/big").await.unwrap();
    let parked: serde_json::Value = serde_json::from_slice(&parked).unwrap();
    assert_eq!(parked["echo"].as_str().unwrap().len(), 5000);
    assert_eq!(yard.settled(1).await, [("done", Some("ok"))]);
}

#[tokio::test(start_paused = true)]
async fn without_a_place_a_large_result_becomes_an_error() {
    let yard = Yard::with(|settings| settings.results = None);
    yard.send("big", "reply 5000").await;
    let frame = yard.result("big").await;
    assert_eq!(frame["code"], -1);
    let said = frame["stderr"][0]["text"].as_str().unwrap();
    assert!(said.contains("no bucket for results is configured"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn a_job_too_large_for_the_queue_is_fetched() {
    let yard = Yard::open();
    let at = BlobAddress { bucket: "temp".to_owned(), key: "overflow/prod/2026-01-02/far.json".to_owned() };
    let blob = Blob { bytes: message("far", "hello").into(), ..Blob::default() };
    yard.blobs.put(&at, blob).await.unwrap();
    let note = serde_json::json!({
        "type": "s3-overflow", "guid": "far", "compilerId": "g1", "s3Bucket": at.bucket, "s3Key": at.key,
        "originalSize": 300_123, "timestamp": "2026-01-02T03:04:05.678Z",
    });
    yard.post(&note.to_string(), "default", "far").await;
    assert_eq!(yard.result("far").await["echo"], "hello [\"-O1\"]");
}

#[tokio::test(start_paused = true)]
async fn jobs_that_were_parked_at_one_place_are_not_taken_for_each_other() {
    let yard = Yard::open();
    let at = BlobAddress { bucket: "temp".to_owned(), key: "overflow/same.json".to_owned() };
    for (guid, source) in [("one", "remember one"), ("two", "remember two")] {
        let blob = Blob { bytes: message(guid, source).into(), ..Blob::default() };
        yard.blobs.put(&at, blob).await.unwrap();
        let note =
            serde_json::json!({"type": "s3-overflow", "guid": guid, "s3Bucket": at.bucket, "s3Key": at.key});
        yard.post(&note.to_string(), guid, guid).await;
        assert_eq!(yard.result(guid).await["echo"], format!("{source} [\"-O1\"]"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_result_that_nobody_takes_is_left_under_its_name() {
    let yard = Yard::open();
    yard.send("lonely", "hello").await;
    assert_eq!(yard.settled(1).await, [("unclaimed", Some("ok"))]);
    assert_eq!(yard.depth("compilation-queue.fifo"), (0, 0));
    assert!(yard.blob("results", "cache/temp/lonely").await.unwrap().starts_with(b"{\"guid\":\"lonely\""));
}

#[tokio::test(start_paused = true)]
async fn receipts_that_are_late_hold_up_nobody() {
    let yard = Yard::open();
    for number in 0..20 {
        yard.send(&format!("lonely{number}"), "hello").await;
    }
    yard.send("last", "hello").await;
    let begun = Instant::now();
    yard.result("last").await;
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_full_outbox_stops_the_polling_and_nothing_else() {
    let yard = Yard::with(|settings| settings.outbox = 3);
    let mut waiting = Vec::new();
    for number in 0..5 {
        let guid = format!("job{number}");
        waiting.push(yard.bus.subscribe(&id(&guid)).await.unwrap());
        yard.send(&guid, "hello").await;
    }
    for subscription in &mut waiting[..3] {
        next(subscription).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!((yard.workshop.begun(), yard.depth("compilation-queue.fifo")), (3, (2, 3)));
    waiting[0].acknowledge();
    next(&mut waiting[3]).await;
    assert_eq!(yard.workshop.begun(), 4);
}
