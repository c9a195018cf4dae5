//! The table of system calls (`syscalls.txt`) as a filter for one architecture.

use std::collections::BTreeMap;

use rustix::io::Errno;

use crate::sandbox::jail::bpf::{self, Condition, Instruction, Verdict};

/// The table: one call per line, with its numbers, its rule and its reason.
const TABLE: &str = include_str!("syscalls.txt");

/// The architectures that the table has numbers for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sandbox) enum Architecture {
    /// 64-bit x86. The x32 flavor has other numbers, and so gets the default answer.
    X86_64,
    /// 64-bit Arm.
    Aarch64,
}

impl Architecture {
    /// The one this program was built for; `None` where there is no table yet.
    pub(in crate::sandbox) const fn native() -> Option<Self> {
        if cfg!(target_arch = "x86_64") {
            Some(Self::X86_64)
        } else if cfg!(target_arch = "aarch64") {
            Some(Self::Aarch64)
        } else {
            None
        }
    }

    /// `AUDIT_ARCH_*`
    const fn audit(self) -> u32 {
        match self {
            Self::X86_64 => 0xc000_003e,
            Self::Aarch64 => 0xc000_00b7,
        }
    }

    const fn column(self) -> usize {
        match self {
            Self::X86_64 => 1,
            Self::Aarch64 => 2,
        }
    }
}

/// A line of the table that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the system-call table: {text:?}")]
pub(in crate::sandbox) struct BadLine {
    line: usize,
    text: String,
}

/// The filter for one architecture.
pub(super) fn program(architecture: Architecture) -> Result<Vec<Instruction>, BadLine> {
    Ok(bpf::assemble(architecture.audit(), &verdicts(architecture)?, refuse(Errno::NOSYS)))
}

/// How many calls a job can make, conditions included.
pub(in crate::sandbox) fn allowed(architecture: Architecture) -> Result<usize, BadLine> {
    let constant_refusal =
        |verdict: &&Verdict| !matches!(verdict, Verdict::Always(answer) if *answer != bpf::ALLOW);
    Ok(verdicts(architecture)?.values().filter(constant_refusal).count())
}

fn verdicts(architecture: Architecture) -> Result<BTreeMap<u32, Verdict>, BadLine> {
    let mut verdicts = BTreeMap::new();
    for (index, text) in TABLE.lines().enumerate() {
        let bad = || BadLine { line: index + 1, text: text.to_owned() };
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let words: Vec<&str> = text.split_whitespace().collect();
        let [_name, _, _, rule, _reason, ..] = words[..] else { return Err(bad()) };
        let number = words[architecture.column()];
        if number == "-" {
            continue;
        }
        let number = number.parse().map_err(|_| bad())?;
        let verdict = verdict(rule).ok_or_else(bad)?;
        if verdicts.insert(number, verdict).is_some() {
            return Err(bad());
        }
    }
    Ok(verdicts)
}

fn verdict(rule: &str) -> Option<Verdict> {
    let always = |answer| Some(Verdict::Always(answer));
    let (conditions, otherwise) = match rule {
        "allow" => return always(bpf::ALLOW),
        "ENOSYS" => return always(refuse(Errno::NOSYS)),
        "EPERM" => return always(refuse(Errno::PERM)),
        "EAFNOSUPPORT" => return always(refuse(Errno::AFNOSUPPORT)),
        "no-namespaces" => (vec![Condition::NoneOf(0, NEW_NAMESPACES)], Errno::PERM),
        "own-process" => (vec![Condition::OneOf(0, &[0])], Errno::PERM),
        "own-limits" => (vec![Condition::OneOf(0, &[0]), Condition::Not(1, LIMIT_OF_CORES)], Errno::PERM),
        "limits" => (vec![Condition::Not(0, LIMIT_OF_CORES)], Errno::PERM),
        "terminal-queries" => (vec![Condition::OneOf(1, TERMINAL_QUERIES)], Errno::PERM),
        "plain-personality" => (vec![Condition::OneOf(0, PERSONALITIES)], Errno::PERM),
        "harmless-options" => (vec![Condition::OneOf(0, PROCESS_OPTIONS)], Errno::INVAL),
        _ => return None,
    };
    Some(Verdict::If { conditions, otherwise: otherwise.raw_os_error().unsigned_abs() })
}

fn refuse(error: Errno) -> u32 {
    bpf::ERRNO | error.raw_os_error().unsigned_abs()
}

/// `CLONE_NEWNS`, `CGROUP`, `UTS`, `IPC`, `USER`, `PID`, `NET`. (`CLONE_NEWTIME` shares its bit with the exit
/// signal and exists for `clone3` and `unshare` only.)
const NEW_NAMESPACES: u32 = 0x7e02_0000;

/// `RLIMIT_CORE`. A job begins with the one value that keeps a machine's handler of cores out of it, and whatever
/// else it set would call the handler for its next crash.
const LIMIT_OF_CORES: u32 = 4;

/// Requests of `ioctl` that pass: is it a terminal (`TCGETS`, `TCGETS2`), how wide (`TIOCGWINSZ`), whose
/// (`TIOCGPGRP`), how much waits (`FIONREAD`), and the descriptor flags (`FIONBIO`, `FIOCLEX`, `FIONCLEX`). Only the
/// low half is compared, because that is all the kernel looks at (CVE-2019-10063 was a filter that compared more).
const TERMINAL_QUERIES: &[u32] = &[0x5401, 0x802c_542a, 0x5413, 0x540f, 0x541b, 0x5421, 0x5451, 0x5450];

