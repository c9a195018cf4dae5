//! One job, from its jail's start to the last byte: reads both streams, feeds the input, watches the clock and the
//! memory, and says how it ended.

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::class::{Class, Classify};
use crate::domain::limits::{Deadline, Limits};
use crate::domain::result::Stop;
use crate::sandbox::capture::Heard;
use crate::sandbox::cgroup::Group;
use crate::sandbox::jail::protocol::{RLIMITS, Record, Step, UNLIMITED, Used};
use crate::sandbox::spec::{Finished, Job, Usage};
use crate::sandbox::standing::{RunningJail, StandingJail};
use crate::sandbox::told;
use crate::sandbox::workspace::Workspace;

/// How often a running job's group is asked whether memory ran out: version 1 kills one process of it and says
/// nothing, so that the rest would wait for the clock.
const MEMORY_CHECK: Duration = Duration::from_millis(50);

/// How long a killed jail may take to be gone. Death takes milliseconds; what takes longer hangs in the kernel.
const DEATH: Duration = Duration::from_secs(10);

/// Why a job did not run: our failure, never the compiler's.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The helper process ended.
    #[error("the jail helper is gone: restart the worker")]
    HelperGone,
    /// No jail stood ready before the deadline.
    #[error("no jail was ready before the job's deadline")]
    NoJail,
    /// A wall could not be built.
    #[error("could not {} in the jail", .step.as_str())]
    Build {
        /// Which.
        step: Step,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The program does not exist in the jail, or is none.
    #[error("could not execute {} in the jail: is its directory among the readable ones?", .program.display())]
    Program {
        /// Which.
        program: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The daemon's side failed.
    #[error("could not {step}")]
    Io {
        /// What was being done.
        step: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The jail ended, and neither it nor any limit says why.
    #[error("the jail ended without saying how")]
    Silent,
    /// Something in the jail could not be killed.
    #[error("the jail was killed but is not gone after {} s", DEATH.as_secs())]
    Undying,
}

impl RunError {
    /// What failed, from a closed set, for a metric's label.
    pub const fn step(&self) -> &'static str {
        match self {
            Self::HelperGone => "reach the jail helper",
            Self::NoJail => "find a ready jail",
            Self::Build { step, .. } => step.as_str(),
            Self::Program { .. } => "execute the program",
            Self::Io { step, .. } => step,
            Self::Silent => "hear how the jail ended",
            Self::Undying => "kill the jail",
        }
    }
}

impl Classify for RunError {
    fn class(&self) -> Class {
        match self {
            Self::NoJail => Class::Expired,
            // The job has not begun, and this worker is about to end: another may take it.
            Self::HelperGone => Class::Draining,
            // All arguments and variables together are more than the kernel passes on.
            Self::Program { source, .. } if source.raw_os_error() == Some(libc::E2BIG) => Class::TooLarge,
            _ => Class::Internal,
        }
    }
}

pub(super) fn io(step: &'static str) -> impl FnOnce(io::Error) -> RunError {
    move |source| RunError::Io { step, source }
}

/// What is known about an ending.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own; any of them may hold together")]
struct Evidence {
    ended: Option<Ended>,
    out_of_memory: bool,
    out_of_time: bool,
    too_much_output: bool,
    pids_limit: bool,
    cpu_limit: bool,
    disk_limit: bool,
}

/// What the jail reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    Exited(i32),
    Signalled(i32),
}

impl Evidence {
    /// The one reason that is told; `None` if nothing explains the end.
    ///
    /// What the kernel did or refused comes before our own two stops, for a job that will not take a refusal for an
    /// answer goes on until the clock or its own complaints end it: a fork bomb ran out of processes, not of time.
    /// Among the kernel's, the surest first:
    ///
    /// 1. Memory: a counter says that a process was killed, and whatever the others did then is worth nothing, even
    ///    a success.
    /// 2. Processes: a counter too, but of a refusal, which a job may survive: it explains only a failure. So do all
    ///    that follow.
    /// 3. Processor time and file size, where a signal of the kernel's ended the job itself.
    /// 4. The same two and the room for files, as tools tell of them or as the directory is found.
    /// 5. The clock before the flood: where the clock struck, more than is kept was found only in what the pipes
    ///    still held.
    /// 6. The job's own way to end.
    fn verdict(self) -> Option<Stop> {
        let failed = self.ended != Some(Ended::Exited(0));
        Some(match self.ended {
            _ if self.out_of_memory => Stop::OutOfMemory,
            _ if failed && self.pids_limit => Stop::TooManyProcesses,
            Some(Ended::Signalled(libc::SIGXCPU)) => Stop::CpuTime,
            Some(Ended::Signalled(libc::SIGXFSZ)) => Stop::DiskLimit,
            _ if failed && self.cpu_limit => Stop::CpuTime,
            _ if failed && self.disk_limit => Stop::DiskLimit,
            _ if self.out_of_time => Stop::WallTime,
            _ if self.too_much_output => Stop::TooMuchOutput,
            Some(Ended::Signalled(signal)) => Stop::Signalled(signal),
            Some(Ended::Exited(code)) => Stop::Exited(code),
            None => return None,
        })
    }
}

