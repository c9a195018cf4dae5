//! The commands: thin, over the library. Data goes to standard output, everything else to standard error.
//!
//! Exit codes: 0 done, 1 failed, 64 bad command line, 78 bad configuration; 75 from `serve` when work had to be killed, and from
//! `migrate weights` when a watch could say nothing of the fleet.

pub mod confirm;
mod cost;
pub mod doctor;
mod filters;
mod fleet;
mod migrate;
pub mod operator;
pub mod out;
mod patience;
pub mod progress;
mod queue;
pub mod route;
mod routes;
pub mod table;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{ArgAction, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use serde_json::json;
use tokio::time::Instant;

use crate::cli::doctor::{Finding, Verdict};
use crate::cli::out::{Streams, escaped};
use crate::cli::route::Explanation;
use crate::config::flags::{Flags, HubFlags};
use crate::config::keys::Config;
use crate::config::layers::{Mistake, Setting};
use crate::config::{self, ConfigErrors, EXIT_USAGE, Inputs, Loaded};
use crate::domain::filters::Filters;
use crate::domain::listing::Listing;
use crate::telemetry::log;

/// What the commands do, given by whoever puts the program together.
#[derive(Debug, Clone, Copy)]
pub struct Roles {
    /// Runs the daemon to its end.
    pub serve: fn(Loaded, Announce) -> anyhow::Result<ExitCode>,
    /// Runs an events hub to its end.
    pub hub: fn(Loaded, Announce) -> anyhow::Result<ExitCode>,
    /// Compiles one file through the daemon's own engine.
    pub compile: fn(Loaded, OneShot) -> anyhow::Result<Compiled>,
    /// Where a request for a compiler goes.
    pub route: fn(&Loaded, &str) -> anyhow::Result<Explanation>,
    /// The names of the compilers that this machine has.
    pub installed: fn(&Config) -> anyhow::Result<BTreeSet<String>>,
    /// What the kernel, the sandbox and the catalogue look like.
    pub examine: fn(&Loaded) -> Vec<Finding>,
    /// The text engine.
    pub filter: fn(&str, Filters) -> Listing,
    /// A listing and the time it took, as the JSON members that a result has for them.
    pub render: fn(&Listing, Duration) -> Vec<u8>,
}

/// A command line that makes no sense, as only the command itself could tell.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Misuse(pub String);

/// Whether `serve` and `hub` tell their addresses on standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Announce {
    /// One JSON line, `{"http":"ip:port","admin":"ip:port"}` or `{"ws":"ws://ip:port"}`, once ready.
    Addresses,
    /// Nothing.
    Nothing,
}

/// One file to compile from the shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneShot {
    /// The file's name, for its language and for messages.
    pub file: PathBuf,
    /// Its text.
    pub source: String,
    /// Which compiler; the first that fits, if not named.
    pub compiler: Option<String>,
    /// What of the listing to show.
    pub filters: Filters,
    /// Arguments for the compiler.
    pub arguments: Vec<String>,
    /// The result as the API's JSON, instead of the listing.
    pub json: bool,
}

/// What became of a [`OneShot`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compiled {
    /// For standard output: the listing, or the JSON.
    pub data: Vec<u8>,
    /// For standard error: what the compiler said.
    pub said: String,
    /// Whether the compiler succeeded.
    pub success: bool,
}

/// Answers Compiler Explorer's compile API with real compilers in a real jail.
#[derive(Debug, Parser)]
#[command(name = "compilation-worker", version, disable_help_subcommand = true, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the daemon until SIGTERM or SIGINT; a second one ends it at once.
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(Serve),
    /// Relays results between workers and routers, for places without API Gateway, until SIGTERM or SIGINT.
    #[command(after_help = HUB_EXAMPLES)]
    Hub(Hub),
    /// Prints the effective configuration, with the origin of every value.
    Check(Check),
    /// Says what this kernel and machine support, and how to get the rest.
    #[command(after_help = DOCTOR_EXAMPLES)]
    Doctor(Doctor),
    /// Compiles one file and prints its listing.
    #[command(after_help = COMPILE_EXAMPLES)]
    Compile(Compile),
    /// Explains where requests for a compiler go: compiled here, put on a queue, or forwarded.
    #[command(after_help = ROUTE_EXAMPLES)]
    Route(Route),
    /// Applies the listing filters to assembly from a file or standard input.
    #[command(after_help = ASM_EXAMPLES)]
    Asm(Asm),
    /// Shows the job queue and its dead letters, brings dead letters back, empties either.
    #[command(subcommand)]
    Queue(queue::Deed),
    /// Lists the routing table, changes it row by row or from a file, and looks for mistakes in it.
    #[command(subcommand)]
    Routes(routes::Deed),
    /// Looks at the fleet's machines and changes them.
    Fleet(fleet::Fleet),
    /// Moves traffic to the fleet, and back.
    Migrate(migrate::Migrate),
    /// Computes what the fleet costs, and what Lambda would have cost for the same requests.
    #[command(after_help = cost::help())]
    Cost(cost::Cost),
    /// Prints the version.
    Version(Version),
}

