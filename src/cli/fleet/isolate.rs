//! `fleet isolate` and `fleet rejoin`: an instance out of service, to be looked at, and back.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;
use jiff::Timestamp;
use tokio::time::Instant;

use super::Waiting;
use crate::aws::Activity;
use crate::cli::confirm::Change;
use crate::cli::operator::{self, Ground};
use crate::cli::out::Streams;
use crate::cli::patience::Operator;
use crate::config::flags::OperatorFlags;
use crate::operate::Trouble;
use crate::operate::fleet::Fleet;
use crate::operate::fleet::life::{Sight, Step, Way, next, recent};

/// Out of service.
#[derive(Debug, Args)]
pub(super) struct Isolate {
    /// The instance.
    instance: String,
    /// Let the group want one instance less; otherwise it starts another in its place.
    #[arg(long)]
    decrement: bool,
    /// Take it out even if no other is healthy, so that nobody answers.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    waiting: Waiting,
    #[command(flatten)]
    change: Change,
    #[command(flatten)]
    flags: OperatorFlags,
}

/// Back into service.
#[derive(Debug, Args)]
pub(super) struct Rejoin {
    /// The instance.
    instance: String,
    #[command(flatten)]
    waiting: Waiting,
    #[command(flatten)]
    change: Change,
    #[command(flatten)]
    flags: OperatorFlags,
}

pub(super) fn help(command: &str) -> String {
    operator::help(
        command,
        "  compilation-worker fleet isolate i-0123456789abcdef0\n  \
           compilation-worker fleet isolate i-0123456789abcdef0 --decrement --dry-run\n  \
           compilation-worker fleet rejoin i-0123456789abcdef0\n\n\
         Isolated means: protected from scale-in, in Standby, out of the target group, and its daemon says that it takes \
         no more jobs. Health checks do not replace an instance in Standby. All three are waited for; at the end of \
         --timeout what is missing is told. Both commands go on from what they find: run them again after an \
         interruption. What came in by HTTP before is answered. The last instance that is healthy \
         stays, unless --force takes it. Without --decrement the group starts another instance in \
         its place, and wants one more when it comes back: `fleet scale` sets the number.",
    )
}

impl Isolate {
    pub(super) fn run(self, streams: &mut Streams) -> anyhow::Result<ExitCode> {
        let way = Way::Out { decrement: self.decrement, force: self.force };
        let course = Course { way, instance: self.instance, waiting: self.waiting };
        course.run(self.flags, self.change, streams)
    }
}

impl Rejoin {
    pub(super) fn run(self, streams: &mut Streams) -> anyhow::Result<ExitCode> {
        let course = Course { way: Way::Back, instance: self.instance, waiting: self.waiting };
        course.run(self.flags, self.change, streams)
    }
}

/// One instance's way.
struct Course {
    way: Way,
    instance: String,
    waiting: Waiting,
}

impl Course {
    fn run(&self, flags: OperatorFlags, change: Change, streams: &mut Streams) -> anyhow::Result<ExitCode> {
        operator::run(flags, streams, async |ground: &Ground, streams: &mut Streams| {
            let fleet = super::open(ground)?;
            if change.dry_run {
                return self.plan(&fleet, streams).await;
            }
            let mut protected = false;
            let gone = self.go(&fleet, &mut protected, streams).await;
            if gone.is_err() && protected {
                streams.say(format_args!(
                    "{id}: scale-in leaves it alone now; where it stays in service, `fleet rejoin {id}` ends that",
                    id = self.instance
                ));
            }
            gone
        })
    }

    async fn look(&self, fleet: &Fleet) -> anyhow::Result<Sight> {
        let sight = fleet.sight(&self.instance).await?;
        let absent = || {
            let (instance, group) = (&self.instance, &fleet.names().group);
            format!(
                "there is no instance {instance} in Auto Scaling group {group}\nfix: `fleet status` lists those that are"
            )
        };
        sight.with_context(absent)
    }

