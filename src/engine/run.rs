//! A plan, run in the jail: what came out, before anyone has read it.

use std::ffi::OsString;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use memchr::memmem;

use crate::compilers::Toolchain;
use crate::domain::limits::{Deadline, Limits};
use crate::domain::result::{JobStatus, Stop};
use crate::engine::CompileError;
use crate::engine::cache::{Key, KeyBuilder, Weigh};
use crate::engine::desk;
use crate::engine::plan::Plan;
use crate::failpoint::{Planted, Point, amid, reach};
use crate::sandbox::{Berth, Captured, Job, JobFile, ReadError, RunError};

/// What stands at the end of a stream that was cut.
const TRUNCATION_NOTICE: &str = "\n[Truncated]";

/// What shells return for a program that they could not execute.
const NOT_EXECUTED: [i32; 2] = [126, 127];

/// What compilers say when the machine failed them and not the source: what was short may be there again, what
/// vanished may come back. The kernel's own words first, then those of drivers, the loader and allocators.
///
/// A driver that could not start its tools exits as if the source were wrong, so its words are all there is. Whoever
/// writes them into a source loses no more than the memory of his own errors.
const HOST_FAILURES: [&str; 17] = [
    "Resource temporarily unavailable",
    "Cannot allocate memory",
    "Too many open files",
    "Input/output error",
    "Stale file handle",
    "Transport endpoint is not connected",
    "Connection timed out",
    "Text file busy",
    "No space left on device",
    "cannot execute",
    "error trying to exec",
    "unable to execute command",
    "signal terminated program",
    "error while loading shared libraries",
    "out of memory",
    "memory exhausted",
    "bad_alloc",
];

/// The file the compiler was to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Written {
    /// It wrote none, or something that is no regular file.
    Nothing,
    /// Its bytes.
    File(Bytes),
    /// More than is presented.
    TooLarge {
        /// Bytes of the file.
        size: u64,
        /// Bytes that would have been presented.
        cap: u64,
    },
}

/// What one run of a compiler left behind; the same for every filter.
#[derive(Debug)]
pub(crate) struct RawOutput {
    /// How it ended.
    pub(crate) stop: Stop,
    /// Under which limits.
    pub(crate) limits: Limits,
    /// Whether time ran out, whatever came first: the job's own, or its caller's.
    pub(crate) out_of_time: bool,
    /// Standard output, at most the limit's bytes.
    pub(crate) stdout: Stream,
    /// Standard error, likewise.
    pub(crate) stderr: Stream,
    /// The output file.
    pub(crate) written: Written,
    /// From asking for a jail to the process running in it.
    pub(crate) start: Duration,
    /// Wall time of the process.
    pub(crate) wall: Duration,
    /// The job's directory as the compiler saw it.
    pub(crate) directory: String,
    /// Whether another compiler may have been put in its place since the request was planned, or its limits were not
    /// those of others.
    pub(crate) doubtful: bool,
}

/// One captured stream.
#[derive(Debug)]
pub(crate) struct Stream {
    /// The text; broken UTF-8 repaired, the notice appended if it was cut.
    pub(crate) text: String,
    /// Whether it was cut.
    pub(crate) truncated: bool,
}

impl RawOutput {
    /// Whether the same plan would surely end the same way again, and all of it was kept.
    pub(crate) fn is_repeatable(&self) -> bool {
        let whole = !self.doubtful
            && !self.stdout.truncated
            && !self.stderr.truncated
            && !matches!(self.written, Written::TooLarge { .. });
        whole
            && match self.stop {
                Stop::Exited(0) => true,
                Stop::Exited(code) => !NOT_EXECUTED.contains(&code) && !blames_the_host(&self.stderr.text),
                _ => false,
            }
    }

    /// The end in the one vocabulary.
    pub(crate) fn status(&self) -> JobStatus {
        match self.stop {
            Stop::Exited(0) if matches!(self.written, Written::TooLarge { .. }) => JobStatus::OutputTruncated,
            Stop::Exited(0) => JobStatus::Ok,
            Stop::Exited(_) => JobStatus::CompileError,
            Stop::Signalled(_) => JobStatus::Signalled,
            Stop::WallTime => JobStatus::TimeoutWall,
            Stop::CpuTime => JobStatus::TimeoutCpu,
            Stop::OutOfMemory => JobStatus::Oom,
            Stop::TooManyProcesses => JobStatus::PidsLimit,
            Stop::TooMuchOutput => JobStatus::OutputTruncated,
            Stop::DiskLimit => JobStatus::DiskLimit,
        }
    }
}

