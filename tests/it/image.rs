//! The self-test that a machine image must pass, run against the real program: that it passes where all is well, and
//! that each thing that can be wrong makes it fail, and is named.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use compilation_worker::lifecycle;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::support::daemon::{BINARY, Daemon, open_to_all};

const SELF_TEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/packer/self-test.sh");

/// Why most of this is not seen everywhere.
const NOT_STRICT: &str = "skipped: no control group is delegated here, so there is no strict jail";

/// Directories of this machine in which the daemon finds `name`, and nothing else.
struct Compilers(TempDir);

impl Compilers {
    /// With one compiler, as `link` makes it.
    fn with(name: &str, link: impl FnOnce(&Path)) -> Self {
        // Not in /tmp, where a jail has its own.
        let directory = tempfile::tempdir_in("/var/tmp").unwrap();
        open_to_all(directory.path());
        link(&directory.path().join(name));
        Self(directory)
    }

    /// The machine's own g++.
    fn real() -> Self {
        Self::with("g++", |path| symlink("/usr/bin/g++", path).unwrap())
    }

    /// A script that does what `does` says.
    fn fake(name: &str, does: &str) -> Self {
        Self::with(name, |path| {
            std::fs::write(path, format!("#!/bin/sh\n{does}\n")).unwrap();
            std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
        })
    }

    async fn served(&self, mode: &str) -> Daemon {
        let directory = self.0.path().to_str().unwrap();
        Daemon::start(&[
            "--sandbox",
            mode,
            "--catalogue-search-path",
            directory,
            "--sandbox-readable",
            directory,
            "--log-format",
            "json",
        ])
        .await
    }
}

/// Runs the self-test against `daemon`, expecting the compilers called `expected`; `pid` is who it shall stop.
async fn test(daemon: &Daemon, expected: &str, pid: u32) -> Output {
    let list = daemon.directory.path().join("expected");
    std::fs::write(&list, expected).unwrap();
    #[expect(clippy::disallowed_methods, reason = "the test starts the script under test")]
    let mut command = Command::new(SELF_TEST);
    command
        .args(["--url", &format!("http://{}", daemon.http), "--pid", &pid.to_string(), "--binary", BINARY])
        .arg("--log")
        .arg(daemon.directory.path().join("log"))
        .arg("--expect")
        .arg(list)
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .stdin(Stdio::null());
    lifecycle::blocking("self-test", move || command.output()).await.unwrap().unwrap()
}

/// It must fail, and say why.
async fn fails(compilers: &Compilers, mode: &str, expected: &str, why: &str) {
    let daemon = compilers.served(mode).await;
    let output = test(&daemon, expected, daemon.pid()).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("self-test: ") && said.contains(why), "not {why:?}, but {said}");
}

/// Whether jails here can be as strict as an image's must be.
async fn is_strict_here() -> bool {
    let daemon = Daemon::start(&["--sandbox", "jail", "--log-format", "json"]).await;
    // The log is written by a thread of its own, and may come after the announcement.
    let begun = Instant::now();
    while !daemon.log().contains("the sandbox holds") {
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "it never says what its jail is made of: {}",
            daemon.log()
        );
        sleep(Duration::from_millis(2)).await;
    }
    daemon.log().contains("limits: Cgroup")
}

#[tokio::test]
async fn a_good_image_passes() {
    if !is_strict_here().await {
        println!("{NOT_STRICT}");
        return;
    }
    let compilers = Compilers::real();
    let mut daemon = compilers.served("strict").await;
    let output = test(&daemon, "g++\n", daemon.pid()).await;
    let told = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(told.contains("1 compilers compile in a jail"), "{told}");
    assert_eq!(daemon.exit().await.code(), Some(0), "it was not stopped, or did not drain");
}

#[tokio::test]
async fn a_weaker_jail_fails() {
    for mode in ["none", "jail"] {
        fails(&Compilers::real(), mode, "g++\n", "weaker than strict").await;
    }
}

#[tokio::test]
async fn a_compiler_that_is_not_served_fails() {
    if !is_strict_here().await {
        println!("{NOT_STRICT}");
        return;
    }
    fails(&Compilers::real(), "strict", "g++\nclang-99\n", "clang-99 is not served").await;
}

#[tokio::test]
async fn a_broken_compiler_fails() {
    if !is_strict_here().await {
        println!("{NOT_STRICT}");
        return;
    }
    // What it can do, it says as a good one would.
    let but = "case \"$*\" in *' -S '*) ;; *) exec /usr/bin/g++ \"$@\" ;; esac";
    let liar = "for word; do [ \"$last\" = -o ] && echo 'liar: ret' >\"$word\"; last=$word; done; exit 0";
    for (does, why) in [
        ("exit 1".to_owned(), "g++-99: infra_error: "),
        (format!("{but}; echo 'cannot execute cc1plus' >&2; exit 1"), "g++-99: compile_error: "),
        (format!("{but}; kill -SEGV $$"), "g++-99: signalled: "),
        (format!("{but}; exit 0"), "g++-99: its listing is not that of the program"),
        (format!("{but}; {liar}"), "g++-99: its listing is not that of the program"),
    ] {
        fails(&Compilers::fake("g++-99", &does), "strict", "g++-99\n", why).await;
    }
}

#[tokio::test]
async fn a_daemon_that_does_not_drain_fails() {
    if !is_strict_here().await {
        println!("{NOT_STRICT}");
        return;
    }
    let compilers = Compilers::real();
    let daemon = compilers.served("strict").await;
    // Somebody else ends in its stead, so nobody says that all work was done.
    #[expect(clippy::disallowed_methods, reason = "a process that is no daemon")]
    let mut other = Command::new("sleep").arg("60").spawn().unwrap();
    let output = test(&daemon, "g++\n", other.id()).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("does not say that it drained"), "{said}");
    assert!(other.wait().unwrap().code().is_none(), "it was not told to stop");
    daemon.stop().await;
}
