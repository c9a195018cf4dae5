//! From a fresh clone of the helper to a running program: the two processes inside each jail.
//!
//! The first process ("init") makes the walls, forks the payload's process, and from then on only waits: when the
//! payload ends it kills whatever is left, reports, and ends, and with it the namespaces. The payload's process
//! confines itself as far as it can without knowing the job, then waits for it: that is a standing jail.

use std::ffi::CStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::mount::{MountFlags, UnmountFlags};
use rustix::process::{DumpableBehavior, Pid, Signal, WaitOptions};
use rustix::thread::{CapabilitySet, CapabilitySets, Gid, LinkNameSpaceType, Uid};

use crate::sandbox::jail::bpf::Instruction;
use crate::sandbox::jail::helper::INSIDE_ID;
use crate::sandbox::jail::protocol::{self, Ids, Record, Start, Step, UNLIMITED, Used};
use crate::sandbox::jail::{landlock, sys, template};
use crate::sandbox::never_mind;

/// The largest job taken: the largest request is far smaller.
const LARGEST_START: u64 = 256 << 20;

/// What every jail of this helper has in common.
#[derive(Debug)]
pub(super) struct Blueprint {
    /// How ids are mapped.
    pub(super) ids: Ids,
    /// The system-call filter.
    pub(super) filter: Vec<Instruction>,
    /// Whether processes are counted by user, in a user namespace of each jail's own, because no cgroup counts them
    /// and all jails share one user.
    pub(super) count_by_user: bool,
}

/// What one jail is built from.
#[derive(Debug)]
pub(super) struct Parts {
    /// The user that the payload runs as.
    pub(super) user: u32,
    /// The empty network namespace.
    pub(super) network: OwnedFd,
    /// The detached tmpfs for the work directory.
    pub(super) work: OwnedFd,
    /// The detached tmpfs for `/tmp`.
    pub(super) tmp: OwnedFd,
    /// Open `cgroup.procs` files still to be joined.
    pub(super) groups: Vec<OwnedFd>,
    /// The socket to the daemon.
    pub(super) control: OwnedFd,
    /// The payload's standard streams.
    pub(super) stdio: [OwnedFd; 3],
}

/// A step that failed.
type Failed = (Step, io::Error);

fn at<E: Into<io::Error>>(step: Step) -> impl FnOnce(E) -> Failed {
    move |error| (step, error.into())
}

/// The life of a jail's first process. Never returns.
pub(super) fn live(blueprint: &Blueprint, parts: Parts) -> ! {
    let [stdin, stdout, stderr] = &parts.stdio;
    let mut own = vec![&parts.network, &parts.work, &parts.tmp, &parts.control, stdin, stdout, stderr];
    own.extend(parts.groups.iter());
    // What belongs to the helper and to other jails was cloned too.
    sys::close_all_but(&own);
    let control = File::from(parts.control);
    let built = build(blueprint, &parts.groups, &parts.network, &parts.work, &parts.tmp).and_then(|()| {
        match sys::fork().map_err(at(Step::Fork))? {
            None => payload(blueprint, parts.user, &control, &parts.stdio),
            Some(child) => Ok(child),
        }
    });
    let child = match built {
        Ok(child) => child,
        Err((step, error)) => {
            report(&control, Record::Failed(step, error.raw_os_error().unwrap_or(0)));
            sys::exit_now(1);
        }
    };
    // The payload's ends of the streams must be its own only, or they would never close.
    drop(parts.stdio);
    let confined = drop_privileges(None, KILL_THE_REST);
    if let Err((step, error)) = confined {
        report(&control, Record::Failed(step, error.raw_os_error().unwrap_or(0)));
        sys::exit_now(1);
    }
    if let Some(record) = watch(child) {
        report(&control, record);
    }
    sys::exit_now(0)
}

