//! The commands, run as a shell runs them.

pub(crate) mod asks;
mod cloud;
mod compiles;
mod faults;
mod guards;
mod queues;
mod rights;
mod routes;
mod tables;
