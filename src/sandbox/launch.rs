//! Start-up: the helper, its id maps, and the proof that a jail really holds before any job is taken.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Component, Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::io::Errno;
use tokio::io::Interest;

use crate::domain::limits::{Deadline, Limits};
use crate::domain::path::JobPath;
use crate::sandbox::cgroup::{self, Delegated, GroupLimits, NoCgroups, Version};
use crate::sandbox::handle::{Helper, Jails, Sandbox};
use crate::sandbox::ids::{self, Users};
use crate::sandbox::jail::filter::{self, Architecture};
use crate::sandbox::jail::protocol::{self, Answer, Failure, Order, RECORD, RLIMITS, Record, Step};
use crate::sandbox::jail::sys;
use crate::sandbox::probe;
use crate::sandbox::protections::{LimitKeeper, Protections};
use crate::sandbox::run::rlimits;
use crate::sandbox::spec::{Job, JobFile, Mode, Settings};
use crate::sandbox::workspace::{self, ReadError};

/// The first argument that turns this program into the jail helper.
pub const HELPER_COMMAND: &str = "jail-helper";

/// Jails that stand ready beyond twice the slots are memory for nothing, so this is the most; each costs about 1 MiB.
const MOST_STANDING: usize = 32;
/// Most jobs at once, so that every lane has an id of its own.
const MOST_SLOTS: usize = ids::ALL as usize - 1 - MOST_STANDING;

/// How long the helper may take for each step of its start. It takes 20 ms; this is for a machine in agony.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a jail hides behind something of its own.
const COVERED: [&str; 4] = ["/app", "/tmp", "/proc", "/dev"];

/// Why there is no sandbox.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The number of slots makes no sense.
    #[error("{0} slots: a sandbox has from 1 to {MOST_SLOTS}")]
    Slots(usize),
    /// A readable path that no job would ever see.
    #[error("the readable path {} must be absolute, without \"..\", and not lie in /app, /tmp, /proc or /dev, where a jail has its own", .0.display())]
    Covered(PathBuf),
    /// The helper would not start or speak.
    #[error("could not {step}")]
    Helper {
        /// What was being done.
        step: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// This machine does not allow a jail.
    #[error("cannot build a jail here: failed to {step}. {remedy}")]
    Refused {
        /// The step that failed.
        step: String,
        /// What to do about it.
        remedy: String,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// Mode `strict` wants what is not to be had.
    #[error(
        "sandbox mode strict needs cgroup limits for memory and processes: delegate a cgroup (systemd: Delegate=yes), or use mode jail"
    )]
    NoCgroups(#[source] NoCgroups),
}

fn at(step: &'static str) -> impl FnOnce(io::Error) -> LaunchError {
    move |source| LaunchError::Helper { step, source }
}

/// A sandbox that works, before there is a runtime to use it in.
#[derive(Debug)]
pub struct Launched {
    jails: Option<LaunchedJails>,
    protections: Protections,
}

#[derive(Debug)]
struct LaunchedJails {
    channel: UnixStream,
    helper: Helper,
    groups: Option<Delegated>,
    group_limits: GroupLimits,
    users: Users,
}

