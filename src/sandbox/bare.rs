//! No jail: a process group, limits per process and a temporary directory of this machine. For development, and for
//! machines that emulate another processor and have no namespaces.

use std::ffi::{OsStr, OsString};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use memchr::memmem;
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, PidfdFlags, Signal};
use tokio::io::Interest;
use tokio::time::Instant;

use crate::domain::limits::Deadline;
use crate::domain::result::Stop;
use crate::sandbox::capture::{Capture, Heard};
use crate::sandbox::jail::protocol::{self, UNLIMITED};
use crate::sandbox::jail::sys;
use crate::sandbox::never_mind;
use crate::sandbox::run::{RunError, io, rlimits};
use crate::sandbox::spec::{Finished, Job, Usage, WORK_DIR};
use crate::sandbox::standing::Feed;
use crate::sandbox::workspace::Workspace;

/// A directory of this machine that is removed when dropped. Its name is the one that Compiler Explorer gives such
/// directories, and masks in what compilers print.
#[derive(Debug)]
pub(super) struct TempDirectory(PathBuf);

impl TempDirectory {
    fn create() -> io::Result<Self> {
        const TRIES: u32 = 100;
        let parent = std::env::temp_dir();
        for _ in 0..TRIES {
            let path = parent.join(format!("compiler-explorer-compiler{}", random_name()?));
            match fs::create_dir(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                made => return made.map(|()| Self(path)),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Its path.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDirectory {
    fn drop(&mut self) {
        // What a job made unreadable stays; nobody is there to be told.
        never_mind(fs::remove_dir_all(&self.0));
    }
}

/// Six letters and digits, as `mkdtemp` would choose.
fn random_name() -> io::Result<String> {
    const LETTERS: &[u8; 62] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    let mut bytes = [0_u8; 6];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(bytes.iter().map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()])).collect())
}

/// A process group that is killed, and whose leader is reaped, when this is dropped.
#[derive(Debug)]
struct Group(Child);

impl Group {
    fn kill(&self) {
        if let Some(group) = self.0.id().try_into().ok().and_then(Pid::from_raw) {
            never_mind(rustix::process::kill_process_group(group, Signal::KILL));
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
        // After SIGKILL this takes as long as the kernel takes; there is no result left to want.
        never_mind(self.0.wait());
    }
}

/// Runs a job without a jail.
pub(super) async fn run(job: Job) -> Result<Finished, RunError> {
    let asked = Instant::now();
    let place = TempDirectory::create().map_err(io("create a temporary directory"))?;
    for file in &job.files {
        write_new(&place.path().join(file.path.as_path()), &file.contents)
            .map_err(io("write an input file"))?;
    }
    let begun = Instant::now();
    let deadline = Deadline::sooner(job.deadline, job.limits.wall);
    let mut group = Group(spawn(&job, place.path())?);
    let start = asked.elapsed();
    let mut streams = Streams::of(&mut group.0, &job).map_err(io("connect the job's streams"))?;
    limit(&group.0, &job).map_err(io("limit the job"))?;
    let attended = tokio::time::timeout_at(deadline.instant(), streams.attend()).await;
    // The leader is not reaped yet, so its group's number is still its own.
    group.kill();
    let status = group.0.wait().map_err(io("wait for the job"))?;
    for stream in [&mut streams.stdout, &mut streams.stderr] {
        stream.drain().map_err(io("read the job's output"))?;
    }
    let (stdout, stderr) = (streams.stdout.finish(), streams.stderr.finish());
    let attended = attended.ok().transpose().map_err(io("attend the job"))?;
    let stop = match (attended, status.code(), status.signal()) {
        (None, ..) => Stop::WallTime,
        (Some(Heard::TooMuch), ..) => Stop::TooMuchOutput,
        (_, Some(code), _) => Stop::Exited(code),
        (_, None, Some(libc::SIGXCPU)) => Stop::CpuTime,
        (_, None, Some(libc::SIGXFSZ)) => Stop::DiskLimit,
        (_, None, Some(signal)) => Stop::Signalled(signal),
        (_, None, None) => return Err(RunError::Silent),
    };
    let directory =
        rustix::fs::open(place.path(), OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|error| io("open the job's directory")(error.into()))?;
    Ok(Finished {
        stop,
        out_of_time: stop == Stop::WallTime,
        stdout,
        stderr,
        usage: Usage { start, wall: begun.elapsed(), ..Usage::default() },
        workspace: Workspace::bare(directory, place),
    })
}

/// The job's streams, and its end.
#[derive(Debug)]
struct Streams {
    stdin: Feed,
    stdout: Capture,
    stderr: Capture,
    end: tokio::io::unix::AsyncFd<OwnedFd>,
}

impl Streams {
    fn of(child: &mut Child, job: &Job) -> io::Result<Self> {
        let missing = || io::Error::from(io::ErrorKind::NotFound);
        let stdin = OwnedFd::from(child.stdin.take().ok_or_else(missing)?);
        let stdout = OwnedFd::from(child.stdout.take().ok_or_else(missing)?);
        let stderr = OwnedFd::from(child.stderr.take().ok_or_else(missing)?);
        for end in [&stdin, &stdout, &stderr] {
            rustix::io::ioctl_fionbio(end, true)?;
        }
        let process = child.id().try_into().ok().and_then(Pid::from_raw).ok_or_else(missing)?;
        let end = rustix::process::pidfd_open(process, PidfdFlags::empty())?;
        Ok(Self {
            stdin: Feed::new(stdin, job.stdin.clone())?.closing(),
            stdout: Capture::new(stdout, job.limits.output)?,
            stderr: Capture::new(stderr, job.limits.output)?,
            end: sys::watch(end, Interest::READABLE)?,
        })
    }

