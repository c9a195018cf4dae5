//! The metrics as CloudWatch gets them: the same figures as on the page for Prometheus, none lost and none told twice.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use compilation_worker::telemetry::samples::{Sample, Samples};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep as pause};

use crate::support::agent::{Agent, Events, flags};
use crate::support::client::{get, until};
use crate::support::daemon::{Daemon, compile, program};
use crate::support::obedient::{ID, Obedient, held, sleep};

/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(20);

async fn serve(obedient: &Obedient, agent: SocketAddr, more: &[&str]) -> Daemon {
    let own = flags(agent);
    let all: Vec<&str> = own.iter().map(String::as_str).chain(more.iter().copied()).collect();
    obedient.serve(&all).await
}

/// What all events together say of a metric that counts.
fn told(events: &Events, metric: &str) -> f64 {
    let all = events.lock().unwrap();
    all.iter()
        .map(|event| event[metric].as_f64().or(event[metric]["Count"].as_f64()).unwrap_or_default())
        .sum()
}

type Chosen = fn(&Sample) -> bool;

/// Metrics with the samples of the page that they are the sum of.
const SUMS: [(&str, &str, Chosen); 13] = [
    ("http_requests", "http_requests_total", |reply| reply.label("route") == "compile"),
    ("http_errors", "http_requests_total", |reply| {
        reply.label("route") == "compile" && reply.label("code") == "500"
    }),
    ("http_request_duration_seconds", "http_request_duration_seconds_count", |_| true),
    ("compile_jobs", "compile_jobs_total", |_| true),
    ("infra_errors", "compile_jobs_total", |job| job.label("status") == "infra_error"),
    ("compilation_duration_seconds", "ce_base_compiler_compilation_duration_seconds_count", |_| true),
    ("compilation_queue_seconds", "ce_base_compiler_compilation_queue_seconds_count", |_| true),
    ("queue_messages", "queue_messages_total", |_| true),
    ("queue_messages_age_seconds", "queue_messages_age_seconds_count", |_| true),
    ("cache_hits", "ce_cache_get_total", |lookup| lookup.label("result") == "hit"),
    ("cache_misses", "ce_cache_get_total", |lookup| lookup.label("result") == "miss"),
    ("bytes_in", "http_received_bytes_total", |_| true),
    ("bytes_out", "http_sent_bytes_total", |_| true),
];

/// Compares all events with the page until they agree, and returns what they agree on, in the order of [`SUMS`]. What is
/// told twice is never taken back, so it would never be reached.
async fn agreed(daemon: &Daemon, events: &Events) -> Vec<f64> {
    let begun = Instant::now();
    loop {
        let page = Samples::read(daemon.admin_page("/metrics").await.text());
        let sum = |(_, series, chosen): &(&str, &str, Chosen)| {
            page.of(series).filter(|sample| chosen(sample)).map(|sample| sample.value).sum()
        };
        let counted: Vec<f64> = SUMS.iter().map(sum).collect();
        let published: Vec<f64> = SUMS.iter().map(|(metric, ..)| told(events, metric)).collect();
        if counted == published {
            return counted;
        }
        assert!(begun.elapsed() < PATIENCE, "counted {counted:?}, published {published:?} of {SUMS:?}");
        pause(Duration::from_millis(20)).await;
    }
}