/// Runs a job in a jail that stands ready, and was `asked` for some time ago.
pub(super) async fn run(
    jail: StandingJail,
    group: Option<Group>,
    job: Job,
    asked: Instant,
) -> Result<Finished, RunError> {
    if let Some(group) = &group {
        group.adjust(&job.limits).map_err(io("set the limits of the job's cgroup"))?;
    }
    let begun = Instant::now();
    let deadline = Deadline::sooner(job.deadline, job.limits.wall);
    let limits = rlimits(&job.limits, group.is_some());
    let mut running = jail.start(&job, &limits).map_err(io("send the job into its jail"))?;
    let (mut evidence, started, used) = attend(&mut running, group.as_ref(), deadline, &job).await?;
    let wall = begun.elapsed();

    // Everyone who could write is dead: what is in the pipes now is all there will ever be.
    for stream in [&mut running.stdout, &mut running.stderr] {
        if stream.drain().map_err(io("read the job's output"))? == Heard::TooMuch {
            evidence.too_much_output = true;
        }
    }
    let RunningJail { control, stdout, stderr, directory, tmp, .. } = running;
    let (stdout, stderr) = (stdout.finish(), stderr.finish());
    if let Some(group) = &group {
        evidence.out_of_memory |= group.out_of_memory();
        evidence.pids_limit = group.refused_process();
    }
    if evidence.ended != Some(Ended::Exited(0)) {
        evidence.disk_limit = is_full(&directory) || is_full(&tmp) || told::disk_limit(&stderr.bytes);
        evidence.cpu_limit = told::cpu_limit(&stderr.bytes);
    }
    let stop = evidence.verdict().ok_or(RunError::Silent)?;
    let cpu = match used {
        Some(used) => Duration::from_nanos(used.cpu_nanos),
        None => group.as_ref().and_then(Group::cpu).unwrap_or_default(),
    };
    let peak_memory = group.as_ref().and_then(Group::peak_memory).or(used.map(|used| used.peak_resident));
    let lease = control.into_lease().ok_or(RunError::Silent)?;
    Ok(Finished {
        stop,
        out_of_time: evidence.out_of_time,
        stdout,
        stderr,
        usage: Usage {
            start: started.map_or_else(|| asked.elapsed(), |at| at - asked),
            wall,
            cpu,
            peak_memory,
        },
        workspace: Workspace::jailed(directory, lease),
    })
}

/// Stays with a job until nothing of it is left alive.
async fn attend(
    jail: &mut RunningJail,
    group: Option<&Group>,
    deadline: Deadline,
    job: &Job,
) -> Result<(Evidence, Option<Instant>, Option<Used>), RunError> {
    let mut evidence = Evidence::default();
    let mut started = None;
    let out_of_time = tokio::time::sleep_until(deadline.instant());
    tokio::pin!(out_of_time);
    let mut memory_check = Instant::now() + MEMORY_CHECK;
    let RunningJail { leash, control, stdin, stdout, stderr, .. } = jail;
    loop {
        let heard = tokio::select! {
            biased;
            record = control.record() => match record {
                Ok(record) => match settle(record, job, &mut started)? {
                    Some((ended, used)) => {
                        evidence.ended = Some(ended);
                        return Ok((evidence, started, Some(used)));
                    }
                    None => Heard::Some,
                },
                // It was killed from outside or by the kernel: the descriptor of its process will tell.
                Err(_) => break,
            },
            heard = stdout.hear(), if stdout.open() => heard.map_err(io("read the job's output"))?,
            heard = stderr.hear(), if stderr.open() => heard.map_err(io("read the job's errors"))?,
            pushed = stdin.push(), if stdin.pending() => {
                pushed.map_err(io("feed the job's input"))?;
                Heard::Some
            }
            gone = leash.gone() => {
                gone.map_err(io("watch the jail"))?;
                break;
            }
            () = &mut out_of_time => {
                evidence.out_of_time = true;
                break;
            }
            () = tokio::time::sleep_until(memory_check), if group.is_some() => {
                memory_check = Instant::now() + MEMORY_CHECK;
                if group.is_some_and(Group::out_of_memory) {
                    evidence.out_of_memory = true;
                    break;
                }
                Heard::Some
            }
        };
        if heard == Heard::TooMuch {
            evidence.too_much_output = true;
            break;
        }
    }
    leash.kill();
    tokio::time::timeout(DEATH, leash.gone())
        .await
        .map_err(|_| RunError::Undying)?
        .map_err(io("wait for the jail's end"))?;
    let mut used = None;
    while let Ok(Some(record)) = control.last() {
        if let Some((ended, what)) = settle(record, job, &mut started)? {
            evidence.ended = Some(ended);
            used = Some(what);
        }
    }
    Ok((evidence, started, used))
}

