//! A queue door in this process, and everybody it deals with.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use compilation_worker::domain::ids::RequestId;
use compilation_worker::domain::result::JobStatus;
use compilation_worker::doors::queue::{self, Parts, QueueSettings, Settled};
use compilation_worker::lifecycle::Lifecycle;
use compilation_worker::lifecycle::intake::Intake;
use compilation_worker::lifecycle::pause::Pause;
use compilation_worker::local::blobs::LocalBlobs;
use compilation_worker::local::bus::LocalBus;
use compilation_worker::local::queue::{LocalQueueSettings, LocalQueues, LocalSource};
use compilation_worker::ports::{
    Ask, BlobAddress, BlobPlace, BlobStore as _, Message, QueueAddress, QueueSink as _, QueueSource,
    Received, ResultBus as _, Subscription,
};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::support::house::Fake;

pub(super) const QUEUE: &str = "compilation-queue.fifo";
pub(super) const DEAD: &str = "dead-letters.fifo";
/// Bytes of the largest frame.
const FRAME: usize = 2000;

/// A door and its surroundings.
pub(super) struct Yard {
    pub(super) workshop: Fake,
    pub(super) queues: LocalQueues,
    pub(super) bus: LocalBus,
    pub(super) blobs: Arc<LocalBlobs>,
    pub(super) lifecycle: Lifecycle,
    pub(super) pause: Pause,
    pub(super) intake: Intake,
    pub(super) settled: Arc<Mutex<Vec<Settled>>>,
    pub(super) door: JoinHandle<()>,
}

impl Yard {
    pub(super) fn open() -> Self {
        Self::with(|_| {})
    }

    pub(super) fn with(change: impl FnOnce(&mut QueueSettings)) -> Self {
        Self::over(change, |source| Arc::new(source))
    }

    /// `wrap` may put something between the door and the queue.
    pub(super) fn over(
        change: impl FnOnce(&mut QueueSettings),
        wrap: impl FnOnce(LocalSource) -> Arc<dyn QueueSource>,
    ) -> Self {
        let queues = LocalQueues::new();
        queues.create(QueueAddress::new(DEAD), keeping());
        let source = queues.create(QueueAddress::new(QUEUE), keeping());
        let mut settings = QueueSettings::new(QueueAddress::new(QUEUE), 2);
        settings.dead_letters = Some(QueueAddress::new(DEAD));
        settings.overflow = Some(BlobPlace { bucket: "temp".to_owned(), prefix: "overflow/".to_owned() });
        settings.results = Some(BlobPlace { bucket: "results".to_owned(), prefix: "cache/".to_owned() });
        change(&mut settings);
        let (workshop, lifecycle, settled) =
            (Fake::default(), Lifecycle::new(), Arc::new(Mutex::new(Vec::new())));
        let (pause, intake) = (Pause::new(), Intake::default());
        let (bus, blobs) = (LocalBus::new(FRAME), Arc::new(LocalBlobs::new(1 << 26)));
        lifecycle.begin_serving();
        let seen = Arc::clone(&settled);
        let parts = Parts {
            workshop: workshop.clone(),
            settings,
            source: wrap(source),
            sink: Arc::new(queues.clone()),
            bus: Arc::new(bus.clone()),
            blobs: Arc::clone(&blobs) as _,
            lifecycle: lifecycle.clone(),
            pause: pause.clone(),
            intake: intake.clone(),
            observe: Box::new(move |one| seen.lock().unwrap().push(one)),
        };
        let door = lifecycle.spawn("queue", queue::run(parts));
        Self { workshop, queues, bus, blobs, lifecycle, pause, intake, settled, door }
    }

    /// Sends a job under its own group, as our router does.
    pub(super) async fn send(&self, guid: &str, source: &str) {
        self.post(&message(guid, source), guid, guid).await;
    }

