//! What a remembered routing decision costs, beside a bare look into a map of the same routes.
//!
//! Takes the best of several rounds, the two in turns, and counts the time for which the processor really ran them, so
//! that a noisy neighbor spoils neither. The routes are as many as the running deployments have.

use std::collections::HashMap;
use std::future::Future;
use std::hint::black_box;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use compilation_worker::domain::ids::CompilerId;
use compilation_worker::lifecycle::Lifecycle;
use compilation_worker::local::routes::LocalRoutes;
use compilation_worker::ports::{QueueAddress, RouteRow, RouteTarget};
use compilation_worker::routing::{Decision, Here, QueueSettings, Router, RouterSettings, Trust};
use compilation_worker::telemetry::metrics::Metrics;
use rustix::time::{ClockId, clock_gettime};

/// Compilers in the table.
const COMPILERS: usize = 5000;
/// How many decisions a round makes.
const TURNS: usize = 200_000;
const ROUNDS: usize = 15;
/// What a remembered decision may cost, in nanoseconds.
const PROMISE: f64 = 2000.0;

fn main() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let compilers: Vec<CompilerId> =
        (0..COMPILERS).filter_map(|number| CompilerId::parse(&format!("g{number}")).ok()).collect();
    let mut out = std::io::stdout().lock();
    writeln!(out, "{:>12} {:>12} {:>12} {:>8}", "compilers", "decide ns", "map ns", "ratio")?;
    for asked in [1, COMPILERS] {
        let [decide, map] = runtime.block_on(best(&compilers, asked));
        writeln!(out, "{asked:>12} {decide:>12.0} {map:>12.0} {:>8.1}", decide / map)?;
        if decide > PROMISE {
            return Err(std::io::Error::other(format!("a decision costs more than {PROMISE} ns")));
        }
    }
    Ok(())
}

/// Nanoseconds of a decision and of a look into the map, with the first `asked` compilers in turns.
async fn best(compilers: &[CompilerId], asked: usize) -> [f64; 2] {
    let router = router(compilers);
    let mut map: HashMap<CompilerId, Arc<Decision>> = HashMap::new();
    for compiler in compilers {
        if let Ok(decision) = router.decide(compiler, Here::Free).await {
            map.insert(compiler.clone(), Arc::new(decision));
        }
    }
    assert_eq!(map.len(), compilers.len(), "the table answers for every compiler");
    let turns = || compilers[..asked].iter().cycle().take(TURNS);
    let mut nanoseconds = [f64::INFINITY; 2];
    for _ in 0..ROUNDS {
        let decide = timed(async {
            for compiler in turns() {
                black_box(router.decide(black_box(compiler), Here::Free).await.is_ok());
            }
        });
        nanoseconds[0] = nanoseconds[0].min(decide.await);
        let look = timed(async {
            for compiler in turns() {
                black_box(map.get(black_box(compiler)).cloned());
            }
        });
        nanoseconds[1] = nanoseconds[1].min(look.await);
    }
    nanoseconds
}

/// A router whose table has a row for every compiler, half of them for the worker's own queue.
fn router(compilers: &[CompilerId]) -> Router {
    let table = LocalRoutes::new();
    for (number, compiler) in compilers.iter().enumerate() {
        let queue = if number % 2 == 0 { "own" } else { "other" };
        let target = RouteTarget::Queue(queue.to_owned());
        table.put(RouteRow { key: format!("prod#{compiler}"), target, environment: None });
    }
    let settings = RouterSettings {
        environment: Some("prod".to_owned()),
        queues: QueueSettings { own: Some(QueueAddress::new("own")), ..QueueSettings::default() },
        trust: Trust { row: Duration::from_hours(1), absence: Duration::from_secs(5) },
    };
    Router::new(settings, Arc::new(table), Lifecycle::new(), Arc::new(Metrics::new()))
}

/// Nanoseconds on the processor for each of the turns of `work`.
async fn timed(work: impl Future<Output = ()>) -> f64 {
    let start = nanoseconds_on_processor();
    work.await;
    #[expect(clippy::cast_precision_loss, reason = "nanoseconds for each turn")]
    let turns = TURNS as f64;
    (nanoseconds_on_processor() - start) / turns
}

#[expect(clippy::cast_precision_loss, reason = "nanoseconds since the thread began")]
fn nanoseconds_on_processor() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}
