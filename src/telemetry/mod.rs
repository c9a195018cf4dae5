//! What we call things when we measure them, and where logs and numbers go.

pub mod emf;
pub mod fields;
pub mod history;
pub mod identity;
pub mod log;
pub mod metrics;
pub mod network;
pub mod otlp;
pub mod process;
pub mod recent;
pub mod samples;
pub mod spread;
