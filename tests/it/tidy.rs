//! The house rules that no compiler checks: size of files, head comments, forbidden words, where `unsafe` may stand.

use std::fs;
use std::path::{Path, PathBuf};

/// Most lines of a source file, its tests not counted.
const LONGEST_FILE: usize = 600;
/// Where `unsafe` may stand: around system calls that nothing wraps safely. What a network driver counts is no business of
/// the jail's, so there are two such places.
const UNSAFE_HOMES: [&str; 2] = ["src/sandbox/jail/sys.rs", "src/telemetry/network/sys.rs"];
/// Words that mark unfinished work. Split, so that this file does not accuse itself.
const UNFINISHED: [&str; 4] =
    [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X"), concat!("HA", "CK")];

/// Every Rust file of the package with its path from the root, in order.
pub(crate) fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for top in ["src", "tests", "benches"] {
        collect(&root.join(top), &mut files);
    }
    files.sort();
    assert!(files.len() > 10, "the walk found almost nothing, so it proves nothing");
    let named = |path: PathBuf| {
        let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        (name, fs::read_to_string(path).unwrap())
    };
    files.into_iter().map(named).collect()
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target" && name != "corpus") {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The part of a file before its tests.
pub(crate) fn without_tests(text: &str) -> &str {
    text.find("\n#[cfg(test)]\nmod ").map_or(text, |end| &text[..=end])
}

/// Everything wrong with one file.
fn complaints(path: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut complain = |line: usize, what: &str| found.push(format!("{path}:{line}: {what}"));
    let is_test = path.starts_with("tests/") || path.ends_with("/tests.rs");
    let lines = without_tests(text).lines().count();
    if !is_test && lines > LONGEST_FILE {
        complain(lines, &format!("{lines} lines before the tests, more than {LONGEST_FILE}; split it"));
    }
    let first = text.lines().next().unwrap_or_default();
    if !first.starts_with("//! ") && !first.starts_with("#![doc = ") {
        complain(1, "begins without a head comment that says what it is for");
    }
    for (number, line) in text.lines().enumerate().map(|(index, line)| (index + 1, line)) {
        for word in UNFINISHED.iter().filter(|word| contains_word(line, word)) {
            complain(number, &format!("{word}: finish it or open an issue"));
        }
        let code = line.split("//").next().unwrap_or_default();
        if contains_word(code, "unsafe")
            && !UNSAFE_HOMES.contains(&path)
            && !code.contains('"')
            && !code.contains("unsafe_code")
        {
            complain(number, &format!("unsafe outside {UNSAFE_HOMES:?}"));
        }
        if code.trim_start().starts_with(concat!("#[", "ignore")) {
            complain(number, "an ignored test proves nothing; ask the probe, and say that it skipped");
        }
        if code.contains(concat!("#[", "allow(")) || code.contains(concat!("#![", "allow(")) {
            complain(number, "expect a lint with a reason, so that rot is noticed");
        }
        if line.ends_with([' ', '\t']) {
            complain(number, "white space at the end of the line");
        }
    }
    if !text.ends_with('\n') || text.ends_with("\n\n") {
        complain(text.lines().count(), "the file must end in exactly one newline");
    }
    found
}

fn contains_word(line: &str, word: &str) -> bool {
    let part = |letter: char| letter.is_alphanumeric() || letter == '_';
    line.match_indices(word).any(|(at, _)| {
        !line[..at].chars().next_back().is_some_and(part)
            && !line[at + word.len()..].chars().next().is_some_and(part)
    })
}

#[test]
fn every_file_keeps_the_house_rules() {
    let found: Vec<String> = sources().iter().flat_map(|(path, text)| complaints(path, text)).collect();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn planted_untidiness_is_found() {
    let long = format!("//! Long.\n{}", "\n".repeat(700)) + "x\n";
    let tests = format!("//! Tested.\nx\n\n#[cfg(test)]\nmod tests {{\n{}}}\n", "x\n".repeat(700));
    for (path, text, expected) in [
        ("src/a.rs", "fn f() {}\n", "a.rs:1: begins without"),
        ("src/a.rs", &long, "702 lines before the tests"),
        ("tests/it/a.rs", &long, ""),
        ("src/a.rs", &tests, ""),
        ("src/a.rs", concat!("//! A.\n// TO", "DO later\n"), "a.rs:2: "),
        ("src/a.rs", concat!("//! A.\nlet to", "dos = 1;\n"), ""),
        ("src/a.rs", "//! A.\nunsafe { f() }\n", "a.rs:2: unsafe outside"),
        ("src/a.rs", "//! A.\n// unsafe is not used here\n", ""),
        (UNSAFE_HOMES[0], "//! A.\nunsafe { f() }\n", ""),
        (UNSAFE_HOMES[1], "//! A.\nunsafe { f() }\n", ""),
        ("src/a.rs", concat!("//! A.\n#[", "ignore]\n"), "a.rs:2: an ignored test"),
        ("src/a.rs", concat!("//! A.\n#[", "allow(dead_code)]\n"), "a.rs:2: expect a lint"),
        ("src/a.rs", "//! A.\nx \n", "a.rs:2: white space"),
        ("src/a.rs", "//! A.\nx", "exactly one newline"),
    ] {
        let found = complaints(path, text).join("\n");
        assert_eq!(found.is_empty(), expected.is_empty(), "{text:.60}: {found}");
        assert!(found.contains(expected), "{text:.60}: {found}");
    }
}
