//! What the operator's commands do: deeds on queues, tables and fleets, in our words and over the adapters in `aws`.
//!
//! Nothing here prints, asks or reads arguments: that is the trade of `cli`. What takes time tells how far it is to
//! whoever started it; what fails tells which call on which thing, and what to do about it ([`Trouble`]).

pub mod fleet;
pub mod permissions;
pub mod queue;
pub mod routes;
mod trouble;

pub use trouble::{Call, Trouble};
