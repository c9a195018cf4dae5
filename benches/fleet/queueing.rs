//! From the HTTP request through queue, jail and hub to the reply, beside the jail alone and the way without a queue.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use compilation_worker::domain::result::Stop;
use compilation_worker::sandbox::{Job, Sandbox, Settings};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::common::daemon::request::{Connection, Reply};
use crate::common::load::{self, Outcome};
use crate::common::numbers::{Millis, percentile, row};
use crate::house::House;
use crate::null::{ID, Null};

/// Compiles at once.
const SLOTS: usize = 4;
/// Requests at once: enough that no slot ever waits for the next.
const CONNECTIONS: usize = 16;
const ROUNDS: usize = 3;
/// How long one round of the bare jail lasts.
const ROUND: Duration = Duration::from_secs(2);
/// Turns of the comparison of latencies.
const TURNS: usize = 300;

/// Measures a fleet in this process.
pub(crate) fn queue() {
    let null = Null::build();
    let settings = Settings {
        helper: env!("CARGO_BIN_EXE_compilation-worker").into(),
        readable: [Settings::default_readable(), vec![null.directory().to_owned()]].concat(),
        ..Settings::new(SLOTS)
    };
    let launched = Sandbox::launch(settings).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let sandbox = runtime.block_on(async { launched.attach() }).unwrap();
    let house = runtime.block_on(House::open(&null, &sandbox, SLOTS));
    latency(&house);
    throughput(&house, &runtime, &sandbox, &null);
    runtime.block_on(sandbox.shut_down());
}

/// One request at a time, through the queue and without it in turns.
fn latency(house: &House) {
    let mut ways = [house.worker, house.router].map(|address| (Connection::open(address), Vec::new()));
    for turn in 0..TURNS + TURNS / 10 {
        for (connection, times) in &mut ways {
            let body = crate::body(crate::fresh());
            let begun = Instant::now();
            let reply = connection.post(&path(), &body);
            let took = begun.elapsed();
            check(&reply);
            if turn >= TURNS / 10 {
                times.push(took);
            }
            // The jail's replacement is built meanwhile; give it the time that a real job would.
            std::thread::sleep(Duration::from_millis(3));
        }
    }
    let [direct, queued] = ways.map(|(_, mut times)| percentile(&mut times, 50));
    row(
        "null compile through queue and hub, p50",
        &Millis(queued).to_string(),
        &Millis(direct).to_string(),
        &format!("{:+.2} ms", (queued.as_secs_f64() - direct.as_secs_f64()) * 1e3),
        "<= +3 ms",
    );
}

fn throughput(house: &House, runtime: &Runtime, sandbox: &Sandbox, null: &Null) {
    let (mut queued, mut direct, mut bare) = (Outcome::default(), Outcome::default(), 0);
    for _ in 0..ROUNDS {
        bare += runtime.block_on(jails(sandbox, &null.job()));
        queued.add(compiles(house.router));
        direct.add(compiles(house.worker));
    }
    let bare = bare as f64 / (ROUND * u32::try_from(ROUNDS).unwrap()).as_secs_f64();
    for (figure, outcome, promise) in [
        ("null compiles through queue and hub", queued, ">= 50 %"),
        ("  without a queue, for comparison", direct, ""),
    ] {
        row(
            figure,
            &format!("{:.0}/s", outcome.rate()),
            &format!("{bare:.0}/s"),
            &format!("{:.0} %", outcome.rate() / bare * 100.0),
            promise,
        );
    }
}

/// Compiles by one door for one round.
fn compiles(door: SocketAddr) -> Outcome {
    load::generate(door, CONNECTIONS, || -> Bytes { load::post(&path(), &crate::body(crate::fresh())) })
}

/// How often the bare jail ran the compiler within a round, in as many lanes as there are slots.
async fn jails(sandbox: &Sandbox, job: &Job) -> usize {
    let mut lanes = JoinSet::new();
    for _ in 0..SLOTS {
        let (sandbox, job) = (sandbox.clone(), job.clone());
        lanes.spawn(async move {
            let (begun, mut count) = (Instant::now(), 0);
            while begun.elapsed() < ROUND {
                assert_eq!(sandbox.run(job.clone()).await.unwrap().stop, Stop::Exited(0));
                count += 1;
            }
            count
        });
    }
    lanes.join_all().await.into_iter().sum()
}

fn path() -> String {
    format!("/api/compiler/{ID}/compile")
}

fn check(reply: &Reply) {
    assert_eq!(reply.header("x-job-status"), Some("ok"), "{}", String::from_utf8_lossy(&reply.body));
}
