//! C01-C09: what a compiler reads for a stranger.

use std::time::Duration;

use crate::hostile::case::{Case, run_on_all};
use crate::hostile::daemon::{Daemon, GNU, LLVM, LONG, SHORT, Who};
use crate::hostile::vector;

const SHADOW: &str = "/etc/shadow";

#[tokio::test]
async fn no_file_of_the_host_is_shown() {
    let daemon = Daemon::start(&[LONG]).await;
    let table = vec![
        Case::source("C01 include shadow", "compile_error", "#include \"/etc/shadow\"")
            .says("No such file")
            .on(GNU),
        Case::source("C01 include shadow", "compile_error", "#include \"/etc/shadow\"")
            .says("file not found")
            .on(LLVM),
        Case::source("C01 include passwd shows the jail's own", "compile_error", "#include \"/etc/passwd\"")
            .arguments("-fdiagnostics-color=never")
            .says("root:x:0:0:root:/:/bin/false")
            .on(&[Who::Gxx]),
        Case::source("C01 include passwd shows the jail's own", "compile_error", "#include \"/etc/passwd\"")
            .on(LLVM),
        Case::source("C01 include credentials", "compile_error", "#include \"@CREDENTIALS@\""),
        Case::source(
            "C01 has_include as an oracle",
            "compile_error",
            "#if __has_include(\"@CREDENTIALS@\")\n#error it is there\n#else\n#error it is not\n#endif",
        )
        .says("it is not"),
        Case::source("C02 -include", "compile_error", "int x;").arguments(format!("-include {SHADOW}")),
        Case::source("C02 -imacros", "compile_error", "int x;").arguments("-imacros @CREDENTIALS@"),
        Case::source("C02 as a second input", "compile_error", "int x;").arguments(format!("-x c {SHADOW}")),
        Case::source("C02 -idirafter", "compile_error", "#include <shadow>").arguments("-idirafter /etc"),
        Case::source("C02 -iquote of the daemon's place", "compile_error", "#include \"cwd/Cargo.toml\"")
            .arguments("-iquote /proc/@PID@"),
        Case::source("C03 response file", "compile_error", "int x;").arguments(format!("@{SHADOW}")),
        Case::source("C03 response file of secrets", "compile_error", "int x;").arguments("@@CREDENTIALS@"),
        // A listing needs no linker: `what_assemblers_and_linkers_read_is_the_jails` has it called all the same.
        Case::source("C03 to the linker", "ok", "int x;")
            .arguments("-Wl,@/etc/shadow -Wl,-T,/etc/shadow -Wl,--version-script=/etc/shadow"),
        Case::source("C03 config file", "compile_error", "int x;").arguments("--config=/etc/shadow").on(LLVM),
        // GCC hands assembly on unread.
        Case::source("C04 .incbin only named", "ok", "asm(\".incbin \\\"/etc/shadow\\\"\");").on(GNU),
        Case::source("C04 .incbin read by clang", "compile_error", "asm(\".incbin \\\"/etc/shadow\\\"\");")
            .on(LLVM)
            .says("Could not find incbin file"),
        Case::source("C04 .incbin of secrets", "compile_error", "asm(\".incbin \\\"@CREDENTIALS@\\\"\");")
            .on(LLVM),
        Case::source(
            "C04 .incbin in clang's object",
            "compile_error",
            "asm(\".incbin \\\"/etc/shadow\\\"\");",
        )
        .arguments("-Xclang -emit-obj")
        .on(LLVM)
        .says("Could not find incbin file"),
        Case::source("C04 .incbin of its own in clang's object", "ok", "asm(\".incbin \\\"own\\\"\");")
            .arguments("-Xclang -emit-obj")
            .file("own", "what is its own")
            .on(LLVM)
            .says("what is its own"),
        Case::source("C04 .include read by clang", "compile_error", "asm(\".include \\\"/etc/shadow\\\"\");")
            .on(LLVM)
            .says("Could not find include file"),
        Case::source(
            "C04 #embed or none",
            "compile_error",
            "const unsigned char a[] = {\n#embed \"@CREDENTIALS@\"\n};",
        ),
        Case::source("C05 -specs", "compile_error", "int x;").arguments(format!("-specs={SHADOW}")).on(GNU),
        Case::source("C05 own -specs", "ok", "int x;")
            .arguments("-specs=./own")
            .file("own", "%rename cpp_options old\n\n*cpp_options:\n%(old)\n")
            .on(GNU),
        Case::source("C05 specs that run a command", "ok", "int x;")
            .arguments("-specs=./own")
            .file("own", "*cc1plus:\n%:getenv(HOME /)\n")
            .on(&[Who::Gcc]),
        Case::source("C05 linker script", "ok", "int x;").arguments(format!("-T {SHADOW}")).on(GNU),
        Case::source("C05 profile", "ok", "int x;").arguments(format!("-fprofile-use={SHADOW}")).on(GNU),
        Case::source("C05 profile", "compile_error", "int x;")
            .arguments(format!("-fprofile-use={SHADOW}"))
            .on(LLVM),
        Case::source("C05 sanitizer list", "compile_error", "int x;")
            .arguments(format!("-fsanitize=address -fsanitize-ignorelist={SHADOW}"))
            .on(LLVM),
        Case::source("C07 standard input", "compile_error", "#include \"/dev/stdin\"\nint x;"),
        Case::source("C07 /dev/tty", "compile_error", "#include \"/dev/tty\""),
        Case::source("C07 /proc/kmsg", "compile_error", "#include \"/proc/kmsg\""),
        Case::source("C07 /proc/kcore", "compile_error", "#include \"/proc/kcore\""),
        Case::source("C08 environment of the daemon", "compile_error", "#include \"/proc/@PID@/environ\""),
        Case::source("C08 environment of init", "compile_error", "#include \"/proc/1/environ\""),
        Case::source("C08 root of init", "compile_error", "#include \"/proc/1/root/etc/shadow\""),
        Case::source("C08 own environment holds nothing", "ok", "int x;")
            .arguments("-imacros /proc/self/environ")
            .on(GNU),
        Case::source("C08 mounts name no place of the host", "ok", "#include \"/proc/self/mountinfo\"")
            .silent("compilation-worker")
            .silent("@@")
            .on(GNU),
        Case::source("C11 says where it looks", "ok", "int x;").arguments("-v"),
        Case::source("C11 searches", "ok", "int x;").arguments("-print-search-dirs"),
        Case::source("C11 commands only", "ok", "int x;").arguments("-###"),
        Case::source("C11 recorded switches", "ok", "int x;")
            .arguments("-frecord-gcc-switches -grecord-gcc-switches -g"),
        Case::source("C12 this processor", "ok", "int x;").arguments("-march=native"),
        Case::source("C12 other target", "ok", "int x;")
            .arguments("--target=avr-none-elf -mcpu=nonesuch")
            .on(LLVM),
        Case::source("C12 32 bits", "ok", "int f(int x) { return x; }").arguments("-m32"),
    ];
    run_on_all(&daemon, table).await;
}

