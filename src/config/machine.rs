//! What this machine gives us: cores and memory, as the control group allows them.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;

use crate::config::value::ByteSize;

/// Cores and memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Machine {
    /// Cores we may use; at least one.
    pub cores: usize,
    /// Memory we may use; `None` when the kernel does not say.
    pub memory: Option<ByteSize>,
}

/// Where the unified hierarchy is mounted.
const GROUPS: &str = "/sys/fs/cgroup";
/// Where the limit on our memory stands in the old hierarchy, seen from within a container.
const OLD_MEMORY_LIMIT: &str = "/sys/fs/cgroup/memory/memory.limit_in_bytes";

impl Machine {
    /// Asks the kernel.
    pub fn observe() -> Self {
        let total = fs::read_to_string("/proc/meminfo").ok().and_then(|text| total_memory(&text));
        let own = fs::read_to_string("/proc/self/cgroup").ok().and_then(|text| own_group(&text));
        let ancestors = own.iter().flat_map(|group| group.ancestors()).map(|group| group.join("memory.max"));
        // A file without a number says "max", or is not there: no limit either way.
        let limit = |path: PathBuf| fs::read_to_string(path).ok()?.trim().parse().ok();
        let limits = ancestors.chain([PathBuf::from(OLD_MEMORY_LIMIT)]).filter_map(limit);
        let memory = limits.chain(total).min();
        Self { cores: available_parallelism().map_or(1, usize::from), memory: memory.map(ByteSize) }
    }

    /// How many jobs of this much memory fit, one per core at most, one at least.
    pub fn slots(&self, per_job: ByteSize) -> usize {
        let fit = self.memory.and_then(|memory| memory.bytes().checked_div(per_job.bytes()));
        let fit = fit.map_or(self.cores, |fit| usize::try_from(fit).unwrap_or(usize::MAX));
        self.cores.min(fit).max(1)
    }

    /// The machine in words, for origins and warnings.
    pub fn describe(&self) -> String {
        let known = |memory: ByteSize| format!("{} of memory", memory.rounded());
        let memory = self.memory.map_or_else(|| "unknown memory".to_owned(), known);
        format!("{} {}, {memory}", self.cores, if self.cores == 1 { "core" } else { "cores" })
    }
}

/// Our directory in the unified hierarchy.
fn own_group(cgroup: &str) -> Option<PathBuf> {
    let path = cgroup.lines().find_map(|line| line.strip_prefix("0::/"))?;
    Some(Path::new(GROUPS).join(path))
}

fn total_memory(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::limits::MIB;
    use proptest::prelude::*;

    #[test]
    fn slots_fit_cores_and_memory() {
        let machine = |cores, mebibytes| Machine { cores, memory: Some(ByteSize(mebibytes * MIB)) };
        let job = ByteSize(1280 * MIB);
        assert_eq!(machine(2, 24_000).slots(job), 2);
        assert_eq!(machine(16, 8192).slots(job), 6);
        assert_eq!(machine(16, 512).slots(job), 1);
        assert_eq!(machine(4, 512).slots(ByteSize(0)), 4);
        assert_eq!(Machine { cores: 3, memory: None }.slots(job), 3);
        assert_eq!(machine(1, 2).describe(), "1 core, 2MiB of memory");
    }

    #[test]
    fn the_kernel_is_understood() {
        assert_eq!(total_memory("MemTotal:       24683520 kB\nMemFree: 1 kB\n"), Some(24_683_520 * 1024));
        assert_eq!(total_memory("MemFree: 1 kB\n"), None);
        assert_eq!(
            own_group("1:memory:/x\n0::/a/b.service\n"),
            Some(PathBuf::from("/sys/fs/cgroup/a/b.service"))
        );
        assert_eq!(own_group("0::/\n"), Some(PathBuf::from("/sys/fs/cgroup/")));
        assert_eq!(own_group("1:memory:/x\n"), None);
        assert!(Machine::observe().memory.is_some_and(|memory| memory.bytes() > MIB));
    }

    proptest! {
        #[test]
        fn no_text_of_the_kernels_panics(text in "(MemTotal:|0::/|[0-9]{1,20}|kB|[:/a \t\n\u{e9}\u{1f600}\0\r\u{1b}]){0,20}") {
            let _read = (own_group(&text), total_memory(&text));
        }
    }
}
