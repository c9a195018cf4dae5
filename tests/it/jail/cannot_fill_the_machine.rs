//! Memory, processes, output, files, time: each has an end, and each end has its name.

use std::time::Duration;

use compilation_worker::domain::limits::{Limits, MIB};
use compilation_worker::domain::result::Stop;
use compilation_worker::sandbox::LimitKeeper;
use tokio::time::Instant;

use crate::jail::bed::{Bed, file, job, script, settings, stderr, stdout};

/// Whether a job's memory and processes are limited as a whole here. Where not, what is proved is that it ends.
fn grouped(bed: &Bed) -> bool {
    bed.sandbox.protections().limits != LimitKeeper::Rlimits
}

fn limits() -> Limits {
    Limits { wall: Duration::from_secs(3), memory: 200 * MIB, pids: 14, ..Limits::default() }
}

#[test]
fn a_fork_bomb_ends() {
    let bed = Bed::make();
    let finished = bed.run_c(
        "#include <unistd.h>\nint main(void) { for (;;) if (fork() < 0) usleep(1000); }",
        Limits { wall: Duration::from_secs(1), ..limits() },
    );
    // The clock ended it; what it had run into was its number of processes.
    let want = if grouped(&bed) { Stop::TooManyProcesses } else { Stop::WallTime };
    assert_eq!(finished.stop, want);
}

#[test]
fn a_refused_fork_is_named() {
    let bed = Bed::make();
    let finished = bed.run_c(
        "#include <unistd.h>\nint main(void) { for (int i = 0; i < 100; i++) { int p = fork(); if (p < 0) return 9; if (p == 0) { pause(); } } return 0; }",
        limits(),
    );
    let want = if grouped(&bed) { Stop::TooManyProcesses } else { Stop::Exited(9) };
    assert_eq!(finished.stop, want);
}

#[test]
fn threads_count_too() {
    let bed = Bed::make();
    let finished = bed.run_c(
        "#include <pthread.h>\n#include <unistd.h>\nvoid *f(void *x) { pause(); return x; }\n\
         int main(void) { pthread_t t; for (int i = 0; i < 100; i++) if (pthread_create(&t, 0, f, 0)) return 9; return 0; }",
        limits(),
    );
    let want = if grouped(&bed) { Stop::TooManyProcesses } else { Stop::Exited(9) };
    assert_eq!(finished.stop, want);
}

#[test]
fn what_is_counted_by_user_is_counted_for_each_job() {
    const TIMERS: &str = "#include <signal.h>\n#include <stdio.h>\n#include <time.h>\n#include <unistd.h>\n\
        int main(void) { timer_t t; int n = 0; struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = 10};\n\
        while (n < 1000 && timer_create(CLOCK_MONOTONIC, &e, &t) == 0) n++; sleep(1); printf(\"%d\", n); return 0; }";
    let bed = Bed::make();
    if !bed.sandbox.protections().own_users {
        println!("skipped: all jobs are one user here");
        return;
    }
    // Each holds its timers for a second, so both do at the same time.
    let counts = std::thread::scope(|scope| {
        let run = || stdout(&bed.run_c(TIMERS, limits()));
        let jobs = [scope.spawn(run), scope.spawn(run)];
        jobs.map(|job| job.join().unwrap())
    });
    assert_eq!(counts, ["1000", "1000"]);
}

const HOG: &str = "#include <stdlib.h>\n#include <string.h>\n#include <unistd.h>\n#include <sys/wait.h>\n\
    static void hog(void) { for (;;) { char *p = malloc(1 << 20); if (!p) _exit(3); memset(p, 1, 1 << 20); } }\n";

#[test]
fn a_memory_bomb_is_named() {
    let bed = Bed::make();
    let finished = bed.run_c(&format!("{HOG}int main(void) {{ hog(); }}"), limits());
    let want = if grouped(&bed) { Stop::OutOfMemory } else { Stop::Exited(3) };
    assert_eq!(finished.stop, want);
}

#[test]
fn a_hog_takes_its_idle_parent_along() {
    let bed = Bed::make();
    if !grouped(&bed) {
        println!("skipped: no cgroups here");
        return;
    }
    let begun = Instant::now();
    let source = format!("{HOG}int main(void) {{ if (fork() == 0) hog(); for (;;) pause(); }}");
    let finished = bed.run_c(&source, Limits { wall: Duration::from_secs(20), ..limits() });
    assert_eq!(finished.stop, Stop::OutOfMemory);
    assert!(begun.elapsed() < Duration::from_secs(10), "it waited for the clock");
}

