//! How it ends: with every answer given, or at once, but never with anything left behind.

use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep as pause};

use crate::support::client::{Client, End, get};
use crate::support::daemon::{Daemon, compile};
use crate::support::obedient::{ID, Obedient, held, sleep};

/// Jobs at once.
const SLOTS: usize = 4;
/// Jobs that wait behind them.
const QUEUED: usize = 20;
/// Connections that were used and wait for another request.
const IDLE: usize = 50;
/// Signals in all, and rounds that go on side by side.
const ROUNDS: usize = 20;
const SIDE_BY_SIDE: usize = 4;

/// Connections on which as many jobs have been sent, each of which is `what` with a number.
async fn occupy(daemon: &Daemon, jobs: Range<usize>, what: impl Fn(usize) -> Value) -> Vec<Client> {
    let mut clients = Vec::new();
    for job in jobs {
        let mut client = daemon.client().await;
        client.send(compile(ID, &what(job))).await;
        clients.push(client);
    }
    clients
}

fn endless(job: usize) -> Value {
    sleep("60", job)
}

async fn full(daemon: &Daemon, queued: usize) {
    daemon.health_until(|health| health["slotsBusy"] == SLOTS && health["queued"] == queued).await;
}

/// One daemon with its slots full, its queue long and its door full of idlers, told to stop.
async fn round() {
    let obedient = Obedient::make();
    let daemon = obedient.serve(&["--engine-slots", &SLOTS.to_string()]).await;
    let mut idle = Vec::new();
    for _ in 0..IDLE {
        let mut client = daemon.client().await;
        assert_eq!(client.ask(get("/health/live", "")).await.status, 200);
        idle.push(client);
    }
    // Its first compile asks the compiler what it can do; that is not what shall be waited for below.
    assert_eq!(daemon.compile(ID, &sleep("0", 1000)).await.status, 200);
    let mut working = occupy(&daemon, 0..SLOTS + QUEUED, |job| held("signal", job)).await;
    full(&daemon, QUEUED).await;
    let holdings = daemon.holdings();
    // These are on their way when the signal comes.
    let mut late = idle.split_off(IDLE - 5);
    for (number, client) in late.iter_mut().enumerate() {
        client.send(compile(ID, &sleep("0", 2000 + number))).await;
    }
    daemon.signal(Signal::TERM);
    obedient.release("signal");
    for client in &mut working {
        let reply = client.reply().await;
        assert_eq!((reply.status, reply.header("x-job-status")), (200, Some("ok")), "{}", reply.text());
        assert_eq!(reply.json()["labelDefinitions"]["answer"], 1);
        assert_eq!(client.end().await, End::Closed);
    }
    for client in &mut late {
        let status = client.reply().await.status;
        assert!(matches!(status, 200 | 503), "{status}");
        assert_eq!(client.end().await, End::Closed);
    }
    for client in &mut idle {
        assert_eq!(client.end().await, End::Closed);
    }
    daemon.ends_with(0, holdings).await;
}

#[tokio::test]
async fn told_to_stop_it_answers_everything_it_has_received() {
    let mut rounds = JoinSet::new();
    for begun in 0..ROUNDS {
        if begun >= SIDE_BY_SIDE {
            rounds.join_next().await.unwrap().unwrap();
        }
        rounds.spawn(round());
    }
    rounds.join_all().await;
}

#[tokio::test]
async fn told_twice_it_ends_at_once_and_still_answers() {
    let obedient = Obedient::make();
    let daemon = obedient.serve(&["--engine-slots", &SLOTS.to_string()]).await;
    let mut clients = occupy(&daemon, 0..SLOTS, endless).await;
    daemon.running_until("sleep", SLOTS).await;
    clients.extend(occupy(&daemon, SLOTS..SLOTS + 3, endless).await);
    full(&daemon, 3).await;
    let held = daemon.holdings();
    daemon.signal(Signal::TERM);
    daemon.health_until(|health| health["phase"] == "draining").await;
    let begun = Instant::now();
    daemon.signal(Signal::TERM);
    failed(&mut clients).await;
    assert!(begun.elapsed() < Duration::from_secs(8), "it took {:?}", begun.elapsed());
    daemon.ends_with(75, held).await;
}

