//! A hub in this process, and buses on it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use compilation_worker::domain::ids::RequestId;
use compilation_worker::domain::limits::Deadline;
use compilation_worker::events::hub::{Hub, HubSettings};
use compilation_worker::events::{EventsBus, LARGEST_FOR_OUR_HUB, Settings, Status};
use compilation_worker::lifecycle::Lifecycle;
use compilation_worker::ports::{PublishError, ResultBus, Subscription};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep, timeout};

/// How long anything may take before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What a test sets before it starts the parts.
#[derive(Default)]
pub(crate) struct Bed {
    pub(crate) lifecycle: Lifecycle,
    pub(crate) hub: HubSettings,
}

impl Bed {
    /// A hub on a free port.
    pub(crate) async fn hub(&self) -> (SocketAddr, Hub) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, hub) = (listener.local_addr().unwrap(), Hub::new(self.hub.clone()));
        self.lifecycle.spawn("hub", hub.clone().serve(listener, self.lifecycle.clone()));
        (address, hub)
    }

    /// A connected bus on whatever listens there.
    pub(crate) async fn bus_at(&self, address: SocketAddr, set: impl FnOnce(&mut Settings)) -> EventsBus {
        let mut settings = settings(address);
        set(&mut settings);
        let bus = EventsBus::open(settings, &self.lifecycle).unwrap();
        timeout(PATIENCE, bus.connected()).await.expect("no connection");
        bus
    }

    /// A bus on a hub of its own, for whom any bus will do.
    pub(crate) async fn bus(self) -> Arc<dyn ResultBus> {
        let (address, _hub) = self.hub().await;
        Arc::new(self.bus_at(address, |_| ()).await)
    }
}

/// The settings for our own hub, with a shorter farewell.
pub(crate) fn settings(address: SocketAddr) -> Settings {
    let url = format!("ws://{address}").parse().unwrap();
    let farewell = Duration::from_secs(4);
    Settings { largest_frame: LARGEST_FOR_OUR_HUB, farewell, ..Settings::new(url) }
}

/// A result with this name.
pub(crate) fn result(id: &RequestId) -> String {
    format!(r#"{{"guid":"{id}","code":0}}"#)
}

/// Publishes a result until its receipt comes.
pub(crate) async fn publish(bus: &EventsBus, id: &RequestId) -> Result<(), PublishError> {
    bus.publish(id, result(id).into(), Deadline::after(PATIENCE)).await
}

/// Takes the result, as a router does, and gives the receipt.
pub(crate) async fn take(subscription: &mut Subscription) {
    let frame = timeout(PATIENCE, subscription.next()).await.expect("no result").unwrap();
    assert_eq!(frame, result(subscription.id()));
    subscription.acknowledge();
}

/// A result, from subscription to receipt.
pub(crate) async fn round_trip(worker: &EventsBus, router: &EventsBus) {
    let id = RequestId::mint();
    let mut subscription = router.subscribe(&id).await.unwrap();
    let (published, ()) = tokio::join!(publish(worker, &id), take(&mut subscription));
    published.unwrap();
}

/// Looks until `condition` holds, and says how long that took.
pub(crate) async fn until(bus: &EventsBus, condition: impl Fn(Status) -> bool) -> Duration {
    let begun = Instant::now();
    while !condition(bus.status()) {
        assert!(begun.elapsed() < PATIENCE, "it never happened: {bus:?}");
        sleep(Duration::from_millis(5)).await;
    }
    begun.elapsed()
}
