//! `migrate weights`: traffic moves from what served before to the fleet, and back.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use crate::aws::{Forward, Rule};
use crate::cli::Misuse;
use crate::cli::confirm::Change;
use crate::cli::operator::{self, Ground};
use crate::cli::out::Streams;
use crate::cli::patience::{Operator, span};
use crate::cli::table::Table;
use crate::config::flags::OperatorFlags;
use crate::operate::fleet::verdict::{Doing, Limits, Verdict, judge};
use crate::operate::fleet::weights::{Left, Part, Scales, Sides, Weighed, name, objection};

/// A change that stands, and of which nothing could be said: try again later, as `EX_TEMPFAIL` is.
const EXIT_NOT_JUDGED: u8 = 75;
/// Age of the newest figure beyond which no more come. The balancer's are up to three minutes late.
const STALE: SignedDuration = SignedDuration::from_mins(5);

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
    /// Change it whatever the step and however the targets are; and where no rule names the fleet yet, put it into the
    /// one at --fleet-rule-priority.
    #[arg(long)]
    force: bool,
    /// Watch errors and latency for this long after the change, and take it back if the fleet does worse.
    #[arg(long, value_name = "DURATION", value_parser = span, requires = "percent")]
    watch: Option<Duration>,
    /// Only say so if the fleet does worse.
    #[arg(long, requires = "watch")]
    no_rollback: bool,
    /// Hundredths of requests that may fail beyond those of the other side; above 0.
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
         rules name it already. All rules that share between the fleet's target group and the old one are moved together, \
         and all else of them stays; what else leads to the fleet is named and left. A rule that does not name the fleet \
         is never touched, but for the one at --fleet-rule-priority, with --force, where none does. A step down is never \
         refused. Clients that a rule keeps where they came to first move later.\n\n\
         While it watches, a failure is a 5xx, or a target that did not take the connection. The fleet does worse when \
         more fail than chance explains (once in a thousand looks); it does well when 19 times in 20 no more fail than \
         the other side's share and --worse-errors: without any failure, that takes 3300 requests at 0.1 %. The p95 is \
         that of all the watched time, and is compared where both sides answered a thousand requests.\n\n\
         Exit code 75: not judged. Too few requests came, no figures came any more, or the watch was interrupted. The \
         weights stay: watch on with the same command, or go back.\n\n\
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
        let sane = self.worse_errors.is_finite() && self.worse_errors > 0.0;
        if !sane || !self.worse_latency.is_finite() || self.worse_latency < 1.0 || self.every.is_zero() {
            let told = "--worse-errors and --every are above 0, and --worse-latency is 1 or more";
            return Err(Misuse(told.to_owned()).into());
        }
        let flags = self.flags.clone();
        operator::run(flags, streams, async |ground: &Ground, streams: &mut Streams| {
            let scales = Scales::new(&ground.clients, sides(ground)?).context("could not set up TLS")?;
            let weighed = scales.weigh(self.force).await?;
            show(&weighed, streams)?;
            let Some(percent) = self.percent else { return Ok(ExitCode::SUCCESS) };
            let moves = match weighed.with(percent) {
                Ok(moves) => moves,
                Err(why) => bail!("{why}"),
            };
            if let Some(why) = objection(&weighed, percent, self.most_step).filter(|_| !self.force) {
                bail!("{why}\nfix: or add --force if you know better");
            }
            streams.data(format!("change  {} % -> {percent} % to the fleet\n", now(&weighed)).as_bytes())?;
            if self.change.dry_run {
                return Ok(ExitCode::SUCCESS);
            }
            let begun = Timestamp::now();
            let (lowest, _) = weighed.percents();
            streams.say(format_args!("back again with: compilation-worker migrate weights {lowest} --force"));
            set(&scales, &moves).await?;
            streams.say(format_args!("terraform: set instances_weight = {percent} before the next apply"));
            let code = match self.watch {
                None => ExitCode::SUCCESS,
                Some(span) => self.watch(&scales, &weighed, begun, span, streams).await?,
            };
            if !weighed.left.is_empty() {
                bail!("{} of the fleet's rules were not moved: they are named above", weighed.left.len());
            }
            Ok(code)
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
        let mut told = String::new();
        // Figures are for whole minutes. What the fleet did in the first one before the change counts too.
        let from = minute(from);
        loop {
            if !operator.pause(self.every.min(span)).await {
                return not_judged("it was interrupted, and nobody watches the fleet any more", streams);
            }
            let now = Timestamp::now();
            let seen = scales.doing(weighed, from, now).await;
            let verdict = match &seen {
                Ok([old, new]) => {
                    let line = format!("old: {}; new: {}", said(*old), said(*new));
                    if line != told {
                        streams.say(&line);
                        told = line;
                    }
                    Some(judge(*old, *new, limits)).map(|verdict| (verdict, new.newest))
                }
                // Nothing is taken back because nothing could be seen.
                Err(error) => {
                    streams.say(format_args!("{error:#}"));
                    None
                }
            };
            if let Some((Verdict::Worse(how), _)) = &verdict {
                return self.worse(scales, weighed, how, streams).await;
            }
            if begun.elapsed() < span {
                continue;
            }
            return match verdict {
                None => not_judged("no figures could be read at the end", streams),
                Some((_, Some(newest))) if now.duration_since(newest) > STALE => {
                    not_judged(&format!("the newest figures of the fleet are those of {newest}"), streams)
                }
                Some((Verdict::Well(why), _)) => {
                    streams.data(format!("well    {why}\n").as_bytes())?;
                    Ok(ExitCode::SUCCESS)
                }
                Some((Verdict::Open(why) | Verdict::Worse(why), _)) => not_judged(&why, streams),
            };
        }
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
        let before = weighed.parts.iter().map(|Part { rule, forward, .. }| (rule, forward.clone()));
        let undone = set(scales, &before.collect::<Vec<_>>()).await;
        undone.context("the fleet does worse, and that could not be undone")?;
        let (now, (lowest, _)) = (now(weighed), weighed.percents());
        bail!("the fleet does worse: back to {now} %; terraform: set instances_weight = {lowest}");
    }
}

