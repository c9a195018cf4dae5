//! `fleet refresh`: the instances are replaced, a few at a time.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use clap::Args;
use tokio::time::Instant;

use super::Waiting;
use crate::aws::Pace;
use crate::cli::Misuse;
use crate::cli::confirm::Change;
use crate::cli::operator::{self, Ground};
use crate::cli::out::Streams;
use crate::cli::patience::{Operator, span};
use crate::config::flags::OperatorFlags;
use crate::operate::fleet::Fleet;

/// How.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub(super) struct Refresh {
    /// Of the wanted capacity, how many hundredths must stay healthy.
    #[arg(long, value_name = "N", default_value_t = 90, value_parser = clap::value_parser!(u8).range(0..=100))]
    min_healthy: u8,
    /// Time until a new instance counts; the group's own warm-up, if not given.
    #[arg(long, value_name = "DURATION", value_parser = span)]
    warm_up: Option<Duration>,
    /// Hundredths at which to pause, ascending, separated by commas.
    #[arg(long, value_name = "N,N", value_delimiter = ',', value_parser = clap::value_parser!(u8).range(1..=100))]
    checkpoints: Vec<u8>,
    /// How long each pause is.
    #[arg(long, value_name = "DURATION", value_parser = span, requires = "checkpoints")]
    pause: Option<Duration>,
    /// Replace those too that already are what they should be.
    #[arg(long)]
    all: bool,
    /// Go back by itself if it fails; the group's launch template must then name a numbered version.
    #[arg(long)]
    auto_rollback: bool,
    /// Stop the refresh under way; what is replaced stays replaced.
    #[arg(long, conflicts_with_all = ["follow", "rollback"])]
    cancel: bool,
    /// Stop the refresh under way, and take back what it has done.
    #[arg(long, conflicts_with = "follow")]
    rollback: bool,
    /// Begin none, but follow the one under way.
    #[arg(long)]
    follow: bool,
    /// Do not wait for its end.
    #[arg(long, conflicts_with = "follow")]
    no_wait: bool,
    #[command(flatten)]
    waiting: Waiting,
    #[command(flatten)]
    change: Change,
    #[command(flatten)]
    flags: OperatorFlags,
}

pub(super) fn help() -> String {
    operator::help(
        "fleet refresh",
        "  compilation-worker fleet refresh --checkpoints 10,50 --pause 10m --timeout 2h\n  \
           compilation-worker fleet refresh --follow --timeout 2h\n  \
           compilation-worker fleet refresh --cancel\n  \
           compilation-worker fleet refresh --rollback\n\n\
         Instances that end drain first. Those in Standby or protected from scale-in are waited for: rejoin or end them \
         first. Ctrl-C ends the waiting, not the refresh.",
    )
}

impl Refresh {
    pub(super) fn run(self, streams: &mut Streams) -> anyhow::Result<ExitCode> {
        let pace = self.pace()?;
        let flags = self.flags.clone();
        operator::run(flags, streams, async |ground: &Ground, streams: &mut Streams| {
            let fleet = super::open(ground)?;
            let under_way = fleet.newest_refresh().await?.filter(crate::aws::Refresh::is_under_way);
            let name = &fleet.names().group;
            let done = if self.cancel || self.rollback {
                let Some(refresh) = under_way else { bail!("no refresh of {name} is under way") };
                let how = if self.rollback { "taking back" } else { "stopping" };
                streams.data(
                    format!("{name}: {how} refresh {} at {} %\n", refresh.id, refresh.percent).as_bytes(),
                )?;
                if !self.change.dry_run {
                    fleet.stop_refresh(self.rollback).await?;
                }
                return self.end_of_stop(&fleet, streams).await;
            } else if self.follow {
                under_way.map(|refresh| refresh.id)
            } else {
                if let Some(refresh) = under_way {
                    bail!(
                        "refresh {} of {name} is under way at {} %\nfix: --follow follows it, --cancel stops it, \
                         --rollback takes it back",
                        refresh.id,
                        refresh.percent
                    );
                }
                let group = fleet.group().await?;
                streams.data(
                    format!(
                        "{name}: replacing {} instances, {} % stay healthy\n",
                        group.members.len(),
                        self.min_healthy
                    )
                    .as_bytes(),
                )?;
                if self.change.dry_run {
                    return Ok(ExitCode::SUCCESS);
                }
                Some(fleet.refresh(&pace).await?)
            };
            match done {
                None => bail!("no refresh of {name} is under way"),
                Some(id) if self.no_wait => streams.say(format_args!("refresh {id} has begun")),
                Some(id) => return self.watch(&fleet, &id, streams).await,
            }
            Ok(ExitCode::SUCCESS)
        })
    }