#[tokio::test]
async fn patience_ends_with_the_drain_budget() {
    let obedient = Obedient::make();
    let slots = SLOTS.to_string();
    let flags = ["--engine-slots", &slots, "--limits-wall", "1s", "--drain-budget", "1200ms"];
    let daemon = obedient.serve(&flags).await;
    // Those that run end by their own limit; those that wait begin too late, and fail.
    let mut running = occupy(&daemon, 0..SLOTS, endless).await;
    full(&daemon, 0).await;
    let mut waiting = occupy(&daemon, SLOTS..2 * SLOTS, endless).await;
    full(&daemon, SLOTS).await;
    let held = daemon.holdings();
    let begun = Instant::now();
    daemon.signal(Signal::INT);
    for client in &mut running {
        let reply = client.reply().await;
        assert_eq!((reply.status, reply.header("x-job-status")), (200, Some("timeout_wall")));
    }
    for client in &mut waiting {
        let reply = client.reply().await;
        let status = reply.header("x-job-status");
        assert_eq!((reply.status, status), (500, Some("infra_error")), "{}", reply.text());
    }
    let took = begun.elapsed();
    assert!(took > Duration::from_millis(1150) && took < Duration::from_secs(10), "it took {took:?}");
    daemon.ends_with(75, held).await;
}

#[tokio::test]
async fn killed_it_leaves_no_jailed_process() {
    // The bound is for a machine that is not busy with other things, so one of three times has to hold it.
    let mut times = Vec::new();
    for _ in 0..3 {
        let obedient = Obedient::make();
        let mut daemon = obedient.serve(&["--engine-slots", &SLOTS.to_string()]).await;
        let _clients = occupy(&daemon, 0..SLOTS, endless).await;
        daemon.running_until("sleep", SLOTS).await;
        let held = daemon.holdings();
        assert!(held.alive().len() > 2 * SLOTS, "{held:?}");
        daemon.signal(Signal::KILL);
        let killed = Instant::now();
        while !held.alive().is_empty() {
            assert!(killed.elapsed() < Duration::from_secs(10), "{:?} live on", held.alive());
            pause(Duration::from_millis(5)).await;
        }
        times.push(killed.elapsed());
        assert_eq!(daemon.exit().await.code(), None);
        // Nobody was left to remove the groups; whoever starts next does.
        let next = obedient.serve(&[]).await;
        assert_eq!(held.groups(), Vec::<PathBuf>::new());
        next.stop().await;
        if times.last() < Some(&Duration::from_millis(200)) {
            return;
        }
    }
    panic!("jailed processes lived on for {times:?}");
}

/// The jobs that ran have failed; those that waited never began, and may be tried elsewhere.
async fn failed(clients: &mut [Client]) {
    for (number, client) in clients.iter_mut().enumerate() {
        let reply = client.reply().await;
        let want = if number < SLOTS { (500, "infra_error") } else { (503, "rejected") };
        let status = reply.header("x-job-status").unwrap();
        assert_eq!((reply.status, status), want, "job {number}: {}", reply.text());
        assert_eq!(client.end().await, End::Closed);
    }
}

#[tokio::test]
async fn without_its_helper_it_answers_and_ends() {
    let obedient = Obedient::make();
    let daemon = obedient.serve(&["--engine-slots", &SLOTS.to_string()]).await;
    let mut clients = occupy(&daemon, 0..SLOTS, endless).await;
    daemon.running_until("sleep", SLOTS).await;
    clients.extend(occupy(&daemon, SLOTS..SLOTS + 2, endless).await);
    full(&daemon, 2).await;
    let held = daemon.holdings();
    let helper = Pid::from_raw(held.eldest().pid.try_into().unwrap()).unwrap();
    kill_process(helper, Signal::KILL).unwrap();
    failed(&mut clients).await;
    daemon.ends_with(75, held).await;
}

#[tokio::test]
async fn the_operators_lever_is_as_good_as_a_signal() {
    let obedient = Obedient::make();
    let daemon = obedient.serve(&["--engine-slots", "2", "--drain-lame-duck", "400ms"]).await;
    let mut idle = daemon.client().await;
    assert_eq!(idle.ask(get("/health/ready", "")).await.status, 200);
    let mut client = daemon.client().await;
    client.send(compile(ID, &held("drain", 0))).await;
    daemon.health_until(|health| health["slotsBusy"] == 1).await;
    let holdings = daemon.holdings();
    assert_eq!(daemon.pull("/admin/drain").await.status, 200);
    daemon.health_until(|health| health["phase"] == "draining").await;
    // The balancer has not noticed yet, and what it still sends is served; but it is told.
    assert_eq!(idle.ask(get("/health/ready", "")).await.status, 503);
    let late = daemon.compile(ID, &sleep("0", 1)).await;
    assert_eq!((late.status, late.header("connection")), (200, Some("close")));
    obedient.release("drain");
    assert_eq!(client.reply().await.status, 200);
    daemon.ends_with(0, holdings).await;
}
