//! What is compiled once is remembered, and what changes is noticed.

use serde_json::{Value, json};

use crate::daemon::compiles::texts;
use crate::support::client::{Reply, post};
use crate::support::daemon::Daemon;
use crate::support::obedient::{ID, Obedient, sleep};

const SOURCE: &str = "int f(int x) { return x + 1; }";

/// Whether the result says that it was remembered; then also in how many milliseconds.
fn remembered(reply: &Reply) -> bool {
    let result = reply.json();
    let marked = result.get("retreivedFromCache").is_some();
    assert_eq!(marked, result.get("retreivedFromCacheTime").is_some_and(Value::is_u64), "{result}");
    if marked {
        assert_eq!(result["retreivedFromCache"], true);
    }
    marked
}

fn without_marks(reply: &Reply) -> Value {
    let mut result = reply.json();
    let members = result.as_object_mut().unwrap();
    members.remove("retreivedFromCache");
    members.remove("retreivedFromCacheTime");
    result
}

#[tokio::test]
async fn the_same_request_is_answered_from_memory() {
    let daemon = Daemon::start(&[]).await;
    let id = daemon.compiler("g++", "g++").await;
    let request = json!({"source": SOURCE, "options": {"userArguments": "-O1"}});
    let first = daemon.compile(&id, &request).await;
    let second = daemon.compile(&id, &request).await;
    assert!(!remembered(&first) && remembered(&second));
    assert_eq!(first.json(), without_marks(&second));
    assert_eq!(daemon.compiles().await, 1);
    assert_eq!(second.header("x-job-status"), Some("ok"));
    daemon.stop().await;
}

#[tokio::test]
async fn another_filter_makes_another_listing_of_the_same_output() {
    let daemon = Daemon::start(&[]).await;
    let id = daemon.compiler("g++", "g++").await;
    let filtered = |filters: Value| json!({"source": SOURCE, "options": {"filters": filters}});
    let short = daemon.compile(&id, &filtered(json!({}))).await;
    let long = daemon.compile(&id, &filtered(json!({"directives": false, "labels": false}))).await;
    assert_eq!(daemon.compiles().await, 1, "a filter compiled anew");
    assert!(remembered(&long));
    let (short, long) = (short.json(), long.json());
    assert!(texts(&long["asm"]).contains(&"        .cfi_startproc"), "{long}");
    assert!(texts(&short["asm"]).len() < texts(&long["asm"]).len());
    let other = json!({"source": SOURCE, "options": {"userArguments": "-O1"}});
    assert!(!remembered(&daemon.compile(&id, &other).await));
    assert_eq!(daemon.compiles().await, 2, "an argument must compile anew");
    daemon.stop().await;
}

#[tokio::test]
async fn two_spellings_of_a_request_share_the_output() {
    let daemon = Daemon::start(&[]).await;
    let id = daemon.compiler("g++", "g++").await;
    let path = format!("/api/compiler/{id}/compile");
    let spellings = [
        r#"{"source":"int x;","options":{"userArguments":"-O1  -g0"}}"#,
        r#"{ "options": {"userArguments": ["-O1", "-g0"]}, "source": "int\u0020x;" }"#,
    ];
    let mut replies = Vec::new();
    for body in spellings {
        replies.push(daemon.ask(post(&path, "Content-Type: application/json\r\n", body)).await);
    }
    assert!(!remembered(&replies[0]) && remembered(&replies[1]));
    assert_eq!(replies[0].json()["asm"], replies[1].json()["asm"]);
    assert_eq!(daemon.compiles().await, 1);
    daemon.stop().await;
}

#[tokio::test]
async fn memory_can_be_bypassed_and_cleared() {
    let obedient = Obedient::make();
    let daemon = obedient.serve(&[]).await;
    let plain = sleep("0", 0);
    let mut bypassing = plain.clone();
    for (bypass, compiles, fresh) in [
        (json!(0), 1, true),
        (json!(1), 2, true),
        (json!(true), 3, true),
        (json!(2), 3, false),
        (json!(false), 3, false),
    ] {
        bypassing["bypassCache"] = bypass.clone();
        let reply = daemon.compile(ID, &bypassing).await;
        assert_eq!(remembered(&reply), !fresh, "bypassCache {bypass}");
        assert_eq!(daemon.compiles().await, compiles, "bypassCache {bypass}");
    }
    let cleared = daemon.ask(post("/admin/clear-cache", "", "")).await;
    assert_eq!(cleared.status, 200, "{}", cleared.text());
    assert!(!remembered(&daemon.compile(ID, &plain).await));
    assert_eq!(daemon.compiles().await, 4);
    assert_eq!(daemon.pull("/admin/clear-cache").await.status, 200);
    assert!(!remembered(&daemon.compile(ID, &plain).await));
    daemon.stop().await;
}

#[tokio::test]
async fn a_replaced_compiler_is_noticed() {
    let obedient = Obedient::make();
    let daemon = obedient.serve(&[]).await;
    let request = sleep("0", 0);
    for label in ["answer", "replaced", "again"] {
        obedient.rewrite(label);
        let first = daemon.compile(ID, &request).await;
        assert!(!remembered(&first), "{label}: the old compiler's listing was remembered");
        assert_eq!(texts(&first.json()["asm"])[0], format!("{label}:"));
        let second = daemon.compile(ID, &request).await;
        assert!(remembered(&second));
        assert_eq!(texts(&second.json()["asm"])[0], format!("{label}:"));
    }
    daemon.stop().await;
}

#[tokio::test]
async fn an_error_of_the_program_is_remembered_like_a_listing() {
    let daemon = Daemon::start(&[]).await;
    let id = daemon.compiler("g++", "g++").await;
    let request = json!({"source": "nonsense", "options": {}});
    let first = daemon.compile(&id, &request).await;
    let second = daemon.compile(&id, &request).await;
    assert!(!remembered(&first) && remembered(&second));
    assert_eq!(second.header("x-job-status"), Some("compile_error"));
    daemon.stop().await;
}
