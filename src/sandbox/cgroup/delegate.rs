//! The daemon's part at start-up: a directory per hierarchy that the helper's user may make groups in.
//!
//! A directory is called `compilation-worker/<process id>-<random>`: in containers every daemon has the same process
//! id, and a directory taken over from a dead one would bring its counters along. Its daemon holds a lock on it, which
//! ends with the process however that ends: what nobody has locked is a leftover, and removed on the way.
//!
//! Version 2 wants processes only in leaves: before its own directory can have limited children, the daemon moves
//! itself into one.

use std::fs;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, Mode, OFlags};
use tokio::time::Instant;

use crate::sandbox::cgroup::{Controller, Delegation, Version};
use crate::sandbox::never_mind;

/// The one name under which all daemons keep their directories.
const OURS: &str = "compilation-worker";
/// The leaf that the daemon itself moves to.
const DAEMON: &str = "compilation-worker.daemon";
/// The leaf that the helper is moved to.
const HELPER: &str = "helper";

/// How long the groups of the dead may resist at start-up, all together: nobody is served meanwhile, and no other daemon
/// can start. The next start tries again.
const SWEEPING: Duration = Duration::from_millis(200);
/// How long our own may resist at the end. Death and the kernel's accounts of it take a moment each; on a busy machine
/// up to a second.
const LEAVING: Duration = Duration::from_secs(2);

