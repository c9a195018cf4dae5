//! Messages that are no jobs, and jobs that cannot be done.

use std::time::Duration;

use compilation_worker::engine::Terms;
use compilation_worker::ports::{Blob, BlobAddress, BlobStore as _, Message};

use super::yard::{DEAD, QUEUE, Yard, message};

#[tokio::test(start_paused = true)]
async fn what_is_wrong_with_a_job_is_its_result() {
    let yard = Yard::open();
    for (guid, change, expected) in [
        ("id", r#"{"compilerId":"nope"}"#, "Compiler with ID nope not found for language undefined"),
        ("lang", r#"{"compilerId":"nope","lang":"c++"}"#, "Compiler with ID nope not found for language c++"),
        ("sys", r#"{"buildSystem":"toString"}"#, "Unknown build system 'toString'"),
        ("wins", r#"{"buildSystem":"nope","isCMake":true}"#, "Unknown build system 'nope'"),
        ("cmake", r#"{"isCMake":true}"#, "Compiler does not support compiling to binaries"),
        ("cargo", r#"{"buildSystem":"cargo"}"#, "Compiler does not support compiling to binaries"),
        ("files", r#"{"files":3}"#, "files"),
        ("source", r#"{"source":3}"#, "source"),
        ("headers", r#"{"headers":3}"#, "headers must be an object"),
    ] {
        let mut job: serde_json::Value = serde_json::from_str(&message(guid, "hello")).unwrap();
        let change: serde_json::Map<_, _> = serde_json::from_str(change).unwrap();
        job.as_object_mut().unwrap().extend(change);
        yard.post(&job.to_string(), guid, guid).await;
        let result = yard.result(guid).await;
        let said = result["stderr"][0]["text"].as_str().unwrap();
        assert!(said.contains(expected), "{guid}: {said}");
        assert_eq!((&result["code"], &result["guid"]), (&(-1).into(), &guid.into()));
        assert_eq!((&result["asm"], &result["timedOut"]), (&serde_json::json!([]), &false.into()));
    }
    assert_eq!(yard.settled(9).await, [("done", Some("rejected")); 9]);
    assert_eq!((yard.workshop.begun(), yard.depth(QUEUE), yard.depth(DEAD)), (0, (0, 0), (0, 0)));
}

#[tokio::test(start_paused = true)]
async fn what_names_nobody_is_put_aside_with_the_reason() {
    let yard = Yard::open();
    let deep = "[".repeat(100_000);
    for (number, body) in
        ["", "x", "{", "[]", "3", r#"{"guid":3}"#, r#"{"compilerId":"g1"}"#, r#"{"guid":""}"#, deep.as_str()]
            .into_iter()
            .enumerate()
    {
        yard.post(body, &format!("group{number}"), &format!("dedup{number}")).await;
    }
    assert_eq!(yard.settled(9).await, [("buried", Some("rejected")); 9]);
    let dead = yard.dead().await;
    assert_eq!((dead.len(), yard.depth(QUEUE)), (9, (0, 0)));
    assert!(
        dead.iter().all(|one| one.message.attributes["Reason"] == "it is no job, and names nobody to tell")
    );
}

#[tokio::test(start_paused = true)]
async fn no_job_is_called_like_what_workers_listen_to() {
    let yard = Yard::open();
    yard.post(&message("cancelled-jobs", "hello"), "cancelled-jobs", "forged").await;
    assert_eq!(yard.settled(1).await, [("buried", Some("rejected"))]);
    assert_eq!(yard.workshop.begun(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_was_brought_back_is_buried_again_and_no_letter_is_taken_for_a_repeat() {
    let yard = Yard::open();
    for dedup in ["first", "redriven"] {
        yard.post("the same", "g", dedup).await;
    }
    assert_eq!(yard.settled(2).await, [("buried", Some("rejected")); 2]);
    let dead = yard.dead().await;
    assert_eq!(dead.len(), 2, "both within the five minutes in which a queue drops repeats");
    for letter in dead {
        let left: u64 = letter.message.attributes["RemainingMs"].parse().unwrap();
        assert!(left <= 55_000, "a letter says how long somebody waits from then on: {left}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_without_a_place_for_dead_letters_does_not_loop() {
    let yard = Yard::with(|settings| settings.dead_letters = None);
    yard.post("x", "a", "a").await;
    assert_eq!(yard.settled(1).await, [("buried", Some("rejected"))]);
    assert_eq!(yard.depth(QUEUE), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_job_that_keeps_failing_is_told_and_put_aside_at_the_third_receive() {
    let yard = Yard::open();
    yard.send("bad", "fail internal").await;
    let result = yard.result("bad").await;
    assert_eq!((&result["code"], &result["stderr"][0]["text"]), (&(-1).into(), &"the reason".into()));
    assert_eq!(yard.settled(3).await, [("back", None), ("back", None), ("buried", Some("rejected"))]);
    assert!(yard.settled.lock().unwrap().iter().all(|settled| settled.failed), "each is a failure of ours");
    assert_eq!(yard.workshop.terms(), [Terms::Queued, Terms::Queued, Terms::Suspect]);
    let dead = yard.dead().await;
    assert_eq!(dead[0].message.attributes["Reason"], "the reason");
    assert_eq!(
        (dead[0].message.body.as_str(), yard.depth(QUEUE)),
        (message("bad", "fail internal").as_str(), (0, 0))
    );
}

#[tokio::test(start_paused = true)]
async fn errors_that_nobody_fetches_hold_up_nobody() {
    let yard = Yard::open();
    for number in 0..20 {
        let guid = format!("forged{number}");
        let mut job: serde_json::Value = serde_json::from_str(&message(&guid, "hello")).unwrap();
        job["headers"] = 3.into();
        yard.post(&job.to_string(), &guid, &guid).await;
    }
    yard.send("last", "hello").await;
    let begun = tokio::time::Instant::now();
    yard.result("last").await;
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_regrouped_is_done_as_it_is() {
    let yard = Yard::open();
    let largest = "x".repeat((1 << 18) - message("odd", "").len() - 10);
    yard.post(&message("odd", &largest), "default", "odd").await;
    yard.post(&message("next", "hello"), "default", "next").await;
    let begun = tokio::time::Instant::now();
    yard.result("odd").await;
    yard.result("next").await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let settled = yard.settled(4).await;
    assert_eq!(settled.iter().filter(|(outcome, _)| *outcome == "back").count(), 1, "{settled:?}");
}

#[tokio::test(start_paused = true)]
async fn jobs_whose_names_are_spelled_otherwise_are_not_taken_for_each_other() {
    let yard = Yard::open();
    for (guid, spelled, source) in
        [("\u{e9}1", "\\u00e91", "remember one"), ("\u{e9}2", "\\u00e92", "remember two")]
    {
        let body = message(guid, source).replace(guid, spelled);
        yard.post(&body, guid, guid).await;
        assert_eq!(yard.result(guid).await["echo"], format!("{source} [\"-O1\"]"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_busy_house_is_asked_again_until_the_deadline() {
    let yard = Yard::open();
    yard.send("busy", "fail busy").await;
    assert_eq!(yard.settled(1).await, [("done", Some("stale"))]);
    let tries = yard.workshop.begun();
    assert!((40..=60).contains(&tries), "{tries} tries in 55 s");
}

#[tokio::test(start_paused = true)]
async fn what_nobody_waits_for_any_more_is_not_done() {
    let yard = Yard::with(|settings| settings.slots = 1);
    yard.send("long", "sleep 50000").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    yard.send("stale", "hello").await;
    yard.put(Message {
        body: message("hurried", "hello"),
        group: Some("hurried".to_owned()),
        dedup: Some("hurried".to_owned()),
        attributes: [("RemainingMs".to_owned(), "30000".to_owned())].into(),
        ..Message::default()
    })
    .await;
    yard.result("long").await;
    yard.result("stale").await;
    let settled = yard.settled(3).await;
    assert!(settled.contains(&("done", Some("stale"))), "{settled:?}");
    assert_eq!((yard.workshop.begun(), yard.depth(QUEUE)), (2, (0, 0)), "the hurried one was not begun");
}

#[tokio::test(start_paused = true)]
async fn a_note_leads_nowhere_but_to_the_agreed_place() {
    let yard = Yard::open();
    for (key, body) in [
        ("overflow/other.json", message("somebody-else", "hello")),
        (
            "overflow/note.json",
            r#"{"type":"s3-overflow","guid":"note","s3Bucket":"temp","s3Key":"overflow/note.json"}"#
                .to_owned(),
        ),
        ("secret/key", message("forbidden", "hello")),
        ("overflow/bytes.json", String::new()),
    ] {
        let at = BlobAddress { bucket: "temp".to_owned(), key: key.to_owned() };
        yard.blobs.put(&at, Blob { bytes: body.into(), ..Blob::default() }).await.unwrap();
    }
    for (guid, bucket, key, expected) in [
        ("other", "temp", "overflow/other.json", "another job lies at temp/overflow/other.json"),
        ("note", "temp", "overflow/note.json", "another job lies at temp/overflow/note.json"),
        ("missing", "temp", "overflow/missing.json", "the job does not lie at temp/overflow/missing.json"),
        ("forbidden", "temp", "secret/key", "where this worker does not read"),
        ("bucket", "other", "overflow/x", "where this worker does not read"),
        ("up", "temp", "overflow/../secret/key", "where this worker does not read"),
        ("bytes", "temp", "overflow/bytes.json", "is no job"),
    ] {
        let note = serde_json::json!({"type": "s3-overflow", "guid": guid, "compilerId": "g1", "s3Bucket": bucket, "s3Key": key});
        yard.post(&note.to_string(), guid, guid).await;
        let result = yard.result(guid).await;
        let said = result["stderr"][0]["text"].as_str().unwrap();
        assert!(said.contains(expected), "{guid}: {said}");
    }
    assert_eq!(yard.settled(7).await, [("done", Some("rejected")); 7]);
    assert_eq!((yard.workshop.begun(), yard.depth(QUEUE)), (0, (0, 0)));
}
