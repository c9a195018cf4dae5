//! What goes wrong with a compile, in the shapes that clients know.

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::daemon::compiles::texts;
use crate::support::client::post;
use crate::support::daemon::Daemon;
use crate::support::obedient::{ID, Obedient, sleep};

fn failed() -> Value {
    json!([{"text": "<Compilation failed>", "source": null, "labels": []}])
}

#[tokio::test]
async fn an_error_of_the_program_is_a_result_with_tags() {
    let daemon = Daemon::start(&[]).await;
    for (name, package, code, message) in [
        ("g++", "g++", 1, "error: 'nosuch' was not declared in this scope"),
        ("clang++", "clang", 1, "error: use of undeclared identifier 'nosuch'"),
    ] {
        let id = daemon.compiler(name, package).await;
        let source = "int f() {\n  return nosuch;\n}\n#warning planted\n";
        let request = json!({"source": source, "options": {}});
        let reply = daemon.compile(&id, &request).await;
        assert_eq!((reply.status, reply.header("x-job-status")), (200, Some("compile_error")), "{name}");
        let result = reply.json();
        assert_eq!((&result["code"], &result["okToCache"]), (&json!(code), &json!(true)), "{name}");
        assert_eq!((&result["asm"], &result["labelDefinitions"]), (&failed(), &json!({})), "{name}");
        let line = |severity: u64| {
            let mut lines = result["stderr"].as_array().unwrap().iter();
            lines.find(|line| line["tag"]["severity"] == severity).unwrap().clone()
        };
        let error = line(3);
        assert_eq!(
            error["tag"],
            json!({"line": 2, "column": 10, "text": message, "severity": 3, "file": "example.cpp"}),
            "{name}"
        );
        assert!(error["text"].as_str().unwrap().contains("<source>:2:10:"), "{error}");
        assert_eq!(line(2)["tag"]["line"], 4, "{name}");
    }
    daemon.stop().await;
}

#[tokio::test]
async fn what_would_take_too_much_memory_as_a_listing_is_too_large() {
    let obedient = Obedient::make();
    let daemon = obedient.serve(&["--limits-artifact=1MiB"]).await;
    obedient.replace(
        r#"#!/bin/sh
        case "$*" in *example.cpp*) ;; *) exec /usr/bin/g++ "$@" ;; esac
        while [ $# -gt 0 ]; do case $1 in -o) out=$2 ;; esac; shift; done
        yes a | head -c 1048576 >"$out""#,
    );
    let reply = daemon.compile(ID, &sleep("0", 0)).await;
    let result = reply.json();
    assert_eq!((reply.status, reply.header("x-job-status")), (200, Some("output_truncated")), "{result}");
    assert_eq!((&result["code"], &result["asmSize"]), (&json!(0), &json!(1_048_576)), "{result}");
    let remark = texts(&result["asm"])[0];
    assert!(remark.starts_with("<No output: generated assembly was too large (1048576 > "), "{remark}");
    daemon.stop().await;
}

#[tokio::test]
async fn no_output_is_said_to_be_none() {
    let daemon = Daemon::start(&[]).await;
    let id = daemon.compiler("g++", "g++").await;
    for arguments in ["-fsyntax-only", "--version"] {
        let request = json!({"source": "int f;", "options": {"userArguments": arguments}});
        let reply = daemon.compile(&id, &request).await;
        let result = reply.json();
        assert_eq!((reply.header("x-job-status"), &result["code"]), (Some("ok"), &json!(0)), "{result}");
        assert_eq!(result["asm"], json!([{"text": "<No output file>", "source": null, "labels": []}]));
        assert_eq!(result.get("asmSize"), None, "{result}");
    }
    daemon.stop().await;
}

