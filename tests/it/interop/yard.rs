//! What both halves of a fleet stand on: Amazon's services and an events hub, with API Gateway's limits.

use std::net::SocketAddr;

use compilation_worker::events::hub::{Hub, HubSettings, HubStatus};
use compilation_worker::lifecycle::Lifecycle;
use compilation_worker::ports::{BlobAddress, QueueAddress};

use crate::events;
use crate::support::bed::Bed;
use crate::support::daemon::{Daemon, program};
use crate::support::obedient::Obedient;

/// Where jobs lie that are too large for the queue.
pub(super) const OVERFLOW: &str = "temp-storage";
/// Where results lie that are too large for the hub.
pub(super) const RESULTS: &str = "storage";
/// The table of routes.
pub(super) const TABLE: &str = "CompilerRouting";

/// A place without routers and workers.
pub(super) struct Yard {
    pub(super) bed: Bed,
    pub(super) queue: QueueAddress,
    /// Where the hub listens.
    pub(super) hub: SocketAddr,
    relay: Hub,
    events: events::bed::Bed,
}

impl Yard {
    pub(super) async fn open() -> Self {
        let bed = Bed::start().await;
        let queue = bed.queue("prod-compilation-queue.fifo");
        // API Gateway takes 128 KB in frames of 32 KB, but its relay posts whole messages.
        let hub = HubSettings { message: 32 * 1024, frame: 32 * 1024, ..HubSettings::default() };
        let events = events::bed::Bed { hub, ..events::bed::Bed::default() };
        let (hub, relay) = events.hub().await;
        Self { bed, queue, hub, relay, events }
    }

    /// What the hub has at this moment.
    pub(super) fn status(&self) -> HubStatus {
        self.relay.status()
    }

    /// For what lives as long as the hub.
    pub(super) fn lifecycle(&self) -> &Lifecycle {
        &self.events.lifecycle
    }

    /// Our worker, which has the obedient compiler alone.
    pub(super) async fn worker(&self, compiler: &Obedient) -> Daemon {
        let mut flags = compiler.flags();
        flags.push(format!("--queues-own={}", self.queue));
        let daemon = self.start(&flags).await;
        // The compiler is asked what it can do, in a slot.
        daemon.task_over("warm-up").await;
        daemon
    }

    /// Our router, which has no compilers; what the table does not know goes to the queue.
    pub(super) async fn router(&self, flags: &[&str]) -> Daemon {
        let mut all =
            vec!["--catalogue-discover=false".to_owned(), format!("--queues-default={}", self.queue)];
        all.extend(flags.iter().copied().map(str::to_owned));
        self.start(&all).await
    }

    /// The program, knowing where everything is, unless `flags` know better.
    pub(super) async fn start(&self, flags: &[String]) -> Daemon {
        let mut command = program();
        command.env("AWS_ACCESS_KEY_ID", "AKIDTEST").env("AWS_SECRET_ACCESS_KEY", "secret");
        let ways = [
            ("--events-url=", format!("ws://{}", self.hub)),
            ("--aws-endpoint=", self.bed.url()),
            ("--storage-overflow-bucket=", OVERFLOW.to_owned()),
            ("--storage-results-bucket=", RESULTS.to_owned()),
            ("--http-environment=", "prod".to_owned()),
        ];
        let known = |way: &str| flags.iter().any(|flag| flag.starts_with(way));
        let ways =
            ways.into_iter().filter(|(way, _)| !known(way)).map(|(way, value)| way.to_owned() + &value);
        let all: Vec<String> = ways.chain(flags.iter().cloned()).collect();
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        Daemon::start_as(command, &all).await
    }
}

/// A place in a bucket.
pub(super) fn at(bucket: &str, key: impl Into<String>) -> BlobAddress {
    BlobAddress { bucket: bucket.to_owned(), key: key.into() }
}
