//! A sandbox with the real helper, and jobs for it.

use std::time::Duration;

use compilation_worker::domain::limits::{Deadline, Limits};
use compilation_worker::domain::path::JobPath;
use compilation_worker::sandbox::{Finished, Job, JobFile, RunError, Sandbox, Settings};

/// The program under test, which becomes the helper.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_compilation-worker");

/// A sandbox and the runtime it lives in.
pub(crate) struct Bed {
    pub(crate) runtime: tokio::runtime::Runtime,
    pub(crate) sandbox: Sandbox,
}

/// Settings as a test wants them.
pub(crate) fn settings(slots: usize) -> Settings {
    Settings { helper: BINARY.into(), ..Settings::new(slots) }
}

impl Bed {
    pub(crate) fn make() -> Self {
        Self::with(settings(2))
    }

    pub(crate) fn with(settings: Settings) -> Self {
        let launched = Sandbox::launch(settings).unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let sandbox = runtime.block_on(async { launched.attach() }).unwrap();
        Self { runtime, sandbox }
    }

    pub(crate) fn try_run(&self, job: Job) -> Result<Finished, RunError> {
        self.runtime.block_on(self.sandbox.run(job))
    }

    pub(crate) fn run(&self, job: Job) -> Finished {
        self.try_run(job).unwrap()
    }

    pub(crate) fn read(&self, finished: &Finished, name: &str) -> Option<String> {
        let contents = self.runtime.block_on(finished.workspace.read(&path(name), 1 << 20)).unwrap();
        contents.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }
}

pub(crate) fn path(name: &str) -> JobPath {
    JobPath::parse(name).unwrap()
}

/// A job that runs `program`, with a deadline no test should reach.
pub(crate) fn job(program: &str, arguments: &[&str]) -> Job {
    Job {
        program: program.into(),
        arguments: arguments.iter().map(Into::into).collect(),
        environment: vec![("PATH".into(), "/usr/bin:/bin".into()), ("HOME".into(), "/app".into())],
        files: Vec::new(),
        stdin: bytes::Bytes::new(),
        limits: Limits::default(),
        deadline: Deadline::after(Duration::from_secs(60)),
    }
}

/// A job that runs a shell script.
pub(crate) fn script(text: &str) -> Job {
    job("/bin/sh", &["-c", text])
}

pub(crate) fn file(name: &str, contents: &str) -> JobFile {
    JobFile { path: path(name), contents: contents.to_owned().into() }
}

pub(crate) fn stdout(finished: &Finished) -> String {
    String::from_utf8_lossy(&finished.stdout.bytes).into_owned()
}

pub(crate) fn stderr(finished: &Finished) -> String {
    String::from_utf8_lossy(&finished.stderr.bytes).into_owned()
}
