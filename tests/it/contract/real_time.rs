//! The suites once more, in real time: the adapters for Amazon's services, against a third party's emulator of them, and
//! against the bed that can fail as a test says.
//!
//! All cases share a cloud, each with queues of its own and several at a time, so that the waiting adds up to seconds.

use std::sync::Arc;

use compilation_worker::aws::{AwsRoutes, Clients, S3Blobs, SqsSink, SqsSource};
use compilation_worker::lifecycle::Lifecycle;
use compilation_worker::local::queue::LocalQueueSettings;
use compilation_worker::ports::{BlobStore, QueueAddress, QueueSource, RouteStore, RouteTarget};
use serde_json::{Value, json};

use super::queue::Queues;
use super::{blobs, queue, routes};
use crate::support::bed::Bed;
use crate::support::course::Course;
use crate::support::emulator::Emulator;

/// Cases that are not shown in real time, and why.
const TOO_LONG: [(&str, &str); 2] = [
    ("the_dedup_window_ends", "takes five minutes of real time"),
    ("old_messages_are_forgotten", "takes five minutes of real time"),
];

/// Cases that the emulator cannot show, and why. The bed shows them.
const BEYOND: [(&str, &str); 3] = [
    ("a_trace_stays_with_its_message", "the emulator drops the trace of whatever is sent in a batch"),
    ("an_expired_receipt_settles_nothing", "the emulator accepts a receipt until another takes its place"),
    ("deleting_is_idempotent", "the emulator calls the receipt of what is deleted void"),
];

/// Cases at a time: the emulator is one Python process, and the cases measure time.
const AT_A_TIME: usize = 5;

const TABLE: &str = "CompilerRouting";
const COLOR: &str = "/compiler-explorer/prod/active-color";

/// A course without these, and without what takes too long.
fn course(beyond: &[(&'static str, &str)]) -> Course {
    let left_out = TOO_LONG.iter().chain(beyond).map(|(name, _)| *name);
    Course::new(AT_A_TIME, left_out.collect())
}

/// Queues of this case alone.
async fn emulated(emulator: &Emulator, case: &str) -> Queues {
    let kept = || json!({ "MessageRetentionPeriod": "300" });
    let dead = emulator.make_queue(&format!("{case}-dead.fifo"), kept()).await;
    let mut redriven = kept();
    let arn = emulator.queue_arn(&dead).await;
    redriven["RedrivePolicy"] =
        Value::String(json!({ "deadLetterTargetArn": arn, "maxReceiveCount": 2 }).to_string());
    let address = emulator.make_queue(&format!("{case}.fifo"), redriven).await;
    let loose = emulator.make_queue(&format!("{case}-loose"), kept()).await;
    queues(&emulator.clients(), address, &dead, loose)
}

/// The same on the bed.
fn bedded(bed: &Bed, case: &str) -> Queues {
    let dead = bed.queue(&format!("{case}-dead.fifo"));
    let dead_letters = Some((2, dead.clone()));
    let settings = LocalQueueSettings { dead_letters, ..LocalQueueSettings::default() };
    let address = bed.queue_with(&format!("{case}.fifo"), settings);
    queues(&bed.clients(), address, &dead, bed.queue(&format!("{case}-loose")))
}

fn queues(
    clients: &Clients,
    address: QueueAddress,
    dead: &QueueAddress,
    loose_address: QueueAddress,
) -> Queues {
    let source = |queue: &QueueAddress| -> Arc<dyn QueueSource> {
        Arc::new(SqsSource::new(clients, queue.clone()).unwrap())
    };
    Queues {
        source: source(&address),
        dead: source(dead),
        loose: source(&loose_address),
        sink: Arc::new(SqsSink::new(clients, Lifecycle::new())),
        nowhere: QueueAddress::new(&format!("{}-nowhere.fifo", address.as_str())),
        address,
        loose_address,
    }
}

/// The rows of the suite as the deployed tool writes them.
fn items() -> impl Iterator<Item = (String, Value)> {
    routes::rows().into_iter().map(|row| {
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
        (row.key, item)
    })
}

/// Runs the suites of tables and buckets.
fn stores(course: &mut Course, clients: &Clients) {
    let table: Arc<dyn RouteStore> =
        Arc::new(AwsRoutes::new(clients, TABLE.to_owned(), Some(COLOR.to_owned())).unwrap());
    for (name, case) in routes::cases() {
        course.run(name, case(Arc::clone(&table)));
    }
    let buckets: Arc<dyn BlobStore> = Arc::new(S3Blobs::new(clients));
    for (name, case) in blobs::cases() {
        course.run(name, case(Arc::clone(&buckets)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_adapters_keep_every_promise_on_an_emulator() {
    let emulator = Arc::new(Emulator::start().await);
    let mut course = course(&BEYOND);
    for (name, case) in queue::cases() {
        let emulator = Arc::clone(&emulator);
        course.run(name, async move { case(emulated(&emulator, name).await).await });
    }
    emulator.make_table(TABLE).await;
    for (_, item) in items() {
        emulator.put_item(TABLE, item).await;
    }
    emulator.put_parameter(COLOR, "green").await;
    for bucket in ["results", "other"] {
        emulator.make_bucket(bucket).await;
    }
    stores(&mut course, &emulator.clients());
    course.run_out().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_adapters_keep_every_promise_on_the_bed() {
    let bed = Bed::start().await;
    let mut course = course(&[]);
    for (name, case) in queue::cases() {
        course.run(name, case(bedded(&bed, name)));
    }
    for (key, item) in items() {
        bed.route(TABLE, &key, item);
    }
    bed.parameter(COLOR, "green");
    stores(&mut course, &bed.clients());
    course.run_out().await;
}

#[test]
fn what_is_left_out_exists() {
    let names: Vec<&str> = queue::cases().into_iter().map(|(name, _)| name).collect();
    let left_out = TOO_LONG.iter().chain(&BEYOND);
    assert!(left_out.into_iter().all(|(name, reason)| names.contains(name) && !reason.is_empty()));
}
