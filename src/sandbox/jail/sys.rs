//! The jail's system calls that have no safe wrapper elsewhere: one of the two files in which `unsafe` stands.
//!
//! All of it but [`install_filter`] serves the helper and its clones, which have one thread: that is what makes
//! `fork` and its kin ordinary calls here.

#![expect(unsafe_code, reason = "the kernel interfaces that rustix, landlock and std do not wrap")]

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::sandbox::jail::bpf::Instruction;

/// Flags of [`clone_process`], as `clone3` takes them.
pub(super) mod clone_flags {
    /// New mount namespace.
    pub(crate) const MOUNT: u64 = libc::CLONE_NEWNS as u64;
    /// New process namespace.
    pub(crate) const PID: u64 = libc::CLONE_NEWPID as u64;
    /// New System V IPC and POSIX message queue namespace.
    pub(crate) const IPC: u64 = libc::CLONE_NEWIPC as u64;
    /// New host name namespace.
    pub(crate) const UTS: u64 = libc::CLONE_NEWUTS as u64;
    /// New user namespace.
    pub(crate) const USER: u64 = libc::CLONE_NEWUSER as u64;
    /// New network namespace.
    pub(crate) const NET: u64 = libc::CLONE_NEWNET as u64;
    /// New cgroup namespace.
    pub(crate) const CGROUP: u64 = libc::CLONE_NEWCGROUP as u64;
}

/// Which side of a clone this is.
#[derive(Debug)]
pub(super) enum Cloned {
    /// The one that called; the descriptor refers to the new process.
    Parent(OwnedFd),
    /// The new process.
    Child,
}

/// `clone3` without shared memory. `cgroup` is a version 2 group to be born in.
pub(super) fn clone_process(flags: u64, cgroup: Option<BorrowedFd<'_>>) -> io::Result<Cloned> {
    let mut pidfd: RawFd = -1;
    let mut arguments = libc::clone_args {
        flags: flags | libc::CLONE_PIDFD as u64,
        pidfd: std::ptr::from_mut(&mut pidfd) as u64,
        child_tid: 0,
        parent_tid: 0,
        exit_signal: u64::from(libc::SIGCHLD.unsigned_abs()),
        stack: 0,
        stack_size: 0,
        tls: 0,
        set_tid: 0,
        set_tid_size: 0,
        cgroup: 0,
    };
    if let Some(group) = cgroup {
        arguments.flags |= 0x2_0000_0000; // CLONE_INTO_CGROUP, which libc declares too narrow
        arguments.cgroup = u64::from(group.as_raw_fd().unsigned_abs());
    }
    // SAFETY: the structure outlives the call and its size is given; without CLONE_VM the child has its own copy
    // of this single-threaded process, so no lock can be held by a thread that does not exist there.
    let answer = unsafe {
        libc::syscall(libc::SYS_clone3, std::ptr::from_mut(&mut arguments), size_of::<libc::clone_args>())
    };
    match answer {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Cloned::Child),
        // SAFETY: the kernel has just made this descriptor and nobody else knows it.
        _ => Ok(Cloned::Parent(unsafe { OwnedFd::from_raw_fd(pidfd) })),
    }
}

/// Ends this process without running destructors, which belong to the process it was cloned from.
pub(super) fn exit_now(code: i32) -> ! {
    // SAFETY: ends the process; nothing is touched afterwards.
    unsafe { libc::_exit(code) }
}

/// Replaces the program of this process. Returns only on failure.
pub(super) fn execute(program: &CStr, arguments: &[&CStr], environment: &[&CStr]) -> io::Error {
    let pointers = |list: &[&CStr]| -> Vec<*const libc::c_char> {
        list.iter().map(|item| item.as_ptr()).chain(std::iter::once(std::ptr::null())).collect()
    };
    let (arguments, environment) = (pointers(arguments), pointers(environment));
    // SAFETY: both lists end in a null pointer, and the strings they point at outlive the call.
    unsafe { libc::execve(program.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
    io::Error::last_os_error()
}

/// Moves this process into new namespaces.
pub(super) fn unshare(flags: u64) -> io::Result<()> {
    let flags = i32::try_from(flags).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: only namespaces are asked for, never CLONE_FILES or CLONE_FS, so no assumption of std changes.
    check(i64::from(unsafe { libc::unshare(flags) }))
}

/// Adds attributes (`MOUNT_ATTR_*`) to a mount, or to it and all below it.
pub(super) fn restrict_mount(mount: BorrowedFd<'_>, attributes: u64, reach: Reach) -> io::Result<()> {
    change_mount(mount, attributes, 0, reach)
}

/// Takes attributes (`MOUNT_ATTR_*`) from a mount.
pub(super) fn relax_mount(mount: BorrowedFd<'_>, attributes: u64) -> io::Result<()> {
    change_mount(mount, 0, attributes, Reach::One)
}

fn change_mount(mount: BorrowedFd<'_>, set: u64, clear: u64, reach: Reach) -> io::Result<()> {
    #[repr(C)]
    struct MountAttributes {
        set: u64,
        clear: u64,
        propagation: u64,
        user_namespace: u64,
    }
    let wanted = MountAttributes { set, clear, propagation: 0, user_namespace: 0 };
    let mut flags = libc::AT_EMPTY_PATH;
    if reach == Reach::Tree {
        flags |= 0x8000; // AT_RECURSIVE
    }
    // SAFETY: the path is empty and terminated, the structure has the kernel's layout, and its size is given.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            std::ptr::from_ref(&wanted),
            size_of::<MountAttributes>(),
        )
    };
    check(answer)
}

