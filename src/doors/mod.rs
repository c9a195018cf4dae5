//! The ways in: what the public may ask over HTTP, what other routers put on a queue, and what the operator may.

pub mod admin;
mod engine;
pub mod health;
pub mod http;
pub mod queue;
pub mod reply;
pub mod server;
pub mod workshop;

use tracing::field::{DisplayValue, display};

use crate::domain::trace::{TraceId, Traced};

/// The trace that something is part of, as the log has it.
fn trace_of(traced: Option<Traced>) -> Option<DisplayValue<TraceId>> {
    traced.map(|traced| display(traced.context.id))
}
