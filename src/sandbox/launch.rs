//! Start-up: the helper, its id maps, and the proof that a jail really holds before any job is taken.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::sandbox::jail::filter::{self, Architecture};
use crate::sandbox::jail::helper::INSIDE_ID;
use crate::sandbox::jail::protocol::{self, Answer, Failure, GroupLimits, Ids, Order};
use crate::sandbox::jail::sys;
use crate::sandbox::protections::{LimitKeeper, Protections};
use crate::sandbox::run::{self, RunError};
use crate::sandbox::spec::{Finished, Job, Settings};
use crate::sandbox::standing::StandingJail;

/// The first argument that turns this program into the jail helper.
pub const HELPER_COMMAND: &str = "jail-helper";

/// First id outside that the helper's range is mapped to, when the daemon is root. 60578 to 61183 are the ids that
/// systemd documents as nobody's; they also exist in containers, which commonly have 65536.
const FIRST_OUTSIDE_ID: u32 = 60_600;
/// Ids in the range: one for the helper, one per lane.
const OUTSIDE_IDS: u32 = 512;

/// How long the helper may take for each step of its start. It takes 20 ms; this is for a machine in agony.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why there is no sandbox.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
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
    #[error("cannot build a jail here: could not {step} ({cause}); {remedy}")]
    Refused {
        /// The step that failed.
        step: String,
        /// The kernel's answer.
        cause: io::Error,
        /// What to do.
        remedy: String,
    },
}

fn at(step: &'static str) -> impl FnOnce(io::Error) -> LaunchError {
    move |source| LaunchError::Helper { step, source }
}

/// A sandbox that works, before there is a runtime to use it in.
#[derive(Debug)]
pub struct Launched {
    helper: Child,
    channel: UnixStream,
    protections: Protections,
}

/// The sandbox. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Sandbox(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    channel: AsyncFd<OwnedFd>,
    helper: Child,
    protections: Protections,
}

impl Sandbox {
    /// Starts the helper and proves that a jail holds. On the main thread, before any runtime exists: the helper
    /// dies with the thread that started it.
    pub fn launch(settings: Settings) -> Result<Launched, LaunchError> {
        let (channel, theirs) = UnixStream::pair().map_err(at("make the helper's socket"))?;
        channel.set_read_timeout(Some(PATIENCE)).map_err(at("set the helper's patience"))?;
        let helper = spawn(&settings, theirs)?;
        let ids = if rustix::process::geteuid().is_root() { Ids::Range } else { Ids::Single };
        let lanes = settings.slots + (2 * settings.slots).min(32);
        let order = Order {
            readable: settings.readable.clone(),
            lanes: u32::try_from(lanes).unwrap_or(u32::MAX),
            scratch: settings.limits.scratch,
            scratch_inodes: settings.limits.scratch_inodes,
            ids,
            cgroups: None,
            group_limits: GroupLimits::from(&settings.limits),
        };
        protocol::send(&channel, &order).map_err(at("instruct the helper"))?;
        match protocol::receive(&channel).map_err(at("hear from the helper"))? {
            Answer::Unshared => {}
            Answer::Refused(failure) => return Err(refused(failure)),
            Answer::Ready { .. } => {
                return Err(at("hear from the helper")(io::ErrorKind::InvalidData.into()));
            }
        }
        map_ids(&helper, ids).map_err(at("map user ids for the helper"))?;
        protocol::send(&channel, &()).map_err(at("instruct the helper"))?;
        let landlock = match protocol::receive(&channel).map_err(at("hear from the helper"))? {
            Answer::Ready { landlock } => landlock,
            Answer::Refused(failure) => return Err(refused(failure)),
            Answer::Unshared => return Err(at("hear from the helper")(io::ErrorKind::InvalidData.into())),
        };
        let protections = Protections {
            mode: settings.mode.as_str(),
            own_users: ids == Ids::Range,
            landlock,
            syscalls: Architecture::native().and_then(|architecture| filter::allowed(architecture).ok()),
            limits: LimitKeeper::Rlimits,
        };
        Ok(Launched { helper, channel, protections })
    }

    /// What is really active.
    pub fn protections(&self) -> &Protections {
        &self.0.protections
    }

    /// Runs a job to its end. Dropping the future kills all of it at once.
    pub async fn run(&self, job: Job) -> Result<Finished, RunError> {
        let jail = tokio::time::timeout_at(job.deadline.instant(), self.standing_jail())
            .await
            .map_err(|_| RunError::NoJail)??;
        run::run(jail, None, job).await
    }

    async fn standing_jail(&self) -> Result<StandingJail, RunError> {
        loop {
            let mut ready = self.0.channel.readable().await.map_err(|_| RunError::HelperGone)?;
            let received =
                ready.try_io(|channel| protocol::receive_jail(channel.as_fd()).map_err(io::Error::from));
            match received {
                Ok(Ok(Some((serial, ends)))) => return Ok(StandingJail::new(serial, ends)),
                Ok(Ok(None)) => return Err(RunError::HelperGone),
                Ok(Err(source)) => return Err(RunError::Io { step: "receive a jail", source }),
                Err(_would_block) => {}
            }
        }
    }

    /// Ends the helper, and every jail with it.
    pub async fn shut_down(self) {}
}

impl Launched {
    /// Joins the runtime that jobs will be run from.
    pub fn attach(self) -> Result<Sandbox, LaunchError> {
        self.channel.set_nonblocking(true).map_err(at("make the helper's socket non-blocking"))?;
        let channel = sys::watch(OwnedFd::from(self.channel), Interest::READABLE)
            .map_err(at("watch the helper's socket"))?;
        Ok(Sandbox(Arc::new(Inner { channel, helper: self.helper, protections: self.protections })))
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

fn map_ids(helper: &Child, ids: Ids) -> io::Result<()> {
    let process = format!("/proc/{}", helper.id());
    let (users, groups) = match ids {
        Ids::Range => {
            let map = format!("{INSIDE_ID} {FIRST_OUTSIDE_ID} {OUTSIDE_IDS}\n");
            (map.clone(), map)
        }
        Ids::Single => {
            std::fs::write(format!("{process}/setgroups"), "deny")?;
            let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
            (format!("{INSIDE_ID} {user} 1\n"), format!("{INSIDE_ID} {group} 1\n"))
        }
    };
    std::fs::write(format!("{process}/uid_map"), users)?;
    std::fs::write(format!("{process}/gid_map"), groups)
}

fn refused(failure: Failure) -> LaunchError {
    LaunchError::Refused {
        step: failure.step,
        cause: io::Error::from_raw_os_error(failure.errno),
        remedy: String::new(),
    }
}
