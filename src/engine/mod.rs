//! test
pub mod cache;
pub mod flight;
pub mod slots;
