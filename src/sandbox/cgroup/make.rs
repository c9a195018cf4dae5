//! The helper's part: a group for each jail, made before the jail is, and removed when it is dead.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use crate::sandbox::cgroup::{Controller, Delegation, GroupLimits, Version};

/// The delegated directories, open: the helper's root is exchanged before the first jail.
#[derive(Debug)]
pub(in crate::sandbox) struct Maker {
    version: Version,
    directories: Vec<(Controller, OwnedFd)>,
    limits: GroupLimits,
}

/// How a jail's first process gets into its group.
#[derive(Debug)]
pub(in crate::sandbox) enum Born {
    /// It is born there (version 2).
    Into(OwnedFd),
    /// It writes itself into these `cgroup.procs` (version 1).
    Joins(Vec<OwnedFd>),
}

impl Maker {
    pub(in crate::sandbox) fn open(delegation: &Delegation, limits: GroupLimits) -> rustix::io::Result<Self> {
        let open = |(controller, path): &(Controller, std::path::PathBuf)| {
            let directory = rustix::fs::open(path, DIRECTORY, Mode::empty())?;
            Ok((*controller, directory))
        };
        let directories = delegation.directories.iter().map(open).collect::<rustix::io::Result<_>>()?;
        Ok(Self { version: delegation.version, directories, limits })
    }

    /// Makes the group of a jail, with the limits that most jobs have.
    pub(in crate::sandbox) fn make(&self, serial: u64) -> rustix::io::Result<Born> {
        let name = serial.to_string();
        for (_, directory) in &self.directories {
            match rustix::fs::mkdirat(directory, &name, Mode::from_raw_mode(0o755)) {
                // Two controllers may share a hierarchy.
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error),
            }
        }
        let groups: Vec<(Controller, OwnedFd)> = self
            .directories
            .iter()
            .map(|(controller, directory)| {
                Ok((*controller, rustix::fs::openat(directory, &name, DIRECTORY, Mode::empty())?))
            })
            .collect::<rustix::io::Result<_>>()?;
        for (controller, file, value, required) in self.limits.knobs(self.version) {
            let written = groups
                .iter()
                .find(|(which, _)| *which == controller)
                .ok_or(Errno::NOENT)
                .and_then(|(_, group)| write(group.as_fd(), file, &value));
            if required {
                written?;
            }
        }
        match self.version {
            Version::V2 => groups.into_iter().next().map(|(_, group)| Born::Into(group)).ok_or(Errno::NOENT),
            Version::V1 => {
                let procs = |(_, group): &(Controller, OwnedFd)| {
                    rustix::fs::openat(group, "cgroup.procs", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
                };
                groups.iter().map(procs).collect::<rustix::io::Result<_>>().map(Born::Joins)
            }
        }
    }

    /// Removes the group of a jail. False if the kernel still counts someone in it, which passes.
    pub(in crate::sandbox) fn remove(&self, serial: u64) -> bool {
        let name = serial.to_string();
        let mut gone = true;
        for (_, directory) in &self.directories {
            gone &= rustix::fs::unlinkat(directory, &name, AtFlags::REMOVEDIR) != Err(Errno::BUSY);
        }
        gone
    }
}

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

fn write(group: BorrowedFd<'_>, file: &str, value: &str) -> rustix::io::Result<()> {
    let file = rustix::fs::openat(group, file, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::io::write(&file, value.as_bytes()).map(drop)
}
