//! The HTTP/1 server: an accept loop that owns its connections, two clocks per request, and an end without resets.
//!
//! ```text
//! run ── accept ──▶ connection (one task each, in a set that `run` awaits)
//!                     hyper http1 over Guard (checks, clocks) ──▶ Service::answer
//! ```
//!
//! Only HTTP/1 is spoken: behind a balancer nothing else arrives, and what is not spoken cannot be attacked.

mod chunked;
mod guard;
mod head;
mod line;
mod pace;
mod refusal;
mod settings;

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{Id, JoinSet};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use self::guard::Guard;
use self::line::{Line, Tracked};
use crate::doors::reply::Reply;

pub use self::refusal::Refusal;
pub use self::settings::HttpSettings;

/// Wait after an `accept` that failed for want of descriptors or memory; doubled up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How often a full house looks for a connection that has become idle.
const ROOM_PERIOD: Duration = Duration::from_millis(20);
/// How long a new connection may take to say something before it counts as idle in a full house.
const FIRST_WORD: Duration = Duration::from_secs(1);

/// Headers that the HTTP library is prepared for: as many as it reads without allocating. [`Guard`] lets fewer through.
const MOST_HEADERS: usize = 100;

/// What the server serves.
pub trait Service: Clone + Send + Sync + Unpin + 'static {
    /// Answers one request. Dropped when the client has gone.
    fn answer(&self, request: Request<Incoming>, peer: SocketAddr) -> impl Future<Output = Reply> + Send;

    /// The bytes of the last reply on a connection whose request could not even be received.
    fn refuse(&self, refusal: Refusal, peer: SocketAddr) -> Vec<u8>;
}

/// How open the door is; shared by the server, which moves it, and the service, which reads it.
#[derive(Debug, Clone, Default)]
pub struct Gate(Arc<AtomicU8>);

/// The positions of a [`Gate`], in the only order it moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Opening {
    /// All comers are served.
    Open,
    /// All comers are served, and asked not to come again.
    Leaving,
    /// New work is refused.
    Refusing,
}

impl Gate {
    /// Where it stands.
    pub fn opening(&self) -> Opening {
        match self.0.load(Ordering::Acquire) {
            0 => Opening::Open,
            1 => Opening::Leaving,
            _ => Opening::Refusing,
        }
    }

    fn close(&self, to: Opening) {
        self.0.fetch_max(to as u8, Ordering::AcqRel);
    }
}

/// Serves `service` on `listener` until `draining` resolves and what was received has been answered.
pub async fn run(
    listener: TcpListener,
    service: impl Service,
    house: House,
    draining: impl Future<Output = ()> + Send,
) {
    let mut hall = Hall {
        service,
        settings: Arc::new(house.settings),
        lines: HashMap::new(),
        connections: JoinSet::new(),
        open: house.connections,
        traffic: house.traffic,
        epoch: Instant::now(),
    };
    let lame_duck = hall.settings.lame_duck;
    let (gate, hurry) = (house.gate, house.hurry);
    let mut drain = pin!(async {
        draining.await;
        gate.close(Opening::Leaving);
        // At the end of patience, the balancer notices too late.
        let _however = hurry.run_until_cancelled(sleep(lame_duck)).await;
        gate.close(Opening::Refusing);
    });
    let mut pause = FIRST_PAUSE;
    loop {
        tokio::select! {
            biased;
            Some(ended) = hall.connections.join_next_with_id() => hall.forget(&ended),
            () = sleep(ROOM_PERIOD), if !hall.has_room() => hall.shed(FIRST_WORD),
            accepted = listener.accept(), if hall.has_room() => match accepted {
                Ok((stream, peer)) => {
                    pause = FIRST_PAUSE;
                    hall.admit(stream, peer);
                }
                Err(error) => {
                    tracing::warn!(error = %error, pause_ms = pause.as_millis(), "cannot accept a connection");
                    sleep(pause).await;
                    pause = LONGEST_PAUSE.min(2 * pause);
                }
            },
            () = &mut drain => break,
        }
    }
    hall.close(listener).await;
}

/// What a server is made of beside its service.
#[derive(Debug, Clone, Default)]
pub struct House {
    /// The clocks and limits.
    pub settings: HttpSettings,
    /// The gate that the service reads.
    pub gate: Gate,
    /// Set to the number of open connections.
    pub connections: Gauge,
    /// Cancelled when nobody has time any more: the end does not wait for the balancer then.
    pub hurry: CancellationToken,
    /// Raised by what comes and goes.
    pub traffic: Traffic,
}

/// Bytes of bodies, chunks' frames included where the client sent chunks.
#[derive(Debug, Clone, Default)]
pub struct Traffic {
    /// Of requests, as they come.
    pub received: Counter,
    /// Of replies, as they are handed over to be sent.
    pub sent: Counter,
}

/// The open connections.
struct Hall<S> {
    service: S,
    settings: Arc<HttpSettings>,
    lines: HashMap<Id, Arc<Line>>,
    connections: JoinSet<()>,
    open: Gauge,
    traffic: Traffic,
    epoch: Instant,
}

