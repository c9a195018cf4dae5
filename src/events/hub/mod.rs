//! The events hub for places without API Gateway: the same protocol, in this process.
//!
//! It remembers nothing worth keeping: who is connected, who asked for which results, and who last sent which. Clients
//! repeat what it loses, so a hub may be killed at any time, and what does not fit is dropped and counted.

mod exchange;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::accept_async_with_config;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use self::exchange::{Exchange, Seat};
use crate::events::line::Feed;
use crate::events::socket::{self, End, Rules};
use crate::lifecycle::Lifecycle;

/// Wait after an `accept` that failed for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Sockets held beside those of clients, for health checks and for refusals; beyond them, the kernel's queue waits.
const SPARE_SOCKETS: usize = 128;
/// Bytes of a plain HTTP request that are read away, so that its answer is not lost in a reset.
const MOST_DISCARDED: u64 = 64 * 1024;
/// How a health check begins. One that does not come in a single piece is refused like any other stray request.
const HEALTH_REQUEST: &[u8] = b"GET /healthcheck";

/// What the hub takes. The defaults are the limits of API Gateway where it has any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubSettings {
    /// Largest message, in bytes; a larger one ends its connection with code 1009.
    pub message: usize,
    /// Largest frame of a message, in bytes; likewise.
    pub frame: usize,
    /// Connections at once; further ones are refused with status 503.
    pub connections: usize,
    /// Subscriptions of one connection; further ones are answered by a text that says so.
    pub subscriptions: usize,
    /// Bytes that may wait to be written to one client; what finds no room is dropped, and its sender repeats it.
    pub backlog: usize,
    /// How long a client has for the handshake.
    pub handshake: Duration,
    /// A client this long silent is pinged.
    pub ping: Duration,
    /// Without a sign of life for this long after a ping, it is gone.
    pub pong: Duration,
    /// One text that takes longer to write means that the client does not read, and ends its connection.
    pub stall: Duration,
}

/// What a hub has at this moment, and what has happened to it since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct HubStatus {
    /// Clients.
    pub connections: usize,
    /// Subscriptions of all clients.
    pub subscriptions: usize,
    /// Results relayed, once for each subscriber.
    pub relayed: u64,
    /// Results for which there was no subscriber.
    pub unheard: u64,
    /// Texts dropped because a client does not read fast enough.
    pub dropped: u64,
    /// Texts that are none of the protocol's.
    pub unknown: u64,
}

/// A hub.
#[derive(Debug, Clone)]
pub struct Hub {
    exchange: Arc<Exchange>,
    settings: Arc<HubSettings>,
}

impl Default for HubSettings {
    fn default() -> Self {
        Self {
            message: 128 * 1024,
            frame: 32 * 1024,
            connections: 4096,
            subscriptions: 20_000,
            backlog: 4 * 1024 * 1024,
            handshake: Duration::from_secs(5),
            ping: Duration::from_mins(1),
            pong: Duration::from_secs(10),
            stall: Duration::from_secs(30),
        }
    }
}

impl Hub {
    /// A hub without clients.
    pub fn new(settings: HubSettings) -> Self {
        Self { exchange: Arc::new(Exchange::new(settings.subscriptions)), settings: Arc::new(settings) }
    }

    /// Serves until the drain begins. Clients are work of `lifecycle`: each is then closed with code 1001.
    pub async fn serve(self, listener: TcpListener, lifecycle: Lifecycle) {
        let sockets = Arc::new(Semaphore::new(self.settings.connections + SPARE_SOCKETS));
        let next = async || {
            let socket = Arc::clone(&sockets).acquire_owned().await;
            listener.accept().await.map(|(stream, peer)| (stream, peer, socket))
        };
        loop {
            let accepted = tokio::select! {
                accepted = next() => accepted,
                () = lifecycle.draining() => return,
            };
            match accepted {
                Ok((stream, peer, socket)) => {
                    let (hub, life) = (self.clone(), lifecycle.clone());
                    let client = async move {
                        hub.attend(stream, peer, life).await;
                        drop(socket);
                    };
                    lifecycle.spawn("hub connection", Box::pin(client));
                }
                Err(error) => {
                    tracing::warn!(%error, "could not accept a connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// The figures of this moment.
    pub fn status(&self) -> HubStatus {
        self.exchange.status()
    }

    /// One connection, whatever it turns out to be.
    async fn attend(self, mut stream: TcpStream, peer: SocketAddr, lifecycle: Lifecycle) {
        let limit = self.settings.handshake;
        match timeout(limit, self.is_health_check(&stream)).await {
            Ok(false) => {}
            Ok(true) => {
                let body = serde_json::json!({ "status": "healthy", "hub": self.status() }).to_string();
                let _in_time = timeout(limit, answer(&mut stream, "200 OK", &body)).await.is_ok();
                return;
            }
            Err(_) => return,
        }
        // Refused before the handshake: a client that was let in and thrown out would think it had succeeded.
        let Some((seat, feed)) = self.exchange.join(self.settings.connections, self.settings.backlog) else {
            tracing::warn!(%peer, "refused a client, there are too many");
            let body = r#"{"error":"too many connections"}"#;
            let _in_time = timeout(limit, answer(&mut stream, "503 Service Unavailable", body)).await.is_ok();
            return;
        };
        let end = self.converse(stream, (seat, feed), lifecycle).await;
        tracing::debug!(%peer, %end, "a client is gone");
    }

    /// One client, from the handshake on.
    async fn converse(&self, stream: TcpStream, (seat, feed): (Seat, Feed), lifecycle: Lifecycle) -> End {
        let rules = Rules {
            largest_message: self.settings.message,
            largest_frame: self.settings.frame,
            fragment: self.settings.frame,
            quiet: self.settings.ping,
            pong: self.settings.pong,
            stall: self.settings.stall,
        };
        // Without it, a short text waits for the receipt of the one before.
        if let Err(error) = stream.set_nodelay(true) {
            return End::Broken(error.to_string());
        }
        let handshake = accept_async_with_config(stream, Some(rules.config()));
        match timeout(self.settings.handshake, handshake).await {
            Ok(Ok(socket)) => {
                let hear = |text| seat.hear(&text);
                let leave = async {
                    lifecycle.draining().await;
                    CloseCode::Away
                };
                socket::live(socket, feed, rules, hear, leave).await
            }
            Ok(Err(error)) => End::Broken(error.to_string()),
            Err(_) => End::Broken("no handshake in time".to_owned()),
        }
    }

    async fn is_health_check(&self, stream: &TcpStream) -> bool {
        let mut begin = [0; HEALTH_REQUEST.len()];
        matches!(stream.peek(&mut begin).await, Ok(length) if begin[..length] == *HEALTH_REQUEST)
    }
}

/// One whole HTTP answer, on a connection that ends with it.
async fn answer(stream: &mut TcpStream, status: &str, body: &str) -> std::io::Result<()> {
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all([head.as_bytes(), body.as_bytes()].concat().as_slice()).await?;
    stream.shutdown().await?;
    // What was sent to us is read away, or closing would reset the connection under our answer.
    let mut rest = stream.take(MOST_DISCARDED);
    tokio::io::copy(&mut rest, &mut tokio::io::sink()).await.map(|_| ())
}