/// Why there are no cgroups.
#[derive(Debug, thiserror::Error)]
pub enum NoCgroups {
    /// The kernel's own account could not be read.
    #[error("could not read {path}")]
    Unreadable {
        /// Which.
        path: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No hierarchy has what is needed.
    #[error("no cgroup hierarchy with the controller {0} is mounted here")]
    Missing(&'static str),
    /// There is one, but not for us.
    #[error("could not {step} {}", .path.display())]
    Denied {
        /// What was being done.
        step: &'static str,
        /// To what.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

fn denied<'a>(step: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> NoCgroups + 'a {
    move |source| NoCgroups::Denied { step, path: path.to_owned(), source }
}

/// Directories that were made for this daemon. They are removed when this is dropped, after the last jail.
#[derive(Debug)]
pub(in crate::sandbox) struct Delegated {
    pub(in crate::sandbox) delegation: Delegation,
    /// The proof to other daemons that this one lives.
    locks: Vec<OwnedFd>,
}

/// A mounted hierarchy, as `/proc/self/mountinfo` tells.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Hierarchy {
    version: Version,
    root: String,
    mount: PathBuf,
    options: Vec<String>,
}

/// Where this process is, in the hierarchies that have what is needed.
#[derive(Debug)]
struct Place {
    version: Version,
    directories: Vec<(Controller, PathBuf)>,
}

/// Makes the directories, for `owner` (user and group) if that is not this process.
pub(in crate::sandbox) fn delegate(
    parent: Option<&Path>,
    owner: Option<u32>,
) -> Result<Delegated, NoCgroups> {
    let Place { version, directories } = find(parent)?;
    if version == Version::V2
        && parent.is_none()
        && let Some((_, own)) = directories.first()
    {
        leave(own)?;
    }
    let delegation = Delegation { version, directories: Vec::new() };
    let mut delegated = Delegated { delegation, locks: Vec::new() };
    let mut claimed: Vec<(PathBuf, PathBuf)> = Vec::new();
    for (controller, own) in directories {
        let mine = if let Some((_, mine)) = claimed.iter().find(|(claimed, _)| *claimed == own) {
            mine.clone()
        } else {
            let (mine, lock) = claim(&own, version, owner)?;
            delegated.locks.push(lock);
            mine
        };
        delegated.delegation.directories.push((controller, mine.clone()));
        claimed.push((own, mine));
    }
    Ok(delegated)
}

/// Says where groups would be made, and touches nothing.
pub(in crate::sandbox) fn look(parent: Option<&Path>) -> Result<String, NoCgroups> {
    let Place { version, directories } = find(parent)?;
    let mut places: Vec<String> = directories.iter().map(|(_, path)| path.display().to_string()).collect();
    places.dedup();
    for (_, path) in &directories {
        rustix::fs::access(path, rustix::fs::Access::WRITE_OK)
            .map_err(|error| denied("make groups in", path)(error.into()))?;
    }
    let version = match version {
        Version::V1 => 1,
        Version::V2 => 2,
    };
    Ok(format!("version {version}, {}", places.join(", ")))
}

fn find(parent: Option<&Path>) -> Result<Place, NoCgroups> {
    let read = |path| fs::read_to_string(path).map_err(|source| NoCgroups::Unreadable { path, source });
    let hierarchies = hierarchies(&read("/proc/self/mountinfo")?);
    let memberships = read("/proc/self/cgroup")?;
    let unified = || {
        let hierarchy = hierarchies.iter().find(|hierarchy| hierarchy.version == Version::V2)?;
        own_directory(hierarchy, &memberships, "")
    };
    let unified = parent.map(Path::to_owned).or_else(unified).filter(|directory| has_controllers(directory));
    if let Some(directory) = unified {
        let controllers = Controller::ALL.into_iter().filter(|controller| *controller != Controller::Cpuacct);
        let directories = controllers.map(|controller| (controller, directory.clone())).collect();
        return Ok(Place { version: Version::V2, directories });
    }
    let mut directories = Vec::new();
    for controller in Controller::ALL {
        let own = hierarchies
            .iter()
            .filter(|hierarchy| hierarchy.version == Version::V1)
            .find(|hierarchy| hierarchy.options.iter().any(|option| option == controller.as_str()))
            .and_then(|hierarchy| own_directory(hierarchy, &memberships, controller.as_str()));
        match own {
            Some(own) => directories.push((controller, own)),
            None if controller.required() => return Err(NoCgroups::Missing(controller.as_str())),
            None => {}
        }
    }
    Ok(Place { version: Version::V1, directories })
}

impl Delegated {
    /// Puts the helper where its clones may be born into groups beside it. Version 1 asks for no such thing.
    pub(in crate::sandbox) fn admit(&self, helper: u32) -> Result<(), NoCgroups> {
        if self.delegation.version == Version::V1 {
            return Ok(());
        }
        for directory in self.delegation.distinct() {
            let leaf = directory.join(HELPER);
            make(&leaf)?;
            fs::write(leaf.join("cgroup.procs"), helper.to_string())
                .map_err(denied("move the jail helper to", &leaf))?;
        }
        Ok(())
    }
}

impl Drop for Delegated {
    fn drop(&mut self) {
        remove_trees(self.delegation.distinct().into_iter().cloned().collect(), LEAVING);
    }
}

/// Takes this process out of its own directory, so that the directory may have limited children. The root of all
/// may have both.
fn leave(own: &Path) -> Result<(), NoCgroups> {
    if own.join("cgroup.type").exists() {
        let leaf = own.join(DAEMON);
        make(&leaf)?;
        fs::write(leaf.join("cgroup.procs"), "0").map_err(denied("move this process to", &leaf))?;
    }
    Ok(())
}

/// Makes and locks this daemon's directory, and sweeps those of daemons that are gone.
fn claim(own: &Path, version: Version, owner: Option<u32>) -> Result<(PathBuf, OwnedFd), NoCgroups> {
    let all = own.join(OURS);
    let mine = all.join(fresh_name().map_err(denied("name a directory in", &all))?);
    if version == Version::V2 {
        pass_on(own)?;
    }
    make(&all)?;
    // One at a time: what another daemon has just made, and not yet locked, must not be swept.
    let _turn = lock(&all, FlockOperation::LockExclusive).map_err(denied("lock", &all))?;
    sweep(&all);
    if version == Version::V2 {
        pass_on(&all)?;
    }
    fs::create_dir(&mine).map_err(denied("create the cgroup", &mine))?;
    let lock = lock(&mine, FlockOperation::NonBlockingLockExclusive).map_err(denied("lock", &mine))?;
    if version == Version::V2 {
        pass_on(&mine)?;
    }
    for path in [mine.clone(), mine.join("cgroup.procs"), mine.join("cgroup.subtree_control")] {
        if owner.is_some() && path.exists() {
            std::os::unix::fs::chown(&path, owner, owner)
                .map_err(denied("give to the jail helper", &path))?;
        }
    }
    Ok((mine, lock))
}

fn fresh_name() -> io::Result<String> {
    let mut random = [0; 4];
    rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())?;
    Ok(format!("{}-{:08x}", std::process::id(), u32::from_ne_bytes(random)))
}

/// Locks a directory, until what comes back is closed.
fn lock(directory: &Path, operation: FlockOperation) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(directory, flags, Mode::empty())?;
    rustix::fs::flock(&opened, operation)?;
    Ok(opened)
}

/// Lets the children of a version 2 directory have limits. The CPU controller is welcome, not required.
fn pass_on(directory: &Path) -> Result<(), NoCgroups> {
    let file = directory.join("cgroup.subtree_control");
    fs::write(&file, "+memory +pids").map_err(denied("enable the memory and pids controllers in", &file))?;
    match fs::write(&file, "+cpu") {
        Ok(()) | Err(_) => Ok(()),
    }
}

fn make(directory: &Path) -> Result<(), NoCgroups> {
    match fs::create_dir(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(denied("create the cgroup", directory)(error))
        }
        _ => Ok(()),
    }
}

