//! A sample of every group of attacks on a daemon that is no root: no control groups, one user for all jails, and the
//! same walls.

use std::time::Duration;

use crate::hostile::case::{Case, run};
use crate::hostile::daemon::{Daemon, LONG, SHORT};

/// As whom the daemon serves.
const NOBODY: [&str; 4] = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];

#[tokio::test]
async fn an_ordinary_users_daemon_is_no_softer() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: this user is an ordinary one, and so was every other test's");
        return;
    }
    let daemon = Daemon::start_by(&NOBODY, &[LONG]).await;
    let none = "<No output file>";
    let table = vec![
        Case::script("C01 files of the host", "ok", "cat /etc/shadow @CREDENTIALS@ @CONFIGURATION@ /proc/1/root@CREDENTIALS@; exit 0"),
        Case::source("C02 -include", "compile_error", "int x;").arguments("-include @CREDENTIALS@"),
        Case::source("C03 response file", "compile_error", "int x;").arguments("@@CREDENTIALS@"),
        Case::source("C08 environment of init", "compile_error", "#include \"/proc/1/environ\""),
        Case::script("C09 code at compile time", "ok", "echo \"I am $(id -u) in $(pwd) on $(uname -n)\" >&2; env >&2; exit 0").says("in /app on ce").silent("I am 0 in").silent("I am 65534 in"),
        Case::source("C10 -o over secrets", "compile_error", "int x;").arguments("-o @CREDENTIALS@"),
        Case::script("F10 link to secrets", "ok", "ln -s @CREDENTIALS@ output.s; exit 0").says(none),
        Case::script("F11 hard link to the host", "ok", "ln /usr/bin/gcc output.s && echo linked; exit 0").says(none).silent("linked"),
        Case::script("F13 FIFO", "ok", "mkfifo output.s; exit 0").says(none),
        Case::program("F14 race of a link and a file", "ok", include_str!("attacks/renamer.c")).says_one_of(["own: ret", none]),
        Case::script("F15 nobody may enter", "ok", "mkdir -p d/e; echo x > d/e/f; chmod 000 d/e d /app; exit 0").says(none),
        Case::script("I01 the network is empty", "ok", "bash -c 'exec 3<>/dev/tcp/127.0.0.1/@PORT@ && echo connected'; exit 0").silent("connected"),
        Case::script("I03 environment of everyone", "ok", "cat /proc/*/environ; exit 0").silent("AWS"),
        Case::script("I04 signals reach nobody", "ok", "kill -9 @PID@ && echo hit; kill -9 1 && echo hit; kill -STOP 1 && echo hit; exit 0").silent("hit"),
        Case::script("I06 nobody is privileged", "ok", "grep NoNewPrivs /proc/self/status; grep Cap /proc/self/status; exit 0").says("NoNewPrivs:\t1").says("CapEff:\t0000000000000000").says("CapBnd:\t0000000000000000"),
        Case::script("I07 tools of namespaces", "ok", "unshare -U true && echo got in; unshare -m true && echo got in; nsenter -t 1 -m true && echo got in; exit 0").silent("got in"),
        Case::script("I08 the jail's first process", "ok", "ls -l /proc/1/exe /proc/1/fd /proc/1/root /proc/1/cwd; cat /proc/1/maps; exit 0").silent("->"),
        Case::script("R01 fork bomb of a shell", "pids_limit", "while :; do sleep 100 & done").ungrouped("compile_error"),
        Case::script("R03 memory bomb", "oom", "exec tail /dev/zero").ungrouped("compile_error"),
        Case::script("R05 scratch full", "disk_limit", "while :; do head -c 4M /dev/zero > $(mktemp /app/fXXXXXX) || exit 1; done"),
        Case::script("R06 file size", "disk_limit", "yes > f; exit 1"),
        Case::script("R07 flood of both", "output_truncated", "yes a & exec yes b >&2"),
        Case::script("R16 daemon", "ok", "setsid sh -c 'sleep 3191 & exec sleep 3192' >/dev/null 2>&1 </dev/null & exit 0"),
        Case::script("R18 keeps stdout", "ok", "sleep 3193 & echo done; exit 0").says("done"),
    ];
    run(&daemon, table).await;
}

#[tokio::test]
async fn an_ordinary_users_clock_kills_as_well() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: this user is an ordinary one, and so was every other test's");
        return;
    }
    let daemon = Daemon::start_by(&NOBODY, &[SHORT]).await;
    let table = vec![
        Case::program("R01 fork bomb that never gives up", "pids_limit", "int main(){for(;;) fork();}")
            .ungrouped("timeout_wall"),
        Case::script(
            "R22 whole group stopped",
            "timeout_wall",
            "sleep 1000 & kill -STOP -1; kill -STOP $$; wait",
        ),
    ];
    run(&daemon, table.into_iter().map(|case| case.within(Duration::from_secs(6))).collect()).await;
}
