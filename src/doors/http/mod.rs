//! The public door: Compiler Explorer's API over HTTP/1.
//!
//! ```text
//! answer ─ request id ─ panic fence ─ route ─ handler ─ pack ─ headers every reply has ─ closing event
//! ```
//!
//! No rule of the trade lives here: what this door can ask, any other can ask, with the same answer.

mod body;
mod compile;
mod encode;
mod engine;
mod negotiate;
mod network;
mod reject;
mod routes;
mod workshop;

use std::fmt;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, CACHE_CONTROL, CONNECTION, HeaderValue, VARY,
};
use http::{HeaderMap, HeaderName, Method, Request, StatusCode, Version};
use hyper::body::Incoming;
use tokio::time::Instant;

use self::reject::{Rejection, Shape};
use self::routes::{Lost, Route};
use crate::domain::class::Class;
use crate::domain::ids::RequestId;
use crate::domain::result::JobStatus;
use crate::doors::health::Health;
use crate::doors::reply::{self, JSON, Reply, TEXT};
use crate::doors::server::{Gate, Opening, Refusal, Service};
use crate::engine::Rendition;
use crate::lifecycle::panic_message;
use crate::wire;

pub use self::network::{Network, NetworkError};
pub use self::workshop::{Failure, Job, Listing, Workshop};

/// The name of a request, given by the caller or by us, on every answer.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What the door lets its owner choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DoorSettings {
    /// The environment whose name may stand before `/api`; any other is unknown here.
    pub environment: Option<String>,
    /// What a client without a preference gets.
    pub default_rendition: Rendition,
    /// How long after its arrival a request is answered at the latest. Below the balancer's patience of 60 s, so
    /// that it is we who say what happened.
    pub answer_within: Duration,
    /// Longest request body, in bytes.
    pub body_bytes: usize,
    /// Bytes of large request bodies held at once; beyond, large requests are refused for a moment.
    pub all_bodies_bytes: usize,
    /// How long clients may keep what the API answered.
    pub keep_for: Duration,
    /// Who may clear the caches, beside this machine itself.
    pub clear_cache_from: Vec<Network>,
    /// The release's name (git hash), as `/api/version` tells it.
    pub version: Option<String>,
    /// The build's number, as `/api/releaseBuild` tells it.
    pub build: Option<String>,
}

impl Default for DoorSettings {
    fn default() -> Self {
        Self {
            environment: None,
            default_rendition: Rendition::Json,
            answer_within: Duration::from_secs(55),
            body_bytes: 16 * 1024 * 1024,
            all_bodies_bytes: 128 * 1024 * 1024,
            keep_for: Duration::from_mins(10),
            clear_cache_from: Network::private(),
            version: None,
            build: None,
        }
    }
}

/// What became of one request: the closing event, as others count it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Served {
    /// The route's name.
    pub route: &'static str,
    /// The status.
    pub status: u16,
    /// What kind of failure, if it was one.
    pub class: Option<Class>,
    /// How the job ended, where there was one.
    pub job: Option<JobStatus>,
    /// Bytes of the reply's body.
    pub bytes: usize,
    /// From the end of the head to the reply.
    pub duration: Duration,
}

/// What a door is made of.
pub struct Parts<W> {
    /// Where compiles are made.
    pub workshop: W,
    /// The owner's choices.
    pub settings: DoorSettings,
    /// How we are.
    pub health: Health,
    /// How open we are.
    pub gate: Gate,
    /// Told of every request that was answered.
    pub observe: Box<dyn Fn(&Served) + Send + Sync>,
}

/// The public door.
pub struct Door<W>(Arc<Inner<W>>);

struct Inner<W> {
    parts: Parts<W>,
    /// `Cache-Control` of what may be kept.
    keep: HeaderValue,
    /// Where request bodies are kept.
    bodies: body::Store,
}

/// One request while it is being answered.
struct Call<'a> {
    id: RequestId,
    route: Route<'a>,
    query: &'a str,
    arrived: Instant,
    /// The compiler that was found, by the name it was asked by.
    compiler: Option<String>,
    job: Option<JobStatus>,
    cached: bool,
}

impl<W> fmt::Debug for Door<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door").field("settings", &self.0.parts.settings).finish_non_exhaustive()
    }
}

