//! Requests that go to a queue or to another service: what the client sees, and what the other side does.

use std::cell::Cell;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router as Routes;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use compilation_worker::domain::ids::RequestId;
use compilation_worker::domain::limits::Deadline;
use compilation_worker::domain::trace::{Sampling, TraceContext};
use compilation_worker::doors::http::{DoorSettings, Fleet};
use compilation_worker::lifecycle::Lifecycle;
use compilation_worker::local::blobs::LocalBlobs;
use compilation_worker::local::bus::LocalBus;
use compilation_worker::local::queue::{LocalQueueSettings, LocalQueues, LocalSource};
use compilation_worker::local::routes::LocalRoutes;
use compilation_worker::ports::{
    Ask, Blob, BlobPlace, BlobStore as _, Keyed, LookupError, Pending, QueueAddress, QueueSource as _,
    Receipt, ResultBus as _, RouteRow, RouteStore, RouteTarget,
};
use compilation_worker::relay::forward::Forward;
use compilation_worker::relay::{Parts, Relay, RelaySettings};
use compilation_worker::routing::{QueueSettings, Router, RouterSettings, Trust};
use compilation_worker::telemetry::metrics::Metrics;
use http_body_util::BodyExt as _;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::support::client::{Client, post, until};
use crate::support::house::{House, Plan};

/// A door, and the fleet behind it.
struct Yard {
    house: House,
    table: Arc<Away>,
    source: LocalSource,
    bus: LocalBus,
    blobs: Arc<LocalBlobs>,
    lifecycle: Lifecycle,
}

/// A routing table that can be away.
#[derive(Debug)]
struct Away {
    routes: LocalRoutes,
    away: std::sync::atomic::AtomicBool,
}

impl RouteStore for Away {
    fn lookup<'a>(&'a self, key: &'a str) -> Pending<'a, Result<Option<RouteRow>, LookupError>> {
        if self.away.load(std::sync::atomic::Ordering::SeqCst) {
            let error = LookupError::Unreachable { what: key.to_owned(), source: "throttled".into() };
            return Box::pin(async { Err(error) });
        }
        self.routes.lookup(key)
    }

    fn all(&self) -> Pending<'_, Result<Vec<Keyed>, LookupError>> {
        self.routes.all()
    }

    fn active_color(&self) -> Pending<'_, Result<compilation_worker::ports::Color, LookupError>> {
        self.routes.active_color()
    }
}

impl Yard {
    async fn open(answer_within: Duration) -> Self {
        let door = DoorSettings { answer_within, ..DoorSettings::default() };
        Self::over(door, RelaySettings::default()).await
    }

    async fn over(door: DoorSettings, relaying: RelaySettings) -> Self {
        let (queues, lifecycle) = (LocalQueues::new(), Lifecycle::new());
        let own = QueueAddress::new("own.fifo");
        let keeping =
            LocalQueueSettings { retention: Duration::from_mins(5), largest: 1 << 18, dead_letters: None };
        queues.create(own.clone(), keeping.clone());
        let source = queues.create(QueueAddress::new("other.fifo"), keeping);
        let table = Arc::new(Away { routes: LocalRoutes::new(), away: false.into() });
        let bus = LocalBus::new(120_000);
        let settings = RouterSettings {
            environment: Some("prod".to_owned()),
            queues: QueueSettings { default: None, own: Some(own), colors: false },
            trust: Trust { row: Duration::from_mins(1), absence: Duration::from_millis(10) },
        };
        let store = Arc::clone(&table) as Arc<dyn RouteStore>;
        let router = Router::new(settings, store, lifecycle.clone(), Arc::new(Metrics::new()));
        let blobs = Arc::new(LocalBlobs::new(1 << 26));
        let relay = Relay::new(Parts {
            settings: relaying,
            sink: Arc::new(queues),
            bus: Arc::new(bus.clone()),
            blobs: Arc::clone(&blobs) as _,
            lifecycle: lifecycle.clone(),
        });
        let fleet = Fleet { router: Arc::new(router), relay, forward: Forward::new(trusting_nobody()) };
        let house = House::build(Plan { door, fleet: Some(fleet), ..Plan::default() }).await;
        Self { house, table, source, bus, blobs, lifecycle }
    }