#[derive(Debug, Args)]
struct Serve {
    /// When ready, print the addresses on standard output as one line of JSON.
    #[arg(long)]
    announce: bool,
    #[command(flatten)]
    flags: Flags,
}

#[derive(Debug, Args)]
struct Hub {
    /// When ready, print the address on standard output as one line of JSON.
    #[arg(long)]
    announce: bool,
    #[command(flatten)]
    flags: HubFlags,
}

#[derive(Debug, Args)]
struct Check {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Print the reference of every setting, in Markdown, instead.
    #[arg(long, conflicts_with = "json")]
    reference: bool,
    #[command(flatten)]
    flags: Flags,
}

#[derive(Debug, Args)]
struct Doctor {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: Flags,
}

#[derive(Debug, Args)]
struct Compile {
    /// The file to compile; - is standard input.
    file: PathBuf,
    /// Compiler to use, by its id in the catalogue.
    #[arg(long, value_name = "ID")]
    compiler: Option<String>,
    /// Filters to apply, separated by commas; those of the site, if not given.
    #[arg(long, value_name = "NAMES", value_parser = filters::parse)]
    filters: Option<Filters>,
    /// Print the whole result as the API's JSON.
    #[arg(long)]
    json: bool,
    /// Arguments for the compiler.
    #[arg(last = true, value_name = "ARGS")]
    arguments: Vec<String>,
    #[command(flatten)]
    flags: Flags,
}

#[derive(Debug, Args)]
struct Route {
    /// The compiler, by its id in requests.
    compiler: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: Flags,
}

