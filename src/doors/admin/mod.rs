//! The operator's door: metrics, health, a page to look at and the levers, on a thread and a runtime of their own, so
//! that they answer while the main runtime is drowning.

mod origin;
mod page;
mod problems;
pub mod status;

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRef, State};
use axum::middleware::{Next, from_fn};
use axum::routing::{get, post};
use axum::{Extension, Router};
use http::header::{ACCEPT, CACHE_CONTROL, HeaderValue};
use http::{HeaderMap, Request, StatusCode};
use hyper::body::Incoming;
use tokio::net::TcpListener;
use tower::ServiceExt as _;

use self::status::Status;
use crate::doors::health::{self, Health};
use crate::doors::reply::{self, JSON, Reply};
use crate::doors::server::{self, House, HttpSettings, Refusal, Service};
use crate::lifecycle;

/// What the metrics are, to a scraper that knows it by name; every other reads the same text as [`PROMETHEUS`].
const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
/// Prometheus' own format.
const PROMETHEUS: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
/// Scrapers and people; nobody else comes here.
const MOST_CONNECTIONS: usize = 64;

/// What comes of a lever that takes a while, in words.
pub type Outcome = Pin<Box<dyn Future<Output = Result<String, String>> + Send>>;

/// What the operator can see and move.
pub struct Controls {
    /// How we are.
    pub health: Health,
    /// All metrics, as Prometheus reads them.
    pub metrics: Box<dyn Fn() -> String + Send + Sync>,
    /// What the page shows.
    pub status: Box<dyn Fn() -> Status + Send + Sync>,
    /// The tasks and what became of them, as JSON.
    pub tasks: Box<dyn Fn() -> Vec<u8> + Send + Sync>,
    /// Loads the catalogue again; a bad one changes nothing.
    pub reload: Box<dyn Fn() -> Outcome + Send + Sync>,
    /// Takes nothing more from queues, or takes jobs again, across restarts.
    pub pause: Box<dyn Fn(bool) -> Outcome + Send + Sync>,
    /// Begins the end.
    pub drain: Box<dyn Fn() + Send + Sync>,
    /// Forgets every remembered answer.
    pub clear_caches: Box<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for Controls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Controls").field("health", &self.health).finish_non_exhaustive()
    }
}

#[derive(Clone)]
struct AdminDoor(Router);

/// Opens the door on a thread of its own; it stays open until `closing` resolves.
pub fn open(
    listener: std::net::TcpListener,
    controls: Controls,
    closing: impl Future<Output = ()> + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listener = {
        let _inside = runtime.enter();
        TcpListener::from_std(listener)?
    };
    lifecycle::thread("admin", move || {
        let settings = HttpSettings {
            connections: MOST_CONNECTIONS,
            // Nothing here takes long, and nobody should wait for a scraper that keeps its connection.
            linger: Duration::from_millis(100),
            ..HttpSettings::default()
        };
        let house = House { settings, ..House::default() };
        runtime.block_on(server::run(listener, AdminDoor(router(controls)), house, closing));
    })
}

impl Service for AdminDoor {
    async fn answer(&self, mut request: Request<Incoming>, peer: SocketAddr) -> Reply {
        if request.uri().path().ends_with('/') {
            let path = request.uri().path().trim_end_matches('/');
            *request.uri_mut() = path.parse().unwrap_or_default();
        }
        request.extensions_mut().insert(peer);
        let Ok(mut reply) = self.0.clone().oneshot(request).await;
        reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        reply
    }

    fn refuse(&self, refusal: Refusal, _peer: SocketAddr) -> Vec<u8> {
        let status = refusal.status();
        format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").into_bytes()
    }
}

impl FromRef<Arc<Controls>> for Health {
    fn from_ref(controls: &Arc<Controls>) -> Self {
        controls.health.clone()
    }
}

/// The paths of this door: what anyone may see, and what only this machine itself may move.
fn router(controls: Controls) -> Router {
    let levers = Router::new()
        .route("/admin/reload", post(reload))
        .route("/admin/pause", post(pause))
        .route("/admin/resume", post(resume))
        .route("/admin/drain", post(drain))
        .route("/admin/clear-cache", post(clear_cache))
        .route_layer(from_fn(only_here));
    let views = Router::new()
        .route("/admin", get(page::page))
        .route("/admin/status", get(status))
        .route("/admin/tasks", get(tasks))
        .route_layer(from_fn(by_its_name));
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthcheck", get(health::report))
        .route("/health", get(health::report))
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .merge(views)
        .merge(levers)
        .method_not_allowed_fallback(async || error(StatusCode::METHOD_NOT_ALLOWED, "method not allowed"))
        .fallback(async || error(StatusCode::NOT_FOUND, "Not Found"))
        .with_state(Arc::new(controls))
}

async fn only_here(Extension(peer): Extension<SocketAddr>, request: Request<Body>, next: Next) -> Reply {
    let afar = (!peer.ip().to_canonical().is_loopback()).then_some("only this machine itself may do that");
    match afar.or_else(|| origin::objection(request.headers())) {
        Some(objection) => error(StatusCode::FORBIDDEN, objection),
        None => next.run(request).await,
    }
}

/// A page of another site, whose name is made to lead here, could read what it is answered.
async fn by_its_name(request: Request<Body>, next: Next) -> Reply {
    match origin::stranger(request.headers()) {
        Some(objection) => error(StatusCode::FORBIDDEN, objection),
        None => next.run(request).await,
    }
}

async fn metrics(State(controls): State<Arc<Controls>>, headers: HeaderMap) -> Reply {
    let accepted = headers.get(ACCEPT).and_then(|accepted| accepted.to_str().ok()).unwrap_or_default();
    let named = accepted.contains("application/openmetrics-text");
    reply::reply(StatusCode::OK, if named { OPEN_METRICS } else { PROMETHEUS }, (controls.metrics)())
}

async fn status(State(controls): State<Arc<Controls>>) -> Reply {
    page::guarded(reply::json(StatusCode::OK, &(controls.status)()))
}

async fn tasks(State(controls): State<Arc<Controls>>) -> Reply {
    page::guarded(reply::reply(StatusCode::OK, JSON, (controls.tasks)()))
}

async fn reload(State(controls): State<Arc<Controls>>) -> Reply {
    match (controls.reload)().await {
        Ok(message) => done(&message),
        Err(message) => error(StatusCode::UNPROCESSABLE_ENTITY, &message),
    }
}

async fn pause(State(controls): State<Arc<Controls>>) -> Reply {
    set_paused(&controls, true).await
}

async fn resume(State(controls): State<Arc<Controls>>) -> Reply {
    set_paused(&controls, false).await
}

async fn set_paused(controls: &Controls, paused: bool) -> Reply {
    match (controls.pause)(paused).await {
        Ok(message) => done(&message),
        Err(message) => error(StatusCode::INTERNAL_SERVER_ERROR, &message),
    }
}

async fn drain(State(controls): State<Arc<Controls>>) -> Reply {
    (controls.drain)();
    done("draining")
}

async fn clear_cache(State(controls): State<Arc<Controls>>) -> Reply {
    (controls.clear_caches)();
    reply::cleared()
}

#[derive(serde::Serialize)]
struct Done<'a> {
    success: bool,
    message: &'a str,
}

#[derive(serde::Serialize)]
struct Error<'a> {
    error: &'a str,
}

fn done(message: &str) -> Reply {
    reply::json(StatusCode::OK, &Done { success: true, message })
}

fn error(status: StatusCode, error: &str) -> Reply {
    reply::json(status, &Error { error })
}
