//! No jail, no service; and the jail works for whoever is allowed to build one.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::cli::asks::output;
use crate::support::daemon::{BINARY, Daemon, open_to_all, program};

/// A user that is nobody on this machine: systemd's documents keep these numbers free.
const NOBODY: &str = "61100";

/// A command of the machine.
#[expect(clippy::disallowed_methods, reason = "the black-box tests start programs")]
fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin");
    command
}

/// A copy of the program where every user can reach it, wherever the build directory lies.
fn reachable() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir_in("/var/tmp").unwrap();
    open_to_all(directory.path());
    let copy = directory.path().join("compilation-worker");
    std::fs::copy(BINARY, &copy).unwrap();
    (directory, copy)
}

/// The program as an unprivileged user: another one if the test is root, or else the test's own.
fn unprivileged(program: &Path) -> Command {
    if !rustix::process::geteuid().is_root() {
        return command(program.to_str().unwrap());
    }
    let mut command = command("setpriv");
    command.args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "--no-new-privs"]).arg(program);
    command
}

/// The program inside a throw-away user namespace in which no further one may be made.
fn without_namespaces() -> Command {
    let mut command = command("unshare");
    let script = "echo 0 >/proc/sys/user/max_user_namespaces && exec \"$@\"";
    command.args(["--user", "--map-root-user", "--", "sh", "-c", script, "sh", BINARY]);
    command
}

#[test]
fn serve_refuses_a_machine_that_allows_no_user_namespace() {
    let words = ["serve", "--announce", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
    for mode in ["jail", "strict"] {
        let (out, err, code) = output(without_namespaces().args(words).args(["--sandbox", mode]));
        assert_eq!((out.as_str(), code), ("", 1), "{err}");
        assert!(err.contains("user namespace") && err.contains("user.max_user_namespaces"), "{err}");
    }
    let (out, _, code) = output(without_namespaces().args(["doctor", "--json", "--listen", "127.0.0.1:0"]));
    assert_eq!(code, 1);
    assert!(out.contains("user.max_user_namespaces"), "{out}");
}

#[tokio::test]
async fn unjailed_it_serves_only_on_demand_and_loudly() {
    let daemon = Daemon::start_as(without_namespaces(), &["--sandbox", "none"]).await;
    assert!(daemon.log().contains("NO sandbox"), "{}", daemon.log());
    assert!(daemon.log().contains("WARN"), "{}", daemon.log());
    let id = daemon.compiler("g++", "g++").await;
    let request = serde_json::json!({"source": "int f() { return 1; }", "options": {}});
    let reply = daemon.compile(&id, &request).await;
    assert_eq!((reply.status, reply.header("x-job-status")), (200, Some("ok")), "{}", reply.text());
    assert!(!reply.text().contains("/tmp"), "a real path is shown: {}", reply.text());
    let held = daemon.holdings();
    daemon.signal(rustix::process::Signal::TERM);
    daemon.ends_with(0, held).await;
}

#[tokio::test]
async fn an_unprivileged_user_gets_a_jail_too() {
    let (_directory, copy) = reachable();
    let daemon = Daemon::start_as(unprivileged(&copy), &[]).await;
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    assert!(!status.lines().any(|line| line.starts_with("Uid:\t0\t")), "it runs as root: {status}");
    let id = daemon.compiler("g++", "g++").await;
    let request = serde_json::json!({
        "source": "#include <vector>\nint f(std::vector<int>& v) { return v.back(); }",
        "options": {"userArguments": "-O1"},
    });
    let reply = daemon.compile(&id, &request).await;
    assert_eq!((reply.status, reply.header("x-job-status")), (200, Some("ok")), "{}", reply.text());
    let peek = serde_json::json!({"source": "#include \"/etc/hostname\"\n", "options": {}});
    let reply = daemon.compile(&id, &peek).await.json();
    assert!(reply["stderr"].to_string().contains("No such file"), "the jail shows the host's files: {reply}");
    daemon.stop().await;
}

#[test]
fn an_address_that_is_taken_is_named_with_its_key() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (flag, key) in [("--listen", "http.listen"), ("--admin-listen", "admin.listen")] {
        let other = if flag == "--listen" { "--admin-listen" } else { "--listen" };
        let (out, err, code) =
            output(program().args(["serve", "--announce", flag, &address, other, "127.0.0.1:0"]));
        assert_eq!((out.as_str(), code), ("", 1), "{err}");
        assert!(err.contains(&address) && err.contains(key), "{err}");
    }
}

#[test]
fn a_catalogue_that_is_not_there_is_named() {
    let words =
        ["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--catalogue", "/nowhere/c++"];
    let (out, err, code) = output(program().args(words));
    assert_eq!(out, "");
    assert!(code != 0 && err.contains("/nowhere/c++"), "{code} {err}");
    assert!(File::open("/nowhere/c++").is_err());
}
