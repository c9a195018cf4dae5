//! The plan, sentence by sentence of the contract; and against the compilers of this machine.

use std::fs;
use std::path::Path;

use super::*;
use crate::compilers::capabilities::{Answer, OverrideValue, PossibleOverride};
use crate::compilers::compiler::tests::compiler;
use crate::compilers::{Catalogue, CatalogueSettings, Family};
use crate::domain::class::{Class, Classify as _};
use crate::domain::path::PathError;
use crate::domain::request::SourceFile;

/// A GCC as the probe finds it.
fn gcc() -> (Compiler, Capabilities) {
    let gcc = compiler("c++", "/usr/bin/g++", Family::Gcc);
    let capabilities = Capabilities::expected(&gcc);
    (gcc, capabilities)
}

fn request(arguments: &[&str]) -> CompileRequest {
    CompileRequest {
        source: "int x;".to_owned(),
        arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(),
        ..CompileRequest::default()
    }
}

fn overriding(name: &str, value: &str) -> CompileRequest {
    let mut request = request(&["-O2"]);
    request.backend.overrides = vec![Override::Value { name: name.to_owned(), value: value.to_owned() }];
    request
}

fn planned(request: &CompileRequest, (compiler, capabilities): &(Compiler, Capabilities)) -> Plan {
    plan(request, compiler, capabilities, &PlanSettings::default()).unwrap()
}

fn line(request: &CompileRequest, with: &(Compiler, Capabilities)) -> String {
    planned(request, with).command.arguments.join(" ")
}

fn fails(request: &CompileRequest) -> PlanError {
    let (compiler, capabilities) = gcc();
    plan(request, &compiler, &capabilities, &PlanSettings::default()).unwrap_err()
}

#[test]
fn argument_order_gcc() {
    assert_eq!(
        line(&request(&["-O2"]), &gcc()),
        "-g -o /app/output.s -masm=intel -fno-verbose-asm -S -fdiagnostics-color=always -O2 /app/example.cpp"
    );
}

#[test]
fn argument_order_clang() {
    let mut clang = compiler("c++", "/usr/bin/clang++", Family::Clang);
    clang.intel_asm = Some(Arc::from("-mllvm --x86-asm-syntax=intel"));
    let capabilities = Capabilities::expected(&clang);
    assert_eq!(
        line(&request(&["-O2"]), &(clang, capabilities)),
        "-g -o /app/output.s -mllvm --x86-asm-syntax=intel -fno-verbose-asm -S -fcolor-diagnostics \
         -fno-crash-diagnostics -O2 /app/example.cpp"
    );
}

#[test]
fn the_operators_options_are_split_and_stand_before_overrides_and_the_users() {
    let (mut compiler, mut capabilities) = gcc();
    compiler.options = Arc::from("-a \"-b c\" ''");
    capabilities.overrides = vec![PossibleOverride {
        name: "stdver",
        display_title: "",
        description: "",
        flags: vec!["-std=<value>".to_owned(), "-x".to_owned(), "<value>".to_owned()],
        values: vec![OverrideValue::plain("c++20")],
    }];
    let with = (compiler, capabilities);
    let arguments = planned(&overriding("stdver", "c++23 -o"), &with).command.arguments;
    assert_eq!(
        arguments[6..],
        [
            "-a",
            "-b c",
            "-fdiagnostics-color=always",
            "-std=c++23 -o",
            "-x",
            "c++23 -o",
            "-O2",
            "/app/example.cpp"
        ]
    );
    for (name, value) in [("edition", "2021"), ("stdver", ""), ("env", "x"), ("", "y")] {
        assert_eq!(planned(&overriding(name, value), &with).command.arguments.len(), 11, "{name} {value}");
    }
}

#[test]
fn overrides_keep_the_clients_order() {
    let (compiler, mut capabilities) = gcc();
    let possible = |name, flag: &str| PossibleOverride {
        name,
        display_title: "",
        description: "",
        flags: vec![flag.to_owned()],
        values: vec![],
    };
    capabilities.overrides = vec![possible("arch", "-march=<value>"), possible("stdver", "-std=<value>")];
    let mut request = overriding("stdver", "a");
    request.backend.overrides.push(Override::Environment(vec![("A".to_owned(), "b".to_owned())]));
    request.backend.overrides.push(Override::Value { name: "arch".to_owned(), value: "b".to_owned() });
    let line = line(&request, &(compiler, capabilities));
    assert!(line.contains(" -fdiagnostics-color=always -std=a -march=b -O2 "), "{line}");
}

