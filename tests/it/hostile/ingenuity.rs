//! Attacks that no catalogue names: on the jail, on the command line, on what is read when a job is over.

use std::time::Duration;

use crate::hostile::case::{Case, run};
use crate::hostile::daemon::{Daemon, GNU, LLVM, LONG, SHORT};

#[tokio::test]
async fn what_is_left_and_reported_cannot_be_forged() {
    let daemon = Daemon::start(&[LONG]).await;
    let quick = Duration::from_secs(10);
    let none = "<No output file>";
    let table = vec![
        Case::program("a pipe made as large as it gets", "output_truncated", include_str!("attacks/pipe.c")).says("1048576 bytes"),
        Case::program("a success is forged on every descriptor", "compile_error", include_str!("attacks/descriptor_forger.c")).says("wrote to 0 of 1022, opened 0"),
        Case::program("fork bomb behind a success", "ok", "#include <unistd.h>\nint main(){ if (fork()) _exit(0); for(;;) fork(); }").within(quick),
        Case::script("output is a device by link", "ok", "ln -s /dev/zero output.s; exit 0").says(none),
        Case::script("output is standard output by link", "ok", "ln -s /proc/self/fd/1 output.s; exit 0").says(none),
        Case::script("output is memory by hard link", "ok", "ln /proc/self/mem output.s && echo linked; ln /dev/zero output.s && echo linked; exit 0").says(none).silent("linked"),
        Case::script("output is held by a lease", "ok", "echo 'own: ret' > output.s; gcc -w -o p p.c; ./p & while [ ! -e leased ] && kill -0 $!; do :; done; exit 0").file("p.c", include_str!("attacks/lease.c")).says("own: ret").says("leased"),
        Case::program("as deep as a path can be, and deeper", "ok", "#include <unistd.h>\n#include <stdio.h>\n#include <sys/stat.h>\nint main(){ char d[200] = {0}; int i; for (i = 0; i < 199; ++i) d[i] = 'd'; for (i = 0; i < 150; ++i) if (mkdir(d, 0700) || chdir(d)) return 1; fprintf(stderr, \"%d deep\\n\", i); return 0; }").says("150 deep").within(quick),
        Case::script("names that no shell can say", "ok", "printf x > \"$(printf 'a\\nb\\033[2J\\377')\"; mkdir -- -rf; exit 0").says(none),
        Case::script("a signal in a limit's name", "timeout_cpu", "kill -XCPU $$").on(LLVM),
        Case::script("the words of a limit", "disk_limit", "echo 'as: x: No space left on device' >&2; exit 1"),
        Case::script("core dumps go nowhere", "compile_error", "grep core /proc/self/limits; ulimit -c unlimited && echo raised; ulimit -S -c unlimited && echo raised; ulimit -c 0 && echo lowered; exit 1").says("1                    1                    bytes").silent("raised").silent("lowered"),
        Case::script("more of a limit", "ok", "ulimit -n 1000000 && echo raised; ulimit -f unlimited && echo raised; ulimit -t unlimited && echo raised; exit 0").silent("raised"),
        Case::script("before the others", "ok", "nice -n -5 true && echo niced; chrt -f 50 true && echo real; chrt -r 50 true && echo real; ionice -c 1 true && echo io; exit 0").silent("\nreal").silent("\nio\n"),
        Case::script("the kernel's settings", "ok", "for f in kernel/core_pattern kernel/modprobe vm/drop_caches fs/suid_dumpable; do cat /proc/sys/$f && echo read; echo '|/app/x' > /proc/sys/$f && echo wrote; done; exit 0").silent("\nread").silent("wrote"),
        Case::script("a loader in the place of a program", "ok", "cp /bin/sh /tmp/sh; /tmp/sh -c 'echo executed'; /lib64/ld-linux-x86-64.so.2 /tmp/sh -c 'echo executed'; exit 0").silent("\nexecuted"),
        Case::program("stopped from below", "compile_error", "#include <signal.h>\n#include <stdio.h>\n#include <unistd.h>\nint main(){ int p = getppid(); kill(1, SIGSTOP); kill(1, SIGTERM); if (!fork()) { kill(p, SIGSTOP); kill(p, SIGCONT); _exit(0); } sleep(1); return 1; }").within(quick),
    ];
    run(&daemon, table).await;
}

