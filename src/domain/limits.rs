//! How much one job may use, and until when.

use std::time::Duration;
use tokio::time::Instant;

/// One mebibyte, in bytes.
pub const MIB: u64 = 1024 * 1024;

/// What one jailed job may use. The defaults are the compile limits of the running system's jail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Wall time of one step.
    pub wall: Duration,
    /// Memory of the whole tree, tmpfs pages included, in bytes.
    pub memory: u64,
    /// Processes and threads of the whole tree.
    pub pids: u64,
    /// CPU time per second of wall time, in thousandths of one core.
    pub cpu_millis: u64,
    /// Largest single file, in bytes.
    pub file_size: u64,
    /// Open descriptors per process.
    pub open_files: u64,
    /// Room in each of the two writable places (work directory and `/tmp`), in bytes.
    pub scratch: u64,
    /// Files and directories in each of the two writable places.
    pub scratch_inodes: u64,
    /// Bytes kept of standard output, and again of standard error.
    pub output: u64,
    /// Bytes read at most of one file the job wrote.
    pub artifact: u64,
}

impl Limits {
    /// Half of everything that a job takes from the machine or from us: for a job that may have taken a worker down.
    #[must_use]
    pub fn halved(self) -> Self {
        Self {
            wall: self.wall / 2,
            memory: self.memory / 2,
            pids: (self.pids / 2).max(1),
            file_size: self.file_size / 2,
            scratch: self.scratch / 2,
            output: self.output / 2,
            artifact: self.artifact / 2,
            ..self
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            wall: Duration::from_secs(20),
            memory: 1280 * MIB,
            pids: 72,
            cpu_millis: 1000,
            file_size: 1024 * MIB,
            open_files: 300,
            scratch: 512 * MIB,
            scratch_inodes: 1000,
            output: MIB,
            artifact: 64 * MIB,
        }
    }
}

/// An instant fixed once, at the door; every timeout below is the smaller of its own and this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

impl Deadline {
    /// The deadline `budget` from now.
    pub fn after(budget: Duration) -> Self {
        Self(Instant::now() + budget)
    }

    /// The deadline at `instant`.
    pub const fn at(instant: Instant) -> Self {
        Self(instant)
    }

    /// The instant itself.
    pub const fn instant(self) -> Instant {
        self.0
    }

    /// What is left; zero once it has passed.
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// The earlier of this and `budget` from now.
    #[must_use]
    pub fn sooner(self, budget: Duration) -> Self {
        Self(self.0.min(Instant::now() + budget))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_is_less_of_everything_but_what_costs_nobody() {
        let (whole, half) = (Limits::default(), Limits::default().halved());
        assert_eq!((half.wall, half.memory, half.pids), (whole.wall / 2, whole.memory / 2, whole.pids / 2));
        assert_eq!((half.output, half.artifact, half.scratch), (MIB / 2, 32 * MIB, 256 * MIB));
        assert_eq!((half.cpu_millis, half.open_files), (whole.cpu_millis, whole.open_files));
    }
}
