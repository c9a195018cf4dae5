//! The black-box and contract tests, in one binary.
#![expect(clippy::unwrap_used, reason = "a harness that cannot go on must fail loudly")]

mod aws;
mod cli;
mod contract;
mod daemon;
mod events;
mod fleet;
mod floors;
mod hostile;
mod http;
mod interop;
mod jail;
mod operator;
mod queue;
mod support;
mod tidy;