#[tokio::test]
async fn files_that_are_no_good_are_refused_in_words_that_clients_know() {
    let daemon = Daemon::start(&[]).await;
    let id = daemon.compiler("g++", "g++").await;
    let file = |name: Value| json!([{"filename": name, "contents": "x"}]);
    for (request, remark) in [
        (json!({"source": "", "options": {}}), "<File example.cpp has no content or file is missing>"),
        (json!({"source": "int x;", "options": {}, "files": file(json!("../a.h"))}), "<Invalid filename>"),
        (
            json!({"source": "int x;", "options": {}, "files": file(json!(""))}),
            "<One of more files do not have a filename>",
        ),
    ] {
        let reply = daemon.compile(&id, &request).await;
        assert_eq!((reply.status, reply.header("x-job-status")), (200, Some("rejected")), "{request}");
        let result = reply.json();
        assert_eq!((&result["code"], &result["okToCache"]), (&json!(-1), &json!(false)), "{result}");
        assert_eq!((texts(&result["asm"]), texts(&result["stderr"])), (vec![remark], vec![remark]));
        assert!(result["dirPath"].is_string(), "{result}");
    }
    assert_eq!(daemon.compiles().await, 0);
    daemon.stop().await;
}

#[tokio::test]
async fn malformed_requests_name_what_is_wrong_and_change_nothing() {
    let daemon = Daemon::start(&[]).await;
    let id = daemon.compiler("g++", "g++").await;
    let path = format!("/api/compiler/{id}/compile");
    for (body, message) in [
        (r#"{"options": {}}"#, "Missing source property"),
        (r#"{"source": "int x;"}"#, "Missing options property"),
        ("{\"source\": ", ""),
    ] {
        let reply = daemon.ask(post(&path, "Content-Type: application/json\r\n", body)).await;
        assert_eq!((reply.status, reply.header("x-job-status")), (400, Some("rejected")), "{body}");
        let error = reply.json();
        assert_eq!(error["error"], true, "{body}");
        assert!(error["message"].as_str().unwrap().contains(message), "{error}");
        assert!(
            reply.header("x-request-id").is_some() && reply.header("access-control-allow-origin").is_some()
        );
    }
    let unknown = daemon.compile("nosuch", &json!({"source": "int x;", "options": {}})).await;
    assert_eq!(unknown.status, 404);
    assert!(unknown.text().contains("nosuch"), "{}", unknown.text());
    let next = daemon.compile(&id, &json!({"source": "int x;", "options": {}})).await;
    assert_eq!((next.status, &next.json()["code"]), (200, &json!(0)));
    daemon.stop().await;
}

#[tokio::test]
async fn a_compile_that_takes_too_long_is_killed_and_never_remembered() {
    let obedient = Obedient::make();
    let daemon = obedient.serve(&["--limits-wall", "1s"]).await;
    for turn in 1..=2 {
        let begun = Instant::now();
        let reply = daemon.compile(ID, &sleep("30", 0)).await;
        assert!(begun.elapsed().as_secs() < 5, "the limit of 1 s took {:?}", begun.elapsed());
        assert_eq!((reply.status, reply.header("x-job-status")), (200, Some("timeout_wall")));
        let result = reply.json();
        assert_eq!(
            (&result["code"], &result["okToCache"], &result["timedOut"]),
            (&json!(-1), &json!(false), &json!(true))
        );
        assert_eq!(result["asm"], json!([{"text": "<Compilation failed>"}]));
        let said = texts(&result["stderr"]);
        assert_eq!(said.last(), Some(&"Killed - processing time exceeded"), "{result}");
        assert_eq!(result.get("retreivedFromCache"), None);
        assert!(result["execTime"].as_u64().unwrap() >= 1000, "{result}");
        assert_eq!(daemon.compiles().await, turn, "a time-out was remembered");
        assert!(daemon.running("sleep").is_empty(), "{:?}", daemon.running("sleep"));
    }
    daemon.stop().await;
}

#[tokio::test]
async fn a_real_compiler_that_never_ends_is_stopped_too() {
    let daemon = Daemon::start(&["--limits-wall", "1s"]).await;
    let id = daemon.compiler("g++", "g++").await;
    let source = "constexpr int f() { int x = 0; while (true) ++x; return x; }\nint y = f();\n";
    let arguments = "-fconstexpr-ops-limit=2000000000 -fconstexpr-loop-limit=2000000000";
    let request = json!({"source": source, "options": {"userArguments": arguments}});
    let reply = daemon.compile(&id, &request).await;
    let status = reply.header("x-job-status").unwrap();
    assert!(matches!(status, "timeout_wall" | "timeout_cpu"), "{status} {}", reply.text());
    assert_eq!(reply.json()["timedOut"], true);
    assert!(daemon.running("cc1plus").is_empty());
    daemon.stop().await;
}
