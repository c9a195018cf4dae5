//! `queue`: the job queue and its dead letters, looked at and set right.

mod show;

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{ArgGroup, Args, Subcommand};
use serde_json::json;

use crate::cli::confirm::{Change, Destruction};
use crate::cli::operator::{self, Ground, help};
use crate::cli::out::{Streams, escaped};
use crate::cli::patience::{pace, span};
use crate::cli::progress::Progress;
use crate::cli::{Misuse, print_json};
use crate::config::flags::OperatorFlags;
use crate::operate::queue::{
    Budget, Expectations, Look, Order, Queue, Role, Stats, peek, purge, redrive, stats,
};
use crate::ports::BlobPlace;

/// The receive at which a worker tries a job for the last time (decision D23).
const ATTEMPTS: u32 = 3;
/// Most messages that one look shows.
const MOST_PEEKED: usize = 100;

/// What is done with the queues.
#[derive(Debug, Subcommand)]
pub(super) enum Deed {
    /// Shows how full both queues are, how old their oldest message is, and what about them the worker does not expect.
    #[command(after_help = help("queue stats", STATS))]
    Stats(StatsArguments),
    /// Looks at messages, and gives them back.
    #[command(after_help = help("queue peek", PEEK))]
    Peek(PeekArguments),
    /// Brings dead letters back to the job queue.
    #[command(after_help = help("queue redrive", REDRIVE))]
    Redrive(RedriveArguments),
    /// Deletes every message of a queue.
    #[command(after_help = help("queue purge", PURGE))]
    Purge(PurgeArguments),
}

const STATS: &str = "  compilation-worker queue stats
  compilation-worker queue stats --fleet-name staging --aws-region eu-west-1
  compilation-worker queue stats --watch 5s
  compilation-worker queue stats --json | jq '.queues[] | select(.role == \"dead_letters\") | .visible'

Without --queues-own and --queues-dead-letters the queues are those of the fleet: NAME-queue.fifo and
NAME-queue-dlq.fifo.";

const PEEK: &str = "  compilation-worker queue peek --dead-letters
  compilation-worker queue peek --dead-letters --count 3 --full
  compilation-worker queue peek --dead-letters --full --fetch --storage-overflow-bucket BUCKET

A look is a receive: it hides the message for the moment that the look takes, and it is counted. Dead letters bear
that. A job does not: the worker takes the count for failures, and tries a job that was received three times alone and
with half its limits; and while a message is hidden, the rest of its group waits. So the job queue needs --live. Of one group, ten messages
can be seen at a time.

Of a job's headers, --full shows the values of those that say what it is (content-type, accept, user-agent and the
like); of the others, which may hold keys and addresses, the names alone. A message that is no JSON is shown as it is.";

const REDRIVE: &str = "  compilation-worker queue redrive --dry-run
  compilation-worker queue redrive --count 100
  compilation-worker queue redrive --guid 7d3c0000-0000-4000-8000-000000000000 --force

A letter is sent first and deleted after: interrupt it whenever you like, and nothing is lost; what was under way shows
up again after a minute, as it does after --dry-run was interrupted. A job is worth doing for
as long as somebody waits for it, which is a minute; older ones stay where they are, unless --force brings them back
with the time of a new job, to see whether they can be done by now. Letters that arrive meanwhile wait for next time.";

const PURGE: &str = "  compilation-worker queue purge --dead-letters --dry-run
  compilation-worker queue purge --dead-letters
  compilation-worker queue purge --jobs --yes

It asks for the queue's name first. SQS takes up to a minute, and purges a queue once a minute. Whoever waits for a job
that is purged gets no answer before its time is over.";