/// A script of the request in the compiler's place: GCC has a switch for that; Clang's drivers, which have none,
/// load the plugin that becomes it.
fn instead(name: &'static str, status: &'static str, script: &str) -> [Case; 2] {
    let script = format!("echo 'int main(void){{return 0;}}' > m.c\n{script}");
    [
        Case::script(name, status, &script.replace("$CC", "gcc")).arguments("-wrapper /bin/sh,x.sh").on(GNU),
        Case::script(name, status, &script.replace("$CC", "clang -fno-integrated-as")).on(LLVM),
    ]
}

/// C03-C05, C09 and C10 for real. A listing is written before anything is assembled or linked, and no switch of a
/// request takes back the `-S` of every plan; but what runs at compile time can start an assembler and a linker.
#[tokio::test]
async fn what_assemblers_and_linkers_read_and_write_is_the_jails() {
    let daemon = Daemon::start(&[LONG]).await;
    let tools = [
        instead("C03 -Wl,@file", "compile_error", "$CC m.c -o m -Wl,@/etc/shadow; r=$?; $CC m.c -o m -Wl,@@CREDENTIALS@ && exit 0; exit $r")
            .map(|case| case.says("cannot find @/etc/shadow")),
        instead("C03 -Wl,@file of its own", "ok", "echo --version > own; $CC m.c -o m -Wl,@own; exit 0").map(|case| case.says("GNU ld")),
        instead("C03 as @file", "compile_error", "as @/etc/shadow; as @@CREDENTIALS@; exit 1").map(|case| case.says("@/etc/shadow")),
        instead("C05 -Wl,-T", "compile_error", "$CC m.c -o m -Wl,-T,@CREDENTIALS@ && exit 0; exec $CC m.c -o m -Wl,-T,/etc/shadow")
            .map(|case| case.says("cannot open linker script file /etc/shadow: No such file or directory")),
        instead("C05 -Wl,-T of its own", "compile_error", "echo 'own script' > own; exec $CC m.c -o m -Wl,-T,own").map(|case| case.says("own:1")),
        instead("C05 -Wl,-T of the jail's users", "compile_error", "exec $CC m.c -o m -Wl,-T,/etc/passwd").map(|case| case.says("/etc/passwd:2: syntax error")),
        instead("C05 --version-script", "compile_error", "$CC m.c -o m -Wl,--version-script=@CREDENTIALS@ && exit 0; exec $CC m.c -shared -o m -Wl,--version-script=/etc/shadow")
            .map(|case| case.says("cannot open linker script file /etc/shadow")),
        instead("C05 --dynamic-list", "compile_error", "$CC m.c -o m -Wl,--dynamic-list=@CREDENTIALS@ && exit 0; exec $CC m.c -o m -Wl,--dynamic-list=/etc/shadow"),
        instead("C04 .incbin in an object", "compile_error", "echo '.incbin \"@CREDENTIALS@\"' > i.s; $CC -c i.s && exit 0; echo '.incbin \"/etc/shadow\"' > i.s; exec as i.s")
            .map(|case| case.says("file not found: /etc/shadow")),
        instead("C04 .incbin of its own in an object", "ok", "echo 'what is its own' > own; echo '.incbin \"own\"' > i.s; as -o i.o i.s && strings i.o; cat i.o; exit 0")
            .map(|case| case.says("what is its own")),
        instead("C04 .include", "compile_error", "echo '.include \"/etc/shadow\"' > i.s; exec as i.s").map(|case| case.says("can't open /etc/shadow")),
        instead("C10 -Wa,-al=", "compile_error", "$CC -c m.c -Wa,-al=/etc/hostile; [ -e /etc/hostile ] && exit 0; echo nop | as -al=/usr/lib/hostile; exit 1")
            .map(|case| case.says("Read-only file system")),
        instead("C10 -Wa,-al= beside it", "ok", "echo nop | as -al=/app/listing && cat listing; exit 0").map(|case| case.says("nop")),
        instead("C10 -Wl,-Map=", "compile_error", "$CC m.c -o m -Wl,-Map=/etc/hostile; [ -e /etc/hostile ] && exit 0; $CC m.c -o m -Wl,-Map=/usr/lib/hostile && exit 0; exit 1")
            .map(|case| case.says("Read-only file system")),
        instead("C10 -Wl,-Map= beside it", "ok", "$CC m.c -o m -Wl,-Map=/app/map && grep crt map; exit 0").map(|case| case.says("crt")),
        instead("C10 -Wl,-o", "compile_error", "exec $CC m.c -Wl,-o,/etc/hostile").map(|case| case.says("Read-only file system")),
        instead("C09 -B with its own assembler", "ok", "printf '#!/bin/sh\necho \"I am $(id -u) in $(pwd)\" >&2\n' > as; chmod +x as; $CC -B. -c m.c; exit 0")
            .map(|case| case.says("in /app").silent("I am 0 in")),
        instead("C09 -B with its own linker", "ok", "printf '#!/bin/sh\necho \"I am $(id -u) in $(pwd)\" >&2\n' > ld; chmod +x ld; $CC -B. m.c; exit 0")
            .map(|case| case.says("in /app").silent("I am 0 in")),
        instead("C09 linker plugin", "ok", "ld -plugin ./x.so m.c; exit 0").map(|case| case.file("x.so", vector::plugin()).silent("I am 0 in")),
    ];
    run_on_all(&daemon, tools.into_iter().flatten().collect()).await;
    for place in ["/etc/hostile", "/usr/lib/hostile"] {
        assert!(!std::path::Path::new(place).exists(), "{place} was written");
    }
}

