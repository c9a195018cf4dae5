//! What the black-box tests are made with.

pub(crate) mod bed;
pub(crate) mod client;
pub(crate) mod daemon;
pub(crate) mod emulator;
pub(crate) mod house;
pub(crate) mod leftovers;
pub(crate) mod members;
pub(crate) mod obedient;
