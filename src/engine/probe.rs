//! Asks compilers what they can do: when the first job needs to know, once, until the compiler is replaced.

use std::collections::HashMap;
use std::error::Error;
use std::ffi::OsString;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use crate::compilers::capabilities::{Capabilities, CapabilitiesError};
use crate::compilers::{Answer, Compiler, Probe, Question, Toolchain};
use crate::domain::class::{Class, Classify};
use crate::domain::ids::CompilerId;
use crate::domain::limits::{Deadline, Limits};
use crate::domain::request::CompileRequest;
use crate::domain::result::Stop;
use crate::engine::plan::{Command, PlanSettings, environment};
use crate::engine::run::blames_the_host;
use crate::engine::slots::{SlotError, Slots};
use crate::sandbox::{Captured, Job, RunError, Sandbox};

/// How long one probe may take. They take tens of milliseconds; a compiler on a cold network disk may take seconds.
pub const PROBE_BUDGET: Duration = Duration::from_secs(10);
/// How long a compiler that failed is left alone before it is asked again.
pub const FAILURE_MEMORY: Duration = Duration::from_secs(5);
/// Compilers remembered. More than any catalogue has; beyond it all are forgotten, and asked again.
const MOST_REMEMBERED: usize = 20_000;

/// What a probe printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Printed {
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// The exit status.
    pub code: i32,
}

/// Why a probe could not be run: our failure, not the compiler's.
pub type RunFailure = Arc<dyn Error + Send + Sync>;

/// A run that has been started.
pub type Running<'a> = Pin<Box<dyn Future<Output = Result<Printed, RunFailure>> + Send + 'a>>;

/// Runs one probe, under [`PROBE_BUDGET`], in the same surroundings as a job.
pub trait Run: Send + Sync {
    /// Runs `command` without files and without input.
    fn run(&self, command: Command) -> Running<'_>;
}

/// Runs probes in the jail, each in a slot of its own, as any job.
#[derive(Debug)]
pub struct Jailed {
    sandbox: Sandbox,
    slots: Slots,
    limits: Limits,
}

impl Jailed {
    /// Probes under the limits of jobs. Only time and output are our own: what a compiler says about itself is long,
    /// and not the user's doing.
    pub fn new(sandbox: Sandbox, slots: Slots, jobs: Limits) -> Self {
        let output = Limits::default().output.max(jobs.output);
        Self { sandbox, slots, limits: Limits { wall: PROBE_BUDGET, output, ..jobs } }
    }

    async fn printed(&self, command: Command) -> Result<Printed, RunFailure> {
        let deadline = Deadline::after(PROBE_BUDGET);
        let _slot = self.slots.acquire(deadline).await.map_err(|error| -> RunFailure { Arc::new(error) })?;
        let environment = command.environment.into_iter();
        let job = Job {
            program: command.program,
            arguments: command.arguments.into_iter().map(OsString::from).collect(),
            environment: environment.map(|(name, value)| (name.into(), value.into())).collect(),
            files: Vec::new(),
            stdin: Bytes::new(),
            limits: self.limits,
            deadline,
        };
        let finished = self.sandbox.run(job).await.map_err(|error| -> RunFailure { Arc::new(error) })?;
        let text = |captured: Captured| String::from_utf8_lossy(&captured.bytes).into_owned();
        Ok(match finished.stop {
            Stop::Exited(code) => {
                Printed { stdout: text(finished.stdout), stderr: text(finished.stderr), code }
            }
            // Half an answer would be remembered as all the compiler can do; none is the compiler's failure.
            stop => Printed { stdout: String::new(), stderr: format!("stopped: {stop:?}"), code: -1 },
        })
    }
}

impl Run for Jailed {
    fn run(&self, command: Command) -> Running<'_> {
        Box::pin(self.printed(command))
    }
}

/// Why nothing is known of a compiler. Everybody who waited for the answer gets a copy.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ProbeError {
    /// The executable is gone.
    #[error("look at {}, the executable of compiler {id}; install it again or reload the catalogue", exe.display())]
    Executable {
        /// Whose it is.
        id: CompilerId,
        /// Where it should be.
        exe: PathBuf,
        /// What the system said.
        #[source]
        source: Arc<io::Error>,
    },
    /// It could not be run.
    #[error("run compiler {id} to ask for its {question:?}")]
    Run {
        /// Which one.
        id: CompilerId,
        /// What was asked.
        question: Question,
        /// What kept us from it.
        #[source]
        source: RunFailure,
    },
    /// The machine failed it; what it said meanwhile is not what it can do.
    #[error("ask compiler {id} for its {question:?}: the machine failed it, and it printed {printed:?}")]
    Machine {
        /// Which one.
        id: CompilerId,
        /// What was asked.
        question: Question,
        /// The first line it printed.
        printed: String,
    },
    /// Its answers do not make sense.
    #[error("understand compiler {id}; try its versionFlag by hand")]
    Answers {
        /// Which one.
        id: CompilerId,
        /// What is wrong.
        #[source]
        source: CapabilitiesError,
    },
}

