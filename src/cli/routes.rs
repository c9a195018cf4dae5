//! `routes`: the routing table, listed, changed and looked through.

mod show;

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::{Context as _, bail};
use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use serde_json::json;

use crate::aws::RouteTable;
use crate::cli::confirm::{Change, Destruction};
use crate::cli::operator::{self, Ground, help};
use crate::cli::out::Streams;
use crate::cli::progress::Progress;
use crate::cli::{Misuse, Roles, print_json};
use crate::config::flags::OperatorFlags;
use crate::operate::routes::{
    self, Applied, Entry, Finding, Grounds, Installed, Row, Target, apply, check, key, plan, read_csv,
    read_json, validate,
};
use crate::ports::QueueAddress;

/// The table's name if none is configured (contract-cloud 2.1).
const TABLE: &str = "CompilerRouting";
/// Most bytes of a file that is imported.
const LARGEST_FILE: u64 = 64 * 1024 * 1024;

/// Rows that are named of those that somebody else changed.
const MOST_NAMED: usize = 20;

/// What is done with the table.
#[derive(Debug, Subcommand)]
pub(super) enum Deed {
    /// Lists rows.
    #[command(after_help = help("routes list", LIST))]
    List(ListArguments),
    /// Sets or deletes the row of one compiler, unless somebody else changes it meanwhile.
    #[command(after_help = help("routes set", SET))]
    Set(SetArguments),
    /// Brings the table to say what a file says.
    #[command(after_help = help("routes import", IMPORT))]
    Import(ImportArguments),
    /// Looks through the whole table for what would lead requests astray.
    #[command(after_help = help("routes validate", VALIDATE))]
    Validate(ValidateArguments),
}

const LIST: &str = "  compilation-worker routes list
  compilation-worker routes list --environment prod --filter 'g13*'
  compilation-worker routes list --json > routes.json     what `routes import` reads again

In a filter, * stands for any text and ? for one letter. The table is --routing-table, or CompilerRouting.";

const SET: &str = "  compilation-worker routes set g132 --environment prod --queue prod-compilation-queue
  compilation-worker routes set nvcc130 --environment prod --url https://gpu.example/api/compiler/nvcc130/compile
  compilation-worker routes set g132 --environment prod --delete --dry-run

A queue is named without color and suffix. Without an environment (--environment, or http.environment of the
configuration) the row is that of every environment that has none of its own. Routers believe a row for five minutes:
POST /admin/clear-cache makes them look at once.";

const IMPORT: &str = "  compilation-worker routes import routes.csv --environment prod --dry-run
  compilation-worker routes list --json | jq '...' | compilation-worker routes import -
  compilation-worker routes import routes.json --prune

routes.csv:
  compiler,queue,url
  g132,prod-compilation-queue,
  nvcc130,,https://gpu.example/api/compiler/nvcc130/compile

routes.json:
  [{\"compiler\": \"g132\", \"environment\": \"prod\", \"queue\": \"prod-compilation-queue\"}]

The whole file is read first: one mistake anywhere, and nothing is written. What is not in the file stays, unless --prune
deletes it, which it does only in environments that the file names. A row that somebody else changed after it was read
stays as they left it, and is named (exit code 1). An import that failed on its way is done again.";

const VALIDATE: &str = "  compilation-worker routes validate
  compilation-worker routes validate --installed --environment prod     on a worker
  compilation-worker routes validate --json | jq '.findings[] | select(.wrong)'

It finds rows that routers cannot read or misread, queues that do not exist (in both colors, with --queues-colours), what
is no URL, rows of one compiler of which one goes first, and with --installed compilers of this machine without a row, and
the reverse. What is wrong is marked so, and makes the exit code 1, as does a queue that may not be asked for; the rest is
worth knowing.";

#[derive(Debug, Args)]
pub(super) struct ListArguments {
    /// Only rows of this environment.
    #[arg(long, value_name = "NAME")]
    environment: Option<String>,
    /// Only compilers whose names look like this.
    #[arg(long, value_name = "GLOB")]
    filter: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: OperatorFlags,
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("target").required(true).args(["queue", "url", "delete"])))]
pub(super) struct SetArguments {
    /// The compiler, by its id in requests.
    compiler: String,
    /// Lead to this queue, named without color and suffix.
    #[arg(long, value_name = "NAME")]
    queue: Option<String>,
    /// Lead to this URL.
    #[arg(long)]
    url: Option<String>,
    /// Delete the row.
    #[arg(long)]
    delete: bool,
    /// The environment whose row it is.
    #[arg(long, value_name = "NAME")]
    environment: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    change: Change,
    #[command(flatten)]
    flags: OperatorFlags,
}

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A line of heads, then one route a line.
    Csv,
    /// An array of objects.
    Json,
}

