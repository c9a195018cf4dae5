//! What the tools said: the result of a compile, before any rendering.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::listing::Listing;

/// How one job ended: the one status vocabulary, shown in `X-Job-Status`, the closing log event and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JobStatus {
    /// The tool returned 0.
    Ok,
    /// The tool returned something else.
    CompileError,
    /// The tool died by a signal that no limit of ours sent.
    Signalled,
    /// The CPU time was used up.
    TimeoutCpu,
    /// The wall time was used up.
    TimeoutWall,
    /// The memory limit struck.
    Oom,
    /// The process limit struck.
    PidsLimit,
    /// The tool printed more than is kept, and was stopped.
    OutputTruncated,
    /// A file or the scratch space hit its limit.
    DiskLimit,
    /// The request was refused before anything ran.
    Rejected,
    /// It waited too long, and was dropped.
    Stale,
    /// The caller left.
    Cancelled,
    /// We could not do our part.
    InfraError,
}

impl JobStatus {
    /// Every status.
    pub const ALL: [Self; 13] = [
        Self::Ok,
        Self::CompileError,
        Self::Signalled,
        Self::TimeoutCpu,
        Self::TimeoutWall,
        Self::Oom,
        Self::PidsLimit,
        Self::OutputTruncated,
        Self::DiskLimit,
        Self::Rejected,
        Self::Stale,
        Self::Cancelled,
        Self::InfraError,
    ];

    /// The name on the wire and in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::CompileError => "compile_error",
            Self::Signalled => "signalled",
            Self::TimeoutCpu => "timeout_cpu",
            Self::TimeoutWall => "timeout_wall",
            Self::Oom => "oom",
            Self::PidsLimit => "pids_limit",
            Self::OutputTruncated => "output_truncated",
            Self::DiskLimit => "disk_limit",
            Self::Rejected => "rejected",
            Self::Stale => "stale",
            Self::Cancelled => "cancelled",
            Self::InfraError => "infra_error",
        }
    }
}

/// How the jail saw a step end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stop {
    /// It returned this code.
    Exited(i32),
    /// It died by this signal, which was not ours.
    Signalled(i32),
    /// Killed: the wall time was used up.
    WallTime,
    /// Killed: the CPU time was used up.
    CpuTime,
    /// Killed: the memory limit struck.
    OutOfMemory,
    /// It failed after the process limit struck.
    TooManyProcesses,
    /// Killed: it printed more than is kept.
    TooMuchOutput,
    /// It failed after a file-size or scratch-space limit struck.
    DiskLimit,
}

/// A severity as the wire numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// 1
    Note = 1,
    /// 2
    Warning = 2,
    /// 3
    Error = 3,
}

/// What a compiler's output line points at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// 1-based line.
    pub line: u32,
    /// 1-based column; 0 when none was given.
    pub column: u32,
    /// The message without ANSI codes.
    pub text: String,
    /// How bad it is.
    pub severity: Severity,
    /// The file's base name.
    pub file: String,
    /// Edits that would mend it.
    pub fixes: Vec<Fix>,
}

/// A mend that a tool proposes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fix {
    /// What it does.
    pub title: String,
    /// The replacements, in the tool's order.
    pub edits: Vec<Edit>,
}

/// One replacement of a [`Fix`]; all positions are 1-based, the end exclusive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// First line.
    pub line: u32,
    /// First column.
    pub column: u32,
    /// Last line.
    pub end_line: u32,
    /// Column after the last.
    pub end_column: u32,
    /// What to put there.
    pub text: String,
}

/// One line a tool printed; ANSI codes are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputLine {
    /// The line.
    pub text: String,
    /// What it points at, when that could be read.
    pub tag: Option<Tag>,
}

/// What stands in the `asm` member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asm {
    /// An empty array, and no label data: the client asked for none.
    Skipped,
    /// A listing.
    Listing(Listing),
    /// One item with a text, a null source and no labels, such as `<Compilation failed>`.
    Remark(String),
    /// One item with nothing but a text: the raw output after a timeout.
    Raw(String),
}

/// The result of one compile request, in the trade's words; `wire` gives it its JSON.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each is one member of the public API")]
pub struct CompileResult {
    /// How the job ended, in our vocabulary.
    pub status: JobStatus,
    /// Exit status; -1 when the process was killed or never ran.
    pub code: i32,
    /// False after timeouts, user-file errors and sandbox failures.
    pub ok_to_cache: bool,
    /// The wall or CPU time was used up.
    pub timed_out: bool,
    /// A stream hit its limit.
    pub truncated: bool,
    /// The main file's name, masked.
    pub input_filename: String,
    /// Standard output.
    pub stdout: Vec<OutputLine>,
    /// Standard error.
    pub stderr: Vec<OutputLine>,
    /// Wall time of the compiler process.
    pub exec_time: Duration,
    /// Time spent tagging output lines.
    pub tagging_time: Duration,
    /// What the code is for: `amd64`, `aarch64`.
    pub instruction_set: Arc<str>,
    /// The exact argument list, paths masked.
    pub compilation_options: Vec<String>,
    /// Bytes of the output file; `None` when there is none.
    pub asm_size: Option<u64>,
    /// The listing.
    pub asm: Asm,
    /// Time spent in the text engine.
    pub parsing_time: Duration,
    /// `languageId`, when the listing is not in the language's own assembly.
    pub language_id: Option<&'static str>,
    /// `dirPath`, in the user-error shape only.
    pub directory: Option<String>,
    /// Whether `popularArguments` is left out.
    pub skip_popular_arguments: bool,
}
