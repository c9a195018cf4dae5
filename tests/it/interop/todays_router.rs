//! Today's router from the queue on, as the contract tells it (contract-cloud 3.1 to 3.3, 4.4 and 4.6): one socket; subscribe,
//! sleep, send, and only then wait; what comes for anybody else is dropped without a word.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use compilation_worker::ports::{Blob, BlobStore as _, Message, QueueSink as _};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use super::socket::Socket;
use super::yard::{Yard, at};
use crate::support::fleet::{OVERFLOW, RESULTS};

/// What the router hopes is enough for a subscription.
const AFTER_SUBSCRIBE: Duration = Duration::from_millis(50);
/// How long it waits for a result, from when the queue has taken the job.
const RESULT_WAIT: Duration = Duration::from_mins(1);
/// How long it waits before it dials again.
const RECONNECT: Duration = Duration::from_secs(5);
/// Bytes of the largest message; more are parked.
const LARGEST_INLINE: usize = 262_144;
/// Members of which one at least stands in a result that is whole.
const CARRIED: [&str; 6] = ["asm", "stdout", "stderr", "code", "output", "result"];

pub(super) struct TodaysRouter<'a> {
    yard: &'a Yard,
    /// None while it is disconnected.
    socket: Mutex<Option<Socket>>,
    state: Arc<State>,
    /// Between the queue's answer and the waiter: a busy event loop.
    dawdles: Duration,
}

#[derive(Default)]
struct State {
    waiters: Mutex<HashMap<String, Option<oneshot::Sender<Value>>>>,
    /// Results for which nobody waited.
    dropped: AtomicUsize,
}

impl State {
    /// What the router says to what it hears.
    fn hear(&self, text: &str) -> Option<String> {
        let message: Value = serde_json::from_str(text).ok()?;
        let guid = message["guid"].as_str()?.to_owned();
        let mut waiters = self.waiters.lock().unwrap();
        let Some(waiter) = waiters.get_mut(&guid) else {
            self.dropped.fetch_add(1, Ordering::SeqCst);
            return None;
        };
        if let Some(waiter) = waiter.take() {
            waiter.send(message).unwrap();
        }
        Some(format!("ack: {guid}"))
    }
}

impl<'a> TodaysRouter<'a> {
    pub(super) async fn open(yard: &'a Yard, dawdles: Duration) -> Self {
        let router = Self { yard, socket: Mutex::default(), state: Arc::default(), dawdles };
        router.dial().await;
        router
    }

    async fn dial(&self) {
        let heard = Arc::clone(&self.state);
        let socket = Socket::dial(self.yard.fleet.hub, move |text| heard.hear(text)).await;
        for (guid, waiter) in &*self.state.waiters.lock().unwrap() {
            if waiter.is_some() {
                socket.say(format!("subscribe: {guid}"));
            }
        }
        *self.socket.lock().unwrap() = Some(socket);
    }

    /// Loses its connection, and has the next when its time has come.
    pub(super) async fn break_off(&self) {
        drop(self.socket.lock().unwrap().take());
        sleep(RECONNECT).await;
        self.dial().await;
    }

    fn say(&self, text: String) {
        if let Some(socket) = &*self.socket.lock().unwrap() {
            socket.say(text);
        }
    }

    /// Results that came when nobody waited for them.
    pub(super) fn dropped(&self) -> usize {
        self.state.dropped.load(Ordering::SeqCst)
    }

    /// What a client gets for a JSON body, sent as `content_type`.
    pub(super) async fn compile(&self, compiler: &str, content_type: &str, body: &Value) -> Value {
        let guid = uuid::Uuid::new_v4().to_string();
        self.say(format!("subscribe: {guid}"));
        sleep(AFTER_SUBSCRIBE).await;
        let message = message(&guid, compiler, content_type, body);
        self.send(&guid, compiler, message.to_string()).await;
        sleep(self.dawdles).await;
        let (waiter, result) = oneshot::channel();
        self.state.waiters.lock().unwrap().insert(guid.clone(), Some(waiter));
        let result = timeout(RESULT_WAIT, result).await.expect("408").unwrap();
        let result = self.resolve(result).await;
        self.state.waiters.lock().unwrap().remove(&guid);
        self.say(format!("unsubscribe: {guid}"));
        result
    }

    async fn send(&self, guid: &str, compiler: &str, body: String) {
        let body = if body.len() > LARGEST_INLINE { self.park(guid, compiler, body).await } else { body };
        let (group, dedup) = (Some("default".to_owned()), Some(guid.to_owned()));
        let message = Message { body, group, dedup, ..Message::default() };
        self.yard.bed().queues().send(&self.yard.queue, message).await.unwrap();
    }

    async fn park(&self, guid: &str, compiler: &str, body: String) -> String {
        let (now, size) = (Timestamp::now(), body.len());
        let key = format!("sqs-overflow/prod/{}/{guid}.json", now.strftime("%Y-%m-%d"));
        let blob =
            Blob { bytes: body.into(), content_type: "application/json".to_owned(), ..Blob::default() };
        self.yard.bed().blobs().put(&at(OVERFLOW, &key), blob).await.unwrap();
        json!({
            "type": "s3-overflow", "guid": guid, "compilerId": compiler, "s3Bucket": OVERFLOW, "s3Key": key,
            "originalSize": size, "timestamp": format!("{now:.3}"),
        })
        .to_string()
    }

    /// The result for the client: what lies in the bucket, if something does, under what the message says.
    async fn resolve(&self, message: Value) -> Value {
        let mut message = message.as_object().unwrap().clone();
        let key = message.get("s3Key").and_then(Value::as_str).map(str::to_owned);
        let whole = CARRIED.iter().any(|member| message.contains_key(*member));
        if let Some(key) = key.filter(|_| !whole) {
            let found = self.yard.bed().blobs().get(&at(RESULTS, format!("cache/{key}")), u64::MAX).await;
            let found = found.unwrap().expect("An internal error has occurred while retrieving the result");
            let mut merged: Map<String, Value> = serde_json::from_slice(&found.bytes).unwrap();
            merged.append(&mut message);
            message = merged;
        }
        message.remove("guid");
        message.remove("s3Key");
        Value::Object(message)
    }
}

/// The job as it lies in the queue: control members, over them the client's, and defaults for what is missing.
fn message(guid: &str, compiler: &str, content_type: &str, body: &Value) -> Value {
    let mut message = json!({
        "guid": guid, "compilerId": compiler, "isCMake": false,
        "headers": {
            "content-type": content_type, "accept": "application/json", "host": "godbolt.org",
            "x-forwarded-for": "192.0.2.1, 192.0.2.2", "cookie": ["a=b", "c=d"],
        },
        "queryStringParameters": {},
    });
    let members = message.as_object_mut().unwrap();
    members.extend(body.as_object().unwrap().clone());
    for (name, value) in [
        ("source", json!("")),
        ("options", json!([])),
        ("filters", json!({})),
        ("backendOptions", json!({})),
        ("tools", json!([])),
        ("libraries", json!([])),
        ("files", json!([])),
        ("executeParameters", json!({})),
    ] {
        members.entry(name).or_insert(value);
    }
    message
}
