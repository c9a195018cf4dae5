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
    /// Each once, where controllers share a hierarchy.
    distinct: Vec<OwnedFd>,
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
        let distinct = delegation.distinct();
        let distinct = distinct.into_iter().map(|path| rustix::fs::open(path, DIRECTORY, Mode::empty()));
        let distinct = distinct.collect::<rustix::io::Result<_>>()?;
        Ok(Self { version: delegation.version, directories, distinct, limits })
    }

    /// Makes the group of a jail, with the limits that most jobs have.
    pub(in crate::sandbox) fn make(&self, serial: u64) -> rustix::io::Result<Born> {
        let name = serial.to_string();
        for directory in &self.distinct {
            make_anew(directory.as_fd(), &name)?;
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
        for directory in &self.distinct {
            gone &= rustix::fs::unlinkat(directory, &name, AtFlags::REMOVEDIR) != Err(Errno::BUSY);
        }
        gone
    }
}

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Makes a group that has counted nothing yet.
fn make_anew(directory: BorrowedFd<'_>, name: &str) -> rustix::io::Result<()> {
    let make = || rustix::fs::mkdirat(directory, name, Mode::from_raw_mode(0o755));
    match make() {
        Err(Errno::EXIST) => {
            rustix::fs::unlinkat(directory, name, AtFlags::REMOVEDIR)?;
            make()
        }
        outcome => outcome,
    }
}

fn write(group: BorrowedFd<'_>, file: &str, value: &str) -> rustix::io::Result<()> {
    let file = rustix::fs::openat(group, file, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::io::write(&file, value.as_bytes()).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_never_one_that_was_there() {
        let parent = tempfile::tempdir().unwrap();
        let directory = rustix::fs::open(parent.path(), DIRECTORY, Mode::empty()).unwrap();
        std::fs::create_dir(parent.path().join("7")).unwrap();
        let old = rustix::fs::openat(&directory, "7", DIRECTORY, Mode::empty()).unwrap();
        make_anew(directory.as_fd(), "7").unwrap();
        assert!(parent.path().join("7").is_dir());
        assert_eq!(rustix::fs::fstat(&old).unwrap().st_nlink, 0, "the old one is gone");
        std::fs::create_dir(parent.path().join("7/full")).unwrap();
        assert_eq!(make_anew(directory.as_fd(), "7"), Err(Errno::NOTEMPTY));
    }
}
