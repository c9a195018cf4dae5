//! The events hub as a process.

use std::process::{Child, Command};

use crate::bed::Bed;
use crate::common::daemon::{Daemon, announced, request};

/// A running hub; dropping it stops it.
pub(crate) struct Hub {
    child: Child,
    /// Where it listens, as `ws://…`.
    pub(crate) url: String,
}

impl Hub {
    /// Starts one.
    pub(crate) fn start() -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_compilation-worker"));
        let (child, line) = announced(command.args(["hub", "--announce", "--listen", "127.0.0.1:0"]));
        let announced: serde_json::Value = serde_json::from_str(&line).unwrap();
        Self { child, url: announced["ws"].as_str().unwrap().to_owned() }
    }

    /// A router that has no compiler, sends jobs to the bed's queue and hears of them here.
    pub(crate) fn router(&self, bed: &Bed, more: &[&str]) -> Daemon {
        let ways = ["--queues-default", &bed.jobs, "--aws-endpoint", &bed.url, "--events-url", &self.url];
        Daemon::start(&[&["--catalogue-discover=false"], &ways[..], more].concat())
    }

    /// How many results it is asked for.
    pub(crate) fn subscriptions(&self) -> usize {
        let address = self.url.trim_start_matches("ws://").parse().unwrap();
        let health = request::Connection::open(address).get("/healthcheck").body;
        let health: serde_json::Value = serde_json::from_slice(&health).unwrap();
        health["hub"]["subscriptions"].as_u64().unwrap().try_into().unwrap()
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}
