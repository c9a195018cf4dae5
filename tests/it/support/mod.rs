//! What the black-box tests are made with.

pub(crate) mod client;
pub(crate) mod house;