/// Removes the directories of daemons that no longer run.
fn sweep(all: &Path) {
    let Ok(entries) = fs::read_dir(all) else { return };
    let is_dead = |entry: &fs::DirEntry| {
        let name = entry.file_name();
        let process = name.to_str().and_then(|name| name.split_once('-')?.0.parse::<u32>().ok());
        process.is_some() && lock(&entry.path(), FlockOperation::NonBlockingLockExclusive).is_ok()
    };
    remove_trees(entries.flatten().filter(is_dead).map(|entry| entry.path()).collect(), SWEEPING);
}

/// Kills what is left in the directories' groups and removes them. What resists for longer than `patience` is left.
fn remove_trees(mut directories: Vec<PathBuf>, patience: Duration) {
    const PAUSE: Duration = Duration::from_millis(5);
    let begun = Instant::now();
    loop {
        directories.retain(|directory| !remove_tree(directory));
        if directories.is_empty() || begun.elapsed() >= patience {
            return;
        }
        std::thread::sleep(PAUSE);
    }
}

/// Tries once; whether the directory is gone.
fn remove_tree(directory: &Path) -> bool {
    let groups = fs::read_dir(directory).into_iter().flatten().flatten();
    let groups: Vec<PathBuf> = groups.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    for group in &groups {
        kill_members(group);
    }
    let left = groups.iter().filter(|group| fs::remove_dir(group).is_err()).count();
    left == 0 && fs::remove_dir(directory).is_ok()
}

fn kill_members(group: &Path) {
    let kill = fs::OpenOptions::new().write(true).open(group.join("cgroup.kill"));
    if kill.and_then(|mut file| file.write_all(b"1")).is_ok() {
        return;
    }
    let members = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    for process in
        members.lines().filter_map(|line| line.parse().ok()).filter_map(rustix::process::Pid::from_raw)
    {
        // It may be gone already, which is as good.
        never_mind(rustix::process::kill_process(process, rustix::process::Signal::KILL));
    }
}

fn has_controllers(directory: &Path) -> bool {
    let controllers = fs::read_to_string(directory.join("cgroup.controllers")).unwrap_or_default();
    let has = |name: &str| controllers.split_whitespace().any(|controller| controller == name);
    Controller::ALL
        .iter()
        .filter(|controller| controller.required())
        .all(|controller| has(controller.as_str()))
}

/// Every cgroup hierarchy in a mount table.
fn hierarchies(mountinfo: &str) -> Vec<Hierarchy> {
    mountinfo.lines().filter_map(hierarchy).collect()
}

fn hierarchy(line: &str) -> Option<Hierarchy> {
    let (place, kind) = line.split_once(" - ")?;
    let mut place = place.split(' ').skip(3);
    let (root, mount) = (place.next()?, place.next()?);
    let mut kind = kind.split(' ');
    let version = match kind.next()? {
        "cgroup" => Version::V1,
        "cgroup2" => Version::V2,
        _ => return None,
    };
    let options = kind.nth(1)?.split(',').map(str::to_owned).collect();
    Some(Hierarchy { version, root: root.to_owned(), mount: PathBuf::from(mount), options })
}

