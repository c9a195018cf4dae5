//! What clients and operators ask of the running router, asked of ours (contract-cloud 1.5, 8.1, 8.2, B.1 and B.4).

use serde_json::{Value, json};

use super::todays_worker::TodaysWorker;
use super::yard::Yard;
use crate::support::client::{Reply, get, post, until};
use crate::support::daemon::Daemon;

const JSON: &str = "Content-Type: application/json\r\nAccept: application/json\r\n";
const BANNER: &str = "# Compilation provided by Compiler Explorer at https://godbolt.org/";

fn is_open_to_other_sites(reply: &Reply) -> bool {
    reply.header("access-control-allow-origin") == Some("*")
        && reply.header("access-control-allow-methods") == Some("POST, GET, OPTIONS")
        && reply
            .header("access-control-allow-headers")
            .is_some_and(|names| names.contains("Content-Type, Accept, Authorization"))
}

fn is_time(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.parse::<jiff::Timestamp>().is_ok() && text.ends_with('Z'))
}

#[tokio::test]
async fn health_and_the_lever_for_caches_look_as_they_did() {
    let yard = Yard::open().await;
    let router = yard.router(&[]).await;
    until(|| yard.fleet.status().connections > 0).await;
    let reply = router.page("/healthcheck").await;
    let health = reply.json();
    assert!(reply.status == 200 && is_open_to_other_sites(&reply) && is_time(&health["timestamp"]));
    for (member, expected) in [
        ("status", json!("healthy")),
        ("websocket", json!("connected")),
        ("reconnectAttempts", json!(0)),
        ("maxReconnectAttempts", json!(10)),
    ] {
        assert_eq!(health[member], expected, "{member}");
    }
    for _ in 0..3 {
        let reply = router.ask(post("/admin/clear-cache", "", "")).await;
        let told = reply.json();
        assert!(reply.status == 200 && is_open_to_other_sites(&reply) && is_time(&told["timestamp"]));
        assert_eq!(reply.header("content-type"), Some("application/json; charset=utf-8"));
        assert_eq!(
            (&told["success"], &told["message"]),
            (&json!(true), &json!("Routing caches cleared successfully"))
        );
    }
    for path in ["/api/compiler/far/compile", "/prod/api/compiler/far/cmake", "/anything"] {
        let reply = router.ask(format!("OPTIONS {path} HTTP/1.1\r\nHost: t\r\n\r\n")).await;
        assert!(reply.status == 200 && reply.text() == "OK" && is_open_to_other_sites(&reply), "{path}");
    }
}

#[tokio::test]
async fn every_spelling_of_a_path_leads_to_its_compiler() {
    let yard = Yard::open().await;
    let (router, worker) = (yard.router(&[]).await, TodaysWorker::open(&yard, 0).await);
    let body = r#"{"source":"x","files":[],"options":{}}"#;
    let asking = async {
        for (path, project) in [
            ("/api/compiler/g132/compile", false),
            ("/prod/api/compiler/clang15/compile", false),
            ("///api/compiler/g1/compile///", false),
            ("/API/Compiler/g1/Compile", false),
            ("/api/compiler/g132/cmake", true),
            ("/prod/api/compiler/a/cmake/", true),
            ("/api/compiler/g132/build/maven", true),
        ] {
            let reply = router.ask(post(path, JSON, body)).await;
            assert_eq!((reply.status, &reply.json()["project"]), (200, &json!(project)), "{path}");
        }
    };
    worker.during(asking).await;
    for path in
        ["/invalid/path", "/api/wrong/format", "/", "/api/compiler/g1", "/a/b/api/compiler/g/compile", "//"]
    {
        let reply = router.ask(post(path, JSON, body)).await;
        assert_eq!(reply.status, 404, "{path}");
        assert!(reply.json()["error"].is_string(), "{}", reply.text());
    }
}

/// What a client that accepts `accept` gets of a worker whose result is `result`.
async fn shown(router: &Daemon, query: &str, accept: &str, result: &str) -> Reply {
    let body = json!({ "source": format!("result {result}"), "options": {} }).to_string();
    let headers = format!("Content-Type: application/json\r\n{accept}");
    let path = format!("/api/compiler/far/compile{query}");
    router.ask(post(&path, &headers, body)).await
}

