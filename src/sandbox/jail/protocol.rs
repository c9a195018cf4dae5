//! What the daemon, the helper and the jails say to each other.
//!
//! Two channels, both stream sockets. On the helper's, rare and structured things travel as JSON with a length
//! before them, and standing jails as one fixed-size notice each, their descriptors attached. On each jail's own,
//! the daemon sends one [`Start`], and gets [`Record`]s of one fixed size back.

use std::ffi::CString;
use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use rustix::process::{Resource, Rlimit};
use serde::{Deserialize, Serialize};

use crate::sandbox::cgroup::{Delegation, GroupLimits};
use crate::sandbox::spec::Job;

/// The daemon's first words to the helper.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::sandbox) struct Order {
    /// Host paths shown to jobs, read-only.
    pub(in crate::sandbox) readable: Vec<PathBuf>,
    /// How many jails live at once, running and standing.
    pub(in crate::sandbox) lanes: u32,
    /// Bytes in each writable place.
    pub(in crate::sandbox) scratch: u64,
    /// Files in each writable place.
    pub(in crate::sandbox) scratch_inodes: u64,
    /// How ids inside map to ids outside.
    pub(in crate::sandbox) ids: Ids,
    /// Where cgroups may be made, if anywhere.
    pub(in crate::sandbox) cgroups: Option<Delegation>,
    /// Limits written into each cgroup when it is made.
    pub(in crate::sandbox) group_limits: GroupLimits,
}

/// How ids inside the helper's user namespace map to ids outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::sandbox) enum Ids {
    /// A range of ids that nobody else uses: one for the helper and one for each lane.
    Range,
    /// The daemon's own id only.
    Single,
}

/// What the helper answers while it starts.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::sandbox) enum Answer {
    /// It has its user namespace, and waits for the id maps.
    Unshared,
    /// Jails will come.
    Ready {
        /// The Landlock version in use; 0 without.
        landlock: u32,
    },
    /// It cannot do it.
    Refused(Failure),
}

/// A step of building that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{step}: {}", std::io::Error::from_raw_os_error(*errno))]
pub(in crate::sandbox) struct Failure {
    /// What was being done, and to what.
    pub(in crate::sandbox) step: String,
    /// The kernel's answer.
    pub(in crate::sandbox) errno: i32,
}

impl Failure {
    /// Names the step that an error happened in; for `map_err`.
    pub(in crate::sandbox) fn at<E: Into<std::io::Error>>(step: impl Into<String>) -> impl FnOnce(E) -> Self {
        move |error| Self { step: step.into(), errno: error.into().raw_os_error().unwrap_or(0) }
    }
}

/// The longest structured message: 4096 readable paths of 4 KiB.
const LONGEST_MESSAGE: usize = 16 << 20;

/// Sends one structured message.
pub(in crate::sandbox) fn send(mut channel: impl Write, message: &impl Serialize) -> std::io::Result<()> {
    let body = serde_json::to_vec(message)?;
    let length = u32::try_from(body.len()).map_err(|_| std::io::ErrorKind::InvalidInput)?;
    channel.write_all(&length.to_le_bytes())?;
    channel.write_all(&body)
}

/// Receives one structured message.
pub(in crate::sandbox) fn receive<T: for<'de> Deserialize<'de>>(
    mut channel: impl Read,
) -> std::io::Result<T> {
    let mut length = [0; 4];
    channel.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length) as usize;
    if length > LONGEST_MESSAGE {
        return Err(std::io::ErrorKind::InvalidData.into());
    }
    let mut body = vec![0; length];
    channel.read_exact(&mut body)?;
    Ok(serde_json::from_slice(&body)?)
}

/// The descriptors that come with a standing jail, in the order they are sent.
#[derive(Debug)]
pub(in crate::sandbox) struct JailEnds<Fd> {
    /// The jail's own socket. Closing it gives the jail back.
    pub(in crate::sandbox) control: Fd,
    /// The jail's first process.
    pub(in crate::sandbox) process: Fd,
    /// The work directory.
    pub(in crate::sandbox) directory: Fd,
    /// Its `/tmp`, to see afterwards whether it was full.
    pub(in crate::sandbox) tmp: Fd,
    /// The payload's standard streams, our side.
    pub(in crate::sandbox) stdin: Fd,
    pub(in crate::sandbox) stdout: Fd,
    pub(in crate::sandbox) stderr: Fd,
}

/// Descriptors per standing jail.
const ENDS: usize = 7;