    fn route(&self, compiler: &str, target: RouteTarget) {
        let key = format!("prod#{compiler}");
        self.table.routes.put(RouteRow { key, target, environment: Some("prod".to_owned()) });
    }

    /// A worker elsewhere: takes one job, and answers it with `members`, its name put before them.
    async fn work(&self, members: &str) -> serde_json::Value {
        self.answer(async |_| members.to_owned()).await
    }

    /// The same, and it leaves a result of so many bytes in the store.
    async fn work_large(&self, bytes: usize) {
        let place = results();
        self.answer(async |guid| {
            let bytes = format!(r#"{{"code":0,"asm":[{{"text":"{}"}}]}}"#, "x".repeat(bytes)).into();
            let key = format!("temp/{guid}");
            self.blobs.put(&place.at(&key), Blob { bytes, ..Blob::default() }).await.unwrap();
            format!(r#""s3Key":"{key}""#)
        })
        .await;
    }

    async fn answer(&self, members: impl AsyncFnOnce(&str) -> String) -> serde_json::Value {
        let ask = Ask { most: 1, wait: Duration::from_secs(10), hidden_for: Duration::from_secs(10) };
        let received = self.source.receive(ask).await.unwrap().remove(0);
        let job: serde_json::Value = serde_json::from_str(&received.message.body).unwrap();
        let guid = job["guid"].as_str().unwrap();
        assert_eq!(received.message.group.as_deref(), Some(guid));
        assert_eq!(received.message.dedup.as_deref(), Some(guid));
        assert!(received.message.attributes["RemainingMs"].parse::<u64>().unwrap() <= 55_000);
        let id = RequestId::parse(guid).unwrap();
        let frame = Bytes::from(format!(r#"{{"guid":"{guid}",{}}}"#, members(guid).await));
        let deadline = Deadline::after(Duration::from_secs(10));
        self.bus.publish(&id, frame, deadline).await.unwrap();
        assert_eq!(self.source.delete(vec![received.receipt]).await.unwrap(), Vec::<Receipt>::new());
        job
    }
}

fn results() -> BlobPlace {
    BlobPlace { bucket: "results".to_owned(), prefix: "cache/".to_owned() }
}

fn trusting_nobody() -> rustls::ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    config.unwrap().with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth()
}

const PATIENCE: Duration = Duration::from_secs(10);

fn json(path: &str, body: &str) -> Vec<u8> {
    post(path, "Content-Type: application/json; charset=utf-8\r\nAccept: application/json\r\n", body)
}

#[tokio::test]
async fn a_compiler_of_another_queue_is_served_by_its_workers() {
    let yard = Yard::open(PATIENCE).await;
    yard.route("far", RouteTarget::Queue("other".to_owned()));
    let mut client = yard.house.client().await;
    let body = r#"{"source":"int x;","options":{"userArguments":"-O2"},"guid":"forged","compilerId":"forged","isCMake":true,"type":"s3-overflow","s3Bucket":"b","s3Key":"k","headers":{"cookie":"c"}}"#;
    let members =
        r#""code":0,"asm":[{"text":"x:"}],"stdout":[],"stderr":[],"new":[1.50,{"a":null}],"s3Key":"abc""#;
    let asked = client.ask(json("/api/compiler/far/compile?a=b", body));
    let (reply, job) = tokio::join!(asked, yard.work(members));
    assert_eq!((reply.status, reply.header("x-job-status")), (200, Some("ok")), "{}", reply.text());
    assert_eq!(
        reply.text(),
        r#"{"code":0,"asm":[{"text":"x:"}],"stdout":[],"stderr":[],"new":[1.50,{"a":null}]}"#
    );
    let headers = serde_json::json!({"content-type": "application/json"});
    assert_eq!(
        (&job["compilerId"], &job["isCMake"], &job["headers"]),
        (&"far".into(), &false.into(), &headers)
    );
    assert_eq!((&job["source"], &job["options"]["userArguments"]), (&"int x;".into(), &"-O2".into()));
    assert_eq!(job["queryStringParameters"], serde_json::json!({"a": "b"}));
    assert!(job.get("type").is_none() && job.get("s3Key").is_none() && job["guid"] != "forged", "{job}");
}

#[tokio::test]
async fn text_is_rendered_here() {
    let yard = Yard::open(PATIENCE).await;
    yard.route("far", RouteTarget::Queue("other".to_owned()));
    let mut client = yard.house.client().await;
    let request = post("/api/compiler/far/compile?filterAnsi=true", "Accept: text/plain\r\n", "int x;");
    let members = r#""code":1,"asm":[{"text":"x:"}],"stderr":[{"text":"\u001b[31mred"}]"#;
    let (reply, job) = tokio::join!(client.ask(request), yard.work(members));
    assert_eq!(
        reply.text(),
        "# Compilation provided by Compiler Explorer at https://godbolt.org/\nx:\n\
         # Compiler exited with result code 1\nStandard error:\nred\n"
    );
    assert_eq!((&job["headers"]["content-type"], &job["source"]), (&"text/plain".into(), &"int x;".into()));
}

#[tokio::test]
async fn project_builds_travel_by_name() {
    let yard = Yard::open(PATIENCE).await;
    yard.route("far", RouteTarget::Queue("other".to_owned()));
    let mut client = yard.house.client().await;
    for (path, is_cmake, system) in [("cmake", true, "cmake"), ("build/cargo", false, "cargo")] {
        let request = json(&format!("/api/compiler/far/{path}"), r#"{"source":"x","files":[],"options":{}}"#);
        let (reply, job) = tokio::join!(client.ask(request), yard.work(r#""code":0"#));
        assert_eq!(reply.text(), r#"{"code":0}"#);
        assert_eq!((&job["isCMake"], &job["buildSystem"]), (&is_cmake.into(), &system.into()));
    }
}

#[tokio::test]
async fn our_own_queue_is_for_when_there_is_no_room_here() {
    let yard = Yard::open(Duration::from_millis(300)).await;
    yard.route("g1", RouteTarget::Queue("own".to_owned()));
    let mut client = yard.house.client().await;
    let reply =
        client.ask(json("/api/compiler/g1/compile", r#"{"source":"remember this","options":{}}"#)).await;
    assert_eq!((reply.status, yard.house.workshop.begun()), (200, 1), "{}", reply.text());
    yard.house.workshop.pretend_busy(true);
    let reply =
        client.ask(json("/api/compiler/g1/compile", r#"{"source":"remember this","options":{}}"#)).await;
    assert_eq!(reply.status, 200, "what is remembered needs no room");
    let reply = client.ask(json("/api/compiler/g1/compile", r#"{"source":"another","options":{}}"#)).await;
    assert_eq!((reply.status, reply.header("x-job-status")), (408, Some("stale")));
    let told = reply.json()["message"].as_str().unwrap().to_owned();
    assert!(told.starts_with("Compilation timeout: No response received within "), "{told}");
    assert_eq!(yard.house.workshop.begun(), 1);
}

#[tokio::test]
async fn a_time_out_tells_how_long_the_client_has_waited() {
    let yard = Yard::open(Duration::from_secs(2)).await;
    yard.route("far", RouteTarget::Queue("other".to_owned()));
    let mut client = yard.house.client().await;
    let request = json("/api/compiler/far/compile", r#"{"source":"x","options":{}}"#);
    let (most, rest) = request.split_at(request.len() - 1);
    client.send(most).await;
    sleep(Duration::from_millis(1200)).await;
    let reply = client.ask(rest).await;
    let told = reply.json()["message"].as_str().unwrap().to_owned();
    assert!(
        told.starts_with("Compilation timeout: No response received within 2 seconds for GUID: "),
        "{told}"
    );
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_told_before_it_is_sent() {
    let yard = Yard::open(PATIENCE).await;
    yard.route("far", RouteTarget::Queue("other".to_owned()));
    let mut client = yard.house.client().await;
    for (request, status) in [
        (json("/api/compiler/far/compile", "{"), 400),
        (json("/api/compiler/far/compile", r#"{"files":3}"#), 400),
        (post("/api/compiler/far/compile", "", ""), 400),
        (json("/api/compiler/far/build/nope", "{}"), 404),
        (json("/api/compiler/nowhere/compile", r#"{"source":"x","options":{}}"#), 404),
    ] {
        let reply = client.ask(&request).await;
        assert_eq!(reply.status, status, "{}", String::from_utf8_lossy(&request));
        assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
    }
    let ask = Ask { most: 10, wait: Duration::ZERO, hidden_for: Duration::from_secs(1) };
    assert_eq!(yard.source.receive(ask).await.unwrap().len(), 0);
}

#[tokio::test]
async fn a_table_that_cannot_be_read_is_no_answer() {
    let yard = Yard::open(PATIENCE).await;
    yard.table.away.store(true, std::sync::atomic::Ordering::SeqCst);
    let mut client = yard.house.client().await;
    for compiler in ["g1", "unknown"] {
        let reply = client
            .ask(json(&format!("/api/compiler/{compiler}/compile"), r#"{"source":"x","options":{}}"#))
            .await;
        assert_eq!((reply.status, reply.header("retry-after").is_some()), (503, true), "{}", reply.text());
    }
    yard.table.away.store(false, std::sync::atomic::Ordering::SeqCst);
}

#[tokio::test]
async fn the_result_of_a_client_who_left_is_taken_off_the_bus() {
    let yard = Yard::open(PATIENCE).await;
    yard.route("far", RouteTarget::Queue("other".to_owned()));
    let mut client = yard.house.client().await;
    client.send(json("/api/compiler/far/compile", r#"{"source":"x","options":{}}"#)).await;
    until(|| yard.bus.topics() == 1).await;
    let worker = async {
        drop(client);
        until(|| yard.house.served.lock().unwrap().len() == 1).await;
        timeout(PATIENCE, yard.work(r#""code":0"#)).await.expect("nobody acknowledged")
    };
    worker.await;
    assert_eq!(yard.house.served.lock().unwrap()[0].status, 499);
    until(|| yard.lifecycle.tasks().iter().all(|(_, census)| census.alive == 0)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_a_large_result_slowly_does_not_keep_others_out() {
    const LARGE: usize = 10 << 20;
    let room = LARGE as u64 * 3 / 2;
    let door = DoorSettings {
        answer_within: PATIENCE,
        read_within: Duration::from_secs(1),
        ..DoorSettings::default()
    };
    let relaying = RelaySettings { results: Some(results()), room, ..RelaySettings::default() };
    let yard = Yard::over(door, relaying).await;
    yard.route("far", RouteTarget::Queue("other".to_owned()));
    let request = |headers| post("/api/compiler/far/compile", headers, "int x;");
    for headers in ["Accept: application/json\r\n", "Accept: text/plain\r\n"] {
        let mut slow = Client::narrow(yard.house.address).await;
        slow.send(request(headers)).await;
        yard.work_large(LARGE).await;
        // It has its room.
        slow.stream.read_u8().await.unwrap();
        let served = Cell::new(false);
        let slowly = async {
            // A megabyte a second, until the other has its reply: the server's own clock tolerates far less.
            let (mut got, mut bytes) = (0, vec![0; 10 << 10]);
            while let Ok(read @ 1..) = slow.stream.read(&mut bytes).await {
                got += read;
                if !served.get() {
                    sleep(Duration::from_millis(10)).await;
                }
            }
            got
        };
        let mut quick = yard.house.client().await;
        let quickly = async {
            let (reply, ()) = tokio::join!(quick.ask(request(headers)), yard.work_large(LARGE));
            served.set(true);
            reply
        };
        let (got, reply) = tokio::join!(slowly, quickly);
        assert!(got < LARGE, "the slow one was waited for");
        assert!(reply.status == 200 && reply.body.len() > LARGE, "{}", reply.status);
    }
}

#[tokio::test]
async fn a_request_is_handed_on_byte_for_byte() {
    let yard = Yard::open(PATIENCE).await;
    let (address, _service) = service().await;
    yard.route("far", RouteTarget::Url(format!("http://{address}/gpu/api/compiler/far/compile")));
    let mut client = yard.house.client().await;
    let body = "{ \"source\" : \"\\u00e9\" }  ";
    for (path, expected) in [
        ("compile?x=%2F&y", "/gpu/api/compiler/far/compile?x=%2F&y"),
        ("cmake", "/gpu/api/compiler/far/cmake"),
        ("build/cargo", "/gpu/api/compiler/far/build/cargo"),
    ] {
        let headers = "Content-Type: application/json\r\nCookie: c=d\r\nTE: trailers\r\nConnection: keep-alive, x-mine\r\nX-Mine: 1\r\n";
        let reply = client.ask(post(&format!("/api/compiler/far/{path}"), headers, body)).await;
        assert_eq!(reply.status, 418);
        let told = reply.json();
        assert_eq!(told["uri"], expected);
        let sent: Vec<u8> = serde_json::from_value(told["body"].clone()).unwrap();
        assert_eq!(String::from_utf8(sent).unwrap(), body);
        let sent: Vec<String> = serde_json::from_value(told["headers"].clone()).unwrap();
        let expected = [
            format!("content-length: {}", body.len()),
            "content-type: application/json".to_owned(),
            "cookie: c=d".to_owned(),
            format!("host: {address}"),
            "x-compilation-worker-forwarded: 1".to_owned(),
        ];
        assert!(expected.iter().all(|header| sent.contains(header)), "{sent:?}");
        assert!(
            !sent.iter().any(|header| header.starts_with("te:") || header.starts_with("x-mine")),
            "{sent:?}"
        );
        for (name, value) in [
            ("cache-control", Some("max-age=7")),
            ("content-encoding", Some("strange")),
            ("set-cookie", Some("a=b")),
            ("access-control-allow-origin", Some("*")),
            ("via", None),
            ("vary", None),
        ] {
            assert_eq!(reply.header(name), value, "{name}");
        }
        assert!(reply.header("x-request-id").is_some());
    }
}

#[tokio::test]
async fn a_trace_goes_on_to_queues_and_services() {
    let root = "Root=1-5759e988-bd862e3fe1be46a994272793";
    for (sampling, told, recorded) in [
        (None, ";Parent=53995c3f42cd8ad8", false),
        (Some(1_000_000), ";Parent=53995c3f42cd8ad8", true),
        (Some(0), ";Parent=53995c3f42cd8ad8;Sampled=1", true),
        (Some(1_000_000), ";Parent=53995c3f42cd8ad8;Sampled=0", false),
    ] {
        let sampling = sampling.map(Sampling::of);
        let door = DoorSettings { answer_within: PATIENCE, sampling, ..DoorSettings::default() };
        let yard = Yard::over(door, RelaySettings::default()).await;
        let (address, _service) = service().await;
        yard.route("far", RouteTarget::Url(format!("http://{address}/compile")));
        yard.route("queued", RouteTarget::Queue("other".to_owned()));
        let header = format!("{root}{told}");
        let headers = format!("Content-Type: application/json\r\nX-Amzn-Trace-Id: {header}\r\n");
        let mut client = yard.house.client().await;
        let served = |index: usize| yard.house.served.lock().unwrap()[index].traced.unwrap();

        let reply = client.ask(post("/api/compiler/far/compile", &headers, "{}")).await;
        let sent: Vec<String> = serde_json::from_value(reply.json()["headers"].clone()).unwrap();
        let sent = sent.iter().find_map(|header| header.strip_prefix("x-amzn-trace-id: ")).unwrap();
        assert_eq!(served(0).span.is_some(), recorded, "{header}");
        let expected = if recorded { served(0).onward().to_string() } else { header.clone() };
        assert_eq!(sent, expected, "{header}");

        let body = r#"{"source":"x","options":{}}"#;
        let taken = async {
            let ask = Ask { most: 1, wait: PATIENCE, hidden_for: Duration::ZERO };
            let received = yard.source.receive(ask).await.unwrap().remove(0);
            yard.work(r#""code":0"#).await;
            received.message
        };
        let asked = client.ask(post("/api/compiler/queued/compile", &headers, body));
        let (reply, message) = tokio::join!(asked, taken);
        assert_eq!(reply.status, 200, "{}", reply.text());
        let onward = served(1).onward();
        assert_eq!(message.trace, Some(onward), "{header}");
        assert!(!message.attributes.contains_key("AWSTraceHeader"));
        let came = TraceContext::parse(&header).unwrap();
        assert_eq!(onward.id, came.id);
        assert_eq!(onward.parent == served(1).span, recorded, "{header}");
        assert_eq!(onward.parent == came.parent, !recorded, "{header}");
    }
    // Whoever gives a request its trace decides of it for those behind too.
    for (share, header) in [(0, ""), (0, "X-Amzn-Trace-Id: Parent=12\r\n"), (1_000_000, "")] {
        let door = DoorSettings { sampling: Some(Sampling::of(share)), ..DoorSettings::default() };
        let yard = Yard::over(door, RelaySettings::default()).await;
        let (address, _service) = service().await;
        yard.route("far", RouteTarget::Url(format!("http://{address}/compile")));
        let reply = yard.house.client().await.ask(post("/api/compiler/far/compile", header, "{}")).await;
        let sent: Vec<String> = serde_json::from_value(reply.json()["headers"].clone()).unwrap();
        let sent: Vec<&str> =
            sent.iter().filter_map(|header| header.strip_prefix("x-amzn-trace-id: ")).collect();
        let onward = yard.house.served.lock().unwrap()[0].traced.unwrap().onward().to_string();
        assert_eq!(sent, [onward.as_str()]);
        assert!(onward.ends_with(if share == 0 { ";Sampled=0" } else { ";Sampled=1" }), "{onward}");
    }
}

#[tokio::test]
async fn large_bodies_flow_both_ways() {
    let yard = Yard::open(PATIENCE).await;
    let (address, _service) = service().await;
    yard.route("large", RouteTarget::Url(format!("http://{address}/large/compile")));
    yard.route("far", RouteTarget::Url(format!("http://{address}/compile")));
    let mut client = yard.house.client().await;
    let reply = client.ask(post("/api/compiler/large/compile", "Accept-Encoding: gzip\r\n", "x")).await;
    assert_eq!((reply.status, reply.body.len()), (200, 20 << 20));
    assert_eq!((reply.header("etag"), reply.header("content-encoding")), (Some("\"e\""), None));
    let reply = client.ask(post("/api/compiler/far/compile", "", vec![b'y'; 4 << 20])).await;
    assert_eq!(reply.json()["body"].as_array().unwrap().len(), 4 << 20);
    let chunked = "POST /api/compiler/far/compile HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    assert_eq!(client.ask(chunked).await.json()["body"], serde_json::json!(b"abc"));
}

#[tokio::test]
async fn a_service_that_does_not_answer_is_told_as_such() {
    let yard = Yard::open(Duration::from_millis(500)).await;
    let (address, _service) = service().await;
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = free.local_addr().unwrap();
    drop(free);
    yard.route("slow", RouteTarget::Url(format!("http://{address}/slow/compile")));
    yard.route("gone", RouteTarget::Url(format!("http://{nobody}/compile")));
    yard.route("far", RouteTarget::Url(format!("http://{address}/compile")));
    for (compiler, headers, expected) in [
        ("slow", "", "Failed to forward request: the service did not answer in time"),
        ("gone", "", "Failed to forward request: the service cannot be reached"),
        (
            "far",
            "X-Compilation-Worker-Forwarded: 1\r\n",
            "Failed to forward request: it was forwarded before, the routing table leads in a circle",
        ),
    ] {
        let mut client = yard.house.client().await;
        let reply = client.ask(post(&format!("/api/compiler/{compiler}/compile"), headers, "x")).await;
        assert_eq!((reply.status, reply.json()["message"].as_str()), (502, Some(expected)), "{compiler}");
        assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
    }
}

/// Another service: tells what it was asked, and answers as the path says.
async fn service() -> (SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let echo = async |request: Request| {
        let (head, body) = request.into_parts();
        if head.uri.path().starts_with("/large") {
            return Response::builder().header("etag", "\"e\"").body(Body::from(vec![7; 20 << 20])).unwrap();
        }
        if head.uri.path().starts_with("/slow") {
            std::future::pending::<()>().await;
        }
        let body = body.collect().await.unwrap().to_bytes();
        let mut headers: Vec<String> =
            head.headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        headers.sort();
        let told =
            serde_json::json!({ "uri": head.uri.to_string(), "headers": headers, "body": body.to_vec() });
        Response::builder()
            .status(418)
            .header("content-type", "application/json")
            .header("cache-control", "max-age=7")
            .header("content-encoding", "strange")
            .header("via", "1.1 somebody")
            .header("set-cookie", "a=b")
            .body(Body::from(told.to_string()))
            .unwrap()
    };
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { axum::serve(listener, Routes::new().fallback(echo)).await.unwrap() });
    (address, tasks)
}
