//! Today's worker around its compilers, as the contract tells it (contract-cloud 3.5, 4.5, 4.6, 6.2 and 6.3): two loops that
//! receive one message, delete it before anything is done, and do not poll while any receipt is outstanding; a result
//! goes out as one frame, up to four times, three seconds apart. Its compiler obeys its source.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use compilation_worker::ports::{Ask, Blob, BlobStore as _, QueueSource as _};
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::socket::Socket;
use super::yard::{Yard, at};
use crate::support::fleet::RESULTS;

/// How long a receipt is waited for.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long it waits before it dials again for the first time.
const RECONNECT: Duration = Duration::from_secs(1);
/// How often a result is sent.
const SENDS: usize = 4;
/// How long a receive waits.
const POLL_WAIT: Duration = Duration::from_secs(20);
/// Pause of a loop after each round: the default of the code.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// Loops.
const LOOPS: usize = 2;
/// UTF-16 units of the largest result that is sent whole, if it lies in the bucket.
const LARGEST: usize = 31 * 1024;
/// How long a message stays hidden: what the queue says.
const HIDDEN: Duration = Duration::from_mins(1);

pub(super) struct TodaysWorker<'a> {
    yard: &'a Yard,
    /// None while it is disconnected.
    socket: watch::Sender<Option<Arc<Socket>>>,
    state: Arc<State>,
    sending: Mutex<JoinSet<()>>,
}

#[derive(Default)]
struct State {
    /// Results whose receipts are outstanding.
    awaited: Mutex<HashSet<String>>,
    /// How many receipts of each result get lost on their way.
    losing: usize,
    notes: Mutex<Notes>,
}

/// What it can tell afterwards.
#[derive(Debug, Clone, Default)]
pub(super) struct Notes {
    /// How long each job had waited in the queue.
    pub(super) waits: Vec<Duration>,
    /// How often each result was sent.
    pub(super) sends: HashMap<String, usize>,
    /// How many receipts came for it, the lost ones included.
    pub(super) receipts: HashMap<String, usize>,
    /// Results that were given up.
    pub(super) given_up: usize,
}

impl State {
    /// Takes receipts, but for those that are to be lost. Everything else is ignored.
    fn hear(&self, text: &str) {
        let Ok(message) = serde_json::from_str::<Value>(text) else { return };
        let Some(guid) = message["guid"].as_str().filter(|_| message["type"] == "ack") else { return };
        let mut notes = self.notes.lock().unwrap();
        let receipts = notes.receipts.entry(guid.to_owned()).or_default();
        *receipts += 1;
        if *receipts > self.losing {
            self.awaited.lock().unwrap().remove(guid);
        }
    }

    fn is_idle(&self) -> bool {
        self.awaited.lock().unwrap().is_empty()
    }

    /// Sends a result until its receipt comes, or patience ends. A new connection is sent it at once.
    async fn offer(&self, mut socket: watch::Receiver<Option<Arc<Socket>>>, guid: String, frame: String) {
        let mut tries = 0;
        while tries < SENDS {
            let current = connected(&mut socket).await;
            *self.notes.lock().unwrap().sends.entry(guid.clone()).or_default() += 1;
            current.say(frame.clone());
            let replaced = socket.wait_for(|now| !now.as_ref().is_some_and(|now| Arc::ptr_eq(now, &current)));
            if timeout(PATIENCE, replaced).await.is_err() {
                tries += 1;
            }
            if !self.awaited.lock().unwrap().contains(&guid) {
                return;
            }
        }
        self.awaited.lock().unwrap().remove(&guid);
        self.notes.lock().unwrap().given_up += 1;
    }
}

async fn connected(socket: &mut watch::Receiver<Option<Arc<Socket>>>) -> Arc<Socket> {
    socket.wait_for(Option::is_some).await.unwrap().clone().unwrap()
}

impl<'a> TodaysWorker<'a> {
    /// A worker for which so many receipts of each result get lost.
    pub(super) async fn open(yard: &'a Yard, losing: usize) -> Self {
        let state = Arc::new(State { losing, ..State::default() });
        let worker = Self { yard, socket: watch::Sender::new(None), state, sending: Mutex::default() };
        worker.dial().await;
        worker
    }

    async fn dial(&self) {
        let heard = Arc::clone(&self.state);
        let socket = Socket::dial(self.yard.fleet.hub, move |text| {
            heard.hear(text);
            None
        });
        self.socket.send_replace(Some(Arc::new(socket.await)));
    }

    /// Loses its connection, and has the next when its time has come.
    pub(super) async fn break_off(&self) {
        self.socket.send_replace(None);
        sleep(RECONNECT).await;
        self.dial().await;
    }

    pub(super) fn notes(&self) -> Notes {
        self.state.notes.lock().unwrap().clone()
    }

