//! A fleet on the bed: a router and a worker as processes, a hub, and a man in the middle of each way.

use std::sync::Arc;
use std::time::Duration;

use compilation_worker::events::hub::HubSettings;
use compilation_worker::local::queue::LocalQueueSettings;
use compilation_worker::ports::QueueAddress;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::support::bed::queue_row;
use crate::support::client::{Client, Reply};
use crate::support::daemon::{Daemon, compile};
use crate::support::fleet::{Fleet, Services};
use crate::support::obedient::{ID, Obedient};
use crate::support::proxy::Proxy;

/// The routing table.
pub(super) const TABLE: &str = "CompilerRouting";
/// How often a client of the load asks.
const EVERY: Duration = Duration::from_millis(100);
/// How long anything may take before a test gives up: a router's own patience, and then some.
const PATIENCE: Duration = Duration::from_mins(1);

/// The fleet.
pub(super) struct Field {
    pub(super) fleet: Fleet,
    /// Before the services, for whoever is not told of it.
    pub(super) services: Proxy,
    /// Before the hub.
    pub(super) events: Proxy,
    pub(super) router: Arc<Daemon>,
    pub(super) worker: Daemon,
    pub(super) queue: QueueAddress,
    _compiler: Obedient,
}

/// What became of the requests of a load.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Answered with the result.
    pub(super) done: usize,
    /// Answered with a refusal: status and text.
    pub(super) refused: Vec<(u16, String)>,
}

impl Field {
    pub(super) async fn open() -> Self {
        Self::with(&[]).await
    }

    /// A fleet whose worker has further flags.
    pub(super) async fn with(flags: &[&str]) -> Self {
        let mut fleet = Fleet::of(Services::bed().await, HubSettings::default()).await;
        let services = Proxy::before(fleet.bed().socket(), &fleet.lifecycle).await;
        let events = Proxy::before(fleet.hub, &fleet.lifecycle).await;
        // Queues are called by whatever stands before them.
        let endpoint = format!("http://{}", services.address);
        fleet.tell("aws-endpoint", &endpoint);
        fleet.meet_at(events.address);
        let queue = QueueAddress::new(&format!("{endpoint}/000000000000/jobs.fifo"));
        fleet.bed().queue_at(&queue, LocalQueueSettings::default());
        fleet.bed().route(TABLE, ID, queue_row("jobs"));
        let compiler = Obedient::make();
        let mut of_worker = compiler.flags();
        of_worker.extend(flags.iter().copied().map(str::to_owned));
        let worker = fleet.worker(&queue, of_worker, None).await;
        worker.task_over("warm-up").await;
        let router = Arc::new(fleet.router(&queue, &["--routing-table", TABLE]).await);
        let field = Self { fleet, services, events, router, worker, queue, _compiler: compiler };
        // Nothing is proved by a fleet that does not work.
        assert_eq!(field.ask(0).await.status, 200);
        field
    }

    /// Puts another router in the place of the first.
    pub(super) async fn replace_router(&mut self) {
        self.router = Arc::new(self.fleet.router(&self.queue, &["--routing-table", TABLE]).await);
    }

    /// A compile that no other is like, of the compiler that the table knows.
    pub(super) async fn ask(&self, number: usize) -> Reply {
        ask(&self.router, number).await
    }

    /// Asks ten times a second, for so long, and waits for all answers.
    pub(super) async fn load(&self, span: Duration) -> Outcome {
        let (begun, mut asked) = (Instant::now(), JoinSet::new());
        for number in 0.. {
            let at = begun + EVERY * number;
            if at >= begun + span {
                break;
            }
            sleep_until(at).await;
            let router = Arc::clone(&self.router);
            asked.spawn(async move { ask(&router, 1000 + number as usize).await });
        }
        let mut outcome = Outcome::default();
        while let Some(reply) = asked.join_next().await {
            outcome.note(&reply.unwrap());
        }
        outcome
    }

    /// How long it takes from now until a request is answered as it should be.
    pub(super) async fn recovery(&self) -> Duration {
        let begun = Instant::now();
        for number in 0.. {
            assert!(begun.elapsed() < PATIENCE, "it never recovers");
            // One that is stuck says nothing of those that begin now.
            let asked = timeout(Duration::from_secs(1), self.ask(100_000 + number)).await;
            if asked.is_ok_and(|reply| reply.status == 200) {
                break;
            }
            sleep(EVERY).await;
        }
        begun.elapsed()
    }
}

async fn ask(router: &Daemon, number: usize) -> Reply {
    let body = json!({"source": format!("// {number}\n"), "options": {}});
    let mut client = Client::connect(router.http).await;
    timeout(PATIENCE, client.ask(compile(ID, &body))).await.expect("no answer")
}

impl Outcome {
    fn note(&mut self, reply: &Reply) {
        if reply.status == 200 {
            let text = reply.text();
            assert!(text.contains("answer:"), "{text}");
            self.done += 1;
        } else {
            self.refused.push((reply.status, reply.text().to_owned()));
        }
    }
}
