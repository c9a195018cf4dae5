//! A real browser without a window, told what to do in its own language, the `DevTools` protocol.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// How long anything may take before a test gives up: a browser that starts on two busy cores.
const PATIENCE: Duration = Duration::from_secs(40);

/// What it is called, here and there; besides, `CHROME_BIN` may name it.
const PROGRAMS: [&str; 3] = ["chromium", "google-chrome", "chromium-browser"];
/// Nothing of these is asked of anybody else's machine.
const FLAGS: [&str; 11] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
];

/// A browser with one page.
pub(crate) struct Browser {
    process: Kin,
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    session: String,
    sent: u64,
    /// What the page complained of so far: errors, exceptions and breaches of its policy.
    pub(crate) complaints: Vec<String>,
    _profile: TempDir,
}

struct Kin(Child);

impl Drop for Kin {
    fn drop(&mut self) {
        let _gone_already = self.0.kill().is_err();
        let _reaped = self.0.wait().is_err();
    }
}

/// The first that runs: some systems have a stub of that name.
#[expect(clippy::disallowed_methods, reason = "the black-box tests start programs")]
fn program() -> Option<OsString> {
    let named = std::env::var_os("CHROME_BIN").filter(|name| !name.is_empty());
    let mut programs = named.into_iter().chain(PROGRAMS.map(OsString::from));
    programs.find(|program| {
        let told = Command::new(program).arg("--version").stdin(Stdio::null()).output();
        told.is_ok_and(|told| told.status.success())
    })
}

impl Browser {
    /// Starts one and opens an empty page; nothing where none can be installed, which is said.
    #[expect(clippy::disallowed_methods, reason = "the black-box tests start programs")]
    #[expect(clippy::print_stdout, reason = "a skipped test says so")]
    pub(crate) async fn start() -> Option<Self> {
        let Some(program) = program() else {
            // Where it is a package, or a part of the runner, a skipped proof would be a lost one.
            let system = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
            let is_debian = system.lines().any(|line| line == "ID=debian");
            assert!(
                !is_debian && cfg!(target_arch = "aarch64"),
                "there is no browser: apt-get install chromium, run .ci/setup --tests, or name one with CHROME_BIN"
            );
            println!("skipped: there is no browser, and this system has none as a package");
            return None;
        };
        let profile = tempfile::tempdir().unwrap();
        let mut command = Command::new(program);
        command.args(FLAGS).arg(format!("--user-data-dir={}", profile.path().display()));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = Kin(command.spawn().unwrap());
        let address = address(profile.path()).await;
        let (socket, _) = connect_async(address).await.unwrap();
        let mut browser = Self {
            process,
            socket,
            session: String::new(),
            sent: 0,
            complaints: Vec::new(),
            _profile: profile,
        };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" })).await;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = browser.call("Target.attachToTarget", attach).await;
        attached["sessionId"].as_str().unwrap().clone_into(&mut browser.session);
        for domain in ["Runtime.enable", "Log.enable", "Page.enable"] {
            browser.call(domain, json!({})).await;
        }
        Some(browser)
    }

    /// Goes to `url` in a window of this width, which likes the `dark` or the `light`.
    pub(crate) async fn go(&mut self, url: &str, width: u32, scheme: &str) {
        let metrics = json!({ "width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", metrics).await;
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.call("Emulation.setEmulatedMedia", media).await;
        let gone = self.call("Page.navigate", json!({ "url": url })).await;
        assert_eq!(gone["errorText"], Value::Null, "{url}");
    }

    /// What an expression is on the page; a promise is awaited.
    pub(crate) async fn ask(&mut self, expression: &str) -> Value {
        let asked = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let answer = self.call("Runtime.evaluate", asked).await;
        assert_eq!(answer["exceptionDetails"], Value::Null, "{expression}");
        answer["result"]["value"].clone()
    }

    /// The text of the element with this id.
    pub(crate) async fn text(&mut self, id: &str) -> String {
        self.ask(&format!("document.getElementById('{id}')?.textContent ?? ''"))
            .await
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// Waits until an expression is true.
    pub(crate) async fn until(&mut self, expression: &str) {
        let begun = Instant::now();
        while self.ask(expression).await != true {
            if begun.elapsed() > PATIENCE {
                let body = self.ask("document.body.innerText").await;
                panic!("never {expression}; complaints: {:?}; the page says {body}", self.complaints);
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// A picture of the window, in base64.
    pub(crate) async fn picture(&mut self) -> String {
        let picture = self.call("Page.captureScreenshot", json!({ "format": "png" })).await;
        picture["data"].as_str().unwrap().to_owned()
    }

    /// Asks it to end, and waits until it has.
    pub(crate) async fn close(mut self) {
        self.session.clear();
        self.call("Browser.close", json!({})).await;
        let begun = Instant::now();
        while self.process.0.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < PATIENCE, "the browser does not end");
            sleep(Duration::from_millis(5)).await;
        }
    }

    async fn call(&mut self, method: &str, params: Value) -> Value {
        self.sent += 1;
        let mut call = json!({ "id": self.sent, "method": method, "params": params });
        if !self.session.is_empty() {
            call["sessionId"] = json!(self.session);
        }
        self.socket.send(Message::text(call.to_string())).await.unwrap();
        loop {
            let next = timeout(PATIENCE, self.socket.next()).await;
            let message = next.unwrap_or_else(|_| panic!("no answer to {method}")).unwrap().unwrap();
            let Message::Text(text) = message else { continue };
            let said: Value = serde_json::from_str(&text).unwrap();
            if said["id"] == self.sent {
                assert_eq!(said["error"], Value::Null, "{method}");
                return said["result"].clone();
            }
            self.hear(&said);
        }
    }

    fn hear(&mut self, said: &Value) {
        let params = &said["params"];
        let complaint = match said["method"].as_str() {
            Some("Log.entryAdded") => &params["entry"],
            Some("Runtime.exceptionThrown") => &params["exceptionDetails"],
            Some("Runtime.consoleAPICalled") if params["type"] != "log" => params,
            _ => return,
        };
        self.complaints.push(complaint.to_string());
    }
}

/// Where a browser with this profile listens, once it does.
async fn address(profile: &Path) -> String {
    let begun = Instant::now();
    loop {
        let written = std::fs::read_to_string(profile.join("DevToolsActivePort")).unwrap_or_default();
        if let Some((port, path)) = written.split_once('\n')
            && !path.is_empty()
        {
            return format!("ws://127.0.0.1:{port}{path}");
        }
        assert!(begun.elapsed() < PATIENCE, "the browser does not start");
        sleep(Duration::from_millis(10)).await;
    }
}