#[derive(Debug, Args)]
pub(super) struct ImportArguments {
    /// The file; - is standard input.
    file: PathBuf,
    /// How it is written; if not given, its name tells, or its first letter.
    #[arg(long)]
    format: Option<Format>,
    /// The environment of routes that name none.
    #[arg(long, value_name = "NAME")]
    environment: Option<String>,
    /// Delete rows that the file does not have, in the environments that it names.
    #[arg(long)]
    prune: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    destruction: Destruction,
    #[command(flatten)]
    flags: OperatorFlags,
}

#[derive(Debug, Args)]
pub(super) struct ValidateArguments {
    /// Compare with the compilers of this machine, too.
    #[arg(long)]
    installed: bool,
    /// The environment of this machine.
    #[arg(long, value_name = "NAME", requires = "installed")]
    environment: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: OperatorFlags,
}

impl Deed {
    pub(super) fn run(self, roles: &Roles, streams: &mut Streams) -> anyhow::Result<ExitCode> {
        match self {
            Self::List(arguments) => arguments.run(streams),
            Self::Set(arguments) => arguments.run(streams),
            Self::Import(arguments) => arguments.run(streams),
            Self::Validate(arguments) => arguments.run(roles, streams),
        }
    }
}

fn table(ground: &Ground) -> RouteTable {
    let name = ground.config.routing.table.clone().unwrap_or_else(|| TABLE.to_owned());
    RouteTable::new(&ground.clients, name)
}

/// The environment that was named here, or that of the configuration. An empty name is none.
fn environment(ground: &Ground, named: Option<String>) -> Option<String> {
    named.or_else(|| ground.config.http.environment.clone()).filter(|name| !name.is_empty())
}

impl ListArguments {
    fn run(self, streams: &mut Streams) -> anyhow::Result<ExitCode> {
        let Self { environment, filter, json, flags } = self;
        operator::run(flags, streams, async |ground, streams| {
            let table = table(ground);
            let mut progress = Progress::new("rows read:", None);
            let rows =
                routes::rows(&table, ground.clients.region(), |rows| progress.tell(streams, rows)).await?;
            let mut rows: Vec<Row> = rows.iter().map(Row::read).collect();
            rows.retain(|row| {
                environment.as_ref().is_none_or(|name| row.environment.as_ref() == Some(name))
                    && filter.as_ref().is_none_or(|glob| is_like(glob, &row.compiler))
            });
            if json {
                print_json(streams, &json!({ "table": table.name(), "rows": rows }))?;
            } else {
                streams.data(show::rows(&rows).as_bytes())?;
                if rows.is_empty() {
                    streams.say(format_args!("table {} has no such row", table.name()));
                }
            }
            Ok(ExitCode::SUCCESS)
        })
    }
}