/// The walls that need privileges in the helper's user namespace.
fn build(
    blueprint: &Blueprint,
    groups: &[OwnedFd],
    network: &OwnedFd,
    work: &OwnedFd,
    tmp: &OwnedFd,
) -> Result<(), Failed> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).map_err(at(Step::DieWithHelper))?;
    sys::reset_signals();
    for group in groups {
        rustix::io::write(group, b"0").map_err(at(Step::JoinCgroup))?;
    }
    sys::unshare(sys::clone_flags::CGROUP).map_err(at(Step::NewCgroupNamespace))?;
    rustix::thread::move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))
        .map_err(at(Step::JoinNetwork))?;
    template::restrict().map_err(at(Step::RestrictMounts))?;
    template::attach(work, Path::new("/app")).map_err(at(Step::MountWork))?;
    template::attach(tmp, Path::new("/tmp")).map_err(at(Step::MountTmp))?;
    // Only processes, and of those only what the asking one may trace: no kernel settings, no other's environment.
    let options = c"subset=pid,hidepid=invisible";
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    rustix::mount::mount("proc", "/proc", "proc", flags, options).map_err(at(Step::MountProc))?;
    rustix::mount::unmount(template::HOST_PROC, UnmountFlags::DETACH).map_err(at(Step::HideHostProc))?;
    rustix::system::sethostname(b"ce").map_err(at(Step::HostName))?;
    if blueprint.count_by_user {
        enter_user_namespace().map_err(at(Step::NewUserNamespace))?;
        drop_bounding_set().map_err(at(Step::DropBounding))?;
    }
    // Not to be read or traced by the payload, even where both have the same user.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(at(Step::DieWithHelper))
}

/// A user namespace of this jail's own, in which the one user has the number it had.
fn enter_user_namespace() -> io::Result<()> {
    sys::unshare(sys::clone_flags::USER)?;
    // Its maps belong to it only while it is readable; that ends with the walls.
    rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable)?;
    fs::write("/proc/self/setgroups", "deny")?;
    for map in ["/proc/self/uid_map", "/proc/self/gid_map"] {
        fs::write(map, format!("{INSIDE_ID} {INSIDE_ID} 1\n"))?;
    }
    Ok(())
}

/// What init keeps: the payload may be another user, and must die all the same.
const KILL_THE_REST: CapabilitySet = CapabilitySet::KILL;

/// Makes it impossible for whatever this process or its children execute to gain a capability. A new user namespace
/// takes that back.
pub(super) fn drop_bounding_set() -> io::Result<()> {
    for bit in 0..64_u32 {
        let Some(capability) = CapabilitySet::from_bits(1 << bit) else { continue };
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            Ok(()) => {}
            // The kernel knows no more of them.
            Err(rustix::io::Errno::INVAL) => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Gives up every capability but `kept` for good, and becomes `user` if one is given.
fn drop_privileges(user: Option<u32>, kept: CapabilitySet) -> Result<(), Failed> {
    if let Some(user) = user {
        rustix::thread::set_thread_groups(&[]).map_err(at(Step::DropGroups))?;
        let group = Gid::from_raw(user);
        rustix::thread::set_thread_res_gid(group, group, group).map_err(at(Step::ChangeUser))?;
        let user = Uid::from_raw(user);
        rustix::thread::set_thread_res_uid(user, user, user).map_err(at(Step::ChangeUser))?;
    }
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    rustix::thread::set_capabilities(None, sets).map_err(at(Step::DropCapabilities))?;
    rustix::thread::set_no_new_privs(true).map_err(at(Step::NoNewPrivileges))
}

/// Waits for the payload, and for whatever it leaves to init; then nothing is left.
fn watch(payload: Pid) -> Option<Record> {
    let status = loop {
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == payload => break status,
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return None,
        }
    };
    sys::kill_all_others();
    while !matches!(rustix::process::wait(WaitOptions::empty()), Err(rustix::io::Errno::CHILD)) {}
    let usage = sys::children_usage();
    let used = Used {
        cpu_nanos: u64::try_from(usage.cpu.as_nanos()).unwrap_or(u64::MAX),
        peak_resident: usage.peak_resident,
    };
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Some(Record::Exited(code, used)),
        (None, Some(signal)) => Some(Record::Signalled(signal, used)),
        (None, None) => None,
    }
}

