//! The adapters for Amazon's services against a server that does what no emulator does: hangs, resets, throttles,
//! lies, and has another time of day.

mod credentials;
mod deletes;
mod hangs;
mod lookups;
mod program;
mod receives;
mod scaling;
mod sends;
pub(crate) mod server;
mod transfers;

use compilation_worker::aws::{Fault, Kind};
use compilation_worker::ports::QueueError;

/// What the adapter knows about a failure: the kind is ours, whatever the service is.
#[track_caller]
fn kind(error: &(dyn std::error::Error + 'static)) -> Kind {
    let source = error.source().unwrap_or_else(|| panic!("{error} has no cause"));
    source.downcast_ref::<Fault>().unwrap_or_else(|| panic!("{source} is no fault")).kind
}

/// Asserts that a queue could not do `act`, and says why.
#[track_caller]
fn unreachable(error: &QueueError, expected: &str) -> Kind {
    assert!(matches!(error, QueueError::Unreachable { act, .. } if *act == expected), "{error}");
    kind(error)
}

/// What the cause of a failure says.
fn said(error: &(dyn std::error::Error + 'static)) -> String {
    error.source().map(ToString::to_string).unwrap_or_default()
}