impl Sandbox {
    /// Starts the helper and proves that a jail holds. On the main thread, before any runtime exists: the helper
    /// dies with the thread that started it.
    pub fn launch(settings: Settings) -> Result<Launched, LaunchError> {
        check(&settings)?;
        if settings.mode == Mode::None {
            tracing::warn!(
                "there is NO sandbox: every job can do what this user can; never show this to a network"
            );
            return Ok(Launched { jails: None, protections: Protections::none() });
        }
        let lanes = settings.slots + (2 * settings.slots).min(MOST_STANDING);
        let lanes = u32::try_from(lanes).unwrap_or(u32::MAX);
        let users = Users::choose(lanes);
        let groups = groups(&settings, users.helper())?;
        let (channel, theirs) = UnixStream::pair().map_err(at("make the helper's socket"))?;
        channel.set_read_timeout(Some(PATIENCE)).map_err(at("set the helper's patience"))?;
        let helper = Helper(spawn(&settings, theirs)?);
        if let Some(Err(error)) = groups.as_ref().map(|groups| groups.admit(helper.0.id())) {
            return Err(LaunchError::NoCgroups(error));
        }
        let group_limits = GroupLimits::of(&settings.limits);
        let order = Order {
            readable: settings.readable,
            lanes,
            scratch: settings.limits.scratch,
            scratch_inodes: settings.limits.scratch_inodes,
            ids: users.ids(),
            cgroups: groups.as_ref().map(|groups| groups.delegation.clone()),
            group_limits,
        };
        let landlock = instruct(&channel, &helper.0, &order, &users)?;
        if landlock == 0 {
            tracing::warn!("this kernel has no Landlock: jails have one wall less");
        }
        let limits = match groups.as_ref().map(|groups| groups.delegation.version) {
            Some(Version::V2) => LimitKeeper::CgroupV2,
            Some(Version::V1) => LimitKeeper::CgroupV1,
            None => LimitKeeper::Rlimits,
        };
        prove(&channel, &order.readable, &rlimits(&settings.limits, groups.is_some()))?;
        let protections = Protections {
            mode: settings.mode.as_str(),
            own_users: users.helper().is_some(),
            landlock,
            syscalls: Architecture::native().and_then(|architecture| filter::allowed(architecture).ok()),
            limits,
        };
        let jails = LaunchedJails { channel, helper, groups, group_limits, users };
        Ok(Launched { jails: Some(jails), protections })
    }
}

impl Launched {
    /// What is really active.
    pub fn protections(&self) -> &Protections {
        &self.protections
    }

    /// Joins the runtime that jobs will be run from.
    pub fn attach(self) -> Result<Sandbox, LaunchError> {
        let Some(jails) = self.jails else { return Ok(Sandbox::bare(self.protections)) };
        jails.channel.set_nonblocking(true).map_err(at("make the helper's socket non-blocking"))?;
        let LaunchedJails { channel, helper, groups, group_limits, users } = jails;
        let channel = sys::watch(OwnedFd::from(channel), Interest::READABLE)
            .map_err(at("watch the helper's socket"))?;
        Ok(Sandbox::jailed(Jails { channel, helper, groups, group_limits, _users: users }, self.protections))
    }
}

fn check(settings: &Settings) -> Result<(), LaunchError> {
    if settings.slots == 0 || settings.slots > MOST_SLOTS {
        return Err(LaunchError::Slots(settings.slots));
    }
    let covered = |path: &&PathBuf| {
        !path.is_absolute()
            || path.parent().is_none()
            || path.components().any(|part| part == Component::ParentDir)
            || COVERED.iter().any(|cover| path.starts_with(cover))
    };
    settings.readable.iter().find(covered).map_or(Ok(()), |path| Err(LaunchError::Covered(path.clone())))
}

/// The cgroups that jobs will be limited by, if the mode can do without them or they are to be had.
fn groups(settings: &Settings, owner: Option<u32>) -> Result<Option<Delegated>, LaunchError> {
    match cgroup::delegate(settings.cgroup_parent.as_deref(), owner) {
        Ok(delegated) => Ok(Some(delegated)),
        Err(error) if settings.mode == Mode::Strict => Err(LaunchError::NoCgroups(error)),
        Err(error) => {
            tracing::warn!(
                reason = %error,
                "no cgroups: memory and processes are limited for each process by itself, not for a job as a whole"
            );
            Ok(None)
        }
    }
}

