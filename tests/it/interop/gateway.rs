//! The deployed events gateway with its ways (contract-cloud 4.2, 4.3 and X-7): a subscription is confirmed by nothing and
//! visible some time later, a ping is answered whatever was said before it, and receipts get lost.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::Message;

/// Its ways.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Ways {
    /// How long a subscription takes to be visible.
    pub(super) late: Duration,
    /// Of so many receipts, the first gets lost; with none, none does.
    pub(super) loses: usize,
    /// Whether a result is relayed twice.
    pub(super) twice: bool,
    /// Dials that are hung up on before all others are served.
    pub(super) refuses: usize,
}

/// A gateway. Dropped, it is gone.
pub(super) struct Gateway {
    pub(super) address: SocketAddr,
    state: Arc<State>,
    _running: JoinSet<()>,
}

struct State {
    ways: Ways,
    seen: Mutex<Seen>,
}

/// What has happened so far, and who is there.
#[derive(Debug, Default)]
struct Seen {
    dials: usize,
    receipts: usize,
    heard: Vec<String>,
    /// Codes with which connections were closed; none for those that broke off.
    closed: Vec<Option<u16>>,
    clients: HashMap<usize, mpsc::UnboundedSender<String>>,
    /// By name: who, and from when on.
    subscribers: HashMap<String, Vec<(usize, Instant)>>,
    senders: HashMap<String, usize>,
}

impl Gateway {
    pub(super) async fn open(ways: Ways) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State { ways, seen: Mutex::default() });
        let (mut running, shared) = (JoinSet::new(), Arc::clone(&state));
        running.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(Arc::clone(&shared).serve(stream));
            }
        });
        Self { address, state, _running: running }
    }

    /// Everything that was said to it.
    pub(super) fn heard(&self) -> Vec<String> {
        self.state.seen.lock().unwrap().heard.clone()
    }

    pub(super) fn dials(&self) -> usize {
        self.state.seen.lock().unwrap().dials
    }

    /// How many are there.
    pub(super) fn clients(&self) -> usize {
        self.state.seen.lock().unwrap().clients.len()
    }

    /// How those who left have left.
    pub(super) fn closed(&self) -> Vec<Option<u16>> {
        self.state.seen.lock().unwrap().closed.clone()
    }

    /// Says something to everybody.
    pub(super) fn shout(&self, text: &str) {
        for client in self.state.seen.lock().unwrap().clients.values() {
            client.send(text.to_owned()).unwrap();
        }
    }
}

impl State {
    async fn serve(self: Arc<Self>, stream: TcpStream) {
        let (lines, mut told) = mpsc::unbounded_channel();
        let number = {
            let mut seen = self.seen.lock().unwrap();
            seen.dials += 1;
            if seen.dials <= self.ways.refuses {
                return;
            }
            seen.dials
        };
        let Ok(socket) = accept_async(stream).await else { return };
        self.seen.lock().unwrap().clients.insert(number, lines);
        let (mut sink, mut texts) = socket.split();
        let code = loop {
            tokio::select! {
                Some(text) = told.recv() => if sink.send(Message::text(text)).await.is_err() { break None },
                heard = texts.next() => match heard {
                    Some(Ok(Message::Text(text))) => self.seen.lock().unwrap().hear(self.ways, number, text.as_str()),
                    Some(Ok(Message::Close(frame))) => break frame.map(|frame| frame.code.into()),
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => break None,
                },
            }
        };
        let mut seen = self.seen.lock().unwrap();
        seen.clients.remove(&number);
        seen.closed.push(code);
    }
}

impl Seen {
    fn hear(&mut self, ways: Ways, from: usize, text: &str) {
        self.heard.push(text.to_owned());
        if let Some(name) = text.strip_prefix("subscribe: ") {
            let visible = Instant::now() + ways.late;
            self.subscribers.entry(name.to_owned()).or_default().push((from, visible));
        } else if let Some(name) = text.strip_prefix("unsubscribe: ") {
            self.subscribers.entry(name.to_owned()).or_default().retain(|(who, _)| *who != from);
        } else if let Some(name) = text.strip_prefix("ack: ") {
            self.receipts += 1;
            let lost = ways.loses > 0 && self.receipts % ways.loses == 1 % ways.loses;
            if let Some(sender) = self.senders.get(name).filter(|_| !lost) {
                let receipt = json!({ "type": "ack", "guid": name, "acknowledgedBy": from.to_string() });
                self.say(*sender, receipt.to_string());
            }
        } else if text == "ping" {
            self.say(from, "pong".to_owned());
        } else if text.starts_with('{') {
            self.relay(ways, from, text);
        } else {
            self.say(from, "unknown text message".to_owned());
        }
    }

    fn relay(&mut self, ways: Ways, from: usize, text: &str) {
        let message: Value = serde_json::from_str(text).unwrap();
        let Some(name) = message["guid"].as_str() else {
            return self.say(from, "unknown object message".to_owned());
        };
        self.senders.insert(name.to_owned(), from);
        let now = Instant::now();
        let subscribers = self.subscribers.get(name).into_iter().flatten();
        for (who, _) in subscribers.filter(|(_, visible)| *visible <= now) {
            for _ in 0..=usize::from(ways.twice) {
                self.say(*who, text.to_owned());
            }
        }
    }

    /// Whoever is gone hears nothing.
    fn say(&self, to: usize, text: String) {
        let _gone = self.clients.get(&to).is_none_or(|client| client.send(text).is_err());
    }
}
