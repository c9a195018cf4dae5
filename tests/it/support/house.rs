//! The public door in this process, over a workshop that obeys its source code.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use compilation_worker::domain::class::Class;
use compilation_worker::domain::ids::LanguageId;
use compilation_worker::domain::result::JobStatus;
use compilation_worker::doors::health::{Health, Vitals};
use compilation_worker::doors::http::{Door, DoorSettings, Fleet, Parts, Served};
use compilation_worker::doors::server::{self, Gate, HttpSettings};
use compilation_worker::doors::workshop::{Failure, Job, Listing, Workshop};
use compilation_worker::engine::{Answer, Rendition, Terms};
use compilation_worker::lifecycle::Phase;
use compilation_worker::relay::shadow::Shadow;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::client::Client;

/// A running door.
pub(crate) struct House {
    pub(crate) address: SocketAddr,
    pub(crate) workshop: Fake,
    pub(crate) served: Arc<Mutex<Vec<Served>>>,
    drain: watch::Sender<bool>,
    server: JoinSet<()>,
}

/// The settings of a [`House`].
#[derive(Default)]
pub(crate) struct Plan {
    pub(crate) http: HttpSettings,
    pub(crate) door: DoorSettings,
    pub(crate) fleet: Option<Fleet>,
    pub(crate) shadow: Option<Shadow>,
}

/// Compiles by obeying: see [`Fake::obey`].
#[derive(Clone, Default)]
pub(crate) struct Fake(Arc<State>);

#[derive(Default)]
struct State {
    begun: AtomicUsize,
    running: AtomicUsize,
    cancelled: AtomicUsize,
    cleared: AtomicUsize,
    busy: AtomicBool,
    terms: Mutex<Vec<Terms>>,
    remembered: Mutex<HashMap<Vec<u8>, Answer>>,
}

struct Running<'a> {
    state: &'a State,
    done: bool,
}

/// The deadlines of the real thing, scaled so that a test sees them strike.
pub(crate) fn scaled() -> Plan {
    let http = HttpSettings {
        idle: Duration::from_millis(750),
        head: Duration::from_millis(400),
        body: Duration::from_millis(600),
        body_window: Duration::from_millis(300),
        write_window: Duration::from_millis(500),
        body_bytes: 1_000_000,
        ..HttpSettings::default()
    };
    Plan {
        door: DoorSettings { body_bytes: http.body_bytes, ..DoorSettings::default() },
        http,
        ..Plan::default()
    }
}

impl House {
    pub(crate) async fn open() -> Self {
        Self::build(Plan::default()).await
    }

    pub(crate) async fn build(plan: Plan) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (drain, mut draining) = watch::channel(false);
        let (workshop, gate, served) = (Fake::default(), Gate::default(), Arc::new(Mutex::new(Vec::new())));
        let (phase, seen) = (draining.clone(), Arc::clone(&served));
        let door = Door::new(Parts {
            workshop: workshop.clone(),
            fleet: plan.fleet,
            shadow: plan.shadow,
            settings: plan.door,
            health: Health::new(move || vitals(*phase.borrow())),
            gate: gate.clone(),
            observe: Box::new(move |one| seen.lock().unwrap().push(one)),
        });
        let house = server::House { settings: plan.http, gate, ..server::House::default() };
        let mut tasks = JoinSet::new();
        tasks.spawn(server::run(listener, door, house, async move {
            draining.wait_for(|draining| *draining).await.unwrap();
        }));
        Self { address, workshop, served, drain, server: tasks }
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(self.address).await
    }

    /// What SIGTERM does.
    pub(crate) fn drain(&self) {
        self.drain.send_replace(true);
    }

    /// Waits for the server to end by itself.
    pub(crate) async fn ended(&mut self) {
        timeout(Duration::from_secs(10), self.server.join_next())
            .await
            .expect("the drain hangs")
            .unwrap()
            .unwrap();
    }
}

pub(crate) fn vitals(draining: bool) -> Vitals {
    Vitals {
        phase: if draining { Phase::Draining } else { Phase::Serving },
        consuming: !draining,
        paused_by: Vec::new(),
        trouble: None,
        compilers: 1,
        slots: 2,
        slots_busy: 1,
        queued: 3,
        queue_limit: 4,
        has_fleet: false,
        hub_connected: false,
    }
}