#[tokio::test]
async fn switches_lead_nowhere_either() {
    let daemon = Daemon::start(&[LONG]).await;
    let report = "echo \"I am $(id -u) in $(pwd) on $(uname -n)\" >&2; exit 0";
    let read = |name, arguments: &str| Case::source(name, "compile_error", "int x;").arguments(arguments);
    let table = vec![
        // Refused by name, as the running system does; `LD_AUDIT`, below, does the same, and the jail holds.
        Case::script("a preloaded library", "ok", report).arguments("").variable("LD_PRELOAD", "/app/x.so").silent("I am"),
        Case::script("programs of its own", "ok", "exit 0").arguments("").file("as", "#!/bin/sh").variable("PATH", "/app").variable("COMPILER_PATH", "/app").on(LLVM),
        Case::script("specs that replace the compiler", "ok", report).arguments("-specs=./own").file("own", ".c:\n@mine\n\n.cpp:\n@mine\n\n@mine:\n/bin/sh x.sh\n\n@c:\n/bin/sh x.sh\n\n@c++:\n/bin/sh x.sh\n").says("in /app on ce").on(GNU),
        Case::source("a response file that names itself", "compile_error", "int x;").arguments("@r").file("r", "@r @r").on(GNU),
        Case::source("a response file that names itself", "compile_error", "int x;").arguments("@r").file("r", "@r @r").on(LLVM),
        Case::source("a response file of ten thousand others", "compile_error", "int x;").arguments("@r").file("r", "@s ".repeat(100)).file("s", "@t ".repeat(100)).file("t", "-DX ".repeat(100)).on(GNU),
        Case::source("dumps of everything", "disk_limit", functions(3)).arguments("-O3 -fdump-tree-all-all -fdump-rtl-all-all -fdump-ipa-all-all").on(GNU),
        Case::source("reads: overlaid", "compile_error", "#include \"/app/over.h\"").arguments("-ivfsoverlay ./own").file("own", "{'version': 0, 'roots': [{'type': 'file', 'name': '/app/over.h', 'external-contents': '@CREDENTIALS@'}]}").on(LLVM),
        read("reads: map of modules", "-fmodules -fmodule-map-file=@CREDENTIALS@").on(LLVM),
        read("reads: list of profiles", "-fprofile-list=@CREDENTIALS@").on(LLVM),
        read("reads: instrumentation list", "-fxray-instrument -fxray-always-instrument=@CREDENTIALS@").on(LLVM),
        read("reads: precompiled header", "-include-pch @CREDENTIALS@").on(LLVM),
        read("reads: remarks", "-foptimization-record-file=/etc/hostile -fsave-optimization-record").on(LLVM),
        read("reads: auto profile", "-fauto-profile=@CREDENTIALS@").on(LLVM),
        read("writes: optimization", "-O2 -fopt-info-all=/etc/hostile").on(GNU),
        read("writes: declarations", "-fdump-go-spec=/etc/hostile").on(GNU),
        read("reads: another input", "@CREDENTIALS@"),
        read("reads: standard input", "-x c - -x none"),
        Case::source("a directory of the compiler's own", "ok", "int x;").arguments("-isystem /proc/1/root -I/proc/self/fd -L/etc --sysroot=/proc/1/root -isysroot /proc/1/cwd"),
    ];
    run(&daemon, table).await;
    for place in ["/etc/hostile", "/tmp/hostile"] {
        assert!(!std::path::Path::new(place).exists(), "{place} was written");
    }
}

/// A library that every program loads before itself, and that becomes another program, which loads it.
#[tokio::test]
async fn an_endless_chain_of_programs_ends_with_the_clock() {
    let daemon = Daemon::start(&[SHORT]).await;
    let table = vec![
        Case::script("an auditing library", "timeout_wall", "exit 0")
            .arguments("")
            .variable("LD_AUDIT", "/app/x.so")
            .within(Duration::from_secs(5)),
        Case::script("a script that becomes itself", "timeout_wall", "exec sh x.sh")
            .within(Duration::from_secs(5)),
    ];
    run(&daemon, table).await;
}

/// A source of as many functions, each with something to optimize.
fn functions(number: usize) -> String {
    let function = |number| {
        format!(
            "int f{number}(int *p, int n) {{ int s = 0; for (int i = 0; i < n; i++) s += p[i] * {number}; return s; }}"
        )
    };
    (0..number).map(function).collect::<Vec<_>>().join("\n")
}
