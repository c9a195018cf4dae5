//! The operator's door.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use compilation_worker::doors::admin::{self, Controls};
use compilation_worker::doors::health::Health;
use tokio::sync::oneshot;

use crate::support::client::{Client, get, post};
use crate::support::house::vitals;
use crate::support::status::{status, well};

#[derive(Default)]
struct Levers {
    reloads: AtomicUsize,
    drains: AtomicUsize,
    pauses: AtomicUsize,
    clears: AtomicUsize,
}

struct Admin {
    address: SocketAddr,
    levers: Arc<Levers>,
    close: oneshot::Sender<()>,
    thread: std::thread::JoinHandle<()>,
}

fn open() -> Admin {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let levers = Arc::<Levers>::default();
    let [reload, pause, drain, clear] = [(); 4].map(|()| Arc::clone(&levers));
    let controls = Controls {
        health: Health::new(|| vitals(false)),
        metrics: Box::new(|| "# HELP x\n".to_owned()),
        status: Box::new(|| status(well())),
        tasks: Box::new(|| b"[1]".to_vec()),
        reload: Box::new(move || {
            let first = reload.reloads.fetch_add(1, Ordering::SeqCst) == 0;
            Box::pin(async move {
                if first { Ok("5 compilers".to_owned()) } else { Err("no such file".to_owned()) }
            })
        }),
        pause: Box::new(move |paused| {
            pause.pauses.fetch_add(if paused { 1 } else { 10 }, Ordering::SeqCst);
            Box::pin(
                async move { if paused { Ok("paused".to_owned()) } else { Err("disk full".to_owned()) } },
            )
        }),
        drain: Box::new(move || {
            drain.drains.fetch_add(1, Ordering::SeqCst);
        }),
        clear_caches: Box::new(move || {
            clear.clears.fetch_add(1, Ordering::SeqCst);
        }),
    };
    let (close, closing) = oneshot::channel();
    let thread = admin::open(listener, controls, async move { closing.await.unwrap() }).unwrap();
    Admin { address, levers, close, thread }
}

#[tokio::test]
async fn the_operator_sees_and_moves() {
    let admin = open();
    let mut client = Client::connect(admin.address).await;
    let metrics = client.ask(get("/metrics", "")).await;
    assert_eq!((metrics.status, metrics.text()), (200, "# HELP x\n"));
    assert_eq!(metrics.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let accepts =
        "Accept: application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.3\r\n";
    let metrics = client.ask(get("/metrics", accepts)).await;
    let openmetrics = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(metrics.header("content-type"), Some(openmetrics));
    for path in ["/healthcheck", "/health", "/health/live", "/health/ready"] {
        assert_eq!(client.ask(get(path, "")).await.status, 200, "{path}");
    }
    assert_eq!(client.ask(get("/admin/tasks", "")).await.text(), "[1]");
    assert_eq!(client.ask(post("/admin/reload", "", "")).await.json()["message"], "5 compilers");
    let failed = client.ask(post("/admin/reload", "", "")).await;
    assert_eq!((failed.status, &failed.json()["error"]), (422, &"no such file".into()));
    assert_eq!(client.ask(post("/admin/pause", "", "")).await.json()["message"], "paused");
    let failed = client.ask(post("/admin/resume", "", "")).await;
    assert_eq!((failed.status, &failed.json()["error"]), (500, &"disk full".into()));
    assert_eq!(client.ask(post("/admin/drain", "", "")).await.status, 200);
    assert_eq!(client.ask(post("/admin/clear-cache", "", "")).await.json()["success"], true);
    for request in [
        get("/admin/drain", "").into_bytes(),
        get("/admin/resume", "").into_bytes(),
        post("/metrics", "", ""),
    ] {
        let reply = client.ask(request).await;
        assert!(reply.status == 405 && reply.header("allow").is_some());
    }
    for path in ["/nowhere", "/admin/nothing", "/adminx"] {
        assert_eq!(client.ask(get(path, "")).await.status, 404, "{path}");
    }
    for headers in ["Origin: https://example.com\r\n", "Sec-Fetch-Site: cross-site\r\n"] {
        let refused = client.ask(post("/admin/drain", headers, "")).await;
        assert_eq!(
            (refused.status, &refused.json()["error"]),
            (403, &"pages of other sites may not do that".into())
        );
    }
    let refused = client.ask(post("/admin/pause", "Origin: https://example.com\r\n", "")).await;
    assert_eq!(refused.status, 403);
    let rebound = "POST /admin/drain HTTP/1.1\r\nHost: rebound.example\r\nContent-Length: 0\r\n\r\n";
    let refused = client.ask(rebound).await;
    assert!(refused.status == 403 && refused.text().contains("localhost"), "{}", refused.text());
    for path in ["/admin", "/admin/", "/admin/status", "/admin/tasks"] {
        assert_eq!(client.ask(get(path, "")).await.status, 200, "{path}");
        let rebound = format!("GET {path} HTTP/1.1\r\nHost: rebound.example\r\n\r\n");
        assert_eq!(client.ask(rebound).await.status, 403, "{path} is read by a page of another site");
    }
    let scraped = client.ask("GET /metrics HTTP/1.1\r\nHost: worker.internal\r\n\r\n").await;
    assert_eq!(scraped.status, 200, "scrapers may call it by any name");
    let Levers { reloads, pauses, drains, clears } = &*admin.levers;
    assert_eq!([reloads, pauses, drains, clears].map(|count| count.load(Ordering::SeqCst)), [2, 11, 1, 1]);
    assert_eq!(Client::connect(admin.address).await.ask("BAD\r\n\r\n").await.status, 400);
    admin.close.send(()).unwrap();
    admin.thread.join().unwrap();
}
