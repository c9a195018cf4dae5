//! The layers in which values are given: defaults, then the file, then the environment, then flags.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use crate::config::keys::{AUTO, KEYS, Key, SECTIONS};
use crate::config::suggest::nearest;
use crate::config::value::{Raw, Value};
#[cfg(debug_assertions)]
use crate::failpoint;

/// Where every name is listed.
const LISTED: &str = "check --reference lists them all";

/// Variables of Amazon's own tools, and the keys they stand for.
const BORROWED: [(&str, &str); 10] = [
    ("AWS_REGION", "aws.region"),
    ("AWS_ENDPOINT_URL", "aws.endpoint"),
    ("AWS_ENDPOINT_URL_SQS", "aws.endpoint_sqs"),
    ("AWS_ENDPOINT_URL_DYNAMODB", "aws.endpoint_dynamodb"),
    ("AWS_ENDPOINT_URL_S3", "aws.endpoint_s3"),
    ("AWS_ENDPOINT_URL_SSM", "aws.endpoint_ssm"),
    ("AWS_ENDPOINT_URL_AUTO_SCALING", "aws.endpoint_autoscaling"),
    ("AWS_ENDPOINT_URL_ELASTIC_LOAD_BALANCING_V2", "aws.endpoint_elbv2"),
    ("AWS_ENDPOINT_URL_CLOUDWATCH", "aws.endpoint_cloudwatch"),
    ("AWS_ENDPOINT_URL_CLOUDWATCH_LOGS", "aws.endpoint_logs"),
];

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody gave one.
    Default,
    /// Nobody gave one; worked out from this.
    Derived(String),
    /// The configuration file.
    File {
        /// Which.
        path: PathBuf,
        /// 1-based.
        line: usize,
    },
    /// This environment variable.
    Environment(String),
    /// This flag, dashes included.
    Flag(String),
}

/// One thing wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The key, as far as there is one.
    pub key: String,
    /// The value as given.
    pub value: Option<String>,
    /// Where it came from.
    pub origin: Origin,
    /// What is wrong.
    pub wrong: String,
    /// What to do.
    pub fix: String,
}

/// One value as it holds, for people to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The key.
    pub key: &'static Key,
    /// The value, as one would write it.
    pub value: String,
    /// Where it came from.
    pub origin: Origin,
}

/// What every layer gave, and every mistake found so far.
#[derive(Debug, Default)]
pub(super) struct Layers {
    given: BTreeMap<(&'static str, &'static str), (Raw, Origin)>,
    pub(super) mistakes: Vec<Mistake>,
}

/// Takes typed values out of the layers.
#[derive(Debug)]
pub struct Reader<'a> {
    layers: &'a mut Layers,
    pub(super) settings: Vec<Setting>,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Derived(from) => write!(f, "from {from}"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)?;
        if let Some(value) = &self.value {
            write!(f, " = {value}")?;
        }
        write!(f, " ({}): {}; {}", self.origin, self.wrong, self.fix)
    }
}

