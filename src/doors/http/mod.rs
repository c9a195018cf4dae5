//! The public door: Compiler Explorer's API over HTTP/1.
//!
//! ```text
//! server ─ Door::answer ─ paths ─ axum router ─ conduct ─┬ compile
//!                                 (one table)            ├ listings
//!                                                        └ health, admin, nowhere
//! ```
//!
//! No rule of the trade lives here: what this door can ask, any other can ask, with the same answer.

mod admin;
mod body;
mod compile;
mod conduct;
mod elsewhere;
mod encode;
mod listings;
mod mirror;
mod negotiate;
mod network;
mod paths;
mod reject;
mod router;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::FromRef;
use http::header::{ALLOW, HeaderValue};
use http::{Request, Response, Version};
use hyper::body::Incoming;
use tower::ServiceExt as _;
use tower::util::Oneshot;

use crate::domain::class::Class;
use crate::domain::ids::RequestId;
use crate::domain::result::JobStatus;
use crate::domain::trace::{Sampling, Traced};
use crate::doors::health::Health;
use crate::doors::reply::Reply;
use crate::doors::server::{Gate, Refusal, Service};
use crate::doors::workshop::Workshop;
use crate::engine::{Rendition, Work};
use crate::relay::shadow::Shadow;

pub use self::elsewhere::Fleet;
pub use self::network::{Network, NetworkError};

/// What stands for a status where the caller left before the reply, as proxies log it.
pub const GONE: u16 = 499;

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
    /// How long a client may take to read a large reply, which takes room from others.
    pub read_within: Duration,
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
    /// Which traces are recorded, if any are.
    pub sampling: Option<Sampling>,
}

impl Default for DoorSettings {
    fn default() -> Self {
        Self {
            environment: None,
            default_rendition: Rendition::Json,
            answer_within: Duration::from_secs(55),
            read_within: Duration::from_mins(1),
            body_bytes: 16 * 1024 * 1024,
            all_bodies_bytes: 128 * 1024 * 1024,
            keep_for: Duration::from_mins(10),
            clear_cache_from: Network::private(),
            version: None,
            build: None,
            sampling: None,
        }
    }
}

/// What became of one request: the closing event, as others count it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// What the request is called.
    pub id: RequestId,
    /// Its place in the trace that it is part of.
    pub traced: Option<Traced>,
    /// The method; `_OTHER` if few know it.
    pub method: &'static str,
    /// The route's name.
    pub route: &'static str,
    /// The route's path, with names for what varies.
    pub path: &'static str,
    /// The compiler, as the caller called it, whether there is one or not.
    pub compiler: Option<String>,
    /// The status; [`GONE`] if nobody was left to send one to.
    pub status: u16,
    /// What kind of failure, if it was one.
    pub class: Option<Class>,
    /// How the job ended, where there was one.
    pub job: Option<JobStatus>,
    /// Whether the answer was remembered.
    pub cached: bool,
    /// Bytes of the reply's body.
    pub bytes: usize,
    /// When it was in its slot, if it needed one and had it.
    pub work: Option<Work>,
    /// From the end of the head to the reply.
    pub duration: Duration,
}

/// What a door is made of.
pub struct Parts<W> {
    /// Where compiles are made.
    pub workshop: W,
    /// Where compiles are made that are not made here; without a fleet all are.
    pub fleet: Option<Fleet>,
    /// Who is asked what they would have answered.
    pub shadow: Option<Shadow>,
    /// The owner's choices.
    pub settings: DoorSettings,
    /// How we are.
    pub health: Health,
    /// How open we are.
    pub gate: Gate,
    /// Told of every request that was answered, or whose caller left.
    pub observe: Box<dyn Fn(Served) + Send + Sync>,
}

/// The public door.
pub struct Door<W> {
    desk: Shared<W>,
    router: Router,
}

/// What the handlers of all requests share.
type Shared<W> = Arc<Desk<W>>;

/// Where requests are handled.
struct Desk<W> {
    parts: Parts<W>,
    /// `Cache-Control` of what may be kept.
    keep: HeaderValue,
    /// Where request bodies are kept.
    bodies: body::Store,
}

impl<W> fmt::Debug for Door<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door").field("settings", &self.desk.parts.settings).finish_non_exhaustive()
    }
}

impl<W> fmt::Debug for Parts<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl<W> Clone for Door<W> {
    fn clone(&self) -> Self {
        Self { desk: Arc::clone(&self.desk), router: self.router.clone() }
    }
}

impl<W: Workshop> Service for Door<W> {
    async fn answer(&self, request: Request<Incoming>, peer: SocketAddr) -> Reply {
        let Ok(mut reply) = self.routed(request, peer).await;
        // The router puts no spaces into its list of methods.
        if let Some(allow) = reply.headers_mut().get_mut(ALLOW)
            && let Ok(spaced) = allow.to_str().unwrap_or_default().replace(',', ", ").try_into()
        {
            *allow = spaced;
        }
        reply
    }

    fn refuse(&self, refusal: Refusal, _peer: SocketAddr) -> Vec<u8> {
        serialize(&self.desk.refuse(refusal))
    }
}

impl<W: Workshop> Door<W> {
    fn routed(&self, mut request: Request<Incoming>, peer: SocketAddr) -> Oneshot<Router, Request<Incoming>> {
        paths::normalize(request.uri_mut(), self.desk.parts.settings.environment.as_deref());
        request.extensions_mut().insert(peer);
        self.router.clone().oneshot(request)
    }

    /// A door made of `parts`.
    pub fn new(parts: Parts<W>) -> Self {
        let keep = HeaderValue::from_str(&format!("public, max-age={}", parts.settings.keep_for.as_secs()));
        let keep = keep.unwrap_or(HeaderValue::from_static("no-store"));
        let bodies = body::Store::new(parts.settings.body_bytes, parts.settings.all_bodies_bytes);
        let desk = Arc::new(Desk { parts, keep, bodies });
        Self { router: router::router(&desk), desk }
    }
}

impl<W: Workshop> FromRef<Shared<W>> for Health {
    fn from_ref(desk: &Shared<W>) -> Self {
        desk.parts.health.clone()
    }
}

/// A reply as the bytes of a closing HTTP/1.1 connection.
fn serialize(reply: &Response<Vec<u8>>) -> Vec<u8> {
    let mut bytes = format!("{:?} {}\r\n", Version::HTTP_11, reply.status()).into_bytes();
    for (name, value) in reply.headers() {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(format!("content-length: {}\r\n\r\n", reply.body().len()).as_bytes());
    bytes.extend_from_slice(reply.body());
    bytes
}
