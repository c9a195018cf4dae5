//! C10: options that tell a compiler where to write.

use crate::hostile::case::{Case, run_on_all};
use crate::hostile::daemon::{Daemon, GNU, LLVM, LONG};

#[tokio::test]
async fn a_compiler_writes_nowhere_but_in_its_directory() {
    let daemon = Daemon::start(&[LONG]).await;
    let table = vec![
        Case::source("C10 -o into /etc", "compile_error", "int x;").arguments("-o /etc/hostile"),
        Case::source("C10 -o into a library directory", "compile_error", "int x;")
            .arguments("-o /usr/lib/hostile"),
        Case::source("C10 -o over secrets", "compile_error", "int x;").arguments("-o @CREDENTIALS@"),
        Case::source("C10 -o upwards", "compile_error", "int x;").arguments("-o /app/../hostile"),
        Case::source("C10 -o over its input", "compile_error", "int x;")
            .arguments("-o example.c -o example.cpp -o /dev/nowhere"),
        Case::source("C10 -o twice", "compile_error", "int x;").arguments("-o /dev/full").on(GNU),
        Case::source("C10 -o /dev/full", "disk_limit", "int x;").arguments("-o /dev/full").on(LLVM),
        Case::source("C10 -o /dev/stdout", "ok", "int x;").arguments("-o -").on(LLVM),
        Case::source("C10 -o to a descriptor", "compile_error", "int x;").arguments("-o /proc/self/fd/9"),
        Case::source("C10 -o to memory", "compile_error", "int x;").arguments("-o /proc/self/mem"),
        Case::source("C10 dependencies into /etc", "compile_error", "int x;")
            .arguments("-MMD -MF /etc/hostile"),
        Case::source("C10 dependencies beside it", "ok", "int x;").arguments("-MMD -MF beside.d"),
        Case::source("C10 -aux-info", "compile_error", "int f(void);")
            .arguments("-aux-info /etc/hostile")
            .on(&[crate::hostile::daemon::Who::Gcc]),
        Case::source("C10 dumps", "compile_error", "int x(void){return 1;}")
            .arguments("-fdump-tree-optimized=/etc/hostile")
            .on(GNU),
        Case::source("C10 all dumps stay inside", "ok", "int x(void){return 1;}")
            .arguments("-O1 -fdump-tree-all -fdump-rtl-all -fdump-ipa-all")
            .on(GNU),
        Case::source("C10 -dumpdir", "compile_error", "int x;")
            .arguments("-save-temps -dumpdir /etc/hostile-")
            .on(GNU),
        Case::source("C10 -save-temps", "ok", "int x;").arguments("-save-temps"),
        Case::source("C10 -save-temps=obj", "ok", "int x;").arguments("-save-temps=obj"),
        Case::source("C10 call graph", "ok", "int x(void){return 1;}")
            .arguments("-fcallgraph-info -fstack-usage")
            .on(GNU),
        // Neither is called for a listing; they are in `reading`, where what runs at compile time calls them.
        Case::source("C10 the assembler's listing", "ok", "int x;").arguments("-Wa,-al=/etc/hostile").on(GNU),
        Case::source("C10 the linker's map", "ok", "int x;").arguments("-Wl,-Map=/etc/hostile"),
        Case::source("C10 diagnostics elsewhere", "compile_error", "int x;")
            .arguments("-fdiagnostics-add-output=sarif:file=/etc/hostile")
            .on(GNU),
        Case::source("C10 -serialize-diagnostics", "ok", "int x;")
            .arguments("--serialize-diagnostics /etc/hostile")
            .on(LLVM),
        Case::source("C10 crash report", "ok", "int x;").arguments("-fcrash-diagnostics-dir=/etc").on(LLVM),
        Case::source("C10 optimization record", "compile_error", "int x;")
            .says("Read-only file system")
            .arguments("-fsave-optimization-record -foptimization-record-file=/etc/hostile")
            .on(LLVM),
        Case::source("C10 coverage notes", "ok", "int x(void){return 1;}")
            .arguments("--coverage -fprofile-dir=/etc"),
        Case::source("C10 modules", "ok", "int x;")
            .arguments("-fmodules -fmodules-cache-path=/etc/hostile")
            .on(LLVM),
        Case::source("C10 split debug information", "ok", "int x;").arguments("-g -gsplit-dwarf").on(GNU),
        Case::source("C10 TMPDIR of its own", "ok", "int x;").arguments("-save-temps=cwd"),
    ];
    run_on_all(&daemon, table).await;
    for place in ["/etc/hostile", "/usr/lib/hostile", "/hostile"] {
        assert!(!std::path::Path::new(place).exists(), "{place} was written");
    }
    let untouched = std::fs::read_to_string(daemon.secrets.credentials()).unwrap();
    assert_eq!(untouched, daemon.secrets.file);
}