#[test]
fn what_is_printed_is_bounded() {
    let bed = Bed::make();
    for (text, which) in [("yes", 1), ("yes 1>&2", 2), ("yes & yes 1>&2", 0)] {
        let begun = Instant::now();
        let finished = bed.run(script(text));
        assert_eq!(finished.stop, Stop::TooMuchOutput, "{text}");
        assert!(finished.stdout.bytes.len() as u64 <= MIB && finished.stderr.bytes.len() as u64 <= MIB);
        let (out, err) = (finished.stdout.truncated, finished.stderr.truncated);
        assert!(
            match which {
                1 => out && !err,
                2 => err && !out,
                _ => out || err,
            },
            "{text}: {out} {err}"
        );
        let full = if out { &finished.stdout } else { &finished.stderr };
        assert_eq!(full.bytes.len() as u64, MIB, "the kept part is exactly the limit");
        assert!(begun.elapsed() < Duration::from_secs(15), "it went on printing");
    }
}

#[test]
fn exactly_the_limit_is_not_too_much() {
    let bed = Bed::make();
    let mut print = script("head -c 1000 /dev/zero");
    print.limits.output = 1000;
    let finished = bed.run(print.clone());
    assert_eq!(
        (finished.stop, finished.stdout.bytes.len(), finished.stdout.truncated),
        (Stop::Exited(0), 1000, false)
    );
    print.limits.output = 999;
    print.deadline = compilation_worker::domain::limits::Deadline::after(Duration::from_secs(20));
    let finished = bed.run(print);
    assert_eq!(
        (finished.stop, finished.stdout.bytes.len(), finished.stdout.truncated),
        (Stop::TooMuchOutput, 999, true)
    );
}

#[test]
fn scratch_space_is_bounded() {
    let bed = Bed::with(compilation_worker::sandbox::Settings {
        limits: Limits { scratch: 8 * MIB, scratch_inodes: 50, ..Limits::default() },
        ..settings(1)
    });
    for text in [
        "head -c 100000000 /dev/zero > big",
        "head -c 100000000 /dev/zero > /tmp/big",
        "cat /dev/zero > /tmp/big 2> /dev/null",
        "cat /dev/zero > big 2> /dev/null",
        "for i in 1 2 3 4 5 6 7 8 9; do for j in 1 2 3 4 5 6 7 8 9; do echo > $i$j || exit 1; done; done",
    ] {
        let finished = bed.run(script(text));
        assert_eq!(finished.stop, Stop::DiskLimit, "{text}: {}", stderr(&finished));
    }
}

#[test]
fn a_full_disk_is_named_even_if_the_clock_had_to_end_it() {
    let bed = Bed::with(compilation_worker::sandbox::Settings {
        limits: Limits { scratch: 8 * MIB, ..Limits::default() },
        ..settings(1)
    });
    let mut fill = script("while :; do cat /dev/zero >> big; done 2> /dev/null");
    fill.limits.wall = Duration::from_millis(500);
    assert_eq!(bed.run(fill).stop, Stop::DiskLimit);
}

#[test]
fn a_single_file_is_bounded() {
    let bed = Bed::make();
    let mut write = job("/usr/bin/dd", &["if=/dev/zero", "of=/app/big", "bs=65536", "count=100"]);
    write.limits.file_size = MIB;
    assert_eq!(bed.run(write).stop, Stop::DiskLimit);
    let mut assemble = job("/usr/bin/gcc", &["-c", "-o", "/app/o", "/app/a.s"]);
    assemble.files = vec![file("a.s", ".fill 0x7fffffff\n")];
    assemble.limits.file_size = MIB;
    let finished = bed.run(assemble);
    assert_eq!(finished.stop, Stop::DiskLimit, "{}", stderr(&finished));
}

#[test]
fn a_source_that_speaks_of_limits_has_hit_none() {
    let bed = Bed::make();
    let mut compile = job("/usr/bin/gcc", &["-S", "-o", "/app/o.s", "/app/a.c"]);
    let said = "int x = \"CPU time limit exceeded, No space left on device\" 1; // File too large\n";
    compile.files = vec![file("a.c", &format!("{said}#error No space left on device\n"))];
    let finished = bed.run(compile);
    assert!(stderr(&finished).contains("CPU time limit exceeded"), "{}", stderr(&finished));
    assert_eq!(finished.stop, Stop::Exited(1));
}

#[test]
fn the_processor_limit_is_announced_before_it_kills() {
    let bed = Bed::make();
    let limits = stdout(&bed.run(script("ulimit -S -t; ulimit -H -t")));
    let seconds: Vec<u64> = limits.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(seconds[0] + 1, seconds[1], "a soft limit that is the hard one kills without a name");
}

