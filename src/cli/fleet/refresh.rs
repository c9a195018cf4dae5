//! `fleet refresh`: the instances are replaced, a few at a time.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{anyhow, bail};
use clap::Args;
use tokio::time::Instant;

use super::Waiting;
use crate::aws::{Kind, Pace, Refresh as Seen};
use crate::cli::Misuse;
use crate::cli::confirm::Destruction;
use crate::cli::operator::{self, Ground};
use crate::cli::out::Streams;
use crate::cli::patience::{Operator, span};
use crate::config::flags::OperatorFlags;
use crate::operate::Trouble;
use crate::operate::fleet::Fleet;

/// How often it is looked for what was asked for without an answer: the service takes a moment to list what has begun.
const LOOKS: u32 = 3;

/// How.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub(super) struct Refresh {
    /// Of the wanted capacity, how many hundredths must stay healthy; what the group's maintenance policy says, if not
    /// given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=100))]
    min_healthy: Option<u8>,
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
    /// Stop the refresh under way; what is replaced stays replaced.
    #[arg(long, conflicts_with = "follow")]
    cancel: bool,
    /// Begin none, but follow the one under way.
    #[arg(long)]
    follow: bool,
    /// Do not wait for its end.
    #[arg(long, conflicts_with = "follow")]
    no_wait: bool,
    #[command(flatten)]
    waiting: Waiting,
    #[command(flatten)]
    destruction: Destruction,
    #[command(flatten)]
    flags: OperatorFlags,
}

pub(super) fn help() -> String {
    operator::help(
        "fleet refresh",
        "  compilation-worker fleet refresh --checkpoints 10,50 --pause 10m --timeout 2h\n  \
           compilation-worker fleet refresh --dry-run\n  \
           compilation-worker fleet refresh --follow --timeout 2h\n  \
           compilation-worker fleet refresh --cancel\n\n\
         It makes instances what their group has them be already, after asking for the group's name. A new image comes with \
         Terraform, and so does the way back: the last good image_id, applied. --cancel stops a refresh, whoever began it; \
         what it has replaced stays replaced. Instances that end drain first, and so those that are protected from \
         scale-in are replaced too. Those in Standby stay as they are. Ctrl-C ends the waiting, not the refresh.",
    )
}

impl Refresh {
    pub(super) fn run(self, streams: &mut Streams) -> anyhow::Result<ExitCode> {
        let pace = self.pace()?;
        let flags = self.flags.clone();
        operator::run(flags, streams, async |ground: &Ground, streams: &mut Streams| {
            let fleet = super::open(ground)?;
            let newest = fleet.newest_refresh().await?;
            let under_way = newest.as_ref().filter(|refresh| refresh.is_under_way());
            let name = &fleet.names().group;
            match under_way {
                None if self.cancel || self.follow => {
                    bail!(
                        "no refresh of {name} is under way\nfix: `fleet refresh --dry-run` says what one would do"
                    )
                }
                Some(refresh) if self.cancel => self.stop(&fleet, refresh, streams).await,
                Some(refresh) if self.follow => self.watch(&fleet, &refresh.id, streams).await,
                Some(refresh) => bail!(
                    "refresh {} of {name} is under way at {} %\nfix: --follow follows it, --cancel stops it",
                    refresh.id,
                    refresh.percent
                ),
                None => {
                    let before = newest.map(|refresh| refresh.id);
                    self.begin(&fleet, &pace, before.as_deref(), streams).await
                }
            }
        })
    }