#[test]
fn intel_needs_the_filter_and_the_capability() {
    let mut plain = request(&[]);
    plain.filters.intel = false;
    assert!(!line(&plain, &gcc()).contains("intel"));
    let (compiler, mut capabilities) = gcc();
    capabilities.intel_asm = Arc::default();
    assert_eq!(
        line(&request(&[]), &(compiler, capabilities)),
        "-g -o /app/output.s -fno-verbose-asm -S -fdiagnostics-color=always /app/example.cpp"
    );
}

#[test]
fn verbose_asm_depends_on_comment_only_and_the_capability() {
    let mut verbose = request(&[]);
    verbose.filters.comment_only = false;
    assert!(line(&verbose, &gcc()).contains(" -fverbose-asm -S "));
    let (compiler, mut capabilities) = gcc();
    capabilities.verbose_asm = false;
    assert!(!line(&verbose, &(compiler, capabilities)).contains("verbose-asm"));
}

#[test]
fn empty_strings_are_removed() {
    let arguments = planned(&request(&["", "-O1", "", " "]), &gcc()).command.arguments;
    assert_eq!(arguments[7..], ["-O1", " ", "/app/example.cpp"]);
}

#[test]
fn unsupported_filters_are_cleared() {
    let mut all = request(&["-E2", "x-E"]);
    all.filters =
        Filters { binary: true, binary_object: true, execute: true, trim: true, ..Filters::default() };
    let plan = planned(&all, &gcc());
    assert_eq!(plan.filters, Filters { execute: true, trim: true, ..Filters::default() });
    assert!(plan.command.arguments.contains(&"-S".to_owned()));
    assert!(plan.command.arguments.contains(&"-masm=intel".to_owned()));
}

#[test]
fn a_cross_compile_by_clang_finds_the_hosts_part_of_libcxx() {
    let clang = compiler("c++", "/opt/clang/bin/clang++", Family::Clang);
    let clang = (clang, Capabilities::default());
    let include = "-I/opt/clang/bin/../include/x86_64-unknown-linux-gnu/c++/v1/";
    let added = |arguments: &[&str], compiler| {
        planned(&request(arguments), compiler).command.arguments.contains(&include.to_owned())
    };
    assert!(added(&["-stdlib=libc++", "--target=aarch64-linux-gnu"], &clang));
    assert!(!added(&["--target=aarch64-linux-gnu"], &clang));
    assert!(!added(&["-stdlib=libc++"], &clang));
    assert!(!added(&["-stdlib=libc++", "--target=x86_64-linux-gnu"], &clang));
    assert!(!added(&["-stdlib=libc++", "--target=aarch64-linux-gnu"], &gcc()));
}

#[test]
fn names_stay_mangled_without_a_demangler() {
    assert!(planned(&request(&[]), &gcc()).filters.demangle);
    let mut plain = gcc();
    plain.0.demangles = false;
    assert!(!planned(&request(&[]), &plain).filters.demangle);
}

#[test]
fn exactly_e_sets_every_filter_to_false() {
    let plan = planned(&request(&["-O2", "-E"]), &gcc());
    assert_eq!(plan.filters, Filters::NONE);
    assert_eq!(
        plan.command.arguments.join(" "),
        "-g -o /app/output.s -fverbose-asm -S -fdiagnostics-color=always -O2 -E /app/example.cpp"
    );
}

#[test]
fn extra_files_force_dont_mask_filenames() {
    let mut multi = request(&[]);
    assert!(!planned(&multi, &gcc()).filters.dont_mask_filenames);
    multi.files = vec![SourceFile { name: "-o".to_owned(), contents: "x".to_owned() }];
    let plan = planned(&multi, &gcc());
    assert_eq!(plan.filters, Filters { dont_mask_filenames: true, ..Filters::default() });
    assert_eq!(plan.files.len(), 2);
    assert_eq!((plan.input.as_str(), plan.output.as_str()), ("example.cpp", "output.s"));
    assert!(!plan.command.arguments.iter().any(|argument| argument.ends_with("/-o")));
    multi.arguments = vec!["-E".to_owned()];
    assert_eq!(planned(&multi, &gcc()).filters, Filters { dont_mask_filenames: true, ..Filters::NONE });
}