impl SetArguments {
    fn run(self, streams: &mut Streams) -> anyhow::Result<ExitCode> {
        let Self { compiler, queue, url, delete, environment: named, json, change, flags } = self;
        operator::run(flags, streams, async |ground, streams| {
            let environment = environment(ground, named);
            let target = queue.map(|name| Target::Queue(Some(name))).or(url.map(Target::Url));
            check(&compiler, environment.as_deref(), target.as_ref()).map_err(Misuse)?;
            let table = table(ground);
            let key = key(environment.as_deref(), &compiler);
            debug_assert!(delete == target.is_none(), "one of the three is given");
            let dry_run = change.dry_run;
            let changed =
                routes::set(&table, ground.clients.region(), &key, target.as_ref(), dry_run).await?;
            if json {
                print_json(streams, &json!({ "dry_run": dry_run, "changed": changed }))?;
            } else {
                streams.data(show::changed(&changed, dry_run).as_bytes())?;
            }
            if changed.overtaken {
                bail!(
                    "somebody changed {key} meanwhile, and nothing was written\nfix: look again, then decide"
                );
            }
            Ok(ExitCode::SUCCESS)
        })
    }
}

impl ImportArguments {
    fn run(self, streams: &mut Streams) -> anyhow::Result<ExitCode> {
        let Self { file, format, environment: named, prune, json, destruction, flags } = self;
        operator::run(flags, streams, async |ground, streams| {
            let environment = environment(ground, named);
            let entries = read(&file, format, environment.as_deref(), streams)?;
            let (table, region) = (table(ground), ground.clients.region());
            let mut progress = Progress::new("rows read:", None);
            let rows = routes::rows(&table, region, |rows| progress.tell(streams, rows)).await?;
            let plan = plan(&rows, &entries, prune, SystemTime::now());
            let dry_run = destruction.dry_run;
            if !json {
                streams.data(show::plan(&plan, dry_run).as_bytes())?;
            }
            let applied = if dry_run || plan.steps.is_empty() {
                Applied::default()
            } else {
                let deleted = plan.count("delete");
                if deleted > 0 {
                    let lost = format!("{deleted} rows of table {} will be lost.", table.name());
                    destruction.confirm(streams, &lost, table.name())?;
                }
                let mut progress = Progress::new("rows written:", Some(plan.steps.len()));
                let applied = apply(&table, region, &plan, |done| progress.tell(streams, done)).await?;
                streams.say(format_args!("{} rows are written to {}", applied.done, table.name()));
                applied
            };
            if json {
                let page = json!({
                    "dry_run": dry_run, "same": plan.same, "steps": plan.steps,
                    "written": applied.done, "overtaken": applied.overtaken,
                });
                print_json(streams, &page)?;
            }
            let overtaken = &applied.overtaken;
            if !overtaken.is_empty() {
                let named: Vec<&str> = overtaken.iter().take(MOST_NAMED).map(String::as_str).collect();
                let more = overtaken.len().saturating_sub(MOST_NAMED);
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                bail!(
                    "somebody changed {} of the rows meanwhile, and they are as they left them: {}{more}\n\
                     fix: look at them with `routes list`; the same import writes over them",
                    overtaken.len(),
                    named.join(", ")
                );
            }
            Ok(ExitCode::SUCCESS)
        })
    }
}

fn read(
    file: &Path,
    format: Option<Format>,
    environment: Option<&str>,
    streams: &mut Streams,
) -> anyhow::Result<Vec<Entry>> {
    let mut bytes = Vec::new();
    let named = if file == Path::new("-") {
        (&mut streams.input)
            .take(LARGEST_FILE + 1)
            .read_to_end(&mut bytes)
            .context("could not read standard input")?;
        None
    } else {
        let unreadable = || format!("could not read {}", file.display());
        let opened = std::fs::File::open(file).with_context(unreadable)?;
        opened.take(LARGEST_FILE + 1).read_to_end(&mut bytes).with_context(unreadable)?;
        file.extension().and_then(|end| Format::from_str(&end.to_string_lossy(), true).ok())
    };
    if bytes.len() as u64 > LARGEST_FILE {
        bail!("the file has more than {LARGEST_FILE} bytes, which no table needs");
    }
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    let looks = if matches!(first, Some(b'[' | b'{')) { Format::Json } else { Format::Csv };
    Ok(match format.or(named).unwrap_or(looks) {
        Format::Csv => read_csv(&bytes, environment)?,
        Format::Json => read_json(&bytes, environment)?,
    })
}

