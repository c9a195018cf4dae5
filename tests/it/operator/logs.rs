//! `fleet logs`: every event once.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::Duration;

use compilation_worker::lifecycle;
use jiff::Timestamp;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::SOON;
use super::cloud::Cloud;
use crate::aws::server::Act;

fn event(ago: i64, stream: &'static str, level: &str, request: &str) -> (&'static str, i64, String) {
    let message = json!({ "level": level, "message": format!("about {request}"), "request.id": request });
    (stream, Timestamp::now().as_millisecond() - 1000 * ago, message.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn all_pages_are_read_and_only_what_is_wanted_is_shown() {
    let cloud = Cloud::start().await;
    cloud.world().events = vec![
        event(900, "i-1", "INFO", "too-old"),
        event(50, "i-1", "INFO", "r-1"),
        event(40, "i-2", "WARN", "r-2"),
        event(30, "i-1", "ERROR", "r-\"3\""),
        event(20, "i-2", "INFO", "r-1"),
        event(10, "i-2", "DEBUG", "r-1"),
    ];
    let run = cloud.run(&["fleet", "logs"]).await;
    assert_eq!((run.err.as_str(), run.code), ("", Some(0)), "{run:?}");
    let lines: Vec<&str> = run.out.lines().collect();
    assert_eq!(lines.len(), 5, "{lines:#?}");
    assert!(lines[0].ends_with("Z i-1 INFO  about r-1 request.id=r-1"), "{lines:#?}");
    for (words, expected) in [
        (&["--request", "r-1"][..], vec!["r-1", "r-1", "r-1"]),
        (&["--request", "r-\"3\""], vec!["r-\"3\""]),
        (&["--message", "about r-2"], vec!["r-2"]),
        (&["--level", "warn"], vec!["r-2", "r-\"3\""]),
        (&["--instance", "i-2", "--level", "info"], vec!["r-2", "r-1"]),
        (&["--since", "1h"], vec!["too-old", "r-1", "r-2", "r-\"3\"", "r-1", "r-1"]),
    ] {
        let run = cloud.run(&[&["fleet", "logs", "--json"], words].concat()).await;
        let read = |line: &str| serde_json::from_str::<Value>(line).unwrap()["request.id"].clone();
        let requests: Vec<Value> = run.out.lines().map(read).collect();
        assert_eq!(requests, expected.into_iter().map(Value::from).collect::<Vec<_>>(), "{words:?}");
    }
    let world = cloud.world();
    let patterns: Vec<&String> =
        world.asked.iter().filter_map(|(_, said)| said.get("filterPattern")).collect();
    assert!(patterns.iter().any(|pattern| *pattern == r#""r-1""#), "{patterns:?}");
    assert!(patterns.iter().any(|pattern| pattern.starts_with("?ERROR ?WARN ?panicked ")), "{patterns:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_an_odd_text_and_last_words_are_found() {
    const TRACE: &str = "1-67891233-abcdef012345678912345678";
    let cloud = Cloud::start().await;
    let now = Timestamp::now().as_millisecond();
    let event = |message: Value| ("i-1", now - 1000, message.to_string());
    let path = r#"no "C:\gcc" here"#;
    cloud.world().events = vec![
        event(json!({ "level": "INFO", "message": "traced", "trace.id": TRACE })),
        event(
            json!({ "level": "INFO", "message": "within", "span": { "trace.id": TRACE, "request.id": "r-1" } }),
        ),
        event(json!({ "level": "INFO", "message": "another", "trace.id": TRACE.replace("67", "76") })),
        event(json!({ "level": "WARN", "message": path })),
        ("i-1", now - 900, "thread 'main' panicked at src/x.rs:1:1:".to_owned()),
        ("i-1", now - 800, format!("error: plain {path}")),
    ];
    let trace = format!("Root={TRACE}");
    for (words, expected) in [
        (&["--trace", &trace][..], vec!["traced trace.id=", "within request.id=r-1 trace.id="]),
        (&["--trace", TRACE, "--request", "r-1"], vec!["within"]),
        (&["--message", path], vec![path, "error: plain"]),
        (&["--message", "\\"], vec![path, "error: plain"]),
        (&["--level", "warn"], vec![path, "panicked", "error: plain"]),
    ] {
        let run = cloud.run(&[&["fleet", "logs"], words].concat()).await;
        assert_eq!((run.err.as_str(), run.code), ("", Some(0)), "{words:?}");
        let lines: Vec<&str> = run.out.lines().collect();
        assert_eq!(lines.len(), expected.len(), "{words:?}: {lines:#?}");
        assert!(lines.iter().zip(expected).all(|(line, part)| line.contains(part)), "{words:?}: {lines:#?}");
    }
    let run = cloud.run(&["fleet", "logs", "--trace", "1-2-3"]).await;
    assert!(run.code == Some(64) && run.err.contains("1-67891233-abcdef012345678912345678"), "{run:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_fleet_is_not_searched_from_the_start_each_time() {
    let cloud = Cloud::start().await;
    let mut command = cloud.command(&[&["fleet", "logs", "--follow", "--since", "1h"], &SOON[..]].concat());
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let id = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    let starts = || -> Vec<i64> {
        cloud.world().asked.iter().map(|(_, said)| said["startTime"].parse().unwrap()).collect()
    };
    while starts().len() < 3 {
        sleep(Duration::from_millis(10)).await;
    }
    kill_process(id, Signal::INT).unwrap();
    let ended = lifecycle::blocking("program", move || child.wait_with_output()).await.unwrap().unwrap();
    assert_eq!(ended.status.code(), Some(0));
    let (starts, now) = (starts(), Timestamp::now().as_millisecond());
    assert!(now - starts[0] >= 3_600_000, "{starts:?}");
    let window = now - starts[1];
    assert!((120_000..300_000).contains(&window), "what comes late is looked for, and no more: {window} ms");
    assert!(starts.is_sorted(), "{starts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_look_leaves_out_is_told_and_following_reads_it() {
    let cloud = Cloud::start().await;
    cloud.world().events = (0..700).map(|ago| event(ago / 2, "i-1", "INFO", "r-1")).collect();
    let run = cloud.run(&["fleet", "logs"]).await;
    assert_eq!((run.code, run.out.lines().count()), (Some(1), 500), "{}", run.err);
    assert!(
        run.err.contains("500 pages were read, and there are more") && run.err.contains("fix: "),
        "{}",
        run.err
    );
    let mut command = cloud.command(&[&["fleet", "logs", "--follow"], &SOON[..]].concat());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let id = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let seen = lifecycle::blocking("lines", move || {
        let seen = lines.by_ref().take(700).map_while(Result::ok).count();
        kill_process(id, Signal::INT).unwrap();
        (seen, lines.count())
    });
    assert_eq!(seen.await.unwrap(), (700, 0), "each once");
    let ended = lifecycle::blocking("program", move || child.wait_with_output()).await.unwrap().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert!(
        ended.status.code() == Some(0) && said.contains("500 pages were read and there are more"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn following_shows_late_events_and_none_twice_until_a_key() {
    let cloud = Cloud::start().await;
    cloud.world().events = vec![event(30, "i-1", "INFO", "r-1"), event(10, "i-2", "INFO", "r-2")];
    let mut command = cloud.command(&[&["fleet", "logs", "--follow", "--json"], &SOON[..]].concat());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let id = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    let (told, mut lines) = mpsc::unbounded_channel();
    let reading = lifecycle::blocking("lines", move || {
        out.lines().map_while(Result::ok).for_each(|line| told.send(line).unwrap());
    });
    let reading = async { reading.await.unwrap() };
    let course = async {
        let mut next = async || {
            let line = lines.recv().await.unwrap();
            serde_json::from_str::<Value>(&line).unwrap()["request.id"].as_str().unwrap().to_owned()
        };
        assert_eq!((next().await, next().await), ("r-1".to_owned(), "r-2".to_owned()));
        // Newer than everything, and then one that took a minute to come.
        cloud.world().events.push(event(0, "i-1", "INFO", "r-3"));
        assert_eq!(next().await, "r-3");
        cloud.world().events.push(event(60, "i-2", "INFO", "late"));
        assert_eq!(next().await, "late");
        // Trouble that passes is told, and nothing is lost by it.
        cloud.world().trouble("FilterLogEvents", Act::error(400, "ThrottlingException", "Rate exceeded"), 5);
        cloud.world().events.push(event(0, "i-1", "INFO", "r-4"));
        assert_eq!(next().await, "r-4");
        kill_process(id, Signal::INT).unwrap();
        assert!(lines.recv().await.is_none(), "something came twice");
    };
    tokio::join!(reading, course);
    let ended = lifecycle::blocking("program", move || child.wait_with_output()).await.unwrap().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(0), "{said}");
    assert!(said.contains("throttled: ThrottlingException"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_leaves_ends_it_and_trouble_is_told() {
    let cloud = Cloud::start().await;
    cloud.world().events = (0..50).map(|ago| event(ago, "i-1", "INFO", "r-1")).collect();
    let mut command = cloud.command(&[&["fleet", "logs", "--follow"], &SOON[..]].concat());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let ended = lifecycle::blocking("program", move || child.wait_with_output()).await.unwrap().unwrap();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    for (act, expected) in [
        (Act::error(400, "ResourceNotFoundException", "no such group"), "--fleet-log-group"),
        (Act::error(400, "AccessDeniedException", "no"), "logs:FilterLogEvents"),
        (Act::garbage(200), "garbled"),
    ] {
        cloud.world().trouble("FilterLogEvents", act, 1);
        let run = cloud.run(&["fleet", "logs", "--follow"]).await;
        assert!(run.code == Some(1) && run.err.contains(expected), "{run:?}");
    }
}
