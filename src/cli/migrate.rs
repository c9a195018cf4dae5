//! `migrate weights`: traffic moves from what served before to the fleet, and back.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use tokio::time::Instant;

use crate::aws::{Forward, RuleAddress};
use crate::cli::Misuse;
use crate::cli::confirm::Change;
use crate::cli::operator::{self, Ground};
use crate::cli::out::Streams;
use crate::cli::patience::{Operator, span};
use crate::cli::table::Table;
use crate::config::flags::OperatorFlags;
use crate::operate::fleet::weights::{Doing, Limits, Scales, Sides, Verdict, Weighed, judge, objection};

/// Moves traffic to the fleet, and back.
#[derive(Debug, Args)]
pub(super) struct Migrate {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Shows which share of the requests the fleet gets, or changes it.
    #[command(after_help = help())]
    Weights(Weights),
}

/// How much.
#[derive(Debug, Args)]
struct Weights {
    /// Hundredths of the requests that go to the fleet, 0 to 100; without it, what is now is shown.
    #[arg(value_parser = clap::value_parser!(u8).range(0..=100))]
    percent: Option<u8>,
    /// Largest step up.
    #[arg(long, value_name = "N", default_value_t = 40)]
    most_step: u8,
    /// Change it whatever the step and however the targets are.
    #[arg(long)]
    force: bool,
    /// Watch errors and latency for this long after the change, and take it back if the fleet does worse.
    #[arg(long, value_name = "DURATION", value_parser = span, requires = "percent")]
    watch: Option<Duration>,
    /// Only say so if the fleet does worse.
    #[arg(long, requires = "watch")]
    no_rollback: bool,
    /// Hundredths of requests that may fail beyond those of the other side.
    #[arg(long, value_name = "PERCENT", default_value_t = 0.1)]
    worse_errors: f64,
    /// How many times as long as the other side's the fleet's p95 may be.
    #[arg(long, value_name = "FACTOR", default_value_t = 1.25)]
    worse_latency: f64,
    /// How often to look while watching; figures come once a minute.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = span)]
    every: Duration,
    #[command(flatten)]
    change: Change,
    #[command(flatten)]
    flags: OperatorFlags,
}

fn help() -> String {
    operator::help(
        "migrate weights",
        "  compilation-worker migrate weights                     how it is now\n  \
           compilation-worker migrate weights 10 --watch 30m      week 4\n  \
           compilation-worker migrate weights 50 --watch 30m      week 5\n  \
           compilation-worker migrate weights 90 --watch 30m      week 6\n  \
           compilation-worker migrate weights 100 --watch 1h      week 7\n  \
           compilation-worker migrate weights 0                   back\n\n\
         It needs the listener's ARN (--fleet-listener), and the old target group (--fleet-old-target-group) unless the \
         rule names it already. All else of the rule stays. A step down is never refused. Nothing is said of the fleet \
         before it has answered a hundred requests. Clients that the rule keeps where they came to first move later.\n\n\
         Terraform knows nothing of this: set its variable instances_weight to the same number before the next apply, \
         or the apply puts back what it knows.",
    )
}

impl Migrate {
    pub(super) fn run(self, streams: &mut Streams) -> anyhow::Result<ExitCode> {
        let Command::Weights(command) = self.command;
        command.run(streams)
    }
}

impl Weights {
    fn run(self, streams: &mut Streams) -> anyhow::Result<ExitCode> {
        let sane = |limit: f64, least: f64| limit.is_finite() && limit >= least;
        if !sane(self.worse_errors, 0.0) || !sane(self.worse_latency, 1.0) {
            let told = "--worse-errors is 0 or more, and --worse-latency 1 or more";
            return Err(Misuse(told.to_owned()).into());
        }
        let flags = self.flags.clone();
        operator::run(flags, streams, async |ground: &Ground, streams: &mut Streams| {
            let scales = Scales::new(&ground.clients, sides(ground)?).context("could not set up TLS")?;
            let weighed = scales.weigh().await?;
            show(&weighed, streams)?;
            let Some(percent) = self.percent else { return Ok(ExitCode::SUCCESS) };
            let forward = match weighed.with(percent) {
                Ok(forward) => forward,
                Err(why) => bail!("{why}"),
            };
            if let Some(why) = objection(&weighed, percent, self.most_step).filter(|_| !self.force) {
                bail!("{why}\nfix: or add --force if you know better");
            }
            streams
                .data(format!("change  {} % -> {percent} % to the fleet\n", weighed.percent).as_bytes())?;
            if self.change.dry_run {
                return Ok(ExitCode::SUCCESS);
            }
            let begun = Timestamp::now();
            scales.set(&weighed.rule, &forward).await?;
            let back = format!("compilation-worker migrate weights {} --force", weighed.percent);
            streams.say(format_args!("back again with: {back}"));
            streams.say(format_args!("terraform: set instances_weight = {percent} before the next apply"));
            match self.watch {
                None => Ok(ExitCode::SUCCESS),
                Some(span) => self.watch(&scales, &weighed, begun, span, streams).await,
            }
        })
    }

