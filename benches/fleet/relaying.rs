//! What the router adds to queue and hub, with a worker that needs no time.

use std::time::{Duration, Instant};

use compilation_worker::domain::ids::RequestId;
use compilation_worker::ports::{Message, QueueSink as _, QueueSource as _, ResultBus as _};

use crate::bare;
use crate::bed::Bed;
use crate::common::daemon::Daemon;
use crate::common::load::{self, Outcome};
use crate::common::numbers::{Millis, percentile, row};
use crate::hub::Hub;
use crate::worker::{Ends, Worker};

/// Turns of the comparison of latencies.
const TURNS: usize = 1000;
/// Requests in flight in that of rates.
pub(crate) const IN_FLIGHT: usize = 256;
const ROUNDS: usize = 3;
/// Bytes of a bare message: what the router makes of a request.
pub(crate) const BODY: usize = 1300;

/// A router, a queue, a hub: each a process of its own.
pub(crate) fn relay() {
    let (bed, hub) = (Bed::start(), Hub::start());
    let router = hub.router(&bed, &[]);
    let round_trips = round_trips(&bed, &hub);
    let _worker = Worker::start(&bed, &hub);
    latency(&router, round_trips);
    throughput(&router, &bed);
}

/// One message at a time: sent, received, answered over the hub and deleted.
fn round_trips(bed: &Bed, hub: &Hub) -> Vec<Duration> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let ends = runtime.block_on(Ends::open(bed, hub));
    let times = (0..TURNS + TURNS / 10).map(|_| runtime.block_on(round_trip(&ends)));
    times.skip(TURNS / 10).collect()
}

/// One request at a time.
fn latency(router: &Daemon, mut bare: Vec<Duration>) {
    let mut connection = router.connect();
    let mut through = Vec::new();
    for turn in 0..TURNS + TURNS / 10 {
        let body = crate::body(crate::fresh());
        let begun = Instant::now();
        let reply = connection.post(crate::ELSEWHERE, &body);
        let took = begun.elapsed();
        assert_eq!(reply.header("x-job-status"), Some("ok"), "{}", String::from_utf8_lossy(&reply.body));
        if turn >= TURNS / 10 {
            through.push(took);
        }
    }
    let (bare, through) = (percentile(&mut bare, 50), percentile(&mut through, 50));
    row(
        "a request by queue and hub, p50",
        &Millis(through).to_string(),
        &Millis(bare).to_string(),
        &format!("{:+.2} ms", (through.as_secs_f64() - bare.as_secs_f64()) * 1e3),
        "<= +3 ms",
    );
}

/// What queue and hub themselves take for one job, one step after the other.
async fn round_trip(ends: &Ends) -> Duration {
    let id = RequestId::mint();
    let mut subscription = ends.bus.subscribe(&id).await.unwrap();
    let name = Some(id.as_str().to_owned());
    let message = Message { body: "x".repeat(BODY), group: name.clone(), dedup: name, ..Message::default() };
    let begun = Instant::now();
    ends.sink.send(&ends.queue, message).await.unwrap();
    let jobs = ends.receive().await;
    let hear = async {
        subscription.next().await.unwrap();
        subscription.acknowledge();
    };
    tokio::join!(ends.publish(&id), hear);
    let receipts = jobs.into_iter().map(|job| job.receipt).collect();
    assert_eq!(ends.source.delete(receipts).await.unwrap(), []);
    begun.elapsed()
}

/// As many requests at a time as a busy router has; in turns with as many messages sent, received and deleted: one in
/// each call, as the deployed router sends them, and as many as a call takes.
fn throughput(router: &Daemon, bed: &Bed) {
    let (mut through, mut single, mut batched) =
        (Outcome::default(), bare::Outcome::default(), bare::Outcome::default());
    for _ in 0..ROUNDS {
        single.add(bare::generate(bed, IN_FLIGHT, 1));
        batched.add(bare::generate(bed, IN_FLIGHT, bare::BATCH));
        through.add(load::generate(router.http, IN_FLIGHT, || {
            load::post(crate::ELSEWHERE, &crate::body(crate::fresh()))
        }));
    }
    let measured = format!("{:.0}/s", through.rate());
    let beside = |name: &str, bare: bare::Outcome, promise: &str| {
        let ratio = through.rate() / bare.rate() * 100.0;
        row(name, &measured, &format!("{:.0}/s", bare.rate()), &format!("{ratio:.0} %"), promise);
    };
    let name = format!("requests by queue and hub, {IN_FLIGHT} in flight");
    beside(&name, single, ">= 50 %, 5,000/s");
    row("  p99", &Millis(through.percentile(99)).to_string(), "", "", "");
    beside(&format!("  beside calls of {} messages", bare::BATCH), batched, "");
}
