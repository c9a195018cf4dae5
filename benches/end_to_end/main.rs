//! What the house itself costs: the real daemon over loopback, beside a baseline of the same run.
//!
//! `cargo bench --bench end_to_end` prints every figure of the promises table in ARCHITECTURE.md. The machines are
//! noisy, so each figure stands beside what the bare thing took in the same minute, and the ratio is the verdict.
#![expect(clippy::disallowed_methods, reason = "a bench starts the daemon and bare compilers itself")]
#![expect(clippy::disallowed_types, reason = "a bench reads the real clock")]
#![expect(clippy::cast_precision_loss, reason = "counts far below 2^52, for a person to read")]
#![expect(clippy::print_stdout, reason = "the table is the product")]
#![expect(clippy::unwrap_used, reason = "a bench that cannot run should stop")]

#[path = "../common/mod.rs"]
mod common;
mod listing;
mod refusals;

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::daemon::{Daemon, request};
use common::load;
use common::numbers::{Millis, percentile, row};

/// The compiler the figures are taken with.
const COMPILER: &str = "g++";
/// Arguments as the plan makes them for a request with `-O2` and the site's default filters.
const PLANNED: [&str; 6] =
    ["-g", "-masm=intel", "-fno-verbose-asm", "-S", "-fdiagnostics-color=always", "-O2"];
/// Connections at once under load.
const CONNECTIONS: usize = 64;

fn main() {
    // Cargo passes `--bench`; the echo baseline is this program again, so that it is a process of its own.
    if std::env::args().nth(1).as_deref() == Some("--echo") {
        load::serve_echo();
        return;
    }
    println!("{:<46} {:>12} {:>12} {:>9}  promise", "figure", "measured", "baseline", "ratio");
    listing::present();
    start();
    refusals::refuse();
    let daemon = Daemon::start(&[]);
    row("resident at rest", &format!("{} MB", megabytes(&daemon)), "", "", "<= 40 MB");
    latency(&daemon);
    throughput(&daemon);
    health_under_load(&daemon);
    cache_hits(&daemon);
    large_hit(&daemon);
    row("resident after the loads above", &format!("{} MB", megabytes(&daemon)), "", "", "<= 150 MB");
}

/// What it keeps in memory, in units of a million bytes.
fn megabytes(daemon: &Daemon) -> u64 {
    daemon.resident() / 1_000_000
}

/// Start to ready with 5,000 catalogue entries.
fn start() {
    let directory = tempfile::tempdir().unwrap();
    let ids: Vec<String> = (0..5000).map(|n| format!("g{n}")).collect();
    let mut lines = vec!["compilers=&many".to_owned(), format!("group.many.compilers={}", ids.join(":"))];
    lines.extend(ids.iter().map(|id| format!("compiler.{id}.exe=/usr/bin/g++")));
    std::fs::write(directory.path().join("c++.local.properties"), lines.join("\n")).unwrap();
    let catalogue = directory.path().to_str().unwrap().to_owned();
    let mut times: Vec<Duration> = (0..5)
        .map(|_| {
            let started = Instant::now();
            let daemon = Daemon::start(&["--catalogue", &catalogue]);
            let took = started.elapsed();
            drop(daemon);
            took
        })
        .collect();
    row(
        "start to ready, 5,000 compilers, p50",
        &Millis(percentile(&mut times, 50)).to_string(),
        "",
        "",
        "< 300 ms",
    );
}

fn source(n: usize) -> String {
    format!("// {n}\nint square(int number) {{ return number * number; }}\n")
}

fn compile_body(source: &str) -> String {
    format!(
        r#"{{"source":{},"options":{{"userArguments":"-O2","filters":{{}}}}}}"#,
        serde_json::to_string(source).unwrap()
    )
}

/// A number no earlier request has used, so that nothing is remembered.
fn fresh() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn bare(directory: &std::path::Path, n: usize) -> Duration {
    let (input, output) = (directory.join(format!("{n}.cpp")), directory.join(format!("{n}.s")));
    std::fs::write(&input, source(n)).unwrap();
    let started = Instant::now();
    let status = Command::new(COMPILER)
        .args(["-o", output.to_str().unwrap()])
        .args(PLANNED)
        .arg(&input)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(status.status.success());
    let took = started.elapsed();
    std::fs::remove_file(input).unwrap();
    std::fs::remove_file(output).unwrap();
    took
}

fn compile(connection: &mut request::Connection) {
    let reply =
        connection.post(&format!("/api/compiler/{COMPILER}/compile"), &compile_body(&source(fresh())));
    assert_eq!(reply.header("x-job-status"), Some("ok"), "{}", String::from_utf8_lossy(&reply.body));
}

/// A trivial compile, uncached, through HTTP and the jail, turn by turn with the bare command.
fn latency(daemon: &Daemon) {
    let directory = tempfile::tempdir().unwrap();
    let mut connection = daemon.connect();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..10 {
        compile(&mut connection);
        bare(directory.path(), fresh());
    }
    for _ in 0..200 {
        theirs.push(bare(directory.path(), fresh()));
        let started = Instant::now();
        compile(&mut connection);
        ours.push(started.elapsed());
    }
    let (ours, theirs) = (percentile(&mut ours, 50), percentile(&mut theirs, 50));
    let above = ours.as_secs_f64() - theirs.as_secs_f64();
    row(
        "uncached trivial C++ over HTTP, p50",
        &Millis(ours).to_string(),
        &Millis(theirs).to_string(),
        &format!("{:+.2} ms", above * 1e3),
        "<= +2 ms",
    );
}

