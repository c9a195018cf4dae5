//! `queue`, against an emulator: what it tells, moves and deletes, and that it loses nothing.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use bytes::Bytes;
use compilation_worker::aws::{S3Blobs, SqsSource};
use compilation_worker::ports::{Blob, BlobAddress, BlobStore as _, QueueSource as _};
use serde_json::{Value, json};

use crate::cli::asks::run;
use crate::cli::cloud::{Cloud, given, job};
use crate::support::daemon::BINARY;

#[tokio::test(flavor = "multi_thread")]
async fn stats_tell_depth_and_what_is_not_as_it_should_be() {
    let cloud = Cloud::start().await;
    for guid in ["a", "b", "c"] {
        cloud.send(&cloud.dead, guid, &job(guid), &[]).await;
    }
    cloud.send(&cloud.jobs, "d", &job("d"), &[]).await;
    assert_eq!(cloud.take(&cloud.jobs).await.len(), 1);
    let page = cloud.json(&["queue", "stats"]);
    let [jobs, dead] = [&page["queues"][0], &page["queues"][1]];
    for (queue, role, visible, in_flight) in [(jobs, "jobs", 0, 1), (dead, "dead_letters", 3, 0)] {
        assert_eq!((&queue["role"], &queue["visible"]), (&json!(role), &json!(visible)), "{page}");
        assert_eq!((&queue["in_flight"], &queue["delayed"]), (&json!(in_flight), &json!(0)), "{page}");
        assert_eq!(queue["warnings"], json!([]), "{page}");
    }
    let (out, err, code) = cloud.run(&["queue", "stats"]);
    assert_eq!((err.as_str(), code), ("", 0));
    assert!(out.lines().nth(1).unwrap().starts_with("jobs          compilation-queue.fifo  "), "{out}");
    let odd = json!({ "VisibilityTimeout": "5", "ContentBasedDeduplication": "true" });
    let odd = cloud.emulator.make_queue("odd.fifo", odd).await;
    let (out, _, code) = cloud.run(&[
        "queue",
        "stats",
        "--queues-own",
        odd.as_str(),
        "--queues-dead-letters",
        cloud.dead.as_str(),
    ]);
    assert_eq!(code, 0);
    for warning in ["VisibilityTimeout is 5 s", "ContentBasedDeduplication is on", "no RedrivePolicy"] {
        assert!(
            out.contains(&format!("warning: odd.fifo: {warning}")) || out.contains(warning),
            "{warning}: {out}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_goes_on_until_nobody_reads() {
    let cloud = Cloud::start().await;
    let mut command = cloud.program();
    command.args(["queue", "stats", "--watch", "1s", "--json"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for _ in 0..2 {
        let page: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        assert_eq!(page["queues"][0]["queue"], "compilation-queue.fifo");
    }
    drop(lines);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_shows_messages_and_gives_them_back_at_once() {
    let cloud = Cloud::start().await;
    for number in 0..12 {
        let guid = format!("guid-{number}");
        cloud
            .send(&cloud.dead, &guid, &job(&guid), &[("Reason", "the jail failed"), ("RemainingMs", "7000")])
            .await;
    }
    let page = cloud.json(&["queue", "peek", "--dead-letters", "--count", "12", "--full"]);
    let messages = page["messages"].as_array().unwrap();
    let guids: Vec<&str> = messages.iter().map(|message| message["guid"].as_str().unwrap()).collect();
    assert_eq!(
        guids,
        (0..10).map(|number| format!("guid-{number}")).collect::<Vec<_>>(),
        "a group shows ten at a time"
    );
    for message in messages {
        assert_eq!((&message["compiler"], &message["receives"]), (&json!("g132"), &json!(1)), "{message}");
        assert_eq!(message["reason"], "the jail failed");
        // What it waited for its turn to be sent is gone from it.
        let remaining: u64 = message["remaining_ms"].as_str().unwrap().parse().unwrap();
        assert!(remaining <= 7000, "{message}");
        assert_eq!(
            (&message["group"], &message["envelope"]["source"]),
            (&json!("default"), &json!("int x;"))
        );
        assert!(message["bytes"].as_u64().unwrap() > 50 && message["age_seconds"].as_u64().unwrap() < 60);
    }
    assert!(!page.to_string().contains("s3cret"), "{page}");
    assert_eq!(cloud.depth(&cloud.dead).await, [12, 0], "all can be received again at once");
    let (out, err, code) = cloud.run(&["queue", "peek", "--dead-letters", "--count", "2"]);
    assert_eq!((err.as_str(), code, out.lines().count()), ("", 0, 3), "{out}");
    assert!(out.lines().nth(1).unwrap().starts_with("guid-0  g132 ") && out.contains("  2  "), "{out}");
    let (out, err, code) = cloud.run(&["queue", "peek", "--live"]);
    assert_eq!((out.as_str(), code), ("", 0));
    assert!(err.contains("nothing to be received from compilation-queue.fifo"), "{err}");
}

#[test]
fn the_job_queue_is_not_looked_at_by_accident() {
    for (words, told) in [
        (&["queue", "peek"][..], "--live"),
        (&["queue", "peek", "--dead-letters", "--live"], "cannot be used with"),
        (&["queue", "peek", "--dead-letters", "--count", "0"], "from 1 to 100"),
        (&["queue", "peek", "--dead-letters", "--fetch"], "--full"),
        (&["queue", "stats", "--watch", "0s"], "it would never rest"),
        (&["queue", "stats", "--watch", "5"], "5s"),
        (&["fleet", "status", "--watch", "0s"], "it would never rest"),
        (&["queue", "purge"], "--dead-letters"),
        (&["queue", "purge", "--jobs", "--dead-letters"], "cannot be used with"),
        (&["queue", "redrive", "--older-than", "7"], "7s"),
        (&["queue"], "stats"),
    ] {
        let (out, err, code) = run(words);
        assert_eq!((out.as_str(), code), ("", 64), "{words:?}: {err}");
        assert!(err.contains(told), "{words:?}: {err}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn large_jobs_are_fetched_on_request_and_from_their_place_alone() {
    let cloud = Cloud::start().await;
    cloud.emulator.make_bucket("overflow").await;
    let blobs = S3Blobs::new(&cloud.emulator.clients());
    let at = BlobAddress { bucket: "overflow".to_owned(), key: "sqs-overflow/prod/x.json".to_owned() };
    let blob = Blob { bytes: Bytes::from(job("large")), ..Blob::default() };
    blobs.put(&at, blob).await.unwrap();
    for (guid, bucket, key) in [
        ("there", "overflow", "sqs-overflow/prod/x.json"),
        ("gone", "overflow", "sqs-overflow/prod/y.json"),
        ("trap", "secrets", "sqs-overflow/prod/x.json"),
    ] {
        let note = json!({ "type": "s3-overflow", "guid": guid, "compilerId": "g132", "s3Bucket": bucket, "s3Key": key });
        cloud.send(&cloud.dead, guid, &note.to_string(), &[]).await;
    }
    let words = ["queue", "peek", "--dead-letters", "--full"];
    let page = cloud.json(&words);
    assert_eq!(
        page["messages"][0]["parked"],
        json!({ "bucket": "overflow", "key": "sqs-overflow/prod/x.json" })
    );
    assert!(page["messages"][0].get("job").is_none(), "not fetched unless asked: {page}");
    let page = cloud.json(&[&words[..], &["--fetch", "--storage-overflow-bucket", "overflow"]].concat());
    let job = |at: usize| &page["messages"][at]["job"];
    assert_eq!(job(0)["source"], "int x;", "{page}");
    assert!(job(1).as_str().unwrap().contains("not there"), "{page}");
    assert!(job(2).as_str().unwrap().contains("not fetched"), "{page}");
    // One that cannot be had keeps none of the others from being seen.
    let note = json!({ "type": "s3-overflow", "guid": "nowhere", "compilerId": "g132", "s3Bucket": "nowhere", "s3Key": "sqs-overflow/prod/x.json" });
    cloud.send(&cloud.dead, "nowhere", &note.to_string(), &[]).await;
    let page = cloud
        .json(&[&words[..], &["--count", "9", "--fetch", "--storage-overflow-bucket", "nowhere"]].concat());
    let told: Vec<&str> =
        page["messages"].as_array().unwrap().iter().map(|one| one["job"].as_str().unwrap()).collect();
    assert!(told.len() == 4 && told[..3].iter().all(|told| told.starts_with("not fetched")), "{page}");
    assert!(told[3].contains("could not fetch object") && told[3].contains("; fix: "), "{page}");
    let (_, err, code) = cloud.run(&[&words[..], &["--fetch"]].concat());
    assert_eq!(code, 64);
    assert!(err.contains("--storage-overflow-bucket"), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_come_back_as_jobs_that_a_worker_takes() {
    let cloud = Cloud::start().await;
    cloud.send(&cloud.dead, "1", &job("alive"), &[("Reason", "it failed"), ("RemainingMs", "50000")]).await;
    cloud.send(&cloud.dead, "2", &job("late"), &[("RemainingMs", "500")]).await;
    cloud.send(&cloud.dead, "3", "garbage", &[]).await;
    let moved = |page: &Value| page["outcome"]["moved"].clone();
    let page = cloud.json(&["queue", "redrive", "--dry-run"]);
    assert_eq!((moved(&page), &page["dry_run"]), (json!(["alive"]), &json!(true)), "{page}");
    assert_eq!([cloud.depth(&cloud.dead).await, cloud.depth(&cloud.jobs).await], [[3, 0], [0, 0]]);
    let page = cloud.json(&["queue", "redrive"]);
    assert_eq!(moved(&page), json!(["alive"]), "{page}");
    let left = page["outcome"]["left"].to_string();
    assert!(left.contains("nobody waits for it") && left.contains("it is no job"), "{left}");
    assert_eq!(page["outcome"]["blocked"], json!(["default"]), "they share a group: {page}");
    assert_eq!(cloud.depth(&cloud.dead).await, [2, 0], "what stays can be received at once");
    let jobs = cloud.take(&cloud.jobs).await;
    let message = &jobs[0].message;
    assert_eq!((message.group.as_deref(), message.body.as_str()), (Some("alive"), job("alive").as_str()));
    assert!(!message.attributes.contains_key("Reason"), "{message:?}");
    let remaining: u64 = message.attributes["RemainingMs"].parse().unwrap();
    assert!((1_000..50_000).contains(&remaining), "the time that it lay there is gone: {remaining}");
    let (out, _, code) = cloud.run(&["queue", "redrive", "--force", "--guid", "late"]);
    assert_eq!(code, 0, "{out}");
    assert!(out.starts_with("1 brought back\n  late\n"), "{out}");
    let again = cloud.take(&cloud.jobs).await;
    let remaining: u64 = again[0].message.attributes["RemainingMs"].parse().unwrap();
    assert!(remaining > 54_000, "as much as a new job has: {remaining}");
    let (_, err, code) = cloud.run(&["queue", "redrive", "--force", "--guid", "nobody"]);
    assert_eq!(code, 1, "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_comes_back_as_often_as_it_is_buried() {
    let cloud = Cloud::start().await;
    // The body, and so the job's name, is the same each time, within the five minutes in which a queue drops repeats.
    for burial in 0..3 {
        cloud.send(&cloud.dead, &format!("dead:{burial}"), &job("again"), &[]).await;
        let page = cloud.json(&["queue", "redrive", "--count", "1"]);
        assert_eq!(page["outcome"]["moved"], json!(["again"]), "{page}");
        assert_eq!(cloud.depth(&cloud.dead).await, [0, 0]);
        let jobs = cloud.take(&cloud.jobs).await;
        assert_eq!(jobs.len(), 1, "burial {burial}");
        let page = cloud.json(&["queue", "redrive"]);
        assert_eq!(page["outcome"]["moved"], json!([]), "{page}");
        let source = SqsSource::new(&cloud.emulator.clients(), cloud.jobs.clone()).unwrap();
        source.delete(vec![jobs[0].receipt.clone()]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_number_and_the_age_are_bounds() {
    let cloud = Cloud::start().await;
    for guid in 0..15 {
        cloud.send(&cloud.dead, &format!("dead:{guid}"), &job(&format!("g{guid}")), &[]).await;
    }
    let page = cloud.json(&["queue", "redrive", "--older-than", "1h"]);
    assert_eq!(page["outcome"]["moved"], json!([]), "{page}");
    let page = cloud.json(&["queue", "redrive", "--count", "12"]);
    assert_eq!(page["outcome"]["moved"].as_array().unwrap().len(), 12, "{page}");
    assert_eq!([cloud.depth(&cloud.dead).await, cloud.depth(&cloud.jobs).await], [[3, 0], [12, 0]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_asks_first() {
    let cloud = Cloud::start().await;
    cloud.send(&cloud.dead, "1", &job("a"), &[]).await;
    cloud.send(&cloud.jobs, "1", &job("b"), &[]).await;
    let purge = ["queue", "purge", "--dead-letters"];
    let (out, _, code) = cloud.run(&[&purge[..], &["--dry-run"]].concat());
    assert_eq!(
        (code, out.as_str()),
        (0, "would purge compilation-queue-dlq.fifo: 1 visible, 0 in flight, 0 delayed\n")
    );
    let (out, err, code) = given(cloud.program().args(purge), "compilation-queue-dlq.fifo\n");
    assert_eq!((out.as_str(), code), ("", 64), "a pipe is nobody");
    assert!(err.contains("All messages of compilation-queue-dlq.fifo will be lost: 1 visible"), "{err}");
    assert!(err.contains("--yes"), "{err}");
    for (typed, expected) in
        [("yes\n", 1), ("compilation-queue.fifo\n", 1), ("compilation-queue-dlq.fifo\n", 0)]
    {
        assert_eq!(cloud.depth(&cloud.dead).await, [1, 0], "nothing is done before the right name is typed");
        let (out, _, code) = at_a_terminal(&cloud, &purge, typed);
        assert_eq!(code, expected, "{typed}: {out}");
        assert!(out.contains("type compilation-queue-dlq.fifo to go on: "), "{out}");
    }
    assert_eq!([cloud.depth(&cloud.dead).await, cloud.depth(&cloud.jobs).await], [[0, 0], [1, 0]]);
    let (_, err, code) = cloud.run(&["queue", "purge", "--jobs", "--yes"]);
    assert_eq!(code, 0, "{err}");
    assert_eq!(cloud.depth(&cloud.jobs).await, [0, 0]);
}

/// The same at a terminal, where this is typed; what is printed and said comes together.
#[expect(clippy::disallowed_methods, reason = "the program's terminal is another program's")]
fn at_a_terminal(cloud: &Cloud, words: &[&str], typed: &str) -> (String, String, i32) {
    let mut command = Command::new("script");
    command.args(["-qec", &format!("{BINARY} {}", words.join(" ")), "/dev/null"]).env_clear();
    command.envs(cloud.program().get_envs().filter_map(|(name, value)| Some((name, value?))));
    given(&mut command, typed)
}
