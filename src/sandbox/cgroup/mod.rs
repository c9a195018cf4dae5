//! Limits for whole trees of processes: one fresh control group per job.
//!
//! Three parties share the work. The daemon, which has the rights, finds or makes one directory per hierarchy,
//! `compilation-worker/<its process id>`, and gives it to the helper's user (`delegate`). The helper makes and
//! removes a group in it for each jail, off any job's path (`make`). The daemon reads how the job fared
//! (`group`). Version 1 has one hierarchy per controller, version 2 one for all.

mod delegate;
mod group;
mod make;

pub use delegate::NoCgroups;
pub(super) use delegate::{Delegated, delegate, look};
pub(super) use group::Group;
pub(super) use make::{Born, Maker};

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The kernel's two interfaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Version {
    V1,
    V2,
}

/// What a hierarchy is used for. In version 2 one directory serves for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Controller {
    Memory,
    Pids,
    /// Optional: without it a job may use every core.
    Cpu,
    /// Optional, and version 1 only: without it the CPU time of killed jobs is not known.
    Cpuacct,
}

impl Controller {
    const ALL: [Self; 4] = [Self::Memory, Self::Pids, Self::Cpu, Self::Cpuacct];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Pids => "pids",
            Self::Cpu => "cpu",
            Self::Cpuacct => "cpuacct",
        }
    }

    const fn required(self) -> bool {
        matches!(self, Self::Memory | Self::Pids)
    }
}

/// Directories that the helper may make groups in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Delegation {
    pub(super) version: Version,
    /// By controller; version 2 names the one directory for each that it has.
    pub(super) directories: Vec<(Controller, PathBuf)>,
}

impl Delegation {
    /// Each directory once.
    fn distinct(&self) -> Vec<&PathBuf> {
        let mut distinct: Vec<&PathBuf> = self.directories.iter().map(|(_, directory)| directory).collect();
        distinct.dedup();
        distinct
    }
}

/// The limits that groups keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct GroupLimits {
    /// Bytes.
    memory: u64,
    /// Processes and threads, the jail's first process included.
    pids: u64,
    /// Thousandths of a core.
    cpu_millis: u64,
}

/// A controller, a file of it, what is written there, and whether this kernel must have it.
type Knob = (Controller, &'static str, String, bool);

/// Version 1's limit of memory and swap together.
const MEMORY_AND_SWAP: &str = "memory.memsw.limit_in_bytes";

/// The period of CPU quotas, in microseconds: the kernel's default.
const CPU_PERIOD: u64 = 100_000;

impl GroupLimits {
    pub(super) fn of(limits: &crate::domain::limits::Limits) -> Self {
        Self { memory: limits.memory, pids: limits.pids.saturating_add(1), cpu_millis: limits.cpu_millis }
    }

    /// What to write where to change limits that stand at `before`. Version 1 never lets the limit of memory alone be
    /// above that of memory and swap, so of the two the outer is raised first, and lowered last.
    fn changes(self, before: Self, version: Version) -> Vec<Knob> {
        let mut knobs = self.knobs(version);
        if self.memory > before.memory {
            knobs.sort_by_key(|(_, file, ..)| *file != MEMORY_AND_SWAP);
        }
        knobs
    }

    /// What to write where: the controller, the file, the value, and whether this kernel must have it. Swap is
    /// either counted with memory or not allowed, where the kernel has a word for it.
    fn knobs(self, version: Version) -> Vec<Knob> {
        let (memory, pids) = (self.memory.to_string(), self.pids.to_string());
        let quota = self.cpu_millis.saturating_mul(CPU_PERIOD / 1000);
        match version {
            Version::V1 => vec![
                (Controller::Memory, "memory.limit_in_bytes", memory.clone(), true),
                (Controller::Memory, MEMORY_AND_SWAP, memory, false),
                (Controller::Pids, "pids.max", pids, true),
                (Controller::Cpu, "cpu.cfs_quota_us", quota.to_string(), false),
            ],
            Version::V2 => vec![
                (Controller::Memory, "memory.max", memory, true),
                (Controller::Memory, "memory.swap.max", "0".to_owned(), false),
                (Controller::Memory, "memory.oom.group", "1".to_owned(), false),
                (Controller::Pids, "pids.max", pids, true),
                (Controller::Cpu, "cpu.max", format!("{quota} {CPU_PERIOD}"), false),
            ],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::limits::Limits;

    #[test]
    fn limits_of_any_size_can_be_written() {
        let most = Limits { pids: u64::MAX, cpu_millis: u64::MAX, ..Limits::default() };
        let knobs = GroupLimits::of(&most).knobs(Version::V2);
        assert!(
            knobs.iter().any(|(_, file, value, _)| *file == "pids.max" && *value == u64::MAX.to_string())
        );
    }

    #[test]
    fn memory_is_never_limited_above_memory_and_swap() {
        let limits = |memory| GroupLimits::of(&Limits { memory, ..Limits::default() });
        let files = |from, to| -> Vec<&str> {
            let changes = limits(to).changes(limits(from), Version::V1);
            changes.iter().map(|(_, file, ..)| *file).filter(|file| file.starts_with("memory.")).collect()
        };
        assert_eq!(files(1, 2), [MEMORY_AND_SWAP, "memory.limit_in_bytes"]);
        assert_eq!(files(2, 1), ["memory.limit_in_bytes", MEMORY_AND_SWAP]);
    }
}
