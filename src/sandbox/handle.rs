//! The sandbox as everyone else sees it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::Child;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, waitid};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::Instant;

use crate::domain::limits::Deadline;
use crate::sandbox::bare;
use crate::sandbox::cgroup::{Delegated, Group, GroupLimits};
use crate::sandbox::ids::Users;
use crate::sandbox::jail::{protocol, sys};
use crate::sandbox::never_mind;
use crate::sandbox::protections::Protections;
use crate::sandbox::run::{self, RunError};
use crate::sandbox::spec::{Finished, Job};
use crate::sandbox::standing::StandingJail;

/// The sandbox. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Sandbox(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Nothing in mode `none`.
    jails: Option<Jails>,
    protections: Protections,
}

/// A place for one job: from here on, a job that fails has failed in our hands.
#[derive(Debug)]
pub struct Berth {
    /// Nothing in mode `none`.
    jail: Option<(StandingJail, Option<Group>)>,
    asked: Instant,
}

impl Berth {
    /// Runs a job to its end. Dropping the future kills all of it at once.
    pub async fn run(self, job: Job) -> Result<Finished, RunError> {
        match self.jail {
            Some((jail, group)) => run::run(jail, group, job, self.asked).await,
            None => bare::run(job).await,
        }
    }
}

/// Where jails come from. The order of the fields is the order of death: without its socket the helper ends, and
/// only when it and its jails are gone can their cgroups be removed.
#[derive(Debug)]
pub(super) struct Jails {
    pub(super) channel: AsyncFd<OwnedFd>,
    pub(super) helper: Helper,
    pub(super) groups: Option<Delegated>,
    pub(super) group_limits: GroupLimits,
    /// Claimed until then.
    pub(super) _users: Users,
}

/// The helper process. It is killed and reaped when this is dropped; its jails die with it.
#[derive(Debug)]
pub(super) struct Helper(pub(super) Child);

impl Helper {
    fn process(&self) -> Option<Pid> {
        self.0.id().try_into().ok().and_then(Pid::from_raw)
    }

    fn is_dead(&self) -> bool {
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        self.process().is_some_and(|process| !matches!(waitid(WaitId::Pid(process), look), Ok(None)))
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        // Both fail only if it is gone.
        never_mind(self.0.kill());
        never_mind(self.0.wait());
    }
}

impl Sandbox {
    pub(super) fn bare(protections: Protections) -> Self {
        Self(Arc::new(Inner { jails: None, protections }))
    }

    pub(super) fn jailed(jails: Jails, protections: Protections) -> Self {
        Self(Arc::new(Inner { jails: Some(jails), protections }))
    }

    /// What is really active.
    pub fn protections(&self) -> &Protections {
        &self.0.protections
    }

    /// Runs a job to its end. Dropping the future kills all of it at once.
    pub async fn run(&self, job: Job) -> Result<Finished, RunError> {
        self.berth(job.deadline).await?.run(job).await
    }

    /// Waits until a job could start, at the latest until `deadline`.
    pub async fn berth(&self, deadline: Deadline) -> Result<Berth, RunError> {
        let asked = Instant::now();
        let Some(jails) = &self.0.jails else { return Ok(Berth { jail: None, asked }) };
        let next = tokio::time::timeout_at(deadline.instant(), jails.next()).await;
        let jail = next.map_err(|_| RunError::NoJail)??;
        // Jails wait in the socket longer than their helper lives, and die with it.
        if jails.helper.is_dead() {
            return Err(RunError::HelperGone);
        }
        let groups = jails.groups.as_ref();
        let group = groups.map(|delegated| Group::of(&delegated.delegation, jail.serial, jails.group_limits));
        Ok(Berth { jail: Some((jail, group)), asked })
    }

    /// Resolves when the helper has ended by itself: from then on every job fails. Without one, never.
    pub async fn lost(&self) {
        let process = self.0.jails.as_ref().and_then(|jails| jails.helper.process());
        let end = process.map(|process| rustix::process::pidfd_open(process, PidfdFlags::empty()));
        match end.map(|end| end.map_err(io::Error::from).and_then(|end| sys::watch(end, Interest::READABLE)))
        {
            Some(Ok(end)) => never_mind(end.readable().await),
            // It cannot be watched because it is gone.
            Some(Err(_)) => {}
            None => std::future::pending().await,
        }
    }

    /// Ends the helper, and every jail with it. Jobs that still run end as failures of ours.
    pub async fn shut_down(self) {
        /// A killed process is gone in milliseconds; the last clone of this handle waits for it in any case.
        const PATIENCE: Duration = Duration::from_secs(2);
        let Some(process) = self.0.jails.as_ref().and_then(|jails| jails.helper.process()) else { return };
        let Ok(end) = rustix::process::pidfd_open(process, PidfdFlags::empty()) else { return };
        never_mind(rustix::process::pidfd_send_signal(&end, Signal::KILL));
        if let Ok(end) = sys::watch(end, Interest::READABLE) {
            never_mind(tokio::time::timeout(PATIENCE, end.readable()).await);
        }
    }
}

impl Jails {
    /// The next jail that stands ready. The helper builds another as soon as this one is given back.
    async fn next(&self) -> Result<StandingJail, RunError> {
        loop {
            let mut ready = self.channel.readable().await.map_err(|_| RunError::HelperGone)?;
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
}