impl Weigh for RawOutput {
    fn bytes(&self) -> usize {
        let written = if let Written::File(bytes) = &self.written { bytes.len() } else { 0 };
        self.stdout.text.len() + self.stderr.text.len() + written + self.directory.len()
    }
}

/// The digest of everything that decides what the compiler writes.
///
/// The toolchain is known by its driver alone; `generation` makes a reload of the catalogue forget what headers,
/// assemblers and linkers may have changed without it.
pub(crate) fn key(plan: &Plan, toolchain: &Toolchain, generation: u64) -> Key {
    let mut key = KeyBuilder::default();
    key.part(&generation.to_le_bytes())
        .part(&toolchain.to_bytes())
        .part(plan.command.program.as_os_str().as_encoded_bytes());
    key.part(&(plan.command.arguments.len() as u64).to_le_bytes());
    for argument in &plan.command.arguments {
        key.part(argument.as_bytes());
    }
    key.part(&(plan.command.environment.len() as u64).to_le_bytes());
    for (name, value) in &plan.command.environment {
        key.part(name.as_bytes()).part(value.as_bytes());
    }
    key.part(plan.output.as_str().as_bytes());
    for (path, contents) in &plan.files {
        key.part(path.as_str().as_bytes()).part(contents.as_bytes());
    }
    key.finish()
}

/// Runs `plan` until `deadline`, and reads what it wrote. Dropping the future kills the job.
pub(crate) async fn run(
    berth: Berth,
    plan: &Plan,
    limits: Limits,
    deadline: Deadline,
) -> Result<RawOutput, CompileError> {
    reach(Point::Launching).await?;
    let running = pin!(berth.run(job(plan, limits, deadline)));
    let finished =
        amid(Point::Compiling, running).await?.map_err(|error| CompileError::Run(Arc::new(error)))?;
    reach(Point::Compiled).await?;
    let written = match finished.workspace.read(&plan.output, limits.artifact).await {
        Ok(Some(bytes)) => desk::admit(Bytes::from(bytes), limits.artifact),
        Ok(None) => Written::Nothing,
        Err(ReadError::TooLarge { size, cap, .. }) => Written::TooLarge { size, cap },
        Err(error) => return Err(CompileError::Read(Arc::new(error))),
    };
    Ok(RawOutput {
        stop: finished.stop,
        limits,
        out_of_time: finished.out_of_time,
        stdout: stream(finished.stdout, limits.output),
        stderr: stream(finished.stderr, limits.output),
        written,
        start: finished.usage.start,
        wall: finished.usage.wall,
        directory: finished.workspace.directory().to_owned(),
        doubtful: false,
    })
}

impl From<Planted> for CompileError {
    fn from(planted: Planted) -> Self {
        let source = std::io::Error::other(planted);
        Self::Run(Arc::new(RunError::Io { step: "pass a fail-point", source }))
    }
}

fn job(plan: &Plan, limits: Limits, deadline: Deadline) -> Job {
    Job {
        program: plan.command.program.clone(),
        arguments: plan.command.arguments.iter().map(OsString::from).collect(),
        environment: plan.command.environment.iter().map(|(k, v)| (k.into(), v.into())).collect(),
        files: plan
            .files
            .iter()
            .map(|(path, contents)| JobFile { path: path.clone(), contents: Bytes::from(contents.clone()) })
            .collect(),
        stdin: Bytes::new(),
        limits,
        deadline,
    }
}

/// Whether a compiler that failed says that it was not the source's fault.
pub(super) fn blames_the_host(stderr: &str) -> bool {
    HOST_FAILURES.iter().any(|words| memmem::find(stderr.as_bytes(), words.as_bytes()).is_some())
}

/// Repairs UTF-8 and, where the stream was cut, makes room for the notice within `limit` bytes.
fn stream(captured: Captured, limit: u64) -> Stream {
    let Captured { mut bytes, truncated } = captured;
    if truncated {
        let room = usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(TRUNCATION_NOTICE.len());
        bytes.truncate(room);
        // A character that the cut split would become a replacement mark that nobody printed.
        bytes.truncate(bytes.len() - split_character(&bytes));
    }
    let mut text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    };
    if truncated {
        text.push_str(TRUNCATION_NOTICE);
    }
    Stream { text, truncated }
}