/// Compiles per second at concurrency 4, and the bare command's.
fn throughput(daemon: &Daemon) {
    const LANES: usize = 4;
    const TIME: Duration = Duration::from_secs(4);
    let lanes = |work: &(dyn Fn(Instant) -> usize + Sync)| {
        let end = Instant::now() + TIME;
        let done: usize = std::thread::scope(|scope| {
            let lanes: Vec<_> = (0..LANES).map(|_| scope.spawn(move || work(end))).collect();
            lanes.into_iter().map(|lane| lane.join().unwrap()).sum()
        });
        done as f64 / TIME.as_secs_f64()
    };
    let directory = tempfile::tempdir().unwrap();
    let bare_lane = |end: Instant| {
        let mut done = 0;
        while Instant::now() < end {
            bare(directory.path(), fresh());
            done += 1;
        }
        done
    };
    let our_lane = |end: Instant| {
        let mut connection = daemon.connect();
        let mut done = 0;
        while Instant::now() < end {
            compile(&mut connection);
            done += 1;
        }
        done
    };
    // Turn by turn, so that a noisy neighbour hits both.
    let (mut ours, mut theirs) = (0.0, 0.0);
    for _ in 0..2 {
        theirs += lanes(&bare_lane) / 2.0;
        ours += lanes(&our_lane) / 2.0;
    }
    row(
        "compiles per second at concurrency 4",
        &format!("{ours:.0}/s"),
        &format!("{theirs:.0}/s"),
        &format!("{:.0} %", ours / theirs * 100.0),
        ">= 80 %",
    );
}

/// `/healthcheck` while every slot compiles.
fn health_under_load(daemon: &Daemon) {
    let end = Instant::now() + Duration::from_secs(3);
    let mut times = Vec::new();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut connection = daemon.connect();
                while Instant::now() < end {
                    compile(&mut connection);
                }
            });
        }
        let mut connection = daemon.connect();
        while Instant::now() < end {
            let started = Instant::now();
            assert_eq!(connection.get("/healthcheck").status, 200);
            times.push(started.elapsed());
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    row(
        "/healthcheck p99, all slots busy",
        &Millis(percentile(&mut times, 99)).to_string(),
        "",
        "",
        "< 50 ms",
    );
}

/// Remembered answers per second at 64 connections, and a bare axum echo's of the same sizes.
fn cache_hits(daemon: &Daemon) {
    let padding = "x".repeat(900);
    let body = compile_body(&format!("// {padding}\nint f() {{ return 1; }}\n"));
    let path = format!("/api/compiler/{COMPILER}/compile");
    let mut connection = daemon.connect();
    connection.post(&path, &body);
    let reply = connection.post(&path, &body);
    let echo = load::Echo::start(reply.body.len());
    let (mut ours, mut theirs) = (load::Outcome::default(), load::Outcome::default());
    let (to_echo, to_us) = (load::post("/", &body), load::post(&path, &body));
    for _ in 0..3 {
        let to_echo = to_echo.clone();
        theirs.add(load::generate(echo.address, CONNECTIONS, move || to_echo.clone()));
        let to_us = to_us.clone();
        ours.add(load::generate(daemon.http, CONNECTIONS, move || to_us.clone()));
    }
    row(
        "cache hits per second, 1 KB body, 64 connections",
        &format!("{:.0}/s", ours.rate()),
        &format!("{:.0}/s", theirs.rate()),
        &format!("{:.0} %", ours.rate() / theirs.rate() * 100.0),
        ">= 33 %",
    );
    row(
        "  p99",
        &Millis(ours.percentile(99)).to_string(),
        &Millis(theirs.percentile(99)).to_string(),
        "",
        "< 10 ms",
    );
}

/// A remembered result of about 7 MB, identity encoding, to a fast reader.
fn large_hit(daemon: &Daemon) {
    let source =
        format!("// {}\n#define R(n) int f##n(int a) {{ return a * n + (a >> 3) * {}; }}\n", fresh(), 7);
    let functions: Vec<String> = (0..9000).map(|n| format!("R({n})")).collect();
    let body = compile_body(&format!("{source}{}\n", functions.join("\n")));
    let path = format!("/api/compiler/{COMPILER}/compile");
    let mut connection = daemon.connect();
    connection.post(&path, &body);
    let size = connection.post(&path, &body).body.len();
    let mut times: Vec<Duration> = (0..40)
        .map(|_| {
            let sent = connection.send_post(&path, &body);
            connection.receive();
            sent.elapsed()
        })
        .collect();
    let name = format!("cached {:.1} MB result, p50", size as f64 / 1e6);
    row(&name, &Millis(percentile(&mut times, 50)).to_string(), "", "", "< 5 ms");
}
