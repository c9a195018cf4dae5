//! The black-box and contract tests, in one binary.

mod contract;
mod floors;
mod jail;
mod tidy;
