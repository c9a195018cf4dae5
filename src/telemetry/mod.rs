//! What we call things when we measure them, and where logs and numbers go.

pub mod fields;
pub mod log;
pub mod metrics;
pub mod network;
pub mod process;
