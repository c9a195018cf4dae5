//! A whole fleet in this process: a router's door, a queue, a worker's queue door, and an events hub between them; and
//! the same worker's own HTTP door, which needs none of that.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use compilation_worker::compilers::{Catalogue, CatalogueSettings};
use compilation_worker::domain::limits::Limits;
use compilation_worker::doors::health::{Health, Vitals};
use compilation_worker::doors::http::{self, Door, DoorSettings, Fleet};
use compilation_worker::doors::queue::{self, QueueSettings};
use compilation_worker::doors::server::{self, Gate};
use compilation_worker::engine::plan::PlanSettings;
use compilation_worker::engine::slots::SlotSettings;
use compilation_worker::engine::{Engine, EngineSettings};
use compilation_worker::events::hub::{Hub, HubSettings};
use compilation_worker::events::{EventsBus, Settings};
use compilation_worker::lifecycle::intake::Intake;
use compilation_worker::lifecycle::pause::Pause;
use compilation_worker::lifecycle::{Lifecycle, Phase};
use compilation_worker::local::blobs::LocalBlobs;
use compilation_worker::local::queue::{LocalQueueSettings, LocalQueues};
use compilation_worker::local::routes::LocalRoutes;
use compilation_worker::ports::QueueAddress;
use compilation_worker::relay::forward::Forward;
use compilation_worker::relay::{Parts, Relay, RelaySettings};
use compilation_worker::routing::{self, Router, RouterSettings, Trust};
use compilation_worker::sandbox::Sandbox;
use compilation_worker::telemetry::metrics::Metrics;
use compilation_worker::trust;
use tokio::net::TcpListener;

use crate::null::Null;

/// Requests that may wait for a slot.
const WAITING: usize = 64;
/// Bytes of each of the engine's memories, as the daemon has them.
const REMEMBERED: u64 = 32 * 1024 * 1024;

/// The doors of the fleet.
pub(crate) struct House {
    /// Compiles for whoever asks.
    pub(crate) worker: SocketAddr,
    /// Knows no compiler, and asks the worker through the queue.
    pub(crate) router: SocketAddr,
}

/// What all of it is made from.
struct Ground {
    sandbox: Sandbox,
    lifecycle: Lifecycle,
    metrics: Arc<Metrics>,
    slots: usize,
}

impl House {
    /// Opens the doors of a fleet whose worker has the null compiler and so many slots.
    pub(crate) async fn open(null: &Null, sandbox: &Sandbox, slots: usize) -> Self {
        let lifecycle = Lifecycle::new();
        let ground = Ground {
            sandbox: sandbox.clone(),
            lifecycle: lifecycle.clone(),
            metrics: Arc::new(Metrics::new()),
            slots,
        };
        let settings =
            CatalogueSettings { files: vec![null.directory().to_owned()], ..CatalogueSettings::default() };
        let catalogue = Catalogue::load(&settings).unwrap();
        assert!(catalogue.problems.is_empty(), "{:?}", catalogue.problems);
        let worker = ground.engine(catalogue.catalogue);
        let router = ground.engine(Catalogue::default());
        lifecycle.begin_serving();

        let queues = LocalQueues::new();
        let address = QueueAddress::new("jobs.fifo");
        let source = queues.create(address.clone(), LocalQueueSettings::default());
        let hub = ground.hub().await;
        // Router and worker have a bus each, as two processes would.
        let [asking, answering] = std::array::from_fn(|_| ground.bus(&hub));
        asking.connected().await;
        answering.connected().await;
        let blobs = Arc::new(LocalBlobs::new(REMEMBERED));
        let relay = Relay::new(Parts {
            settings: RelaySettings::default(),
            sink: Arc::new(queues.clone()),
            bus: Arc::new(asking),
            blobs: Arc::clone(&blobs) as _,
            lifecycle: lifecycle.clone(),
        });
        let door = queue::Parts {
            workshop: worker.clone(),
            settings: QueueSettings::new(address.clone(), slots),
            source: Arc::new(source),
            sink: Arc::new(queues),
            bus: Arc::new(answering),
            blobs,
            lifecycle: lifecycle.clone(),
            pause: Pause::new(),
            intake: Intake::default(),
            observe: Box::new(|_| {}),
        };
        drop(lifecycle.spawn("queue", queue::run(door)));
        let fleet = Fleet { router: ground.router(address), relay, forward: forward() };
        Self { worker: ground.door(worker, None).await, router: ground.door(router, Some(fleet)).await }
    }
}

impl Ground {
    fn engine(&self, catalogue: Catalogue) -> Engine {
        let settings = EngineSettings {
            slots: SlotSettings { slots: self.slots, queue: WAITING },
            limits: Limits::default(),
            queue_wait: Duration::from_secs(15),
            plan: PlanSettings::default(),
            output_cache: REMEMBERED,
            reply_cache: REMEMBERED,
        };
        let (lifecycle, metrics) = (self.lifecycle.clone(), Arc::clone(&self.metrics));
        Engine::new(&settings, Arc::new(catalogue), self.sandbox.clone(), lifecycle, metrics)
    }

    /// The address of a new hub.
    async fn hub(&self) -> ::http::Uri {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = Hub::new(HubSettings::default()).serve(listener, self.lifecycle.clone());
        drop(self.lifecycle.spawn("hub", serving));
        format!("ws://{address}").parse().unwrap()
    }

    fn bus(&self, hub: &::http::Uri) -> EventsBus {
        EventsBus::open(Settings::new(hub.clone()), &self.lifecycle).unwrap()
    }

    /// A router for which everything belongs into `queue`.
    fn router(&self, queue: QueueAddress) -> Arc<Router> {
        let settings = RouterSettings {
            environment: None,
            queues: routing::QueueSettings { default: Some(queue), own: None, colors: false },
            trust: Trust { row: Duration::from_mins(5), absence: Duration::from_mins(5) },
        };
        let (lifecycle, metrics) = (self.lifecycle.clone(), Arc::clone(&self.metrics));
        Arc::new(Router::new(settings, Arc::new(LocalRoutes::new()), lifecycle, metrics))
    }

    /// The address of a new HTTP door to `engine`.
    async fn door(&self, engine: Engine, fleet: Option<Fleet>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let gate = Gate::default();
        let parts = http::Parts {
            workshop: engine,
            fleet,
            shadow: None,
            settings: DoorSettings::default(),
            health: Health::new(vitals),
            gate: gate.clone(),
            observe: Box::new(|_| {}),
        };
        let house = server::House { gate, ..server::House::default() };
        let serving = server::run(listener, Door::new(parts), house, std::future::pending());
        drop(self.lifecycle.accompany("http", serving));
        address
    }
}

fn forward() -> Forward {
    Forward::new(trust::client().unwrap().0)
}

/// Nobody asks.
fn vitals() -> Vitals {
    Vitals {
        phase: Phase::Serving,
        consuming: true,
        paused_by: Vec::new(),
        trouble: None,
        compilers: 0,
        slots: 0,
        slots_busy: 0,
        queued: 0,
        queue_limit: 0,
        has_fleet: true,
        hub_connected: true,
    }
}