impl ValidateArguments {
    fn run(self, roles: &Roles, streams: &mut Streams) -> anyhow::Result<ExitCode> {
        let Self { installed, environment: named, json, flags } = self;
        operator::run(flags, streams, async |ground, streams| {
            let Ground { config, clients } = ground;
            let here = || -> anyhow::Result<Installed> {
                let compilers = (roles.installed)(config)?;
                Ok(Installed { environment: environment(ground, named), compilers })
            };
            let installed = installed.then(here).transpose()?;
            let queues = &config.queues;
            let made = || QueueAddress::new(&format!("{}-queue.fifo", config.fleet.name));
            let grounds = Grounds {
                neighbor: queues.default.clone().or_else(|| queues.own.clone()).unwrap_or_else(made),
                has_default: queues.default.is_some(),
                own: queues.own.clone(),
                colors: queues.colours,
                installed,
            };
            let table = table(ground);
            let mut progress = Progress::new("rows read:", None);
            let rows = routes::rows(&table, clients.region(), |rows| progress.tell(streams, rows)).await?;
            let mut progress = Progress::new("queues asked for:", None);
            let findings = validate(clients, &rows, &grounds, |asked| progress.tell(streams, asked)).await?;
            let count = |of: fn(&&Finding) -> bool| findings.iter().filter(of).count();
            let (wrong, unseen) = (count(|finding| finding.wrong), count(|finding| finding.unseen));
            if json {
                let page = json!({ "table": table.name(), "rows": rows.len(), "findings": findings });
                print_json(streams, &page)?;
            } else {
                streams.data(show::findings(&findings).as_bytes())?;
                let odd = findings.len() - wrong - unseen;
                let end = if unseen > 0 {
                    format!(", {unseen} queues could not be looked for")
                } else {
                    String::new()
                };
                let rows = rows.len();
                streams.say(format_args!("{rows} rows: {wrong} things are wrong, {odd} worth knowing{end}"));
            }
            Ok(if wrong + unseen > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
        })
    }
}

/// Whether a name looks like a pattern in which `*` stands for any text and `?` for one letter.
fn is_like(glob: &str, name: &str) -> bool {
    let (glob, name): (Vec<char>, Vec<char>) = (glob.chars().collect(), name.chars().collect());
    let (mut at, mut in_name) = (0, 0);
    // Where the last star stands, and what of the name it has taken.
    let mut star = None;
    while in_name < name.len() {
        match glob.get(at) {
            Some('*') => {
                star = Some((at, in_name));
                at += 1;
            }
            Some(letter) if *letter == '?' || *letter == name[in_name] => {
                at += 1;
                in_name += 1;
            }
            _ => match star {
                Some((stood, taken)) => {
                    star = Some((stood, taken + 1));
                    (at, in_name) = (stood + 1, taken + 1);
                }
                None => return false,
            },
        }
    }
    glob[at..].iter().all(|letter| *letter == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_take_any_text() {
        for (glob, name, expected) in [
            ("*", "", true),
            ("g13*", "g132", true),
            ("g13*", "g13", true),
            ("g13*", "clang", false),
            ("*132", "g132", true),
            ("*a*b*c", "xaybzc", true),
            ("*a*b*c", "xaybz", false),
            ("g?32", "g132", true),
            ("g?32", "g32", false),
            ("", "", true),
            ("", "g", false),
            ("*é?", "aéü", true),
        ] {
            assert_eq!(is_like(glob, name), expected, "{glob} {name}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_pattern_is_too_odd(glob in "[*?a-c\u{e9}\u{1f600}]{0,20}", name in "[a-c\u{e9}\u{1f600}]{0,20}") {
            let _any = is_like(&glob, &name);
            assert!(is_like(&name, &name) && is_like(&format!("*{name}*"), &format!("{glob}{name}")));
        }
    }
}
