//! How quickly a worker that is full says so.

use std::time::{Duration, Instant};

use crate::common::daemon::Daemon;
use crate::common::numbers::{Millis, percentile, row};
use crate::{COMPILER, compile, fresh};

const SLOTS: usize = 2;
const QUEUE: usize = 1;
/// Of fewer the daemon concludes nothing: `LEAST_RECENT` in `src/engine/slots.rs`.
const ENOUGH_JOBS: usize = 5;
/// How long requests are refused: well below what a held job lasts before it has used up its memory.
const TIME: Duration = Duration::from_millis(300);

/// Every slot compiles without end, the queue is full, and more requests come.
pub(crate) fn refuse() {
    let (slots, queue) = (SLOTS.to_string(), QUEUE.to_string());
    let daemon = Daemon::start(&["--engine-slots", &slots, "--engine-queue-length", &queue]);
    // From now on the daemon knows the compiler, and that a job is short: it lets others wait.
    let mut connection = daemon.connect();
    for _ in 0..ENOUGH_JOBS {
        compile(&mut connection);
    }
    wait_for(&daemon, 0, 0);
    let path = format!("/api/compiler/{COMPILER}/compile");
    // One by one: of several that arrive together, one may be refused while another is only about to start.
    let mut held = Vec::new();
    for (busy, queued) in (1..=SLOTS).map(|busy| (busy, 0)).chain((1..=QUEUE).map(|queued| (SLOTS, queued))) {
        let mut connection = daemon.connect();
        connection.send_post(&path, &endless());
        held.push(connection);
        wait_for(&daemon, busy, queued);
    }
    let mut connection = daemon.connect();
    let mut times = Vec::new();
    let end = Instant::now() + TIME;
    while Instant::now() < end {
        let body = endless();
        let begun = Instant::now();
        connection.send_post(&path, &body);
        let reply = connection.receive();
        times.push(begun.elapsed());
        assert_eq!((reply.status, reply.header("retry-after").is_some()), (503, true));
    }
    row("503 when full, p50", &Millis(percentile(&mut times, 50)).to_string(), "", "", "< 5 ms");
    drop(held);
    row("  p99", &Millis(percentile(&mut times, 99)).to_string(), "", "", "< 5 ms");
}

/// A request that keeps the compiler busy until its time is up, unlike any other.
fn endless() -> String {
    let source = format!(
        "// {}\\nconstexpr int f() {{ int x = 0; while (true) ++x; return x; }}\\nint y = f();\\n",
        fresh()
    );
    let arguments = "-fconstexpr-ops-limit=2000000000 -fconstexpr-loop-limit=2000000000";
    format!(r#"{{"source":"{source}","options":{{"userArguments":"{arguments}"}}}}"#)
}

/// Waits until so many slots are busy and so many requests wait.
fn wait_for(daemon: &Daemon, busy: usize, queued: usize) {
    let end = Instant::now() + Duration::from_secs(5);
    let mut connection = daemon.connect();
    loop {
        let health: serde_json::Value = serde_json::from_slice(&connection.get("/healthcheck").body).unwrap();
        if health["slotsBusy"] == busy && health["queued"] == queued {
            return;
        }
        assert!(Instant::now() < end, "the daemon did not fill up: {health}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