impl Classify for ProbeError {
    fn class(&self) -> Class {
        match self {
            Self::Run { source, .. } if source.is::<SlotError>() => Class::Busy,
            Self::Run { source, .. } => match source.downcast_ref() {
                // The time that ran out was the probe's and not the caller's.
                Some(RunError::NoJail) => Class::Busy,
                error => error.map_or(Class::Internal, RunError::class),
            },
            Self::Executable { .. } | Self::Machine { .. } | Self::Answers { .. } => Class::Internal,
        }
    }
}

/// Everything the answers depend on, beside the executable itself. The same executable may be listed for several
/// languages, and a reload may change how it is asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Inquiry {
    exe: PathBuf,
    language: &'static str,
    probes: Vec<Probe>,
    version_pattern: Option<String>,
    explicit_version: Option<Arc<str>>,
    intel_asm: Option<Arc<str>>,
}

impl Inquiry {
    fn of(compiler: &Compiler) -> Self {
        Self {
            exe: compiler.exe.clone(),
            language: compiler.facts.id,
            probes: Capabilities::probes(compiler),
            version_pattern: compiler.version.pattern.as_ref().map(|pattern| pattern.as_str().to_owned()),
            explicit_version: compiler.version.explicit.clone(),
            intel_asm: compiler.intel_asm.clone(),
        }
    }
}

/// What an inquiry came to, and when.
#[derive(Debug)]
struct Finding {
    result: Result<Arc<Capabilities>, ProbeError>,
    at: Instant,
}

impl Finding {
    /// A success holds; a compiler's failure holds for a while; ours does not hold at all.
    fn holds(&self) -> bool {
        match &self.result {
            Ok(_) => true,
            Err(ProbeError::Answers { .. }) => self.at.elapsed() < FAILURE_MEMORY,
            Err(ProbeError::Executable { .. } | ProbeError::Run { .. } | ProbeError::Machine { .. }) => false,
        }
    }
}

/// One inquiry for everybody who wants to know.
#[derive(Debug, Clone)]
struct Shared {
    toolchain: Toolchain,
    finding: Arc<OnceCell<Finding>>,
}

impl Shared {
    fn holds(&self, toolchain: Toolchain) -> bool {
        self.toolchain == toolchain && self.finding.get().is_none_or(Finding::holds)
    }
}

/// Asks compilers, and remembers what they said.
pub struct Prober {
    run: Arc<dyn Run>,
    settings: PlanSettings,
    remembered: Mutex<HashMap<Inquiry, Shared>>,
}

impl std::fmt::Debug for Prober {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prober").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Prober {
    /// Asks through `run`, with the environment that jobs get by `settings`.
    pub fn new(run: Arc<dyn Run>, settings: PlanSettings) -> Self {
        Self { run, settings, remembered: Mutex::default() }
    }

    /// What `compiler` can do. The first caller asks it, the others wait for the same answer; if the first one gives
    /// up, the next one asks.
    pub async fn capabilities(&self, compiler: &Arc<Compiler>) -> Result<Arc<Capabilities>, ProbeError> {
        let toolchain = compiler.toolchain().await.map_err(|source| ProbeError::Executable {
            id: compiler.id.clone(),
            exe: compiler.exe.clone(),
            source: Arc::new(source),
        })?;
        let inquiry = Inquiry::of(compiler);
        let finding = self.share(&inquiry, toolchain);
        let finding = finding.get_or_init(|| async {
            let result = self.ask(compiler, inquiry.probes).await;
            Finding { result, at: Instant::now() }
        });
        finding.await.result.clone()
    }

    /// What is known of `compiler` already, without looking or asking.
    pub fn known(&self, compiler: &Compiler) -> Option<Arc<Capabilities>> {
        let remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        remembered.get(&Inquiry::of(compiler))?.finding.get()?.result.as_ref().ok().cloned()
    }

