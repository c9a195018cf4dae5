//! The instance metadata service on loopback: version 2, as strict about tokens as the real one.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use compilation_worker::instance::Item;

use crate::aws::server::{Act, Request, Server};

/// What the instance is called.
pub(super) const INSTANCE: &str = "i-0123456789abcdef0";
/// Where a token is had.
const TOKEN: &str = "/latest/api/token";

/// The service.
pub(super) struct Imds {
    server: Server,
    state: Arc<State>,
}

struct State {
    says: Mutex<HashMap<&'static str, Act>>,
    /// Done with every request, whatever it asks for.
    always: Mutex<Option<Act>>,
    /// Tokens given so far; the last one is good.
    tokens: AtomicUsize,
    /// Whether the last one is void.
    void: AtomicBool,
    /// Seconds that a token is good for.
    life: AtomicU64,
}

impl Imds {
    /// Of an instance in service.
    pub(super) async fn start() -> Self {
        let state = Arc::new(State {
            says: Mutex::default(),
            always: Mutex::default(),
            tokens: AtomicUsize::new(0),
            void: AtomicBool::new(false),
            life: AtomicU64::new(21_600),
        });
        let shared = Arc::clone(&state);
        let server = Server::start(move |request| shared.answer(request)).await;
        let imds = Self { server, state };
        imds.say(Item::Instance, INSTANCE);
        imds.say(Item::Zone, "us-east-1a");
        imds.say(Item::Target, "InService");
        imds
    }

    /// What `instance.metadata` is set to.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.server.host())
    }

    /// From now on, an item is this text.
    pub(super) fn say(&self, item: Item, text: &str) {
        self.act(item, Act::Answer(200, String::new(), text.as_bytes().to_vec()));
    }

    /// From now on, this is done when an item is asked for.
    pub(super) fn act(&self, item: Item, act: Act) {
        self.state.says.lock().unwrap().insert(item.path(), act);
    }

    /// From now on, this is done whatever is asked for; or what was done before.
    pub(super) fn always(&self, act: Option<Act>) {
        *self.state.always.lock().unwrap() = act;
    }

    /// The last token is good no more.
    pub(super) fn revoke(&self) {
        self.state.void.store(true, Ordering::SeqCst);
    }

    /// From now on, tokens are good for so many seconds.
    pub(super) fn shorten(&self, seconds: u64) {
        self.state.life.store(seconds, Ordering::SeqCst);
    }

    /// Tokens given so far.
    pub(super) fn tokens(&self) -> usize {
        self.state.tokens.load(Ordering::SeqCst)
    }

    /// Requests so far.
    pub(super) fn asked(&self) -> usize {
        self.server.asked()
    }
}

impl State {
    fn answer(&self, request: &Request) -> Act {
        if let Some(act) = self.always.lock().unwrap().clone() {
            return act;
        }
        let mut words = request.line().split(' ');
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let plain = |status: u16| Act::Answer(status, String::new(), Vec::new());
        if (method, path) == ("PUT", TOKEN) {
            let life = request.header("x-aws-ec2-metadata-token-ttl-seconds");
            if !life.and_then(|life| life.parse().ok()).is_some_and(|life: u64| (1..=21_600).contains(&life))
            {
                return plain(400);
            }
            let number = self.tokens.fetch_add(1, Ordering::SeqCst) + 1;
            self.void.store(false, Ordering::SeqCst);
            let life = self.life.load(Ordering::SeqCst);
            let headers = format!("x-aws-ec2-metadata-token-ttl-seconds: {life}\r\n");
            return Act::Answer(200, headers, format!("token-{number}==").into_bytes());
        }
        let good = format!("token-{}==", self.tokens.load(Ordering::SeqCst));
        let given = request.header("x-aws-ec2-metadata-token");
        if given != Some(good.as_str()) || self.void.load(Ordering::SeqCst) {
            return plain(401);
        }
        self.says.lock().unwrap().get(path).filter(|_| method == "GET").cloned().unwrap_or_else(|| plain(404))
    }
}