/// Hands a standing jail to the daemon. `serial` names its cgroup.
pub(super) fn send_jail(
    channel: BorrowedFd<'_>,
    serial: u64,
    ends: &JailEnds<OwnedFd>,
) -> rustix::io::Result<()> {
    let descriptors =
        [&ends.control, &ends.process, &ends.directory, &ends.tmp, &ends.stdin, &ends.stdout, &ends.stderr]
            .map(AsFd::as_fd);
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(ENDS))];
    let mut attached = SendAncillaryBuffer::new(&mut space);
    if !attached.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(Errno::NOBUFS);
    }
    sendmsg(channel, &[IoSlice::new(&serial.to_le_bytes())], &mut attached, SendFlags::NOSIGNAL).map(drop)
}

/// Receives a standing jail: its serial number and its descriptors. `None` when the helper is gone.
pub(in crate::sandbox) fn receive_jail(
    channel: BorrowedFd<'_>,
) -> rustix::io::Result<Option<(u64, JailEnds<OwnedFd>)>> {
    let mut serial = [0; 8];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(ENDS))];
    let mut attached = RecvAncillaryBuffer::new(&mut space);
    let received =
        recvmsg(channel, &mut [IoSliceMut::new(&mut serial)], &mut attached, RecvFlags::CMSG_CLOEXEC)?;
    let mut descriptors = Vec::with_capacity(ENDS);
    for message in attached.drain() {
        if let RecvAncillaryMessage::ScmRights(these) = message {
            descriptors.extend(these);
        }
    }
    if received.bytes == 0 {
        return Ok(None);
    }
    let Ok([control, process, directory, tmp, stdin, stdout, stderr]) =
        <[OwnedFd; ENDS]>::try_from(descriptors)
    else {
        // Descriptors are dropped by the kernel when we may open no more.
        return Err(Errno::MFILE);
    };
    let ends = JailEnds { control, process, directory, tmp, stdin, stdout, stderr };
    Ok(Some((u64::from_le_bytes(serial), ends)))
}

/// A job, as it travels into a jail: see [`Start::decode`] for the layout.
pub(in crate::sandbox) fn encode_start(job: &Job, limits: &[u64; RLIMITS]) -> Vec<u8> {
    let files: usize = job.files.iter().map(|file| file.contents.len() + file.path.as_str().len() + 16).sum();
    let mut message = vec![0; 8];
    message.reserve(files + 4096);
    let mut put = |bytes: &[u8]| {
        message.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        message.extend_from_slice(bytes);
    };
    put(&limits.map(u64::to_le_bytes).concat());
    put(job.program.as_os_str().as_bytes());
    put(&(job.arguments.len() as u64).to_le_bytes());
    for argument in &job.arguments {
        put(argument.as_bytes());
    }
    put(&(job.environment.len() as u64).to_le_bytes());
    for (name, value) in &job.environment {
        put(&[name.as_bytes(), b"=", value.as_bytes()].concat());
    }
    for file in &job.files {
        put(file.path.as_str().as_bytes());
        put(&file.contents);
    }
    let length = (message.len() - 8) as u64;
    message[..8].copy_from_slice(&length.to_le_bytes());
    message
}

/// Resource limits per process, in the order of [`rlimit_resources`].
pub(in crate::sandbox) const RLIMITS: usize = 5;

/// Which resource each number of a start message limits.
pub(in crate::sandbox) const fn rlimit_resources() -> [Resource; RLIMITS] {
    [Resource::As, Resource::Fsize, Resource::Nofile, Resource::Cpu, Resource::Nproc]
}

/// Bytes of a core file. No file is that small, so none is written; and where the machine pipes cores to a program of
/// its own, the kernel asks this number only, and not zero, to leave a crash in a jail alone.
pub(in crate::sandbox) const CORE_LIMIT: (Resource, u64) = (Resource::Core, 1);

/// Limits per process that are the same for every job, beside [`CORE_LIMIT`].
pub(in crate::sandbox) const COMMON_LIMITS: [(Resource, u64); 3] = [
    // Bytes of memory that may be locked: enough for what asks out of habit.
    (Resource::Memlock, 64 * 1024),
    // Bytes of POSIX message queues: nothing needs them.
    (Resource::Msgqueue, 0),
    // Signals and timers that may wait.
    (Resource::Sigpending, 1024),
];

