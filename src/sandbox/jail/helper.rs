//! The helper: a small, single-threaded process that keeps jails standing, one in each lane that is free.
//!
//! It is told what to build once, and nothing afterwards: a jail is taken by receiving it and given back by closing
//! its socket, so no message about it can be lost. The helper ends when the daemon does, and all jails with it.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::pipe::PipeFlags;
use rustix::process::{DumpableBehavior, Resource, Rlimit, Signal, WaitId, WaitIdOptions};

use crate::sandbox::cgroup::{Born, Maker};
use crate::sandbox::jail::filter::{self, Architecture};
use crate::sandbox::jail::init::{self, Blueprint, Parts};
use crate::sandbox::jail::protocol::{self, Answer, Failure, Ids, JailEnds, Order};
use crate::sandbox::jail::sys::{self, Cloned, clone_flags};
use crate::sandbox::jail::template::{self, Propagation};
use crate::sandbox::never_mind;

/// The helper's user and group inside its namespace; lanes follow. The number is the one that jobs have elsewhere.
pub(in crate::sandbox) const INSIDE_ID: u32 = 10_240;

/// Resources that one jail at a time can be built from.
#[derive(Debug)]
struct Lane {
    user: u32,
    network: OwnedFd,
}

/// A jail that has been handed over.
#[derive(Debug)]
struct Jail {
    /// Names its cgroup.
    serial: u64,
    lane: Lane,
    built: Built,
    dead: bool,
    returned: bool,
}

/// What the helper keeps of a jail.
#[derive(Debug)]
struct Built {
    /// Our copy of the jail's end of its socket: hung up when the daemon closes the other.
    lease: OwnedFd,
    process: OwnedFd,
    /// Kept so that freeing the files it held falls to us, and not to the daemon.
    _scratch: [OwnedFd; 2],
}

/// The whole of the helper's life; the socket to the daemon is its standard input.
pub fn main() -> ExitCode {
    // Whatever the daemon inherited: jobs are another user, and walk through what is made here.
    rustix::process::umask(Mode::from_raw_mode(0o022));
    std::panic::set_hook(Box::new(|_| std::process::abort()));
    if sys::close_from(3).is_err() {
        return ExitCode::FAILURE;
    }
    let Ok(channel) = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3) else {
        return ExitCode::FAILURE;
    };
    let channel = UnixStream::from(channel);
    match serve(&channel) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // If nobody listens any more, nobody needs to know.
            never_mind(protocol::send(&channel, &Answer::Refused(failure)));
            ExitCode::FAILURE
        }
    }
}

fn serve(channel: &UnixStream) -> Result<(), Failure> {
    let order: Order = protocol::receive(channel).map_err(Failure::at("read the daemon's order"))?;
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(Failure::at("ask to die with the daemon"))?;
    let most = rustix::process::getrlimit(Resource::Nofile).maximum;
    rustix::process::setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most })
        .map_err(Failure::at("raise the limit of open files"))?;
    // While this process may still raise it. Where it may not, the machine has forbidden core files, and a handler that
    // it pipes them to will be called for what crashes in a jail.
    let (resource, cores) = protocol::CORE_LIMIT;
    never_mind(rustix::process::setrlimit(resource, protocol::rlimit(resource, cores, u64::MAX)));

    // When memory runs out on the machine, jobs go first. Once its user changes, this process may not write this.
    never_mind(std::fs::write("/proc/self/oom_score_adj", "1000"));

    sys::unshare(clone_flags::USER).map_err(Failure::at("create a user namespace"))?;
    protocol::send(channel, &Answer::Unshared).map_err(Failure::at("ask for id maps"))?;
    let () = protocol::receive(channel).map_err(Failure::at("wait for id maps"))?;
    take_identity(order.ids)?;
    // Not before: a user namespace takes them over as limits of all who live in it together.
    for (resource, limit) in protocol::COMMON_LIMITS {
        // Where this machine allows less, less it is.
        let most = rustix::process::getrlimit(resource).maximum.unwrap_or(u64::MAX);
        rustix::process::setrlimit(resource, protocol::rlimit(resource, limit, most))
            .map_err(Failure::at("set the limits that all jobs have"))?;
    }
    sys::unshare(clone_flags::MOUNT).map_err(Failure::at("create a mount namespace"))?;

    let groups =
        order.cgroups.as_ref().map(|delegation| Maker::open(delegation, order.group_limits)).transpose();
    let groups = groups.map_err(Failure::at("open the cgroup directories"))?;
    let mut free = lanes(&order)?;
    let landlock = sys::landlock_version();
    // A mount that arrives in a jail which stands already is kept from being written to by Landlock, of which the third
    // version knows truncation, and for the rest by belonging to nobody inside.
    let safe = landlock >= 3 && order.ids == Ids::Range;
    let propagation = if safe { Propagation::FromHost } else { Propagation::None };
    template::enter(&order.readable, propagation)?;
    let filter = Architecture::native().and_then(|architecture| filter::program(architecture).ok());
    let filter = filter.ok_or_else(|| {
        Failure::at("find the numbers of this processor's system calls")(io::Error::from(Errno::NOSYS))
    })?;
    let blueprint = Blueprint {
        ids: order.ids,
        filter,
        count_by_user: order.ids == Ids::Single && order.cgroups.is_none(),
    };
    // Once for all jails: forty system calls that none of them need make.
    init::drop_bounding_set().map_err(Failure::at("empty the bounding set of capabilities"))?;
    protocol::send(channel, &Answer::Ready { landlock }).map_err(Failure::at("report readiness"))?;

    let yard = Yard { order, blueprint, groups, channel };
    let mut jails: Vec<Jail> = Vec::new();
    let mut emptied: Vec<u64> = Vec::new();
    let mut pause = None;
    let mut setback = None;
    for serial in 0_u64.. {
        while free.is_empty() || pause.is_some() {
            if !wait(channel, &mut jails, pause.take()).map_err(Failure::at("wait for jails"))? {
                return Ok(());
            }
            for jail in jails.extract_if(.., |jail| jail.dead && jail.returned) {
                emptied.push(jail.serial);
                free.push_back(jail.lane);
            }
            // The kernel may still count someone in a group whose last process is dead: then the next round does it.
            emptied.retain(|&serial| yard.groups.as_ref().is_some_and(|groups| !groups.remove(serial)));
        }
        if let Some(lane) = free.pop_front() {
            match yard.raise(&lane, serial) {
                Ok(built) => {
                    jails.push(Jail { serial, lane, built, dead: false, returned: false });
                    setback = None;
                }
                // The daemon is gone.
                Err(failure) if failure.errno == Errno::PIPE.raw_os_error() => return Ok(()),
                Err(failure) => {
                    if setback.is_none() {
                        complain(&failure);
                    }
                    emptied.push(serial);
                    free.push_back(lane);
                    setback = Some(setback.map_or(PAUSE, |last: Duration| (2 * last).min(LONGEST_PAUSE)));
                    pause = setback;
                }
            }
        }
    }
    Ok(())
}

