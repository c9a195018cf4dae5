//! The operator's door: metrics, health and the levers, on a thread and a runtime of their own, so that they answer
//! while the main runtime is drowning.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use http::header::{ALLOW, CACHE_CONTROL, HeaderValue};
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use tokio::net::TcpListener;

use crate::doors::health::Health;
use crate::doors::reply::{self, JSON, Reply};
use crate::doors::server::{self, House, HttpSettings, Refusal, Service};
use crate::lifecycle;

/// Prometheus' text format.
const METRICS: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
/// Scrapers and people; nobody else comes here.
const MOST_CONNECTIONS: usize = 64;

/// A lever that takes a while, and says what came of it.
pub type Reload = Box<dyn Fn() -> Pin<Box<dyn Future<Output = Result<String, String>> + Send>> + Send + Sync>;

/// What the operator can see and move.
pub struct Controls {
    /// How we are.
    pub health: Health,
    /// All metrics, as Prometheus reads them.
    pub metrics: Box<dyn Fn() -> String + Send + Sync>,
    /// The tasks and what became of them, as JSON.
    pub tasks: Box<dyn Fn() -> Vec<u8> + Send + Sync>,
    /// Loads the catalogue again; a bad one changes nothing.
    pub reload: Reload,
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

/// The paths of this door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
    Metrics,
    Healthcheck,
    Live,
    Ready,
    Tasks,
    Reload,
    Drain,
    ClearCache,
}

#[derive(Clone)]
struct AdminDoor(Arc<Controls>);

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
        runtime.block_on(server::run(listener, AdminDoor(Arc::new(controls)), house, closing));
    })
}

impl Route {
    fn find(path: &str) -> Option<Self> {
        Some(match path.trim_end_matches('/') {
            "/metrics" => Self::Metrics,
            "/healthcheck" | "/health" => Self::Healthcheck,
            "/health/live" => Self::Live,
            "/health/ready" => Self::Ready,
            "/admin/tasks" => Self::Tasks,
            "/admin/reload" => Self::Reload,
            "/admin/drain" => Self::Drain,
            "/admin/clear-cache" => Self::ClearCache,
            _ => return None,
        })
    }

    /// Whether it changes something.
    const fn moves(self) -> bool {
        matches!(self, Self::Reload | Self::Drain | Self::ClearCache)
    }
}

impl Service for AdminDoor {
    async fn answer(&self, request: Request<Incoming>, peer: SocketAddr) -> Reply {
        let mut reply = self.handle(&request, peer).await;
        reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        reply
    }

    fn refuse(&self, refusal: Refusal, _peer: SocketAddr) -> Vec<u8> {
        let status = refusal.status();
        format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").into_bytes()
    }
}

impl AdminDoor {
    async fn handle(&self, request: &Request<Incoming>, peer: SocketAddr) -> Reply {
        let Some(route) = Route::find(request.uri().path()) else {
            return error(StatusCode::NOT_FOUND, "Not Found");
        };
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        if reads == route.moves() || (!reads && request.method() != Method::POST) {
            let mut reply = error(StatusCode::METHOD_NOT_ALLOWED, "method not allowed");
            let allow = if route.moves() { "POST" } else { "GET, HEAD" };
            reply.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
            return reply;
        }
        if route.moves() && !peer.ip().to_canonical().is_loopback() {
            return error(StatusCode::FORBIDDEN, "only this machine itself may do that");
        }
        match route {
            Route::Metrics => reply::reply(StatusCode::OK, METRICS, (self.0.metrics)()),
            Route::Healthcheck => self.0.health.report(),
            Route::Live => self.0.health.live(),
            Route::Ready => self.0.health.ready(),
            Route::Tasks => reply::reply(StatusCode::OK, JSON, (self.0.tasks)()),
            Route::Reload => match (self.0.reload)().await {
                Ok(message) => done(&message),
                Err(message) => error(StatusCode::UNPROCESSABLE_ENTITY, &message),
            },
            Route::Drain => {
                (self.0.drain)();
                done("draining")
            }
            Route::ClearCache => {
                (self.0.clear_caches)();
                reply::cleared()
            }
        }
    }
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
