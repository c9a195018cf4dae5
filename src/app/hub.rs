//! The events hub's birth and death.

use std::net::TcpListener;
use std::process::ExitCode;

use anyhow::Context as _;

use crate::app::{open_many, parts, serve};
use crate::cli::Announce;
use crate::config::Loaded;
use crate::config::keys::Config;
use crate::events::hub::Hub;
use crate::lifecycle::signals::Signals;
use crate::lifecycle::{self, Ending, Lifecycle};
use crate::notify;
use crate::telemetry::log::{self, LogSettings};

/// Runs a hub to its end.
pub(super) fn hub(loaded: Loaded, announce: Announce) -> anyhow::Result<ExitCode> {
    let config = loaded.config;
    let log = log::start(&LogSettings { format: config.log.format, filter: config.log.filter.clone() })?;
    let _pump = lifecycle::thread("log", log.pump()).context("could not start the log's thread")?;
    open_many();
    let listener = serve::listen(config.hub.listen, "hub.listen")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("hub")
        .build()
        .context("could not start the runtime")?;
    let ending = runtime.block_on(live(listener, &config, announce))?;
    Ok(ExitCode::from(ending.exit_code()))
}

/// From the first client to the last.
async fn live(listener: TcpListener, config: &Config, announce: Announce) -> anyhow::Result<Ending> {
    let lifecycle = Lifecycle::new();
    let signals = Signals::listen().context("could not listen for signals")?;
    let nothing_to_reload = || tracing::info!("asked to reload: the hub has nothing that could be");
    lifecycle.accompany("signals", signals.obey(lifecycle.clone(), nothing_to_reload));
    let address = listener.local_addr()?;
    let listener = tokio::net::TcpListener::from_std(listener).context("could not watch the socket")?;
    lifecycle.spawn("hub", Hub::new(parts::hub(config)).serve(listener, lifecycle.clone()));
    lifecycle.begin_serving();
    notify::ready("serving");
    tracing::info!(%address, "serving");
    if announce == Announce::Addresses {
        serve::tell(&serde_json::json!({ "ws": format!("ws://{address}") }))?;
    }
    lifecycle.draining().await;
    notify::stopping("draining");
    let ending = lifecycle.shut_down(config.drain.budget).await;
    tracing::info!(?ending, "stopped");
    Ok(ending)
}
