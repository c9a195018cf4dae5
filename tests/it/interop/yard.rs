//! What both halves of a fleet stand on: Amazon's services and an events hub, with API Gateway's limits.

use compilation_worker::events::hub::HubSettings;
use compilation_worker::ports::{BlobAddress, QueueAddress};

use crate::support::bed::Bed;
use crate::support::daemon::Daemon;
use crate::support::fleet::{Fleet, Services};
use crate::support::obedient::Obedient;

/// The table of routes.
pub(super) const TABLE: &str = "CompilerRouting";

/// A place without routers and workers.
pub(super) struct Yard {
    pub(super) fleet: Fleet,
    pub(super) queue: QueueAddress,
}

impl Yard {
    pub(super) async fn open() -> Self {
        // API Gateway takes 128 KB in frames of 32 KB, but its relay posts whole messages.
        let limits = HubSettings { message: 32 * 1024, frame: 32 * 1024, ..HubSettings::default() };
        let mut fleet = Fleet::of(Services::bed().await, limits).await;
        fleet.tell("http-environment", "prod");
        let queue = fleet.bed().queue("prod-compilation-queue.fifo");
        Self { fleet, queue }
    }

    pub(super) fn bed(&self) -> &Bed {
        self.fleet.bed()
    }

    /// Our worker, which has the obedient compiler alone.
    pub(super) async fn worker(&self, compiler: &Obedient) -> Daemon {
        let daemon = self.fleet.worker(&self.queue, compiler.flags(), None).await;
        // The compiler is asked what it can do, in a slot.
        daemon.task_over("warm-up").await;
        daemon
    }

    /// Our router, which has no compilers; what the table does not know goes to the queue.
    pub(super) async fn router(&self, flags: &[&str]) -> Daemon {
        self.fleet.router(&self.queue, flags).await
    }
}

/// A place in a bucket.
pub(super) fn at(bucket: &str, key: impl Into<String>) -> BlobAddress {
    BlobAddress { bucket: bucket.to_owned(), key: key.into() }
}
