//! Amazon's services on loopback, over the twins of this process: exact where emulators are not (groups block, receipts
//! expire), and able to fail as a test says.
//!
//! It speaks what the adapters and their SDK speak: SQS in JSON, S3 by paths, DynamoDB's `GetItem`, one parameter of SSM.
//! Signatures are not checked; how far a signature's time is off is.

mod calls;
mod faults;
mod http;
mod queues;
mod stores;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex};

use compilation_worker::aws::{Clients, Endpoints, Settings};
use compilation_worker::local::blobs::LocalBlobs;
use compilation_worker::local::queue::{LocalQueueSettings, LocalQueues};
use compilation_worker::ports::QueueAddress;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

pub(crate) use self::calls::{Call, Service};
pub(crate) use self::faults::Fault;

/// Bytes of blobs kept; more than any test stores.
const BLOBS: u64 = 1 << 30;
/// The account in queue URLs.
const ACCOUNT: &str = "000000000000";

/// The services. Dropped, they are gone.
pub(crate) struct Bed {
    address: SocketAddr,
    state: Arc<State>,
    _running: JoinSet<()>,
}

type Script = Box<dyn Fn(&Call) -> Fault + Send + Sync>;

/// What all connections share.
struct State {
    queues: LocalQueues,
    blobs: LocalBlobs,
    /// `DynamoDB` items by table and key.
    items: Mutex<HashMap<(String, String), Value>>,
    parameters: Mutex<HashMap<String, String>>,
    script: Mutex<Option<Arc<Script>>>,
    calls: calls::Log,
    /// Seconds by which the services' clock is ahead of ours.
    ahead: AtomicI64,
}

impl Bed {
    /// Everything empty, on a free port.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            queues: LocalQueues::new(),
            blobs: LocalBlobs::new(BLOBS),
            items: Mutex::default(),
            parameters: Mutex::default(),
            script: Mutex::default(),
            calls: calls::Log::default(),
            ahead: AtomicI64::new(0),
        });
        let mut running = JoinSet::new();
        running.spawn(http::serve(listener, Arc::clone(&state)));
        Self { address, state, _running: running }
    }

    /// Where every service is.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    pub(crate) fn socket(&self) -> SocketAddr {
        self.address
    }

    /// Clients that find every service here, with credentials that nobody checks.
    pub(crate) fn clients(&self) -> Clients {
        let endpoints = Endpoints { every: Some(self.url()), ..Endpoints::default() };
        let credentials = aws_credential_types::Credentials::new("AKIDTEST", "secret", None, None, "test");
        Clients::new(Settings { region: "us-east-1".to_owned(), endpoints }, credentials)
    }

    /// What the queue of this name is called, whether there is one or not.
    pub(crate) fn address_of(&self, name: &str) -> QueueAddress {
        QueueAddress::new(&format!("{}/{ACCOUNT}/{name}", self.url()))
    }

    /// A queue as the running system has them.
    pub(crate) fn queue(&self, name: &str) -> QueueAddress {
        self.queue_with(name, LocalQueueSettings::default())
    }

    pub(crate) fn queue_with(&self, name: &str, settings: LocalQueueSettings) -> QueueAddress {
        let address = self.address_of(name);
        self.queue_at(&address, settings);
        address
    }

    /// A queue that is called in another way, because something stands before the bed.
    pub(crate) fn queue_at(&self, address: &QueueAddress, settings: LocalQueueSettings) {
        self.state.queues.create(address.clone(), settings);
    }

    /// The queues, without a network between.
    pub(crate) fn queues(&self) -> &LocalQueues {
        &self.state.queues
    }

    /// The blobs of all buckets, without a network between.
    pub(crate) fn blobs(&self) -> &LocalBlobs {
        &self.state.blobs
    }

    /// A row of the routing table, in the form in which `DynamoDB` sends it.
    pub(crate) fn route(&self, table: &str, key: &str, mut item: Value) {
        item["compilerId"] = serde_json::json!({ "S": key });
        self.state.items.lock().unwrap().insert((table.to_owned(), key.to_owned()), item);
    }

    pub(crate) fn parameter(&self, name: &str, value: &str) {
        self.state.parameters.lock().unwrap().insert(name.to_owned(), value.to_owned());
    }

    /// From now on, `script` says of each call how it fails, if it does.
    pub(crate) fn faults(&self, script: impl Fn(&Call) -> Fault + Send + Sync + 'static) {
        *self.state.script.lock().unwrap() = Some(Arc::new(Box::new(script)));
    }

    /// From now on, nothing fails. What hangs already goes on hanging.
    pub(crate) fn heal(&self) {
        *self.state.script.lock().unwrap() = None;
    }

    /// Sets the services' clock ahead of ours, or behind.
    pub(crate) fn skew(&self, seconds: i64) {
        self.state.ahead.store(seconds, std::sync::atomic::Ordering::SeqCst);
    }

    /// Everything that was asked so far, whether it failed or not.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.state.calls.all()
    }

    /// How often this verb was asked.
    pub(crate) fn count(&self, verb: &str) -> usize {
        self.calls().iter().filter(|call| call.verb == verb).count()
    }
}

/// A row that sends a compiler's jobs to a queue.
pub(crate) fn queue_row(queue: &str) -> Value {
    let text = |text: &str| serde_json::json!({ "S": text });
    serde_json::json!({ "routingType": text("queue"), "queueName": text(queue), "targetUrl": text(""), "environment": text("prod") })
}

/// A row that sends a compiler's requests to a URL.
pub(crate) fn url_row(url: &str) -> Value {
    let text = |text: &str| serde_json::json!({ "S": text });
    serde_json::json!({ "routingType": text("url"), "queueName": text(""), "targetUrl": text(url), "environment": text("prod") })
}
