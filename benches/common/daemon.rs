//! The real daemon in release, on free ports, and a plain HTTP/1.1 client for it.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

/// A running daemon; dropping it stops it.
pub(crate) struct Daemon {
    child: Child,
    /// Where it listens.
    pub(crate) http: SocketAddr,
}

impl Daemon {
    /// Starts `serve` with `arguments` and waits for its announcement.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_compilation-worker"));
        command.args(["serve", "--announce", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
        // Credentials that nobody checks.
        command.env("AWS_ACCESS_KEY_ID", "AKIDTEST").env("AWS_SECRET_ACCESS_KEY", "secret");
        let (child, line) = announced(command.args(arguments));
        let addresses: serde_json::Value = serde_json::from_str(&line).unwrap();
        let http = addresses["http"].as_str().unwrap().parse().unwrap();
        Self { child, http }
    }

    /// A new connection to it.
    pub(crate) fn connect(&self) -> request::Connection {
        request::Connection::open(self.http)
    }

    /// Its resident memory, in bytes.
    pub(crate) fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kib * 1024
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Starts `command` and returns the line in which it tells where it listens.
pub(crate) fn announced(command: &mut Command) -> (Child, String) {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    (child, line)
}

/// Requests over one kept connection.
pub(crate) mod request {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::{SocketAddr, TcpStream};
    use std::time::Instant;

    /// One kept connection.
    pub(crate) struct Connection(BufReader<TcpStream>);

    /// What came back.
    pub(crate) struct Reply {
        /// The status code.
        pub(crate) status: u16,
        headers: Vec<(String, String)>,
        /// The body.
        pub(crate) body: Vec<u8>,
    }

    impl Reply {
        /// A header by its lower-case name.
        pub(crate) fn header(&self, name: &str) -> Option<&str> {
            self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
        }
    }

    impl Connection {
        /// Connects to `address`.
        pub(crate) fn open(address: SocketAddr) -> Self {
            let stream = TcpStream::connect(address).unwrap();
            stream.set_nodelay(true).unwrap();
            Self(BufReader::with_capacity(256 * 1024, stream))
        }

        /// GETs `path`.
        pub(crate) fn get(&mut self, path: &str) -> Reply {
            let request = format!("GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n");
            self.0.get_mut().write_all(request.as_bytes()).unwrap();
            self.receive()
        }

        /// POSTs a JSON body and reads the reply.
        pub(crate) fn post(&mut self, path: &str, body: &str) -> Reply {
            self.send_post(path, body);
            self.receive()
        }

        /// POSTs a JSON body; returns the instant at which its last byte was handed to the socket.
        pub(crate) fn send_post(&mut self, path: &str, body: &str) -> Instant {
            self.0.get_mut().write_all(head(path, body.len()).as_bytes()).unwrap();
            self.0.get_mut().write_all(body.as_bytes()).unwrap();
            Instant::now()
        }

        /// Reads one reply.
        pub(crate) fn receive(&mut self) -> Reply {
            let mut line = String::new();
            self.0.read_line(&mut line).unwrap();
            let status = line.split(' ').nth(1).unwrap().parse().unwrap();
            let mut headers = Vec::new();
            loop {
                line.clear();
                self.0.read_line(&mut line).unwrap();
                let Some((name, value)) = line.trim_end().split_once(": ") else { break };
                headers.push((name.to_ascii_lowercase(), value.to_owned()));
            }
            let mut reply = Reply { status, headers, body: Vec::new() };
            let length = reply.header("content-length").unwrap().parse().unwrap();
            reply.body.resize(length, 0);
            self.0.read_exact(&mut reply.body).unwrap();
            reply
        }
    }

    /// The head of a JSON POST.
    pub(crate) fn head(path: &str, length: usize) -> String {
        format!(
            "POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nAccept: application/json\r\n\
             Content-Length: {length}\r\n\r\n"
        )
    }
}
