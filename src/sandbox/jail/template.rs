//! The file tree that every jail begins with, made once: each jail gets a copy of the helper's mounts for the price
//! of a clone, and adds only what must be its own (`/app`, `/tmp`, `/proc`).
//!
//! The order matters. Host paths are picked up first, as detached copies of their mounts, because after the root has
//! been exchanged they have no names; each copy is made read-only with everything below it *before* it is attached
//! where a job could ever look. The host's `/proc` stays, hidden under a directory nobody may enter, because the
//! kernel lets a user namespace mount a new `/proc` only beside a complete one; each jail unmounts it at once.
//!
//! What the host mounts in a shown directory later on arrives there with the host's own attributes. The next jails
//! restrict it when they are built; in those that stand already Landlock, and owning nothing there, keep a job from
//! writing to it, so where either is missing nothing arrives.
//!
//! Until the root is exchanged, an absolute link in the new root leads into the host's. So everything is placed by
//! descriptor, one name at a time, and no link is ever followed.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags,
    UnmountFlags,
};

use crate::sandbox::jail::protocol::Failure;
use crate::sandbox::jail::sys::{self, Reach};

/// Where the host's `/proc` stays while the jail's own is mounted.
pub(super) const HOST_PROC: &str = "/.host-proc";

/// Devices that a job sees: harmless, and all that compilers open.
const DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];

/// Users and groups that exist inside, so that `getpwuid` has an answer.
const PASSWD: &str = "root:x:0:0:root:/:/bin/false\nce:x:10240:10240:ce:/app:/bin/false\n";
const GROUP: &str = "root:x:0:\nce:x:10240:\n";

const READ_ONLY: u64 = MountAttrFlags::MOUNT_ATTR_RDONLY.bits() as u64;
const NO_SETUID: u64 = MountAttrFlags::MOUNT_ATTR_NOSUID.bits() as u64;
const NO_DEVICES: u64 = MountAttrFlags::MOUNT_ATTR_NODEV.bits() as u64;
const NO_EXECUTE: u64 = MountAttrFlags::MOUNT_ATTR_NOEXEC.bits() as u64;

/// Whether mounts made on the host later on, where the host shares them, appear in jails too. Never the other way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Propagation {
    /// They do, even in a jail that runs: an automounter's reply to a job comes from outside.
    FromHost,
    /// They do not.
    None,
}

/// What stands at a readable path.
enum Entry {
    /// A link, kept as one: `/bin` stays `usr/bin`.
    Link(PathBuf),
    /// A detached copy of a directory's mounts.
    Directory(OwnedFd),
    /// The same of a file.
    File(OwnedFd),
}