#[derive(Debug, Args)]
pub(super) struct StatsArguments {
    /// Look again each time this has passed, until Ctrl-C.
    #[arg(long, value_name = "DURATION", value_parser = pace)]
    watch: Option<Duration>,
    /// Print JSON; with --watch, one line for each look.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: OperatorFlags,
}

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(super) struct PeekArguments {
    /// Look at the dead letters, which is what is meant anyway.
    #[arg(long, conflicts_with = "live")]
    dead_letters: bool,
    /// Look at the job queue, though each look counts as a failed try of the job.
    #[arg(long)]
    live: bool,
    /// Most messages to look at, up to 100.
    #[arg(long, value_name = "N", default_value_t = 10)]
    count: usize,
    /// Show the whole message of each, decoded.
    #[arg(long)]
    full: bool,
    /// Fetch jobs that were too large for the queue, if they lie in the configured bucket.
    #[arg(long, requires = "full")]
    fetch: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: OperatorFlags,
}

#[derive(Debug, Args)]
pub(super) struct RedriveArguments {
    /// Most letters to bring back.
    #[arg(long, value_name = "N")]
    count: Option<usize>,
    /// Only letters that have been there for so long.
    #[arg(long, value_name = "DURATION", value_parser = span)]
    older_than: Option<Duration>,
    /// Only the letter of this job.
    #[arg(long)]
    guid: Option<String>,
    /// Bring back jobs that nobody waits for any more, too.
    #[arg(long)]
    force: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    change: Change,
    #[command(flatten)]
    flags: OperatorFlags,
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("which").required(true).args(["dead_letters", "jobs"])))]
pub(super) struct PurgeArguments {
    /// Purge the dead letters.
    #[arg(long)]
    dead_letters: bool,
    /// Purge the job queue.
    #[arg(long)]
    jobs: bool,
    #[command(flatten)]
    destruction: Destruction,
    #[command(flatten)]
    flags: OperatorFlags,
}

impl Deed {
    pub(super) fn run(self, streams: &mut Streams) -> anyhow::Result<ExitCode> {
        match self {
            Self::Stats(arguments) => arguments.run(streams),
            Self::Peek(arguments) => arguments.run(streams),
            Self::Redrive(arguments) => arguments.run(streams),
            Self::Purge(arguments) => arguments.run(streams),
        }
    }
}

impl StatsArguments {
    fn run(self, streams: &mut Streams) -> anyhow::Result<ExitCode> {
        let Self { watch, json, flags } = self;
        operator::run(flags, streams, async |ground, streams| {
            loop {
                let both = both(ground).await?;
                let page = match (json, watch) {
                    (true, None) => escaped(format!("{:#}\n", json!({ "queues": both }))),
                    (true, Some(_)) => escaped(format!("{}\n", json!({ "queues": both }))),
                    (false, _) => show::stats(&both),
                };
                let written = streams.out.write_all(page.as_bytes()).and_then(|()| streams.out.flush());
                match (written, watch) {
                    (Ok(()), Some(pause)) => tokio::time::sleep(pause).await,
                    // Whoever read has seen enough.
                    (Err(error), _) if error.kind() == io::ErrorKind::BrokenPipe => break,
                    (written, _) => {
                        written.context("could not write to standard output")?;
                        break;
                    }
                }
            }
            Ok(ExitCode::SUCCESS)
        })
    }
}

async fn both(ground: &Ground) -> anyhow::Result<[Stats; 2]> {
    let Ground { config, clients } = ground;
    let names = operator::queues(config);
    let jobs = names.find(clients, Role::Jobs).await?;
    let dead = names.find(clients, Role::DeadLetters).await?;
    let expected = Expectations {
        visibility: config.queues.visibility,
        budget: config.engine.request_budget,
        attempts: ATTEMPTS,
    };
    Ok([stats(clients, &jobs, &expected, Some(&dead)).await?, stats(clients, &dead, &expected, None).await?])
}

