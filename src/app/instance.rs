//! What others intend with this machine: from the configuration to those who listen and act.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::sync::Mutex;

use crate::app::clients::Shared;
use crate::aws::AutoScalingGroup;
use crate::config::keys::Config;
use crate::engine::Engine;
use crate::instance::{Hook, Knowledge, Memory, Metadata, Protection, Watch};
use crate::lifecycle::intake::Intake;
use crate::lifecycle::pause::{Cause, Pause};
use crate::lifecycle::{self, Ending, Lifecycle, Phase};
use crate::telemetry::metrics::Metrics;

/// The machine, as far as others decide about it. Clones are the same.
#[derive(Debug, Clone)]
pub(super) struct Instance {
    pub(super) pause: Pause,
    /// That of the queue door, if a queue is ours.
    pub(super) intake: Option<Intake>,
    pub(super) knowledge: Knowledge,
    memory: Option<Memory>,
    /// One lever after the other, so that the last one is remembered.
    turn: Arc<Mutex<()>>,
}

impl Instance {
    /// As it was left by the process before. Blocks.
    pub(super) fn remembered(config: &Config) -> Self {
        let (pause, memory) = (Pause::new(), config.instance.state.clone().map(Memory::new));
        if memory.as_ref().is_some_and(Memory::is_paused) {
            pause.set(Cause::Operator, true);
        }
        let intake = config.queues.own.as_ref().map(|_| Intake::default());
        Self { pause, intake, knowledge: Knowledge::default(), memory, turn: Arc::default() }
    }

    /// Begins to listen, if that is wanted. Returns after the first look.
    pub(super) async fn watch(
        &self,
        config: &Config,
        clients: &Shared,
        lifecycle: &Lifecycle,
        engine: &Engine,
    ) -> anyhow::Result<()> {
        let keys = &config.instance;
        if !keys.watch {
            return Ok(());
        }
        let mut watch = Watch::new(
            Metadata::new(&keys.metadata),
            keys.drain_on_rebalance,
            lifecycle.clone(),
            self.pause.clone(),
            self.knowledge.clone(),
        );
        if keys.lifecycle_hook.is_some() || keys.protect_while_busy {
            let (clients, name) = (clients.get(config).await, &config.fleet.group);
            if let Some(hook) = &keys.lifecycle_hook {
                let group = AutoScalingGroup::new(clients, name.clone()).context("could not set up TLS")?;
                let hook = Hook::new(group, hook.clone(), keys.hook_timeout, self.knowledge.clone());
                drop(lifecycle.attend("lifecycle hook", hook.serve(lifecycle.clone())));
            }
            if keys.protect_while_busy {
                let group = AutoScalingGroup::asked_once(clients, name.clone());
                let (group, engine) = (group.context("could not set up TLS")?, engine.clone());
                let busy = move || {
                    let status = engine.status();
                    status.slots_busy > 0 || status.queued > 0
                };
                let protection = Protection::new(group, self.knowledge.clone(), self.pause.clone(), busy);
                drop(lifecycle.attend("scale-in protection", protection.serve(lifecycle.clone())));
            }
        }
        watch.begin(self.intake.is_some()).await;
        drop(lifecycle.accompany("instance watch", watch.serve()));
        Ok(())
    }

    /// Pauses by hand, or ends that; the error says that it holds, but not beyond a restart.
    pub(super) async fn set_paused(self, paused: bool) -> Result<String, String> {
        let turn = Arc::clone(&self.turn).lock_owned().await;
        self.pause.set(Cause::Operator, paused);
        let remembered = match self.memory.clone() {
            None => "a restart forgets that, as instance.state names no directory".to_owned(),
            Some(memory) => {
                let file = memory.file();
                let kept = lifecycle::blocking("keep pause", move || {
                    // Held until the file is what was wished, though whoever wished it may have left.
                    let _turn = turn;
                    memory.keep(paused)
                })
                .await;
                let kept = kept.unwrap_or_else(|panic| Err(std::io::Error::other(panic)));
                kept.map_err(|error| {
                    let message = format!(
                        "{}, but a restart will not know: could not change {}: {error}",
                        self.describe(),
                        file.display()
                    );
                    tracing::error!(message, "could not remember the lever");
                    message
                })?;
                "a restart changes nothing".to_owned()
            }
        };
        Ok(format!("{}; {remembered}", self.describe()))
    }

    /// Whether anything may still come from the queue, which its door alone knows; without a queue, whether it would be
    /// taken in this phase.
    pub(super) fn is_consuming(&self, phase: Phase) -> bool {
        self.intake.as_ref().map_or_else(|| phase == Phase::Serving && !self.pause.is_on(), Intake::is_open)
    }

    /// Sets the gauges of the pause, and of what comes of it.
    pub(super) fn measure(&self, metrics: &Metrics, phase: Phase) {
        metrics.consuming.set(self.is_consuming(phase).into());
        let paused = self.pause.causes();
        for cause in Cause::ALL {
            metrics.set_paused(cause.as_str(), paused.contains(&cause));
        }
    }

    fn describe(&self) -> String {
        let causes: Vec<&str> = self.pause.causes().into_iter().map(Cause::as_str).collect();
        match causes.as_slice() {
            [] => "taking jobs".to_owned(),
            causes => format!("paused by {}", causes.join(" and ")),
        }
    }

    /// What the process returns. Who was told that the instance ends has done so, whatever became of the work; anything
    /// but success would be taken for a failure, and the process started again, to take jobs for the last minute.
    pub(super) fn exit_code(&self, ending: Ending) -> ExitCode {
        if self.knowledge.is_ending() { ExitCode::SUCCESS } else { ExitCode::from(ending.exit_code()) }
    }
}