    /// Begins one and follows it. `before` is the newest that there was.
    async fn begin(
        &self,
        fleet: &Fleet,
        pace: &Pace,
        before: Option<&str>,
        streams: &mut Streams,
    ) -> anyhow::Result<ExitCode> {
        let (name, group) = (&fleet.names().group, fleet.group().await?);
        let count = group.members.iter().filter(|member| member.lifecycle != "Standby").count();
        let which = if self.all { "all" } else { "what is not as it should be" };
        let least = self.min_healthy.map_or_else(
            || "as many stay healthy as the group's maintenance policy says".to_owned(),
            |percent| format!("{percent} % stay healthy"),
        );
        streams.data(format!("{name}: replacing {which} of {count} instances, {least}\n").as_bytes())?;
        if self.destruction.dry_run {
            return Ok(ExitCode::SUCCESS);
        }
        let lost =
            format!("Of {count} instances, {which} will drain and end, and others start in their place.");
        self.destruction.confirm(streams, &lost, name)?;
        let id = match fleet.refresh(pace).await {
            Ok(id) => id,
            Err(trouble) => {
                let is_new = |refresh: &Seen| before != Some(&refresh.id);
                self.in_spite_of(fleet, trouble, is_new, streams).await?.id
            }
        };
        if self.no_wait {
            streams.say(format_args!("refresh {id} has begun"));
            return Ok(ExitCode::SUCCESS);
        }
        self.watch(fleet, &id, streams).await
    }

    /// Stops the one under way, and follows it until it has stopped.
    async fn stop(&self, fleet: &Fleet, refresh: &Seen, streams: &mut Streams) -> anyhow::Result<ExitCode> {
        let (name, Seen { id, percent, .. }) = (&fleet.names().group, refresh);
        streams.data(format!("{name}: stopping refresh {id} at {percent} %\n").as_bytes())?;
        if self.destruction.dry_run {
            return Ok(ExitCode::SUCCESS);
        }
        if let Err(trouble) = fleet.cancel_refresh().await {
            let is_called_off = |seen: &Seen| seen.id == *id && seen.is_called_off();
            self.in_spite_of(fleet, trouble, is_called_off, streams).await?;
        }
        if self.no_wait {
            return Ok(ExitCode::SUCCESS);
        }
        let stopped = self.follow_to_end(fleet, id, streams).await?;
        if stopped.is_called_off() { Ok(ExitCode::SUCCESS) } else { Err(unlike(&stopped)) }
    }

    /// The newest refresh, if it is what was asked for although no answer said so; the trouble otherwise.
    async fn in_spite_of(
        &self,
        fleet: &Fleet,
        trouble: Trouble,
        wanted: impl Fn(&Seen) -> bool,
        streams: &mut Streams,
    ) -> anyhow::Result<Seen> {
        let lost = [Kind::TimedOut, Kind::Unreachable, Kind::Broken, Kind::Garbled];
        if !lost.contains(&trouble.fault.kind) {
            return Err(trouble.into());
        }
        streams.say(format_args!("{trouble}\nlooking whether it was done all the same"));
        for _ in 0..LOOKS {
            tokio::time::sleep(self.waiting.every).await;
            if let Some(seen) = fleet.newest_refresh().await?.filter(&wanted) {
                return Ok(seen);
            }
        }
        bail!(
            "could not {}: {}; nothing of it was seen afterwards\nfix: `fleet refresh --follow` tells whether it was done \
             since; if not, do it again",
            trouble.what,
            trouble.fault
        )
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
        })
    }

    async fn watch(&self, fleet: &Fleet, id: &str, streams: &mut Streams) -> anyhow::Result<ExitCode> {
        let over = self.follow_to_end(fleet, id, streams).await?;
        if over.has_succeeded() { Ok(ExitCode::SUCCESS) } else { Err(unlike(&over)) }
    }

    /// Follows a refresh to its end.
    async fn follow_to_end(&self, fleet: &Fleet, id: &str, streams: &mut Streams) -> anyhow::Result<Seen> {
        let (begun, mut operator, mut told) = (Instant::now(), Operator::listen()?, String::new());
        loop {
            match fleet.newest_refresh().await {
                Ok(Some(refresh)) if refresh.id == id => {
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

/// What a refresh that did not end as was wanted comes to.
fn unlike(over: &Seen) -> anyhow::Error {
    let Seen { id, status, .. } = over;
    let why = over.reason.as_deref().unwrap_or("no reason was given");
    anyhow!(
        "refresh {id} ended as {status}: {why}\nfix: `fleet status` shows the instances; `fleet refresh` begins again"
    )
}
