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

mod bare;
mod bed;
#[path = "../common/mod.rs"]
mod common;
mod forwarding;
mod holding;
mod house;
mod hub;
mod null;
mod queueing;
mod relaying;
#[expect(dead_code, unused_imports, reason = "nothing fails here")]
#[path = "../../tests/it/support/bed/mod.rs"]
mod services;
mod worker;

use std::sync::atomic::{AtomicUsize, Ordering};

use common::load;

/// A compiler that no router here has.
const COMPILER: &str = "elsewhere";
/// Where a router is asked for it.
const ELSEWHERE: &str = "/api/compiler/elsewhere/compile";

/// What is measured. The first begins before any other thread exists, because its jail's helper dies with the thread
/// that started it.
const FIGURES: [(&str, fn()); 4] = [
    ("queueing", queueing::queue),
    ("forwarding", forwarding::forward),
    ("holding", holding::hold),
    ("relaying", relaying::relay),
];

fn main() {
    // Cargo passes `--bench`; what is asked here is this program again, so that each is a process of its own.
    match std::env::args().nth(1).as_deref() {
        Some("--echo") => return load::serve_echo(),
        Some(bed::FLAG) => return bed::serve(),
        _ => {}
    }
    // Whatever else is said chooses among the figures.
    let chosen: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    println!("{:<46} {:>12} {:>12} {:>9}  promise", "figure", "measured", "baseline", "ratio");
    for (name, measure) in FIGURES {
        if chosen.is_empty() || chosen.iter().any(|word| word == name) {
            measure();
        }
    }
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