impl<W> fmt::Debug for Parts<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl<W> Clone for Door<W> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<W: Workshop> Service for Door<W> {
    async fn answer(&self, request: Request<Incoming>, peer: SocketAddr) -> Reply {
        let arrived = Instant::now();
        let (head, body) = request.into_parts();
        let id = request_id(&head.headers);
        let environment = self.0.parts.settings.environment.as_deref();
        let found = Route::find(head.uri.path(), environment);
        let name = found.as_ref().map_or("none", Route::name);
        let api = found.as_ref().is_ok_and(Route::is_api);
        let shape = if found.as_ref().is_ok_and(Route::compiles) { Shape::Compile } else { Shape::Plain };
        let query = head.uri.query().unwrap_or_default();
        let (mut compiler, mut job, mut cached) = (None, None, false);

        let outcome = if head.method == Method::OPTIONS {
            Ok(reply::reply(StatusCode::OK, TEXT, "OK"))
        } else {
            match found {
                Ok(route) if !route.takes(&head.method) => Err(Rejection::method(route.methods())),
                Ok(route) => {
                    let mut call =
                        Call { id: id.clone(), route, query, arrived, compiler: None, job, cached };
                    let outcome = fenced(self.handle(&mut call, &head.headers, body, peer)).await;
                    (compiler, job, cached) = (call.compiler, call.job, call.cached);
                    outcome
                }
                Err(lost) => Err(Rejection::new(Class::Unknown, lost_message(&lost))),
            }
        };
        let class = outcome.as_ref().err().map(|rejection| rejection.class);
        let mut reply = match outcome {
            Ok(reply) => encode::pack(reply, negotiate::coding(&head.headers)).await,
            Err(rejection) => {
                job = (shape == Shape::Compile).then(|| rejection.job());
                complain(&rejection, &id);
                rejection.reply(shape, &id)
            }
        };
        self.dress(&mut reply, &id, api);
        let duration = arrived.elapsed();
        let status = reply.status().as_u16();
        let served = Served { route: name, status, class, job, bytes: reply.body().len(), duration };
        close(&served, &id, compiler.as_deref(), cached);
        (self.0.parts.observe)(&served);
        reply
    }

    fn refuse(&self, refusal: Refusal, _peer: SocketAddr) -> Vec<u8> {
        let id = RequestId::mint();
        let rejection = Rejection::from(refusal);
        complain(&rejection, &id);
        let mut reply = rejection.reply(Shape::Plain, &id);
        self.dress(&mut reply, &id, false);
        let (class, status, bytes) = (Some(rejection.class), reply.status().as_u16(), reply.body().len());
        let served = Served { route: "none", status, class, job: None, bytes, duration: Duration::ZERO };
        close(&served, &id, None, false);
        (self.0.parts.observe)(&served);
        serialize(&reply)
    }
}

impl<W: Workshop> Door<W> {
    /// A door made of `parts`.
    pub fn new(parts: Parts<W>) -> Self {
        let keep = HeaderValue::from_str(&format!("public, max-age={}", parts.settings.keep_for.as_secs()));
        let keep = keep.unwrap_or(HeaderValue::from_static("no-store"));
        let bodies = body::Store::new(parts.settings.body_bytes, parts.settings.all_bodies_bytes);
        Self(Arc::new(Inner { parts, keep, bodies }))
    }

    async fn handle(
        &self,
        call: &mut Call<'_>,
        headers: &HeaderMap,
        body: Incoming,
        peer: SocketAddr,
    ) -> Result<Reply, Rejection> {
        let settings = &self.0.parts.settings;
        match &call.route {
            Route::Compile(_) | Route::Noscript => self.compile(call, headers, body).await,
            Route::Build { .. } => self.build(call, headers, body).await,
            Route::PopularArguments(id) | Route::OptimizationArguments(id) => {
                match self.0.parts.workshop.find(None, id) {
                    Some(_) => Ok(reply::reply(StatusCode::OK, JSON, "{}")),
                    None => {
                        Err(Rejection::new(Class::Unknown, format!("Not Found: there is no compiler {id:?}")))
                    }
                }
            }
            Route::Compilers(language) => {
                self.list(Listing::Compilers(language.as_deref()), call.query, headers)
            }
            Route::Languages => self.list(Listing::Languages, call.query, headers),
            Route::Libraries(language) => {
                self.list(Listing::Libraries(language.as_deref()), call.query, headers)
            }
            Route::Tools(language) => self.list(Listing::Tools(language), call.query, headers),
            Route::Version => Ok(words(settings.version.as_deref().unwrap_or("<no git hash found>"))),
            Route::ReleaseBuild => Ok(words(settings.build.as_deref().unwrap_or("<no build number found>"))),
            Route::Healthcheck | Route::Health => Ok(self.0.parts.health.report()),
            Route::Live => Ok(self.0.parts.health.live()),
            Route::Ready => Ok(self.0.parts.health.ready()),
            Route::ClearCache => self.clear_cache(peer),
        }
    }

