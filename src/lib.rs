#![doc = include_str!("ARCHITECTURE.md")]

pub mod compilers;
pub mod domain;
pub mod engine;
pub mod text;