    /// Works while `work` is under way.
    pub(super) async fn during<T>(&self, work: impl Future<Output = T>) -> T {
        let polling = join_all((0..LOOPS).map(|_| self.poll()));
        tokio::select! {
            biased;
            done = work => done,
            _ = polling => unreachable!("it polls for ever"),
        }
    }

    /// Waits until no receipt is outstanding.
    pub(super) async fn settled(&self) {
        while !self.state.is_idle() {
            sleep(POLL_INTERVAL).await;
        }
    }

    async fn poll(&self) {
        loop {
            if self.state.is_idle() && self.socket.borrow().is_some() {
                self.round().await;
            }
            sleep(POLL_INTERVAL).await;
        }
    }

    /// Receives at most one job, deletes it, and only then does it.
    async fn round(&self) {
        let source = self.yard.bed().queues().source(&self.yard.queue).unwrap();
        let ask = Ask { most: 1, wait: POLL_WAIT, hidden_for: HIDDEN };
        let Some(received) = source.receive(ask).await.unwrap().pop() else { return };
        let begun = Instant::now();
        let job = self.fetch(serde_json::from_str(&received.message.body).unwrap()).await;
        source.delete(vec![received.receipt]).await.unwrap();
        self.state.notes.lock().unwrap().waits.push(received.age);
        let guid = job["guid"].as_str().unwrap().to_owned();
        let mut result = compile(&job).await;
        let times = [("execTime", begun.elapsed()), ("queueTime", received.age)];
        for (name, time) in times {
            result[name] = json!(u64::try_from(time.as_millis()).unwrap());
        }
        let frame = self.frame(&guid, result).await;
        let mut sending = self.sending.lock().unwrap();
        let mut socket = self.socket.subscribe();
        if socket.borrow().is_none() {
            // Sent once it is connected, and forgotten.
            sending.spawn(async move { connected(&mut socket).await.say(frame) });
            return;
        }
        self.state.awaited.lock().unwrap().insert(guid.clone());
        let state = Arc::clone(&self.state);
        sending.spawn(async move { state.offer(socket, guid, frame).await });
    }

    /// The job itself, where the message only says where it lies.
    async fn fetch(&self, message: Value) -> Value {
        let (bucket, key) = (message["s3Bucket"].as_str(), message["s3Key"].as_str());
        let Some((bucket, key)) = bucket.zip(key).filter(|_| message["type"] == "s3-overflow") else {
            return message;
        };
        let parked = self.yard.bed().blobs().get(&at(bucket, key), u64::MAX).await.unwrap().unwrap();
        serde_json::from_slice(&parked.bytes).unwrap()
    }

    /// What is sent for a result: all of it, or the word that it lies in the bucket.
    async fn frame(&self, guid: &str, mut result: Value) -> String {
        let whole = result.to_string();
        let key = result["s3Key"].as_str().map(str::to_owned);
        if let Some(key) = key.filter(|_| whole.encode_utf16().count() > LARGEST) {
            let blob = Blob { bytes: whole.into(), ..Blob::default() };
            self.yard.bed().blobs().put(&at(RESULTS, format!("cache/{key}")), blob).await.unwrap();
            let light = json!({ "s3Key": key, "okToCache": true, "execTime": result["execTime"] });
            result = light;
        }
        result["guid"] = json!(guid);
        result.to_string()
    }
}

/// A result: what was understood of the job. The source may say `sleep MILLISECONDS`, `lines NUMBER`, or `result JSON`.
async fn compile(job: &Value) -> Value {
    let id = job["compilerId"].as_str().unwrap_or_default();
    let is_project = job["isCMake"] == true || job.get("buildSystem").is_some();
    if id == "nope" {
        let message = format!("Compiler with ID {id} not found for language undefined");
        return json!({
            "code": -1, "stderr": [{"text": message}], "stdout": [], "okToCache": false, "timedOut": false,
            "inputFilename": "", "asm": [], "tools": [],
        });
    }
    let source = job["source"].as_str().unwrap();
    // Exactly so; anything else is a bare source, with its wishes in the query.
    let is_json = job["headers"]["content-type"] == "application/json";
    let arguments =
        if is_json { &job["options"]["userArguments"] } else { &job["queryStringParameters"]["options"] };
    let mut asm = vec![json!({ "text": format!("arguments: {}", arguments.as_str().unwrap_or_default()) })];
    match source.split_once(' ') {
        Some(("result", result)) => return serde_json::from_str(result).unwrap(),
        Some(("sleep", millis)) => sleep(Duration::from_millis(millis.parse().unwrap())).await,
        // Three bytes, and one UTF-16 unit.
        Some(("lines", number)) => {
            asm.extend((0..number.parse().unwrap()).map(|_| json!({ "text": "\u{20ac}".repeat(40) })));
        }
        _ => asm.push(json!({ "text": source })),
    }
    json!({
        "code": 0, "asm": asm, "stdout": [], "stderr": [], "okToCache": true, "timedOut": false,
        "project": is_project, "s3Key": blake3::hash(source.as_bytes()).to_hex().as_str(),
    })
}