#[tokio::test]
async fn results_are_shown_as_they_were() {
    let yard = Yard::open().await;
    let (router, worker) = (yard.router(&[]).await, TodaysWorker::open(&yard, 0).await);
    let whole = r#"{"code":0,"asm":[{"text":"a:"}],"stdout":[],"stderr":[],"s3Key":"k","yours":{"a":[1.50,null,"é"]}}"#;
    let asking = async {
        for accept in [
            "",
            "Accept: */*\r\n",
            "Accept: application/json\r\n",
            "Accept: application/json, text/plain, */*\r\n",
            "Accept: application/json, text/javascript, */*; q=0.01\r\n",
        ] {
            let reply = shown(&router, "", accept, whole).await;
            assert_eq!(reply.header("content-type"), Some("application/json; charset=utf-8"), "{accept}");
            let result = reply.json();
            assert_eq!((&result["code"], &result["asm"][0]["text"]), (&json!(0), &json!("a:")));
            assert_eq!((&result["stdout"], &result["stderr"]), (&json!([]), &json!([])));
            assert_eq!(result["yours"], json!({"a": [1.50, null, "é"]}));
            assert!(result.get("guid").is_none() && result.get("s3Key").is_none());
        }
        for (result, query, expected) in [
            (
                r#"{"code":0,"asm":[{"text":"a:"},{"text":"  ret"}],"stdout":[],"stderr":[]}"#,
                "",
                "a:\n  ret\n",
            ),
            (
                r#"{"code":1,"asm":[],"stderr":[{"text":"a.c:1: boom"}]}"#,
                "",
                "\n# Compiler exited with result code 1\nStandard error:\na.c:1: boom\n",
            ),
            (
                r#"{"code":0,"asm":[{"text":"\u001b[31mred\u001b[0m"}],"stdout":[{"text":"o1"},{"text":"o2"}],"stderr":[{"text":"e1"}]}"#,
                "?filterAnsi=true",
                "red\nStandard out:\no1\no2\nStandard error:\ne1\n",
            ),
            (r#"{"code":0,"asm":[{"text":"\u001b[31mred"}]}"#, "?filterAnsi=1", "\u{1b}[31mred\n"),
            (
                r#"{"code":0,"asm":[{"text":"x"}],"execResult":{"code":3,"stdout":[{"text":"hi"}],"stderr":[{"text":"err"}]}}"#,
                "",
                "x\n\n# Execution result with exit code 3\n# Standard out:\nhi\n# Standard error:\nerr\n",
            ),
            (
                r#"{"code":0,"asm":[{"text":"x"}],"execResult":{"code":0,"stdout":[],"stderr":[{"text":"only-err"}]}}"#,
                "",
                "x\n\n# Execution result with exit code 0\n\n# Standard error:\nonly-err\n",
            ),
            (r#"{"asm":[{"text":"x"}]}"#, "", "x\n# Compiler exited with result code undefined\n"),
            // Where today's router prints its own exception.
            (r#"{"code":0,"asm":"<No output>"}"#, "", "<No output>\n"),
            (r#"{"code":0,"asm":[{}]}"#, "", "\n"),
        ] {
            let reply = shown(&router, query, "Accept: text/plain\r\n", result).await;
            assert_eq!(
                (reply.status, reply.header("content-type")),
                (200, Some("text/plain; charset=utf-8"))
            );
            assert_eq!(reply.text(), format!("{BANNER}\n{expected}"), "{result}");
        }
    };
    worker.during(asking).await;
}

#[tokio::test]
async fn a_wrong_method_is_told_in_json() {
    let yard = Yard::open().await;
    let router = yard.router(&[]).await;
    for path in ["/api/compiler/far/compile", "/api/compiler/far/cmake", "/api/compiler/far/build/make"] {
        let reply = router.ask(get(path, "")).await;
        assert_eq!((reply.status, reply.header("allow")), (405, Some("POST, OPTIONS")), "{path}");
        assert!(is_open_to_other_sites(&reply) && reply.json()["error"] == true, "{}", reply.text());
    }
}