/// What a record means: an end, a beginning, or a failure of ours.
fn settle(
    record: Record,
    job: &Job,
    started: &mut Option<Instant>,
) -> Result<Option<(Ended, Used)>, RunError> {
    match record {
        Record::Started => *started = Some(Instant::now()),
        Record::Failed(Step::Execute, errno) => {
            let source = io::Error::from_raw_os_error(errno);
            return Err(RunError::Program { program: job.program.clone(), source });
        }
        Record::Failed(step, errno) => {
            return Err(RunError::Build { step, source: io::Error::from_raw_os_error(errno) });
        }
        Record::Exited(code, used) if started.is_some() => return Ok(Some((Ended::Exited(code), used))),
        Record::Signalled(signal, used) if started.is_some() => {
            return Ok(Some((Ended::Signalled(signal), used)));
        }
        // It ended before the job's program took over.
        Record::Exited(..) | Record::Signalled(..) => return Err(RunError::Silent),
    }
    Ok(None)
}

/// Limits per process, in the order of `protocol::rlimit_resources`. Those on memory and processes stand in for a
/// cgroup; where there is one it counts better.
pub(super) fn rlimits(limits: &Limits, grouped: bool) -> [u64; RLIMITS] {
    let stand_in = |limit: u64| if grouped { UNLIMITED } else { limit };
    let cpu_seconds =
        limits.wall.as_secs().saturating_add(2).saturating_mul(limits.cpu_millis.max(1000)) / 1000;
    [
        stand_in(limits.memory),
        limits.file_size,
        limits.open_files,
        cpu_seconds,
        // The jail's first process may count too.
        stand_in(limits.pids.saturating_add(1)),
    ]
}

/// Whether a writable place has no room left.
fn is_full(directory: &OwnedFd) -> bool {
    rustix::fs::fstatvfs(directory).is_ok_and(|room| room.f_bfree == 0 || room.f_ffree == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All that can be known against a job at once.
    const EVERYTHING: Evidence = Evidence {
        ended: Some(Ended::Exited(4)),
        out_of_memory: true,
        out_of_time: true,
        too_much_output: true,
        pids_limit: true,
        cpu_limit: true,
        disk_limit: true,
    };

    #[test]
    fn the_cause_is_told_before_what_came_of_it() {
        let all = EVERYTHING;
        assert_eq!(all.verdict(), Some(Stop::OutOfMemory));
        let all = Evidence { out_of_memory: false, ..all };
        assert_eq!(all.verdict(), Some(Stop::TooManyProcesses));
        let all = Evidence { pids_limit: false, ..all };
        assert_eq!(all.verdict(), Some(Stop::CpuTime));
        let all = Evidence { cpu_limit: false, ..all };
        assert_eq!(all.verdict(), Some(Stop::DiskLimit));
        let all = Evidence { disk_limit: false, ..all };
        assert_eq!(all.verdict(), Some(Stop::WallTime));
        let all = Evidence { out_of_time: false, ..all };
        assert_eq!(all.verdict(), Some(Stop::TooMuchOutput));
        let all = Evidence { too_much_output: false, ..all };
        assert_eq!(all.verdict(), Some(Stop::Exited(4)));
    }

    #[test]
    fn a_signal_of_the_kernels_is_surer_than_what_is_told() {
        let signalled = |signal, cpu_limit| Evidence {
            ended: Some(Ended::Signalled(signal)),
            cpu_limit,
            disk_limit: !cpu_limit,
            ..Evidence::default()
        };
        assert_eq!(signalled(libc::SIGXCPU, false).verdict(), Some(Stop::CpuTime));
        assert_eq!(signalled(libc::SIGXFSZ, true).verdict(), Some(Stop::DiskLimit));
        let crashed = Evidence { ended: Some(Ended::Signalled(11)), ..Evidence::default() };
        assert_eq!(crashed.verdict(), Some(Stop::Signalled(11)));
    }

    #[test]
    fn who_ran_into_the_clock_ran_into_something_else_before() {
        let late = Evidence { out_of_time: true, ..Evidence::default() };
        assert_eq!(late.verdict(), Some(Stop::WallTime));
        assert_eq!(Evidence { pids_limit: true, ..late }.verdict(), Some(Stop::TooManyProcesses));
        assert_eq!(Evidence { disk_limit: true, ..late }.verdict(), Some(Stop::DiskLimit));
        // It had succeeded in all it tried when the clock struck.
        let at_last = Evidence { ended: Some(Ended::Exited(0)), pids_limit: true, ..late };
        assert_eq!(at_last.verdict(), Some(Stop::WallTime));
    }

    #[test]
    fn a_job_that_succeeds_has_hit_nothing() {
        let grazed = Evidence {
            ended: Some(Ended::Exited(0)),
            out_of_memory: false,
            out_of_time: false,
            too_much_output: false,
            ..EVERYTHING
        };
        assert_eq!(grazed.verdict(), Some(Stop::Exited(0)));
        // Memory is no matter of grazing, and what was cut is not whole.
        assert_eq!(Evidence { out_of_memory: true, ..grazed }.verdict(), Some(Stop::OutOfMemory));
        assert_eq!(Evidence { too_much_output: true, ..grazed }.verdict(), Some(Stop::TooMuchOutput));
        assert_eq!(Evidence::default().verdict(), None);
    }
}