    /// Until the job's first process ends, or prints too much.
    async fn attend(&mut self) -> io::Result<Heard> {
        loop {
            let heard = tokio::select! {
                heard = self.stdout.hear(), if self.stdout.open() => heard?,
                heard = self.stderr.hear(), if self.stderr.open() => heard?,
                pushed = self.stdin.push(), if self.stdin.pending() => {
                    pushed?;
                    Heard::Some
                }
                end = self.end.readable() => {
                    end?.retain_ready();
                    return Ok(Heard::End);
                }
            };
            if heard == Heard::TooMuch {
                return Ok(heard);
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the sandbox, which alone starts processes")]
fn spawn(job: &Job, directory: &Path) -> Result<Child, RunError> {
    Command::new(&job.program)
        .args(job.arguments.iter().map(|argument| rewrite(argument, directory)))
        .env_clear()
        .envs(job.environment.iter().map(|(name, value)| (name, rewrite(value, directory))))
        .current_dir(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(|source| RunError::Program { program: job.program.clone(), source })
}

/// Sets the limits per process. Between the start and this the job runs without: nothing here is a wall anyway.
fn limit(child: &Child, job: &Job) -> io::Result<()> {
    let process = child.id().try_into().ok().and_then(Pid::from_raw);
    let own = protocol::rlimit_resources().into_iter().zip(rlimits(&job.limits, false));
    for (resource, limit) in own.chain(protocol::COMMON_LIMITS).chain([protocol::CORE_LIMIT]) {
        // Processes are counted per user, who has others here.
        if limit == UNLIMITED || resource == rustix::process::Resource::Nproc {
            continue;
        }
        match rustix::process::prlimit(process, resource, protocol::rlimit(resource, limit, u64::MAX)) {
            // Gone already; or the limit inherited is lower, and stays.
            Ok(_) | Err(rustix::io::Errno::SRCH | rustix::io::Errno::PERM) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Replaces the job's name for its directory by the real one, where it stands as a whole path component.
fn rewrite(text: &OsStr, directory: &Path) -> OsString {
    let (bytes, name) = (text.as_bytes(), WORK_DIR.as_bytes());
    let mut rewritten = Vec::with_capacity(bytes.len() + 64);
    let mut rest = 0;
    for at in memmem::find_iter(bytes, name) {
        let within_a_word = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.".contains(byte);
        let before = at.checked_sub(1).and_then(|before| bytes.get(before)).is_some_and(|byte| {
            byte.is_ascii_alphanumeric() && !starts_an_option(&bytes[..at]) || b"_.".contains(byte)
        });
        if before || bytes.get(at + name.len()).is_some_and(within_a_word) {
            continue;
        }
        rewritten.extend_from_slice(&bytes[rest..at]);
        rewritten.extend_from_slice(directory.as_os_str().as_bytes());
        rest = at + name.len();
    }
    rewritten.extend_from_slice(&bytes[rest..]);
    OsString::from_vec(rewritten)
}

/// Whether a path may follow directly, as in `-I/app`.
fn starts_an_option(text: &[u8]) -> bool {
    text.first() == Some(&b'-') && !text.contains(&b'/')
}

fn write_new(path: &Path, contents: &[u8]) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).custom_flags(libc::O_NOFOLLOW).open(path)?.write_all(contents)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_is_renamed_and_nothing_else() {
        for (text, want) in [
            ("/app/x.cpp", "/tmp/d/x.cpp"),
            ("/app", "/tmp/d"),
            ("-I/app/include", "-I/tmp/d/include"),
            ("-fdebug-prefix-map=/app=/app/x", "-fdebug-prefix-map=/tmp/d=/tmp/d/x"),
            ("/apple", "/apple"),
            ("/opt/app/x", "/opt/app/x"),
            ("/my/app", "/my/app"),
            ("/usr/bin:/app/bin", "/usr/bin:/tmp/d/bin"),
        ] {
            assert_eq!(rewrite(OsStr::new(text), Path::new("/tmp/d")), want, "{text}");
        }
    }
}