/// After a jail could not be built: what was short (memory, processes, descriptors) may be there again.
const PAUSE: Duration = Duration::from_millis(100);
/// After it could not be built again and again: no more than this, for jobs wait.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// The daemon's standard error is ours too, and the only place left: jobs wait for their jails meanwhile.
fn complain(failure: &Failure) {
    never_mind(writeln!(io::stderr(), "jail helper: could not {failure}; trying again"));
}

/// Where jails are built: all that they have in common.
#[derive(Debug)]
struct Yard<'a> {
    order: Order,
    blueprint: Blueprint,
    groups: Option<Maker>,
    channel: &'a UnixStream,
}

/// Becomes the helper's own user inside the namespace, and unreadable to all others.
fn take_identity(ids: Ids) -> Result<(), Failure> {
    use rustix::thread::{Gid, Uid, set_thread_groups, set_thread_res_gid, set_thread_res_uid};
    if ids == Ids::Range {
        set_thread_groups(&[]).map_err(Failure::at("drop supplementary groups"))?;
    }
    let (user, group) = (Uid::from_raw(INSIDE_ID), Gid::from_raw(INSIDE_ID));
    set_thread_res_gid(group, group, group).map_err(Failure::at("change to the helper's group"))?;
    set_thread_res_uid(user, user, user).map_err(Failure::at("change to the helper's user"))?;
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(Failure::at("become unreadable"))?;
    // A change of user takes the wish back.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(Failure::at("ask to die with the daemon"))
}