impl<S: Service> Hall<S> {
    fn admit(&mut self, stream: TcpStream, peer: SocketAddr) {
        // Replies leave in one piece; waiting for more to send would only delay them.
        let _refused = stream.set_nodelay(true).is_err();
        // Before the newcomer counts: among the busy it would be the idlest.
        if self.lines.len() + 1 >= self.settings.connections {
            self.shed(Duration::ZERO);
        }
        let line = Arc::new(Line::counted_in(self.traffic.clone()));
        line.rest(u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX));
        let guard = Guard::new(stream, Arc::clone(&line), Arc::clone(&self.settings), self.epoch);
        let service = self.service.clone();
        let task = self.connections.spawn(converse(guard, Arc::clone(&line), service, peer));
        self.lines.insert(task.id(), line);
        self.open.inc();
    }

    /// Whether another connection may come. Those that have been asked to leave do not count, but only up to a
    /// number, because they still hold descriptors.
    fn has_room(&self) -> bool {
        let most = self.settings.connections;
        self.lines.len() < most || (self.lines.len() < 2 * most && self.staying() < most)
    }

    fn staying(&self) -> usize {
        self.lines.values().filter(|line| !line.is_leaving()).count()
    }

    /// In a full house, sends away the connection that has been idle longest, so that the next one finds a place;
    /// one that has been idle for less than `grace` stays.
    fn shed(&self, grace: Duration) {
        if self.staying() + 1 < self.settings.connections {
            return;
        }
        let latest =
            u64::try_from(self.epoch.elapsed().saturating_sub(grace).as_millis()).unwrap_or(u64::MAX);
        let idle = self.lines.values().filter(|line| !line.is_busy() && !line.is_leaving());
        let oldest = idle.filter(|line| line.idle_since() <= latest).min_by_key(|line| line.idle_since());
        if let Some(oldest) = oldest {
            oldest.dismiss();
        }
    }

    fn forget(&mut self, ended: &Result<(Id, ()), tokio::task::JoinError>) {
        let id = match ended {
            Ok((id, ())) => *id,
            Err(error) => {
                tracing::error!(error = %error, "a connection ended badly");
                error.id()
            }
        };
        self.lines.remove(&id);
        self.open.dec();
    }

    /// Answers what has been received, lets go of what is idle, and refuses what still comes until that is done.
    async fn close(mut self, listener: TcpListener) {
        self.lines.values().for_each(|line| line.dismiss());
        while self.lines.values().any(|line| line.is_busy()) {
            tokio::select! {
                Some(ended) = self.connections.join_next_with_id() => self.forget(&ended),
                Ok((stream, peer)) = listener.accept(), if self.has_room() => self.admit(stream, peer),
            }
        }
        // A connection that waits in the backlog would be reset by the close: it is answered too.
        while let Some(Ok((stream, peer))) = poll_once(listener.accept()).await {
            self.admit(stream, peer);
        }
        drop(listener);
        self.lines.values().for_each(|line| line.dismiss());
        while let Some(ended) = self.connections.join_next_with_id().await {
            self.forget(&ended);
        }
    }
}

/// What `future` yields at once, if anything.
async fn poll_once<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    std::future::poll_fn(|context| {
        std::task::Poll::Ready(match future.as_mut().poll(context) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        })
    })
    .await
}

/// One connection, from its first byte to its last. There are thousands: what only the end needs is made at the end, and
/// nothing is stored twice.
fn converse<S: Service>(
    guard: Guard,
    line: Arc<Line>,
    service: S,
    peer: SocketAddr,
) -> impl Future<Output = ()> + Send {
    let answering = service.clone();
    let tracked = Arc::clone(&line);
    let answer = hyper::service::service_fn(move |request| {
        let (service, line) = (answering.clone(), Arc::clone(&tracked));
        Box::pin(async move {
            let reply = service.answer(request, peer).await;
            Ok::<_, Infallible>(reply.map(|body| Tracked::new(body, line)))
        })
    });
    let mut connection = http1::Builder::new()
        .header_read_timeout(None::<Duration>)
        .max_headers(MOST_HEADERS)
        .max_buf_size(64 * 1024)
        .serve_connection(guard, answer);
    async move {
        let mut dismissed = false;
        loop {
            let conversation = std::future::poll_fn(|context| connection.poll_without_shutdown(context));
            tokio::select! {
                biased;
                outcome = conversation => {
                    report(outcome, peer);
                    break;
                }
                () = line.dismissed(), if !dismissed => dismissed = true,
            }
        }
        Box::pin(connection.into_parts().io.finish(move |refusal| service.refuse(refusal, peer))).await;
    }
}

/// Most errors here are clients that went away: worth a look only when one looks for something.
fn report(outcome: hyper::Result<()>, peer: SocketAddr) {
    if let Err(error) = outcome {
        let error: &dyn std::error::Error = &error;
        tracing::debug!(peer = %peer, error, "a connection broke off");
    }
}
