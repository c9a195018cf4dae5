#![doc = include_str!("ARCHITECTURE.md")]

pub mod domain;

pub mod lifecycle;
pub mod wire;

pub mod engine;

pub mod doors;
