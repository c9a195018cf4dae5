//! A status document as a worker in good health would tell it, for tests to change.

use std::collections::BTreeMap;

use compilation_worker::doors::admin::status::{
    Cache, Compiler, Compilers, Now, Past, Process, Request, Slots, Status,
};
use compilation_worker::lifecycle::{Census, Phase};
use compilation_worker::telemetry::history::{History, Levels};
use compilation_worker::telemetry::recent::{Recent, Way};
use tokio::time::Instant;

/// A worker with two slots that has just begun.
pub(crate) fn well() -> Now {
    let (recent, now) = (Recent::default(), Instant::now());
    let compiler = Compiler { id: "g1".to_owned(), name: "g++ 1.0".to_owned(), language: "c++".to_owned() };
    Now {
        version: "1.2.3",
        instance: "i-0123".to_owned(),
        time: "2026-01-02T03:04:05.678Z".to_owned(),
        uptime_seconds: 3725,
        phase: Phase::Serving,
        consuming: true,
        paused_by: Vec::new(),
        trouble: None,
        has_fleet: false,
        slots: Slots { total: 2, busy: 1, waiting: 0, wait_limit: 64, oldest_job_seconds: Some(1) },
        lately: History::new(now).lately(Levels::default(), &recent, now),
        http_connections: 3,
        process: Process { resident_bytes: 48 << 20, threads: 7, log_dropped_lines: 0 },
        caches: BTreeMap::from([("reply", Cache { hits: 3, misses: 1, size_bytes: 4096 })]),
        compilers: Compilers { total: 1, problems: 0, reload_failures: 0, named: vec![compiler] },
        queue: None,
        hub: None,
        routing: BTreeMap::new(),
        tasks: BTreeMap::from([("http", Census { alive: 1, started: 1, panicked: 0 })]),
    }
}

/// The document without requests and without a past.
pub(crate) fn status(now: Now) -> Status {
    Status::new(now, Vec::new(), Past { period_seconds: 5, most: 180, samples: Vec::new() })
}

/// A compile that was answered.
pub(crate) fn request() -> Request {
    Request {
        time: "2026-01-02T03:04:05.000Z".to_owned(),
        door: Way::Http,
        route: "compile",
        compiler: Some("g1".to_owned()),
        id: Some("first".to_owned()),
        status: Some(200),
        job: Some("ok"),
        cached: false,
        waited_ms: Some(0.25),
        queued_ms: None,
        duration_ms: 31.5,
    }
}