    fn share(&self, inquiry: &Inquiry, toolchain: Toolchain) -> Arc<OnceCell<Finding>> {
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shared) = remembered.get(inquiry)
            && shared.holds(toolchain)
        {
            return Arc::clone(&shared.finding);
        }
        if remembered.len() >= MOST_REMEMBERED {
            remembered.clear();
        }
        let finding = Arc::default();
        remembered.insert(inquiry.clone(), Shared { toolchain, finding: Arc::clone(&finding) });
        finding
    }

    /// One probe after the other.
    async fn ask(&self, compiler: &Compiler, probes: Vec<Probe>) -> Result<Arc<Capabilities>, ProbeError> {
        let environment = environment::assemble(&CompileRequest::default(), compiler, &self.settings);
        let mut answers = Vec::with_capacity(probes.len());
        for Probe { question, arguments } in probes {
            let command =
                Command { program: compiler.exe.clone(), arguments, environment: environment.clone() };
            let printed = self.run.run(command).await.map_err(|source| ProbeError::Run {
                id: compiler.id.clone(),
                question,
                source,
            })?;
            let Printed { stdout, stderr, code } = printed;
            if code != 0 && blames_the_host(&stderr) {
                let printed = stderr.lines().next().unwrap_or_default().to_owned();
                return Err(ProbeError::Machine { id: compiler.id.clone(), question, printed });
            }
            answers.push(Answer { question, stdout, stderr, code });
        }
        let capabilities = Capabilities::read(compiler, &answers);
        capabilities.map(Arc::new).map_err(|source| ProbeError::Answers { id: compiler.id.clone(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compilers::Family;
    use crate::compilers::compiler::tests::compiler;
    use std::fs;
    use std::sync::atomic::{AtomicU32, Ordering};
    use tokio::sync::Semaphore;

    /// Prints the version it is told to, once the gate lets it, and counts.
    struct Fake {
        version: Mutex<Result<&'static str, i32>>,
        broken: Mutex<bool>,
        /// What it prints instead of help, and fails.
        hindered: Mutex<Option<&'static str>>,
        runs: AtomicU32,
        gate: Semaphore,
    }

    impl Fake {
        fn runs(&self) -> u32 {
            self.runs.load(Ordering::SeqCst)
        }

        fn says(&self, version: Result<&'static str, i32>) {
            *self.version.lock().unwrap() = version;
        }
    }

    impl Run for Fake {
        fn run(&self, command: Command) -> Running<'_> {
            Box::pin(async move {
                self.runs.fetch_add(1, Ordering::SeqCst);
                self.gate.acquire().await.unwrap().forget();
                assert!(command.environment.contains(&("HOME".to_owned(), "/app".to_owned())));
                if *self.broken.lock().unwrap() {
                    return Err(RunFailure::from(Box::<dyn Error + Send + Sync>::from("no jail")));
                }
                let hindered = *self.hindered.lock().unwrap();
                if let Some(said) = hindered.filter(|_| command.arguments != ["--version"]) {
                    return Ok(Printed { stdout: String::new(), stderr: said.to_owned(), code: 1 });
                }
                let version = *self.version.lock().unwrap();
                let stdout = if command.arguments == ["--version"] { version.unwrap_or("") } else { "" };
                Ok(Printed {
                    stdout: stdout.to_owned(),
                    stderr: String::new(),
                    code: version.err().unwrap_or(0),
                })
            })
        }
    }

    struct Bench {
        fake: Arc<Fake>,
        prober: Prober,
        compiler: Arc<Compiler>,
        _directory: tempfile::TempDir,
    }

    fn bench(open: usize) -> Bench {
        let fake = Arc::new(Fake {
            version: Mutex::new(Ok("cc 1.0")),
            broken: Mutex::new(false),
            hindered: Mutex::default(),
            runs: AtomicU32::new(0),
            gate: Semaphore::new(open),
        });
        let directory = tempfile::tempdir().unwrap();
        let exe = directory.path().join("cc");
        fs::write(&exe, "").unwrap();
        Bench {
            prober: Prober::new(Arc::<Fake>::clone(&fake), PlanSettings::default()),
            fake,
            compiler: Arc::new(compiler("c", exe.to_str().unwrap(), Family::Gcc)),
            _directory: directory,
        }
    }

    fn version(found: Result<Arc<Capabilities>, ProbeError>) -> String {
        found.unwrap().version.clone().unwrap()
    }

    #[tokio::test]
    async fn a_compiler_is_asked_once() {
        let bench = bench(100);
        assert_eq!(bench.prober.known(&bench.compiler), None);
        assert_eq!(bench.fake.runs(), 0, "nothing is asked before somebody needs to know");
        for _ in 0..3 {
            assert_eq!(version(bench.prober.capabilities(&bench.compiler).await), "cc 1.0");
        }
        assert_eq!(bench.fake.runs(), 2);
        assert_eq!(bench.prober.known(&bench.compiler).unwrap().version.as_deref(), Some("cc 1.0"));
    }

    #[tokio::test]
    async fn callers_share_one_inquiry_and_outlive_its_first_caller() {
        let bench = bench(0);
        // Seen before, so that the first poll below comes as far as asking.
        bench.compiler.toolchain().await.unwrap();
        let ask = || bench.prober.capabilities(&bench.compiler);
        {
            let mut first = Box::pin(ask());
            let waiting = tokio::time::timeout(Duration::ZERO, &mut first).await;
            assert!(waiting.is_err());
            assert_eq!(bench.fake.runs(), 1);
        }
        bench.fake.gate.add_permits(2);
        let (a, b, c) = tokio::join!(ask(), ask(), ask());
        assert_eq!([a, b, c].map(version), ["cc 1.0", "cc 1.0", "cc 1.0"]);
        assert_eq!(bench.fake.runs(), 3, "one that was dropped, and the two of one inquiry");
    }

    #[tokio::test]
    async fn a_replaced_compiler_and_another_way_of_asking_are_asked_again() {
        let bench = bench(100);
        assert_eq!(version(bench.prober.capabilities(&bench.compiler).await), "cc 1.0");
        bench.fake.says(Ok("cc 2.0"));
        assert_eq!(version(bench.prober.capabilities(&bench.compiler).await), "cc 1.0");
        fs::write(&bench.compiler.exe, "longer").unwrap();
        assert_eq!(version(bench.prober.capabilities(&bench.compiler).await), "cc 2.0");
        assert_eq!(bench.fake.runs(), 4);

        let mut other = compiler("c++", bench.compiler.exe.to_str().unwrap(), Family::Gcc);
        other.version.explicit = Some(Arc::from("3"));
        assert_eq!(version(bench.prober.capabilities(&Arc::new(other)).await), "3");
        assert_eq!(bench.fake.runs(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failing_compiler_is_left_alone_for_a_while() {
        let bench = bench(100);
        bench.fake.says(Err(127));
        let ask = || bench.prober.capabilities(&bench.compiler);
        let error = ask().await.unwrap_err();
        assert!(matches!(error, ProbeError::Answers { .. }) && error.class() == Class::Internal);
        assert_eq!(bench.prober.known(&bench.compiler), None);
        let moment = Duration::from_millis(1);
        tokio::time::advance(FAILURE_MEMORY.saturating_sub(moment)).await;
        assert!(ask().await.is_err());
        assert_eq!(bench.fake.runs(), 2);
        bench.fake.says(Ok("cc 2.0"));
        tokio::time::advance(moment).await;
        assert_eq!(version(ask().await), "cc 2.0");
        assert_eq!(bench.fake.runs(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_compiler_could_not_say_is_not_what_it_cannot_do() {
        let bench = bench(100);
        let hinder = |said| *bench.fake.hindered.lock().unwrap() = said;
        hinder(Some("cc: fatal error: vfork: Resource temporarily unavailable\ncompilation terminated.\n"));
        let error = bench.prober.capabilities(&bench.compiler).await.unwrap_err();
        assert!(matches!(error, ProbeError::Machine { .. }) && error.class() == Class::Internal, "{error}");
        hinder(Some("cc: error: unrecognized command-line option '--help=target'\n"));
        assert_eq!(version(bench.prober.capabilities(&bench.compiler).await), "cc 1.0");
    }

    #[tokio::test]
    async fn our_own_failure_is_not_remembered() {
        let bench = bench(100);
        *bench.fake.broken.lock().unwrap() = true;
        let error = bench.prober.capabilities(&bench.compiler).await.unwrap_err();
        assert_eq!(error.to_string(), "run compiler x to ask for its Version");
        assert_eq!((error.source().unwrap().to_string(), error.class()), ("no jail".into(), Class::Internal));
        *bench.fake.broken.lock().unwrap() = false;
        assert_eq!(version(bench.prober.capabilities(&bench.compiler).await), "cc 1.0");
        fs::remove_file(&bench.compiler.exe).unwrap();
        let error = bench.prober.capabilities(&bench.compiler).await.unwrap_err();
        assert!(matches!(error, ProbeError::Executable { .. }) && error.class() == Class::Internal);
    }
}
