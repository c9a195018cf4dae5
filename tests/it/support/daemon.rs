//! The real program, serving: started with flags, talked to over loopback, and searched for leftovers when it ends.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use compilation_worker::lifecycle;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use super::client::{Client, Reply, get, post};
use super::leftovers::{Leftovers, Process};

/// The program under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_compilation-worker");

/// How long anything may take before a test gives up: compilers on two busy cores, unoptimized.
const PATIENCE: Duration = Duration::from_secs(20);

/// A daemon that serves.
pub(crate) struct Daemon {
    child: Kin,
    pub(crate) http: SocketAddr,
    pub(crate) admin: SocketAddr,
    /// From its first instruction to its announcement.
    pub(crate) birth: Duration,
    /// Its temporary files, its standard error, and whatever a test puts there.
    pub(crate) directory: TempDir,
}

/// A process that does not outlive its owner, whether that has heard from it or not.
struct Kin(Child);

/// The program as a shell would start it, with nothing inherited that would configure it.
#[expect(clippy::disallowed_methods, reason = "the black-box tests start the program")]
pub(crate) fn program() -> Command {
    let mut command = Command::new(BINARY);
    command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").stdin(Stdio::null());
    command
}

impl Daemon {
    pub(crate) async fn start(flags: &[&str]) -> Self {
        Self::start_as(program(), flags).await
    }

