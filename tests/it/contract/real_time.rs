//! The suites once more, in real time: the adapters for Amazon's services, against a third party's emulator of them.
//!
//! One emulator serves all cases, each with queues of its own and several at a time, so that the waiting adds up to
//! seconds.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use compilation_worker::aws::{AwsRoutes, S3Blobs, SqsSink, SqsSource};
use compilation_worker::lifecycle::Lifecycle;
use compilation_worker::ports::{BlobStore, QueueAddress, QueueSource, RouteStore, RouteTarget};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::{Id, JoinSet};
use tokio::time::timeout;

use super::queue::Queues;
use super::{blobs, queue, routes};
use crate::support::emulator::Emulator;

/// Cases that the emulator cannot show, and why. What SQS itself answers there, `aws::deletes` says for it.
const BEYOND: [(&str, &str); 4] = [
    ("the_dedup_window_ends", "takes five minutes of real time"),
    ("old_messages_are_forgotten", "takes five minutes of real time"),
    ("an_expired_receipt_settles_nothing", "the emulator accepts a receipt until another takes its place"),
    ("deleting_is_idempotent", "the emulator calls the receipt of what is deleted void"),
];

/// Cases at a time: the emulator is one Python process, and the cases measure time.
const AT_A_TIME: usize = 5;
/// How long one case may take. The longest waits four seconds.
const PATIENCE: Duration = Duration::from_secs(30);

const TABLE: &str = "CompilerRouting";
const COLOR: &str = "/compiler-explorer/prod/active-color";

/// Cases under way.
struct Bed {
    places: Arc<Semaphore>,
    running: JoinSet<()>,
    names: HashMap<Id, &'static str>,
}

impl Bed {
    fn new() -> Self {
        let places = Arc::new(Semaphore::new(AT_A_TIME));
        Self { places, running: JoinSet::new(), names: HashMap::new() }
    }

    /// Runs a case as soon as there is a place, unless it is beyond the emulator.
    fn run(&mut self, name: &'static str, case: impl Future<Output = ()> + Send + 'static) {
        if BEYOND.iter().any(|(beyond, _)| *beyond == name) {
            return;
        }
        let places = Arc::clone(&self.places);
        let task = self.running.spawn(async move {
            let _place = places.acquire().await;
            timeout(PATIENCE, case).await.expect("the case does not end");
        });
        self.names.insert(task.id(), name);
    }

    /// The names of those that failed; what they said is in the output.
    async fn failures(mut self) -> Vec<&'static str> {
        let mut failed = Vec::new();
        while let Some(outcome) = self.running.join_next().await {
            failed.extend(outcome.err().map(|error| self.names[&error.id()]));
        }
        failed
    }
}

/// Queues of this case alone.
async fn queues(emulator: &Emulator, case: &str) -> Queues {
    let kept = || json!({ "MessageRetentionPeriod": "300" });
    let dead = emulator.make_queue(&format!("{case}-dead.fifo"), kept()).await;
    let mut redriven = kept();
    let arn = emulator.queue_arn(&dead).await;
    redriven["RedrivePolicy"] =
        Value::String(json!({ "deadLetterTargetArn": arn, "maxReceiveCount": 2 }).to_string());
    let address = emulator.make_queue(&format!("{case}.fifo"), redriven).await;
    let loose_address = emulator.make_queue(&format!("{case}-loose"), kept()).await;
    let clients = emulator.clients();
    let source = |queue: &QueueAddress| -> Arc<dyn QueueSource> {
        Arc::new(SqsSource::new(&clients, queue.clone()).unwrap())
    };
    Queues {
        source: source(&address),
        dead: source(&dead),
        loose: source(&loose_address),
        sink: Arc::new(SqsSink::new(&clients, Lifecycle::new())),
        nowhere: QueueAddress::new(&format!("{}-nowhere.fifo", address.as_str())),
        address,
        loose_address,
    }
}

/// The rows of the suite as the deployed tool writes them, with green live.
async fn route_store(emulator: &Emulator) -> Arc<dyn RouteStore> {
    emulator.make_table(TABLE).await;
    for row in routes::rows() {
        let (kind, queue, url) = match &row.target {
            RouteTarget::Queue(queue) => ("queue", queue.as_str(), ""),
            RouteTarget::DefaultQueue => ("queue", "", ""),
            RouteTarget::Url(url) => ("url", "", url.as_str()),
        };
        let text = |text: &str| json!({ "S": text });
        let mut item = json!({ "compilerId": text(&row.key), "routingType": text(kind) });
        item["queueName"] = text(queue);
        item["targetUrl"] = text(url);
        item["environment"] = text(row.environment.as_deref().unwrap());
        item["lastUpdated"] = text("2026-01-02T03:04:05.678Z");
        emulator.put_item(TABLE, item).await;
    }
    emulator.put_parameter(COLOR, "green").await;
    Arc::new(AwsRoutes::new(&emulator.clients(), TABLE.to_owned(), Some(COLOR.to_owned())))
}

async fn blob_store(emulator: &Emulator) -> Arc<dyn BlobStore> {
    for bucket in ["results", "other"] {
        emulator.make_bucket(bucket).await;
    }
    Arc::new(S3Blobs::new(&emulator.clients()))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_adapters_keep_every_promise_on_an_emulator() {
    let emulator = Arc::new(Emulator::start().await);
    let mut bed = Bed::new();
    for (name, case) in queue::cases() {
        let emulator = Arc::clone(&emulator);
        bed.run(name, async move { case(queues(&emulator, name).await).await });
    }
    let route_store = route_store(&emulator).await;
    for (name, case) in routes::cases() {
        bed.run(name, case(Arc::clone(&route_store)));
    }
    let blob_store = blob_store(&emulator).await;
    for (name, case) in blobs::cases() {
        bed.run(name, case(Arc::clone(&blob_store)));
    }
    let failed = bed.failures().await;
    assert!(failed.is_empty(), "these failed: {failed:?}");
}

#[test]
fn what_is_beyond_the_emulator_exists() {
    let names: Vec<&str> = queue::cases().into_iter().map(|(name, _)| name).collect();
    assert!(BEYOND.iter().all(|(name, reason)| names.contains(name) && !reason.is_empty()));
}
