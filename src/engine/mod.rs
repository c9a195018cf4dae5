//! Turns an admitted request into a result.

pub mod cache;
pub mod flight;
pub mod plan;
pub mod probe;
pub mod slots;