/// Where this process is in a hierarchy. `controller` is empty for version 2.
fn own_directory(hierarchy: &Hierarchy, memberships: &str, controller: &str) -> Option<PathBuf> {
    let path = memberships.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        fields.next()?.split(',').any(|name| name == controller).then_some(())?;
        fields.next()
    })?;
    // A container may see only its own part of the hierarchy mounted, but its full path here.
    let below = match hierarchy.root.as_str() {
        "/" => path,
        root => path.strip_prefix(root).unwrap_or(path),
    };
    let directory = hierarchy.mount.join(below.trim_start_matches('/'));
    directory.is_dir().then_some(directory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn mount_tables_are_understood() {
        let table = "\
24 1 0:22 / /proc rw,relatime - proc proc rw
31 28 0:26 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
32 28 0:27 /docker/ab /sys/fs/cgroup/cpu rw shared:9 - cgroup cgroup rw,cpu,cpuacct
33 28 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate
broken line";
        let found = hierarchies(table);
        assert_eq!(found.len(), 3);
        assert_eq!((found[0].version, found[0].options[1].as_str()), (Version::V1, "memory"));
        assert_eq!(
            (found[1].root.as_str(), found[1].mount.as_path()),
            ("/docker/ab", Path::new("/sys/fs/cgroup/cpu"))
        );
        assert_eq!(found[2].version, Version::V2);
    }

    #[test]
    fn ones_own_directory_is_found() {
        let here = tempfile::tempdir().unwrap();
        fs::create_dir_all(here.path().join("a/b")).unwrap();
        let hierarchy = |root: &str| Hierarchy {
            version: Version::V1,
            root: root.to_owned(),
            mount: here.path().to_owned(),
            options: Vec::new(),
        };
        let memberships = "5:cpu,cpuacct:/a\n4:memory:/a/b\n0::/gone\n";
        let own = |root: &str, controller: &str| own_directory(&hierarchy(root), memberships, controller);
        assert_eq!(own("/", "memory"), Some(here.path().join("a/b")));
        assert_eq!(own("/", "cpuacct"), Some(here.path().join("a")));
        assert_eq!(own("/a/b", "memory"), Some(here.path().to_owned()));
        assert_eq!(own("/", "pids"), None);
        assert_eq!(own("/", ""), None, "a directory that is not there");
    }

    #[test]
    fn only_what_the_dead_left_is_swept() {
        let all = tempfile::tempdir().unwrap();
        // A leftover may have the number of a process that lives, in a container even our own.
        let namesake = format!("{}-0", std::process::id());
        for name in ["4194305-0/7", "4194305-1", namesake.as_str(), "4194306-0", "not-ours"] {
            fs::create_dir_all(all.path().join(name)).unwrap();
        }
        let _alive = lock(&all.path().join("4194306-0"), FlockOperation::NonBlockingLockExclusive).unwrap();
        sweep(all.path());
        let mut left: Vec<_> = fs::read_dir(all.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, ["4194306-0", "not-ours"]);
    }

    #[test]
    fn stubborn_leftovers_hold_up_neither_the_start_nor_each_other() {
        let all = tempfile::tempdir().unwrap();
        for number in 0..9 {
            // A directory of files is none that can be removed, as a group that still has members.
            let group = all.path().join(format!("4194305-{number}")).join("7");
            fs::create_dir_all(&group).unwrap();
            if number != 4 {
                fs::write(group.join("member"), "").unwrap();
            }
        }
        let begun = Instant::now();
        sweep(all.path());
        let took = begun.elapsed();
        assert!((SWEEPING..SWEEPING * 5).contains(&took), "it took {took:?}");
        assert_eq!(fs::read_dir(all.path()).unwrap().count(), 8);
        assert!(!all.path().join("4194305-4").exists());
    }

    #[test]
    fn no_name_is_used_twice() {
        assert_ne!(fresh_name().unwrap(), fresh_name().unwrap());
    }

    proptest! {
        #[test]
        fn no_table_makes_it_panic(text in "[a-z0-9:/ ,\n\u{e9}\u{1f600}\0\r\u{1b}-]{0,120}") {
            for hierarchy in hierarchies(&text) {
                own_directory(&hierarchy, &text, "memory");
            }
        }
    }
}
