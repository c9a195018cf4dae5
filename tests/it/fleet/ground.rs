//! Where workers come and go: services, a hub, and a compiler that costs next to nothing.

use std::time::Duration;

use compilation_worker::aws::Clients;
use compilation_worker::events::hub::{Hub, HubSettings};
use compilation_worker::lifecycle::Lifecycle;
use compilation_worker::local::queue::{Depth, LocalQueueSettings};
use compilation_worker::ports::QueueAddress;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};

use super::yard::start_armed;
use crate::support::bed::Bed;
use crate::support::daemon::Daemon;
use crate::support::emulator::Emulator;
use crate::support::obedient::{ID, Obedient};

/// How long anything may take before a test gives up: longer than a result is offered.
const PATIENCE: Duration = Duration::from_mins(1);
/// What may become of a message.
const OUTCOMES: [&str; 6] = ["done", "unclaimed", "regrouped", "back", "buried", "lost"];

/// A compiler whose listing has the label that stands in the source, after as many seconds as stand behind it.
const COMPILER: &str = "#!/bin/sh\n\
     while [ $# -gt 0 ]; do case $1 in -o) out=$2 ;; *example.cpp) source=$1 ;; esac; shift; done\n\
     [ \"$source\" ] || exit 0\n\
     read -r slashes label seconds <\"$source\"\n\
     sleep \"$seconds\"\n\
     printf '\\t.text\\n\\t.globl\\t%s\\n%s:\\n\\tret\\n' \"$label\" \"$label\" >\"$out\"\n";

/// Everything but routers and workers.
pub(super) struct Ground {
    services: Services,
    pub(super) events: String,
    hub: Hub,
    pub(super) lifecycle: Lifecycle,
    compiler: Obedient,
}

enum Services {
    Bed(Bed),
    Emulator(Emulator),
}

/// A queue, its dead letters, and how its workers are told of them.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) jobs: QueueAddress,
    pub(super) dead: QueueAddress,
}

/// What a worker's log says of one message.
#[derive(Debug)]
pub(super) struct Settled {
    pub(super) id: String,
    pub(super) outcome: String,
    pub(super) receives: u64,
    /// How the job ended, if it did.
    pub(super) job: Option<String>,
    pub(super) received: Timestamp,
    pub(super) at: Timestamp,
}

impl Ground {
    pub(super) async fn bed() -> Self {
        Self::over(Services::Bed(Bed::start().await)).await
    }

    pub(super) async fn emulator() -> Self {
        let emulator = Emulator::start().await;
        emulator.make_bucket("temporary").await;
        emulator.make_bucket("results").await;
        Self::over(Services::Emulator(emulator)).await
    }

    async fn over(services: Services) -> Self {
        let lifecycle = Lifecycle::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let events = format!("ws://{}", listener.local_addr().unwrap());
        let hub = Hub::new(HubSettings::default());
        lifecycle.spawn("hub", hub.clone().serve(listener, lifecycle.clone()));
        let compiler = Obedient::make();
        compiler.replace(COMPILER);
        let exe = compiler.directory().join("compiler");
        compiler.catalogue(&format!(
            "compilers={ID}\nexe={}\ncompilerType=gcc\nexplicitVersion=1.0\n",
            exe.display()
        ));
        Self { services, events, hub, lifecycle, compiler }
    }

    /// How many results have come to the hub, repeats included.
    pub(super) fn results(&self) -> u64 {
        let status = self.hub.status();
        status.relayed + status.unheard
    }

    pub(super) fn url(&self) -> String {
        match &self.services {
            Services::Bed(bed) => bed.url(),
            Services::Emulator(emulator) => emulator.url(),
        }
    }

    pub(super) fn clients(&self) -> Clients {
        match &self.services {
            Services::Bed(bed) => bed.clients(),
            Services::Emulator(emulator) => emulator.clients(),
        }
    }

    /// Two queues of their own.
    pub(super) async fn place(&self, name: &str) -> Place {
        let (jobs, dead) = (format!("{name}.fifo"), format!("{name}-dead.fifo"));
        match &self.services {
            Services::Bed(bed) => {
                // What is never done stays until the end of the test, and is seen.
                let keeping = LocalQueueSettings {
                    retention: Duration::from_hours(1),
                    ..LocalQueueSettings::default()
                };
                Place { jobs: bed.queue_with(&jobs, keeping.clone()), dead: bed.queue_with(&dead, keeping) }
            }
            Services::Emulator(emulator) => Place {
                jobs: emulator.make_queue(&jobs, json!({})).await,
                dead: emulator.make_queue(&dead, json!({})).await,
            },
        }
    }