    /// Watches both sides, and takes the change back if the new one does worse.
    async fn watch(
        &self,
        scales: &Scales,
        weighed: &Weighed,
        from: Timestamp,
        span: Duration,
        streams: &mut Streams,
    ) -> anyhow::Result<ExitCode> {
        let (begun, mut operator) = (Instant::now(), Operator::listen()?);
        let limits = Limits { errors: self.worse_errors, latency: self.worse_latency };
        let (mut told, mut verdict) = (String::new(), Verdict::TooFew);
        // Figures are for whole minutes. What the fleet did in the first one before the change counts too.
        let from = minute(from);
        loop {
            if !operator.pause(self.every.min(span)).await {
                bail!("interrupted: the weights stay as they are, and nobody watches them");
            }
            match scales.doing(weighed, from, Timestamp::now()).await {
                Ok([old, new]) => {
                    let line = format!("old: {}; new: {}", said(old), said(new));
                    if line != told {
                        streams.say(&line);
                        told = line;
                    }
                    verdict = judge(old, new, limits);
                    if let Verdict::Worse(how) = &verdict {
                        return self.worse(scales, weighed, how, streams).await;
                    }
                }
                // Nothing is taken back because nothing could be seen.
                Err(error) => streams.say(format_args!("{error:#}")),
            }
            if begun.elapsed() >= span {
                break;
            }
        }
        if told.is_empty() {
            bail!("no figures could be read: the weights stay as they are, and nobody has watched them");
        }
        let end = match verdict {
            Verdict::TooFew => "too few requests came to say anything of the fleet",
            Verdict::Well | Verdict::Worse(_) => "the fleet does as well as it has to",
        };
        streams.data(format!("watched {end}\n").as_bytes())?;
        Ok(ExitCode::SUCCESS)
    }

    async fn worse(
        &self,
        scales: &Scales,
        weighed: &Weighed,
        how: &str,
        streams: &mut Streams,
    ) -> anyhow::Result<ExitCode> {
        streams.data(format!("worse   {how}\n").as_bytes())?;
        if self.no_rollback {
            bail!("the fleet does worse, and the weights stay as they are");
        }
        let Weighed { rule, forward, percent, .. } = weighed;
        scales.set(rule, forward).await.context("the fleet does worse, and that could not be undone")?;
        bail!("the fleet does worse: back to {percent} %; terraform: set instances_weight = {percent}");
    }
}

/// The rule and its two sides, as the configuration names them.
fn sides(ground: &Ground) -> anyhow::Result<Sides> {
    let fleet = &ground.config.fleet;
    let Some(listener) = fleet.listener.clone() else {
        bail!("nobody says which listener\nfix: name its ARN with --fleet-listener (fleet.listener)");
    };
    Ok(Sides {
        rule: RuleAddress { listener, priority: fleet.rule_priority },
        new: fleet.target_group.clone(),
        old: fleet.old_target_group.clone(),
    })
}

fn show(weighed: &Weighed, streams: &mut Streams) -> anyhow::Result<()> {
    let Weighed { rule, forward, new, percent, healthy: (healthy, targets), .. } = weighed;
    let mut table = Table::new(&["target group", ">weight", "healthy"]);
    for share in &forward.shares {
        let name = share.group.rsplit(':').next().unwrap_or(&share.group);
        let of = if share.group == new.arn { format!("{healthy} of {targets}") } else { "-".to_owned() };
        table.row([name.to_owned(), share.weight.to_string(), of]);
    }
    let sticky = |Forward { sticky, .. }: &Forward| {
        sticky
            .map_or_else(String::new, |seconds| format!("; clients stay for {seconds} s where they came to"))
    };
    streams.data(table.render().as_bytes())?;
    let paths = rule.paths.join(" ");
    streams.data(format!("fleet   {percent} % of {paths}{}\n", sticky(forward)).as_bytes())?;
    Ok(())
}

fn said(doing: Doing) -> String {
    let Doing { requests, errors, p95 } = doing;
    let p95 = p95.map_or_else(|| "no latency".to_owned(), |p95| format!("p95 {p95:.3} s"));
    format!("{requests} requests, {errors} failed, {p95}")
}

/// The beginning of this minute.
fn minute(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second() / 60 * 60).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_begin_with_a_whole_minute() {
        for (at, begins) in [(0, 0), (59, 0), (60, 60), (119, 60)] {
            assert_eq!(minute(Timestamp::from_second(at).unwrap()).as_second(), begins);
        }
    }
}
