//! What the benches of whole processes share: the daemon in release, a load for it, and the table they print.

pub(crate) mod daemon;
pub(crate) mod load;
pub(crate) mod numbers;
