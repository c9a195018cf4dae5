//! A load generator for small requests, and the bare axum echo that bounds what any server could reach with it.

use std::io::Read;
use std::net::SocketAddr;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::daemon::announced;
use super::daemon::request::head;
use super::numbers::percentile;

/// How long one round lasts.
const ROUND: Duration = Duration::from_secs(2);

/// What a load brought.
#[derive(Default)]
pub(crate) struct Outcome {
    times: Vec<Duration>,
    took: Duration,
}

impl Outcome {
    /// Adds another round.
    pub(crate) fn add(&mut self, other: Self) {
        self.times.extend(other.times);
        self.took += other.took;
    }

    /// Replies per second.
    pub(crate) fn rate(&self) -> f64 {
        self.times.len() as f64 / self.took.as_secs_f64()
    }

    /// The `percent`th percentile of the time a reply took.
    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        percentile(&mut self.times.clone(), percent)
    }
}

/// A JSON POST of `body`, as it is sent.
pub(crate) fn post(path: &str, body: &str) -> Bytes {
    [head(path, body.len()).as_bytes(), body.as_bytes()].concat().into()
}

/// Sends what `next` yields for one round, one request at a time on each of so many connections.
pub(crate) fn generate(
    address: SocketAddr,
    connections: usize,
    next: impl Fn() -> Bytes + Clone + Send + 'static,
) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let started = Instant::now();
        let lanes: Vec<_> =
            (0..connections).map(|_| tokio::spawn(lane(address, next.clone(), started + ROUND))).collect();
        let mut outcome = Outcome::default();
        for lane in lanes {
            outcome.times.extend(lane.await.unwrap());
        }
        outcome.took = started.elapsed();
        outcome
    })
}

async fn lane(address: SocketAddr, next: impl Fn() -> Bytes, end: Instant) -> Vec<Duration> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let mut times = Vec::new();
    let mut buffer = Vec::with_capacity(64 * 1024);
    while Instant::now() < end {
        let request = next();
        let started = Instant::now();
        stream.write_all(&request).await.unwrap();
        buffer.clear();
        let mut whole = usize::MAX;
        while buffer.len() < whole {
            assert_ne!(stream.read_buf(&mut buffer).await.unwrap(), 0, "the server closed a connection");
            if whole == usize::MAX
                && let Some(end) = memchr::memmem::find(&buffer, b"\r\n\r\n")
            {
                whole = end + 4 + content_length(&buffer[..end]);
            }
        }
        times.push(started.elapsed());
        assert!(buffer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&buffer));
    }
    times
}

fn content_length(head: &[u8]) -> usize {
    let head = std::str::from_utf8(head).unwrap();
    let line =
        head.lines().find(|line| line.len() > 15 && line[..15].eq_ignore_ascii_case("content-length:"));
    line.unwrap()[15..].trim().parse().unwrap()
}

/// The echo baseline, running as a process of its own.
pub(crate) struct Echo {
    child: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

impl Echo {
    /// Starts an echo that reads the whole request body and answers with `reply` bytes.
    pub(crate) fn start(reply: usize) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let (child, line) = announced(command.args(["--echo", &reply.to_string()]));
        Self { address: line.trim().parse().unwrap(), child }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// The echo's own life: a bare axum server that ends with its standard input.
pub(crate) fn serve_echo() {
    let size: usize = std::env::args().nth(2).unwrap().parse().unwrap();
    let reply = Bytes::from(vec![b'x'; size]);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.spawn(async move {
        let echo = axum::routing::post(move |body: Bytes| async move {
            assert!(!body.is_empty());
            reply
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("{}", listener.local_addr().unwrap());
        axum::serve(listener, axum::Router::new().route("/", echo)).await.unwrap();
    });
    let mut end = Vec::new();
    std::io::stdin().read_to_end(&mut end).unwrap();
}