#[test]
fn custom_output_filename_replaces_output_s() {
    let mut custom = request(&[]);
    custom.backend.output_filename = Some("a/../out.txt".to_owned());
    let plan = planned(&custom, &gcc());
    assert_eq!(plan.output.as_str(), "out.txt");
    assert_eq!(plan.command.arguments[..3], ["-g", "-o", "/app/out.txt"]);
    custom.backend.output_filename = Some("../out".to_owned());
    assert_eq!(fails(&custom), PlanError::OutputName(PathError::Outside("../out".to_owned())));
}

#[test]
fn the_instruction_set_is_the_targets_else_the_compilers() {
    let (mut compiler, capabilities) = gcc();
    compiler.instruction_set = Arc::from("mips");
    let with = (compiler, capabilities);
    for (arguments, want) in [
        (&["-O2"][..], "mips"),
        (&["--target=aarch64-linux-gnu"], "aarch64"),
        (&["-target", "riscv64"], "riscv64"),
        (&["--target", "x86_64-pc-linux-gnu"], "amd64"),
        (&["--target=arm", "-target", "avr"], "avr"),
        (&["-target", "avr", "--target=arm"], "arm32"),
        (&["--target=unheard-of"], "mips"),
        (&["--target="], "mips"),
        (&["-targetx", "avr"], "mips"),
        (&["-target"], "mips"),
        (&["avr", "-march=armv8-a"], "mips"),
    ] {
        assert_eq!(&*planned(&request(arguments), &with).instruction_set, want, "{arguments:?}");
    }
    let mut compiler = gcc().0;
    compiler.options = Arc::from("--target=sparc");
    assert_eq!(&*planned(&request(&[]), &(compiler, gcc().1)).instruction_set, "sparc");
}

#[test]
fn emit_llvm_gives_llvm_ir() {
    for (argument, want) in [
        ("-emit-llvm", ListingKind::LlvmIr),
        ("-mlir-to-llvmir", ListingKind::LlvmIr),
        ("-emit-llvm-bc", ListingKind::Assembly),
        ("-O2", ListingKind::Assembly),
    ] {
        assert_eq!(planned(&request(&[argument]), &gcc()).listing, want, "{argument}");
    }
}

#[test]
fn bad_options_are_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("c++.properties");
    fs::write(&file, "compilers=true\nexe=/bin/true\noptionsForbiddenRe=^-wrapper|^@\n").unwrap();
    let settings = CatalogueSettings { files: vec![file], ..CatalogueSettings::default() };
    let compiler = Catalogue::load(&settings).unwrap().catalogue.find(None, "true").unwrap();
    let capabilities = Capabilities::expected(&compiler);
    let with =
        |arguments: &[&str]| plan(&request(arguments), &compiler, &capabilities, &PlanSettings::default());
    let refusal = with(&["-O2", "-wrapper", "sh", "@f"]).unwrap_err();
    assert_eq!(refusal.to_string(), "Bad options: -wrapper, @f");
    assert!(with(&["-O2"]).is_ok());
}

#[test]
fn arguments_are_limited_each_and_in_all() {
    let each = |bytes: usize| request(&[&"x".repeat(bytes)]);
    assert_eq!(planned(&each(4096), &gcc()).command.arguments[7].len(), 4096);
    assert_eq!(fails(&each(4097)), PlanError::LongArgument(4097));
    let in_all = |last: usize| {
        let mut arguments = vec!["x".repeat(4096); 15];
        arguments.push("x".repeat(last));
        CompileRequest { arguments, ..request(&[]) }
    };
    assert!(plan(&in_all(4096), &gcc().0, &gcc().1, &PlanSettings::default()).is_ok());
    let mut over = in_all(4096);
    over.arguments.push("y".to_owned());
    assert_eq!(fails(&over), PlanError::LongArguments(65_537));

    let long = "x".repeat(5000);
    assert_eq!(fails(&overriding("stdver", &long)), PlanError::LongArgument(5000));
    let mut variables = request(&[]);
    for (name, value) in [(long.as_str(), ""), ("A", long.as_str())] {
        let pair = (name.to_owned(), value.to_owned());
        variables.backend.overrides = vec![Override::Environment(vec![pair])];
        assert_eq!(fails(&variables), PlanError::LongArgument(5000));
    }
}

