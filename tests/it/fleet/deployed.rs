//! A stand-in that behaves as the deployed router does (contract-cloud 3 and 4): one group for all jobs, 50 ms of sleep
//! between subscription and job, a waiter only after that, no receipt for what nobody waits for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use compilation_worker::aws::{S3Blobs, SqsSink};
use compilation_worker::domain::ids::RequestId;
use compilation_worker::ports::{BlobAddress, BlobStore as _, Message, QueueAddress, QueueSink as _};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message as Frame;

use super::ground::Ground;
use crate::support::fleet::RESULTS;
use crate::support::obedient::ID;

/// Between subscribing and sending.
const PAUSE: Duration = Duration::from_millis(50);
/// How long it waits for a result.
const PATIENCE: Duration = Duration::from_mins(1);
/// Where it looks for results that are announced.
const PREFIX: &str = "cache/";
/// Most bytes of one of them.
const LARGEST: u64 = 1 << 20;

type Waiting = Arc<Mutex<HashMap<String, oneshot::Sender<Value>>>>;

/// The router.
pub(super) struct Deployed {
    texts: mpsc::UnboundedSender<String>,
    waiting: Waiting,
    sink: SqsSink,
    blobs: S3Blobs,
    _socket: JoinSet<()>,
}

impl Deployed {
    pub(super) async fn start(ground: &Ground) -> Self {
        let (socket, _) = connect_async(format!("ws://{}", ground.fleet.hub)).await.unwrap();
        let (mut out, mut heard) = socket.split();
        let (texts, mut said) = mpsc::unbounded_channel::<String>();
        let waiting = Waiting::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            while let Some(text) = said.recv().await {
                out.send(Frame::text(text)).await.unwrap();
            }
        });
        let (waiters, answers) = (Arc::clone(&waiting), texts.clone());
        tasks.spawn(async move {
            while let Some(Ok(frame)) = heard.next().await {
                if let Frame::Text(text) = frame {
                    hear(&text, &waiters, &answers);
                }
            }
        });
        let sink = SqsSink::new(&ground.fleet.clients(), ground.fleet.lifecycle.clone());
        Self { texts, waiting, sink, blobs: S3Blobs::new(&ground.fleet.clients()), _socket: tasks }
    }

    /// Has a source compiled by whoever listens to `queue`; nothing if no result comes.
    pub(super) async fn compile(&self, queue: &QueueAddress, source: &str) -> Option<Value> {
        let id = RequestId::mint();
        self.texts.send(format!("subscribe: {id}")).unwrap();
        sleep(PAUSE).await;
        let message = Message {
            body: job(&id, source),
            group: Some("default".to_owned()),
            dedup: Some(id.as_str().to_owned()),
            ..Message::default()
        };
        self.sink.send(queue, message).await.unwrap();
        let (told, result) = oneshot::channel();
        self.waiting.lock().unwrap().insert(id.as_str().to_owned(), told);
        let result = timeout(PATIENCE, result).await.ok()?.unwrap();
        match result["s3Key"].as_str() {
            Some(key) => Some(self.fetch(key).await),
            None => Some(result),
        }
    }

    async fn fetch(&self, key: &str) -> Value {
        let at = BlobAddress { bucket: RESULTS.to_owned(), key: format!("{PREFIX}{key}") };
        let blob = self.blobs.get(&at, LARGEST).await.unwrap().expect("an announced result is not there");
        serde_json::from_slice(&blob.bytes).unwrap()
    }
}

/// Only the first result that somebody waits for gets a receipt.
fn hear(text: &str, waiting: &Waiting, answers: &mpsc::UnboundedSender<String>) {
    let Ok(result) = serde_json::from_str::<Value>(text) else { return };
    let Some(id) = result["guid"].as_str().map(str::to_owned) else { return };
    if let Some(told) = waiting.lock().unwrap().remove(&id) {
        answers.send(format!("ack: {id}")).unwrap();
        answers.send(format!("unsubscribe: {id}")).unwrap();
        told.send(result).unwrap();
    }
}

fn job(id: &RequestId, source: &str) -> String {
    json!({
        "guid": id.as_str(), "compilerId": ID, "isCMake": false,
        "headers": {"content-type": "application/json", "accept": "application/json"},
        "queryStringParameters": {}, "source": source, "options": {},
        "filters": {}, "backendOptions": {}, "tools": [], "libraries": [], "files": [], "executeParameters": {},
    })
    .to_string()
}
