//! What is asked of the sandbox, and what comes back.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;

use crate::domain::limits::{Deadline, Limits};
use crate::domain::path::JobPath;
use crate::domain::result::Stop;
use crate::sandbox::workspace::Workspace;

/// What a job's arguments and environment call its directory.
pub const WORK_DIR: &str = "/app";

/// How much protection is demanded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Every wall of the jail; where cgroups are not to be had, limits per process instead, with a warning.
    #[default]
    Jail,
    /// As `Jail`, and cgroup limits too.
    Strict,
    /// No jail at all: a process group and limits per process. For development.
    None,
}

impl Mode {
    /// Every mode.
    pub const ALL: [Self; 3] = [Self::Jail, Self::Strict, Self::None];

    /// The name in configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Jail => "jail",
            Self::Strict => "strict",
            Self::None => "none",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that is no [`Mode`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown sandbox mode {0:?}: use jail, strict or none")]
pub struct UnknownMode(String);

impl FromStr for Mode {
    type Err = UnknownMode;

    fn from_str(word: &str) -> Result<Self, UnknownMode> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == word).ok_or_else(|| UnknownMode(word.to_owned()))
    }
}

/// How to build the sandbox.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How much protection is demanded.
    pub mode: Mode,
    /// Jobs that run at once. Twice as many jails again stand ready behind them.
    pub slots: usize,
    /// Host paths that jobs may read; those that do not exist are left out.
    pub readable: Vec<PathBuf>,
    /// The limits that most jobs have. `scratch` and `scratch_inodes` hold for every job: a jail stands, with its
    /// writable places mounted, before the job that gets it is known.
    pub limits: Limits,
    /// The cgroup (version 2 directory) to make jobs' groups in, instead of the one this process lives in.
    pub cgroup_parent: Option<PathBuf>,
    /// The executable that becomes the helper: this one. Tests, which are another, name the real one.
    pub helper: PathBuf,
}

impl Settings {
    /// Settings that need nothing but a number of slots.
    pub fn new(slots: usize) -> Self {
        Self {
            mode: Mode::default(),
            slots,
            readable: Self::default_readable(),
            limits: Limits::default(),
            cgroup_parent: None,
            helper: PathBuf::from("/proc/self/exe"),
        }
    }

    /// What compilers need on common distributions.
    pub fn default_readable() -> Vec<PathBuf> {
        DEFAULT_READABLE.iter().map(PathBuf::from).collect()
    }
}

/// `/usr` and what used to stand beside it, the loader's and the alternatives' configuration, the time zone, and
/// where Compiler Explorer keeps its compilers.
const DEFAULT_READABLE: &[&str] = &[
    "/usr",
    "/bin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/etc/alternatives",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/opt/compiler-explorer",
    "/cefs",
];

/// One program to run.
#[derive(Debug, Clone)]
pub struct Job {
    /// The executable, by absolute path.
    pub program: PathBuf,
    /// Its arguments, without its own name.
    pub arguments: Vec<OsString>,
    /// Its whole environment.
    pub environment: Vec<(OsString, OsString)>,
    /// Files written into the work directory before it starts.
    pub files: Vec<JobFile>,
    /// Its standard input.
    pub stdin: Bytes,
    /// What it may use.
    pub limits: Limits,
    /// When nobody waits any longer.
    pub deadline: Deadline,
}

/// A file in the work directory.
#[derive(Debug, Clone)]
pub struct JobFile {
    /// Where.
    pub path: JobPath,
    /// What.
    pub contents: Bytes,
}

/// A job that ran, however it ended.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub stop: Stop,
    /// Whether time ran out, whatever came first: its own, or its caller's.
    pub out_of_time: bool,
    /// Standard output.
    pub stdout: Captured,
    /// Standard error.
    pub stderr: Captured,
    /// What it used.
    pub usage: Usage,
    /// What it left.
    pub workspace: Workspace,
}

/// What was kept of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Captured {
    /// The bytes, at most [`Limits::output`].
    pub bytes: Vec<u8>,
    /// Whether there was more.
    pub truncated: bool,
}

/// What a job used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// From the moment a jail was asked for until the job's program took over.
    pub start: Duration,
    /// From the moment it was handed to its jail until all of it was gone.
    pub wall: Duration,
    /// CPU time of all its processes. Of a killed job, zero where no cgroup counted it.
    pub cpu: Duration,
    /// Most memory at once, in bytes: of the whole tree where cgroups tell, else of its largest process.
    pub peak_memory: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_have_names() {
        for mode in Mode::ALL {
            assert_eq!(mode.to_string().parse(), Ok(mode));
        }
        assert_eq!(
            "full".parse::<Mode>().map_err(|error| error.to_string()),
            Err("unknown sandbox mode \"full\": use jail, strict or none".to_owned())
        );
    }
}
