//! R: jobs that take all they can get.

use std::time::Duration;

use serde_json::json;

use crate::hostile::case::{Case, run};
use crate::hostile::daemon::{ALL, Daemon, GNU, LLVM, LONG, SHORT, Who};

/// What the clock's end may add to the time of a job, on a busy machine.
const WALL_AND_MERCY: Duration = Duration::from_secs(5);

/// A template that never ends of itself.
const DEEP_TEMPLATES: &str = "template<int N> constexpr int v = v<N + 1>; int x = v<0>;";

/// How GCC calls its own crashes.
const ICE: &str = "internal compiler error";

/// An expression far deeper than any stack.
fn nested(opening: &str) -> String {
    format!("int x = {}1{};", opening.repeat(200_000), ")".repeat(200_000))
}

#[tokio::test]
async fn what_multiplies_or_swells_hits_its_own_limit() {
    let daemon = Daemon::start(&[LONG]).await;
    let table = vec![
        Case::script("R01 fork bomb of a shell", "pids_limit", "while :; do sleep 100 & done")
            .ungrouped("compile_error"),
        Case::script("R01 fork bomb behind -wrapper", "pids_limit", "while :; do sleep 100 & done")
            .arguments("-wrapper /bin/sh,x.sh")
            .ungrouped("compile_error")
            .on(GNU),
        Case::program("R02 thread bomb", "pids_limit", include_str!("attacks/threads.c"))
            .ungrouped("compile_error")
            .says("threads refused: Resource temporarily unavailable"),
        Case::script("R03 memory bomb", "oom", "exec tail /dev/zero").ungrouped("compile_error"),
        Case::script("R03 memory bomb behind a forgiving parent", "oom", "tail /dev/zero; exit 0")
            .ungrouped("ok"),
        Case::script("R04 hog and idle parent", "oom", "tail /dev/zero & sleep 1000")
            .ungrouped("timeout_wall"),
        // Scratch holds less than memory here, and is full first: `scratch_files_count_as_memory` turns that round.
        Case::script(
            "R03 memory in scratch files",
            "disk_limit",
            "for i in 1 2 3 4 5 6; do head -c 8M /dev/zero > f$i || exit 1; done",
        ),
        Case::script(
            "R05 scratch full",
            "disk_limit",
            "while :; do head -c 4M /dev/zero > $(mktemp /app/fXXXXXX) || exit 1; done",
        )
        .says("No space left on device"),
        Case::script(
            "R05 /tmp full",
            "disk_limit",
            "while :; do head -c 4M /dev/zero > $(mktemp /tmp/fXXXXXX) || exit 1; done",
        )
        .says("No space left on device"),
        Case::script(
            "R05 out of inodes",
            "disk_limit",
            "while :; do mktemp /app/fXXXXXX > /dev/null || exit 1; done",
        )
        .says("No space left on device"),
        Case::script(
            "R05 sparse beyond the size of a file",
            "disk_limit",
            "truncate -s 1T output.s || exit 1",
        ),
        Case::script(
            "R05 sparse beyond the size that is read",
            "output_truncated",
            "truncate -s 7M output.s; exit 0",
        )
        .on(LLVM),
        Case::script("R05 sparse within", "ok", "truncate -s 1M output.s; exit 0").on(LLVM),
        Case::script("R06 file size", "disk_limit", "yes > f; exit 1"),
        Case::script("R06 the signal itself", "disk_limit", "exec yes > f").on(LLVM),
        Case::script("R07 flood of stdout", "output_truncated", "exec yes €"),
        Case::script("R07 flood of stderr", "output_truncated", "exec yes € >&2"),
        Case::script("R07 flood of both", "output_truncated", "yes a & exec yes b >&2"),
        Case::script("R07 flood and exit", "output_truncated", "yes | head -c 1M; exit 0"),
        Case::script("R20 descriptors", "ok", "gcc -w -o p p.c && ./p >&2; exit 0")
            .file("p.c", include_str!("attacks/descriptors.c"))
            .says("61 more: Too many open files"),
    ];
    run(&daemon, table).await;
}