/// A limit as the kernel takes it. A process at its hard limit of CPU time is killed; only at a lower soft one does it
/// get the signal that says why.
pub(in crate::sandbox) fn rlimit(resource: Resource, limit: u64, most: u64) -> Rlimit {
    let grace = u64::from(resource == Resource::Cpu);
    let (current, maximum) = (limit.min(most), limit.saturating_add(grace).min(most));
    Rlimit { current: Some(current), maximum: Some(maximum) }
}

/// "No limit" in a start message.
pub(in crate::sandbox) const UNLIMITED: u64 = u64::MAX;

/// A job, as the jail reads it.
#[derive(Debug)]
pub(super) struct Start<'a> {
    /// In the order of [`rlimit_resources`].
    pub(super) limits: [u64; RLIMITS],
    /// What to run.
    pub(super) program: CString,
    /// Its arguments, without its own name.
    pub(super) arguments: Vec<CString>,
    /// `NAME=value`.
    pub(super) environment: Vec<CString>,
    /// Names below the work directory, and contents.
    pub(super) files: Vec<(&'a str, &'a [u8])>,
}

impl<'a> Start<'a> {
    /// Reads what [`encode_start`] wrote, without the length in front: byte strings, each with its length; counts
    /// are byte strings too. `None` if it is not that.
    pub(super) fn decode(message: &'a [u8]) -> Option<Self> {
        let mut rest = message;
        let mut take = || -> Option<&'a [u8]> {
            let (length, tail) = rest.split_first_chunk::<8>()?;
            let (bytes, tail) = tail.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
            rest = tail;
            Some(bytes)
        };
        let limits = take()?;
        let mut numbers = limits.as_chunks::<8>().0.iter().map(|chunk| u64::from_le_bytes(*chunk));
        let limits = [(); RLIMITS].map(|()| numbers.next().unwrap_or(0));
        let program = CString::new(take()?).ok()?;
        let mut list = || -> Option<Vec<CString>> {
            let count = u64::from_le_bytes(take()?.try_into().ok()?);
            (0..count).map(|_| CString::new(take()?).ok()).collect()
        };
        let (arguments, environment) = (list()?, list()?);
        let mut files = Vec::new();
        while let Some(name) = take() {
            files.push((std::str::from_utf8(name).ok()?, take()?));
        }
        Some(Self { limits, program, arguments, environment, files })
    }
}

/// What a jail reports: the typed record that keeps a failure of ours from ever looking like a compiler's result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sandbox) enum Record {
    /// The job's program is about to take over.
    Started,
    /// A step before that failed.
    Failed(Step, i32),
    /// The program returned a code; everything it left behind is dead.
    Exited(i32, Used),
    /// The program died by a signal; everything it left behind is dead.
    Signalled(i32, Used),
}

/// What the job's processes used, as its parent saw it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::sandbox) struct Used {
    /// User and system time, in nanoseconds.
    pub(in crate::sandbox) cpu_nanos: u64,
    /// Largest resident set of one process, in bytes.
    pub(in crate::sandbox) peak_resident: u64,
}