#[tokio::test]
async fn what_is_endless_is_not_read_for_ever() {
    let daemon = Daemon::start(&[LONG]).await;
    let incbin = "asm(\".incbin \\\"/dev/zero\\\"\");";
    let table = vec![
        Case::source("C06 include /dev/zero", "oom", "#include \"/dev/zero\"")
            .ungrouped("compile_error")
            .on(GNU),
        Case::source("C06 include /dev/full", "oom", "#include \"/dev/full\"")
            .ungrouped("compile_error")
            .on(GNU),
        Case::source("C06 include /dev/urandom", "oom", "#include \"/dev/urandom\"")
            .ungrouped("compile_error")
            .on(&[Who::Gcc]),
        // Clang believes the size that a device says it has.
        Case::source("C06 include /dev/zero", "ok", "#include \"/dev/zero\"").on(LLVM),
        Case::source("C06 include /dev/urandom", "ok", "#include \"/dev/urandom\"").on(LLVM),
        Case::source("C06 include /dev/full", "ok", "#include \"/dev/full\"").on(LLVM),
        Case::source("C06 .incbin /dev/zero", "oom", incbin).ungrouped("compile_error").on(LLVM),
        Case::source("C03 response file /dev/zero", "ok", "int x;").arguments("@/dev/zero").on(GNU),
        Case::source("C03 response file /dev/zero", "oom", "int x;")
            .arguments("@/dev/zero")
            .ungrouped("signalled")
            .on(LLVM),
    ];
    run_on_all(&daemon, table).await;
}

