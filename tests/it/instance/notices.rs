//! Each notice leads to one drain, in which every job is answered, and the process ends well.

use std::time::Duration;

use compilation_worker::instance::Item;
use jiff::Timestamp;
use tokio::task::JoinSet;

use super::imds::Imds;
use super::{Group, said, serve, until};
use crate::support::client::Client;
use crate::support::daemon::{Daemon, compile};
use crate::support::obedient::{ID, Obedient, held, sleep};

/// Jobs that run when the notice comes.
const JOBS: usize = 2;
/// They are held for longer than a job usually may take.
const PATIENT: &str = "--limits-wall=38s";

/// A spot notice so many seconds before the act.
fn spot(action: &str, seconds: i64) -> String {
    let at = Timestamp::now() + jiff::SignedDuration::from_secs(seconds);
    serde_json::json!({ "action": action, "time": format!("{at:.0}") }).to_string()
}

/// Jobs under way, which end when `name` is released or never.
async fn busy(daemon: &Daemon, job: impl Fn(usize) -> serde_json::Value) -> Vec<Client> {
    let mut clients = Vec::new();
    for number in 0..JOBS {
        let mut client = daemon.client().await;
        client.send(compile(ID, &job(number))).await;
        clients.push(client);
    }
    daemon.health_until(|health| health["slotsBusy"] == JOBS).await;
    clients
}

async fn drained_by(item: Item, text: String) {
    let (imds, obedient) = (Imds::start().await, Obedient::make());
    let metadata = format!("--instance-metadata={}", imds.url());
    let flags = ["--engine-slots=2", "--instance-watch", "--instance-drain-on-rebalance", PATIENT, &metadata];
    let daemon = serve(&obedient, &flags).await;
    let clients = busy(&daemon, |number| held("notice", number)).await;
    let holdings = daemon.holdings();
    imds.say(item, &text);
    daemon.health_until(|health| health["phase"] == "draining").await;
    // Another look finds the same, and begins nothing.
    let asked = imds.asked();
    until("another look", || imds.asked() >= asked + 4).await;
    obedient.release("notice");
    for mut client in clients {
        let reply = client.reply().await;
        assert_eq!((reply.status, reply.header("x-job-status")), (200, Some("ok")), "{}", reply.text());
    }
    assert_eq!(said(&daemon, "now draining"), 1, "{}", daemon.log());
    daemon.ends_with(0, holdings).await;
}

#[tokio::test]
async fn each_notice_leads_to_one_drain_with_every_job_answered() {
    let mut notices = JoinSet::new();
    for (item, text) in [
        (Item::Spot, spot("terminate", 120)),
        (Item::Spot, spot("stop", 120)),
        (Item::Target, "Terminated".to_owned()),
        (Item::Rebalance, format!("{{\"noticeTime\":\"{:.0}\"}}", Timestamp::now())),
    ] {
        notices.spawn(drained_by(item, text));
    }
    notices.join_all().await;
}

#[tokio::test]
async fn the_groups_hook_hears_that_we_live_and_then_that_we_are_done() {
    let (imds, group, obedient) = (Imds::start().await, Group::start().await, Obedient::make());
    let (metadata, control) = (format!("--instance-metadata={}", imds.url()), group.flag());
    let hook = ["--instance-lifecycle-hook=drain", "--instance-hook-timeout=30s", "--instance-watch"];
    let daemon =
        serve(&obedient, &[&hook[..], &["--engine-slots=2", PATIENT, &metadata, &control]].concat()).await;
    let mut clients = busy(&daemon, |number| held("hook", number)).await;
    let holdings = daemon.holdings();
    imds.say(Item::Target, "Terminated");
    daemon.health_until(|health| health["phase"] == "draining").await;
    until("a heartbeat", || !group.heard().is_empty()).await;
    assert_eq!(group.heard(), ["RecordLifecycleActionHeartbeat drain"]);
    obedient.release("hook");
    for client in &mut clients {
        assert_eq!(client.reply().await.status, 200);
    }
    daemon.ends_with(0, holdings).await;
    let heard = group.heard();
    assert_eq!(heard.last().unwrap(), "CompleteLifecycleAction drainCONTINUE");
    assert_eq!(heard.iter().filter(|verb| verb.starts_with("Complete")).count(), 1, "{heard:?}");
}

#[tokio::test]
async fn an_end_by_signal_is_none_of_the_hooks_business_and_one_that_begins_ended_completes_it() {
    let (imds, group, obedient) = (Imds::start().await, Group::start().await, Obedient::make());
    let (metadata, control) = (format!("--instance-metadata={}", imds.url()), group.flag());
    let flags = ["--instance-lifecycle-hook=drain", "--instance-watch", &metadata, &control];
    serve(&obedient, &flags).await.stop().await;
    assert_eq!(group.heard(), [""; 0]);
    // A process that died in its drain was started again: it takes nothing up, and says that it is done.
    imds.say(Item::Target, "Terminated");
    let mut command = crate::support::daemon::program();
    command.env("AWS_ACCESS_KEY_ID", "AKIDTEST").env("AWS_SECRET_ACCESS_KEY", "secret");
    let own = obedient.flags();
    let all: Vec<&str> = own.iter().map(String::as_str).chain(flags).collect();
    let mut daemon = Daemon::start_as(command, &all).await;
    assert_eq!(daemon.exit().await.code(), Some(0), "{}", daemon.log());
    assert_eq!(said(&daemon, "now serving"), 0);
    assert_eq!(group.heard(), ["CompleteLifecycleAction drainCONTINUE"]);
}

#[tokio::test]
async fn work_that_outlasts_the_notice_is_answered_and_the_end_is_still_a_good_one() {
    let (imds, obedient) = (Imds::start().await, Obedient::make());
    let metadata = format!("--instance-metadata={}", imds.url());
    // The balancer would get longer to notice than there is left.
    let flags = ["--engine-slots=2", "--instance-watch", "--drain-lame-duck=30s", &metadata];
    let daemon = serve(&obedient, &flags).await;
    let mut clients = busy(&daemon, |number| sleep("60", number)).await;
    let holdings = daemon.holdings();
    imds.say(Item::Spot, &spot("terminate", 12));
    daemon.health_until(|health| health["phase"] == "draining").await;
    let begun = tokio::time::Instant::now();
    for client in &mut clients {
        let reply = client.reply().await;
        assert_eq!((reply.status, reply.header("x-job-status")), (500, Some("infra_error")));
    }
    // Anything but 0 would be a failure, and the service started again.
    daemon.ends_with(0, holdings).await;
    assert!(begun.elapsed() < Duration::from_secs(12), "the machine is gone after {:?}", begun.elapsed());
}
