//! The commands, run as a shell runs them.

mod asks;
mod compiles;
mod guards;
mod routes;
