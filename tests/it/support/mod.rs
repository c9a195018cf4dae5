//! What the black-box tests are made with.

pub(crate) mod agent;
pub(crate) mod bed;
pub(crate) mod browser;
pub(crate) mod client;
pub(crate) mod collector;
pub(crate) mod control_plane;
pub(crate) mod course;
pub(crate) mod daemon;
pub(crate) mod emulator;
pub(crate) mod fleet;
pub(crate) mod house;
pub(crate) mod leftovers;
pub(crate) mod members;
pub(crate) mod obedient;
pub(crate) mod proxy;
pub(crate) mod served;
pub(crate) mod status;
