//! Which status, which body.

use std::time::Duration;

use compilation_worker::doors::http::DoorSettings;
use serde_json::json;

use crate::support::client::{Client, Reply, compile, get, post};
use crate::support::house::{House, Plan};

const JSON: &str = "Content-Type: application/json\r\n";

async fn post_json(client: &mut Client, body: &str) -> Reply {
    client.ask(post("/api/compiler/g1/compile", JSON, body)).await
}

#[tokio::test]
async fn failures_of_the_engine() {
    let house = House::open().await;
    let mut client = house.client().await;
    for (class, status, job) in [
        ("malformed", 400, "rejected"),
        ("unknown", 404, "rejected"),
        ("too_large", 413, "rejected"),
        ("busy", 503, "rejected"),
        ("draining", 503, "rejected"),
        ("expired", 408, "stale"),
        ("upstream", 502, "infra_error"),
        ("internal", 500, "infra_error"),
    ] {
        let reply = client.ask(compile(&format!("fail {class}"))).await;
        assert_eq!((reply.status, reply.header("x-job-status")), (status, Some(job)), "{class}");
        assert_eq!(reply.header("retry-after").is_some(), status == 503, "{class}");
        assert_eq!(reply.header("content-type"), Some("application/json; charset=utf-8"));
        match status {
            500 | 502 => assert!(!reply.text().contains("the reason") && reply.json()["code"] == -1),
            408 => assert!(
                reply.json()["message"]
                    .as_str()
                    .unwrap()
                    .starts_with("Compilation timeout: No response received within 55 seconds for GUID: ")
            ),
            _ => assert_eq!(reply.json(), json!({"error": true, "message": "the reason"})),
        }
    }
}

#[tokio::test]
async fn a_panic_costs_one_request() {
    let house = House::open().await;
    let mut client = house.client().await;
    let reply = client.ask(compile("panic")).await;
    let id = reply.header("x-request-id").unwrap();
    assert_eq!((reply.status, reply.header("x-job-status")), (500, Some("infra_error")));
    assert!(reply.text().contains(id) && !reply.text().contains("planted"), "{}", reply.text());
    assert_eq!(client.ask(compile("int x;")).await.status, 200);
}

#[tokio::test]
async fn patience_ends() {
    let door = DoorSettings { answer_within: Duration::from_millis(200), ..DoorSettings::default() };
    let house = House::build(Plan { door, ..Plan::default() }).await;
    let reply = house.client().await.ask(compile("sleep 60000")).await;
    assert_eq!((reply.status, house.workshop.cancelled()), (408, 1));
}

