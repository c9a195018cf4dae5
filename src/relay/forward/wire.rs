//! One connection to a service, and those that wait for their next request.
//!
//! Nothing runs beside a request: whoever has a connection in hand polls it. A task of its own for each connection would
//! cost two changes of task for every piece that passes. Nor does anything look after those that wait: what is too old is
//! closed when the next request passes.

use std::collections::HashMap;
use std::os::fd::{AsFd as _, OwnedFd};
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderValue, InvalidHeaderValue};
use http::uri::{Authority, Scheme, Uri};
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use rustix::io::Errno;
use rustix::net::RecvFlags;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tower::Service as _;

/// What goes wrong with a connection.
pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;
/// A request's body on its way.
pub(super) type Sent = UnsyncBoxBody<Bytes, BoxError>;

/// How long a service may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// Idle connections kept for each service.
const IDLE: usize = 64;
/// How long after its last reply began one is used again: Node.js closes after five seconds, and a request that meets the
/// close is lost.
const KEEP: Duration = Duration::from_secs(4);
/// How often, at most, those that are too old are looked for.
const SWEEP: Duration = Duration::from_secs(1);

type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

/// A connection. It makes progress only while it is polled.
pub(super) struct Wire(Box<Ends>);

/// What a connection is made of: large, and often handed on.
struct Ends {
    /// The same socket, to ask the kernel itself.
    socket: OwnedFd,
    sender: http1::SendRequest<Sent>,
    /// Gone once it has ended.
    connection: Option<http1::Connection<Stream, Sent>>,
}

impl Wire {
    /// Lets it read and write what it can.
    pub(super) fn drive(&mut self, context: &mut Context<'_>) {
        if let Some(connection) = &mut self.0.connection
            && let Poll::Ready(ended) = Pin::new(connection).poll(context)
        {
            // Whoever waits for a reply is told as well.
            if let Err(error) = ended {
                tracing::debug!(error = &error as &dyn std::error::Error, "a connection to a service ended");
            }
            self.0.connection = None;
        }
    }

    /// Sends a request, and waits for the head of its reply. A request that was not begun is given back.
    pub(super) async fn exchange(
        &mut self,
        request: Request<Sent>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Sent>>> {
        let mut reply = std::pin::pin!(self.0.sender.try_send_request(request));
        std::future::poll_fn(|context| {
            self.drive(context);
            reply.as_mut().poll(context)
        })
        .await
    }

    /// Whether another request may follow. What the service does while nobody looks is seen here.
    fn is_ready(&mut self) -> bool {
        // Whoever had it before is not to be woken by it any more.
        self.drive(&mut Context::from_waker(Waker::noop()));
        self.0.connection.is_some() && self.0.sender.is_ready()
    }

    /// Whether the service has said nothing since, nor closed. The runtime may not have heard of that yet.
    fn is_silent(&self) -> bool {
        let (mut byte, flags) = ([0], RecvFlags::PEEK | RecvFlags::DONTWAIT);
        matches!(rustix::net::recv(&self.0.socket, &mut byte, flags), Err(Errno::AGAIN))
    }
}

/// Connections that wait for their next request, and the way to new ones.
pub(super) struct Wires {
    connector: HttpsConnector<HttpConnector>,
    idle: Mutex<Shelf>,
}

/// Whom a connection leads to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Origin {
    scheme: Scheme,
    authority: Authority,
}

struct Idle {
    wire: Wire,
    since: Instant,
}

struct Shelf {
    idle: HashMap<Origin, Vec<Idle>>,
    swept: Instant,
}

impl Wires {
    pub(super) fn new(tls: rustls::ClientConfig) -> Self {
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        Self { connector, idle: Mutex::new(Shelf { idle: HashMap::new(), swept: Instant::now() }) }
    }

    /// One that has waited, and is ready.
    pub(super) fn idle(&self, origin: &Origin) -> Option<Wire> {
        loop {
            let (found, _gone) = self.shelf(|shelf| (shelf.take(origin), shelf.sweep()));
            let mut found = found?;
            if found.is_silent() && found.is_ready() {
                return Some(found);
            }
        }
    }

    /// A new one.
    pub(super) async fn open(&self, service: &Uri) -> Result<Wire, BoxError> {
        let mut connector = self.connector.clone();
        std::future::poll_fn(|context| connector.poll_ready(context)).await?;
        let stream = connector.call(service.clone()).await?;
        let socket = match &stream {
            MaybeHttpsStream::Http(stream) => stream.inner(),
            MaybeHttpsStream::Https(stream) => stream.inner().get_ref().0.inner().inner(),
        };
        let socket = socket.as_fd().try_clone_to_owned()?;
        let (sender, connection) = http1::handshake(stream).await?;
        Ok(Wire(Box::new(Ends { socket, sender, connection: Some(connection) })))
    }

    /// Keeps one for the next request, if there may be one.
    pub(super) fn keep(&self, origin: Origin, mut wire: Wire, since: Instant) {
        if wire.is_ready() {
            let idle = Idle { wire, since };
            let _gone = self.shelf(|shelf| (shelf.put(origin, idle), shelf.sweep()));
        }
    }

    fn shelf<T>(&self, visit: impl FnOnce(&mut Shelf) -> T) -> T {
        visit(&mut self.idle.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Shelf {
    fn take(&mut self, origin: &Origin) -> Option<Wire> {
        let idle = self.idle.get_mut(origin)?;
        // The last that came is the least likely to have been closed.
        idle.pop_if(|idle| idle.since.elapsed() < KEEP).map(|idle| idle.wire)
    }

    /// Puts one there, or returns it if there are enough.
    fn put(&mut self, origin: Origin, one: Idle) -> Option<Idle> {
        let idle = self.idle.entry(origin).or_default();
        if idle.len() >= IDLE {
            return Some(one);
        }
        idle.push(one);
        None
    }

    /// What has to go, to be closed where nobody waits for it.
    fn sweep(&mut self) -> Vec<Idle> {
        let now = Instant::now();
        let mut gone = Vec::new();
        if now - self.swept > SWEEP {
            self.swept = now;
            self.idle.retain(|_, idle| {
                gone.extend(idle.extract_if(.., |idle| now - idle.since >= KEEP));
                !idle.is_empty()
            });
        }
        gone
    }
}

impl Origin {
    /// Where `service` is; `None` if it does not say.
    pub(super) fn of(service: &Uri) -> Option<Self> {
        Some(Self { scheme: service.scheme()?.clone(), authority: service.authority()?.clone() })
    }

    /// What a request says of it.
    pub(super) fn host(&self) -> Result<HeaderValue, InvalidHeaderValue> {
        let usual = if self.scheme == Scheme::HTTPS { 443 } else { 80 };
        match self.authority.port_u16() {
            Some(port) if port != usual => HeaderValue::try_from(format!("{}:{port}", self.authority.host())),
            _ => HeaderValue::from_str(self.authority.host()),
        }
    }
}

impl std::fmt::Debug for Wires {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wires").finish_non_exhaustive()
    }
}
