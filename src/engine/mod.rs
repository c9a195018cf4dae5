//! Turns an admitted request into a result.

pub mod plan;
pub mod probe;
