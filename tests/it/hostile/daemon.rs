//! The real daemon under attack, with secrets planted around it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixListener;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::hostile::census::{self, Census};
use crate::hostile::secrets::Secrets;
use crate::support::client::{Client, Reply, get, post, until};

/// Limits small enough that hitting them takes no time.
const LIMITS: &[&str] = &[
    "--engine-slots=2",
    "--limits-memory=256MiB",
    "--limits-pids=40",
    "--limits-file-size=8MiB",
    "--limits-open-files=64",
    "--limits-scratch=32MiB",
    "--limits-scratch-inodes=200",
    "--limits-output=64KiB",
    "--limits-artifact=2MiB",
];

/// The program under test.
const BINARY: &str = env!("CARGO_BIN_EXE_compilation-worker");

/// For what the clock must end.
pub(super) const SHORT: &str = "--limits-wall=1500ms";
/// For what must end by itself or by another limit, on however busy a machine.
pub(super) const LONG: &str = "--limits-wall=20s";

/// How long anything may take to come to rest.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest that any job waits and runs.
const LONGEST_JOB: Duration = Duration::from_secs(45);

/// The compilers that every attack is tried on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Who {
    Gcc,
    Gxx,
    Clang,
    Clangxx,
}

pub(super) const ALL: &[Who] = &[Who::Gcc, Who::Gxx, Who::Clang, Who::Clangxx];
pub(super) const GNU: &[Who] = &[Who::Gcc, Who::Gxx];
pub(super) const LLVM: &[Who] = &[Who::Clang, Who::Clangxx];

/// A running daemon. It is killed when this is dropped; its jails die with it.
pub(super) struct Daemon {
    child: Child,
    /// Kept open: the daemon may still want to write to it.
    _announced: BufReader<ChildStdout>,
    pub(super) http: SocketAddr,
    pub(super) admin: SocketAddr,
    pub(super) secrets: Secrets,
    compilers: BTreeMap<Who, String>,
    /// Whether control groups count for a job as a whole, as the daemon itself says.
    pub(super) grouped: bool,
    jobs: AtomicUsize,
    _neighbors: JoinSet<()>,
}

impl Daemon {
    /// Starts one with secrets in its environment, in its configuration, in its memory, in a file, and in a
    /// descriptor it does not know of.
    pub(super) async fn start(flags: &[&str]) -> Self {
        Self::start_by(&[], flags).await
    }