    pub(super) async fn post(&self, body: &str, group: &str, dedup: &str) {
        self.put(Message {
            body: body.to_owned(),
            group: Some(group.to_owned()),
            dedup: Some(dedup.to_owned()),
            ..Message::default()
        })
        .await;
    }

    pub(super) async fn put(&self, message: Message) {
        self.queues.send(&QueueAddress::new(QUEUE), message).await.unwrap();
    }

    pub(super) async fn wait_for(&self, guid: &str) -> Subscription {
        self.bus.subscribe(&id(guid)).await.unwrap()
    }

    /// The result that arrives within a minute of the paused clock, acknowledged.
    pub(super) async fn result(&self, guid: &str) -> serde_json::Value {
        let mut subscription = self.wait_for(guid).await;
        let frame = next(&mut subscription).await;
        subscription.acknowledge();
        serde_json::from_slice(&frame).unwrap()
    }

    /// A queue nobody listens to.
    pub(super) fn idle_queue(&self) -> QueueAddress {
        let queue = QueueAddress::new("idle.fifo");
        self.queues.create(queue.clone(), keeping());
        queue
    }

    /// Takes the first message of a queue, and tells whose job it is.
    pub(super) async fn first_of(&self, queue: &QueueAddress) -> RequestId {
        let ask = Ask { most: 1, wait: Duration::ZERO, hidden_for: Duration::from_mins(1) };
        let received = self.queues.source(queue).unwrap().receive(ask).await.unwrap().pop().unwrap();
        let job: serde_json::Value = serde_json::from_str(&received.message.body).unwrap();
        id(job["guid"].as_str().unwrap())
    }

    /// Messages of a queue: waiting, and received but not settled.
    pub(super) fn depth(&self, queue: &str) -> (usize, usize) {
        let depth = self.queues.depth(&QueueAddress::new(queue)).unwrap();
        (depth.waiting, depth.in_flight)
    }

    /// Waits until as many messages are settled, and tells how: in one word each, and by job status.
    pub(super) async fn settled(&self, count: usize) -> Vec<(&'static str, Option<&'static str>)> {
        for _ in 0..10_000 {
            let settled = self.settled.lock().unwrap().clone();
            if settled.len() >= count {
                return settled.iter().map(|one| (one.outcome, one.job.map(JobStatus::as_str))).collect();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("only {:?} were settled", self.settled.lock().unwrap());
    }

    /// The dead letters.
    pub(super) async fn dead(&self) -> Vec<Received> {
        let source = self.queues.source(&QueueAddress::new(DEAD)).unwrap();
        let ask = Ask { most: 10, wait: Duration::ZERO, hidden_for: Duration::from_hours(1) };
        source.receive(ask).await.unwrap()
    }

    pub(super) async fn blob(&self, bucket: &str, key: &str) -> Option<Bytes> {
        let at = BlobAddress { bucket: bucket.to_owned(), key: key.to_owned() };
        self.blobs.get(&at, u64::MAX).await.unwrap().map(|blob| blob.bytes)
    }
}

fn keeping() -> LocalQueueSettings {
    LocalQueueSettings { retention: Duration::from_mins(5), largest: 1 << 18, dead_letters: None }
}

pub(super) async fn next(subscription: &mut Subscription) -> Bytes {
    timeout(Duration::from_mins(1), subscription.next()).await.expect("no result came").unwrap()
}

pub(super) fn id(guid: &str) -> RequestId {
    RequestId::parse(guid).unwrap()
}

/// What today's router sends for a source.
pub(super) fn message(guid: &str, source: &str) -> String {
    serde_json::json!({
        "guid": guid, "compilerId": "g1", "isCMake": false,
        "headers": {"content-type": "application/json", "accept": "application/json"},
        "queryStringParameters": {}, "source": source, "options": {"userArguments": "-O1"},
        "filters": {}, "backendOptions": {}, "tools": [], "libraries": [], "files": [], "executeParameters": {},
    })
    .to_string()
}
