//! The real hub, as a process: killed, restarted, and told to stop.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, ExitStatus, Stdio};
use std::time::Duration;

use compilation_worker::domain::ids::RequestId;
use compilation_worker::lifecycle;
use compilation_worker::ports::ResultBus as _;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};

use super::bed::{Bed, PATIENCE, publish, round_trip, take, until};
use super::peer::Peer;
use crate::support::client::{Client, get};
use crate::support::daemon::program;

/// `compilation-worker hub`, running.
pub(crate) struct Process {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Process {
    pub(crate) async fn start(listen: &str) -> Self {
        let mut command = program();
        command.args(["hub", "--announce", "--listen", listen]).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let line = lifecycle::blocking("announcement", move || {
            let mut line = String::new();
            out.read_line(&mut line).map(|_| line)
        });
        let line = timeout(PATIENCE, line).await.expect("no announcement").unwrap().unwrap();
        let announced: Value = serde_json::from_str(&line).unwrap();
        let address = announced["ws"].as_str().unwrap().strip_prefix("ws://").unwrap().parse().unwrap();
        Self { child, address }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    async fn exit(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(begun.elapsed() < PATIENCE, "it does not end");
            sleep(Duration::from_millis(2)).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _gone_already = self.child.kill().is_err();
        let _reaped = self.child.wait().is_err();
    }
}

#[tokio::test]
async fn a_hub_that_is_killed_and_started_again_costs_no_result() {
    let bed = Bed::default();
    let mut hub = Process::start("127.0.0.1:0").await;
    let address = hub.address;
    let (worker, router) = (bed.bus_at(address, |_| ()).await, bed.bus_at(address, |_| ()).await);
    let ids: Vec<RequestId> = (0..20).map(|_| RequestId::mint()).collect();
    let mut subscriptions = Vec::new();
    for id in &ids {
        subscriptions.push(router.subscribe(id).await.unwrap());
    }
    let publishing = futures_util::future::join_all(ids.iter().map(|id| publish(&worker, id)));
    let killing = async {
        // On their way, and without a receipt: nobody has taken one yet.
        until(&worker, |status| status.offers == 20 && status.repeats > 0).await;
        hub.signal(Signal::KILL);
        hub.exit().await;
        until(&router, |status| status.connections == 0).await;
        let hub = Process::start(&address.to_string()).await;
        let begun = Instant::now();
        for subscription in &mut subscriptions {
            take(subscription).await;
        }
        (hub, begun.elapsed())
    };
    let (published, (_hub, recovered)) = tokio::join!(publishing, killing);
    published.into_iter().for_each(Result::unwrap);
    assert!(recovered < Duration::from_secs(5), "recovered after {recovered:?}");
    round_trip(&worker, &router).await;
}

#[tokio::test]
async fn a_hub_that_is_told_to_stop_says_so_to_its_clients() {
    let mut hub = Process::start("127.0.0.1:0").await;
    let health = Client::connect(hub.address).await.ask(get("/healthcheck", "")).await;
    assert_eq!((health.status, &health.json()["status"]), (200, &Value::from("healthy")));
    let mut peer = Peer::dial(hub.address).await;
    peer.say("ping").await;
    assert_eq!(peer.hear().await, "pong");
    hub.signal(Signal::TERM);
    assert_eq!(peer.close_code().await, Some(1001));
    drop(peer);
    assert_eq!(hub.exit().await.code(), Some(0));
}

#[tokio::test]
async fn an_address_in_use_is_told() {
    let hub = Process::start("127.0.0.1:0").await;
    let mut command = program();
    let output = command.args(["hub", "--listen", &hub.address.to_string()]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("choose another address with hub.listen"), "{said}");
}