impl Layers {
    /// Lays the file's values down.
    pub(super) fn file(&mut self, path: &Path, text: &str) {
        let origin = |at: usize| Origin::File { path: path.to_owned(), line: line_of(text, at) };
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            self.mistakes.push(Mistake {
                key: "file".to_owned(),
                value: None,
                origin: origin(error.span().map_or(0, |span| span.start)),
                wrong: format!("is not TOML: {}", error.message().replace('\n', ", ")),
                fix: "write a [section], then lines like key = \"value\"".to_owned(),
            });
        }
        for (section, content) in table.get_ref() {
            let at = section.span().start;
            let Some(entries) = content.get_ref().as_table() else {
                self.unknown(
                    section.get_ref().to_string(),
                    None,
                    origin(at),
                    "write keys within their [section]",
                );
                continue;
            };
            if !SECTIONS.iter().any(|(known, _)| known == section.get_ref()) {
                let names: Vec<String> = SECTIONS.iter().map(|(name, _)| (*name).to_owned()).collect();
                let fix =
                    suggestion(section.get_ref(), &names, &format!("sections are {}", names.join(", ")));
                self.unknown(format!("[{}]", section.get_ref()), None, origin(at), &fix);
                continue;
            }
            for (name, value) in entries {
                let path = format!("{}.{}", section.get_ref(), name.get_ref());
                self.entry(&path, value.get_ref(), origin(name.span().start));
            }
        }
    }

    /// Lays the environment's values down; what does not begin with our prefix is not ours, but for what every program
    /// that uses Amazon's services goes by. Ours win over those.
    pub(super) fn environment(&mut self, variables: Vec<(OsString, OsString)>) {
        for (variable, path) in BORROWED {
            let value =
                variables.iter().find(|(name, _)| name == variable).and_then(|(_, value)| value.to_str());
            if let (Some(key), Some(value)) = (Key::find(path), value) {
                self.lay(key, Raw::One(value.to_owned()), Origin::Environment(variable.to_owned()));
            }
        }
        for (name, value) in variables {
            let Some(name) = name.to_str().filter(|name| !super::OTHER_VARIABLES.contains(name)) else {
                continue;
            };
            let Some(ours) = name.strip_prefix(super::VARIABLE_PREFIX) else { continue };
            let origin = Origin::Environment(name.to_owned());
            let Some(key) = KEYS.iter().find(|key| key.variable() == name) else {
                let fix = suggest_variable(ours);
                self.unknown(name.to_owned(), None, origin, &fix);
                continue;
            };
            match value.into_string() {
                Ok(text) => self.lay(key, Raw::One(text), origin),
                Err(bytes) => self.mistakes.push(Mistake {
                    key: key.path(),
                    value: Some(bytes.to_string_lossy().into_owned()),
                    origin,
                    wrong: "is not UTF-8".to_owned(),
                    fix: format!("write {}", key.looks),
                }),
            }
        }
    }

    /// The fail-point that the environment names.
    #[cfg(debug_assertions)]
    pub(super) fn failpoint(&mut self, variables: &[(OsString, OsString)]) -> Option<failpoint::Plan> {
        let (name, value) = variables.iter().find(|(name, _)| name == super::FAILPOINT_VARIABLE)?;
        let value = value.to_string_lossy().into_owned();
        let read = value.parse().map_err(|fix: failpoint::PlanError| {
            self.mistakes.push(Mistake {
                key: "failpoint".to_owned(),
                value: Some(value),
                origin: Origin::Environment(name.to_string_lossy().into_owned()),
                wrong: "is no fail-point".to_owned(),
                fix: fix.to_string(),
            });
        });
        read.ok()
    }

    /// Lays the flags' values down.
    pub(super) fn flags(&mut self, flags: Vec<(&'static Key, Raw)>) {
        for (key, raw) in flags {
            self.lay(key, raw, Origin::Flag(format!("--{}", key.flag())));
        }
    }

    /// Puts `value` in place of `auto`.
    pub(super) fn derive(&mut self, key: &'static Key, value: String, from: String) {
        let open =
            self.given.get(&(key.section, key.name)).is_none_or(|(raw, _)| *raw == Raw::One(AUTO.to_owned()));
        if open && key.default == AUTO {
            self.lay(key, Raw::One(value), Origin::Derived(from));
        }
    }

    /// The value of a key as it stands, if it can be read; mistakes are left to [`Reader::take`].
    pub(super) fn peek<T: Value>(&self, key: &'static Key) -> Option<T> {
        T::read(&self.current(key).0).ok()
    }

    /// Where the value of a key came from, and what it was.
    pub(super) fn current(&self, key: &'static Key) -> (Raw, Origin) {
        let given = self.given.get(&(key.section, key.name)).cloned();
        given.unwrap_or_else(|| (Raw::One(key.default.to_owned()), Origin::Default))
    }

    /// Starts taking values.
    pub(super) fn reader(&mut self) -> Reader<'_> {
        Reader { layers: self, settings: Vec::with_capacity(KEYS.len()) }
    }

    fn lay(&mut self, key: &'static Key, raw: Raw, origin: Origin) {
        self.given.insert((key.section, key.name), (raw, origin));
    }

    fn entry(&mut self, path: &str, value: &DeValue<'_>, origin: Origin) {
        let Some(key) = Key::find(path) else {
            let names: Vec<String> = KEYS.iter().map(Key::path).collect();
            let fix = suggestion(path, &names, LISTED);
            return self.unknown(path.to_owned(), scalar(value), origin, &fix);
        };
        let raw = match value.as_array() {
            Some(items) => {
                items.iter().map(|item| scalar(item.get_ref())).collect::<Option<_>>().map(Raw::Many)
            }
            None => scalar(value).map(Raw::One),
        };
        match raw {
            Some(raw) => self.lay(key, raw, origin),
            None => self.mistakes.push(Mistake {
                key: path.to_owned(),
                value: None,
                origin,
                wrong: format!("cannot be of type {}", value.type_str()),
                fix: format!("write {}", key.looks),
            }),
        }
    }

    fn unknown(&mut self, key: String, value: Option<String>, origin: Origin, fix: &str) {
        let wrong = "there is no such setting".to_owned();
        self.mistakes.push(Mistake { key, value, origin, wrong, fix: fix.to_owned() });
    }
}

impl Reader<'_> {
    /// The value of a key; `None`, and a mistake noted, if it cannot be read.
    pub(super) fn take<T: Value>(&mut self, section: &'static str, name: &'static str) -> Option<T> {
        let key = KEYS.iter().find(|key| key.section == section && key.name == name)?;
        let (raw, origin) = self.layers.current(key);
        match T::read(&raw) {
            Ok(value) => {
                self.settings.push(Setting { key, value: value.show(), origin });
                Some(value)
            }
            Err(wrong) => {
                let value = Some(raw.to_string());
                self.layers.mistakes.push(Mistake {
                    key: key.path(),
                    value,
                    origin,
                    wrong: wrong.what,
                    fix: wrong.fix,
                });
                None
            }
        }
    }
}

fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        // Other radices have no use here, and reading them as decimal would be a trap.
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().to_owned()),
        DeValue::Boolean(truth) => Some(truth.to_string()),
        _ => None,
    }
}

/// What to do about a name nobody knows; `listed` says where all of them are.
fn suggestion(given: &str, known: &[String], listed: &str) -> String {
    nearest(given, known.iter().map(String::as_str))
        .map_or_else(|| listed.to_owned(), |near| format!("did you mean {near}?"))
}

/// Compares without the prefix, which would make any two names look alike.
fn suggest_variable(given: &str) -> String {
    let names: Vec<String> = KEYS.iter().map(Key::variable).collect();
    let ends = names.iter().filter_map(|name| name.strip_prefix(super::VARIABLE_PREFIX));
    nearest(given, ends)
        .map_or_else(|| LISTED.to_owned(), |near| format!("did you mean {}{near}?", super::VARIABLE_PREFIX))
}

fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count() + 1
}
