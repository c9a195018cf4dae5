//! The black-box and contract tests, in one binary.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop where it stands")]

mod http;
mod support;
