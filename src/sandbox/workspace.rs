//! What a job left in its directory, read as what it is: written by an enemy.
//!
//! Nothing is opened but beneath the directory, following no link and crossing no mount; only regular files are
//! read, and only up to a cap. A FIFO or a device opened without blocking is closed again unread. When a workspace
//! can be had, every process of its job is dead, so nothing can change between a look and a read.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use tokio::io::AsyncReadExt;

use crate::domain::class::{Class, Classify};
use crate::domain::path::JobPath;
use crate::sandbox::bare::TempDirectory;
use crate::sandbox::spec::WORK_DIR;

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Larger than the caller takes.
    #[error("the file {path} has {size} bytes, more than the {cap} that are read")]
    TooLarge {
        /// Which.
        path: JobPath,
        /// Its size.
        size: u64,
        /// The most the caller takes.
        cap: u64,
    },
    /// The system would not.
    #[error("could not read the file {path} that a job wrote")]
    Io {
        /// Which.
        path: JobPath,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Classify for ReadError {
    fn class(&self) -> Class {
        match self {
            Self::TooLarge { .. } => Class::TooLarge,
            Self::Io { .. } => Class::Internal,
        }
    }
}

/// The directory of a job that is over. It vanishes when this is dropped, and only then does the helper build the
/// jail that takes its place: do not keep it longer than it takes to read.
#[derive(Debug)]
pub struct Workspace {
    // Closed before the place is given up: the last to close pays for freeing the files, and that is the helper.
    directory: OwnedFd,
    place: Place,
}

#[derive(Debug)]
enum Place {
    /// A tmpfs in a jail; the socket is the lease on it.
    Jail { _lease: OwnedFd },
    /// A directory of this machine.
    Bare(TempDirectory),
}

impl Workspace {
    pub(super) fn jailed(directory: OwnedFd, lease: OwnedFd) -> Self {
        Self { directory, place: Place::Jail { _lease: lease } }
    }

    pub(super) fn bare(directory: OwnedFd, place: TempDirectory) -> Self {
        Self { directory, place: Place::Bare(place) }
    }

    /// The job's own name for its directory.
    pub fn directory(&self) -> &str {
        match &self.place {
            Place::Jail { .. } => WORK_DIR,
            Place::Bare(directory) => directory.path().to_str().unwrap_or(WORK_DIR),
        }
    }

    /// The contents of a file, if there is one by that name and it is a regular file.
    pub async fn read(&self, path: &JobPath, cap: u64) -> Result<Option<Vec<u8>>, ReadError> {
        let Some((file, size)) = open_beneath(&self.directory, path, cap)? else { return Ok(None) };
        let failed = |source| ReadError::Io { path: path.clone(), source };
        let mut contents = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
        if size <= AT_ONCE {
            file.take(cap).read_to_end(&mut contents).map_err(failed)?;
        } else {
            let file = tokio::fs::File::from_std(file);
            file.take(cap).read_to_end(&mut contents).await.map_err(failed)?;
        }
        Ok(Some(contents))
    }
}

/// Up to here a file in memory is copied faster than a thread is found for it: 0.1 ms.
const AT_ONCE: u64 = 512 * 1024;

/// A regular file and its size, which is at most `cap`.
pub(super) fn open_beneath(
    directory: &OwnedFd,
    path: &JobPath,
    cap: u64,
) -> Result<Option<(File, u64)>, ReadError> {
    use rustix::io::Errno;
    let io = |source: io::Error| ReadError::Io { path: path.clone(), source };
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::NOCTTY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH
        | ResolveFlags::NO_SYMLINKS
        | ResolveFlags::NO_MAGICLINKS
        | ResolveFlags::NO_XDEV;
    let file = match rustix::fs::openat2(directory, path.as_path(), flags, Mode::empty(), resolve) {
        Ok(file) => file,
        // Not there; a link somewhere on the way; a socket or a device without a driver; not for us to read.
        Err(
            Errno::NOENT
            | Errno::NOTDIR
            | Errno::LOOP
            | Errno::XDEV
            | Errno::NXIO
            | Errno::NODEV
            | Errno::ACCESS
            | Errno::PERM,
        ) => {
            return Ok(None);
        }
        Err(error) => return Err(io(error.into())),
    };
    let status = rustix::fs::fstat(&file).map_err(|error| io(error.into()))?;
    if FileType::from_raw_mode(status.st_mode) != FileType::RegularFile {
        return Ok(None);
    }
    let size = u64::try_from(status.st_size).unwrap_or(u64::MAX);
    if size > cap {
        return Err(ReadError::TooLarge { path: path.clone(), size, cap });
    }
    Ok(Some((File::from(file), size)))
}
