//! What a fleet consists of.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use compilation_worker::lifecycle;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::daemon::{Daemon, program};
use crate::support::emulator::Emulator;

/// How long a hub may take to be there.
const PATIENCE: Duration = Duration::from_secs(20);

/// A fleet without workers.
pub(super) struct Yard {
    pub(super) router: Daemon,
    /// What tells a worker where everything is.
    ways: Vec<String>,
    queue: String,
    _hub: Hub,
    _emulator: Emulator,
}

/// The hub's process.
struct Hub(Child);

impl Yard {
    pub(super) async fn open() -> Self {
        let emulator = Emulator::start().await;
        let queue = emulator.make_queue("jobs.fifo", json!({"VisibilityTimeout": "60"})).await.to_string();
        emulator.make_bucket("temporary").await;
        emulator.make_bucket("results").await;
        let (hub, events) = Hub::start().await;
        let ways: Vec<String> = [
            ("--events-url", events),
            ("--aws-endpoint", emulator.url()),
            ("--storage-overflow-bucket", "temporary".to_owned()),
            ("--storage-results-bucket", "results".to_owned()),
        ]
        .into_iter()
        .flat_map(|(flag, value)| [flag.to_owned(), value])
        .collect();
        let nothing = ["--catalogue-discover=false", "--queues-default", queue.as_str()].map(str::to_owned);
        let router = start(nothing.iter().chain(&ways)).await;
        Self { router, ways, queue, _hub: hub, _emulator: emulator }
    }

    /// One more worker.
    pub(super) async fn worker(&self) -> Daemon {
        let own = ["--queues-own".to_owned(), self.queue.clone()];
        start(own.iter().chain(&self.ways)).await
    }
}

/// The program with credentials that nobody checks.
pub(super) async fn start(flags: impl Iterator<Item = &String>) -> Daemon {
    start_armed(flags, None).await
}

/// The same, and something goes wrong in it as `plan` says.
pub(super) async fn start_armed(flags: impl Iterator<Item = &String>, plan: Option<&str>) -> Daemon {
    let mut command = program();
    command.env("AWS_ACCESS_KEY_ID", "AKIDTEST").env("AWS_SECRET_ACCESS_KEY", "secret");
    // Nobody here knows this machine; asking would cost each start half a second.
    command.env("AWS_EC2_METADATA_DISABLED", "true");
    command.envs(plan.map(|plan| ("COMPILATION_WORKER_FAILPOINT", plan)));
    let flags: Vec<&str> = flags.map(String::as_str).collect();
    Daemon::start_as(command, &flags).await
}

impl Hub {
    async fn start() -> (Self, String) {
        let mut command: Command = program();
        command.args(["hub", "--announce", "--listen", "127.0.0.1:0"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let hub = Self(child);
        let line = lifecycle::blocking("announcement", move || {
            let mut line = String::new();
            out.read_line(&mut line).map(|_| line)
        });
        let line = timeout(PATIENCE, line).await.expect("no announcement").unwrap().unwrap();
        let announced: Value = serde_json::from_str(&line).unwrap();
        (hub, announced["ws"].as_str().unwrap().to_owned())
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        let _ended = self.0.kill().is_ok() && self.0.wait().is_ok();
    }
}
