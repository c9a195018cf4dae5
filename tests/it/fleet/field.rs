//! A fleet on the bed: a router and a worker as processes, a hub, and a man in the middle of each way.

use std::sync::Arc;
use std::time::Duration;

use compilation_worker::events::hub::{Hub, HubSettings};
use compilation_worker::lifecycle::Lifecycle;
use compilation_worker::local::queue::LocalQueueSettings;
use compilation_worker::ports::QueueAddress;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::yard::start;
use crate::support::bed::{Bed, queue_row};
use crate::support::client::{Client, Reply};
use crate::support::daemon::{Daemon, compile};
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
    pub(super) bed: Bed,
    /// Before the bed, for whoever is not told of it.
    pub(super) services: Proxy,
    /// Before the hub.
    pub(super) events: Proxy,
    pub(super) router: Arc<Daemon>,
    pub(super) worker: Daemon,
    pub(super) queue: QueueAddress,
    /// What tells a process where everything is.
    ways: Vec<String>,
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
        let (bed, lifecycle) = (Bed::start().await, Lifecycle::new());
        let services = Proxy::before(bed.socket(), &lifecycle).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let hub = listener.local_addr().unwrap();
        lifecycle.spawn("hub", Hub::new(HubSettings::default()).serve(listener, lifecycle.clone()));
        let events = Proxy::before(hub, &lifecycle).await;
        // Queues are called by whatever stands before them.
        let endpoint = format!("http://{}", services.address);
        let queue = QueueAddress::new(&format!("{endpoint}/000000000000/jobs.fifo"));
        bed.queue_at(&queue, LocalQueueSettings::default());
        bed.route(TABLE, ID, queue_row("jobs"));
        let ways = [
            ("--events-url", format!("ws://{}", events.address)),
            ("--aws-endpoint", endpoint),
            ("--storage-overflow-bucket", "temporary".to_owned()),
            ("--storage-results-bucket", "results".to_owned()),
        ];
        let ways: Vec<String> = ways.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]).collect();
        let compiler = Obedient::make();
        let of_worker = ["--queues-own", queue.as_str()].into_iter().chain(flags.iter().copied());
        let of_worker: Vec<String> = of_worker.map(str::to_owned).chain(compiler.flags()).collect();
        let worker = start(of_worker.iter().chain(&ways)).await;
        worker.task_over("warm-up").await;
        let router = Arc::new(router(&queue, &ways).await);
        let field = Self { bed, services, events, router, worker, queue, ways, _compiler: compiler };
        // Nothing is proved by a fleet that does not work.
        assert_eq!(field.ask(0).await.status, 200);
        field
    }

    /// Puts another router in the place of the first.
    pub(super) async fn replace_router(&mut self) {
        self.router = Arc::new(router(&self.queue, &self.ways).await);
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

async fn router(queue: &QueueAddress, ways: &[String]) -> Daemon {
    let own = ["--catalogue-discover=false", "--queues-default", queue.as_str(), "--routing-table", TABLE];
    let own = own.map(str::to_owned);
    start(own.iter().chain(ways)).await
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
