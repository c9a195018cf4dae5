//! What a daemon holds of the machine, taken down while it runs and looked for after its end.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// How long the kernel may take to finish with processes that are dying.
const GRACE: Duration = Duration::from_secs(2);

/// One process, told from a later one with the same number by its time of birth.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    born: u64,
    command: String,
}

/// Processes and control groups of one daemon.
#[derive(Debug)]
pub(crate) struct Leftovers {
    daemon: u32,
    /// Its descendants, at the time of looking.
    pub(crate) processes: BTreeSet<Process>,
}

/// The numbers of `/proc/PID/stat` that matter here.
struct Stat {
    parent: u32,
    group: u32,
    dead: bool,
    born: u64,
}

impl Process {
    /// The file name of the program.
    pub(crate) fn name(&self) -> &str {
        let program = self.command.split('\0').next().unwrap_or_default();
        program.rsplit('/').next().unwrap_or_default()
    }

    fn is_alive(&self) -> bool {
        stat(self.pid).is_some_and(|stat| stat.born == self.born && !stat.dead)
    }
}

impl Leftovers {
    /// What the process `daemon` has started.
    pub(crate) fn of(daemon: u32) -> Self {
        let all: Vec<(u32, Stat)> = numbers().filter_map(|pid| Some((pid, stat(pid)?))).collect();
        let mut family = BTreeSet::from([daemon]);
        // A child may have a smaller number than its parent, so one pass is not enough; each pass finds at least one.
        while let Some((pid, _)) =
            all.iter().find(|(pid, stat)| family.contains(&stat.parent) && !family.contains(pid))
        {
            family.insert(*pid);
        }
        let members = all.iter().filter(|(pid, stat)| *pid != daemon && !stat.dead && family.contains(pid));
        let processes =
            members.map(|(pid, stat)| Process { pid: *pid, born: stat.born, command: command(*pid) });
        Self { daemon, processes: processes.collect() }
    }

    /// The process that was there before all others.
    pub(crate) fn eldest(&self) -> &Process {
        self.processes.iter().min_by_key(|process| (process.born, process.pid)).unwrap()
    }

    /// Those of the processes that still live, and any that joined their process groups since.
    pub(crate) fn alive(&self) -> Vec<Process> {
        let groups: BTreeSet<u32> = self.processes.iter().map(|process| process.pid).collect();
        let joined = numbers().filter_map(|pid| {
            let stat = stat(pid)?;
            let ours = groups.contains(&stat.group) && !stat.dead;
            ours.then(|| Process { pid, born: stat.born, command: command(pid) })
        });
        let known = self.processes.iter().filter(|process| process.is_alive()).cloned();
        known.chain(joined).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Control groups that the daemon made and that still exist.
    pub(crate) fn groups(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        collect(Path::new("/sys/fs/cgroup"), &format!("{}-", self.daemon), 6, &mut found);
        found
    }

    /// Waits a moment for everything to be gone.
    pub(crate) async fn assert_gone(&self) {
        let begun = Instant::now();
        loop {
            let (alive, groups) = (self.alive(), self.groups());
            if alive.is_empty() && groups.is_empty() {
                return;
            }
            assert!(begun.elapsed() < GRACE, "left behind: {alive:?} {groups:?}");
            sleep(Duration::from_millis(10)).await;
        }
    }
}

fn numbers() -> impl Iterator<Item = u32> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn command(pid: u32) -> String {
    let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Nothing for a process that has gone.
fn stat(pid: u32) -> Option<Stat> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in parentheses and may hold anything.
    let fields: Vec<&str> = text[text.rfind(')')? + 1..].split_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some(Stat {
        parent: u32::try_from(number(1)?).ok()?,
        group: u32::try_from(number(2)?).ok()?,
        dead: matches!(*fields.first()?, "Z" | "X"),
        born: number(19)?,
    })
}

/// Directories below `compilation-worker` whose name begins with `prefix`.
fn collect(directory: &Path, prefix: &str, depth: usize, found: &mut Vec<PathBuf>) {
    let Some(depth) = depth.checked_sub(1) else { return };
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    let ours = directory.file_name().is_some_and(|name| name == "compilation-worker");
    for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        if ours && entry.file_name().to_string_lossy().starts_with(prefix) {
            found.push(entry.path());
        } else if !ours {
            collect(&entry.path(), prefix, depth, found);
        }
    }
}
