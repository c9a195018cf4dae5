//! `route`: where requests go from a machine as it is configured.

use serde_json::{Value, json};

use crate::cli::asks::run;

/// The command without any compiler of the machine, whose set is not ours to know.
fn route(words: &[&str]) -> (String, String, i32) {
    run(&[&["route", "g132", "--catalogue-search-path", "/nowhere"], words].concat())
}

#[test]
fn without_a_table_only_what_is_here_is_known() {
    let (out, err, code) = route(&[]);
    assert_eq!((err.as_str(), code), ("", 0));
    assert_eq!(
        out,
        "compiler  g132, which this machine does not have\ntable     none configured\nso it is  not found\n"
    );
}

#[test]
fn a_default_queue_takes_the_rest() {
    let queue = ["--queues-default", "https://q.example/1/jobs.fifo"];
    let (_, err, code) = route(&queue);
    assert!(err.contains("events.url") && code == 78, "results would reach nobody, but: {err}");
    let (out, err, code) = route(&[&queue[..], &["--json", "--events-url", "ws://e.example"]].concat());
    assert_eq!((err.as_str(), code), ("", 0));
    let page: Value = serde_json::from_str(&out).unwrap();
    for (member, expected) in [
        ("installed", json!(false)),
        ("says", json!("nothing")),
        ("queue", json!("jobs.fifo")),
        ("address", json!("https://q.example/1/jobs.fifo")),
        ("color", json!(null)),
        ("when_free", json!("queued")),
        ("when_busy", json!("queued")),
    ] {
        assert_eq!(page[member], expected, "{member} in {out}");
    }
}

#[test]
fn a_word_that_is_no_compiler_is_refused() {
    let (out, err, code) = run(&["route", ""]);
    assert_eq!((out.as_str(), code), ("", 1), "{err}");
    assert_eq!(err, "error: could not understand the compiler's name: the compiler id is empty\n");
}
