//! `fleet scale`: how many instances there are to be.

use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use jiff::Timestamp;
use tokio::time::Instant;

use super::Waiting;
use crate::aws::{Activity, Group};
use crate::cli::confirm::Destruction;
use crate::cli::cost::Price;
use crate::cli::operator::{self, Ground};
use crate::cli::out::Streams;
use crate::cli::patience::Operator;
use crate::config::flags::OperatorFlags;
use crate::operate::fleet::{Fleet, seconds_since};

/// How many.
#[derive(Debug, Args)]
pub(super) struct Scale {
    /// Instances wanted.
    desired: u32,
    /// Fewest instances from now on.
    #[arg(long, value_name = "N")]
    min: Option<u32>,
    /// Most instances from now on.
    #[arg(long, value_name = "N")]
    max: Option<u32>,
    /// Price of an instance's hour by type, such as t4g.medium=0.0336, to tell what the change costs.
    #[arg(long, value_name = "TYPE=USD")]
    price_hour: Vec<Price>,
    /// Do not wait until the instances are there.
    #[arg(long)]
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
        "fleet scale",
        "  compilation-worker fleet scale 5\n  \
           compilation-worker fleet scale 10 --min 10\n  \
           compilation-worker fleet scale 24 --max 30 --price-hour t4g.medium=0.0336\n  \
           compilation-worker fleet scale 2 --yes --no-wait\n\n\
         Scaling policies go on to work: a fleet with little to do is back at its --min within minutes, so raise that to \
         keep instances, as ahead of an event, and lower it afterwards. Terraform's next apply sets it to min_size. \
         Instances that are too many drain before they end; protected ones are not chosen.",
    )
}

impl Scale {
    pub(super) fn run(self, streams: &mut Streams) -> anyhow::Result<ExitCode> {
        let flags = self.flags.clone();
        operator::run(flags, streams, async |ground: &Ground, streams: &mut Streams| {
            let fleet = super::open(ground)?;
            let group = fleet.group().await?;
            let (min, max) = (self.min.unwrap_or(group.min), self.max.unwrap_or(group.max));
            if let Some(wrong) = outside(self.desired, min, max) {
                bail!("{wrong}");
            }
            let name = &fleet.names().group;
            let change = format!(
                "{name}: {} wanted (min {}, max {}) -> {} wanted (min {min}, max {max})\n",
                group.desired, group.min, group.max, self.desired
            );
            streams.data(change.as_bytes())?;
            if let Some(cost) = cost(&group, self.desired, &self.price_hour) {
                streams.data(cost.as_bytes())?;
            }
            if self.destruction.dry_run {
                return Ok(ExitCode::SUCCESS);
            }
            if self.desired < group.desired {
                let lost = format!("{} instances will drain and end.", group.desired - self.desired);
                self.destruction.confirm(streams, &lost, name)?;
            }
            let begun = Timestamp::now();
            fleet.resize(self.min, self.desired, self.max).await?;
            if self.no_wait {
                return Ok(ExitCode::SUCCESS);
            }
            self.follow(&fleet, begun, streams).await
        })
    }

    /// Follows what the group does until as many instances are in service as are wanted.
    async fn follow(
        &self,
        fleet: &Fleet,
        since: Timestamp,
        streams: &mut Streams,
    ) -> anyhow::Result<ExitCode> {
        let (begun, mut operator, mut told) = (Instant::now(), Operator::listen()?, String::new());
        loop {
            let looked = async { futures_util::try_join!(fleet.group(), fleet.activities()) };
            match looked.await {
                Ok((group, activities)) => {
                    if let Some(failed) = activities.iter().find(|activity| failed(activity, since)) {
                        let why = failed.message.as_deref().unwrap_or("no reason was given");
                        bail!(
                            "{} failed: {why}\nfix: the group tries again by itself; `fleet status` shows how it goes",
                            failed.description
                        );
                    }
                    let serving = serving(&group);
                    let busy = activities.iter().filter(|activity| activity.is_under_way()).count();
                    let line =
                        format!("{serving} of {} in service, {busy} activities under way", self.desired);
                    if told != line {
                        streams.say(&line);
                        told = line;
                    }
                    if group.desired != self.desired {
                        bail!(
                            "somebody else wants {} instances now: a scaling policy, or another operator",
                            group.desired
                        );
                    }
                    if serving == self.desired && busy == 0 {
                        streams
                            .data(format!("{}: {serving} in service\n", fleet.names().group).as_bytes())?;
                        return Ok(ExitCode::SUCCESS);
                    }
                }
                Err(trouble) if trouble.fault.kind.may_pass() => streams.say(&trouble),
                Err(trouble) => return Err(trouble.into()),
            }
            if begun.elapsed() >= self.waiting.timeout {
                bail!(
                    "not done after {:?}: {told}\nfix: the group goes on; `fleet status` shows how",
                    self.waiting.timeout
                );
            }
            if !operator.pause(self.waiting.every).await {
                bail!("interrupted: {told}; the group goes on by itself");
            }
        }
    }
}

