//! `migrate weights`: traffic moves from what served before to the fleet, and back.

mod watch;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use clap::{Args, Subcommand};

use crate::cli::Misuse;
use crate::cli::confirm::Change;
use crate::cli::migrate::watch::Watch;
use crate::cli::operator::{self, Ground};
use crate::cli::out::Streams;
use crate::cli::patience::span;
use crate::cli::table::Table;
use crate::config::flags::OperatorFlags;
use crate::operate::fleet::back::Returned;
use crate::operate::fleet::weights::{Left, Part, Scales, Sides, Step, Weighed, name, objection};

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
    #[command(flatten)]
    judging: Judging,
    /// How often to look while watching; figures come once a minute.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = span)]
    every: Duration,
    #[command(flatten)]
    change: Change,
    #[command(flatten)]
    flags: OperatorFlags,
}

/// How the fleet is judged, and what follows.
#[derive(Debug, Args)]
struct Judging {
    /// Watch on over a change that was made already: the share that the fleet is taken back to if it does worse.
    #[arg(long, value_name = "N", requires = "watch", value_parser = clap::value_parser!(u8).range(0..=100))]
    back_to: Option<u8>,
    /// Watch on: count what came in this time before, too.
    #[arg(long, value_name = "DURATION", value_parser = span, requires = "watch")]
    since: Option<Duration>,
    /// Only say so if the fleet does worse.
    #[arg(long, requires = "watch")]
    no_rollback: bool,
    /// Hundredths of requests that may fail beyond those of the other side; above 0.
    #[arg(long, value_name = "PERCENT", default_value_t = 0.1)]
    worse_errors: f64,
    /// How many times as long as the other side's the fleet's p95 may be.
    #[arg(long, value_name = "FACTOR", default_value_t = 1.25)]
    worse_latency: f64,
    /// How long the fleet's p95 may be whatever the other side's is, so that it is judged where there is none.
    #[arg(long, value_name = "DURATION", value_parser = span, requires = "watch")]
    latency_ceiling: Option<Duration>,
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
         While it watches, a failure is a 5xx, or a request that the target did not answer and the balancer did, with a \
         5xx: it does not say for which target group, so that those count as far as requests of this side have no answer. \
         Our own 408 (not done in time) is none to the balancer: the alarm queue-age tells of it. Figures come late: the \
         newest three minutes are left out. The fleet does worse when more fail than chance explains (once in a thousand \
         looks), or none of its targets is healthy; it does well when 19 times in 20 no more fail than the other side's \
         share and --worse-errors: without any failure, that takes 3300 requests at 0.1 %. The p95 is that of all the \
         watched time, and is compared where both sides answered a thousand requests.\n\n\
         What is worse is taken back rule by rule: where the rule still stands as it was left, and had a smaller share \
         before. A step down is never taken back. What a rule had before is known to the run that moved it; a later one is \
         told with --back-to.\n\n\
         Exit code 0 after --watch: well. Exit code 1: worse, if the line that begins with `worse` was printed: the weights \
         are back, or it is said which are not; without that line, something failed before or besides: the step was refused, \
         a call failed, or (without --watch) a rule that leads to the fleet was not moved. Exit code 75: not judged. Too few \
         requests came, no figures came any more, or the watch was interrupted. The weights stay: watch on with the \
         command that is printed, or go back.\n\n\
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
        self.sane()?;
        let flags = self.flags.clone();
        operator::run(flags, streams, async |ground: &Ground, streams: &mut Streams| {
            let scales = Scales::new(&ground.clients, sides(ground)?).context("could not set up TLS")?;
            let weighed = scales.weigh(self.force).await?;
            show(&weighed, streams)?;
            match self.percent {
                Some(percent) => self.change(percent, &scales, &weighed, streams).await,
                None => Ok(ExitCode::SUCCESS),
            }
        })
    }

    /// Whether the flags make sense together.
    fn sane(&self) -> Result<(), Misuse> {
        let Judging { worse_errors, worse_latency, latency_ceiling, back_to, .. } = self.judging;
        let above = worse_errors.is_finite() && worse_errors > 0.0;
        let positive = !self.every.is_zero() && latency_ceiling.is_none_or(|ceiling| !ceiling.is_zero());
        if !above || !worse_latency.is_finite() || worse_latency < 1.0 || !positive {
            let told =
                "--worse-errors, --latency-ceiling and --every are above 0, and --worse-latency is 1 or more";
            return Err(Misuse(told.to_owned()));
        }
        if let Some((back, percent)) = back_to.zip(self.percent).filter(|(back, percent)| back >= percent) {
            let told = format!(
                "--back-to is less than the share that is watched, and {back} is not less than {percent}"
            );
            return Err(Misuse(told));
        }
        Ok(())
    }

    async fn change(
        &self,
        percent: u8,
        scales: &Scales,
        weighed: &Weighed,
        streams: &mut Streams,
    ) -> anyhow::Result<ExitCode> {
        let steps = weighed.with(percent).map_err(|why| anyhow!(why))?;
        if let Some(why) = objection(weighed, percent, self.most_step).filter(|_| !self.force) {
            bail!("{why}\nfix: or add --force if you know better");
        }
        if self.judging.since.is_some() && steps.iter().any(Step::changes) {
            bail!("--since counts what came before, and the weights are only changed now\nfix: leave it out");
        }
        streams.data(format!("change  {} % -> {percent} % to the fleet\n", now(weighed)).as_bytes())?;
        if self.change.dry_run {
            return Ok(ExitCode::SUCCESS);
        }
        let way = match self.judging.back_to {
            Some(back) => retraced(&steps, weighed.with(back).map_err(|why| anyhow!(why))?),
            None => steps.clone(),
        };
        let watch = Watch { weights: self, scales, weighed, percent, way };
        let back = self.judging.back_to.unwrap_or(weighed.percents().0);
        if back != percent {
            // Down it needs no force, and has none that could take over a rule of others.
            let force = if back > percent { " --force" } else { "" };
            streams.say(format_args!("back again with: compilation-worker migrate weights {back}{force}"));
        }
        if self.watch.is_some() {
            watch.tell_no_way(streams);
        }
        let from = watch::beginning(self.judging.since);
        self.set(scales, &steps).await?;
        streams.say(format_args!("terraform: set instances_weight = {percent} before the next apply"));
        let left = weighed.left.len();
        match self.watch {
            Some(span) => {
                let code = watch.run(from, span, streams).await;
                if left > 0 {
                    streams.say(format_args!(
                        "{left} of the fleet's rules were not moved: they are named above"
                    ));
                }
                code
            }
            None if left > 0 => bail!("{left} of the fleet's rules were not moved: they are named above"),
            None => Ok(ExitCode::SUCCESS),
        }
    }

    /// Makes each rule share so. Where one fails, the others are changed nevertheless: on the way back each of them counts.
    /// What went up does not stay so without anybody who watches it.
    async fn set(&self, scales: &Scales, steps: &[Step]) -> anyhow::Result<()> {
        let (mut failed, mut all) = (Vec::new(), 0);
        for step in steps.iter().filter(|step| step.changes()) {
            all += 1;
            failed.extend(scales.set(&step.rule, &step.to).await.err());
        }
        let Some(first) = failed.first() else { return Ok(()) };
        let some = failed.len();
        let Returned { back, failed, .. } = scales.take_back(steps, self.force).await.with_context(|| {
            format!("{first}\n{some} of {all} rules failed, and what went up could not be taken back")
        })?;
        match (&back[..], &failed[..], (some, all)) {
            ([], [], (1, 1)) => bail!("{first}"),
            ([], [], _) => bail!("{some} of {all} rules are as they were; do it again for these: {first}"),
            (_, [], _) => {
                bail!("{some} of {all} rules could not be changed, and what went up is back: {first}")
            }
            (_, [Left { name, why }, ..], _) => bail!(
                "{some} of {all} rules could not be changed, and {name} went up and could not be taken back: {why}"
            ),
        }
    }
}

/// The same steps, from where others lead to.
fn retraced(steps: &[Step], back: Vec<Step>) -> Vec<Step> {
    let both = steps.iter().zip(back);
    both.map(|(step, back)| Step { from: back.to, ..step.clone() }).collect()
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
    let Weighed { parts, left, new, health, .. } = weighed;
    let known = health
        .as_ref()
        .map_or_else(|_| "?".to_owned(), |(healthy, targets)| format!("{healthy} of {targets}"));
    let mut table = Table::new(&["rule", "target group", ">weight", "healthy"]);
    for Part { rule, forward, .. } in parts {
        for share in &forward.shares {
            let group = share.group.rsplit(':').next().unwrap_or(&share.group);
            let healthy = if share.group == new.arn { &*known } else { "-" };
            table.row([name(rule), group.to_owned(), share.weight.to_string(), healthy.to_owned()]);
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
    if let Err(trouble) = health {
        streams.say(trouble);
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
