//! When a job is over, so is everything it started.

use std::time::Duration;

use compilation_worker::domain::result::Stop;
use tokio::time::Instant;

use crate::jail::bed::{Bed, eventually, processes_with, script, stdout};

/// A time to sleep that no other process of this machine sleeps for.
fn mark() -> u32 {
    1_000_000 + std::process::id()
}

#[test]
fn a_daemon_dies_with_its_job() {
    let bed = Bed::make();
    let begun = Instant::now();
    let finished = bed.run(script(&format!(
        "(setsid sleep {0} >/dev/null 2>&1 &) & setsid sleep {0} & echo out; exit 3",
        mark()
    )));
    assert_eq!((finished.stop, stdout(&finished).as_str()), (Stop::Exited(3), "out\n"));
    assert!(begun.elapsed() < Duration::from_secs(5), "it waited for the pipe");
    assert_eq!(processes_with(&format!("sleep\0{}", mark())), [""; 0], "gone before the result is told");
}

#[test]
fn a_job_whose_caller_leaves_is_killed_at_once() {
    let bed = Bed::make();
    bed.runtime.block_on(async {
        let run = bed.sandbox.run(script(&format!("setsid sleep {0} & sleep {0}", mark())));
        tokio::pin!(run);
        let both_sleep = async {
            while processes_with(&format!("sleep\0{}", mark())).len() < 2 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            _ = &mut run => panic!("it ended by itself"),
            () = both_sleep => {}
        }
    });
    assert!(
        eventually(Duration::from_secs(5), || processes_with(&format!("sleep\0{}", mark())).is_empty()),
        "alive long after its caller left"
    );
}

#[test]
fn zombies_are_reaped() {
    let bed = Bed::make();
    let finished =
        bed.run(script("for i in 1 2 3 4 5 6 7 8 9; do (setsid true &) ; done; sleep 0.2; exit 0"));
    assert_eq!(finished.stop, Stop::Exited(0));
}
