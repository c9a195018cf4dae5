//! A collector of traces on loopback, as OpenTelemetry's are: it takes spans, or does what a test says instead.

use std::path::Path;
use std::process::{Command, Stdio};

use compilation_worker::lifecycle;
use serde_json::{Value, json};

use super::client::until;
use crate::aws::server::{Act, Request, Server};

/// A running collector. Its drop ends it.
pub(crate) struct Collector(Server);

impl Collector {
    /// One that takes everything.
    pub(crate) async fn start() -> Self {
        Self::doing(|_| Act::ok(&json!({}))).await
    }

    /// One that does what `script` says.
    pub(crate) async fn doing(script: impl Fn(&Request) -> Act + Send + Sync + 'static) -> Self {
        Self(Server::start(script).await)
    }

    /// The flags that export everything here about which nobody else has decided.
    pub(crate) fn flags(&self) -> [String; 2] {
        [format!("--trace-url=http://{}/", self.0.host()), "--trace-share=100%".to_owned()]
    }

    /// What was sent so far.
    pub(crate) fn seen(&self) -> Vec<Request> {
        self.0.seen()
    }

    /// Every span that was sent so far.
    pub(crate) fn spans(&self) -> Vec<Value> {
        self.seen().iter().flat_map(spans).collect()
    }

    /// Every span, once there are so many.
    pub(crate) async fn spans_once(&self, count: usize) -> Vec<Value> {
        until(|| self.spans().len() >= count).await;
        let spans = self.spans();
        assert_eq!(spans.len(), count, "{spans:?}");
        spans
    }
}

/// The spans of one request.
pub(crate) fn spans(request: &Request) -> Vec<Value> {
    assert_eq!(request.line(), "POST /v1/traces HTTP/1.1");
    assert_eq!(request.header("content-type"), Some("application/json"));
    request.json()["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap().clone()
}

/// The value of a span's attribute, whatever its type.
pub(crate) fn fact<'a>(span: &'a Value, key: &str) -> Option<&'a Value> {
    let found = span["attributes"].as_array().unwrap().iter().find(|fact| fact["key"] == key)?;
    found["value"].as_object().unwrap().values().next()
}

/// The spans of a request as OpenTelemetry's own types read them.
pub(crate) async fn officially(request: &Request) -> Vec<Value> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = root.join("target/emulator/bin/python");
    assert!(python.exists(), "{} is missing; `.ci/setup --tests` installs it", python.display());
    #[expect(clippy::disallowed_methods, reason = "a test starts what it asks")]
    let mut command = Command::new(python);
    command.arg(root.join("tests/fixtures/read_spans.py")).env_clear();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let body = request.body.clone();
    let reading = lifecycle::blocking("read spans", move || {
        let mut child = command.spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), &body).unwrap();
        child.wait_with_output().unwrap()
    });
    let output = reading.await.unwrap();
    assert!(output.status.success(), "they do not read {}", String::from_utf8_lossy(&request.body));
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}
