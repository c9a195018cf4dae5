//! A small HTTP server that does to each request what the test says.

use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use compilation_worker::aws::{Clients, Endpoints, SqsSink, SqsSource};
use compilation_worker::lifecycle::Lifecycle;
use compilation_worker::ports::QueueAddress;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::support::emulator::clients;

/// What is done with a request.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// Status, headers as whole lines, body. A length is added unless a header tells one.
    Answer(u16, String, Vec<u8>),
    /// The same after a while.
    Late(Duration, Box<Self>),
    /// The same, and then the connection is closed.
    Last(Box<Self>),
    /// Nothing, for ever.
    Hang,
    /// The connection is torn down.
    Reset,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// How many came before it.
    pub(crate) number: usize,
    head: String,
    pub(crate) body: Vec<u8>,
}

/// The server. Its drop ends it.
pub(crate) struct Server {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Request>>>,
    _running: JoinSet<()>,
}

type Script = Arc<dyn Fn(&Request) -> Act + Send + Sync>;

impl Server {
    /// A server that does what `script` says.
    pub(crate) async fn start(script: impl Fn(&Request) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, seen) = (listener.local_addr().unwrap(), Arc::default());
        let (script, seen_by_server): (Script, _) = (Arc::new(script), Arc::clone(&seen));
        let mut running = JoinSet::new();
        running.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, Arc::clone(&script), Arc::clone(&seen_by_server)));
            }
        });
        Self { address, seen, _running: running }
    }

    /// A server that does these things in turn, and the last of them to whatever follows.
    pub(crate) async fn doing(acts: impl IntoIterator<Item = Act>) -> Self {
        let acts: Vec<Act> = acts.into_iter().collect();
        Self::start(move |request| acts[request.number.min(acts.len() - 1)].clone()).await
    }

    /// Everything that was asked so far.
    pub(crate) fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    /// How often it was asked.
    pub(crate) fn asked(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    /// How requests name it.
    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }

    pub(crate) fn endpoints(&self) -> Endpoints {
        Endpoints { every: Some(format!("http://{}", self.address)), ..Endpoints::default() }
    }

    pub(crate) fn clients(&self) -> Clients {
        clients(self.endpoints())
    }

    /// A queue here.
    pub(crate) fn queue(&self, name: &str) -> QueueAddress {
        QueueAddress::new(&format!("http://{}/000000000000/{name}", self.address))
    }

    pub(crate) fn source(&self) -> SqsSource {
        SqsSource::new(&self.clients(), self.queue("work.fifo")).unwrap()
    }

    pub(crate) fn sink(&self) -> SqsSink {
        SqsSink::new(&self.clients(), Lifecycle::new())
    }
}

impl Request {
    /// A header's value; its name in any case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().filter_map(|line| line.split_once(": "));
        fields.into_iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Method, path and version.
    pub(crate) fn line(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }

    /// The body, as the JSON that it is.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The access key that it is signed with.
    pub(crate) fn access_key(&self) -> &str {
        let (_, credential) = self.header("authorization").unwrap().split_once("Credential=").unwrap();
        credential.split('/').next().unwrap()
    }
}

impl Act {
    /// A success.
    pub(crate) fn ok(body: &Value) -> Self {
        Self::Answer(200, String::new(), body.to_string().into_bytes())
    }

    /// An error as the JSON protocols write it.
    pub(crate) fn error(status: u16, code: &str, message: &str) -> Self {
        let body = serde_json::json!({ "__type": code, "message": message });
        Self::Answer(status, String::new(), body.to_string().into_bytes())
    }

    /// An error as S3 writes it.
    pub(crate) fn xml_error(status: u16, code: &str) -> Self {
        let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>no</Message></Error>");
        Self::Answer(status, "Content-Type: application/xml\r\n".to_owned(), body.into_bytes())
    }

    /// What a broken proxy says.
    pub(crate) fn garbage(status: u16) -> Self {
        Self::Answer(status, "Content-Type: text/html\r\n".to_owned(), b"<html>\xff\0it works!".to_vec())
    }
}

async fn serve(mut stream: TcpStream, script: Script, seen: Arc<Mutex<Vec<Request>>>) {
    let mut input = Vec::new();
    while let Some((head, body)) = read(&mut stream, &mut input).await {
        let request = {
            let mut seen = seen.lock().unwrap();
            let request = Request { number: seen.len(), head, body };
            seen.push(request.clone());
            request
        };
        if perform(&mut stream, script(&request)).await.is_break() {
            return;
        }
    }
}

/// Does what the test says; breaks if the connection is to end.
async fn perform(stream: &mut TcpStream, act: Act) -> ControlFlow<()> {
    match act {
        Act::Answer(status, headers, body) => {
            let known = headers.to_ascii_lowercase();
            let length = if known.contains("content-length:") || known.contains("transfer-encoding:") {
                String::new()
            } else {
                format!("Content-Length: {}\r\n", body.len())
            };
            let head = format!("HTTP/1.1 {status} Said\r\n{headers}{length}\r\n");
            match stream.write_all(&[head.as_bytes(), &body].concat()).await {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            }
        }
        Act::Late(pause, then) => {
            sleep(pause).await;
            Box::pin(perform(stream, *then)).await
        }
        Act::Last(then) => {
            let _done = Box::pin(perform(stream, *then)).await;
            ControlFlow::Break(())
        }
        Act::Hang => std::future::pending().await,
        Act::Reset => {
            stream.set_zero_linger().unwrap();
            ControlFlow::Break(())
        }
    }
}

/// The next request's head and body; `None` once the client has closed.
async fn read(stream: &mut TcpStream, input: &mut Vec<u8>) -> Option<(String, Vec<u8>)> {
    loop {
        if let Some(end) = input.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8(input[..end].to_vec()).unwrap();
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(": ")?;
                name.eq_ignore_ascii_case("content-length").then(|| value.parse::<usize>().unwrap())
            });
            let whole = end + 4 + length.unwrap_or(0);
            if input.len() >= whole {
                let body = input[end + 4..whole].to_vec();
                input.drain(..whole);
                return Some((head, body));
            }
        }
        if !matches!(stream.read_buf(input).await, Ok(1..)) {
            return None;
        }
    }
}