/// How far [`restrict_mount`] goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// This mount.
    One,
    /// This mount and all below it.
    Tree,
}

/// Marks every descriptor from `first` on to be closed when the program changes.
pub(super) fn close_on_exec_from(first: u32) -> io::Result<()> {
    // SAFETY: only flags change; no descriptor is closed under its owner.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) })
}

/// Closes every descriptor from `first` on, at the very start of the helper, when none has an owner yet.
pub(super) fn close_from(first: u32) -> io::Result<()> {
    // SAFETY: called before the helper has opened anything, so nobody owns what is closed.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) })
}

/// Kills every process that this one may signal; as the first of a process namespace: everything in it but itself.
pub(super) fn kill_all_others() {
    // SAFETY: sends signals; touches no memory.
    unsafe { libc::kill(-1, libc::SIGKILL) };
}

/// Gives every signal its default action and unblocks it: a job must not inherit what Rust's runtime ignores.
pub(super) fn reset_signals() {
    for signal in 1..=64 {
        // SAFETY: SIG_DFL is no function of ours; signals that may not be changed answer with an error, which is
        // the state wanted.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    let mut none = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the set is a local of the right type, made empty by the call.
    unsafe { libc::sigemptyset(none.as_mut_ptr()) };
    // SAFETY: the set was initialised above; the old one is not asked for.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut()) };
}

/// What all children that were waited for have used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct ChildrenUsage {
    /// User and system time together.
    pub(super) cpu: Duration,
    /// The largest resident set of any one of them, in bytes.
    pub(super) peak_resident: u64,
}

/// Reads [`ChildrenUsage`].
pub(super) fn children_usage() -> ChildrenUsage {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the structure is a local of the right type.
    unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, usage.as_mut_ptr()) };
    // SAFETY: all zeroes is a valid rusage, and the call can only have filled it.
    let usage = unsafe { usage.assume_init() };
    let time = |value: libc::timeval| {
        Duration::from_secs(value.tv_sec.try_into().unwrap_or(0))
            + Duration::from_micros(value.tv_usec.try_into().unwrap_or(0))
    };
    ChildrenUsage {
        cpu: time(usage.ru_utime) + time(usage.ru_stime),
        peak_resident: u64::try_from(usage.ru_maxrss).unwrap_or(0) * 1024,
    }
}

/// Installs a system-call filter for this process and all that come from it; needs `no_new_privs`.
pub(super) fn install_filter(program: &[Instruction]) -> io::Result<()> {
    let mut program: Vec<libc::sock_filter> = program
        .iter()
        .map(|step| libc::sock_filter { code: step.code, jt: step.yes, jf: step.no, k: step.operand })
        .collect();
    let length = u16::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let filter = libc::sock_fprog { len: length, filter: program.as_mut_ptr() };
    // SAFETY: the kernel copies `length` instructions from the vector, which outlives the call.
    check(unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, std::ptr::from_ref(&filter))
    })
}

fn check(answer: i64) -> io::Result<()> {
    if answer == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The Landlock version of this kernel, 0 where there is none.
pub(in crate::sandbox) fn landlock_version() -> u32 {
    const VERSION: u32 = 1; // LANDLOCK_CREATE_RULESET_VERSION: answers with the number, makes nothing
    // SAFETY: with this flag the kernel wants no structure and returns a number.
    let answer = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<libc::c_void>(), 0_usize, VERSION)
    };
    u32::try_from(answer).unwrap_or(0)
}

/// Forks: the child's id in the parent, nothing in the child.
pub(super) fn fork() -> io::Result<Option<rustix::process::Pid>> {
    // SAFETY: this process has one thread, so the child may do whatever it could.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        child => Ok(rustix::process::Pid::from_raw(child)),
    }
}

/// Closes every descriptor but these, in a fresh clone, where all others belong to the process it came from.
pub(super) fn close_all_but(keep: &[&OwnedFd]) {
    let mut keep: Vec<u32> = keep.iter().map(|fd| fd.as_raw_fd().cast_unsigned()).collect();
    keep.sort_unstable();
    let mut first = 0;
    for fd in keep.into_iter().chain([u32::MAX]) {
        if fd > first {
            // SAFETY: the values that own these descriptors are never dropped in this process: it ends by `_exit` or
            // by `execve`.
            unsafe { libc::syscall(libc::SYS_close_range, first, fd - 1, 0) };
        }
        first = fd.saturating_add(1);
    }
}

/// Registers a descriptor with the runtime this is called in.
pub(in crate::sandbox) fn watch(fd: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` names the same open descriptor until it is dropped, which the result does.
    unsafe { AsyncFd::register_with_interest(fd, interest) }.map_err(io::Error::from)
}