#[test]
fn zero_bytes_are_refused_where_a_process_cannot_take_them() {
    assert_eq!(fails(&request(&["-O2", "a\0b"])), PlanError::ZeroByte("a\0b".to_owned()));
    assert_eq!(fails(&overriding("stdver", "\0")).class(), Class::Malformed);
    let mut variable = request(&[]);
    variable.backend.overrides = vec![Override::Environment(vec![("A".to_owned(), "\0".to_owned())])];
    assert_eq!(fails(&variable), PlanError::ZeroByte("\0".to_owned()));
    let mut source = request(&[]);
    source.source = "\0".to_owned();
    assert_eq!(planned(&source, &gcc()).files[0].1, "\0");
}

#[test]
fn user_errors_are_refusals() {
    let mut empty = request(&[]);
    empty.source.clear();
    assert_eq!(fails(&empty), PlanError::Refused(Refusal::NoSource("example.cpp".to_owned())));
    let mut c = compiler("c", "/gcc", Family::Gcc);
    c.instruction_set = Arc::from("amd64");
    let refusal = plan(&empty, &c, &Capabilities::expected(&c), &PlanSettings::default()).unwrap_err();
    assert_eq!(refusal.to_string(), "File example.c has no content or file is missing");
}

/// Runs the real compiler with what was planned, in `directory` instead of the job's.
#[expect(clippy::disallowed_methods, reason = "a test compares the plan with a bare run of the compiler")]
fn run(program: &Path, arguments: &[String], directory: &Path) -> Answer {
    let directory = directory.to_str().unwrap();
    let arguments = arguments.iter().map(|argument| argument.replace(WORK_DIR, directory));
    let output = std::process::Command::new(program)
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .current_dir(directory)
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Answer {
        question: crate::compilers::Question::Help,
        stdout: text(output.stdout),
        stderr: text(output.stderr),
        code: output.status.code().unwrap_or(-1),
    }
}

/// Every compiler found on this machine compiles by the plan that its own answers lead to.
#[test]
fn the_machines_compilers_take_the_planned_command() {
    let settings = CatalogueSettings {
        discover: true,
        search_path: vec!["/usr/bin".into()],
        ..CatalogueSettings::default()
    };
    let catalogue = Catalogue::load(&settings).unwrap().catalogue;
    assert!(!catalogue.is_empty(), "install g++");
    for compiler in catalogue.compilers(None) {
        let id = compiler.id.as_str();
        let directory = tempfile::tempdir().unwrap();
        let answers: Vec<Answer> = Capabilities::probes(compiler)
            .into_iter()
            .map(|probe| Answer {
                question: probe.question,
                ..run(&compiler.exe, &probe.arguments, directory.path())
            })
            .collect();
        let capabilities = Capabilities::read(compiler, &answers).unwrap();
        assert!(capabilities.version.as_deref().is_some_and(|version| version.contains('.')), "{id}");
        let expected = Capabilities::expected(compiler);
        assert_eq!(capabilities.intel_asm, expected.intel_asm, "{id}");
        assert_eq!(capabilities.diagnostics, expected.diagnostics, "{id}");
        assert!(capabilities.verbose_asm, "{id}");
        let standards = &capabilities.find_override("stdver").unwrap().values;
        let newer = if compiler.facts.id == "c" { "c11" } else { "c++17" };
        assert!(standards.iter().any(|standard| standard.value == newer), "{id}: {standards:?}");

        let mut request = overriding("stdver", newer);
        request.source = "int twice(int n) { return n + n; }\n".to_owned();
        let plan = plan(&request, compiler, &capabilities, &PlanSettings::default()).unwrap();
        assert!(plan.command.arguments.contains(&format!("-std={newer}")), "{id}");
        fs::write(directory.path().join(plan.input.as_path()), &plan.files[0].1).unwrap();
        let answer = run(&plan.command.program, &plan.command.arguments, directory.path());
        assert_eq!((answer.code, answer.stderr.as_str()), (0, ""), "{id}: {:?}", plan.command.arguments);
        let listing = fs::read_to_string(directory.path().join(plan.output.as_path())).unwrap();
        assert!(listing.contains("twice"), "{id}");
        let intel = listing.contains("intel_syntax");
        assert_eq!(intel, matches!(&*compiler.instruction_set, "amd64" | "x86"), "{id}");
    }
}
