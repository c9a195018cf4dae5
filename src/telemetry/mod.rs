//! What we call things when we measure them, and where logs and numbers go.

pub mod fields;
pub mod history;
pub mod log;
pub mod metrics;
pub mod process;
pub mod recent;
pub mod spread;