/// Execution domains that pass: Linux itself, the question (all bits set), and `ADDR_NO_RANDOMIZE`, which gcc sets
/// so that precompiled headers fall on their addresses.
const PERSONALITIES: &[u32] = &[0, 0xffff_ffff, 0x0004_0000];

/// Options of `prctl` that pass: parent-death signal, dumpable, timer slack, the thread's name, `no_new_privs`,
/// transparent huge pages, questions about capabilities and seccomp, and names for memory areas.
const PROCESS_OPTIONS: &[u32] = &[1, 2, 3, 4, 15, 16, 21, 23, 29, 30, 38, 39, 41, 42, 0x5356_4d41];

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: [Architecture; 2] = [Architecture::X86_64, Architecture::Aarch64];

    fn number(architecture: Architecture, name: &str) -> Option<u32> {
        TABLE
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
            .find(|words| words.first() == Some(&name))
            .and_then(|words| words[architecture.column()].parse().ok())
    }

    fn ask(architecture: Architecture, number: u32, arguments: [u64; 6]) -> u32 {
        let program = program(architecture).unwrap();
        bpf::interpret(&program, architecture.audit(), number, arguments).unwrap().0
    }

    /// The surface may shrink without notice; to grow it, change the number here too, and say why.
    #[test]
    fn no_more_calls_are_allowed_than_agreed() {
        let counts = BOTH.map(|architecture| allowed(architecture).unwrap());
        println!("system calls within reach of a job: {} on x86-64, {} on AArch64", counts[0], counts[1]);
        assert_eq!(counts, [X86_CALLS, ARM_CALLS]);
    }
    const X86_CALLS: usize = 181;
    const ARM_CALLS: usize = 151;

    #[test]
    fn what_the_table_says_is_what_the_filter_does() {
        for architecture in BOTH {
            let table = verdicts(architecture).unwrap();
            for number in (0..600).chain([0x4000_0000, 0x4000_0001, u32::MAX]) {
                let want = match table.get(&number) {
                    Some(Verdict::Always(answer)) => *answer,
                    Some(_) => continue,
                    None => refuse(Errno::NOSYS),
                };
                assert_eq!(ask(architecture, number, [0; 6]), want, "{architecture:?} {number}");
            }
        }
    }

    #[test]
    fn the_dangerous_ones_are_refused_on_both() {
        for architecture in BOTH {
            for name in ["clone3", "socket", "ptrace", "unshare", "mount", "keyctl", "bpf", "userfaultfd"] {
                let number = number(architecture, name).unwrap();
                assert_eq!(
                    ask(architecture, number, [0; 6]) & 0xffff_0000,
                    bpf::ERRNO,
                    "{architecture:?} {name}"
                );
            }
            // io_uring_*, pidfd_getfd, kexec_load has no line at all: the default answers.
            for number in [425, 426, 427, 438] {
                assert_eq!(ask(architecture, number, [0; 6]), refuse(Errno::NOSYS));
            }
        }
    }

    #[test]
    fn arguments_are_looked_at() {
        for architecture in BOTH {
            let call = |name, arguments| ask(architecture, number(architecture, name).unwrap(), arguments);
            assert_eq!(call("clone", [17, 0, 0, 0, 0, 0]), bpf::ALLOW);
            assert_eq!(call("clone", [0x1000_0011, 0, 0, 0, 0, 0]), refuse(Errno::PERM));
            assert_eq!(call("ioctl", [0, 0x5401, 0, 0, 0, 0]), bpf::ALLOW);
            for terminal_input in [0x5412, 0x541c, 0x1_0000_5412] {
                assert_eq!(call("ioctl", [0, terminal_input, 0, 0, 0, 0]), refuse(Errno::PERM));
            }
            assert_eq!(call("prlimit64", [0; 6]), bpf::ALLOW);
            assert_eq!(call("prlimit64", [1, 0, 0, 0, 0, 0]), refuse(Errno::PERM));
            let cores = u64::from(libc::RLIMIT_CORE);
            assert_eq!(call("prlimit64", [0, cores, 0, 0, 0, 0]), refuse(Errno::PERM));
            assert_eq!(call("setrlimit", [cores, 0, 0, 0, 0, 0]), refuse(Errno::PERM));
            assert_eq!(call("setrlimit", [3, 0, 0, 0, 0, 0]), bpf::ALLOW);
            assert_eq!(call("personality", [0x0004_0000, 0, 0, 0, 0, 0]), bpf::ALLOW);
            assert_eq!(call("personality", [0x0040_0000, 0, 0, 0, 0, 0]), refuse(Errno::PERM));
        }
    }

    #[test]
    fn the_numbers_are_those_of_this_machine() {
        let architecture = Architecture::native().unwrap();
        for (name, want) in [
            ("read", libc::SYS_read),
            ("openat2", libc::SYS_openat2),
            ("execve", libc::SYS_execve),
            ("clone", libc::SYS_clone),
            ("clone3", libc::SYS_clone3),
            ("rseq", libc::SYS_rseq),
            ("socket", libc::SYS_socket),
            ("userfaultfd", libc::SYS_userfaultfd),
        ] {
            assert_eq!(number(architecture, name).map(i64::from), Some(want), "{name}");
        }
    }
}
