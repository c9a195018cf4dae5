//! A fleet of processes alone: an emulator, a hub and a router, and workers that run real compilers.

use compilation_worker::ports::QueueAddress;

use crate::events::restarts::Process;
use crate::support::daemon::Daemon;
use crate::support::fleet::{Fleet, Services};

/// A fleet without workers.
pub(super) struct Yard {
    pub(super) router: Daemon,
    queue: QueueAddress,
    fleet: Fleet,
    _hub: Process,
}

impl Yard {
    pub(super) async fn open() -> Self {
        let hub = Process::start("127.0.0.1:0").await;
        let fleet = Fleet::around(Services::emulator().await, hub.address);
        let queue = fleet.queue("jobs.fifo").await;
        let router = fleet.router(&queue, &[]).await;
        Self { router, queue, fleet, _hub: hub }
    }

    /// One more worker.
    pub(super) async fn worker(&self) -> Daemon {
        self.fleet.worker(&self.queue, Vec::new(), None).await
    }
}
