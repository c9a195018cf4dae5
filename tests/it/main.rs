//! One test binary.
#![expect(clippy::unwrap_used, reason = "a harness may panic: that is how a test fails")]

mod jail;
