//! The command line's part of the configuration, made from the table of keys.

use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches};

use crate::config::keys::{KEYS, Key};
use crate::config::value::{Raw, Shape};

/// The sections of which the hub has flags.
const HUB_SECTIONS: [&str; 2] = ["hub", "log"];

/// The sections of which the operator's commands have flags, and single keys beside them.
const OPERATOR_SECTIONS: [&str; 6] = ["aws", "catalogue", "fleet", "queues", "routing", "storage"];
const OPERATOR_KEYS: [&str; 2] = ["engine.request_budget", "http.environment"];

/// What the command line gave.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// The configuration file, if named.
    pub file: Option<PathBuf>,
    /// Values by key, not yet checked: that happens for all layers together.
    pub given: Vec<(&'static Key, Raw)>,
}

/// What the command line of the hub gave, which has only flags that concern it.
#[derive(Debug, Clone, Default)]
pub struct HubFlags(pub Flags);

/// What the command line of an operator's command gave, which has only flags that concern those.
#[derive(Debug, Clone, Default)]
pub struct OperatorFlags(pub Flags);

impl Args for Flags {
    fn augment_args(command: Command) -> Command {
        KEYS.iter().fold(command.arg(file()), |command, key| command.arg(argument(key)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let mut flags = Self::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        self.gather(KEYS.iter(), matches)
    }
}

impl Args for HubFlags {
    fn augment_args(command: Command) -> Command {
        hub_keys().fold(command.arg(file()), |command, key| {
            let argument = argument(key).hide_short_help(false);
            // On its own command line the section goes without saying.
            command.arg(if key.section == "hub" {
                argument.long(key.name).alias(key.long_flag())
            } else {
                argument
            })
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for HubFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let mut flags = Self::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        self.0.gather(hub_keys(), matches)
    }
}

impl Args for OperatorFlags {
    fn augment_args(command: Command) -> Command {
        operator_keys().fold(command.arg(file()), |command, key| command.arg(argument(key)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for OperatorFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let mut flags = Self::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        self.0.gather(operator_keys(), matches)
    }
}

impl Flags {
    /// Takes what was given for these keys.
    fn gather(
        &mut self,
        keys: impl Iterator<Item = &'static Key>,
        matches: &ArgMatches,
    ) -> Result<(), Error> {
        self.file = matches.get_one::<PathBuf>("config").cloned();
        for key in keys {
            let values = matches.try_get_many::<String>(&key.path());
            let values = values.map_err(|error| Error::raw(ErrorKind::InvalidValue, error.to_string()))?;
            let Some(values) = values else { continue };
            let mut values: Vec<String> = values.cloned().collect();
            let raw = match key.shape {
                Shape::Many => {
                    Raw::Many(values.iter().flat_map(|value| value.split(',')).map(str::to_owned).collect())
                }
                Shape::One | Shape::Switch => Raw::One(values.pop().unwrap_or_default()),
            };
            self.given.push((key, raw));
        }
        Ok(())
    }
}

fn hub_keys() -> impl Iterator<Item = &'static Key> {
    KEYS.iter().filter(|key| HUB_SECTIONS.contains(&key.section))
}

fn operator_keys() -> impl Iterator<Item = &'static Key> {
    KEYS.iter().filter(|key| {
        OPERATOR_SECTIONS.contains(&key.section) || OPERATOR_KEYS.contains(&key.path().as_str())
    })
}

fn file() -> Arg {
    Arg::new("config")
        .long("config")
        .value_name("FILE")
        .value_parser(clap::value_parser!(PathBuf))
        .help(format!("Configuration file in TOML [environment: {}]", super::FILE_VARIABLE))
        .help_heading("Configuration")
}

fn argument(key: &'static Key) -> Arg {
    let mut help = format!("{} [default: {}]", key.help.trim_end_matches('.'), key.default);
    if key.default.is_empty() {
        key.help.trim_end_matches('.').clone_into(&mut help);
    }
    let long =
        format!("{help}\n{}; file: {}; environment: {}", sentence(key.looks), key.path(), key.variable());
    let argument = Arg::new(key.path())
        .long(key.flag())
        .value_name(key.noun)
        .help(help)
        .long_help(long)
        .help_heading(format!("Configuration: {}", key.section))
        // The short help shows what everybody needs; --help shows all.
        .hide_short_help(key.short_flag.is_none() && key.path() != "admin.listen");
    let argument = if key.short_flag.is_some() { argument.alias(key.long_flag()) } else { argument };
    match key.shape {
        Shape::One => argument.action(ArgAction::Set).allow_hyphen_values(true),
        Shape::Many => argument.action(ArgAction::Append).num_args(1..),
        Shape::Switch => {
            argument.action(ArgAction::Set).num_args(0..=1).require_equals(true).default_missing_value("true")
        }
    }
}

fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
