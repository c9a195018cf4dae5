//! Compiler chatter to tagged lines: which place a message points at, and how bad it is. Knows the shapes that compilers
//! share, not the compilers.

use std::borrow::Cow;

use crate::domain::result::{OutputLine, Severity, Tag};
use crate::text::{ansi, mask, scan};

/// What the main file is called in messages.
const MAIN: &str = "<source>";

/// The lines of `text`; `input` is the main file's path as the compiler saw it, if there is one.
pub fn parse(text: &str, input: Option<&str>) -> Vec<OutputLine> {
    scan::lines(text).map(|line| parse_line(line, input)).collect()
}

fn parse_line(line: &str, input: Option<&str>) -> OutputLine {
    let text = match input {
        Some(path) => name_main_file(line, path),
        None => mask::root_dir(line),
    };
    let tag = read_tag(&ansi::strip_decoration(&text), input);
    OutputLine { text: text.into_owned(), tag }
}

/// `line` with the main file called [`MAIN`] wherever it is named.
fn name_main_file<'t>(line: &'t str, path: &str) -> Cow<'t, str> {
    let mut line = Cow::Borrowed(line);
    for name in ["<stdin>", path] {
        if !name.is_empty() && line.contains(name) {
            line = Cow::Owned(line.replace(name, MAIN));
        }
    }
    line
}

fn read_tag(line: &str, input: Option<&str>) -> Option<Tag> {
    let start = scan::skip_space(line, 0);
    let (file, place) = match line[start..].strip_prefix(MAIN).and_then(Place::read) {
        Some(place) => (input.map_or("", base_name), place),
        None => named_file(&line[start..])?,
    };
    let text = scan::trim(place.message).to_owned();
    Some(Tag {
        line: place.line,
        column: place.column,
        severity: severity(&text),
        text,
        file: file.to_owned(),
        fixes: Vec::new(),
    })
}

/// A file name of letters, digits, `_` and `.`, with an extension, and the place behind it.
fn named_file(line: &str) -> Option<(&str, Place<'_>)> {
    let end = scan::skip_while(line.as_bytes(), 0, |byte| scan::is_word(byte) || byte == b'.');
    let (name, rest) = line.split_at(end);
    let (stem, extension) = name.rsplit_once('.')?;
    if stem.is_empty() || extension.is_empty() {
        return None;
    }
    Some((name, Place::read(rest)?))
}

/// What stands behind a file name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place<'t> {
    line: u32,
    /// 0 when there is none.
    column: u32,
    message: &'t str,
}

impl<'t> Place<'t> {
    /// Reads `:` or `(`, a line, an optional column behind `:` or `,`, closing punctuation, and the message.
    fn read(text: &'t str) -> Option<Self> {
        let bytes = text.as_bytes();
        if !text.starts_with([':', '(']) {
            return None;
        }
        let (line, mut at) = scan::number(bytes, 1)?;
        let colon = at + usize::from(bytes.get(at) == Some(&b':'));
        let comma = colon + usize::from(bytes.get(colon) == Some(&b','));
        let mut column = 0;
        if let Some((number, end)) = scan::number(bytes, comma) {
            column = number;
            at = end;
        }
        at = scan::skip_while(bytes, at, |byte| matches!(byte, b')' | b':'));
        Some(Self { line: scan::narrow(line), column: scan::narrow(column), message: &text[at..] })
    }
}

fn severity(message: &str) -> Severity {
    if message.starts_with("warning") {
        Severity::Warning
    } else if message.starts_with("note") {
        Severity::Note
    } else {
        Severity::Error
    }
}

fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const INPUT: Option<&str> = Some("/app/example.cpp");

    /// File, line, column and message of the tag that `line` gets.
    fn tag(line: &str) -> Option<(String, u32, u32, String)> {
        parse(line, INPUT).remove(0).tag.map(|tag| (tag.file, tag.line, tag.column, tag.text))
    }

    #[test]
    fn tags() {
        for (sentence, line, expected) in [
            ("GCC and Clang", "/app/example.cpp:2:12: error: no", Some(("example.cpp", 2, 12, "error: no"))),
            ("no column", "<source>:2: error", Some(("example.cpp", 2, 0, "error"))),
            ("parentheses", "<source>(2): error C1", Some(("example.cpp", 2, 0, "error C1"))),
            ("a column behind a comma", "<source>(2,7): error", Some(("example.cpp", 2, 7, "error"))),
            ("a colon and a comma", "<source>:2:,7:): x ", Some(("example.cpp", 2, 7, "x"))),
            ("from standard input", "<stdin>:3:1: x", Some(("example.cpp", 3, 1, "x"))),
            ("indented", "  <source>:3:1: x", Some(("example.cpp", 3, 1, "x"))),
            ("only at the start", "In file included from <source>:1:", None),
            ("a function heading", "/app/example.cpp: In function 'int f()':", None),
            ("no line number", "<source>:x", None),
            ("no message", "<source>:1", Some(("example.cpp", 1, 0, ""))),
            ("a name without path", "a_1.b.hpp:4:2: note: n", Some(("a_1.b.hpp", 4, 2, "note: n"))),
            ("paths do not match", "/app/a.h:2:5: error: x", None),
            ("relative paths do not match", "../main.cpp:1:19: error", None),
            ("a name needs an extension", "ld:2:3: x", None),
            ("and something before it", ".h:2:3: x", None),
            ("names with other characters do not match", "a-b.h:2:3: x", None),
            ("the linker", "example.cpp:(.text+0x5): undefined", None),
        ] {
            let expected =
                expected.map(|(file, line, column, text)| (file.to_owned(), line, column, text.to_owned()));
            assert_eq!(tag(line), expected, "{sentence}");
        }
    }

    #[test]
    fn severities() {
        let severity = |line: &str| parse(line, INPUT).remove(0).tag.unwrap().severity;
        assert_eq!(severity("<source>:1:1: warning: x"), Severity::Warning);
        assert_eq!(severity("<source>:1:1: note: x"), Severity::Note);
        assert_eq!(severity("<source>:1:1: error: x"), Severity::Error);
        assert_eq!(severity("<source>:1:1: Warning: x"), Severity::Error);
        assert_eq!(severity("<source>:1:1: fatal error: x"), Severity::Error);
    }

    #[test]
    fn the_text_keeps_its_codes_and_the_tag_has_none() {
        let text = "\x1b[01m\x1b[K/app/example.cpp:2:12:\x1b[m\x1b[K \x1b[01;31m\x1b[Kerror:\x1b[m\x1b[K x [\x1b]8;;u\x07-W\x1b]8;;\x07]";
        let line = parse(text, INPUT).remove(0);
        assert_eq!(line.text, text.replace("/app/example.cpp", "<source>"));
        assert_eq!(line.tag.unwrap().text, "error: x [-W]");
    }

    #[test]
    fn the_main_file_is_renamed_everywhere() {
        let line = parse("/app/example.cpp and /app/example.cpp and <stdin>", INPUT).remove(0);
        assert_eq!(line.text, "<source> and <source> and <source>");
        assert_eq!(parse("/app/x and <stdin>", None)[0].text, "x and <stdin>");
        assert_eq!(parse("<source>:1:2: x", None)[0].tag.as_ref().unwrap().file, "");
    }

    #[test]
    fn lines_are_split_as_listings_are() {
        let texts: Vec<_> = parse("a\r\n\nb\n", INPUT).into_iter().map(|line| line.text).collect();
        assert_eq!(texts, ["a", "", "b"]);
        assert!(parse("", INPUT).is_empty());
    }

    proptest! {
        #[test]
        fn never_panics_and_keeps_every_line(text in "(<source>|<stdin>|/app/example.cpp|a.h|[:(,)0-9 \n\0\r\u{1b}\\[mK\u{e9}\u{1f600}]){0,20}") {
            prop_assert_eq!(parse(&text, INPUT).len(), text.lines().count());
            prop_assert_eq!(parse(&text, None).len(), text.lines().count());
        }
    }
}