macro_rules! steps {
    ($($name:ident = $text:literal,)*) => {
        /// The steps between an empty jail and a running program, in order.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u8)]
        #[expect(missing_docs, reason = "each has its words in `as_str`")]
        pub enum Step { $($name,)* }

        impl Step {
            const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// What was being done.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

steps! {
    DieWithHelper = "ask to die with the helper",
    JoinCgroup = "join the job's cgroup",
    NewCgroupNamespace = "unshare the cgroup namespace",
    JoinNetwork = "enter the empty network namespace",
    RestrictMounts = "restrict the mounts of the host",
    MountWork = "mount the work directory",
    MountTmp = "mount /tmp",
    MountProc = "mount /proc",
    HideHostProc = "unmount the host's /proc",
    HostName = "set the host name",
    NewUserNamespace = "unshare a user namespace for the process count",
    Fork = "start the payload's process",
    DropBounding = "drop the capability bounding set",
    DropGroups = "drop supplementary groups",
    ChangeUser = "change to the job's user",
    DropCapabilities = "drop all capabilities",
    NoNewPrivileges = "set no_new_privs",
    Landlock = "confine with Landlock",
    Streams = "connect the standard streams",
    CloseFiles = "mark inherited descriptors",
    WorkDirectory = "enter the work directory",
    Filter = "install the system-call filter",
    ReadStart = "read the job",
    WriteFile = "write an input file",
    Limit = "set a resource limit",
    Execute = "execute the program",
}

/// Words of 8 bytes in a record.
const RECORD_WORDS: usize = 4;
/// Bytes of a record.
pub(in crate::sandbox) const RECORD: usize = RECORD_WORDS * 8;

impl Record {
    /// As bytes.
    pub(super) fn encode(self) -> [u8; RECORD] {
        let signed = |number: i32| u64::from(number.cast_unsigned());
        let words: [u64; RECORD_WORDS] = match self {
            Self::Started => [1, 0, 0, 0],
            Self::Failed(step, errno) => [2, step as u64, signed(errno), 0],
            Self::Exited(code, used) => [3, signed(code), used.cpu_nanos, used.peak_resident],
            Self::Signalled(signal, used) => [4, signed(signal), used.cpu_nanos, used.peak_resident],
        };
        let mut bytes = [0; RECORD];
        for (chunk, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(words) {
            *chunk = word.to_le_bytes();
        }
        bytes
    }

    /// From bytes; `None` if they are no record.
    pub(in crate::sandbox) fn decode(bytes: &[u8; RECORD]) -> Option<Self> {
        let mut words = bytes.as_chunks::<8>().0.iter().map(|chunk| u64::from_le_bytes(*chunk));
        let [tag, a, b, c] = [(); RECORD_WORDS].map(|()| words.next().unwrap_or(0));
        let signed = |word: u64| u32::try_from(word).ok().map(u32::cast_signed);
        let used = Used { cpu_nanos: b, peak_resident: c };
        Some(match tag {
            1 => Self::Started,
            2 => Self::Failed(*Step::ALL.get(usize::try_from(a).ok()?)?, signed(b)?),
            3 => Self::Exited(signed(a)?, used),
            4 => Self::Signalled(signed(a)?, used),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::limits::{Deadline, Limits};
    use crate::domain::path::JobPath;
    use crate::sandbox::spec::JobFile;
    use proptest::prelude::*;

    #[test]
    fn a_job_arrives_as_it_was_sent() {
        let job = Job {
            program: "/usr/bin/gcc".into(),
            arguments: vec!["-S".into(), "".into(), "/app/x.c".into()],
            environment: vec![("PATH".into(), "/usr/bin".into())],
            files: vec![JobFile { path: JobPath::parse("d/x.c").unwrap(), contents: "int x;\0".into() }],
            stdin: bytes::Bytes::new(),
            limits: Limits::default(),
            deadline: Deadline::after(std::time::Duration::from_secs(1)),
        };
        let limits = [1, 2, 3, 4, UNLIMITED];
        let message = encode_start(&job, &limits);
        let start = Start::decode(&message[8..]).unwrap();
        assert_eq!(start.limits, limits);
        assert_eq!(start.program.as_bytes(), b"/usr/bin/gcc");
        assert_eq!(
            start.arguments.iter().map(CString::as_bytes).collect::<Vec<_>>(),
            [b"-S" as &[u8], b"", b"/app/x.c"]
        );
        assert_eq!(start.environment[0].as_bytes(), b"PATH=/usr/bin");
        assert_eq!(start.files, [("d/x.c", b"int x;\0" as &[u8])]);
        assert_eq!(u64::from_le_bytes(message[..8].try_into().unwrap()), message.len() as u64 - 8);
    }

    #[test]
    fn only_cpu_time_is_announced() {
        let limits = |resource, most| {
            let Rlimit { current, maximum } = rlimit(resource, 5, most);
            (current.unwrap(), maximum.unwrap())
        };
        assert_eq!(limits(Resource::Cpu, u64::MAX), (5, 6));
        assert_eq!(limits(Resource::Cpu, 5), (5, 5), "where this machine allows no more");
        assert_eq!(limits(Resource::Fsize, u64::MAX), (5, 5));
        assert_eq!(limits(Resource::Nofile, 3), (3, 3));
    }

    #[test]
    fn records_survive_the_way() {
        let used = Used { cpu_nanos: 7, peak_resident: 9 };
        for record in [
            Record::Started,
            Record::Failed(Step::Execute, 2),
            Record::Exited(-1, used),
            Record::Signalled(9, used),
        ] {
            assert_eq!(Record::decode(&record.encode()), Some(record));
        }
        assert_eq!(Record::decode(&[0; RECORD]), None);
        assert_eq!(Record::decode(&[0xff; RECORD]), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_decoding_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            drop(Start::decode(&bytes));
            if let Some(record) = bytes.first_chunk().and_then(Record::decode) {
                prop_assert_eq!(Record::decode(&record.encode()), Some(record));
            }
        }
    }
}
