//! Every path there is: how it is called, and what it may be asked.

use crate::support::client::{get, post};
use crate::support::house::House;

const READ: &str = "GET, HEAD, OPTIONS";
const WRITE: &str = "POST, OPTIONS";
const BOTH: &str = "GET, HEAD, POST, OPTIONS";

#[tokio::test]
async fn every_place_has_its_name_and_its_methods() {
    let house = House::open().await;
    let mut client = house.client().await;
    for (path, name, allow) in [
        ("/api/compiler/g1/compile", "compile", WRITE),
        ("/api/compiler/g1/cmake", "build", WRITE),
        ("/api/compiler/g1/build/make", "build", WRITE),
        ("/api/noscript/Compile", "noscript", WRITE),
        ("/api/popularArguments/g1", "popular_arguments", BOTH),
        ("/api/optimizationArguments/g1", "optimization_arguments", BOTH),
        ("/api/compilers", "compilers", READ),
        ("/api/compilers/c", "compilers", READ),
        ("/api/languages", "languages", READ),
        ("/api/libraries", "libraries", READ),
        ("/api/libraries/c", "libraries", READ),
        ("/api/tools/c", "tools", READ),
        ("/api/version", "version", READ),
        ("/api/releaseBuild", "release_build", READ),
        ("/healthcheck", "healthcheck", BOTH),
        ("/health", "health", READ),
        ("/health/live", "health_live", READ),
        ("/health/ready", "health_ready", READ),
        ("/admin/clear-cache", "clear_cache", WRITE),
    ] {
        let refused = client.ask(format!("PUT {path} HTTP/1.1\r\nHost: t\r\n\r\n")).await;
        assert_eq!((refused.status, refused.header("allow")), (405, Some(allow)), "{path}");
        let asked = if allow == WRITE { post(path, "", "") } else { get(path, "").into_bytes() };
        assert_ne!(client.ask(asked).await.status, 405, "{path}");
        assert_eq!(
            client.ask(format!("OPTIONS {path} HTTP/1.1\r\nHost: t\r\n\r\n")).await.text(),
            "OK",
            "{path}"
        );
        let routes: Vec<_> = house.served.lock().unwrap().drain(..).map(|served| served.route).collect();
        assert_eq!(routes, [name; 3], "{path}");
    }
}

/// What axum knows of a reply's length is what the client is told, with the body and without.
#[tokio::test]
async fn heads_promise_what_the_reply_has() {
    let house = House::open().await;
    let whole = house.client().await.ask(get("/api/languages", "")).await;
    let mut client = house.client().await;
    client.send("HEAD /api/languages HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n").await;
    let head = String::from_utf8(client.rest().await).unwrap().to_lowercase();
    assert!(head.contains(&format!("content-length: {}\r\n", whole.body.len())), "{head}");
    assert!(head.ends_with("\r\n\r\n"), "{head}");
}
