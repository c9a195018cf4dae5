//! The daemon's view of one job's group: what struck, and how much was used.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::domain::limits::Limits;
use crate::sandbox::cgroup::{Controller, Delegation, GroupLimits, Version};

/// The group of one jail. It exists until the jail is given back.
#[derive(Debug)]
pub(in crate::sandbox) struct Group {
    version: Version,
    directories: Vec<(Controller, PathBuf)>,
    limits: GroupLimits,
}

impl Group {
    /// The group that the helper made for a jail, with the limits it wrote.
    pub(in crate::sandbox) fn of(delegation: &Delegation, serial: u64, limits: GroupLimits) -> Self {
        let directories = delegation
            .directories
            .iter()
            .map(|(controller, directory)| (*controller, directory.join(serial.to_string())))
            .collect();
        Self { version: delegation.version, directories, limits }
    }

    /// Writes a job's own limits where they differ from what most jobs have.
    pub(in crate::sandbox) fn adjust(&self, limits: &Limits) -> io::Result<()> {
        let wanted = GroupLimits::of(limits);
        if wanted == self.limits {
            return Ok(());
        }
        for (controller, file, value, required) in wanted.changes(self.limits, self.version) {
            let Some(directory) = self.directory(controller) else { continue };
            match fs::write(directory.join(file), value) {
                Err(error) if required => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether the kernel has killed for memory.
    pub(in crate::sandbox) fn out_of_memory(&self) -> bool {
        let file = match self.version {
            Version::V1 => "memory.oom_control",
            Version::V2 => "memory.events",
        };
        self.read(Controller::Memory, file).and_then(|text| field(&text, "oom_kill")).unwrap_or(0) > 0
    }

    /// Whether a process or thread was refused.
    pub(in crate::sandbox) fn refused_process(&self) -> bool {
        self.read(Controller::Pids, "pids.events").and_then(|text| field(&text, "max")).unwrap_or(0) > 0
    }

    /// CPU time of all processes that ever were in it.
    pub(in crate::sandbox) fn cpu(&self) -> Option<Duration> {
        match self.version {
            Version::V1 => {
                self.read(Controller::Cpuacct, "cpuacct.usage")?.trim().parse().ok().map(Duration::from_nanos)
            }
            Version::V2 => {
                let text = fs::read_to_string(self.directories.first()?.1.join("cpu.stat")).ok()?;
                field(&text, "usage_usec").map(Duration::from_micros)
            }
        }
    }

    /// Most memory at once, in bytes. Version 2 tells since Linux 5.19.
    pub(in crate::sandbox) fn peak_memory(&self) -> Option<u64> {
        let file = match self.version {
            Version::V1 => "memory.max_usage_in_bytes",
            Version::V2 => "memory.peak",
        };
        self.read(Controller::Memory, file)?.trim().parse().ok()
    }

    fn directory(&self, controller: Controller) -> Option<&Path> {
        self.directories
            .iter()
            .find(|(which, _)| *which == controller)
            .map(|(_, directory)| directory.as_path())
    }

    fn read(&self, controller: Controller, file: &str) -> Option<String> {
        fs::read_to_string(self.directory(controller)?.join(file)).ok()
    }
}

/// A number from a file of `name number` lines.
fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A directory that looks like a group: controllers that the test machine lacks are proved on files.
    fn group(version: Version, files: &[(&str, &str)]) -> (tempfile::TempDir, Group) {
        let parent = tempfile::tempdir().unwrap();
        fs::create_dir(parent.path().join("7")).unwrap();
        for (name, contents) in files {
            fs::write(parent.path().join("7").join(name), contents).unwrap();
        }
        let directories = Controller::ALL.map(|controller| (controller, parent.path().to_owned())).to_vec();
        let group = Group::of(&Delegation { version, directories }, 7, GroupLimits::of(&Limits::default()));
        (parent, group)
    }

    #[test]
    fn version_2_is_read() {
        let (_parent, group) = group(
            Version::V2,
            &[
                ("memory.events", "low 0\nhigh 0\nmax 12\noom 1\noom_kill 1\noom_group_kill 1\n"),
                ("memory.peak", "67108864\n"),
                ("pids.events", "max 3\n"),
                ("cpu.stat", "usage_usec 1500\nuser_usec 1000\n"),
            ],
        );
        assert!(group.out_of_memory());
        assert!(group.refused_process());
        assert_eq!(group.cpu(), Some(Duration::from_micros(1500)));
        assert_eq!(group.peak_memory(), Some(64 << 20));
    }

    #[test]
    fn version_1_is_read() {
        let (_parent, group) = group(
            Version::V1,
            &[
                ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n"),
                ("memory.max_usage_in_bytes", "4096\n"),
                ("pids.events", "max 0\n"),
                ("cpuacct.usage", "2000\n"),
            ],
        );
        assert!(!group.out_of_memory());
        assert!(!group.refused_process());
        assert_eq!(group.cpu(), Some(Duration::from_micros(2)));
        assert_eq!(group.peak_memory(), Some(4096));
    }

    #[test]
    fn only_other_limits_are_written() {
        let (parent, group) = group(Version::V2, &[]);
        let written = |name: &str| fs::read_to_string(parent.path().join("7").join(name)).ok();
        group.adjust(&Limits::default()).unwrap();
        assert_eq!(written("memory.max"), None);
        group.adjust(&Limits { pids: 14, cpu_millis: 500, ..Limits::default() }).unwrap();
        assert_eq!(written("pids.max").as_deref(), Some("15"));
        assert_eq!(written("cpu.max").as_deref(), Some("50000 100000"));
        assert_eq!(written("memory.max").as_deref(), Some("1342177280"));
    }

    proptest! {
        #[test]
        fn no_file_of_a_group_panics(text in "(oom_kill|max|[0-9]{1,21}|[- \t\n\u{e9}\u{1f600}\0\r\u{1b}]){0,20}") {
            let _read = field(&text, "oom_kill");
        }
    }
}
