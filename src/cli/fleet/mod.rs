//! `fleet`: the commands on a fleet of machines.

mod isolate;
mod logs;
mod refresh;
mod scale;
mod status;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Subcommand};

use crate::cli::operator::{self, Ground};
use crate::cli::out::Streams;
use crate::cli::patience::span;
use crate::config::keys::Config;
use crate::operate::fleet::{Fleet as Deeds, Names};
use crate::operate::queue::Role;

/// Looks at the fleet's machines and changes them.
#[derive(Debug, Args)]
pub(super) struct Fleet {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Shows the fleet at a glance: what is wrong, the group, each instance, the queue.
    #[command(after_help = status::help())]
    Status(status::Status),
    /// Changes how many instances there are, and waits until there are.
    #[command(after_help = scale::help())]
    Scale(scale::Scale),
    /// Takes an instance out of service without ending it: it drains, takes no jobs, and stays to be looked at.
    #[command(after_help = isolate::help("fleet isolate"))]
    Isolate(isolate::Isolate),
    /// Brings an isolated instance back into service.
    #[command(after_help = isolate::help("fleet rejoin"))]
    Rejoin(isolate::Rejoin),
    /// Shows what the daemons log, and follows it.
    #[command(after_help = logs::help())]
    Logs(logs::Logs),
    /// Replaces the instances a few at a time by others of the same kind, as after a refresh that was stopped.
    #[command(after_help = refresh::help())]
    Refresh(refresh::Refresh),
}

/// What commands take that wait for something.
#[derive(Debug, Clone, Copy, Args)]
struct Waiting {
    /// Longest wait; what is missing then is told, and running the command again goes on.
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = span)]
    timeout: Duration,
    /// How often to look.
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = span)]
    every: Duration,
}

impl Fleet {
    pub(super) fn run(self, streams: &mut Streams) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Status(command) => command.run(streams),
            Command::Scale(command) => command.run(streams),
            Command::Isolate(command) => command.run(streams),
            Command::Rejoin(command) => command.run(streams),
            Command::Logs(command) => command.run(streams),
            Command::Refresh(command) => command.run(streams),
        }
    }
}

/// The fleet that the configuration names.
pub(super) fn open(ground: &Ground) -> anyhow::Result<Deeds> {
    Deeds::new(&ground.clients, names(&ground.config)).context("could not set up TLS")
}

fn names(config: &Config) -> Names {
    let (fleet, queues) = (&config.fleet, operator::queues(config));
    Names {
        fleet: fleet.name.clone(),
        group: fleet.group.clone(),
        target_group: fleet.target_group.clone(),
        metrics_group: fleet.metrics_group.clone(),
        queue: queues.name(Role::Jobs),
        dead_letters: queues.name(Role::DeadLetters),
    }
}
