//! What a daemon holds: compared before and after, it tells what was left behind.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The control groups' mount points, in either version.
const CGROUPS: &str = "/sys/fs/cgroup";

/// Everything countable about a daemon at rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Census {
    /// Open descriptors of the daemon.
    daemon: usize,
    /// Open descriptors of the helper; an ordinary user may not look.
    helper: Option<usize>,
    /// Processes below the daemon, the helper included.
    processes: usize,
    /// Those of them that are dead and not reaped.
    zombies: usize,
    /// Mounts that the daemon sees.
    mounts: usize,
    /// Mounts that the helper sees, likewise.
    template: Option<usize>,
    /// Control groups of jails.
    groups: usize,
}

impl Census {
    /// Of the daemon with this process id; `None` in a moment when a process vanishes while being looked at.
    pub(super) fn take(daemon: u32) -> Option<Self> {
        let helper = helper(daemon)?;
        let below = descendants(daemon);
        let dead = |process: &&u32| status(**process).is_some_and(|status| status.contains("State:\tZ"));
        Some(Self {
            daemon: entries(&proc(daemon, "fd"))?,
            helper: entries(&proc(helper, "fd")),
            processes: below.len(),
            zombies: below.iter().filter(dead).count(),
            mounts: fs::read_to_string(proc(daemon, "mountinfo")).ok()?.lines().count(),
            template: fs::read_to_string(proc(helper, "mountinfo")).ok().map(|mounts| mounts.lines().count()),
            groups: groups(&children(helper)),
        })
    }
}

/// The helper among the daemon's children.
pub(super) fn helper(daemon: u32) -> Option<u32> {
    let is_helper = |process: &u32| {
        fs::read_to_string(proc(*process, "cmdline")).is_ok_and(|line| line.contains("jail-helper"))
    };
    children(daemon).into_iter().find(is_helper)
}

/// Command lines of all processes below `process`, with spaces between the words.
pub(super) fn commands_below(process: u32) -> Vec<String> {
    let command = |process: u32| fs::read_to_string(proc(process, "cmdline")).ok();
    descendants(process).into_iter().filter_map(command).map(|line| line.replace('\0', " ")).collect()
}

fn proc(process: u32, file: &str) -> PathBuf {
    Path::new("/proc").join(process.to_string()).join(file)
}

fn status(process: u32) -> Option<String> {
    fs::read_to_string(proc(process, "status")).ok()
}

fn entries(directory: &Path) -> Option<usize> {
    Some(fs::read_dir(directory).ok()?.count())
}

fn children(of: u32) -> Vec<u32> {
    let line = format!("PPid:\t{of}");
    let numbers =
        fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    numbers
        .filter(|process| status(*process).is_some_and(|status| status.lines().any(|it| it == line)))
        .collect()
}

fn descendants(of: u32) -> Vec<u32> {
    let mut found = children(of);
    let mut next = 0;
    while let Some(process) = found.get(next) {
        found.extend(children(*process));
        next += 1;
    }
    found
}

/// All groups beside those that these jails are in.
fn groups(jails: &[u32]) -> usize {
    let mut parents = BTreeSet::new();
    for jail in jails {
        for line in fs::read_to_string(proc(*jail, "cgroup")).unwrap_or_default().lines() {
            let mut parts = line.splitn(3, ':').skip(1);
            let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
            let group = Path::new(CGROUPS).join(controllers).join(path.trim_start_matches('/'));
            parents.extend(group.parent().filter(|parent| is_of_a_daemon(parent)).map(Path::to_path_buf));
        }
    }
    let directories = |parent: &PathBuf| {
        fs::read_dir(parent).map_or(0, |all| all.flatten().filter(|entry| entry.path().is_dir()).count())
    };
    parents.iter().map(directories).sum()
}

/// Whether a control group is one that a daemon made for its jails.
fn is_of_a_daemon(group: &Path) -> bool {
    group.components().any(|part| part.as_os_str() == "compilation-worker")
}
