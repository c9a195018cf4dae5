//! A client that says exactly what it is told to, and nothing else.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout};

/// How long any reply may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(50);

/// One raw connection.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    input: Vec<u8>,
}

/// A reply, read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

/// How a connection ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Politely.
    Closed,
    /// With a reset.
    Reset,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address).await.unwrap()
    }

    pub(crate) async fn try_connect(address: SocketAddr) -> io::Result<Self> {
        Ok(Self { stream: TcpStream::connect(address).await?, input: Vec::new() })
    }

    /// A client whose kernel takes only a few bytes before the application reads them.
    pub(crate) async fn narrow(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        Self { stream: socket.connect(address).await.unwrap(), input: Vec::new() }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    pub(crate) async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref()).await
    }

    pub(crate) async fn ask(&mut self, request: impl AsRef<[u8]>) -> Reply {
        self.send(request).await;
        self.reply().await
    }

    /// The next reply; the connection must not end before it.
    pub(crate) async fn reply(&mut self) -> Reply {
        self.try_reply().await.unwrap().expect("the connection ended without a reply")
    }

    /// The next reply, or nothing if the connection ends cleanly before its first byte.
    pub(crate) async fn try_reply(&mut self) -> io::Result<Option<Reply>> {
        let end = loop {
            if let Some(end) = self.input.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            if self.fill().await? == 0 {
                assert_eq!(String::from_utf8_lossy(&self.input), "", "half a reply");
                return Ok(None);
            }
        };
        let head = String::from_utf8(self.input.drain(..end).collect()).unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: BTreeMap<String, String> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
        while self.input.len() < length {
            if self.fill().await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let body = self.input.drain(..length).collect();
        Ok(Some(Reply { status, headers, body }))
    }

    /// Waits for the end of the connection; nothing more may come before it.
    pub(crate) async fn end(&mut self) -> End {
        match self.fill().await {
            Ok(0) => End::Closed,
            Ok(_) => panic!("unexpected: {}", String::from_utf8_lossy(&self.input)),
            Err(_) => End::Reset,
        }
    }

    /// Everything up to the end, however it comes.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        while self.fill().await.is_ok_and(|bytes| bytes > 0) {}
        std::mem::take(&mut self.input)
    }

    async fn fill(&mut self) -> io::Result<usize> {
        let reading = self.stream.read_buf(&mut self.input);
        timeout(PATIENCE, reading).await.expect("no reply in time")
    }
}

impl Reply {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// A request with a body; `headers` are whole lines.
pub(crate) fn post(path: &str, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut request =
        format!("POST {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: {}\r\n\r\n", body.len())
            .into_bytes();
    request.extend_from_slice(body);
    request
}

/// A JSON compile of `source`.
pub(crate) fn compile(source: &str) -> Vec<u8> {
    let body = serde_json::json!({"source": source, "options": {}}).to_string();
    post("/api/compiler/g1/compile", "Content-Type: application/json\r\n", body)
}

/// A request without a body; `headers` are whole lines.
pub(crate) fn get(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n")
}

/// Looks every few milliseconds until `true`, and says how long it took.
pub(crate) async fn until(mut condition: impl FnMut() -> bool) -> Duration {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < PATIENCE, "it never happened");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    begun.elapsed()
}
