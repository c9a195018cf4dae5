//! Flags, environment and file into one checked configuration; the only reader of the environment.
//!
//! One rule names everything: the key `section.name` is `[section] name =` in the file, the variable
//! `COMPILATION_WORKER_SECTION_NAME`, and the flag `--section-name`. Later layers win: defaults, file, environment,
//! flags. All mistakes of all layers are reported together, each with its key, its value and the way to mend it.

mod checks;
pub mod flags;
pub mod keys;
pub mod layers;
pub mod machine;
pub mod suggest;
pub mod value;

use std::ffi::OsString;
use std::fmt::{self, Write as _};
use std::path::PathBuf;

use crate::config::flags::Flags;
use crate::config::keys::{Config, KEYS, Key, SECTIONS};
use crate::config::layers::{Layers, Mistake, Origin, Setting};
use crate::config::machine::Machine;
use crate::config::value::ByteSize;
#[cfg(debug_assertions)]
use crate::failpoint;
use crate::telemetry::log::Format;

/// What every variable of ours begins with.
pub const VARIABLE_PREFIX: &str = "COMPILATION_WORKER_";
/// Names the configuration file, unless `--config` does.
pub const FILE_VARIABLE: &str = "COMPILATION_WORKER_CONFIG";
/// Says what shall go wrong where, in builds that have fail-points.
#[cfg(debug_assertions)]
pub const FAILPOINT_VARIABLE: &str = "COMPILATION_WORKER_FAILPOINT";
/// Variables of ours that are no settings.
#[cfg(debug_assertions)]
const OTHER_VARIABLES: [&str; 2] = [FILE_VARIABLE, FAILPOINT_VARIABLE];
#[cfg(not(debug_assertions))]
const OTHER_VARIABLES: [&str; 1] = [FILE_VARIABLE];
/// Exit code when the command line makes no sense (`EX_USAGE` of sysexits).
pub const EXIT_USAGE: u8 = 64;
/// Exit code when the configuration makes no sense (`EX_CONFIG` of sysexits).
pub const EXIT_CONFIG: u8 = 78;

/// Everything the configuration is made from.
#[derive(Debug, Clone)]
pub struct Inputs {
    /// The command line.
    pub flags: Flags,
    /// The environment, whole.
    pub environment: Vec<(OsString, OsString)>,
    /// The machine, from which some defaults derive.
    pub machine: Machine,
}

/// A configuration that makes sense.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The values, typed.
    pub config: Config,
    /// The values with their origins, in the order of the table.
    pub settings: Vec<Setting>,
    /// What is unwise.
    pub warnings: Vec<String>,
    /// The fail-point to arm.
    #[cfg(debug_assertions)]
    pub failpoint: Option<failpoint::Plan>,
}

/// Everything wrong with a configuration, at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors {
    /// Each, in the order of the layers.
    pub mistakes: Vec<Mistake>,
    /// How the log would have looked, as far as that could be read: by it, a daemon says why it does not start.
    pub format: Format,
}

impl Inputs {
    /// The real environment and machine beside these flags.
    pub fn gather(flags: Flags) -> Self {
        #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
        let environment = std::env::vars_os().collect();
        Self { flags, environment, machine: Machine::observe() }
    }

    /// The configuration file's path, and who named it.
    fn file(&self) -> Option<(PathBuf, Origin)> {
        let flag = self.flags.file.clone().map(|path| (path, Origin::Flag("--config".to_owned())));
        let variable = || {
            let (_, path) = self.environment.iter().find(|(name, _)| name == FILE_VARIABLE)?;
            Some((PathBuf::from(path), Origin::Environment(FILE_VARIABLE.to_owned())))
        };
        flag.or_else(variable)
    }
}