    /// Says what would be done.
    async fn plan(&self, fleet: &Fleet, streams: &mut Streams) -> anyhow::Result<ExitCode> {
        let sight = self.look(fleet).await?;
        let ahead: &[&str] = match (self.way, next(self.way, &sight, recent(Timestamp::now()))) {
            (_, Step::Impossible(why)) => bail!("{}: {why}", self.instance),
            (_, Step::Done) => &["nothing is left to do"],
            (Way::Out { decrement: true, .. }, Step::Protect | Step::EnterStandby) => &[
                "would protect it from scale-in",
                "would put it into Standby, and let the group want one instance less",
                "would wait until it is out of the target group and takes no more jobs",
            ],
            (Way::Out { decrement: false, .. }, Step::Protect | Step::EnterStandby) => &[
                "would protect it from scale-in",
                "would put it into Standby; the group starts another in its place",
                "would wait until it is out of the target group and takes no more jobs",
            ],
            (Way::Out { .. }, _) => {
                &["would wait until it is out of the target group and takes no more jobs"]
            }
            (Way::Back, Step::ExitStandby) => &[
                "would put it back into service; the group wants one instance more",
                "would wait until it is healthy and takes jobs",
                "would end its protection from scale-in",
            ],
            (Way::Back, Step::Unprotect) => &["would end its protection from scale-in"],
            (Way::Back, _) => {
                &["would wait until it is healthy and takes jobs", "would end its protection from scale-in"]
            }
        };
        for step in ahead {
            streams.data(format!("{}: {step}\n", self.instance).as_bytes())?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Goes the way, from wherever the instance is. Tells whether it `protected` the instance.
    async fn go(
        &self,
        fleet: &Fleet,
        protected: &mut bool,
        streams: &mut Streams,
    ) -> anyhow::Result<ExitCode> {
        let (begun, mut operator) = (Instant::now(), Operator::listen()?);
        let mut since = recent(Timestamp::now());
        let mut told = Vec::new();
        // The first look is to succeed; afterwards a service in passing trouble is asked again.
        let mut sight = self.look(fleet).await?;
        loop {
            let missing = match next(self.way, &sight, since) {
                Step::Done => break,
                Step::Impossible(why) => bail!("{}: {why}", self.instance),
                Step::Wait(proofs) => {
                    if proofs != told {
                        streams.say(format_args!("{}: waiting: {}", self.instance, proofs.join("; ")));
                        told.clone_from(&proofs);
                    }
                    proofs
                }
                step => {
                    match self.take(&step, fleet, streams).await {
                        Ok(at) => {
                            since = at.unwrap_or(since);
                            *protected |= step == Step::Protect;
                        }
                        // Whether it was done, the next look shows.
                        Err(trouble) if trouble.fault.kind.may_pass() => {
                            since = Timestamp::now();
                            *protected |= step == Step::Protect;
                            streams.say(&trouble);
                        }
                        Err(trouble) => return Err(trouble.into()),
                    }
                    vec![format!("the last step, {}, has not been seen to work", words(&step))]
                }
            };
            if begun.elapsed() >= self.waiting.timeout {
                bail!(
                    "{}: not done after {:?}: {}\nfix: run the command again to go on, with a longer --timeout if need be",
                    self.instance,
                    self.waiting.timeout,
                    missing.join("; ")
                );
            }
            if !operator.pause(self.waiting.every).await {
                bail!(
                    "{}: interrupted; run the command again to go on: {}",
                    self.instance,
                    missing.join("; ")
                );
            }
            match fleet.sight(&self.instance).await {
                Ok(Some(seen)) => sight = seen,
                Ok(None) => bail!("{} is gone: its group has ended it", self.instance),
                Err(trouble) if trouble.fault.kind.may_pass() => streams.say(&trouble),
                Err(trouble) => return Err(trouble.into()),
            }
        }
        let end = match self.way {
            Way::Out { .. } => "isolated: in Standby, out of the target group, taking no jobs",
            Way::Back => "back: in service, healthy, taking jobs",
        };
        streams.data(format!("{}: {end}\n", self.instance).as_bytes())?;
        if self.way == Way::Back {
            let group = &sight.group;
            streams.say(format_args!(
                "the group wants {} instances (min {}, max {})",
                group.desired, group.min, group.max
            ));
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Takes a step; answers with its time, if from then on words prove something.
    async fn take(
        &self,
        step: &Step,
        fleet: &Fleet,
        streams: &mut Streams,
    ) -> Result<Option<Timestamp>, Trouble> {
        let instance = &self.instance;
        streams.say(format_args!("{instance}: {}", words(step)));
        // By the service's clock, not by the operator's.
        let begun = |activities: Vec<Activity>| {
            let begun = activities.iter().find_map(|activity| activity.begun);
            Some(begun.unwrap_or_else(Timestamp::now))
        };
        match step {
            Step::Protect => fleet.protect(instance, true).await.map(|()| None),
            Step::Unprotect => fleet.protect(instance, false).await.map(|()| None),
            Step::EnterStandby => {
                let decrement = matches!(self.way, Way::Out { decrement: true, .. });
                fleet.enter_standby(instance, decrement).await.map(begun)
            }
            Step::ExitStandby => fleet.exit_standby(instance).await.map(begun),
            Step::Wait(_) | Step::Done | Step::Impossible(_) => Ok(None),
        }
    }
}

fn words(step: &Step) -> &'static str {
    match step {
        Step::Protect => "protecting it from scale-in",
        Step::Unprotect => "ending its protection from scale-in",
        Step::EnterStandby => "putting it into Standby",
        Step::ExitStandby => "putting it back into service",
        Step::Wait(_) | Step::Done | Step::Impossible(_) => "waiting",
    }
}
