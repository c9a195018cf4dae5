//! What the fleet's wire costs: queues, results, other services, beside a baseline of the same run.
//!
//! `cargo bench --bench fleet` prints every figure of the promises table in ARCHITECTURE.md that concerns requests
//! answered elsewhere. The machines are noisy, so each stands beside what the bare thing took in the same minute, and
//! the ratio is the verdict.
#![expect(clippy::disallowed_methods, reason = "a bench starts the processes itself")]
#![expect(clippy::disallowed_types, reason = "a bench reads the real clock")]
#![expect(clippy::cast_precision_loss, reason = "counts far below 2^52, for a person to read")]
#![expect(clippy::print_stdout, reason = "the table is the product")]
#![expect(clippy::unwrap_used, reason = "a bench that cannot run should stop")]

#[path = "../common/mod.rs"]
mod common;
mod forwarding;
mod holding;
mod house;
mod hub;
mod null;
mod queueing;
mod table;

use std::sync::atomic::{AtomicUsize, Ordering};

use common::load;

/// Where a router is asked for what it does not do itself. What the compiler is called does not matter.
const ELSEWHERE: &str = "/api/compiler/elsewhere/compile";

fn main() {
    // Cargo passes `--bench`; the echo baseline is this program again, so that it is a process of its own.
    if std::env::args().nth(1).as_deref() == Some("--echo") {
        load::serve_echo();
        return;
    }
    println!("{:<46} {:>12} {:>12} {:>9}  promise", "figure", "measured", "baseline", "ratio");
    queueing::queue();
    forwarding::forward();
    holding::hold();
}

/// A request of a kilobyte, unlike any with another number.
fn body(number: usize) -> String {
    let padding = "x".repeat(900);
    format!(r#"{{"source":"// {number} {padding}\nint f();\n","options":{{"userArguments":"-O2"}}}}"#)
}

/// A number no earlier request has used, so that nothing is remembered.
fn fresh() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