/// Tells the helper what to build, and maps its ids in between. Its Landlock version comes back.
fn instruct(channel: &UnixStream, helper: &Child, order: &Order, users: &Users) -> Result<u32, LaunchError> {
    let speak = at("instruct the jail helper");
    let answer = || match protocol::receive(channel).map_err(at("hear from the jail helper"))? {
        Answer::Refused(failure) => Err(refused(failure)),
        answer => Ok(answer),
    };
    protocol::send(channel, order).map_err(speak)?;
    answer()?;
    users
        .map(helper.id())
        .map_err(|source| refused(Failure::at("map user and group ids into the user namespace")(source)))?;
    protocol::send(channel, &()).map_err(at("instruct the jail helper"))?;
    match answer()? {
        Answer::Ready { landlock } => Ok(landlock),
        Answer::Unshared | Answer::Refused(_) => {
            Err(at("hear from the jail helper")(io::ErrorKind::InvalidData.into()))
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the sandbox, which alone starts processes")]
fn spawn(settings: &Settings, channel: UnixStream) -> Result<Child, LaunchError> {
    // Nothing to run between fork and exec: the standard library then spawns without copying this process.
    Command::new(&settings.helper)
        .arg0("compilation-worker")
        .arg(HELPER_COMMAND)
        .env_clear()
        .stdin(Stdio::from(OwnedFd::from(channel)))
        .stdout(Stdio::null())
        .process_group(0)
        .spawn()
        .map_err(at("start the jail helper"))
}

fn refused(failure: Failure) -> LaunchError {
    let source = io::Error::from_raw_os_error(failure.errno);
    LaunchError::Refused { remedy: probe::remedy(&failure.step, &source), step: failure.step, source }
}

/// The file that the first jail is given, and that must be found in it afterwards.
const PROOF: &str = "proof";

/// Runs a program in the first jail, and reads a file as results are read: whatever a wall lacks on this machine, and
/// whatever would keep us from a job's result, shows here, not in a job.
fn prove(channel: &UnixStream, readable: &[PathBuf], limits: &[u64; RLIMITS]) -> Result<(), LaunchError> {
    let failed = |step: Step, errno| refused(Failure { step: step.as_str().to_owned(), errno });
    let silent = || at("run a first program in a jail")(io::ErrorKind::UnexpectedEof.into());
    let path = JobPath::parse(PROOF).map_err(|error| at("name a first file")(io::Error::other(error)))?;
    let job = Job {
        program: PathBuf::from("/usr/bin/true"),
        arguments: Vec::new(),
        environment: Vec::new(),
        files: vec![JobFile { path: path.clone(), contents: PROOF.into() }],
        stdin: bytes::Bytes::new(),
        limits: Limits::default(),
        deadline: Deadline::after(PATIENCE),
    };
    let (_, ends) = protocol::receive_jail(channel.as_fd())
        .map_err(|error| at("receive a first jail")(error.into()))?
        .ok_or_else(silent)?;
    let mut control = UnixStream::from(ends.control);
    control.set_nonblocking(false).map_err(at("talk to a first jail"))?;
    control.set_read_timeout(Some(PATIENCE)).map_err(at("talk to a first jail"))?;
    let start = protocol::encode_start(&job, limits);
    control.write_all(&start).map_err(at("send a first job into its jail"))?;
    loop {
        let mut record = [0; RECORD];
        control.read_exact(&mut record).map_err(at("hear from a first jail"))?;
        match Record::decode(&record).ok_or_else(silent)? {
            Record::Started => {}
            Record::Exited(0, _) => break,
            // Every wall stood; only the program is not among the readable paths.
            Record::Failed(Step::Execute, errno) if !exists(readable, &job.program) || errno == 0 => break,
            Record::Failed(step, errno) => return Err(failed(step, errno)),
            Record::Exited(..) | Record::Signalled(..) => {
                let source = io::Error::other("a first program ran in a jail and did not end well");
                return Err(at("run a first program in a jail")(source));
            }
        }
    }
    read_back(&ends.directory, &path)
}

/// Reads the file that the first jail was given, as a job's result is read.
fn read_back(directory: &OwnedFd, path: &JobPath) -> Result<(), LaunchError> {
    let unread = |errno| refused(Failure { step: probe::READ_RESULT.to_owned(), errno });
    let opened =
        workspace::open_beneath(directory, path, PROOF.len() as u64).map_err(|error| match error {
            ReadError::Io { source, .. } => unread(source.raw_os_error().unwrap_or(0)),
            ReadError::TooLarge { .. } => unread(0),
        })?;
    let (file, _) = opened.ok_or_else(|| unread(Errno::NOENT.raw_os_error()))?;
    let contents = io::read_to_string(file).map_err(at("read a first file"))?;
    if contents == PROOF { Ok(()) } else { Err(unread(0)) }
}

fn exists(readable: &[PathBuf], program: &Path) -> bool {
    readable.iter().any(|path| program.starts_with(path)) && program.exists()
}
