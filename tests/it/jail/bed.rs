//! A sandbox with the real helper, and jobs for it.

use std::time::Duration;

use compilation_worker::domain::limits::{Deadline, Limits};
use compilation_worker::domain::path::JobPath;
use compilation_worker::domain::result::Stop;
use compilation_worker::sandbox::{Finished, Job, JobFile, RunError, Sandbox, Settings};
use tokio::time::Instant;

/// The program under test, which becomes the helper.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_compilation-worker");

/// A sandbox and the runtime it lives in.
pub(crate) struct Bed {
    pub(crate) runtime: tokio::runtime::Runtime,
    pub(crate) sandbox: Sandbox,
}

/// Names another copy of that program, where this one cannot be executed.
pub(crate) const HELPER_OVERRIDE: &str = "JAIL_TEST_HELPER";

/// Settings as a test wants them.
#[expect(clippy::disallowed_methods, reason = "how the harness talks to itself")]
pub(crate) fn settings(slots: usize) -> Settings {
    let helper = std::env::var_os(HELPER_OVERRIDE).unwrap_or_else(|| BINARY.into());
    Settings { helper: helper.into(), ..Settings::new(slots) }
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

    /// Compiles a C program in one jail and runs it in another, with `limits` and files.
    pub(crate) fn run_c(&self, source: &str, limits: Limits) -> Finished {
        let mut compile = job("/usr/bin/gcc", &["-O1", "-w", "-pthread", "-o", "/app/a.out", "/app/a.c"]);
        compile.files = vec![file("a.c", source)];
        let built = self.run(compile);
        assert_eq!(built.stop, Stop::Exited(0), "{}", stderr(&built));
        let program = self.runtime.block_on(built.workspace.read(&path("a.out"), 1 << 24)).unwrap().unwrap();
        let mut run = script("cp a.out b.out && chmod +x b.out && exec ./b.out");
        run.files = vec![JobFile { path: path("a.out"), contents: program.into() }];
        run.limits = limits;
        self.run(run)
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let next = self.run(script("echo healthy"));
            assert_eq!((next.stop, stdout(&next).as_str()), (Stop::Exited(0), "healthy\n"));
        }
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
        deadline: Deadline::after(Duration::from_mins(1)),
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

/// Waits until `met`, at most `patience`.
pub(crate) fn eventually(patience: Duration, mut met: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + patience;
    while !met() {
        if Instant::now() > end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    true
}

/// Host process ids whose command line contains `mark`.
pub(crate) fn processes_with(mark: &str) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter(|entry| {
            let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            entry.file_name().to_string_lossy().bytes().all(|byte| byte.is_ascii_digit())
                && entry.file_name().to_string_lossy() != std::process::id().to_string()
                && String::from_utf8_lossy(&line).contains(mark)
        })
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}