/// Exchanges the root of this process, which must be alone in its mount namespace, for the template.
pub(super) fn enter(readable: &[PathBuf], propagation: Propagation) -> Result<(), Failure> {
    let flags = match propagation {
        Propagation::FromHost => MountPropagationFlags::DOWNSTREAM,
        Propagation::None => MountPropagationFlags::PRIVATE,
    };
    rustix::mount::mount_change("/", flags | MountPropagationFlags::REC)
        .map_err(Failure::at("keep mounts from the host"))?;
    let entries = pick_up(readable)?;
    let devices = DEVICES.map(|name| copy_mount(&Path::new("/dev").join(name)).map(|copy| (name, copy)));
    let host_proc = copy_mount(Path::new("/proc")).map_err(Failure::at("copy the mount of /proc"))?;

    let root = scratch_mount(&[("mode", "755"), ("size", "1m"), ("nr_inodes", "4096")])
        .map_err(Failure::at("make the root's tmpfs"))?;
    attach(&root, Path::new("/")).map_err(Failure::at("attach the new root"))?;
    rustix::process::fchdir(&root).map_err(Failure::at("enter the new root"))?;

    for (path, entry) in entries {
        place(&root, &path, entry).map_err(Failure::at(format!("show {} in the jail", path.display())))?;
    }
    for device in devices {
        let (name, copy) = device.map_err(Failure::at("copy the mount of a device in /dev"))?;
        sys::restrict_mount(copy.as_fd(), NO_SETUID | NO_EXECUTE, Reach::One)
            .map_err(Failure::at("restrict a device"))?;
        place(&root, &Path::new("/dev").join(name), Entry::File(copy))
            .map_err(Failure::at(format!("show /dev/{name} in the jail")))?;
    }
    for name in ["app", "tmp", "proc"] {
        directory(&root, Path::new(name)).map_err(Failure::at(format!("create /{name} in the jail")))?;
    }
    let etc = directory(&root, Path::new("etc")).map_err(Failure::at("create /etc in the jail"))?;
    for (name, contents) in [("passwd", PASSWD), ("group", GROUP)] {
        let written = match new_file(&etc, Path::new(name)) {
            // One of the readable paths.
            Err(Errno::EXIST) => Ok(()),
            file => file.and_then(|file| rustix::io::write(&file, contents.as_bytes()).map(drop)),
        };
        written.map_err(Failure::at(format!("write /etc/{name} in the jail")))?;
    }
    place(&root, Path::new(HOST_PROC), Entry::Directory(host_proc))
        .map_err(Failure::at("keep /proc for later"))?;

    rustix::process::pivot_root(".", ".").map_err(Failure::at("exchange the root"))?;
    rustix::mount::unmount(".", UnmountFlags::DETACH).map_err(Failure::at("unmount the host's root"))?;
    rustix::process::chdir("/").map_err(Failure::at("enter the new root"))?;
    let root = rustix::fs::open("/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .map_err(Failure::at("open the new root"))?;
    sys::restrict_mount(root.as_fd(), READ_ONLY | NO_SETUID | NO_DEVICES, Reach::One)
        .map_err(Failure::at("make the new root read-only"))
}

/// Restricts whatever the host has mounted in the template since; in a new jail, before it has mounts of its own. One
/// call at the root reaches all of it, and nothing is walked to but our own `/dev`, where devices are meant to be: on
/// the way to a place on a network file system this could hang.
pub(super) fn restrict() -> io::Result<()> {
    let root = rustix::fs::open("/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    sys::restrict_mount(root.as_fd(), READ_ONLY | NO_SETUID | NO_DEVICES, Reach::Tree)?;
    for name in DEVICES {
        let device =
            rustix::fs::open(Path::new("/dev").join(name), OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        sys::relax_mount(device.as_fd(), NO_DEVICES)?;
    }
    Ok(())
}

/// A tmpfs that is mounted nowhere yet.
pub(super) fn scratch_mount(options: &[(&str, &str)]) -> rustix::io::Result<OwnedFd> {
    let context = rustix::mount::fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (key, value) in options {
        rustix::mount::fsconfig_set_string(context.as_fd(), *key, *value)?;
    }
    rustix::mount::fsconfig_create(context.as_fd())?;
    rustix::mount::fsmount(
        context.as_fd(),
        FsMountFlags::FSMOUNT_CLOEXEC,
        MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV,
    )
}

/// Attaches a detached mount.
pub(super) fn attach(mount: &OwnedFd, path: &Path) -> rustix::io::Result<()> {
    rustix::mount::move_mount(mount.as_fd(), "", CWD, path, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
}

/// Every readable path that exists, once: what lies below another is there with it.
fn pick_up(readable: &[PathBuf]) -> Result<Vec<(PathBuf, Entry)>, Failure> {
    let mut entries: Vec<(PathBuf, Entry)> = Vec::new();
    for path in readable.iter().collect::<BTreeSet<_>>() {
        let below_a_link =
            entries.iter().any(|(above, entry)| matches!(entry, Entry::Link(_)) && path.starts_with(above));
        // The jail has that link too: what is behind it goes where it leads.
        let path = if below_a_link { behind_links(path) } else { Some(path.clone()) };
        let Some(path) = path else { continue };
        let covered = |(above, entry): &(PathBuf, Entry)| {
            path == *above || matches!(entry, Entry::Directory(_)) && path.starts_with(above)
        };
        if entries.iter().any(covered) {
            continue;
        }
        let entry = entry(&path).map_err(Failure::at(format!("copy the mount of {}", path.display())))?;
        entries.extend(entry.map(|entry| (path, entry)));
    }
    Ok(entries)
}

/// A path without links in its directory's name; nothing if it is not there.
fn behind_links(path: &Path) -> Option<PathBuf> {
    Some(fs::canonicalize(path.parent()?).ok()?.join(path.file_name()?))
}

fn entry(path: &Path) -> io::Result<Option<Entry>> {
    let kind = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata.file_type(),
        // What this user may not even look at, its jobs cannot use.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    if kind.is_symlink() {
        return Ok(Some(Entry::Link(fs::read_link(path)?)));
    }
    let copy = copy_mount(path)?;
    sys::restrict_mount(copy.as_fd(), READ_ONLY | NO_SETUID | NO_DEVICES, Reach::Tree)?;
    Ok(Some(if kind.is_dir() { Entry::Directory(copy) } else { Entry::File(copy) }))
}

fn copy_mount(path: &Path) -> rustix::io::Result<OwnedFd> {
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    rustix::mount::open_tree(CWD, path, flags)
}

/// Puts an entry at its absolute path below the new root.
fn place(root: &OwnedFd, path: &Path, entry: Entry) -> io::Result<()> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let parent = directory(root, parent)?;
    match entry {
        Entry::Link(target) => Ok(rustix::fs::symlinkat(target, &parent, name)?),
        Entry::Directory(mount) => Ok(cover(&mount, directory(&parent, Path::new(name))?.as_fd())?),
        Entry::File(mount) => Ok(cover(&mount, new_file(&parent, Path::new(name))?.as_fd())?),
    }
}

/// Opens a directory below another, after making what is missing on the way.
fn directory(above: &OwnedFd, path: &Path) -> rustix::io::Result<OwnedFd> {
    let mut here = rustix::io::fcntl_dupfd_cloexec(above, 3)?;
    for component in path.components() {
        let name = match component {
            Component::RootDir | Component::CurDir => continue,
            Component::Normal(name) => name,
            Component::ParentDir | Component::Prefix(_) => return Err(Errno::INVAL),
        };
        match rustix::fs::mkdirat(&here, name, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error),
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        here = rustix::fs::openat(&here, name, flags, Mode::empty())?;
    }
    Ok(here)
}

/// Creates an empty file, which nothing stood in the place of.
fn new_file(directory: &OwnedFd, name: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(directory, name, flags, Mode::from_raw_mode(0o644))
}

/// Attaches a detached mount over an open file or directory.
fn cover(mount: &OwnedFd, place: BorrowedFd<'_>) -> rustix::io::Result<()> {
    let by_descriptor = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(mount.as_fd(), "", place, "", by_descriptor)
}

/// Makes nothing in a mount executable.
pub(super) fn forbid_execution(mount: &OwnedFd) -> io::Result<()> {
    sys::restrict_mount(mount.as_fd(), NO_EXECUTE, Reach::One)
}
