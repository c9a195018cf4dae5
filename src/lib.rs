#![doc = include_str!("ARCHITECTURE.md")]

pub mod domain;

pub mod failpoint;
pub mod lifecycle;
pub mod notify;
pub mod ports;
pub mod telemetry;
pub mod text;
pub mod trust;
pub mod wire;

pub mod aws;
pub mod compilers;
pub mod events;
pub mod local;
pub mod publish;
pub mod sandbox;

pub mod engine;
pub mod instance;
pub mod relay;
pub mod routing;

pub mod doors;
pub mod operate;

pub mod app;
pub mod cli;
pub mod config;