#[test]
fn a_sleeper_that_ignores_signals_ends_at_the_wall() {
    let bed = Bed::make();
    let begun = Instant::now();
    let finished = bed.run_c(
        "#include <signal.h>\n#include <unistd.h>\n\
         int main(void) { for (int i = 1; i < 65; i++) signal(i, SIG_IGN); write(1, \"partial\", 7); for (;;) pause(); }",
        Limits { wall: Duration::from_millis(700), ..limits() },
    );
    assert_eq!((finished.stop, stdout(&finished).as_str()), (Stop::WallTime, "partial"));
    assert!(finished.usage.wall >= Duration::from_millis(700), "{:?}", finished.usage);
    assert!(finished.usage.wall < Duration::from_secs(5), "{:?}", finished.usage);
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[test]
fn waiting_for_a_jail_is_measured_apart() {
    let bed = Bed::make();
    let mut sleep = script("sleep 1");
    sleep.deadline = compilation_worker::domain::limits::Deadline::after(Duration::from_secs(20));
    let asked = Instant::now();
    let usage = bed.run(sleep).usage;
    assert!(usage.start > Duration::ZERO && usage.wall >= Duration::from_secs(1), "{usage:?}");
    // A busy machine may hear late that the job has begun; half of its time is left for that.
    assert!(
        usage.start + Duration::from_millis(500) <= asked.elapsed(),
        "the job's own time counts: {usage:?}"
    );
}

#[test]
fn the_deadline_is_a_wall_too() {
    let bed = Bed::make();
    let mut sleep = script("sleep 100");
    sleep.deadline = compilation_worker::domain::limits::Deadline::after(Duration::from_millis(300));
    assert_eq!(bed.run(sleep).stop, Stop::WallTime);
}

#[test]
fn a_stopped_job_ends_at_the_wall() {
    let bed = Bed::make();
    let mut stop = script("kill -STOP $$");
    stop.limits.wall = Duration::from_millis(300);
    assert_eq!(bed.run(stop).stop, Stop::WallTime);
}

#[test]
fn a_spinner_with_many_threads_gets_its_share_only() {
    let bed = Bed::make();
    if !grouped(&bed) {
        println!("skipped: no cgroups here");
        return;
    }
    let finished = bed.run_c(
        "#include <pthread.h>\nvoid *f(void *x) { for (;;) __asm__ volatile(\"\"); }\n\
         int main(void) { pthread_t t; for (int i = 0; i < 4; i++) pthread_create(&t, 0, f, 0); f(0); }",
        Limits { wall: Duration::from_secs(1), cpu_millis: 500, ..limits() },
    );
    assert_eq!(finished.stop, Stop::WallTime);
    // Half a core for a second, and one period's grace on each core.
    assert!(finished.usage.cpu < Duration::from_millis(900), "{:?}", finished.usage);
    assert!(finished.usage.cpu > Duration::from_millis(200), "{:?}", finished.usage);
}

#[test]
fn macros_that_explode_end() {
    let bed = Bed::make();
    let mut source = String::from("#define A0 x x x x x x x x x x\n");
    for level in 1..10 {
        let below = format!("A{} ", level - 1).repeat(10);
        source += &["#define A", &level.to_string(), " ", &below, "\n"].concat();
    }
    source.push_str("A9\n");
    let mut expand = job("/usr/bin/gcc", &["-E", "/app/a.c"]);
    expand.files = vec![file("a.c", &source)];
    expand.limits = limits();
    let finished = bed.run(expand);
    assert!(
        matches!(
            finished.stop,
            Stop::TooMuchOutput | Stop::OutOfMemory | Stop::WallTime | Stop::Exited(1 | 4)
        ),
        "{:?}",
        finished.stop
    );
}

#[test]
fn a_crash_is_named() {
    let bed = Bed::make();
    assert_eq!(bed.run(script("kill -SEGV $$")).stop, Stop::Signalled(11));
    assert_eq!(bed.run(script("exit 42")).stop, Stop::Exited(42));
}

#[test]
fn when_the_machine_runs_out_of_memory_jobs_go_first() {
    let bed = Bed::make();
    let finished = bed.run(script(
        "cat /proc/self/oom_score_adj; echo 0 > /proc/self/oom_score_adj; cat /proc/self/oom_score_adj",
    ));
    assert_eq!(stdout(&finished), "1000\n1000\n", "{}", stderr(&finished));
}
