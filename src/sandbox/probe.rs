//! What this machine supports, found out without building anything: for `doctor`, and for the advice in errors.

use std::fs;
use std::io;
use std::path::Path;

use rustix::fs::{OFlags, ResolveFlags};
use serde::Serialize;

use crate::sandbox::cgroup;
use crate::sandbox::jail::filter::{self, Architecture};
use crate::sandbox::jail::sys;
use crate::sandbox::spec::Mode;

/// How a finding bears on a jail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// As it should be.
    Ok,
    /// A jail works, with one wall less.
    Warn,
    /// No jail can be built.
    Fail,
}

/// One thing looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub name: &'static str,
    /// How it bears on a jail.
    pub grade: Grade,
    /// What was found.
    pub detail: String,
    /// What to do about it; empty if nothing.
    pub fix: &'static str,
}

/// A kernel setting that forbids user namespaces at one value.
struct Switch {
    name: &'static str,
    path: &'static str,
    forbids: &'static str,
    /// Whether root is free of it.
    spares_root: bool,
    fix: &'static str,
}

const SWITCHES: [Switch; 3] = [
    Switch {
        name: "user.max_user_namespaces",
        path: "/proc/sys/user/max_user_namespaces",
        forbids: "0",
        spares_root: false,
        fix: "allow user namespaces: sysctl -w user.max_user_namespaces=10000",
    },
    Switch {
        name: "kernel.unprivileged_userns_clone",
        path: "/proc/sys/kernel/unprivileged_userns_clone",
        forbids: "0",
        spares_root: true,
        fix: "allow user namespaces to ordinary users: sysctl -w kernel.unprivileged_userns_clone=1",
    },
    Switch {
        name: "kernel.apparmor_restrict_unprivileged_userns",
        path: "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        forbids: "1",
        spares_root: true,
        fix: "install an AppArmor profile that grants userns to this program, or: sysctl -w \
              kernel.apparmor_restrict_unprivileged_userns=0",
    },
];

/// Advice that fits a masked `/proc`.
const UNMASK_PROC: &str = "the kernel mounts a new /proc only where a complete one is visible: in a container run with \
                           unmasked /proc (docker: --security-opt systempaths=unconfined), in a systemd unit without \
                           ProtectKernelTunables, ProtectKernelLogs and ProtectControlGroups";

/// Advice that fits missing control groups.
const DELEGATE: &str = "delegate a cgroup with the memory and pids controllers (systemd: Delegate=yes); a unit's is \
                        looked at with --sandbox-cgroup-parent /sys/fs/cgroup/system.slice/UNIT.service";

/// The step of the first proof that failed where results cannot be read.
pub(super) const READ_RESULT: &str = "read a file from a jail with openat2";

/// Advice that fits a refused `openat2`.
const ALLOW_OPENAT2: &str = "results are read with openat2, which a system-call filter refuses here: in a systemd unit \
                             leave out RestrictSUIDSGID, in a container use a filter that knows the call (Linux 5.6)";

/// Looks at everything that a jail of this mode is made of; control groups would be made in `parent`, or in this
/// process's own.
pub fn examine(mode: Mode, parent: Option<&Path>) -> Vec<Finding> {
    let root = rustix::process::geteuid().is_root();
    let mut findings: Vec<Finding> = SWITCHES.iter().filter_map(|switch| switch.examine(root)).collect();
    findings.push(proc_is_whole());
    findings.push(landlock());
    findings.push(seccomp());
    findings.push(openat2());
    findings.push(cgroups(mode, parent));
    findings
}

/// What to do about a step that failed, in words.
pub(super) fn remedy(step: &str, error: &io::Error) -> String {
    let root = rustix::process::geteuid().is_root();
    let hindrance =
        SWITCHES.iter().filter_map(|switch| switch.examine(root)).find(|found| found.grade == Grade::Fail);
    if let Some(found) = hindrance {
        return format!("{} is {}: {}", found.name, found.detail, found.fix);
    }
    if step == crate::sandbox::jail::protocol::Step::MountProc.as_str()
        && error.kind() == io::ErrorKind::PermissionDenied
    {
        return UNMASK_PROC.to_owned();
    }
    if step == READ_RESULT {
        return ALLOW_OPENAT2.to_owned();
    }
    "Look at `compilation-worker doctor`; for development only, there is --sandbox none".to_owned()
}

impl Switch {
    /// Nothing where the kernel has no such setting.
    fn examine(&self, root: bool) -> Option<Finding> {
        let value = fs::read_to_string(self.path).ok()?.trim().to_owned();
        let forbidden = value == self.forbids && !(root && self.spares_root);
        let (grade, fix) = if forbidden { (Grade::Fail, self.fix) } else { (Grade::Ok, "") };
        Some(Finding { name: self.name, grade, detail: value, fix })
    }
}