#[tokio::test]
async fn what_never_ends_is_ended_by_the_clock() {
    let daemon = Daemon::start(&[SHORT]).await;
    let table: Vec<Case> = vec![
        // The clock ends it; what it had run into is told. Without a group nobody has counted.
        Case::program("R01 fork bomb that never gives up", "pids_limit", "int main(){for(;;) fork();}")
            .ungrouped("timeout_wall")
            .on(&[Who::Gcc, Who::Clangxx]),
        Case::script(
            "R14 deaf sleeper",
            "timeout_wall",
            "i=1; while [ $i -lt 65 ]; do trap '' $i 2>/dev/null; i=$((i+1)); done; sleep 1000; sleep 1000",
        )
        .on(&[Who::Clangxx]),
        Case::script(
            "R15 kernel spin in urandom",
            "timeout_wall",
            "exec dd if=/dev/urandom of=/dev/null bs=64M",
        )
        .on(&[Who::Clang]),
        Case::program(
            "R15 kernel spin in splice",
            "timeout_wall",
            "#define _GNU_SOURCE\n#include <fcntl.h>\n#include <unistd.h>\nstatic char text[65536];\n\
             int main(){ int a[2], b[2]; pipe(a); pipe(b); write(a[1], text, sizeof text);\n\
             for(;;) { splice(a[0], 0, b[1], 0, sizeof text, 0); splice(b[0], 0, a[1], 0, sizeof text, 0); } }",
        )
        .on(&[Who::Clangxx]),
        Case::script(
            "R15 kernel spin in sync",
            "timeout_wall",
            "while :; do head -c 1M /dev/zero > f; sync f; done",
        )
        .on(&[Who::Gxx]),
        Case::program(
            "R17 zombies",
            "timeout_wall",
            "int main(){int i; for(i=0;i<20;i++) if(!fork()) _exit(0); sleep(1000);}",
        )
        .on(&[Who::Clang]),
        Case::script("R22 stopped", "timeout_wall", "kill -STOP $$; sleep 1000").on(&[Who::Gcc]),
        Case::script(
            "R22 whole group stopped",
            "timeout_wall",
            "sleep 1000 & kill -STOP -1; kill -STOP $$; wait",
        )
        .on(&[Who::Clangxx]),
        // GCC's parser for C++ tries again at every level: this takes it a quarter of a minute to crash on.
        Case::source("R13 parentheses", "timeout_wall", nested("(")).on(&[Who::Gxx]),
        Case::source("R12 constexpr loop", "timeout_wall", include_str!("attacks/constexpr.cpp"))
            .arguments("-std=c++17 -fconstexpr-ops-limit=4000000000000 -fconstexpr-loop-limit=2000000000")
            .on(&[Who::Gxx]),
        Case::source("R12 constexpr loop", "timeout_wall", include_str!("attacks/constexpr.cpp"))
            .arguments("-std=c++17 -fconstexpr-steps=4294967295")
            .on(&[Who::Clangxx]),
    ];
    run(&daemon, table.into_iter().map(|case| case.within(WALL_AND_MERCY)).collect()).await;
}

