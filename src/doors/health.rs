//! What balancers and people ask: is it alive, is it ready, how busy is it.

use std::fmt;
use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;

use crate::doors::reply::{self, Reply};
use crate::lifecycle::Phase;
use crate::lifecycle::pause::Cause;

/// The deployed router's constant. Watchers take "as many attempts as this" for the end.
const RECONNECTS: u32 = 10;

/// What the worker knows of itself right now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vitals {
    /// Where in its life it is.
    pub phase: Phase,
    /// Whether anything may still come from its queue; without one, whether it would be taken.
    pub consuming: bool,
    /// Why it is to take nothing from its queue, if it is not although it serves. That keeps nobody else from sending work.
    pub paused_by: Vec<Cause>,
    /// Why it cannot do its main job, if it cannot although its phase would let it.
    pub trouble: Option<String>,
    /// Compilers in the catalogue.
    pub compilers: usize,
    /// Jobs that may run at once.
    pub slots: usize,
    /// Jobs that run.
    pub slots_busy: usize,
    /// Requests that wait for a slot.
    pub queued: usize,
    /// Requests that may wait.
    pub queue_limit: usize,
    /// Whether requests for compilers that are not here can be answered elsewhere.
    pub has_fleet: bool,
    /// Whether there is a way to the events hub now. That it is away keeps nobody from working here.
    pub hub_connected: bool,
}

/// Asks for the vitals; cheap, and never waits for anything.
#[derive(Clone)]
pub struct Health(Arc<dyn Fn() -> Vitals + Send + Sync>);

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Health").field(&(self.0)()).finish()
    }
}

/// The body of `/healthcheck`: the deployed router's members, then ours.
#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    timestamp: String,
    /// Of the results socket, in the words that watchers of the deployed router know.
    websocket: &'static str,
    reconnect_attempts: u32,
    max_reconnect_attempts: u32,
    phase: &'static str,
    /// False only when nothing more comes from the queue. What is in hand, `slotsBusy` and `queued` tell.
    consuming: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    paused_by: Vec<&'static str>,
    compilers: usize,
    slots: usize,
    slots_busy: usize,
    queued: usize,
    queue_limit: usize,
}

impl Health {
    /// Health as `vitals` tells it.
    pub fn new(vitals: impl Fn() -> Vitals + Send + Sync + 'static) -> Self {
        Self(Arc::new(vitals))
    }

    /// The vitals, now.
    pub fn vitals(&self) -> Vitals {
        (self.0)()
    }
}

impl Vitals {
    /// Why new work should go elsewhere.
    fn unready(&self) -> Option<String> {
        if self.phase != Phase::Serving {
            return Some(self.phase.as_str().to_owned());
        }
        let idle = self.compilers == 0 && !self.has_fleet;
        self.trouble.clone().or_else(|| idle.then(|| "no compilers".to_owned()))
    }
}

/// Everything: 200 while able to do the main job, 503 otherwise.
pub async fn report(State(Health(vitals)): State<Health>) -> Reply {
    let vitals = vitals();
    let reason = vitals.unready();
    let status = if reason.is_none() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let report = Report {
        status: if reason.is_none() { "healthy" } else { "unhealthy" },
        reason,
        timestamp: format!("{:.3}", jiff::Timestamp::now()),
        websocket: if vitals.hub_connected { "connected" } else { "disconnected" },
        reconnect_attempts: 0,
        max_reconnect_attempts: RECONNECTS,
        phase: vitals.phase.as_str(),
        consuming: vitals.consuming,
        paused_by: vitals.paused_by.into_iter().map(Cause::as_str).collect(),
        compilers: vitals.compilers,
        slots: vitals.slots,
        slots_busy: vitals.slots_busy,
        queued: vitals.queued,
        queue_limit: vitals.queue_limit,
    };
    reply::json(status, &report)
}

/// Whether the process should be left alone: false only once it has stopped.
pub async fn live(State(Health(vitals)): State<Health>) -> Reply {
    let stopped = vitals().phase == Phase::Stopped;
    plain(if stopped { Err("stopped".to_owned()) } else { Ok("live") })
}

/// Whether new work is welcome.
pub async fn ready(State(Health(vitals)): State<Health>) -> Reply {
    plain(vitals().unready().map_or(Ok("ready"), Err))
}

fn plain(verdict: Result<&'static str, String>) -> Reply {
    match verdict {
        Ok(word) => reply::json(StatusCode::OK, &serde_json::json!({ "status": word })),
        Err(reason) => {
            let body = serde_json::json!({ "status": "unavailable", "reason": reason });
            reply::json(StatusCode::SERVICE_UNAVAILABLE, &body)
        }
    }
}