/// Makes each rule share so. Where one fails, the others are changed nevertheless: on the way back each of them counts.
async fn set(scales: &Scales, moves: &[(&Rule, Forward)]) -> anyhow::Result<()> {
    let mut failed = Vec::new();
    for (rule, forward) in moves {
        failed.extend(scales.set(rule, forward).await.err());
    }
    let Some(first) = failed.first() else { return Ok(()) };
    match (failed.len(), moves.len()) {
        (1, 1) => bail!("{first}"),
        (some, all) => bail!("{some} of {all} rules are as they were; do it again for these: {first}"),
    }
}

/// The end of a watch that says nothing of the fleet.
fn not_judged(why: &str, streams: &mut Streams) -> anyhow::Result<ExitCode> {
    streams.data(format!("not judged: {why}\n").as_bytes())?;
    streams.say("the weights stay as they are: watch on with the same command, or go back");
    Ok(ExitCode::from(EXIT_NOT_JUDGED))
}

/// The listener and the two sides, as the configuration names them.
fn sides(ground: &Ground) -> anyhow::Result<Sides> {
    let fleet = &ground.config.fleet;
    let Some(listener) = fleet.listener.clone() else {
        bail!("nobody says which listener\nfix: name its ARN with --fleet-listener (fleet.listener)");
    };
    Ok(Sides {
        listener,
        priority: fleet.rule_priority,
        new: fleet.target_group.clone(),
        old: fleet.old_target_group.clone(),
    })
}

fn show(weighed: &Weighed, streams: &mut Streams) -> anyhow::Result<()> {
    let Weighed { parts, left, new, healthy: (healthy, targets), .. } = weighed;
    let mut table = Table::new(&["rule", "target group", ">weight", "healthy"]);
    for Part { rule, forward, .. } in parts {
        for share in &forward.shares {
            let group = share.group.rsplit(':').next().unwrap_or(&share.group);
            let of = if share.group == new.arn { format!("{healthy} of {targets}") } else { "-".to_owned() };
            table.row([name(rule), group.to_owned(), share.weight.to_string(), of]);
        }
    }
    streams.data(table.render().as_bytes())?;
    for Part { rule, forward, percent } in parts {
        let sticky = forward
            .sticky
            .map_or_else(String::new, |seconds| format!("; clients stay for {seconds} s where they came to"));
        let paths = rule.paths.join(" ");
        streams.data(format!("fleet   {percent} % of {paths}{sticky}\n").as_bytes())?;
    }
    for Left { name, why } in left {
        streams.say(format_args!("{name} leads to the fleet too, and is not moved: {why}"));
    }
    Ok(())
}

/// The share that the fleet has, as `10` or `0 to 10`.
fn now(weighed: &Weighed) -> String {
    let (lowest, highest) = weighed.percents();
    if lowest == highest { lowest.to_string() } else { format!("{lowest} to {highest}") }
}

fn said(doing: Doing) -> String {
    let Doing { requests, errors, p95, .. } = doing;
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