#[tokio::test]
async fn a_fifo_is_waited_for_until_the_clock() {
    let daemon = Daemon::start(&[SHORT]).await;
    let table = vec![
        Case::script(
            "C07 include of a FIFO",
            "timeout_wall",
            "mkfifo f || exit 3; echo '#include \"f\"' > e.c; exec gcc -S e.c",
        )
        .on(&[Who::Gcc, Who::Clangxx])
        .within(Duration::from_secs(5)),
    ];
    run_on_all(&daemon, table).await;
}

/// C09: every way to make a compiler run what the request brings.
#[tokio::test]
async fn code_that_runs_at_compile_time_runs_in_the_jail() {
    let daemon = Daemon::start(&[LONG]).await;
    let report = "echo \"I am $(id -u) in $(pwd) on $(uname -n)\" >&2; env >&2; exit 0";
    let table = vec![
        Case::script("C09 plugin", "ok", report).says("in /app on ce").silent("I am 0 in"),
        Case::script("C09 -wrapper", "ok", report)
            .arguments("-wrapper /bin/sh,x.sh")
            .on(GNU)
            .says("in /app on ce"),
        Case::script("C09 -Xclang -load", "ok", report)
            .arguments("-Xclang -load -Xclang ./x.so")
            .on(LLVM)
            .says("in /app on ce"),
        Case::script("C09 -B finds nothing executable", "ok", report)
            .file("cc1", "#!/bin/sh\nexec sh x.sh")
            .file("cc1plus", "#!/bin/sh\nexec sh x.sh")
            .file("as", "#!/bin/sh\nexec sh x.sh")
            .arguments("-B./ -B/app/")
            .silent("I am"),
        Case::script("C09 PATH finds nothing executable", "ok", report)
            .file("as", "#!/bin/sh\nexec sh x.sh")
            .arguments("-fno-integrated-as")
            .silent("I am")
            .on(LLVM),
        Case::script("C09 linker plugin", "ok", report).arguments("-Wl,-plugin,./x.so").silent("I am"),
        Case::script("C09 plugin that is text", "compile_error", report).file("x.so", "not an object"),
        Case::script("C09 plugin that does not exist", "compile_error", report)
            .arguments("-fplugin=/nowhere/x.so"),
        Case::script("C09 back end's plugin", "ok", report)
            .arguments("-fpass-plugin=./x.so")
            .on(LLVM)
            .says("in /app on ce"),
    ];
    run_on_all(&daemon, table).await;
}
