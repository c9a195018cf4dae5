//! What tools say of the limits they ran into.
//!
//! Compiler drivers outlive the tool that hit a limit, say what killed it, and remove its output: their words are the
//! only trace. Lines that quote the job's source are not their words, nor are complaints about it. Whoever forges
//! the rest gains the name of another failure for his own.

use std::path::Path;

use crate::text::ansi;

/// Programs that speak for themselves, whatever triple stands before their names, or version behind.
const TOOLS: [&str; 15] = [
    "as", "ld", "gold", "lld", "collect2", "cc1", "cc1plus", "lto1", "gcc", "g++", "cc", "c++", "clang",
    "clang++", "rustc",
];

/// Beginnings of failures to write, with or without a place in the source before them.
const FAILURES: [&str; 5] = [
    "Fatal error: can't ",
    "error: could not open dump file ",
    "fatal error: error writing to ",
    "fatal error: error in backend: IO failure on output stream: ",
    "LLVM ERROR: IO failure on output stream: ",
];

/// What a shell says, and nothing else on the line, of a program that a limit has ended.
const SHELL: [&str; 2] = ["File size limit exceeded", "CPU time limit exceeded"];

/// Whether a file could not grow.
pub(super) fn disk_limit(stderr: &[u8]) -> bool {
    any_line(stderr, |words| {
        // The assembler puts the kernel's words in quotes.
        let end = if words.starts_with(FAILURES[0]) { words.trim_end_matches('\'') } else { words };
        end.ends_with("No space left on device")
            || end.ends_with("File too large")
            || words.contains("File size limit exceeded")
    })
}

/// Whether the kernel ended a process for its use of the processor.
pub(super) fn cpu_limit(stderr: &[u8]) -> bool {
    any_line(stderr, |words| words.contains("CPU time limit exceeded"))
}

fn any_line(stderr: &[u8], told: impl Fn(&str) -> bool) -> bool {
    // Tools are asked for colors.
    ansi::strip(&String::from_utf8_lossy(stderr)).lines().filter_map(own_words).any(told)
}

/// What a tool says on a line of its own, without its name or the place it was at.
fn own_words(line: &str) -> Option<&str> {
    let is_failure = |words: &str| FAILURES.iter().any(|failure| words.starts_with(failure));
    // Quoted source is indented, by its line number or at least by a space.
    if line.starts_with([' ', '\t']) {
        return None;
    }
    if is_failure(line) || SHELL.contains(&line) {
        return Some(line);
    }
    let (speaker, words) = line.split_once(": ")?;
    (is_tool(speaker) || is_failure(words)).then_some(words)
}

fn is_tool(speaker: &str) -> bool {
    let name = Path::new(speaker).file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.split(['-', '.']).any(|word| TOOLS.contains(&word)) && !has_source_suffix(name)
}

/// `as.c` is a source that is complained about.
fn has_source_suffix(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, suffix)| suffix.starts_with(|c: char| "csSiomh".contains(c)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tools_are_believed() {
        for line in [
            "as: /app/o: No space left on device",
            "File size limit exceeded",
            "\u{1b}[0;1;31mfatal error: \u{1b}[0merror in backend: IO failure on output stream: No space left on device",
            "\u{1b}[01m\u{1b}[Kg++:\u{1b}[m\u{1b}[K \u{1b}[01;31m\u{1b}[Kfatal error: \u{1b}[m\u{1b}[KFile size limit exceeded signal terminated program as",
            "/usr/bin/ld: final link failed: No space left on device",
            "/usr/bin/x86_64-linux-gnu-ld.bfd: final link failed: File too large",
            "collect2: fatal error: ld terminated with signal 25 [File size limit exceeded]",
            "x86_64-linux-gnu-g++-13: fatal error: File size limit exceeded signal terminated program as",
            "gcc: internal compiler error: File size limit exceeded signal terminated program cc1",
            "/app/a.c:3:1: fatal error: error writing to /tmp/cc.s: No space left on device",
            "{standard input}: Fatal error: can't write 9 bytes to section .text of /app/o: 'File too large'",
            "/app/a.c:1:89: error: could not open dump file '/app/output.c.301r.ira': No space left on device",
            "fatal error: error in backend: IO failure on output stream: File too large",
            "LLVM ERROR: IO failure on output stream: No space left on device",
            "clang: error: unable to execute command: File size limit exceeded",
        ] {
            assert!(disk_limit(format!("before\n{line}\nafter\n").as_bytes()), "{line}");
        }
        assert!(cpu_limit(b"gcc: fatal error: CPU time limit exceeded signal terminated program cc1\n"));
        assert!(cpu_limit(
            b"collect2: fatal error: ld terminated with signal 24 [CPU time limit exceeded]\n"
        ));
    }

    #[test]
    fn quoted_source_and_complaints_about_it_are_not() {
        for line in [
            "   12 | const char *s = \"No space left on device\"",
            " puts(\"as: CPU time limit exceeded, File too large\")",
            "12345 | \"ld: File size limit exceeded, CPU time limit exceeded\" \"File too large",
            "/app/a.c:1:2: error: #error No space left on device",
            "/app/a.c:1:2: error: #error CPU time limit exceeded: File size limit exceeded",
            "/app/as.c:1:2: error: #error CPU time limit exceeded: File size limit exceeded",
            "/app/as.c: In function 'f': File too large",
            "/app/a.c:1:2: error: #error could not open dump file: No space left on device",
            "/app/a.c:1:10: fatal error: error writing to File too large: No such file or directory",
            "/app/a.s:1: Error: File too large",
            "/usr/bin/ld: /app/a.o: undefined reference to `No space left on device'",
        ] {
            let told = format!("{line}\n");
            assert!(!disk_limit(told.as_bytes()) && !cpu_limit(told.as_bytes()), "{line}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(!disk_limit(&bytes) || bytes.len() > 14);
            prop_assert!(!cpu_limit(&bytes) || bytes.len() > 23);
        }
    }
}
