//! A fleet on loopback: Amazon's services, an events hub, and how routers and workers are told of them.

use std::net::SocketAddr;
use std::time::Duration;

use compilation_worker::aws::Clients;
use compilation_worker::events::hub::{Hub, HubSettings, HubStatus};
use compilation_worker::lifecycle::Lifecycle;
use compilation_worker::local::queue::{Depth, LocalQueueSettings};
use compilation_worker::ports::QueueAddress;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};

use super::bed::Bed;
use super::daemon::{Daemon, program};
use super::emulator::Emulator;

/// Where jobs lie that are too large for the queue.
pub(crate) const OVERFLOW: &str = "temp-storage";
/// Where results lie that are too large for the hub.
pub(crate) const RESULTS: &str = "storage";
/// How long a queue may take to be as a test expects: longer than a result is offered.
const PATIENCE: Duration = Duration::from_mins(1);

/// Who plays Amazon.
pub(crate) enum Services {
    Bed(Bed),
    Emulator(Emulator),
}

/// All that routers and workers need.
pub(crate) struct Fleet {
    services: Services,
    /// Where the hub listens.
    pub(crate) hub: SocketAddr,
    /// The hub, if it is in this process.
    relay: Option<Hub>,
    /// For what lives as long as the fleet.
    pub(crate) lifecycle: Lifecycle,
    /// What everybody is told.
    ways: Vec<String>,
}

impl Services {
    pub(crate) async fn bed() -> Self {
        Self::Bed(Bed::start().await)
    }

    /// With the buckets made.
    pub(crate) async fn emulator() -> Self {
        let emulator = Emulator::start().await;
        emulator.make_bucket(OVERFLOW).await;
        emulator.make_bucket(RESULTS).await;
        Self::Emulator(emulator)
    }

    fn url(&self) -> String {
        match self {
            Self::Bed(bed) => bed.url(),
            Self::Emulator(emulator) => emulator.url(),
        }
    }
}

impl Fleet {
    /// With a hub in this process.
    pub(crate) async fn of(services: Services, settings: HubSettings) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, hub) = (listener.local_addr().unwrap(), Hub::new(settings));
        let fleet = Self::around(services, address);
        fleet.lifecycle.spawn("hub", hub.clone().serve(listener, fleet.lifecycle.clone()));
        Self { relay: Some(hub), ..fleet }
    }

    /// With a hub that listens there already.
    pub(crate) fn around(services: Services, hub: SocketAddr) -> Self {
        let ways = vec![
            format!("--aws-endpoint={}", services.url()),
            format!("--events-url=ws://{hub}"),
            format!("--storage-overflow-bucket={OVERFLOW}"),
            format!("--storage-results-bucket={RESULTS}"),
        ];
        Self { services, hub, relay: None, lifecycle: Lifecycle::new(), ways }
    }

    /// Tells everybody one more thing, or another in its place.
    pub(crate) fn tell(&mut self, name: &str, value: &str) {
        let flag = format!("--{name}=");
        self.ways.retain(|way| !way.starts_with(&flag));
        self.ways.push(flag + value);
    }

    /// From now on, this is the hub for everybody: another, or what stands before it.
    pub(crate) fn meet_at(&mut self, hub: SocketAddr) {
        self.hub = hub;
        self.tell("events-url", &format!("ws://{hub}"));
    }

    pub(crate) fn bed(&self) -> &Bed {
        match &self.services {
            Services::Bed(bed) => bed,
            Services::Emulator(_) => panic!("an emulator is no bed"),
        }
    }

    /// Clients of the services, as routers and workers have them.
    pub(crate) fn clients(&self) -> Clients {
        match &self.services {
            Services::Bed(bed) => bed.clients(),
            Services::Emulator(emulator) => emulator.clients(),
        }
    }

    /// What the hub has at this moment.
    pub(crate) fn status(&self) -> HubStatus {
        self.relay.as_ref().expect("the hub is in another process").status()
    }

    /// A queue on which what is never done stays until the end of the test, and is seen.
    pub(crate) async fn queue(&self, name: &str) -> QueueAddress {
        let retention = Duration::from_hours(1);
        match &self.services {
            Services::Bed(bed) => {
                bed.queue_with(name, LocalQueueSettings { retention, ..LocalQueueSettings::default() })
            }
            Services::Emulator(emulator) => emulator.make_queue(name, json!({})).await,
        }
    }

    pub(crate) async fn depth(&self, queue: &QueueAddress) -> Depth {
        match &self.services {
            Services::Bed(bed) => bed.queues().depth(queue).unwrap(),
            Services::Emulator(emulator) => emulator.depth(queue).await,
        }
    }

    /// Waits until a queue is as full as that.
    pub(crate) async fn until(&self, queue: &QueueAddress, condition: impl Fn(Depth) -> bool) {
        let begun = Instant::now();
        loop {
            let depth = self.depth(queue).await;
            if condition(depth) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "on {queue} are {depth:?}");
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until nothing is left on a queue.
    pub(crate) async fn emptied(&self, queue: &QueueAddress) {
        self.until(queue, |depth| depth == Depth::default()).await;
    }

    /// A router without compilers; what no table knows goes to `queue`.
    pub(crate) async fn router(&self, queue: &QueueAddress, flags: &[&str]) -> Daemon {
        let mut all = vec!["--catalogue-discover=false".to_owned(), format!("--queues-default={queue}")];
        all.extend(flags.iter().copied().map(str::to_owned));
        self.start(all, None).await
    }

    /// A worker that takes its jobs from `queue`; something goes wrong in it as `plan` says.
    pub(crate) async fn worker(
        &self,
        queue: &QueueAddress,
        mut flags: Vec<String>,
        plan: Option<&str>,
    ) -> Daemon {
        flags.push(format!("--queues-own={queue}"));
        self.start(flags, plan).await
    }

    /// The program, which knows where everything is, unless `flags` know better.
    pub(crate) async fn start(&self, flags: Vec<String>, plan: Option<&str>) -> Daemon {
        let mut command = program();
        command.env("AWS_ACCESS_KEY_ID", "AKIDTEST").env("AWS_SECRET_ACCESS_KEY", "secret");
        // Nobody here knows this machine; asking would cost each start half a second.
        command.env("AWS_EC2_METADATA_DISABLED", "true");
        command.envs(plan.map(|plan| ("COMPILATION_WORKER_FAILPOINT", plan)));
        let all: Vec<&str> = {
            let name = |flag: &str| flag.split('=').next().map(str::to_owned);
            let known: Vec<_> = flags.iter().map(|flag| name(flag)).collect();
            let ways = self.ways.iter().filter(|way| !known.contains(&name(way)));
            ways.chain(&flags).map(String::as_str).collect()
        };
        Daemon::start_as(command, &all).await
    }
}