#[tokio::test]
async fn h12_h13_bodies_that_make_no_sense() {
    let house = House::open().await;
    let mut client = house.client().await;
    let nested = |depth: usize| {
        format!(r#"{{"source":"","options":{{"x":{}{}}}}}"#, "[".repeat(depth), "]".repeat(depth))
    };
    for (body, message) in [
        ("", "invalid JSON at byte 0: expected a value"),
        ("{", "invalid JSON at byte 1: expected a string"),
        ("[]", "the body must be a JSON object"),
        (r#"{"source":"x"}"#, "Missing options property"),
        (r#"{"options":{}}"#, "Missing source property"),
        (
            r#"{"source":"","options":{"userArguments":5}}"#,
            "options.userArguments must be a string or an array of strings",
        ),
        (r#"{"source":"","options":{"filters":{"a":1,"a":2}}}"#, "occurs twice"),
        (r#"{"source":"","options":{}} {}"#, "expected nothing more"),
        (r#"{"source":"","options":{"x":1e999}}"#, "out of range"),
        (r#"{"source":"\ud800","options":{}}"#, "lone surrogate"),
        ("\u{feff}{}", "byte order mark"),
        (&nested(63), "nested deeper than 64 levels"),
        (&nested(400_000), "nested deeper than 64 levels"),
        (
            &format!(r#"{{"source":"","options":{{"userArguments":"{}"}}}}"#, "-DX ".repeat(25_000)),
            "more than the 65536 allowed",
        ),
        (
            &format!(
                r#"{{"source":"","options":{{"userArguments":[{}"x"]}}}}"#,
                "\"-DABCDE\",".repeat(10_000)
            ),
            "more than the 65536 allowed",
        ),
    ] {
        let reply = post_json(&mut client, body).await;
        assert_eq!(reply.status, 400, "{message}");
        assert_eq!(reply.json()["error"], true);
        assert!(reply.json()["message"].as_str().unwrap().contains(message), "{message}: {}", reply.text());
    }
    assert_eq!(post_json(&mut client, &nested(62)).await.status, 200);
    let reply = client.ask(post("/api/compiler/g1/compile", JSON, b"{\"source\":\"\xff\"}")).await;
    assert_eq!(reply.status, 400);
    let many = format!(r#"{{"source":"","options":{{"x":[{}0]}}}}"#, "0,".repeat(1_000_000));
    assert_eq!(post_json(&mut client, &many).await.status, 200);
    let keys = (0..100_000).fold(String::new(), |all, key| all + "\"k" + &key.to_string() + "\":0,");
    assert_eq!(
        post_json(&mut client, &format!(r#"{{"source":"","options":{{{keys}"x":0}}}}"#)).await.status,
        400
    );
    assert_eq!(house.workshop.begun(), 2);
}

#[tokio::test]
async fn h14_packed_and_foreign_bodies() {
    let house = House::open().await;
    for header in [
        "Content-Encoding: gzip\r\n",
        "Content-Encoding: deflate\r\n",
        "Content-Type: text/plain; charset=utf-16\r\n",
    ] {
        let reply = house.client().await.ask(post("/api/compiler/g1/compile", header, "int x;")).await;
        assert_eq!((reply.status, &reply.json()["error"]), (415, &true.into()), "{header}");
    }
}

#[tokio::test]
async fn text_and_forms_are_source_text() {
    let house = House::open().await;
    let mut client = house.client().await;
    for header in [
        "",
        "Content-Type: text/plain\r\n",
        "Content-Type: application/x-www-form-urlencoded\r\n",
        "Content-Type: application/octet-stream\r\n",
    ] {
        let reply =
            client.ask(post("/api/compiler/g1/compile?options=-O2+-g", header, "int a[3]; f()&1;")).await;
        assert_eq!(reply.json()["echo"], r#"int a[3]; f()&1; ["-O2", "-g"]"#, "{header}");
    }
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let reply = client
        .ask(post("/api/noscript/compile", form, "source=int+x%3B&compiler=g1&userArguments=-O1"))
        .await;
    assert_eq!(reply.json()["echo"], r#"int x; ["-O1"]"#);
    assert_eq!(client.ask(post("/api/noscript/compile", form, "source=x&compiler=no")).await.status, 404);
    assert_eq!(client.ask(post("/api/compiler/g1/compile", "", "")).await.status, 400);
}

#[tokio::test]
async fn paths_and_methods() {
    let door = DoorSettings {
        environment: Some("prod".to_owned()),
        version: Some("abc".to_owned()),
        ..DoorSettings::default()
    };
    let house = House::build(Plan { door, ..Plan::default() }).await;
    let mut client = house.client().await;
    for path in [
        "/api/compiler/g1/compile",
        "/API/compiler/g1/Compile/",
        "/prod/api/compiler/g1/compile",
        "//api/compiler/g1/compile",
        "/api/compiler/%671/compile",
    ] {
        assert_eq!(client.ask(post(path, "", "int x;")).await.status, 200, "{path}");
    }
    for path in
        ["/staging/api/compiler/g1/compile", "/api/compiler/g1", "/", "/api", "/api/compiler/g1/compile/x"]
    {
        let reply = client.ask(post(path, "", "int x;")).await;
        assert_eq!(reply.status, 404, "{path}");
        assert!(reply.json()["error"].as_str().unwrap().starts_with("Not Found"), "{}", reply.text());
    }
    let reply = client.ask(post("/api/compiler/none/compile", "", "int x;")).await;
    assert_eq!((reply.status, &reply.json()["error"]), (404, &true.into()));
    for (request, allow) in [
        (get("/api/compiler/g1/compile", ""), "POST, OPTIONS"),
        (get("/admin/clear-cache", ""), "POST, OPTIONS"),
        ("DELETE /api/languages HTTP/1.1\r\nHost: t\r\n\r\n".to_owned(), "GET, HEAD, OPTIONS"),
    ] {
        let reply = client.ask(request).await;
        assert_eq!((reply.status, reply.header("allow")), (405, Some(allow)), "{}", reply.text());
    }
    let options = client.ask("OPTIONS /api/compiler/g1/compile HTTP/1.1\r\nHost: t\r\n\r\n").await;
    assert_eq!((options.status, options.text()), (200, "OK"));
    assert_eq!(client.ask(get("/api/version", "")).await.text(), "abc");
    assert_eq!(client.ask(get("/api/releaseBuild", "")).await.text(), "<no build number found>");
    assert_eq!(client.ask(get("/api/popularArguments/g1", "")).await.text(), "{}");
    assert_eq!(client.ask(get("/api/optimizationArguments/none", "")).await.status, 404);
}

#[tokio::test]
async fn listings_are_handed_on() {
    let house = House::open().await;
    let mut client = house.client().await;
    for (path, accept, want) in [
        ("/api/compilers", "*/*", "Compilers(None) None Json"),
        (
            "/api/compilers/c%2B%2B?fields=id,exe",
            "*/*",
            "Compilers(Some(\\\"c++\\\")) Some(\\\"id,exe\\\") Json",
        ),
        ("/api/languages?fields=all", "text/plain", "Languages Some(\\\"all\\\") Text"),
        ("/api/libraries/c++", "text/plain", "Libraries(Some(\\\"c++\\\")) None Json"),
        ("/api/libraries", "*/*", "Libraries(None) None Json"),
        ("/api/tools/c", "*/*", "Tools(\\\"c\\\") None Json"),
    ] {
        let reply = client.ask(get(path, &format!("Accept: {accept}\r\n"))).await;
        assert_eq!((reply.status, reply.text()), (200, format!("\"{want}\"").as_str()), "{path}");
    }
}

#[tokio::test]
async fn project_builds_are_beyond_these_compilers() {
    let house = House::open().await;
    let mut client = house.client().await;
    let whole = r#"{"source":"project(x)","options":{},"files":[]}"#;
    for path in ["/api/compiler/g1/cmake", "/api/compiler/g1/build/cmake", "/api/compiler/g1/build/maven"] {
        let reply = client.ask(post(path, JSON, whole)).await;
        assert_eq!(reply.status, 200);
        let stderr = json!([{"text": "Compiler does not support compiling to binaries"}]);
        assert_eq!(reply.json(), json!({"code": -1, "stdout": [], "stderr": stderr}));
    }
    let reply = client.ask(post("/api/compiler/g1/build/bazel", JSON, whole)).await;
    assert_eq!(
        (reply.status, reply.text()),
        (404, r#"{"error":true,"message":"Unknown build system 'bazel'"}"#)
    );
    for (headers, body) in [(JSON, r#"{"source":"","options":{}}"#), ("", whole)] {
        let reply = client.ask(post("/api/compiler/g1/cmake", headers, body)).await;
        assert_eq!((reply.status, &reply.json()["message"]), (400, &"Missing files property".into()));
    }
    assert_eq!(client.ask(post("/api/compiler/none/cmake", JSON, whole)).await.status, 404);
}

#[tokio::test]
async fn health_is_told_even_while_jobs_run() {
    let house = House::open().await;
    let mut busy = house.client().await;
    busy.send(compile("sleep 300")).await;
    let mut client = house.client().await;
    let reply = client.ask(get("/healthcheck", "")).await;
    let mut report = reply.json();
    let timestamp = report.as_object_mut().unwrap().remove("timestamp").unwrap();
    assert_eq!((reply.status, timestamp.as_str().unwrap().len()), (200, "2026-01-02T03:04:05.678Z".len()));
    let want = json!({
        "status": "healthy", "websocket": "disconnected", "reconnectAttempts": 0, "maxReconnectAttempts": 10,
        "phase": "serving", "compilers": 1, "slots": 2, "slotsBusy": 1, "queued": 3, "queueLimit": 4,
        "consuming": true,
    });
    assert_eq!(report, want);
    assert_eq!(client.ask(get("/health/live", "")).await.json(), json!({"status": "live"}));
    assert_eq!(client.ask(get("/health/ready", "")).await.json(), json!({"status": "ready"}));
    client.send("HEAD /healthcheck HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n").await;
    let head = String::from_utf8(client.rest().await).unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"), "{head}");
}

#[tokio::test]
async fn caches_are_cleared_for_this_machine() {
    let house = House::open().await;
    let reply = house.client().await.ask(post("/admin/clear-cache", "", "")).await;
    assert_eq!((reply.status, &reply.json()["success"]), (200, &true.into()));
    assert_eq!(reply.json()["message"], "Routing caches cleared successfully");
    assert_eq!(house.workshop.cleared(), 1);
}
