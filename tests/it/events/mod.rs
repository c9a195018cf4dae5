//! The events bus and its hub as their peers see them: over loopback, in real time, with every fault a network has.

pub(crate) mod bed;
mod garbage;
mod interoperates;
mod peer;
pub(crate) mod restarts;
mod says;
mod survives;
