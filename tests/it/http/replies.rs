//! What replies carry: renditions, packing, and the headers all of them have.

use std::io::Read as _;

use compilation_worker::domain::class::Class;
use compilation_worker::domain::result::JobStatus;
use compilation_worker::doors::http::DoorSettings;
use compilation_worker::engine::Rendition;

use crate::support::client::{compile, get, post};
use crate::support::house::{House, Plan};

fn accepting(accept: &str, source: &str) -> Vec<u8> {
    let accept = if accept.is_empty() { String::new() } else { format!("Accept: {accept}\r\n") };
    post("/api/compiler/g1/compile", &accept, source)
}

#[tokio::test]
async fn renditions_are_negotiated() {
    for default in [Rendition::Json, Rendition::Text] {
        let door = DoorSettings { default_rendition: default, ..DoorSettings::default() };
        let house = House::build(Plan { door, ..Plan::default() }).await;
        let mut client = house.client().await;
        for (accept, want) in [
            ("", default),
            ("*/*", default),
            ("application/json", Rendition::Json),
            ("application/json, text/plain, */*", Rendition::Json),
            ("application/json, text/javascript, */*; q=0.01", Rendition::Json),
            ("text/plain", Rendition::Text),
            ("text/plain;q=0.2, application/json;q=0.1", Rendition::Text),
        ] {
            let reply = client.ask(accepting(accept, "int x;")).await;
            let (kind, body) = match want {
                Rendition::Json => ("application/json; charset=utf-8", r#"{"echo":"int x; []"}"#),
                Rendition::Text => ("text/plain; charset=utf-8", "int x; []"),
            };
            assert_eq!((reply.header("content-type"), reply.text()), (Some(kind), body), "{accept}");
            assert_eq!(reply.header("x-job-status"), Some("ok"));
        }
    }
}

#[tokio::test]
async fn large_replies_are_packed_for_who_asks() {
    let house = House::open().await;
    let mut client = house.client().await;
    for bytes in [10_000, 3_000_000] {
        let source = format!("reply {bytes}");
        let mut ask = async |encoding: &str| {
            let headers = format!("Accept: text/plain\r\nAccept-Encoding: {encoding}\r\n");
            client.ask(post("/api/compiler/g1/compile", &headers, &source)).await
        };
        let plain = ask("identity").await;
        assert_eq!((plain.body.len(), plain.header("content-encoding")), (bytes, None));
        let gzip = ask("gzip, deflate").await;
        assert_eq!(
            (gzip.header("content-encoding"), gzip.header("x-job-status")),
            (Some("gzip"), Some("ok"))
        );
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(gzip.body.as_slice()).read_to_end(&mut unpacked).unwrap();
        assert!(unpacked == plain.body && gzip.body.len() < bytes / 10);
        let zstd = ask("gzip, zstd").await;
        assert_eq!(zstd.header("content-encoding"), Some("zstd"));
        assert!(zstd::decode_all(zstd.body.as_slice()).unwrap() == plain.body);
    }
    let small = client.ask(post("/api/compiler/g1/compile", "Accept-Encoding: gzip\r\n", "int x;")).await;
    assert_eq!(small.header("content-encoding"), None);
}

#[tokio::test]
async fn every_reply_has_its_headers() {
    let house = House::open().await;
    for request in [
        compile("int x;"),
        compile("panic"),
        compile("fail busy"),
        post("/api/compiler/g1/compile", "Content-Type: application/json\r\n", "{"),
        post("/api/compiler/none/compile", "", "int x;"),
        get("/api/compiler/g1/compile", "").into_bytes(),
        get("/api/compilers", "").into_bytes(),
        get("/healthcheck", "").into_bytes(),
        get("/nowhere", "").into_bytes(),
        post("/admin/clear-cache", "", ""),
        b"OPTIONS /api/compiler/g1/compile HTTP/1.1\r\nHost: t\r\n\r\n".to_vec(),
        b"OPTIONS /nowhere HTTP/1.1\r\nHost: t\r\n\r\n".to_vec(),
    ] {
        let reply = house.client().await.ask(&request).await;
        let shown = String::from_utf8_lossy(&request);
        assert_eq!(reply.header("access-control-allow-origin"), Some("*"), "{shown}");
        assert_eq!(reply.header("access-control-allow-methods"), Some("POST, GET, OPTIONS"), "{shown}");
        assert!(
            reply
                .header("access-control-allow-headers")
                .unwrap()
                .contains("Content-Type, Accept, Authorization")
        );
        assert!(!reply.header("x-request-id").unwrap().is_empty(), "{shown}");
        assert!(reply.header("date").is_some(), "{shown}");
    }
}

#[tokio::test]
async fn requests_keep_a_sane_name() {
    let house = House::open().await;
    let mut client = house.client().await;
    let reply = client.ask(get("/health", "X-Request-Id: my-id_1\r\n")).await;
    assert_eq!(reply.header("x-request-id"), Some("my-id_1"));
    for odd in ["", "a b", "<x>", &"x".repeat(200)] {
        let reply = client.ask(get("/health", &format!("X-Request-Id: {odd}\r\n"))).await;
        assert_eq!(reply.header("x-request-id").unwrap().len(), 36, "{odd}");
    }
}

#[tokio::test]
async fn the_api_may_be_kept_and_errors_may_not() {
    let house = House::open().await;
    let mut client = house.client().await;
    for request in [compile("int x;"), get("/api/languages", "").into_bytes()] {
        assert_eq!(client.ask(request).await.header("cache-control"), Some("public, max-age=600"));
    }
    for request in [compile("fail internal"), get("/health", "").into_bytes()] {
        assert_eq!(client.ask(request).await.header("cache-control"), Some("no-store"));
    }
}

#[tokio::test]
async fn a_remembered_answer_needs_no_engine() {
    let house = House::open().await;
    let mut client = house.client().await;
    let first = client.ask(compile("remember")).await;
    let second = client.ask(compile("remember")).await;
    assert_eq!((first.body, house.workshop.begun()), (second.body, 1));
    let other = post("/api/compiler/g1/compile", "", r#"{"source":"remember","options":{}}"#);
    assert_eq!(client.ask(other).await.status, 200);
    assert_eq!(house.workshop.begun(), 2, "the same bytes as text are another request");
}

#[tokio::test]
async fn every_request_is_told_of_once() {
    let house = House::open().await;
    let mut client = house.client().await;
    client.ask(compile("int x;")).await;
    client.ask(compile("fail busy")).await;
    client.ask("BAD\r\n\r\n").await;
    let served = house.served.lock().unwrap().clone();
    let told: Vec<_> = served
        .iter()
        .map(|one| (one.route, one.status, one.class.map(Class::as_str), one.job.map(JobStatus::as_str)))
        .collect();
    assert_eq!(
        told,
        [
            ("compile", 200, None, Some("ok")),
            ("compile", 503, Some("busy"), Some("rejected")),
            ("none", 400, Some("malformed"), None),
        ]
    );
    client = house.client().await;
    client.ask(compile("remember")).await;
    let unknown = format!("/api/compiler/{}/compile", "%3Cb%3E".repeat(50));
    let named = client.ask(compile("remember")).await.header("x-request-id").unwrap().to_owned();
    client.ask(post(&unknown, "Content-Type: application/json\r\n", "{\"source\":\"\"}")).await;
    let served = house.served.lock().unwrap().split_off(3);
    let told: Vec<_> =
        served.iter().map(|one| (one.compiler.as_deref().unwrap(), one.cached, one.work.is_some())).collect();
    let cut = "<b>".repeat(50)[..128].to_owned();
    assert_eq!(told, [("g1", false, true), ("g1", true, false), (&*cut, false, false)]);
    assert_eq!(served[1].id.as_str(), named);
}