    pub(super) async fn depth(&self, queue: &QueueAddress) -> Depth {
        match &self.services {
            Services::Bed(bed) => bed.queues().depth(queue).unwrap(),
            Services::Emulator(emulator) => emulator.depth(queue).await,
        }
    }

    /// Waits until a queue is as full as that.
    pub(super) async fn until(&self, queue: &QueueAddress, condition: impl Fn(Depth) -> bool) {
        let begun = Instant::now();
        loop {
            let depth = self.depth(queue).await;
            if condition(depth) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "on {queue} are {depth:?}");
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until `worker` has left nothing on a queue.
    pub(super) async fn emptied(&self, queue: &QueueAddress, worker: &Daemon) {
        let begun = Instant::now();
        loop {
            let depth = self.depth(queue).await;
            if depth == Depth::default() {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "left on {queue}: {depth:?}; it said: {}", worker.log());
            sleep(Duration::from_millis(10)).await;
        }
    }

    fn ways(&self) -> Vec<String> {
        let ways = [
            ("--events-url", self.events.clone()),
            ("--aws-endpoint", self.url()),
            ("--storage-overflow-bucket", "temporary".to_owned()),
            ("--storage-results-bucket", "results".to_owned()),
        ];
        ways.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]).collect()
    }

    /// A router that sends everything to `place`.
    pub(super) async fn router(&self, place: &Place) -> Daemon {
        let own =
            ["--catalogue-discover=false", "--engine-slots", "1", "--queues-default", place.jobs.as_str()];
        let own = own.map(str::to_owned);
        start_armed(own.iter().chain(&self.ways()), None).await
    }

    /// A worker of `place` with further flags, armed if there is a plan.
    pub(super) async fn worker(&self, place: &Place, flags: &[&str], plan: Option<&str>) -> Daemon {
        let own = ["--queues-own", place.jobs.as_str(), "--queues-dead-letters", place.dead.as_str()];
        let own: Vec<String> = own.iter().chain(flags).map(|word| (*word).to_owned()).collect();
        start_armed(own.iter().chain(&self.ways()).chain(&self.compiler.flags()), plan).await
    }
}

/// The source that becomes a listing with this label.
pub(super) fn source(label: &str, millis: u64) -> String {
    format!("// {label} {}.{:03}\n", millis / 1000, millis % 1000)
}

/// Whether a result is that of the source with this label.
pub(super) fn is_of(result: &Value, label: &str) -> bool {
    result["code"] == 0 && result["labelDefinitions"] == json!({ label: 1 })
}

/// What a worker with nothing left to do has done, once its log has all of it.
pub(super) async fn settled(worker: &Daemon) -> Vec<Settled> {
    let begun = Instant::now();
    loop {
        let tasks = worker.admin_page("/admin/tasks").await.json();
        let mut counted = 0;
        for outcome in OUTCOMES {
            counted += worker.metric(&format!("queue_messages_total{{outcome=\"{outcome}\"}}")).await;
        }
        let told = read(&worker.log());
        let busy = tasks["queue job"]["alive"].as_u64().unwrap_or_default() > 0;
        if !busy && told.len() as u64 == counted {
            return told;
        }
        assert!(begun.elapsed() < PATIENCE, "{counted} settled, {} told: {tasks}", told.len());
        sleep(Duration::from_millis(10)).await;
    }
}

/// The closing events of messages in a log.
pub(super) fn read(log: &str) -> Vec<Settled> {
    let events = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let closing = events.filter(|event| event["message"] == "message settled");
    closing
        .map(|event| {
            let at: Timestamp = event["timestamp"].as_str().unwrap().parse().unwrap();
            let took = Duration::from_secs_f64(event["duration_ms"].as_f64().unwrap() / 1e3);
            Settled {
                id: event["request.id"].as_str().unwrap().to_owned(),
                outcome: event["outcome"].as_str().unwrap().to_owned(),
                receives: event["receives"].as_u64().unwrap(),
                job: event["job.status"].as_str().map(str::to_owned),
                received: at - took,
                at,
            }
        })
        .collect()
}
