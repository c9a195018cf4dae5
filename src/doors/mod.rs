//! The ways in: what the public may ask over HTTP, and what the operator may.

pub mod admin;
pub mod health;
pub mod http;
pub mod reply;
pub mod server;