    /// Starts `command`, which is the program or something that becomes it, as a daemon.
    pub(crate) async fn start_as(mut command: Command, flags: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        open_to_all(directory.path());
        let temporary = directory.path().join("tmp");
        std::fs::create_dir(&temporary).unwrap();
        open_to_all(&temporary);
        let log = std::fs::File::create(directory.path().join("log")).unwrap();
        command
            .args(["serve", "--announce", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
            .args(flags)
            .env("TMPDIR", &temporary)
            .stdout(Stdio::piped())
            .stderr(log);
        let begun = Instant::now();
        let mut child = Kin(command.spawn().unwrap());
        let mut out = BufReader::new(child.0.stdout.take().unwrap());
        let line = lifecycle::blocking("announcement", move || {
            let mut line = String::new();
            out.read_line(&mut line).map(|_| line)
        });
        let line = tokio::time::timeout(PATIENCE, line).await.expect("no announcement").unwrap().unwrap();
        let birth = begun.elapsed();
        let log = std::fs::read_to_string(directory.path().join("log")).unwrap();
        let addresses: Value = serde_json::from_str(&line)
            .unwrap_or_else(|error| panic!("{error} in the announcement {line:?}; it said: {log}"));
        let address = |door: &str| addresses[door].as_str().unwrap().parse().unwrap();
        Self { http: address("http"), admin: address("admin"), child, birth, directory }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.0.id()
    }

    /// What it wrote to standard error so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap()
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(self.http).await
    }

    /// One request on a connection of its own.
    pub(crate) async fn ask(&self, request: impl AsRef<[u8]>) -> Reply {
        self.client().await.ask(request).await
    }

    /// A page of the public door.
    pub(crate) async fn page(&self, path: &str) -> Reply {
        self.ask(get(path, "Accept: application/json\r\n")).await
    }

    /// Pulls one of the operator's levers.
    pub(crate) async fn pull(&self, path: &str) -> Reply {
        Client::connect(self.admin).await.ask(post(path, "", "")).await
    }

    /// A page of the operator's door.
    pub(crate) async fn admin_page(&self, path: &str) -> Reply {
        Client::connect(self.admin).await.ask(get(path, "")).await
    }

    /// A JSON compile of `body` by `compiler`.
    pub(crate) async fn compile(&self, compiler: &str, body: &Value) -> Reply {
        self.ask(compile(compiler, body)).await
    }

    /// The value of one series in the metrics; 0 if nothing was counted yet.
    pub(crate) async fn metric(&self, series: &str) -> u64 {
        let page = self.admin_page("/metrics").await;
        let value = page.text().lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.map_or(0, |value| value.parse().unwrap())
    }

    /// Compiles that really ran.
    pub(crate) async fn compiles(&self) -> u64 {
        self.metric("ce_base_compiler_compilation_duration_seconds_count").await
    }

    /// Looks at `/health` of the operator's door until `condition` holds, and says how long that took.
    pub(crate) async fn health_until(&self, condition: impl Fn(&Value) -> bool) -> Duration {
        let begun = Instant::now();
        let mut client = Client::connect(self.admin).await;
        loop {
            let health = client.ask(get("/health", "")).await.json();
            if condition(&health) {
                return begun.elapsed();
            }
            assert!(begun.elapsed() < PATIENCE, "it never happened; health is {health}");
            sleep(Duration::from_millis(2)).await;
        }
    }

    /// Looks at the tasks until those called `name` have begun and ended.
    pub(crate) async fn task_over(&self, name: &str) {
        let begun = Instant::now();
        loop {
            let tasks = self.admin_page("/admin/tasks").await.json();
            if tasks[name]["alive"] == 0 {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{name} goes on for ever: {tasks}");
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Looks at a metric until it is at least `least`.
    pub(crate) async fn metric_until(&self, series: &str, least: u64) {
        let begun = Instant::now();
        while self.metric(series).await < least {
            assert!(begun.elapsed() < PATIENCE, "{series} never reached {least}");
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// The identifier of the first compiler with this name or alias, whatever its version.
    pub(crate) async fn compiler(&self, name: &str, package: &str) -> String {
        let list = self.page("/api/compilers?fields=id,alias").await.json();
        let is_version = |rest: &str| rest.is_empty() || rest[1..].bytes().all(|byte| byte.is_ascii_digit());
        let fits = |word: &Value| word.as_str().unwrap().strip_prefix(name).is_some_and(is_version);
        let found =
            list.as_array().unwrap().iter().find(|compiler| {
                fits(&compiler["id"]) || compiler["alias"].as_array().unwrap().iter().any(fits)
            });
        let found = found.unwrap_or_else(|| {
            panic!("there is no {name} among {list}: apt-get install {package}, or run .ci/setup --tests")
        });
        found["id"].as_str().unwrap().to_owned()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child.0), signal).unwrap();
    }

    /// Everything it has started and holds at this moment.
    pub(crate) fn holdings(&self) -> Leftovers {
        Leftovers::of(self.pid())
    }

    /// Processes below it that run a program of this name.
    pub(crate) fn running(&self, name: &str) -> Vec<Process> {
        self.holdings().processes.into_iter().filter(|process| process.name() == name).collect()
    }

    /// Waits until `number` of them run.
    pub(crate) async fn running_until(&self, name: &str, number: usize) -> Vec<Process> {
        let begun = Instant::now();
        loop {
            let running = self.running(name);
            if running.len() == number {
                return running;
            }
            assert!(begun.elapsed() < PATIENCE, "not {number} of {name}: {:?}", self.holdings());
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits for its end.
    pub(crate) async fn exit(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.0.try_wait().unwrap() {
                return status;
            }
            assert!(begun.elapsed() < PATIENCE, "it does not end; it said: {}", self.log());
            sleep(Duration::from_millis(2)).await;
        }
    }

    /// Waits for its end with `code`; then nothing of `held`, and no temporary file, may be left.
    pub(crate) async fn ends_with(mut self, code: i32, held: Leftovers) {
        let status = self.exit().await;
        assert_eq!(status.code(), Some(code), "{status}; it said: {}", self.log());
        held.assert_gone().await;
        let temporary: Vec<PathBuf> = std::fs::read_dir(self.directory.path().join("tmp"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        assert!(temporary.is_empty(), "left behind: {temporary:?}");
        assert!(!self.log().contains("panicked"), "{}", self.log());
    }

    /// Ends it as systemd does; it must be healthy, end well and leave nothing.
    pub(crate) async fn stop(self) {
        assert_eq!(self.page("/health/ready").await.status, 200, "it was not well at the end");
        let held = self.holdings();
        // On a busy machine no jail may stand just now.
        assert!(!held.processes.is_empty(), "no jail helper was seen, so its absence would prove nothing");
        self.signal(Signal::TERM);
        self.ends_with(0, held).await;
    }
}

impl Drop for Kin {
    fn drop(&mut self) {
        // One that has ended and was waited for is not signalled again.
        let _gone_already = self.0.kill().is_err();
        let _reaped = self.0.wait().is_err();
    }
}

/// A JSON compile of `body` by `compiler`, as bytes.
pub(crate) fn compile(compiler: &str, body: &Value) -> Vec<u8> {
    let path = format!("/api/compiler/{compiler}/compile");
    post(&path, "Content-Type: application/json\r\nAccept: application/json\r\n", body.to_string())
}

/// Lets other users in, as `tempfile` does not.
pub(crate) fn open_to_all(path: &Path) {
    let all = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(path, all).unwrap();
}