#[tokio::test]
async fn what_overwhelms_a_compiler_is_a_result() {
    // What is swallowed sooner is told sooner.
    let daemon = Daemon::start(&[LONG, "--limits-memory=192MiB"]).await;
    let table = vec![
        Case::source("R08 macro flood", "oom", include_str!("attacks/macros.c"))
            .on(GNU)
            .ungrouped("compile_error"),
        // Into the output file, not to standard output; and GCC and Clang expand it all before they write.
        Case::source("R08 macro flood, preprocessed only", "oom", include_str!("attacks/macros.c"))
            .arguments("-E -P"),
        // GCC complains of each of 2^200 ways to the bottom; Clang of the first, and stops.
        Case::source(
            "R08 includes itself twice",
            "output_truncated",
            "#include __FILE__\n#include __FILE__\n",
        )
        .on(GNU),
        Case::source("R08 includes itself twice", "compile_error", "#include __FILE__\n#include __FILE__\n")
            .on(LLVM),
        Case::source(
            "R08 .rept in clang's own assembler",
            "oom",
            "asm(\".rept 1000000000\\n.byte 1\\n.endr\");",
        )
        .on(&[Who::Clang])
        .ungrouped("compile_error"),
        // More memory than there is here, and less than what `as` would be refused at once.
        Case::script(
            "R08 .rept in as",
            "oom",
            "echo '.rept 1000000000\n.byte 1\n.endr' | as -o o - ; exit 1",
        )
        .ungrouped("compile_error"),
        Case::script("R09 object of 2 GiB", "disk_limit", "echo '.fill 0x7fffffff' | as -o o -; exit 1"),
        // In a listing it is one line; it becomes large when it is assembled.
        Case::source("R09 array of 64 GiB", "ok", "char a[1ull<<36] = {1};"),
        Case::script(
            "R09 array of 64 GiB in an object",
            "disk_limit",
            "echo 'char a[1ull<<36] = {1};' > a.c; gcc -c a.c; exit 1",
        ),
        Case::source("R09 array beyond the address space", "compile_error", "char a[1ull<<63];"),
        Case::source(
            "R10 endless templates",
            "compile_error",
            "template<int N> struct A { A<N+1> a; }; A<0> a;",
        )
        .on(&[Who::Gxx, Who::Clangxx]),
        // Clang goes on in another thread whenever a stack ends, and so has none that could overflow.
        Case::source("R10 deeper than the stack", "oom", DEEP_TEMPLATES)
            .arguments("-std=c++17 -ftemplate-depth=999999")
            .ungrouped("signalled")
            .on(&[Who::Clangxx]),
        Case::source("R11 exponential templates", "oom", include_str!("attacks/templates.cpp"))
            .ungrouped("compile_error")
            .on(&[Who::Gxx, Who::Clangxx]),
        Case::source("R13 parentheses", "compile_error", nested("(")).says(ICE).on(&[Who::Gcc]),
        Case::source("R13 parentheses of calls", "compile_error", nested("f(")).says(ICE).on(&[Who::Gxx]),
        // Clang counts them, and refuses beyond 256.
        Case::source("R13 parentheses", "compile_error", nested("("))
            .says("bracket nesting level exceeded")
            .on(LLVM),
        // Clang's driver is the compiler, too: the crash is its own.
        Case::source("R13 parentheses, uncounted", "signalled", nested("("))
            .arguments("-fbracket-depth=999999")
            .on(LLVM),
    ];
    run(&daemon, table).await;
}

/// R10: GCC crashes on a stack of 64 MiB, for which it takes three times that memory.
#[tokio::test]
async fn a_compiler_that_crashes_has_failed_to_compile() {
    let daemon = Daemon::start(&[LONG, "--limits-memory=512MiB"]).await;
    let table = vec![
        Case::source("R10 deeper than the stack", "compile_error", DEEP_TEMPLATES)
            .arguments("-std=c++17 -ftemplate-depth=999999")
            .says(ICE)
            .on(&[Who::Gxx]),
    ];
    run(&daemon, table).await;
}

/// R05: scratch files are memory, too; which limit they hit first is the operator's choice, and each has its name.
#[tokio::test]
async fn scratch_files_count_as_memory() {
    let daemon = Daemon::start(&[LONG, "--limits-memory=96MiB", "--limits-scratch=256MiB"]).await;
    let fill = "i=0; while [ $i -lt 25 ]; do head -c 8M /dev/zero > f$i || exit 1; i=$((i+1)); done";
    let table = vec![Case::script("R03 memory in scratch files", "oom", fill).ungrouped("ok")];
    run(&daemon, table).await;
}

