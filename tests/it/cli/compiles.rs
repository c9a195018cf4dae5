//! `compile` and `asm`: the daemon's own engines, from the shell.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::Stdio;

use serde_json::Value;
use tempfile::TempDir;

use crate::cli::asks::{output, run};
use crate::support::daemon::program;
use crate::support::members::Members;

/// A directory with one file.
fn write(name: &str, text: &str) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join(name);
    std::fs::write(&file, text).unwrap();
    (directory, file)
}

#[test]
fn compile_prints_the_listing() {
    let (_directory, file) = write("hello.cpp", "int twice(int x) { return x * 2; }\n");
    let file = file.to_str().unwrap();
    let (out, err, code) = run(&["compile", file, "--compiler", "g++", "--", "-O2"]);
    assert_eq!(code, 0, "{err}");
    let lines: Vec<&str> = out.lines().map(str::trim).collect();
    assert_eq!((lines[0], lines.last()), ("twice(int):", Some(&"ret")), "{out}");
    assert_eq!(lines.len(), 3, "-O2 did not arrive: {out}");
    let (out, _, code) = run(&["compile", file, "--compiler", "g++", "--filters", ""]);
    assert_eq!(code, 0);
    assert!(out.contains(".cfi_startproc") && out.contains("_Z5twicei:"), "{out}");
    let (out, err, code) = run(&["compile", file, "--compiler", "nosuch"]);
    assert_eq!((out.as_str(), code), ("", 1));
    assert!(err.contains("nosuch") && err.contains("g++"), "the error does not list what there is: {err}");
}

#[test]
fn a_setting_before_the_file_does_not_swallow_it() {
    let (directory, file) = write("hello.cpp", "int x;\n");
    let (out, err, code) =
        run(&["compile", "--catalogue", directory.path().to_str().unwrap(), file.to_str().unwrap()]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("x:"), "{out}");
}

#[test]
fn compile_takes_the_language_from_the_name() {
    let (_directory, file) = write("hello.c", "int f(void) { int class = 1; return class; }\n");
    let (out, err, code) = run(&["compile", file.to_str().unwrap()]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("f:\n"), "{out}");
    let (_directory, file) = write("hello.zzz", "x");
    let (_, err, code) = run(&["compile", file.to_str().unwrap()]);
    assert_eq!(code, 1);
    assert!(err.contains(".zzz") && err.contains("--compiler"), "{err}");
}

#[test]
fn compile_gives_the_apis_json() {
    let (_directory, file) = write("bad.cpp", "int f() { return nosuch; }\n");
    let (out, err, code) = run(&["compile", "--json", "--compiler", "g++", file.to_str().unwrap()]);
    assert_eq!(code, 1, "a failed compile must fail the command");
    assert!(err.contains("nosuch"), "{err}");
    let result: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&result["code"], &result["asm"][0]["text"]), (&1.into(), &"<Compilation failed>".into()));
    assert_eq!(result["stderr"][1]["tag"]["line"], 1, "{result}");
    assert_eq!(Members::read(out.as_bytes()).names()[..3], ["inputFilename", "code", "okToCache"]);
}

#[test]
fn compile_reads_standard_input() {
    let mut child = program()
        .args(["compile", "-", "--", "-O1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"int answer() { return 42; }").unwrap();
    let done = child.wait_with_output().unwrap();
    let out = String::from_utf8(done.stdout).unwrap();
    assert!(done.status.success() && out.contains("answer():") && out.contains("42"), "{out}");
}

#[test]
fn asm_filters_a_file_into_the_members_of_a_result() {
    let text =
        "\t.text\n\t.globl\t_Z1fv\n_Z1fv:\n.LFB0:\n\t.cfi_startproc\n\tmovl\t$1, %eax\n\tret\n.LFE0:\n";
    let (_directory, file) = write("hello.s", text);
    let file = file.to_str().unwrap();
    let (out, err, code) = run(&["asm", "--filters", "labels,directives", "--json", file]);
    assert_eq!((err.as_str(), code), ("", 0));
    let members = Members::read(out.as_bytes());
    assert_eq!(members.names(), ["asm", "labelDefinitions", "parsingTime", "filteredCount"]);
    let result: Value = serde_json::from_str(&out).unwrap();
    let lines: Vec<&Value> = result["asm"].as_array().unwrap().iter().map(|line| &line["text"]).collect();
    assert_eq!(lines, ["_Z1fv:", "        movl    $1, %eax", "        ret"]);
    assert_eq!(result["labelDefinitions"], serde_json::json!({"_Z1fv": 1}));
    assert_eq!(result["filteredCount"], 5);
    assert!(result["parsingTime"].is_u64());
    let (out, _, _) = run(&["asm", "--filters", "labels,directives", file]);
    assert_eq!(out, "_Z1fv:\n        movl    $1, %eax\n        ret\n");
}

#[test]
fn an_unknown_filter_is_met_with_the_names_of_all() {
    for command in [&["asm"][..], &["compile", "-"]] {
        let (out, err, code) = output(program().args(command).args(["--filters", "labels,comments"]));
        assert_eq!((out.as_str(), code), ("", 64), "{err}");
        for name in [
            "comments",
            "binary",
            "commentOnly",
            "directives",
            "demangle",
            "intel",
            "labels",
            "libraryCode",
            "trim",
        ] {
            assert!(err.contains(name), "{name} is not in {err}");
        }
    }
}