/// Instances in service.
fn serving(group: &Group) -> u32 {
    let serving = group.members.iter().filter(|member| member.lifecycle == "InService").count();
    u32::try_from(serving).unwrap_or(u32::MAX)
}

/// A failure since then; the operator's clock may be a little ahead of the service's.
fn failed(activity: &Activity, since: Timestamp) -> bool {
    activity.status == "Failed" && activity.begun.is_some_and(|begun| seconds_since(begun, since) < 5)
}

/// What is wrong with wanting so many, and what to do.
fn outside(desired: u32, min: u32, max: u32) -> Option<String> {
    if min > max {
        Some(format!("min {min} is more than max {max}\nfix: give both --min and --max"))
    } else if desired < min {
        Some(format!("{desired} is less than min {min}\nfix: add --min {desired}, or want at least {min}"))
    } else if desired > max {
        Some(format!("{desired} is more than max {max}\nfix: add --max {desired}, or want at most {max}"))
    } else {
        None
    }
}

/// What an hour costs before and after, if all types have a price. New instances are counted as the average of those
/// that are there.
fn cost(group: &Group, desired: u32, prices: &[Price]) -> Option<String> {
    let of = |kind: &str| prices.iter().find(|price| price.kind == kind).map(|price| price.usd);
    let all: Option<Vec<f64>> = group.members.iter().map(|member| of(&member.kind)).collect();
    let all = all.filter(|all| !all.is_empty())?;
    let count = f64::from(u32::try_from(all.len()).ok()?);
    let (now, average) = (all.iter().sum::<f64>(), all.iter().sum::<f64>() / count);
    Some(format!(
        "cost per hour: {now:.4} USD for {count} instances now -> {:.4} USD for {desired} ({average:.4} USD each)\n",
        average * f64::from(desired)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::Member;

    #[test]
    fn what_lies_outside_is_refused_with_the_way_out() {
        for (desired, min, max, fix) in [
            (3, 2, 20, None),
            (2, 2, 2, None),
            (1, 2, 20, Some("add --min 1")),
            (21, 2, 20, Some("add --max 21")),
            (3, 5, 4, Some("both")),
        ] {
            let told = outside(desired, min, max);
            match fix {
                None => assert_eq!(told, None),
                Some(words) => assert!(told.is_some_and(|told| told.contains(words)), "{desired}"),
            }
        }
    }

    #[test]
    fn the_cost_is_that_of_the_types_that_are_there() {
        let member = |kind: &str| Member {
            id: String::new(),
            zone: String::new(),
            kind: kind.to_owned(),
            lifecycle: "InService".to_owned(),
            healthy: true,
            protected: false,
        };
        let group = Group {
            min: 1,
            desired: 2,
            max: 9,
            members: vec![member("a"), member("b")],
            suspended: Vec::new(),
        };
        let price = |kind: &str, usd| Price { kind: kind.to_owned(), usd };
        assert_eq!(cost(&group, 4, &[price("a", 0.1)]), None, "one has no price");
        let told = cost(&group, 4, &[price("a", 0.1), price("b", 0.3)]).unwrap();
        assert_eq!(
            told,
            "cost per hour: 0.4000 USD for 2 instances now -> 0.8000 USD for 4 (0.2000 USD each)\n"
        );
    }
}
