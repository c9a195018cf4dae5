//! A worker that needs no time: it takes jobs from the queue and answers them over the hub.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use compilation_worker::aws::{SqsSink, SqsSource};
use compilation_worker::domain::ids::RequestId;
use compilation_worker::domain::limits::Deadline;
use compilation_worker::events::{EventsBus, Settings};
use compilation_worker::lifecycle::Lifecycle;
use compilation_worker::ports::{
    Ask, LARGEST_BATCH, QueueAddress, QueueSource as _, Receipt, Received, ResultBus as _,
};
use compilation_worker::wire::frame;
use futures_util::future::join_all;
use tokio::runtime::Runtime;
use tokio::sync::{Mutex, mpsc};

use crate::bed::Bed;
use crate::hub::Hub;

/// Receives under way at once, and deletes.
const LANES: usize = 4;
/// How long a lane rests that did not find its hands full.
const GATHERING: Duration = Duration::from_millis(2);
/// How long a receive waits, how long what it brings is hidden, and how long a result is offered.
const PATIENCE: Duration = Duration::from_secs(20);
/// What becomes of every job.
const RESULT: &[u8] = br#"{"code":0,"stdout":[],"stderr":[],"asm":[{"text":"f():"},{"text":"        ret"}]}"#;

/// The ways to queue and hub that a router has, and a worker.
#[derive(Clone)]
pub(crate) struct Ends {
    /// Which queue.
    pub(crate) queue: QueueAddress,
    /// Where jobs go.
    pub(crate) sink: Arc<SqsSink>,
    /// Where they come from.
    pub(crate) source: Arc<SqsSource>,
    /// How results travel.
    pub(crate) bus: EventsBus,
}

/// A worker; dropped, it is gone.
pub(crate) struct Worker(#[expect(dead_code, reason = "it works for as long as this lives")] Runtime);

impl Ends {
    /// Opens all of them, within a runtime.
    pub(crate) async fn open(bed: &Bed, hub: &Hub) -> Self {
        let lifecycle = Lifecycle::new();
        let (clients, queue) = (bed.clients(), QueueAddress::new(&bed.jobs));
        let bus = EventsBus::open(Settings::new(hub.url.parse().unwrap()), &lifecycle).unwrap();
        bus.connected().await;
        Self {
            sink: Arc::new(SqsSink::new(&clients, lifecycle)),
            source: Arc::new(SqsSource::new(&clients, queue.clone()).unwrap()),
            queue,
            bus,
        }
    }

    /// Waits for jobs.
    pub(crate) async fn receive(&self) -> Vec<Received> {
        let ask = Ask { most: LARGEST_BATCH, wait: PATIENCE, hidden_for: PATIENCE };
        self.source.receive(ask).await.unwrap()
    }

    /// Offers a result until it has arrived.
    pub(crate) async fn publish(&self, id: &RequestId) {
        let result = Bytes::from(frame::result(id, &[RESULT], Some(Duration::ZERO)));
        self.bus.publish(id, result, Deadline::after(PATIENCE)).await.unwrap();
    }
}

impl Worker {
    /// Puts one to work.
    pub(crate) fn start(bed: &Bed, hub: &Hub) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let ends = runtime.block_on(Ends::open(bed, hub));
        let (done, over) = mpsc::unbounded_channel();
        for _ in 0..LANES {
            runtime.spawn(take(ends.clone(), done.clone()));
        }
        let over = Arc::new(Mutex::new(over));
        for _ in 0..LANES {
            runtime.spawn(delete(ends.clone(), Arc::clone(&over)));
        }
        Self(runtime)
    }
}

/// Takes jobs and answers them, for ever.
async fn take(ends: Ends, done: mpsc::UnboundedSender<Receipt>) {
    loop {
        let jobs = ends.receive().await;
        let is_busy = jobs.len() == LARGEST_BATCH;
        let (ends, done) = (ends.clone(), done.clone());
        tokio::spawn(async move {
            let answered = jobs.into_iter().map(async |job| {
                ends.publish(&id(&job)).await;
                done.send(job.receipt).unwrap();
            });
            join_all(answered).await;
        });
        if !is_busy {
            // Calls are what costs: the next brings more.
            tokio::time::sleep(GATHERING).await;
        }
    }
}

/// Deletes what is answered, as many at a time as there are.
async fn delete(ends: Ends, over: Arc<Mutex<mpsc::UnboundedReceiver<Receipt>>>) {
    loop {
        let mut receipts = Vec::new();
        over.lock().await.recv_many(&mut receipts, LARGEST_BATCH).await;
        assert_eq!(ends.source.delete(receipts).await.unwrap(), []);
    }
}

/// The name of a job: our router gives it to the group, too.
fn id(job: &Received) -> RequestId {
    RequestId::parse(job.message.group.as_deref().unwrap()).unwrap()
}
