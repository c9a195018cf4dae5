//! Field names of log events and spans, once each. Dotted by noun, the unit at the end.

/// What one request is called, here and in the reply's `X-Request-Id`.
pub const REQUEST_ID: &str = "request.id";
/// The trace that a request is part of, as X-Ray shows it.
pub const TRACE_ID: &str = "trace.id";
/// The compiler asked for.
pub const COMPILER_ID: &str = "compiler.id";
/// The language asked for.
pub const LANGUAGE_ID: &str = "language.id";
/// Which door the request came through.
pub const DOOR: &str = "door";
/// The kind of a failure of ours.
pub const CLASS: &str = "class";
/// How a job ended.
pub const JOB_STATUS: &str = "job.status";
/// What the tool returned.
pub const EXIT_CODE: &str = "exit.code";
/// Whether the answer was remembered rather than computed.
pub const CACHED: &str = "cached";
/// The matched route, never the raw path.
pub const HTTP_ROUTE: &str = "http.route";
/// The status of an HTTP reply.
pub const HTTP_STATUS: &str = "http.status";
/// Bytes of a request's body.
pub const BYTES_IN: &str = "bytes_in";
/// Bytes of a reply's body.
pub const BYTES_OUT: &str = "bytes_out";
/// Time spent waiting for a slot.
pub const WAITED_MS: &str = "waited_ms";
/// Time from arrival to the last byte.
pub const DURATION_MS: &str = "duration_ms";
/// A tracked task's name.
pub const TASK_NAME: &str = "task.name";
/// A thread's name.
pub const THREAD_NAME: &str = "thread.name";
/// How many tasks something concerns.
pub const TASKS: &str = "tasks";
/// Where in its life the process is.
pub const PHASE: &str = "phase";
/// What a panic said.
pub const PANIC_MESSAGE: &str = "panic.message";
/// Where a panic happened.
pub const PANIC_LOCATION: &str = "panic.location";
/// An error and its causes, joined by a colon.
pub const ERROR: &str = "error";
/// A configuration key.
pub const CONFIG_KEY: &str = "config.key";
/// A file something concerns.
pub const FILE: &str = "file";
/// A line of [`FILE`].
pub const LINE: &str = "line";
