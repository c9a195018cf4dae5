//! Birth and death of every task. (Replaced on merge by the real one; only what the doors name stands here.)

use std::io;

use tokio::task::JoinHandle;

/// Where in its life the process is. It only ever moves down this list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Not everything is up yet.
    Starting,
    /// Doing its job.
    Serving,
    /// Finishing what it has; taking nothing new.
    Draining,
    /// Ending what would not finish.
    Killing,
    /// Nothing is left.
    Stopped,
}

impl Phase {
    /// The name shown to people and in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Serving => "serving",
            Self::Draining => "draining",
            Self::Killing => "killing",
            Self::Stopped => "stopped",
        }
    }
}

/// Runs `work`, which may block, on the runtime's blocking threads.
pub fn blocking<T, F>(name: &'static str, work: F) -> JoinHandle<T>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    let span = tracing::debug_span!("blocking", task.name = name);
    #[expect(clippy::disallowed_methods, reason = "this is the wrapper that names the work")]
    tokio::task::spawn_blocking(move || span.in_scope(work))
}

/// Starts an operating-system thread that carries its name where debuggers and `ps` see it.
pub fn thread<T, F>(name: &'static str, work: F) -> io::Result<std::thread::JoinHandle<T>>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    std::thread::Builder::new().name(name.to_owned()).spawn(work)
}

/// What a panic said, when it said it in words.
pub fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    let words = panic.downcast_ref::<&str>().copied();
    words.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