    /// The same by way of `wrapper`, a command that takes another as its last arguments.
    #[expect(clippy::disallowed_methods, reason = "the harness starts the program under test")]
    pub(super) async fn start_by(wrapper: &[&str], flags: &[&str]) -> Self {
        let secrets = Secrets::plant();
        let held_open = secrets.held_open();
        let executable = if wrapper.is_empty() {
            BINARY.into()
        } else {
            fs::copy(BINARY, secrets.executable()).unwrap();
            secrets.executable()
        };
        let mut child = Command::new("/bin/sh")
            .args(["-c", "exec 9<\"$0\" && exec \"$@\""])
            .arg(&held_open)
            .args(private_mounts())
            .args(wrapper)
            .arg(executable)
            .args(["serve", "--announce", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
            .arg("--config")
            .arg(secrets.configuration())
            .args(LIMITS.iter().filter(|limit| !flags.iter().any(|flag| name(flag) == name(limit))))
            .args(flags)
            .env("AWS_SECRET_ACCESS_KEY", &secrets.environment)
            .env("AWS_SESSION_TOKEN", &secrets.environment)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(secrets.log()).unwrap())
            .spawn()
            .unwrap();
        let mut announced = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        announced.read_line(&mut line).unwrap();
        let log = || fs::read_to_string(secrets.log()).unwrap();
        let addresses: Value =
            serde_json::from_str(&line).unwrap_or_else(|_| panic!("it did not start: {}", log()));
        let address = |name: &str| addresses[name].as_str().unwrap().parse().unwrap();
        // The log is written by a thread of its own.
        let holds = || log().lines().find(|line| line.contains("the sandbox holds")).map(str::to_owned);
        until(|| holds().is_some()).await;
        let grouped = holds().unwrap().contains("limits: Cgroup");
        let neighbors = neighbors(&secrets);
        let mut daemon = Self {
            http: address("http"),
            admin: address("admin"),
            child,
            _announced: announced,
            secrets,
            compilers: BTreeMap::new(),
            grouped,
            jobs: AtomicUsize::new(0),
            _neighbors: neighbors,
        };
        daemon.compilers = daemon.find_compilers().await;
        daemon.warmed_up().await;
        daemon.confide().await;
        for who in ALL {
            daemon.ordinary_job(*who).await.unwrap();
        }
        daemon
    }

    /// Waits until it has asked its compilers what they can do: between two such jobs it looks as if at rest.
    async fn warmed_up(&self) {
        /// A dozen compilers, six questions each, beside other tests that do the same.
        const LONGEST: Duration = Duration::from_mins(1);
        let begun = Instant::now();
        while self.ask(self.admin, get("/admin/tasks", "")).await.json()["warm-up"]["alive"] != 0 {
            assert!(begun.elapsed() < LONGEST, "its compilers are still being asked");
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// The id of the compiler of `who`.
    pub(super) fn compiler(&self, who: Who) -> &str {
        &self.compilers[&who]
    }

    pub(super) fn process(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it has ended by itself.
    pub(super) async fn end(&mut self, patience: Duration) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(begun.elapsed() < patience, "it goes on");
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Tells it a secret, as a request would that is somebody else's: it remembers the answer.
    async fn confide(&self) {
        let source = format!("const char *secret = \"{}\";", self.secrets.memory);
        let named = format!("X-Request-Id: {}\r\n", self.secrets.request);
        let reply = self.told(Who::Gcc, &named, &json!({"source": source, "options": {}})).await;
        assert!(reply.text().contains(&self.secrets.memory), "{}", reply.text());
    }

    /// The answer to somebody else's request, who may know what it says; `headers` are whole lines.
    pub(super) async fn told(&self, who: Who, headers: &str, body: &Value) -> Reply {
        let headers = format!("Content-Type: application/json\r\nAccept: application/json\r\n{headers}");
        let path = format!("/api/compiler/{}/compile", self.compiler(who));
        reply(self.http, post(&path, &headers, body.to_string())).await
    }

    /// One reply on a connection of its own; no secret may be in it.
    pub(super) async fn ask(&self, address: SocketAddr, request: impl AsRef<[u8]>) -> Reply {
        let reply = reply(address, request).await;
        let everything = format!("{:?}", reply.headers).into_bytes();
        for bytes in [&everything, &reply.body] {
            let leaks = self.secrets.found_in(bytes);
            assert!(leaks.is_empty(), "{leaks:?} in {}", String::from_utf8_lossy(bytes));
        }
        reply
    }

    /// Compiles `body` with the compiler of `who`.
    pub(super) async fn compile(&self, who: Who, body: &Value) -> Reply {
        self.compile_bytes(who, body.to_string()).await
    }

    /// The same with a body that need not be JSON.
    pub(super) async fn compile_bytes(&self, who: Who, body: impl AsRef<[u8]>) -> Reply {
        let path = format!("/api/compiler/{}/compile", self.compiler(who));
        let headers = "Content-Type: application/json\r\nAccept: application/json\r\n";
        self.ask(self.http, post(&path, headers, body)).await
    }

    /// Begins a new peak of memory.
    pub(super) fn forget_peak(&self) {
        fs::write(format!("/proc/{}/clear_refs", self.process()), "5").unwrap();
    }

    /// Most memory it had resident at once.
    pub(super) fn peak_mib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
    }

    /// A job that nobody has asked for before; what is wrong with its answer.
    pub(super) async fn ordinary_job(&self, who: Who) -> Result<(), String> {
        let number = 1_000_003 + self.jobs.fetch_add(1, Ordering::Relaxed);
        let source = format!("int ordinary(void) {{ return {number}; }}");
        let body = json!({"source": source, "options": {"userArguments": "-O1", "filters": {"intel": true}}});
        let reply = self.compile(who, &body).await;
        let right = reply.status == 200
            && reply.header("x-job-status") == Some("ok")
            && reply.text().contains(&format!("mov     eax, {number}"))
                | reply.text().contains(&format!("mov\\teax, {number}"));
        if right { Ok(()) } else { Err(format!("an ordinary job: {} {}", reply.status, reply.text())) }
    }

    /// Whether it calls itself healthy.
    pub(super) async fn healthy(&self) -> bool {
        self.ask(self.http, get("/healthcheck", "")).await.status == 200
    }

    /// A member of `/healthcheck`.
    pub(super) async fn vital(&self, name: &str) -> Value {
        self.ask(self.admin, get("/healthcheck", "")).await.json()[name].clone()
    }

    /// What it holds, once nothing changes any more.
    pub(super) async fn at_rest(&self) -> Census {
        let begun = Instant::now();
        let mut last = None;
        loop {
            let now = Census::take(self.process());
            if let Some(census) = &now
                && now == last
                && self.vital("slotsBusy").await == 0
            {
                break census.clone();
            }
            assert!(begun.elapsed() < PATIENCE, "it does not come to rest: {now:?} {last:?}");
            last = now;
            sleep(Duration::from_millis(30)).await;
        }
    }

    /// Waits until it holds what it held; what differs if it never does.
    pub(super) async fn is_back_at(&self, before: &Census) -> Result<(), String> {
        let begun = Instant::now();
        loop {
            let now = Census::take(self.process());
            if now.as_ref() == Some(before) {
                return Ok(());
            }
            if begun.elapsed() > PATIENCE {
                let running = census::commands_below(self.process());
                return Err(format!("left over: {before:?} before, {now:?} after; {running:?}"));
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// The compiler that answers to each plain name: what the distribution takes for its own.
    async fn find_compilers(&self) -> BTreeMap<Who, String> {
        let listed = self
            .ask(self.http, get("/api/compilers?fields=id,alias", "Accept: application/json\r\n"))
            .await
            .json();
        let answers = |entry: &&Value, name: &str| {
            let aliases = entry["alias"].as_array().into_iter().flatten();
            aliases.chain([&entry["id"]]).any(|known| known == name)
        };
        let find = |(who, name): (Who, &str)| {
            let entry = listed.as_array().unwrap().iter().find(|entry| answers(entry, name));
            let entry = entry.unwrap_or_else(|| panic!("install gcc, g++ and clang: {listed}"));
            (who, entry["id"].as_str().unwrap().to_owned())
        };
        [(Who::Gcc, "gcc"), (Who::Gxx, "g++"), (Who::Clang, "clang"), (Who::Clangxx, "clang++")]
            .map(find)
            .into()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Before anything that may panic: what goes on running would be counted by other tests.
        let _gone_already = self.child.kill().is_err();
        let _reaped = self.child.wait().is_err();
        if std::thread::panicking() {
            return;
        }
        let log = fs::read(self.secrets.log()).unwrap();
        let told = self.secrets.found_in(&log);
        // What a request calls itself is what the log calls it.
        let leaks: Vec<_> = told.iter().filter(|found| !found.starts_with(&self.secrets.request)).collect();
        assert!(leaks.is_empty(), "{leaks:?} in the log");
    }
}

/// The reply to one request on a connection of its own.
async fn reply(address: SocketAddr, request: impl AsRef<[u8]>) -> Reply {
    let mut client = Client::connect(address).await;
    client.send(request).await;
    // The client's own patience is for replies that nobody has to compile for.
    timeout(LONGEST_JOB, client.stream.readable()).await.expect("no reply").unwrap();
    client.reply().await
}

/// What keeps the mounts of others out of a daemon's census, where this user may ask for it. Its own would still
/// spread from its helper's namespace to its own, if they spread at all.
fn private_mounts() -> &'static [&'static str] {
    if rustix::process::geteuid().is_root() {
        const SHARE: &str = "mount --make-rshared / && exec \"$0\" \"$@\"";
        &["unshare", "--mount", "--propagation", "private", "sh", "-c", SHARE]
    } else {
        &[]
    }
}

/// A flag without its value.
fn name(flag: &str) -> &str {
    flag.split('=').next().unwrap_or_default()
}

/// Sockets of the host, by path and by abstract name, that tell whoever connects their secret.
fn neighbors(secrets: &Secrets) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let path = secrets.socket_path();
    let named = UnixListener::bind(&path).unwrap();
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    let mut name = b"\0".to_vec();
    name.extend_from_slice(path.as_os_str().as_encoded_bytes());
    let name = <std::os::unix::net::SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(
        &name[1..],
    );
    let unnamed = std::os::unix::net::UnixListener::bind_addr(&name.unwrap()).unwrap();
    unnamed.set_nonblocking(true).unwrap();
    for listener in [named, UnixListener::from_std(unnamed).unwrap()] {
        let answer = secrets.socket.clone();
        tasks.spawn(async move {
            while let Ok((mut caller, _)) = listener.accept().await {
                if caller.write_all(answer.as_bytes()).await.is_err() {
                    break;
                }
            }
        });
    }
    tasks
}