impl ConfigErrors {
    /// 64 if the command line alone is to blame, 78 otherwise.
    pub fn exit_code(&self) -> u8 {
        let by_flag = |mistake: &Mistake| matches!(mistake.origin, Origin::Flag(_));
        if self.mistakes.iter().all(by_flag) { EXIT_USAGE } else { EXIT_CONFIG }
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.mistakes.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for ConfigErrors {}

/// Layers, derives, reads and checks.
pub fn load(inputs: Inputs) -> Result<Loaded, ConfigErrors> {
    load_checked(inputs, checks::check)
}

/// The same for the operator's commands, which run anywhere: each value must make sense alone, but what a daemon needs
/// to make sense together (an events hub for its queues, slots for this machine's memory) is not asked for.
pub fn load_for_operator(inputs: Inputs) -> Result<Loaded, ConfigErrors> {
    load_checked(inputs, |_, _, _| Vec::new())
}

fn load_checked(
    inputs: Inputs,
    check: fn(&Config, &Machine, &mut Layers) -> Vec<String>,
) -> Result<Loaded, ConfigErrors> {
    let mut layers = Layers::default();
    if let Some((path, origin)) = inputs.file() {
        match std::fs::read_to_string(&path) {
            Ok(text) => layers.file(&path, &text),
            Err(error) => layers.mistakes.push(Mistake {
                key: "config".to_owned(),
                value: Some(path.display().to_string()),
                origin,
                wrong: format!("could not read the file: {error}"),
                fix: "name a file that exists and is readable, or none".to_owned(),
            }),
        }
    }
    #[cfg(debug_assertions)]
    let failpoint = layers.failpoint(&inputs.environment);
    layers.environment(inputs.environment);
    layers.flags(inputs.flags.given);
    derive(&mut layers, &inputs.machine);
    let format = Key::find("log.format").and_then(|key| layers.peek(key)).unwrap_or_default();
    let mut reader = layers.reader();
    let config = Config::read(&mut reader);
    let settings = std::mem::take(&mut reader.settings);
    let Some(config) = config else {
        return Err(ConfigErrors { mistakes: layers.mistakes, format });
    };
    let warnings = check(&config, &inputs.machine, &mut layers);
    if layers.mistakes.is_empty() {
        Ok(Loaded {
            config,
            settings,
            warnings,
            #[cfg(debug_assertions)]
            failpoint,
        })
    } else {
        Err(ConfigErrors { mistakes: layers.mistakes, format })
    }
}

/// Fills in what is `auto`.
fn derive(layers: &mut Layers, machine: &Machine) {
    derive_slots(layers, machine);
    if let Some(name) = Key::find("fleet.name").and_then(|key| layers.peek::<String>(key)) {
        for (key, value) in [
            ("fleet.group", format!("{name}-asg")),
            ("fleet.target_group", format!("{name}-instances")),
            ("fleet.log_group", format!("/compilation-worker/{name}/daemon")),
            ("fleet.metrics_group", format!("/compilation-worker/{name}/metrics")),
        ] {
            let Some(key) = Key::find(key) else { return };
            layers.derive(key, value, format!("fleet.name = {name}"));
        }
    }
}

fn derive_slots(layers: &mut Layers, machine: &Machine) {
    let (Some(slots), Some(memory)) = (Key::find("engine.slots"), Key::find("limits.memory")) else { return };
    if let Some(per_job) = layers.peek::<ByteSize>(memory) {
        let from = format!("{}, limits.memory = {per_job}", machine.describe());
        layers.derive(slots, machine.slots(per_job).to_string(), from);
    } else {
        // The size itself will be reported; the slots are not to blame.
        layers.derive(slots, "1".to_owned(), "limits.memory".to_owned());
    }
}

/// The effective configuration, one `key = value  (origin)` per line.
pub fn show(settings: &[Setting]) -> String {
    let mut page = String::new();
    let width =
        settings.iter().map(|setting| setting.key.path().len() + setting.value.len()).max().unwrap_or(0);
    for Setting { key, value, origin } in settings {
        let pad = width.min(60).saturating_sub(key.path().len() + value.len());
        // Writing to a String cannot fail.
        let _infallible = writeln!(page, "{} = {value}{:pad$}  ({origin})", key.path(), "").is_err();
    }
    page
}

/// The reference of every key, in Markdown.
pub fn reference() -> String {
    let mut page = String::from(
        "# Configuration\n\nLater layers win: defaults, file, environment, flags. The key `section.name` is `name = ` under \
         `[section]`\nin the file, `COMPILATION_WORKER_SECTION_NAME` in the environment and `--section-name` on the command \
         line.\nDurations and sizes need units. Lists are separated by commas.\n",
    );
    for (section, about) in SECTIONS {
        let keys = KEYS.iter().filter(|key| key.section == *section);
        let _infallible =
            write!(page, "\n## {section}\n\n{about}\n\n| key | default | what |\n|---|---|---|\n").is_err();
        for key in keys {
            let default = if key.default.is_empty() { "-".to_owned() } else { format!("`{}`", key.default) };
            let flag = key.short_flag.map(|flag| format!(" Flag: `--{flag}`.")).unwrap_or_default();
            let _infallible =
                writeln!(page, "| `{}` | {default} | {}{flag} |", key.path(), key.help).is_err();
        }
    }
    page
}

#[cfg(test)]
mod tests;
