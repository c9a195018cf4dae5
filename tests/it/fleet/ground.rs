//! Where workers come and go: services, a hub, and a compiler that costs next to nothing.

use std::time::Duration;

use compilation_worker::events::hub::HubSettings;
use compilation_worker::ports::QueueAddress;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::support::daemon::Daemon;
use crate::support::fleet::{Fleet, Services};
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
    pub(super) fleet: Fleet,
    compiler: Obedient,
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
    pub(super) async fn over(services: Services) -> Self {
        let compiler = Obedient::make();
        compiler.replace(COMPILER);
        let exe = compiler.directory().join("compiler");
        compiler.catalogue(&format!(
            "compilers={ID}\nexe={}\ncompilerType=gcc\nexplicitVersion=1.0\n",
            exe.display()
        ));
        Self { fleet: Fleet::of(services, HubSettings::default()).await, compiler }
    }

    /// Two queues of their own.
    pub(super) async fn place(&self, name: &str) -> Place {
        let jobs = self.fleet.queue(&format!("{name}.fifo")).await;
        Place { jobs, dead: self.fleet.queue(&format!("{name}-dead.fifo")).await }
    }

    /// A router that sends everything to `place`.
    pub(super) async fn router(&self, place: &Place) -> Daemon {
        self.fleet.router(&place.jobs, &["--engine-slots", "1"]).await
    }

    /// A worker of `place` with further flags, armed if there is a plan.
    pub(super) async fn worker(&self, place: &Place, flags: &[&str], plan: Option<&str>) -> Daemon {
        let mut all = self.compiler.flags();
        all.push(format!("--queues-dead-letters={}", place.dead));
        all.extend(flags.iter().copied().map(str::to_owned));
        self.fleet.worker(&place.jobs, all, plan).await
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
