//! A machine that is set aside: by hand or by its group, it takes nothing from its queue, whatever becomes of the
//! process, and goes on answering whoever asks it.

use std::sync::Arc;

use compilation_worker::events::hub::HubSettings;
use compilation_worker::instance::Item;
use compilation_worker::local::queue::Depth;
use compilation_worker::ports::QueueAddress;
use rustix::process::Signal;
use serde_json::json;
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::imds::Imds;
use super::{said, until};
use crate::aws::server::Act;
use crate::support::agent::{self, Agent, Events};
use crate::support::client::Reply;
use crate::support::daemon::Daemon;
use crate::support::fleet::{Fleet, Services};
use crate::support::obedient::{ID, Obedient, sleep};

/// What the queue door says when it has come to rest.
const AT_REST: &str = "paused, taking no jobs";
/// Jobs that wait for a worker.
const JOBS: usize = 3;

/// A router, a queue, and a worker on an instance.
struct Bed {
    fleet: Fleet,
    queue: QueueAddress,
    router: Arc<Daemon>,
    imds: Imds,
    obedient: Obedient,
    state: TempDir,
}

impl Bed {
    async fn open() -> Self {
        let fleet = Fleet::of(Services::bed().await, HubSettings::default()).await;
        let queue = fleet.queue("jobs.fifo").await;
        let router = Arc::new(fleet.router(&queue, &[]).await);
        let (imds, obedient) = (Imds::start().await, Obedient::make());
        Self { fleet, queue, router, imds, obedient, state: tempfile::tempdir().unwrap() }
    }

    async fn worker(&self) -> Daemon {
        self.worker_with(&[]).await
    }

    async fn worker_with(&self, more: &[String]) -> Daemon {
        let mut flags = self.obedient.flags();
        flags.extend([
            "--instance-watch".to_owned(),
            format!("--instance-metadata={}", self.imds.url()),
            format!("--instance-state={}", self.state.path().display()),
        ]);
        flags.extend_from_slice(more);
        self.fleet.worker(&self.queue, flags, None).await
    }

    /// Kills the worker, and starts another in its place.
    async fn replace(&self, mut worker: Daemon) -> Daemon {
        worker.signal(Signal::KILL);
        worker.exit().await;
        self.worker().await
    }

    /// Requests that somebody has to take from the queue.
    async fn ask(&self, jobs: &mut JoinSet<Reply>) {
        for number in 0..JOBS {
            let router = Arc::clone(&self.router);
            jobs.spawn(async move { router.compile(ID, &sleep("0", number)).await });
        }
        self.fleet.until(&self.queue, |depth| depth.waiting == JOBS).await;
    }

    fn receives(&self) -> usize {
        self.fleet.bed().count("ReceiveMessage")
    }
}

async fn answered(mut jobs: JoinSet<Reply>) {
    while let Some(reply) = jobs.join_next().await {
        let reply = reply.unwrap();
        assert_eq!((reply.status, reply.header("x-job-status")), (200, Some("ok")), "{}", reply.text());
    }
}

/// It is well, and says that it takes nothing, and why.
async fn is_paused(worker: &Daemon, causes: &[&str]) {
    for page in ["/healthcheck", "/health"] {
        let health = worker.page(page).await;
        assert_eq!(health.status, 200, "a balancer sends it away: {}", health.text());
        let health = health.json();
        assert_eq!((&health["consuming"], &health["pausedBy"]), (&json!(false), &json!(causes)), "{health}");
    }
    assert_eq!(worker.page("/health/ready").await.status, 200);
    takes(worker, false).await;
    for cause in ["operator", "group", "metadata"] {
        let holds = u64::from(causes.contains(&cause));
        assert_eq!(worker.metric(&format!("paused{{cause=\"{cause}\"}}")).await, holds);
    }
}