/// One user and one empty network namespace per lane.
fn lanes(order: &Order) -> Result<VecDeque<Lane>, Failure> {
    (0..order.lanes)
        .map(|index| {
            sys::unshare(clone_flags::NET).map_err(Failure::at("create a network namespace"))?;
            let network =
                rustix::fs::open("/proc/thread-self/ns/net", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
                    .map_err(Failure::at("open a network namespace"))?;
            let user = match order.ids {
                Ids::Range => INSIDE_ID + 1 + index,
                Ids::Single => INSIDE_ID,
            };
            Ok(Lane { user, network })
        })
        .collect()
}

impl Yard<'_> {
    /// Builds a jail in a lane and hands it over.
    fn raise(&self, lane: &Lane, serial: u64) -> Result<Built, Failure> {
        let failed = |step: &'static str| Failure::at::<Errno>(step);
        let copy = |fd: &OwnedFd| rustix::io::fcntl_dupfd_cloexec(fd, 3).map_err(failed("copy a descriptor"));
        let (work, tmp) = self.scratch(lane.user)?;
        let (control, theirs) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
                .map_err(failed("make a jail's socket"))?;
        let pipe = || rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(failed("make a pipe"));
        let ((job_stdin, stdin), (stdout, job_stdout), (stderr, job_stderr)) = (pipe()?, pipe()?, pipe()?);
        for end in [&control, &stdin, &stdout, &stderr] {
            rustix::io::ioctl_fionbio(end, true).map_err(failed("make a descriptor non-blocking"))?;
        }
        let group = self.groups.as_ref().map(|groups| groups.make(serial)).transpose();
        let (home, groups) = match group.map_err(failed("make a jail's cgroup"))? {
            Some(Born::Into(group)) => (Some(group), Vec::new()),
            Some(Born::Joins(groups)) => (None, groups),
            None => (None, Vec::new()),
        };
        let (lease, network) = (copy(&theirs)?, copy(&lane.network)?);
        let (our_work, our_tmp) = (copy(&work)?, copy(&tmp)?);
        let flags = clone_flags::PID | clone_flags::MOUNT | clone_flags::IPC | clone_flags::UTS;
        let cloned = sys::clone_process(flags, home.as_ref().map(AsFd::as_fd));
        let process = match cloned.map_err(Failure::at("clone a jail"))? {
            Cloned::Parent(process) => process,
            Cloned::Child => {
                let streams = [job_stdin, job_stdout, job_stderr];
                init::live(
                    &self.blueprint,
                    Parts { user: lane.user, network, work, tmp, groups, control: theirs, stdio: streams },
                )
            }
        };
        let handed_over = copy(&process).and_then(|process| {
            let ends = JailEnds { control, process, directory: work, tmp, stdin, stdout, stderr };
            protocol::send_jail(self.channel.as_fd(), serial, &ends).map_err(failed("hand a jail over"))
        });
        match handed_over {
            Ok(()) => Ok(Built { lease, process, _scratch: [our_work, our_tmp] }),
            Err(failure) => {
                bury(&process);
                Err(failure)
            }
        }
    }

    /// The two writable places, mounted nowhere yet; nothing in `/tmp` can be executed.
    fn scratch(&self, user: u32) -> Result<(OwnedFd, OwnedFd), Failure> {
        let (size, inodes, user) =
            (self.order.scratch.to_string(), self.order.scratch_inodes.to_string(), user.to_string());
        let options: [(&str, &str); 5] =
            [("size", &size), ("nr_inodes", &inodes), ("uid", &user), ("gid", &user), ("mode", "755")];
        let work = template::scratch_mount(&options).map_err(Failure::at("make a work directory"))?;
        let tmp = template::scratch_mount(&options).map_err(Failure::at("make a /tmp"))?;
        template::forbid_execution(&tmp).map_err(Failure::at("forbid execution in /tmp"))?;
        Ok((work, tmp))
    }
}

/// Kills a jail that nobody will ever know of, and waits until it is gone: its lane is free only then.
fn bury(process: &OwnedFd) {
    never_mind(rustix::process::pidfd_send_signal(process, Signal::KILL));
    let wait = || rustix::process::waitid(WaitId::PidFd(process.as_fd()), WaitIdOptions::EXITED);
    while matches!(wait(), Err(Errno::INTR)) {}
}

/// Waits until a jail has died or come back, at most `patience`, and notes which. False when the daemon is gone.
fn wait(channel: &UnixStream, jails: &mut [Jail], patience: Option<Duration>) -> io::Result<bool> {
    let patience = patience.map(Timespec::try_from).transpose().map_err(io::Error::other)?;
    // Only what is still to come is asked for: what has happened would be reported again at once, for ever.
    let mut events = vec![PollFd::new(channel, PollFlags::empty())];
    for jail in jails.iter().filter(|jail| !jail.dead) {
        events.push(PollFd::new(&jail.built.process, PollFlags::IN));
    }
    for jail in jails.iter().filter(|jail| !jail.returned) {
        events.push(PollFd::new(&jail.built.lease, PollFlags::empty()));
    }
    match rustix::event::poll(&mut events, patience.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    let answers: Vec<bool> = events.iter().map(|event| !event.revents().is_empty()).collect();
    let mut answers = answers.into_iter();
    if answers.next() == Some(true) {
        return Ok(false);
    }
    for jail in jails.iter_mut().filter(|jail| !jail.dead) {
        if answers.next() == Some(true) {
            rustix::process::waitid(WaitId::PidFd(jail.built.process.as_fd()), WaitIdOptions::EXITED)?;
            jail.dead = true;
        }
    }
    for jail in jails.iter_mut().filter(|jail| !jail.returned) {
        if answers.next() == Some(true) {
            jail.returned = true;
            if !jail.dead {
                // It may have ended this very moment, which is as good.
                never_mind(rustix::process::pidfd_send_signal(&jail.built.process, Signal::KILL));
            }
        }
    }
    Ok(true)
}