/// The latest event for which `condition` holds.
async fn event(events: &Events, condition: impl Fn(&Value) -> bool) -> Value {
    let latest = || events.lock().unwrap().iter().rev().find(|event| condition(event)).cloned();
    until(|| latest().is_some()).await;
    latest().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn both_renderings_have_the_same_figures() {
    let (obedient, events) = (Obedient::make(), Events::default());
    let agent = Agent::listen("127.0.0.1:0", &events).await;
    let more = ["--engine-slots=2", "--fleet-name=east", "--queues-own=jobs", "--queues-default=jobs"];
    let daemon = serve(&obedient, agent.address, &more).await;
    let mut replies = Vec::new();
    let bodies = [sleep("0", 0), sleep("0", 1), sleep("0", 1), json!({ "options": {} })];
    for (body, status) in bodies.iter().zip([200, 200, 200, 400]) {
        replies.push(daemon.compile(ID, body).await);
        assert_eq!(replies.last().unwrap().status, status);
    }
    // By way of the queue, back to this very machine, which cannot do it either.
    let (lost, waiting, unrunnable) = (sleep("0", 2), held("busy", 0), sleep("0", 9));
    replies.push(daemon.compile("elsewhere", &lost).await);
    assert_eq!(replies.last().unwrap().status, 200);
    replies.push(daemon.page("/healthcheck").await);
    let mut running = daemon.client().await;
    running.send(compile(ID, &waiting)).await;
    let busy = event(&events, |event| event["slots_busy"] == 1.0).await;
    assert_eq!((&busy["slots"], &busy["saturation"]), (&json!(2.0), &json!(50.0)));
    obedient.release("busy");
    replies.push(running.reply().await);
    std::fs::remove_file(obedient.directory().join("compiler")).unwrap();
    replies.push(daemon.compile(ID, &unrunnable).await);
    assert_eq!(replies.last().unwrap().status, 500);

    let counted = agreed(&daemon, &events).await;
    let of = |metric: &str| counted[SUMS.iter().position(|(name, ..)| *name == metric).unwrap()];
    let bodies = bodies.iter().chain([&lost, &waiting, &unrunnable]);
    let received: usize = bodies.map(|body| body.to_string().len()).sum();
    let sent: usize = replies.iter().map(|reply| reply.body.len()).sum();
    let bytes = |bytes: usize| f64::from(u32::try_from(bytes).unwrap());
    for (metric, expected) in [
        ("bytes_in", bytes(received)),
        ("bytes_out", bytes(sent)),
        ("http_requests", 7.0),
        ("http_errors", 1.0),
        ("http_request_duration_seconds", 7.0),
        ("infra_errors", 1.0),
        ("queue_messages", 1.0),
    ] {
        assert!((of(metric) - expected).abs() < f64::EPSILON, "{metric}: {}", of(metric));
    }
    for (metric, least) in [("cache_hits", 1.0), ("cache_misses", 3.0)] {
        assert!(of(metric) >= least, "{metric}: {}", of(metric));
    }
    let latest = event(&events, |event| event["http_connections"] == 1.0).await;
    assert_eq!(
        (&latest["Fleet"], &latest["phase"], &latest["consuming"]),
        (&json!("east"), &json!("serving"), &json!(true))
    );
    assert_eq!(latest["version"], env!("CARGO_PKG_VERSION"));
    let host = rustix::system::uname();
    assert_eq!(latest["instance"], *host.nodename().to_string_lossy());
    assert_eq!(latest["_aws"]["LogStreamName"], latest["instance"]);
    assert_eq!(latest["_aws"]["LogGroupName"], "/compilation-worker/east/metrics");
    let resident = latest["process_resident_memory_bytes"].as_f64().unwrap();
    assert!((1e6..1e9).contains(&resident), "{resident}");
    daemon.metric_until("uptime_seconds", 1).await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_goes_and_comes_back_hears_of_everything_once() {
    let (obedient, events) = (Obedient::make(), Events::default());
    let agent = Agent::listen("127.0.0.1:0", &events).await;
    let address = agent.address;
    let daemon = serve(&obedient, address, &[]).await;
    let ask = async |number| assert_eq!(daemon.compile(ID, &sleep("0", number)).await.status, 200);
    ask(0).await;
    event(&events, |event| event["http_requests"] == 1.0).await;
    drop(agent);
    ask(1).await;
    until(|| daemon.log().contains("could not publish the metrics")).await;
    // One that accepts nothing: its kernel takes an event, and nobody reads it.
    let stuck = TcpListener::bind(address).await.unwrap();
    until(|| {
        let mut waiting = [PollFd::new(&stuck, PollFlags::IN)];
        rustix::event::poll(&mut waiting, Some(&Timespec::default())).unwrap() > 0
    })
    .await;
    ask(2).await;
    drop(stuck);
    ask(3).await;
    let before = events.lock().unwrap().len();
    let agent = Agent::listen(&address.to_string(), &events).await;
    let counted = agreed(&daemon, &events).await;
    assert!(counted[0] >= 4.0 && agent.count() > before, "{counted:?}");
    until(|| daemon.log().contains("published again")).await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_event_tells_of_the_last_work() {
    let (obedient, events) = (Obedient::make(), Events::default());
    let agent = Agent::listen("127.0.0.1:0", &events).await;
    let [outlet, _] = flags(agent.address);
    let daemon = obedient.serve(&[&outlet, "--metrics-every=10m"]).await;
    let mut running = daemon.client().await;
    running.send(compile(ID, &held("end", 0))).await;
    daemon.health_until(|health| health["slotsBusy"] == 1).await;
    let held = daemon.holdings();
    daemon.signal(Signal::TERM);
    daemon.health_until(|health| health["phase"] == "draining").await;
    assert_eq!(agent.count(), 0, "a period has passed");
    obedient.release("end");
    assert_eq!(running.reply().await.status, 200);
    daemon.ends_with(0, held).await;
    let all = events.lock().unwrap().clone();
    assert_eq!(all.len(), 1);
    assert_eq!(
        (&all[0]["compile_jobs"], &all[0]["phase"], &all[0]["consuming"], &all[0]["slots_busy"]),
        (&json!(1.0), &json!("draining"), &json!(false), &json!(0.0))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_is_stuck_holds_up_nobody() {
    let obedient = Obedient::make();
    let stuck = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let daemon = serve(&obedient, stuck.local_addr().unwrap(), &[]).await;
    let (_stream, _) = stuck.accept().await.unwrap();
    assert_eq!(daemon.compile(ID, &sleep("0", 0)).await.status, 200);
    let held = daemon.holdings();
    daemon.signal(Signal::TERM);
    let begun = Instant::now();
    daemon.ends_with(0, held).await;
    assert!(begun.elapsed() < Duration::from_secs(8), "it took {:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn standard_output_has_the_addresses_first_and_then_an_event_a_line() {
    let (obedient, directory) = (Obedient::make(), tempfile::tempdir().unwrap());
    let page = directory.path().join("out");
    let mut child = program()
        .args(["serve", "--announce", "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0"])
        .args(["--metrics-emf=stdout", "--metrics-every=100ms"])
        .args(obedient.flags())
        .stdout(std::fs::File::create(&page).unwrap())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let whole = || std::fs::read_to_string(&page).unwrap();
    until(|| whole().lines().count() >= 3).await;
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let ended = compilation_worker::lifecycle::blocking("end", move || child.wait());
    assert_eq!(ended.await.unwrap().unwrap().code(), Some(0));
    let whole = whole();
    assert!(whole.ends_with('\n'));
    let lines: Vec<Value> = whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines[0]["http"].is_string() && lines[0].get("_aws").is_none(), "{}", lines[0]);
    assert!(lines[1..].iter().all(|event| event["_aws"]["CloudWatchMetrics"].is_array()), "{whole}");
    assert_eq!(lines.last().unwrap()["phase"], "draining");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_who_reads_standard_output_is_no_trouble() {
    let obedient = Obedient::make();
    // The harness reads the addresses, and closes its end.
    let daemon = obedient.serve(&["--metrics-emf=stdout", "--metrics-every=100ms"]).await;
    until(|| daemon.log().contains("could not publish the metrics")).await;
    assert_eq!(daemon.ask(get("/healthcheck", "")).await.status, 200);
    daemon.stop().await;
}
