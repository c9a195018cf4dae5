//! `fleet status`: the fleet at a glance.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use crate::cli::operator::{self, Ground};
use crate::cli::out::{Streams, escaped};
use crate::cli::patience::{Operator, pace};
use crate::cli::print_json;
use crate::cli::table::{Table, shown};
use crate::config::flags::OperatorFlags;
use crate::operate::fleet::Fleet;
use crate::operate::fleet::status::{Instance, Status as Seen, Told};

/// How much a command line of the shell shows.
#[derive(Debug, Args)]
pub(super) struct Status {
    /// Look again each time this has passed, until Ctrl-C.
    #[arg(long, value_name = "DURATION", value_parser = pace)]
    watch: Option<Duration>,
    /// Print JSON; with --watch one line each time.
    #[arg(long)]
    json: bool,
    /// Exit with 1 if anything is wrong.
    #[arg(long, conflicts_with = "watch")]
    check: bool,
    #[command(flatten)]
    flags: OperatorFlags,
}

pub(super) fn help() -> String {
    operator::help(
        "fleet status",
        "  compilation-worker fleet status\n  \
           compilation-worker fleet status --watch 10s\n  \
           compilation-worker fleet status --check || page somebody\n  \
           compilation-worker fleet status --json | jq '.instances[] | select(.consuming == false) | .id'\n\n\
         An instance's version, slots and whether it takes jobs are what its daemon last said, once a minute; what is \
         older than three minutes is shown with its age. Queues are shown by their figures, which are some minutes late.",
    )
}

impl Status {
    pub(super) fn run(self, streams: &mut Streams) -> anyhow::Result<ExitCode> {
        let Self { watch, json, check, flags } = self;
        operator::run(flags, streams, async |ground: &Ground, streams: &mut Streams| {
            let fleet = super::open(ground)?;
            let Some(pause) = watch else {
                let seen = fleet.status(Timestamp::now()).await?;
                show(&seen, json, streams)?;
                let failed = !seen.unseen.is_empty() || (check && !seen.wrong.is_empty());
                return Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS });
            };
            watched(&fleet, pause, json, streams).await
        })
    }
}

/// Looks again and again. What cannot be seen now may be seen the next time, but not if it never could.
async fn watched(
    fleet: &Fleet,
    pause: Duration,
    json: bool,
    streams: &mut Streams,
) -> anyhow::Result<ExitCode> {
    let mut operator = Operator::listen()?;
    let mut seen_once = false;
    loop {
        let Some(looked) = operator.unless_enough(fleet.status(Timestamp::now())).await else { break };
        match looked {
            Ok(seen) if json => streams.data(escaped(format!("{}\n", json!(seen))).as_bytes())?,
            Ok(seen) => {
                streams.data(format!("{}{}\n", if seen_once { "\n" } else { "" }, seen.at).as_bytes())?;
                show(&seen, false, streams)?;
            }
            Err(trouble) if seen_once => streams.say(&trouble),
            Err(trouble) => return Err(trouble.into()),
        }
        seen_once = true;
        if !operator.pause(pause).await {
            break;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn show(seen: &Seen, json: bool, streams: &mut Streams) -> anyhow::Result<()> {
    if json {
        return print_json(streams, &json!(seen));
    }
    streams.data(page(seen).as_bytes())?;
    seen.unseen.iter().for_each(|unseen| streams.say(unseen));
    Ok(())
}

/// The whole for people, what is wrong first.
fn page(seen: &Seen) -> String {
    let mut lines: Vec<String> = seen.wrong.iter().map(|wrong| format!("! {}", shown(wrong))).collect();
    if !lines.is_empty() {
        lines.push(String::new());
    }
    let group = &seen.group;
    lines.push(format!(
        "group      {}: {} wanted (min {}, max {})",
        group.name, group.desired, group.min, group.max
    ));
    if let Some((status, percent)) = &group.refresh {
        lines.push(format!("refresh    {status}, {percent} %"));
    }
    for Told { what, status, progress, .. } in &group.under_way {
        lines.push(format!("under way  {}: {status}, {progress} %", shown(what)));
    }
    let figure = |figure: Option<f64>| figure.map_or_else(|| "?".to_owned(), |figure| figure.to_string());
    let queue = &seen.queue;
    lines.push(format!(
        "queue      {}: {} waiting, the oldest for {} s",
        queue.name,
        figure(queue.waiting),
        figure(queue.oldest_seconds)
    ));
    let letters = &seen.dead_letters;
    lines.push(format!("dead       {}: {}", letters.name, figure(letters.waiting)));
    let totals = &seen.totals;
    lines.push(format!(
        "totals     {} in service of {}, {} healthy, {} of {} slots busy",
        totals.in_service, totals.instances, totals.healthy, totals.busy, totals.slots
    ));
    let heads =
        ["instance", "zone", "type", "state", "target", "version", "phase", "jobs", ">busy", ">heard"];
    let mut table = Table::new(&heads);
    for instance in &seen.instances {
        table.row(cells(instance));
    }
    if !table.is_empty() {
        lines.extend([String::new(), table.render().trim_end().to_owned()]);
    }
    format!("{}\n", lines.join("\n"))
}

fn cells(instance: &Instance) -> [String; 10] {
    let Instance { id, zone, kind, lifecycle, healthy, protected, target, .. } = instance;
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let mut state = lifecycle.clone();
    state.push_str(if *protected { ", protected" } else { "" });
    state.push_str(if *healthy { "" } else { ", unhealthy" });
    let jobs = match instance.consuming {
        Some(true) => "taken",
        Some(false) => "not taken",
        None => "-",
    };
    let slots = instance.busy.zip(instance.slots);
    let slots = slots.map_or_else(|| "-".to_owned(), |(busy, slots)| format!("{busy}/{slots}"));
    let heard = match instance.word_age {
        None => "never".to_owned(),
        Some(age) if instance.is_heard() => format!("{age} s ago"),
        Some(age) => format!("OLD: {age} s ago"),
    };
    [
        id.clone(),
        zone.clone(),
        kind.clone(),
        state,
        target.clone(),
        text(&instance.version),
        text(&instance.phase),
        jobs.to_owned(),
        slots,
        heard,
    ]
}