#[derive(Debug, Args)]
struct Asm {
    /// Filters to apply, separated by commas; those of the site, if not given.
    #[arg(long, value_name = "NAMES", value_parser = filters::parse)]
    filters: Option<Filters>,
    /// Print the members asm, labelDefinitions, filteredCount and parsingTime of a result.
    #[arg(long)]
    json: bool,
    /// The listing; standard input, if not given or -.
    file: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Version {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Start here:
  compilation-worker doctor     what works on this machine, and how to mend the rest
  compilation-worker serve      then: curl --data-binary @hello.cpp 127.0.0.1:10240/api/compiler/ID/compile
  compilation-worker compile hello.cpp -- -O2

Add --help to a command for all its settings.";

const SERVE_EXAMPLES: &str = "\
Examples:
  compilation-worker serve
  compilation-worker serve --listen 0.0.0.0:10240 --catalogue /etc/compilers
  compilation-worker serve --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0 --announce

Every setting can also stand in a file (--config) and in the environment; --help lists all three names.";

const HUB_EXAMPLES: &str = "\
Examples:
  compilation-worker hub
  compilation-worker hub --listen 10.0.0.5:10242 --message 1MiB --frame 1MiB
  compilation-worker hub --listen 127.0.0.1:0 --announce     prints {\"ws\":\"ws://127.0.0.1:40213\"}

It speaks the protocol of Compiler Explorer's events API: texts 'subscribe: GUID', 'unsubscribe: GUID', 'ack: GUID'
and 'ping', and JSON objects with a guid, which go to all who subscribed to it. Nobody is asked who they are: listen
only where workers and routers can reach it. GET /healthcheck on the same port answers with its figures.";

const DOCTOR_EXAMPLES: &str = "\
Examples:
  compilation-worker doctor
  compilation-worker doctor --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0     while a daemon holds the ports

It looks at the control group that it runs in itself, which is not the one of a unit. While the unit runs, this looks at
the unit's, as the unit's user and with the settings that all machines share:
  sudo -u compilation-worker compilation-worker doctor --config /etc/compilation-worker/config.toml \\
    --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0 \\
    --sandbox-cgroup-parent /sys/fs/cgroup/system.slice/compilation-worker.service";

const COMPILE_EXAMPLES: &str = "\
Examples:
  compilation-worker compile hello.cpp -- -O2 -std=c++20
  compilation-worker compile --compiler g132 --filters labels,directives hello.cpp
  echo 'int f() { return 1; }' | compilation-worker compile - | head";

const ROUTE_EXAMPLES: &str = "\
Examples:
  compilation-worker route g132 --config /etc/compilation-worker.toml
  compilation-worker route --json nvcc130 | jq -r .url";

const ASM_EXAMPLES: &str = "\
Examples:
  g++ -S -g -o - hello.cpp | compilation-worker asm
  compilation-worker asm --filters labels,directives,commentOnly --json hello.s";

/// Runs one command line, its first word being the program's name.
pub fn run(arguments: impl IntoIterator<Item = OsString>, roles: &Roles, streams: &mut Streams) -> ExitCode {
    let cli = match commands()
        .try_get_matches_from(arguments)
        .and_then(|matches| Cli::from_arg_matches(&matches))
    {
        Ok(cli) => cli,
        Err(error) => return explain(&error, streams),
    };
    let done = match cli.command {
        Command::Serve(command) => Ok(command.run(roles, streams)),
        Command::Hub(command) => Ok(command.run(roles, streams)),
        Command::Check(command) => command.run(streams),
        Command::Doctor(command) => command.run(roles, streams),
        Command::Compile(command) => command.run(roles, streams),
        Command::Route(command) => command.run(roles, streams),
        Command::Asm(command) => command.run(roles, streams),
        Command::Queue(deed) => deed.run(streams),
        Command::Routes(deed) => deed.run(roles, streams),
        Command::Fleet(command) => command.run(streams),
        Command::Migrate(command) => command.run(streams),
        Command::Cost(command) => command.run(streams),
        Command::Version(command) => command.run(streams),
    };
    done.unwrap_or_else(|error| fail(&error, |line| streams.say(line)))
}

/// Says what went wrong, a line for each thing; the exit code for it.
fn fail(error: &anyhow::Error, mut say: impl FnMut(String)) -> ExitCode {
    if let Some(errors) = error.downcast_ref::<ConfigErrors>() {
        errors.mistakes.iter().for_each(|mistake| say(format!("configuration: {mistake}")));
        return ExitCode::from(errors.exit_code());
    }
    say(format!("error: {error:#}"));
    if error.is::<Misuse>() { ExitCode::from(EXIT_USAGE) } else { ExitCode::FAILURE }
}

/// Runs what has a log, to its end. Why it does not start, or ends badly, is told as the log is: whoever collects that
/// hears of it too.
fn live(
    role: fn(Loaded, Announce) -> anyhow::Result<ExitCode>,
    flags: Flags,
    announce: bool,
    streams: &mut Streams,
) -> ExitCode {
    let announce = if announce { Announce::Addresses } else { Announce::Nothing };
    let (format, ended) = match config::load(Inputs::gather(flags)) {
        Ok(loaded) => (loaded.config.log.format, role(loaded, announce)),
        Err(errors) => (errors.format, Err(errors.into())),
    };
    let as_json = format.is_json(streams.at_terminal);
    ended.unwrap_or_else(|error| {
        fail(&error, |line| streams.say(if as_json { log::last_line(&line) } else { line }))
    })
}

/// The whole command line. Settings that are lists take every word that follows, but not where a word of the command's
/// own may follow.
fn commands() -> clap::Command {
    let one_word = |argument: clap::Arg| match argument.get_action() {
        ArgAction::Append if !argument.is_positional() => argument.num_args(1),
        _ => argument,
    };
    let one_word_each = |command: clap::Command| command.mut_args(one_word);
    let operator = |command: clap::Command| command.mut_subcommands(one_word_each);
    Cli::command()
        .mut_subcommand("compile", one_word_each)
        .mut_subcommand("route", one_word_each)
        .mut_subcommand("queue", operator)
        .mut_subcommand("routes", operator)
}

/// Help that was asked for is data; anything else is a bad command line.
fn explain(error: &clap::Error, streams: &mut Streams) -> ExitCode {
    let text = error.render();
    if error.use_stderr() {
        streams.say(text.to_string().trim_end());
        return ExitCode::from(EXIT_USAGE);
    }
    match streams.data(text.to_string().as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

impl Serve {
    fn run(self, roles: &Roles, streams: &mut Streams) -> ExitCode {
        live(roles.serve, self.flags, self.announce, streams)
    }
}

impl Hub {
    fn run(self, roles: &Roles, streams: &mut Streams) -> ExitCode {
        live(roles.hub, self.flags.0, self.announce, streams)
    }
}

impl Check {
    fn run(self, streams: &mut Streams) -> anyhow::Result<ExitCode> {
        if self.reference {
            streams.data(config::reference().as_bytes())?;
            return Ok(ExitCode::SUCCESS);
        }
        let loaded = config::load(Inputs::gather(self.flags));
        if self.json {
            print_json(streams, &describe(&loaded))?;
            return Ok(loaded.map_or_else(|errors| ExitCode::from(errors.exit_code()), |_| ExitCode::SUCCESS));
        }
        let loaded = loaded?;
        streams.data(config::show(&loaded.settings).as_bytes())?;
        warn(&loaded, streams);
        Ok(ExitCode::SUCCESS)
    }
}

impl Doctor {
    fn run(self, roles: &Roles, streams: &mut Streams) -> anyhow::Result<ExitCode> {
        let inputs = Inputs::gather(self.flags);
        let machine = inputs.machine;
        let loaded = config::load(inputs)?;
        let mut findings = doctor::examine(&loaded, &machine);
        findings.extend((roles.examine)(&loaded));
        if self.json {
            print_json(streams, &json!({ "findings": findings }))?;
        } else {
            let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
            streams.data(format!("{}\n", lines.join("\n")).as_bytes())?;
        }
        let failed = findings.iter().any(|finding| finding.verdict == Verdict::Fail);
        Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}

impl Compile {
    fn run(self, roles: &Roles, streams: &mut Streams) -> anyhow::Result<ExitCode> {
        let loaded = config::load(Inputs::gather(self.flags))?;
        warn(&loaded, streams);
        let source = read_text(&self.file, streams)?;
        let job = OneShot {
            file: self.file,
            source,
            compiler: self.compiler,
            filters: self.filters.unwrap_or_default(),
            arguments: self.arguments,
            json: self.json,
        };
        let compiled = (roles.compile)(loaded, job)?;
        if !compiled.said.is_empty() {
            streams.say(compiled.said.trim_end());
        }
        streams.data(&compiled.data)?;
        Ok(if compiled.success { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

impl Route {
    fn run(self, roles: &Roles, streams: &mut Streams) -> anyhow::Result<ExitCode> {
        let loaded = config::load(Inputs::gather(self.flags))?;
        warn(&loaded, streams);
        let explanation = (roles.route)(&loaded, &self.compiler)?;
        if self.json {
            print_json(streams, &json!(explanation))?;
        } else {
            streams.data(explanation.to_string().as_bytes())?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Asm {
    fn run(self, roles: &Roles, streams: &mut Streams) -> anyhow::Result<ExitCode> {
        let text = read_text(self.file.as_deref().unwrap_or(Path::new("-")), streams)?;
        let begun = Instant::now();
        let listing = (roles.filter)(&text, self.filters.unwrap_or_default());
        let data = if self.json {
            let mut object = (roles.render)(&listing, begun.elapsed());
            object.push(b'\n');
            object
        } else {
            listing.lines().flat_map(|line| [line.text, "\n"]).collect::<String>().into_bytes()
        };
        streams.data(&data)?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Version {
    fn run(self, streams: &mut Streams) -> anyhow::Result<ExitCode> {
        let version = env!("CARGO_PKG_VERSION");
        if self.json {
            print_json(streams, &json!({ "name": env!("CARGO_PKG_NAME"), "version": version }))?;
        } else {
            streams.data(format!("{} {version}\n", env!("CARGO_PKG_NAME")).as_bytes())?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn warn(loaded: &Loaded, streams: &mut Streams) {
    loaded.warnings.iter().for_each(|warning| streams.say(format_args!("warning: {warning}")));
}

fn print_json(streams: &mut Streams, value: &serde_json::Value) -> anyhow::Result<()> {
    streams.data(escaped(format!("{value:#}\n")).as_bytes()).context("could not write to standard output")
}

/// A whole text; bytes that are not UTF-8 are shown as such rather than refused, as the API does.
fn read_text(file: &Path, streams: &mut Streams) -> anyhow::Result<String> {
    let bytes = if file == Path::new("-") {
        let mut bytes = Vec::new();
        streams.input.read_to_end(&mut bytes).context("could not read standard input")?;
        bytes
    } else {
        fs::read(file).with_context(|| format!("could not read {}", file.display()))?
    };
    Ok(String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

fn describe(loaded: &Result<Loaded, ConfigErrors>) -> serde_json::Value {
    let setting = |Setting { key, value, origin }: &Setting| json!({ "key": key.path(), "value": value, "origin": origin.to_string() });
    let mistake = |Mistake { key, value, origin, wrong, fix }: &Mistake| json!({ "key": key, "value": value, "origin": origin.to_string(), "wrong": wrong, "fix": fix });
    match loaded {
        Ok(loaded) => json!({
            "settings": loaded.settings.iter().map(setting).collect::<Vec<_>>(),
            "warnings": loaded.warnings,
            "mistakes": [],
        }),
        Err(errors) => json!({
            "settings": [],
            "warnings": [],
            "mistakes": errors.mistakes.iter().map(mistake).collect::<Vec<_>>(),
        }),
    }
}

#[cfg(test)]
mod tests;
