//! What all commands share that ask Amazon's services: settings, clients, a runtime, and what their help says.

use crate::aws::Clients;
use crate::cli::out::Streams;
use crate::config::flags::OperatorFlags;
use crate::config::keys::Config;
use crate::config::{self, Inputs};
use crate::operate::permissions;
use crate::operate::queue::Names;

/// What a deed stands on.
#[derive(Debug)]
pub struct Ground {
    /// The settings. They make sense one by one; whether a daemon could run with them was not asked.
    pub config: Config,
    /// The way to the services. Nothing was asked of them yet.
    pub clients: Clients,
}

/// Loads the settings and does `deed` to its end.
pub fn run<T>(
    flags: OperatorFlags,
    streams: &mut Streams,
    deed: impl AsyncFnOnce(&Ground, &mut Streams) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let config = config::load_for_operator(Inputs::gather(flags.0))?.config;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let clients = Clients::from_environment(config.aws.places()).await;
        deed(&Ground { config, clients }, streams).await
    })
}

/// How the fleet's queues are named: the one that workers take jobs from, or that routers send them to, and its dead
/// letters.
pub fn queues(config: &Config) -> Names {
    let queues = &config.queues;
    Names {
        jobs: queues.own.clone().or_else(|| queues.default.clone()),
        dead_letters: queues.dead_letters.clone(),
        fleet: config.fleet.name.clone(),
    }
}

/// The end of a command's help: examples, the rights it needs, and its exit codes.
pub fn help(command: &str, examples: &str) -> String {
    let actions = permissions::of(command);
    let rights = if actions.is_empty() { "none".to_owned() } else { actions.join("\n  ") };
    format!(
        "Examples:\n{examples}\n\n\
         IAM actions it needs, with all its options:\n  {rights}\n\n\
         Exit codes: 0 done; 1 it failed, or what was looked at is not as it should be; 64 bad command line, or nobody \
         there to confirm; 78 bad configuration."
    )
}