/// The life of the payload's process, until it becomes the job's program. Never returns.
fn payload(blueprint: &Blueprint, user: u32, control: &File, stdio: &[OwnedFd; 3]) -> ! {
    let ready = confine(blueprint, user, stdio).and_then(|()| {
        let Some(message) = read_start(control)? else { sys::exit_now(0) };
        run(&message, control)
    });
    if let Err((step, error)) = ready {
        report(control, Record::Failed(step, error.raw_os_error().unwrap_or(0)));
    }
    sys::exit_now(1)
}

/// Everything that does not depend on the job.
fn confine(blueprint: &Blueprint, user: u32, stdio: &[OwnedFd; 3]) -> Result<(), Failed> {
    let [input, output, errors] = stdio;
    rustix::stdio::dup2_stdin(input).map_err(at(Step::Streams))?;
    rustix::stdio::dup2_stdout(output).map_err(at(Step::Streams))?;
    rustix::stdio::dup2_stderr(errors).map_err(at(Step::Streams))?;
    sys::close_on_exec_from(3).map_err(at(Step::CloseFiles))?;
    rustix::process::setsid().map_err(at(Step::Fork))?;
    drop_privileges((blueprint.ids == Ids::Range).then_some(user), CapabilitySet::empty())?;
    rustix::process::chdir("/app").map_err(at(Step::WorkDirectory))?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    landlock::confine().map_err(|error| (Step::Landlock, io::Error::other(error)))?;
    sys::install_filter(&blueprint.filter).map_err(at(Step::Filter))
}

/// The job, or nothing if the daemon has no use for this jail.
fn read_start(mut control: &File) -> Result<Option<Vec<u8>>, Failed> {
    let mut length = [0; 8];
    match control.read_exact(&mut length) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err((Step::ReadStart, error)),
    }
    let length = u64::from_le_bytes(length);
    let mut message = Vec::new();
    if length <= LARGEST_START {
        control.take(length).read_to_end(&mut message).map_err(at(Step::ReadStart))?;
    }
    if message.len() as u64 == length { Ok(Some(message)) } else { Ok(None) }
}

/// Writes the input files, takes on the job's limits, and becomes its program.
fn run(message: &[u8], control: &File) -> Result<(), Failed> {
    let Some(start) = Start::decode(message) else {
        return Err((Step::ReadStart, io::ErrorKind::InvalidData.into()));
    };
    for (name, contents) in &start.files {
        write_new(Path::new(name), contents).map_err(at(Step::WriteFile))?;
    }
    for (resource, limit) in protocol::rlimit_resources().into_iter().zip(start.limits) {
        if limit == UNLIMITED {
            continue;
        }
        // Where this machine allows less, less it is.
        let most = rustix::process::getrlimit(resource).maximum.unwrap_or(u64::MAX);
        rustix::process::setrlimit(resource, protocol::rlimit(resource, limit, most))
            .map_err(at(Step::Limit))?;
    }
    let mut arguments: Vec<&CStr> = vec![&start.program];
    arguments.extend(start.arguments.iter().map(std::ffi::CString::as_c_str));
    let environment: Vec<&CStr> = start.environment.iter().map(std::ffi::CString::as_c_str).collect();
    report(control, Record::Started);
    Err((Step::Execute, sys::execute(&start.program, &arguments, &environment)))
}

/// Creates a file below the work directory, which is still as empty as it was made.
fn write_new(name: &Path, contents: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).custom_flags(libc::O_NOFOLLOW);
    let opened = match options.open(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(name.parent().unwrap_or(Path::new("")))?;
            options.open(name)
        }
        opened => opened,
    };
    opened?.write_all(contents)
}

/// One record, in one write: it cannot be split. Nobody is left to be told if it fails.
fn report(mut control: &File, record: Record) {
    never_mind(control.write(&record.encode()));
}