/// How many of the last bytes begin a character that they do not end.
fn split_character(bytes: &[u8]) -> usize {
    let begins = |length: &usize| {
        let tail = bytes.len().checked_sub(*length).map(|start| &bytes[start..]);
        let wrong = tail.and_then(|tail| std::str::from_utf8(tail).err());
        wrong.is_some_and(|wrong| wrong.valid_up_to() == 0 && wrong.error_len().is_none())
    };
    (1..4).find(begins).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tokio::time::Instant;

    #[test]
    fn what_the_machine_did_is_not_remembered() {
        let output = |stop, stderr: &str| RawOutput {
            stop,
            limits: Limits::default(),
            out_of_time: false,
            stdout: Stream { text: String::new(), truncated: false },
            stderr: Stream { text: stderr.to_owned(), truncated: false },
            written: Written::Nothing,
            start: Duration::ZERO,
            wall: Duration::ZERO,
            directory: String::new(),
            doubtful: false,
        };
        let failed = |stderr: &str| output(Stop::Exited(1), stderr).is_repeatable();
        assert!(failed("<source>:1:5: error: 'nosuch' was not declared in this scope\n"));
        for said in [
            "g++: fatal error: cannot execute '/usr/lib/gcc/cc1plus': vfork: Resource temporarily unavailable",
            "g++: \u{1b}[31mfatal error: \u{1b}[mvfork: Resource temporarily unavailable\ncompilation terminated.",
            "g++: fatal error: cannot execute 'cc1plus': execvp: No such file or directory",
            "cc1plus: out of memory allocating 65536 bytes after a total of 1048576 bytes",
            "g++: fatal error: Killed signal terminated program cc1plus",
            "clang: error: unable to execute command: posix_spawn failed: Cannot allocate memory",
            "/usr/lib/gcc/cc1: error while loading shared libraries: libmpc.so.3: cannot open shared object file",
            "as: /cefs/lib/libbfd.so: Stale file handle",
        ] {
            assert!(!failed(said), "{said}");
            assert!(output(Stop::Exited(0), said).is_repeatable(), "it came to its end all the same: {said}");
        }
        assert!(!output(Stop::Exited(127), "").is_repeatable());
        assert!(!RawOutput { doubtful: true, ..output(Stop::Exited(0), "") }.is_repeatable());
        assert!(!output(Stop::Signalled(9), "").is_repeatable());
    }

    #[test]
    fn a_cut_stream_ends_with_the_notice_and_whole_characters() {
        let cut = |text: &str, limit: u64| {
            let mut bytes = text.as_bytes().to_vec();
            bytes.truncate(usize::try_from(limit).unwrap());
            stream(Captured { bytes, truncated: true }, limit).text
        };
        assert_eq!(cut(&"x".repeat(50), 20), "xxxxxxxx\n[Truncated]");
        assert_eq!(cut(&"€".repeat(50), 20), "€€\n[Truncated]");
        assert_eq!(cut("abc", 2), "\n[Truncated]");
        let whole = stream(Captured { bytes: b"ok \xff".to_vec(), truncated: false }, 20);
        assert_eq!((whole.text.as_str(), whole.truncated), ("ok \u{fffd}", false));
    }

    #[test]
    fn a_cut_stream_of_no_text_is_read_in_no_time() {
        let limit = 1 << 20;
        let start = Instant::now();
        let text = stream(Captured { bytes: vec![0xff; limit], truncated: true }, limit as u64).text;
        assert_eq!(text.matches('\u{fffd}').count(), limit - TRUNCATION_NOTICE.len());
        assert!(start.elapsed().as_secs() < 30);
    }

    proptest! {
        #[test]
        fn a_cut_takes_no_more_than_a_split_character(
            text in "[a\u{e9}\u{20ac}\u{1f600}\0\r\n\u{1b}]{0,8}",
            noise in prop::collection::vec(any::<u8>(), 0..6),
            cut in 0_usize..40,
        ) {
            let shown = |bytes: &[u8]| {
                let limit = (bytes.len() + TRUNCATION_NOTICE.len()) as u64;
                stream(Captured { bytes: bytes.to_vec(), truncated: true }, limit).text
            };
            let cut = cut.min(text.len());
            let whole = &text[..text.floor_char_boundary(cut)];
            prop_assert_eq!(shown(&text.as_bytes()[..cut]), format!("{whole}{TRUNCATION_NOTICE}"));
            let (read, all) = (shown(&noise), String::from_utf8_lossy(&noise));
            let read = read.strip_suffix(TRUNCATION_NOTICE).unwrap();
            let whole = read == all || all.strip_suffix('\u{fffd}') == Some(read);
            prop_assert!(whole, "{read:?} of {all:?}");
        }
    }
}