/// Whoever asks is told the same: whether anything may still come from the queue.
async fn takes(worker: &Daemon, consuming: bool) {
    for page in ["/healthcheck", "/admin/status"] {
        let told = worker.admin_page(page).await.json();
        assert_eq!(told["consuming"], consuming, "{page}: {told}");
    }
    assert_eq!(worker.metric("consuming").await, u64::from(consuming));
}

/// The next event that was made from now on says it, too.
async fn event_says(events: &Events, consuming: bool) {
    // One may have been under way.
    let next = events.lock().unwrap().len() + 1;
    until("an event", || events.lock().unwrap().len() > next).await;
    let told = events.lock().unwrap().last().cloned().unwrap();
    assert_eq!(told["consuming"], consuming, "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_takes_nothing_more_once_the_last_receive_is_over_and_says_so_no_earlier() {
    let (bed, events) = (Bed::open().await, Events::default());
    let agent = Agent::listen("127.0.0.1:0", &events).await;
    let worker = bed.worker_with(&agent::flags(agent.address)).await;
    // Nothing has come lately, so it waits for ten seconds.
    until("a receive is under way", || bed.receives() == 1).await;
    assert_eq!(worker.pull("/admin/pause").await.status, 200);
    assert_eq!(worker.page("/healthcheck").await.json()["pausedBy"], json!(["operator"]));
    takes(&worker, true).await;
    event_says(&events, true).await;
    assert_eq!(
        (bed.receives(), said(&worker, AT_REST)),
        (1, 0),
        "the receive was over too early to see this"
    );
    assert_eq!(bed.router.compile(ID, &sleep("0", 0)).await.status, 200, "that receive has brought it");
    worker.health_until(|health| health["consuming"] == false).await;
    takes(&worker, false).await;
    event_says(&events, false).await;
    let mut jobs = JoinSet::new();
    bed.ask(&mut jobs).await;
    assert_eq!(bed.receives(), 1);
    assert_eq!(worker.pull("/admin/resume").await.status, 200);
    answered(jobs).await;
    takes(&worker, true).await;
    event_says(&events, true).await;
    worker.stop().await;
    assert_eq!(events.lock().unwrap().last().unwrap()["consuming"], false);
}

#[tokio::test]
async fn a_drain_goes_on_taking_until_its_last_receive_is_over_and_a_paused_one_has_none() {
    let bed = Bed::open().await;
    let mut worker = bed.worker().await;
    until("a receive is under way", || bed.receives() == 1).await;
    worker.signal(Signal::TERM);
    worker.health_until(|health| health["phase"] == "draining").await;
    takes(&worker, true).await;
    // It hears of a pause, which changes nothing any more.
    assert_eq!(worker.pull("/admin/pause").await.status, 200);
    takes(&worker, true).await;
    assert!(worker.exit().await.success());
    // It was paused in its last moments, and is now.
    let mut worker = bed.worker().await;
    is_paused(&worker, &["operator"]).await;
    worker.signal(Signal::TERM);
    let begun = std::time::SystemTime::now();
    assert!(worker.exit().await.success());
    assert!(begun.elapsed().unwrap().as_secs() < 8, "it waited for a receive that there was not");
    assert_eq!(bed.receives(), 1);
}

#[tokio::test]
async fn while_nobody_says_whether_it_was_set_aside_it_takes_nothing_and_answers_whoever_asks() {
    let bed = Bed::open().await;
    bed.imds.say(Item::Target, "Standby");
    bed.imds.always(Some(Act::Hang));
    let worker = bed.worker().await;
    is_paused(&worker, &["metadata"]).await;
    let mut jobs = JoinSet::new();
    bed.ask(&mut jobs).await;
    assert_eq!(worker.compile(ID, &sleep("0", 100)).await.status, 200);
    // It is the service's to say.
    assert_eq!(
        worker.pull("/admin/resume").await.json()["message"],
        "paused by metadata; a restart changes nothing"
    );
    bed.imds.always(None);
    worker.health_until(|health| health["pausedBy"] == json!(["group"])).await;
    is_paused(&worker, &["group"]).await;
    assert_eq!(bed.receives(), 0, "nothing was taken in between");
    bed.imds.say(Item::Target, "InService");
    answered(jobs).await;
    takes(&worker, true).await;
    worker.stop().await;
}

#[tokio::test]
async fn paused_by_hand_it_takes_nothing_even_after_a_restart_until_it_is_resumed() {
    let bed = Bed::open().await;
    let worker = bed.worker().await;
    assert_eq!(bed.router.compile(ID, &sleep("0", 100)).await.status, 200);
    takes(&worker, true).await;
    let pulled = worker.pull("/admin/pause").await.json();
    assert_eq!(pulled["message"], "paused by operator; a restart changes nothing");
    until("the queue door rests", || said(&worker, AT_REST) == 1).await;
    is_paused(&worker, &["operator"]).await;
    let (mut jobs, before) = (JoinSet::new(), bed.receives());
    bed.ask(&mut jobs).await;
    // It still answers those who ask it.
    assert_eq!(worker.compile(ID, &sleep("0", 101)).await.status, 200);
    let worker = bed.replace(worker).await;
    is_paused(&worker, &["operator"]).await;
    until("the queue door rests again", || said(&worker, AT_REST) == 1).await;
    assert_eq!(worker.compile(ID, &sleep("0", 102)).await.status, 200);
    assert_eq!(
        (bed.receives(), bed.fleet.depth(&bed.queue).await),
        (before, Depth { waiting: JOBS, in_flight: 0 })
    );
    assert_eq!(
        worker.pull("/admin/resume").await.json()["message"],
        "taking jobs; a restart changes nothing"
    );
    answered(jobs).await;
    let worker = bed.replace(worker).await;
    worker.health_until(|health| health["consuming"] == true).await;
    worker.stop().await;
}

#[tokio::test]
async fn set_aside_by_its_group_it_takes_nothing_from_its_first_moment_on() {
    let bed = Bed::open().await;
    bed.imds.say(Item::Target, "Standby");
    let worker = bed.worker().await;
    is_paused(&worker, &["group"]).await;
    let mut jobs = JoinSet::new();
    bed.ask(&mut jobs).await;
    let worker = bed.replace(worker).await;
    is_paused(&worker, &["group"]).await;
    assert_eq!(worker.pull("/admin/pause").await.status, 200);
    is_paused(&worker, &["group", "operator"]).await;
    bed.imds.say(Item::Target, "InService");
    worker.health_until(|health| health["pausedBy"] == json!(["operator"])).await;
    assert_eq!(
        (bed.receives(), bed.fleet.depth(&bed.queue).await.waiting),
        (0, JOBS),
        "nothing was ever taken"
    );
    assert_eq!(worker.pull("/admin/resume").await.status, 200);
    answered(jobs).await;
    // And while it works.
    bed.imds.say(Item::Target, "Standby");
    worker.health_until(|health| health["consuming"] == false).await;
    worker.stop().await;
}

#[tokio::test]
async fn a_pause_that_cannot_be_remembered_holds_and_says_so() {
    let bed = Bed::open().await;
    std::fs::create_dir(bed.state.path().join("paused")).unwrap();
    let worker = bed.worker().await;
    // Whatever that is, somebody seems to want a pause.
    is_paused(&worker, &["operator"]).await;
    assert_eq!(said(&worker, "is no file, and counts as a pause"), 1);
    let resumed = worker.pull("/admin/resume").await;
    let error = resumed.json()["error"].as_str().unwrap().to_owned();
    assert!(
        resumed.status == 500 && error.starts_with("taking jobs, but a restart will not know: "),
        "{error}"
    );
    worker.health_until(|health| health["consuming"] == true).await;
    std::fs::remove_dir(bed.state.path().join("paused")).unwrap();
    assert_eq!(worker.pull("/admin/pause").await.status, 200);
    worker.stop().await;
}
