//! The ports inside this process: queues, routes, blobs and a result bus with the semantics of the real ones.
//!
//! Real enough to run a node on a laptop, and to test the doors against. All of it forgets at exit. The contract suites
//! in `tests/it/contract` hold these twins to the same promises as the adapters for managed services.

pub mod blobs;
pub mod bus;
pub mod queue;
pub mod routes;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Takes a lock whose holder may have panicked: every twin changes its state in steps that each leave it whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