/// R20: a daemon that leaked but one descriptor, process, mount or group per job, or per job of one kind, would hold
/// a hundred more in the end.
#[tokio::test]
async fn after_a_thousand_jobs_it_holds_what_it_held() {
    const JOBS: usize = 1000;
    const KINDS: [(&str, &str); 10] = [
        ("ok", "exit 0"),
        ("compile_error", "exit 1"),
        ("ok", "echo 'a: ret' > output.s; exit 0"),
        ("compile_error", "kill -9 $$"),
        ("ok", "mkfifo output.s; exit 0"),
        ("output_truncated", "exec yes"),
        ("ok", "sleep 1000 & exit 0"),
        ("ok", "mkdir -p a/b; chmod 000 a; exit 0"),
        ("disk_limit", "truncate -s 1T x || exit 1"),
        ("ok", "ln -s /etc/shadow output.s; exit 0"),
    ];
    let daemon = Daemon::start(&[LONG, "--limits-output=4KiB"]).await;
    let before = daemon.at_rest().await;
    let lane = |first: usize| {
        let daemon = &daemon;
        async move {
            for number in (first..JOBS).step_by(2) {
                let (status, script) = KINDS[number / 2 % KINDS.len()];
                let body = json!({
                    "source": "int x;",
                    "options": {"userArguments": "-wrapper /bin/sh,x.sh"},
                    "files": [{"filename": "x.sh", "contents": script}],
                    "bypassCache": 1,
                });
                let who = GNU[first];
                let reply = daemon.compile(who, &body).await;
                assert_eq!(
                    reply.header("x-job-status"),
                    Some(status),
                    "{script} on {who:?}: {}",
                    reply.text()
                );
            }
        }
    };
    tokio::join!(lane(0), lane(1));
    daemon.is_back_at(&before).await.unwrap();
    for who in ALL {
        daemon.ordinary_job(*who).await.unwrap();
    }
}

#[tokio::test]
async fn what_a_job_leaves_running_ends_with_it() {
    let daemon = Daemon::start(&[LONG]).await;
    let quick = Duration::from_secs(10);
    let table = vec![
        Case::script(
            "R16 daemon",
            "ok",
            "setsid sh -c 'sleep 3171 & exec sleep 3172' >/dev/null 2>&1 </dev/null & exit 0",
        )
        .within(quick),
        Case::script("R16 twice forked", "ok", "(setsid sleep 3173 >&- 2>&- <&- &) & exit 0").within(quick),
        Case::script("R18 keeps stdout", "ok", "sleep 3174 & echo done; exit 0").within(quick).says("done"),
        Case::script("R18 floods after its parent", "ok", "(sleep 3175; yes) & exit 0").within(quick),
        Case::script("R21 dumps core", "signalled", "ulimit -c unlimited; kill -SEGV $$").on(LLVM),
        Case::script("R21 dies of a signal under gcc", "compile_error", "kill -SEGV $$").on(GNU),
        Case::script("killed by itself", "signalled", "kill -KILL $$").on(LLVM),
        Case::script("kills all it can see", "signalled", "kill -KILL -1; kill -KILL $$").on(LLVM),
        Case::script("stdout closed", "ok", "exec >&- 2>&-; exit 0"),
        Case::script("strange exit status", "compile_error", "exit 255"),
        Case::script("impersonates the limits", "compile_error", "echo 'killed by the jail' >&2; exit 137"),
    ];
    run(&daemon, table).await;
}

/// R19: one slot burns all the CPU it is given; the other must not starve.
#[tokio::test]
async fn a_greedy_neighbor_starves_nobody() {
    let daemon = Daemon::start(&[SHORT]).await;
    let greedy = vec![
        Case::program("R19 threads that burn", "timeout_wall", include_str!("attacks/burn.c"))
            .on(&[Who::Gcc]),
        Case::source("R19 ordinary next to it", "ok", "int x;")
            .on(&[Who::Gxx])
            .within(Duration::from_secs(2)),
        Case::program(
            "R19 processes that burn",
            "timeout_wall",
            "int main(){int i; for(i=0;i<20;i++) if(!fork()) for(;;); for(;;);}",
        )
        .on(&[Who::Clang]),
        Case::source("R19 ordinary next to it", "ok", "int y;")
            .on(&[Who::Clangxx])
            .within(Duration::from_secs(2)),
    ];
    run(&daemon, greedy).await;
}