impl Fake {
    /// Whether every slot shall be taken.
    pub(crate) fn pretend_busy(&self, busy: bool) {
        self.0.busy.store(busy, Ordering::SeqCst);
    }

    pub(crate) fn begun(&self) -> usize {
        self.0.begun.load(Ordering::SeqCst)
    }

    /// How each job was treated.
    pub(crate) fn terms(&self) -> Vec<Terms> {
        self.0.terms.lock().unwrap().clone()
    }

    pub(crate) fn running(&self) -> usize {
        self.0.running.load(Ordering::SeqCst)
    }

    pub(crate) fn cancelled(&self) -> usize {
        self.0.cancelled.load(Ordering::SeqCst)
    }

    pub(crate) fn cleared(&self) -> usize {
        self.0.cleared.load(Ordering::SeqCst)
    }

    /// `sleep N` (milliseconds), `reply N` and `listing N` (bytes), `fail CLASS`, `panic`, `remember`; anything else is
    /// echoed with its arguments.
    async fn obey(&self, job: Job<Self>) -> Result<Answer, Failure> {
        let (verb, object) = job.request.source.split_once(' ').unwrap_or((&job.request.source, ""));
        let mut body = format!("{} {:?}", job.request.source, job.request.arguments).into_bytes();
        match verb {
            "sleep" => tokio::time::sleep(Duration::from_millis(object.parse().unwrap())).await,
            "reply" | "listing" => body = vec![b'x'; object.parse().unwrap()],
            "panic" => panic!("planted"),
            "fail" => {
                let class = Class::ALL.into_iter().find(|class| class.as_str() == object).unwrap();
                return Err(Failure { class, message: "the reason".to_owned(), retry_after: None });
            }
            _ => {}
        }
        if job.rendition == Rendition::Json {
            let text = String::from_utf8(body).unwrap();
            body = serde_json::to_vec(&match verb {
                "listing" => serde_json::json!({"code": 0, "asm": [{ "text": text }]}),
                _ => serde_json::json!({ "echo": text }),
            })
            .unwrap();
        }
        let answer = Answer { body: [body.into(), Bytes::new()], status: JobStatus::Ok, cached: false };
        if verb == "remember" {
            let remembered = Answer { cached: true, ..answer.clone() };
            self.0.remembered.lock().unwrap().insert(job.key, remembered);
        }
        Ok(answer)
    }
}

impl Workshop for Fake {
    type Compiler = ();
    type Key = Vec<u8>;

    fn find(&self, _language: Option<&LanguageId>, id: &str) -> Option<()> {
        (id == "g1").then_some(())
    }

    fn key(&self, parts: &[&[u8]]) -> Vec<u8> {
        parts.join(&b"\n--\n"[..])
    }

    async fn recall(&self, key: &Vec<u8>) -> Option<Answer> {
        self.0.remembered.lock().unwrap().get(key).cloned()
    }

    fn is_busy(&self) -> bool {
        self.0.busy.load(Ordering::SeqCst)
    }

    async fn room(&self) -> usize {
        usize::MAX
    }

    async fn compile(&self, job: Job<Self>) -> Result<Answer, Failure> {
        self.0.begun.fetch_add(1, Ordering::SeqCst);
        self.0.running.fetch_add(1, Ordering::SeqCst);
        job.waited.note(Duration::ZERO);
        self.0.terms.lock().unwrap().push(job.terms);
        let mut running = Running { state: &self.0, done: false };
        let answer = self.obey(job).await;
        running.done = true;
        answer
    }

    fn split(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    fn list(
        &self,
        listing: Listing<'_>,
        fields: Option<&str>,
        rendition: Rendition,
    ) -> Result<Vec<u8>, Failure> {
        Ok(serde_json::to_vec(&format!("{listing:?} {fields:?} {rendition:?}")).unwrap())
    }

    fn clear_caches(&self) {
        self.0.cleared.fetch_add(1, Ordering::SeqCst);
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.state.running.fetch_sub(1, Ordering::SeqCst);
        if !self.done {
            self.state.cancelled.fetch_add(1, Ordering::SeqCst);
        }
    }
}
