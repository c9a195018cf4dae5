//! A third party's server in Python, started by a test on a free port and ended with it.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use super::client::Client;

/// How long it may take to serve: Python on two busy cores.
const PATIENCE: Duration = Duration::from_mins(1);

/// A running server.
pub(crate) struct Served {
    child: Child,
    pub(crate) address: SocketAddr,
    /// Where it runs and logs.
    directory: TempDir,
}

impl Served {
    /// Starts a program that `.ci/setup --tests` has installed; `tell` tells it where to listen.
    pub(crate) async fn start(program: &str, tell: impl FnOnce(&mut Command, SocketAddr)) -> Self {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("target").join(program);
        assert!(program.exists(), "{} is missing; `.ci/setup --tests` installs it", program.display());
        let directory = tempfile::tempdir().unwrap();
        let log = std::fs::File::create(directory.path().join("log")).unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        #[expect(clippy::disallowed_methods, reason = "a test starts what it talks to")]
        let mut command = Command::new(program);
        command.env_clear().current_dir(&directory);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        tell(&mut command, address);
        let mut served = Self { child: command.spawn().unwrap(), address, directory };
        served.wait().await;
        served
    }

    async fn wait(&mut self) {
        let begun = Instant::now();
        while Client::try_connect(self.address).await.is_err() {
            let alive = self.child.try_wait().unwrap().is_none();
            assert!(alive && begun.elapsed() < PATIENCE, "it does not serve: {}", self.log());
            sleep(Duration::from_millis(20)).await;
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ended = self.child.kill().is_ok() && self.child.wait().is_ok();
    }
}
