//! The daemon as a unit of systemd: what `init/` says agrees with the program, and the whole really boots.

mod agrees;
mod boots;
mod walls;

use std::path::{Path, PathBuf};
use std::process::Command;

/// A file of this repository.
fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn text(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// A program of this machine.
#[expect(clippy::disallowed_methods, reason = "the harness asks the programs that systemd brings")]
fn command(program: &str) -> Command {
    Command::new(program)
}

/// The unit, line by line.
struct Unit(String);

impl Unit {
    fn read() -> Self {
        Self(text("init/compilation-worker.service"))
    }

    /// Every value that a key has been given, in order.
    fn all(&self, key: &str) -> Vec<&str> {
        self.0.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect()
    }

    /// The value of a key that is given once.
    fn one(&self, key: &str) -> &str {
        let values = self.all(key);
        assert_eq!(values.len(), 1, "{key} = {values:?}");
        values[0]
    }

    /// The same as a number.
    fn number(&self, key: &str) -> u64 {
        self.one(key).parse().unwrap_or_else(|error| panic!("{key}: {error}"))
    }
}
