//! What a jail costs: one static program that does nothing, spawned bare and run in a jail, turn by turn in one
//! process, so that both see the same machine.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints, and may panic")]
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the bare spawn is what the jail is measured against"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use compilation_worker::domain::limits::{Deadline, Limits};
use compilation_worker::domain::path::JobPath;
use compilation_worker::domain::result::Stop;
use compilation_worker::sandbox::{Job, JobFile, Sandbox, Settings};

/// Turns of the latency comparison.
const TURNS: usize = 400;
/// How long each throughput figure is measured.
const SPELL: Duration = Duration::from_secs(2);

fn main() {
    let directory = tempfile::tempdir_in("/var/tmp").unwrap(); // not /tmp: a jail has its own
    let program = no_op(directory.path());
    let settings = Settings {
        helper: env!("CARGO_BIN_EXE_compilation-worker").into(),
        readable: [Settings::default_readable(), vec![directory.path().to_owned()]].concat(),
        ..Settings::new(4)
    };
    let launched = Sandbox::launch(settings).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let sandbox = runtime.block_on(async { launched.attach() }).unwrap();
    println!("{}", serde_json::to_string(sandbox.protections()).unwrap());

    let (mut bare, mut jailed) = (Vec::new(), Vec::new());
    for turn in 0..TURNS + 20 {
        let begun = Instant::now();
        spawn(&program);
        let spawned = begun.elapsed();
        let begun = Instant::now();
        runtime.block_on(run(sandbox.clone(), job(program.clone())));
        let ran = begun.elapsed();
        // The jail's replacement is built meanwhile; give it the time that a real job would.
        std::thread::sleep(Duration::from_millis(3));
        if turn >= 20 {
            bare.push(spawned);
            jailed.push(ran);
        }
    }
    let (bare, jailed) = (Figures::of(bare), Figures::of(jailed));
    println!("bare spawn   p50 {:.3} ms  p99 {:.3} ms", bare.p50, bare.p99);
    println!("jailed exec  p50 {:.3} ms  p99 {:.3} ms", jailed.p50, jailed.p99);
    println!("ratio of p50 {:.2}, difference {:+.3} ms", jailed.p50 / bare.p50, jailed.p50 - bare.p50);

    for lanes in [1, 4] {
        let threads: Vec<_> = (0..lanes)
            .map(|_| {
                let program = program.clone();
                std::thread::spawn(move || count(|| spawn(&program)))
            })
            .collect();
        let bare: u32 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        let jailed = runtime.block_on(self::lanes(lanes, &sandbox, &job(program.clone())));
        println!("{lanes} lanes: bare {:.0}/s, jailed {:.0}/s", rate(bare), rate(jailed));
    }

    let arguments = ["-S", "-O1", "-o", "output.s", "example.cpp"];
    let mut compile = job("/usr/bin/g++".into());
    compile.arguments = arguments.iter().map(Into::into).collect();
    compile.environment = vec![("PATH".into(), "/usr/bin".into())];
    let contents = bytes::Bytes::from_static(b"int square(int x) { return x * x; }\n");
    std::fs::write(directory.path().join("example.cpp"), &contents).unwrap();
    compile.files = vec![JobFile { path: JobPath::parse("example.cpp").unwrap(), contents }];
    let threads: Vec<_> = (0..4)
        .map(|lane| {
            let (directory, output) = (directory.path().to_owned(), format!("output{lane}.s"));
            std::thread::spawn(move || {
                count(|| {
                    let mut command = Command::new("/usr/bin/g++");
                    command.args(["-S", "-O1", "-o", &output, "example.cpp"]).current_dir(&directory);
                    assert!(command.stdin(Stdio::null()).output().unwrap().status.success());
                })
            })
        })
        .collect();
    let bare: u32 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    let jailed: u32 = runtime.block_on(lanes(4, &sandbox, &compile));
    println!(
        "g++ -S, 4 lanes: bare {:.0}/s, jailed {:.0}/s: {:.0} %",
        rate(bare),
        rate(jailed),
        100.0 * rate(jailed) / rate(bare)
    );
    runtime.block_on(sandbox.shut_down());
}

fn rate(count: u32) -> f64 {
    f64::from(count) / SPELL.as_secs_f64()
}

/// How often a job ran within a spell, in so many lanes.
async fn lanes(lanes: u32, sandbox: &Sandbox, job: &Job) -> u32 {
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..lanes {
        let (sandbox, job) = (sandbox.clone(), job.clone());
        tasks.spawn(async move {
            let begun = Instant::now();
            let mut count = 0;
            while begun.elapsed() < SPELL {
                run(sandbox.clone(), job.clone()).await;
                count += 1;
            }
            count
        });
    }
    tasks.join_all().await.into_iter().sum()
}

struct Figures {
    p50: f64,
    p99: f64,
}

impl Figures {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |share: usize| times[times.len() * share / 100].as_secs_f64() * 1000.0;
        Self { p50: at(50), p99: at(99) }
    }
}

fn no_op(directory: &Path) -> PathBuf {
    let (source, program) = (directory.join("no_op.c"), directory.join("no_op"));
    std::fs::write(&source, "int main(void) { return 0; }\n").unwrap();
    let built =
        Command::new("gcc").args(["-static", "-O1", "-o"]).arg(&program).arg(&source).status().unwrap();
    assert!(built.success());
    // The jail's users are nobody's: they need the way there.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(directory, open).unwrap();
    program
}

fn spawn(program: &Path) {
    assert!(Command::new(program).stdin(Stdio::null()).status().unwrap().success());
}

fn count(mut act: impl FnMut()) -> u32 {
    let begun = Instant::now();
    let mut count: u32 = 0;
    while begun.elapsed() < SPELL {
        act();
        count += 1;
    }
    count
}

fn job(program: PathBuf) -> Job {
    Job {
        program,
        arguments: Vec::new(),
        environment: Vec::new(),
        files: Vec::new(),
        stdin: bytes::Bytes::new(),
        limits: Limits::default(),
        deadline: Deadline::after(Duration::from_mins(2)),
    }
}

async fn run(sandbox: Sandbox, job: Job) {
    assert_eq!(sandbox.run(job).await.unwrap().stop, Stop::Exited(0));
}