/// A mount over a part of `/proc` hides that part, and with it the permission to mount a new one.
fn proc_is_whole() -> Finding {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let masks = masks(&table);
    let (grade, fix) = if masks.is_empty() { (Grade::Ok, "") } else { (Grade::Fail, UNMASK_PROC) };
    let detail =
        if masks.is_empty() { "complete".to_owned() } else { format!("masked: {}", masks.join(", ")) };
    Finding { name: "/proc", grade, detail, fix }
}

/// What is mounted below `/proc`, but for the one that belongs there.
fn masks(mountinfo: &str) -> Vec<&str> {
    mountinfo
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .filter(|mount| mount.starts_with("/proc/") && *mount != "/proc/sys/fs/binfmt_misc")
        .collect()
}

fn landlock() -> Finding {
    let (name, version) = ("Landlock", sys::landlock_version());
    if version == 0 {
        let fix = "enable it with lsm=landlock,... on the kernel's command line (Linux 5.13 and newer)";
        return Finding { name, grade: Grade::Warn, detail: "not available".to_owned(), fix };
    }
    Finding { name, grade: Grade::Ok, detail: format!("version {version}"), fix: "" }
}

fn seccomp() -> Finding {
    let name = "seccomp";
    let actions = fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail").unwrap_or_default();
    let calls = Architecture::native().and_then(|architecture| filter::allowed(architecture).ok());
    match calls {
        None => Finding {
            name,
            grade: Grade::Fail,
            detail: "no table of system calls for this processor".to_owned(),
            fix: "run on x86-64 or AArch64",
        },
        Some(_) if !actions.contains("kill_process") => Finding {
            name,
            grade: Grade::Fail,
            detail: "the kernel has no filter".to_owned(),
            fix: "use a kernel with CONFIG_SECCOMP_FILTER",
        },
        Some(calls) => {
            Finding { name, grade: Grade::Ok, detail: format!("{calls} system calls allowed"), fix: "" }
        }
    }
}

/// The call by which results are read; some filters do not know it.
fn openat2() -> Finding {
    let name = "openat2";
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    // Not where we stand: somebody who looks as another user may stand where that one may not.
    let mode = rustix::fs::Mode::empty();
    let opened = rustix::fs::open("/", flags, mode)
        .and_then(|root| rustix::fs::openat2(root, ".", flags, mode, ResolveFlags::BENEATH));
    match opened {
        Ok(_) => Finding { name, grade: Grade::Ok, detail: "works".to_owned(), fix: "" },
        Err(error) => {
            Finding { name, grade: Grade::Fail, detail: format!("refused: {error}"), fix: ALLOW_OPENAT2 }
        }
    }
}

/// Those of a unit are not those of the shell from which somebody looks: it is told which these are.
fn cgroups(mode: Mode, parent: Option<&Path>) -> Finding {
    let whose = if parent.is_some() { "sandbox.cgroup_parent" } else { "this process's own" };
    let looked = cgroup::look(parent);
    let (grade, fix) = match &looked {
        Ok(_) => (Grade::Ok, ""),
        Err(_) => (without_cgroups(mode), DELEGATE),
    };
    let detail = looked.unwrap_or_else(|error| error.to_string());
    Finding { name: "cgroups", grade, detail: format!("{whose}: {detail}"), fix }
}

/// A strict jail refuses to be without them; another has limits per process.
fn without_cgroups(mode: Mode) -> Grade {
    match mode {
        Mode::Strict => Grade::Fail,
        Mode::Jail | Mode::None => Grade::Warn,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn masks_of_proc_are_found() {
        let table = "\
1 0 0:1 / /proc rw - proc proc rw
2 1 0:2 / /proc/sys/fs/binfmt_misc rw - autofs systemd-1 rw
3 1 0:3 / /proc/kcore ro - tmpfs tmpfs rw";
        assert_eq!(masks(table), ["/proc/kcore"]);
    }

    #[test]
    fn every_finding_that_is_not_ok_says_what_to_do() {
        for finding in Mode::ALL
            .into_iter()
            .flat_map(|mode| [examine(mode, None), examine(mode, Some(Path::new("/nowhere")))])
            .flatten()
        {
            assert_eq!(finding.grade == Grade::Ok, finding.fix.is_empty(), "{finding:?}");
        }
    }

    proptest! {
        #[test]
        fn no_table_of_mounts_panics(text in "(/proc/|1 1 0:1 / |[a-z0-9:/ \n\u{e9}\u{1f600}\0\r\u{1b}-]){0,40}") {
            prop_assert!(masks(&text).iter().all(|mount| mount.starts_with("/proc/")));
        }
    }
}