    fn pace(&self) -> anyhow::Result<Pace> {
        if !self.checkpoints.is_sorted_by(|a, b| a < b) {
            return Err(Misuse("checkpoints ascend, as in --checkpoints 10,50".to_owned()).into());
        }
        let mut checkpoints = self.checkpoints.clone();
        // The service takes a list that stops short to mean that the rest is not to be replaced.
        if !checkpoints.is_empty() && !checkpoints.ends_with(&[100]) {
            checkpoints.push(100);
        }
        let seconds = |span: Duration| u32::try_from(span.as_secs()).unwrap_or(u32::MAX);
        Ok(Pace {
            min_healthy: self.min_healthy,
            warm_up: self.warm_up.map(seconds),
            checkpoints,
            pause: self.pause.map(seconds),
            skip_matching: !self.all,
            roll_back: self.auto_rollback,
        })
    }

    /// Waits until what was stopped has stopped.
    async fn end_of_stop(&self, fleet: &Fleet, streams: &mut Streams) -> anyhow::Result<ExitCode> {
        if self.no_wait || self.change.dry_run {
            return Ok(ExitCode::SUCCESS);
        }
        let stopped = self.follow_to_end(fleet, None, streams).await?;
        let as_wanted = ["Cancelled", "RollbackSuccessful"].contains(&stopped.status.as_str());
        Ok(if as_wanted { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    async fn watch(&self, fleet: &Fleet, id: &str, streams: &mut Streams) -> anyhow::Result<ExitCode> {
        let over = self.follow_to_end(fleet, Some(id), streams).await?;
        if over.has_succeeded() {
            return Ok(ExitCode::SUCCESS);
        }
        let why = over.reason.as_deref().unwrap_or("no reason was given");
        bail!(
            "refresh {id} ended as {}: {why}\nfix: `fleet status` shows the instances; `fleet refresh` begins again",
            over.status
        )
    }

    /// Follows the newest refresh to its end.
    async fn follow_to_end(
        &self,
        fleet: &Fleet,
        id: Option<&str>,
        streams: &mut Streams,
    ) -> anyhow::Result<crate::aws::Refresh> {
        let (begun, mut operator, mut told) = (Instant::now(), Operator::listen()?, String::new());
        loop {
            match fleet.newest_refresh().await {
                Ok(Some(refresh)) if id.is_none_or(|id| refresh.id == id) => {
                    let reason =
                        refresh.reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
                    let line = format!(
                        "{} % {}, {} instances left{reason}",
                        refresh.percent, refresh.status, refresh.left
                    );
                    if line != told {
                        streams.data(format!("{line}\n").as_bytes())?;
                        told = line;
                    }
                    if !refresh.is_under_way() {
                        return Ok(refresh);
                    }
                }
                // It takes the service a moment to list what has begun.
                Ok(_) => {}
                Err(trouble) if trouble.fault.kind.may_pass() => streams.say(&trouble),
                Err(trouble) => return Err(trouble.into()),
            }
            let left = "the refresh goes on; --follow follows it again";
            if begun.elapsed() >= self.waiting.timeout {
                bail!("not over after {:?}: {told}; {left}", self.waiting.timeout);
            }
            if !operator.pause(self.waiting.every).await {
                bail!("interrupted: {left}");
            }
        }
    }
}