    fn list(&self, listing: Listing<'_>, query: &str, headers: &HeaderMap) -> Result<Reply, Rejection> {
        let table = matches!(listing, Listing::Compilers(_) | Listing::Languages);
        let rendition = match negotiate::rendition(headers, self.0.parts.settings.default_rendition) {
            Rendition::Text if table => Rendition::Text,
            _ => Rendition::Json,
        };
        let fields = wire::request::query_value(query, "fields")?;
        let body = self.0.parts.workshop.list(listing, fields.as_deref(), rendition)?;
        let content_type = if rendition == Rendition::Text { TEXT } else { JSON };
        Ok(reply::reply(StatusCode::OK, content_type, body))
    }

    fn clear_cache(&self, peer: SocketAddr) -> Result<Reply, Rejection> {
        let address = peer.ip().to_canonical();
        let known = self.0.parts.settings.clear_cache_from.iter().any(|network| network.contains(address));
        if !known && !address.is_loopback() {
            return Err(Rejection::forbidden("caches are not cleared from your address"));
        }
        self.0.parts.workshop.clear_caches();
        Ok(reply::cleared())
    }

    /// The headers that every reply has.
    fn dress(&self, reply: &mut Reply, id: &RequestId, api: bool) {
        let success = reply.status().is_success();
        let headers = reply.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST, GET, OPTIONS"));
        let allowed = "Origin, X-Requested-With, Content-Type, Accept, Authorization, X-Request-Id";
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(allowed));
        let exposed = "X-Request-Id, X-Job-Status, Retry-After";
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(exposed));
        if let Ok(id) = HeaderValue::from_str(id.as_str()) {
            headers.insert(REQUEST_ID, id);
        }
        if api && success {
            headers.insert(VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
            headers.insert(CACHE_CONTROL, self.0.keep.clone());
        } else {
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        if self.0.parts.gate.opening() > Opening::Open {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
    }
}

/// Text that has always been sent as HTML.
fn words(text: &str) -> Reply {
    reply::reply(StatusCode::OK, HeaderValue::from_static("text/html; charset=utf-8"), text.to_owned())
}

const fn lost_message(lost: &Lost) -> &'static str {
    match lost {
        Lost::Path => "Not Found",
        Lost::Environment => "Not Found: that is not this worker's environment",
    }
}

/// The caller's name for the request, if it is one that logs and headers can carry; else a new one.
fn request_id(headers: &HeaderMap) -> RequestId {
    headers
        .get(REQUEST_ID)
        .and_then(|id| id.to_str().ok())
        .filter(|id| id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:/+=".contains(&byte)))
        .and_then(|id| RequestId::parse(id).ok())
        .unwrap_or_else(RequestId::mint)
}

/// Turns a panic in `handler` into a rejection: one request is lost, and nothing else.
async fn fenced(handler: impl Future<Output = Result<Reply, Rejection>>) -> Result<Reply, Rejection> {
    let mut handler = pin!(handler);
    std::future::poll_fn(|context| {
        catch_unwind(AssertUnwindSafe(|| handler.as_mut().poll(context))).unwrap_or_else(|panic| {
            let message = format!("a panic: {}", panic_message(panic.as_ref()));
            Poll::Ready(Err(Rejection::new(Class::Internal, message)))
        })
    })
    .await
}

/// Tells the log what the caller is not told, or has been told already.
fn complain(rejection: &Rejection, id: &RequestId) {
    let (class, error) = (rejection.class.as_str(), rejection.message());
    match rejection.class {
        Class::Internal => tracing::error!(request.id = %id, class, error, "request failed"),
        Class::Upstream => tracing::warn!(request.id = %id, class, error, "request failed"),
        _ => tracing::debug!(request.id = %id, class, error, "request rejected"),
    }
}

/// The closing event. Never the source, never the arguments.
fn close(served: &Served, id: &RequestId, compiler: Option<&str>, cached: bool) {
    macro_rules! event {
        ($level:ident) => {
            tracing::$level!(
                request.id = %id,
                route = served.route,
                compiler.id = compiler,
                status = served.status,
                class = served.class.map(Class::as_str),
                job.status = served.job.map(JobStatus::as_str),
                cached,
                bytes = served.bytes,
                duration_ms = served.duration.as_secs_f64() * 1e3,
                "answered"
            )
        };
    }
    // Probes come every few seconds from every balancer: nobody wants to read them.
    if served.route.starts_with("health") { event!(debug) } else { event!(info) }
}

/// A reply as the bytes of a closing HTTP/1.1 connection.
fn serialize(reply: &Reply) -> Vec<u8> {
    let mut bytes = format!("{:?} {}\r\n", Version::HTTP_11, reply.status()).into_bytes();
    for (name, value) in reply.headers() {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(format!("content-length: {}\r\n\r\n", reply.body().len()).as_bytes());
    bytes.extend_from_slice(&reply.body().pieces().concat());
    bytes
}