impl PeekArguments {
    fn run(self, streams: &mut Streams) -> anyhow::Result<ExitCode> {
        let Self { dead_letters, live, count, full, fetch, json, flags } = self;
        if !(dead_letters || live) {
            let why = "say which queue: --dead-letters, where a look is harmless, or --live for the job queue, where it \
                       counts as a failed try of each job, and holds up the jobs of its group for a moment";
            return Err(Misuse(why.to_owned()).into());
        }
        if !(1..=MOST_PEEKED).contains(&count) {
            return Err(Misuse(format!("--count is {count}, and must be from 1 to {MOST_PEEKED}")).into());
        }
        operator::run(flags, streams, async |ground, streams| {
            let role = if live { Role::Jobs } else { Role::DeadLetters };
            let queue = operator::queues(&ground.config).find(&ground.clients, role).await?;
            let storage = &ground.config.storage;
            let fetch = match (fetch, &storage.overflow_bucket) {
                (false, _) => None,
                (true, Some(bucket)) => {
                    Some(BlobPlace { bucket: bucket.clone(), prefix: storage.overflow_prefix.clone() })
                }
                (true, None) => {
                    let why = "--fetch needs to know where large jobs lie: add --storage-overflow-bucket";
                    return Err(Misuse(why.to_owned()).into());
                }
            };
            let seen = peek(&ground.clients, &queue, &Look { count, full, fetch }).await?;
            if json {
                print_json(streams, &json!({ "queue": queue.name(), "messages": seen }))?;
            } else {
                streams.data(show::messages(&seen).as_bytes())?;
                if seen.is_empty() {
                    streams.say(format_args!("there is nothing to be received from {} now", queue.name()));
                }
            }
            Ok(ExitCode::SUCCESS)
        })
    }
}

impl RedriveArguments {
    fn run(self, streams: &mut Streams) -> anyhow::Result<ExitCode> {
        let Self { count, older_than, guid, force, json, change, flags } = self;
        let order = Order { count, older_than, guid, force, dry_run: change.dry_run };
        operator::run(flags, streams, async |ground, streams| {
            let names = operator::queues(&ground.config);
            let from = names.find(&ground.clients, Role::DeadLetters).await?;
            let to = names.find(&ground.clients, Role::Jobs).await?;
            if from.address == to.address {
                let why = format!("{} cannot be both queues: check --queues-dead-letters", from.name());
                return Err(Misuse(why).into());
            }
            streams.say(format_args!("from {} to {}", from.name(), to.name()));
            let budget = Budget(ground.config.engine.request_budget);
            let mut progress = Progress::new(if order.dry_run { "would move" } else { "moved" }, order.count);
            let outcome = redrive(&ground.clients, &from, &to, &order, budget, |moved| {
                progress.tell(streams, moved);
            });
            let (outcome, done) = outcome.await;
            let done = match done {
                Err(trouble) if outcome.moved.is_empty() => return Err(trouble.into()),
                done => done,
            };
            if json {
                print_json(streams, &json!({ "dry_run": order.dry_run, "outcome": outcome }))?;
            } else {
                streams.data(show::outcome(&outcome, &order).as_bytes())?;
            }
            done?;
            let missed = order.guid.is_some() && outcome.moved.is_empty();
            let failed = missed || !outcome.undeleted.is_empty();
            Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
        })
    }
}

impl PurgeArguments {
    fn run(self, streams: &mut Streams) -> anyhow::Result<ExitCode> {
        let Self { dead_letters, jobs: _, destruction, flags } = self;
        operator::run(flags, streams, async |ground, streams| {
            let role = if dead_letters { Role::DeadLetters } else { Role::Jobs };
            let queue = operator::queues(&ground.config).find(&ground.clients, role).await?;
            let depth = depth(ground, &queue).await?;
            let lost = format!("All messages of {} will be lost: {depth}.", queue.name());
            if destruction.dry_run {
                streams.data(format!("would purge {}: {depth}\n", queue.name()).as_bytes())?;
                return Ok(ExitCode::SUCCESS);
            }
            destruction.confirm(streams, &lost, queue.name())?;
            purge(&ground.clients, &queue).await?;
            streams.data(format!("purged {}; SQS may take a minute for it\n", queue.name()).as_bytes())?;
            Ok(ExitCode::SUCCESS)
        })
    }
}

/// How many messages there are, in words.
async fn depth(ground: &Ground, queue: &Queue) -> anyhow::Result<String> {
    let depth = crate::operate::queue::depth(&ground.clients, queue).await?;
    Ok(format!("{} visible, {} in flight, {} delayed", depth[0], depth[1], depth[2]))
}
