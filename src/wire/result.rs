//! The reply of a compile: its JSON and its plain-text rendering, byte for byte what clients know.
//!
//! Written straight into one buffer. A listing of 50,000 lines is the common large case, so nothing here builds a
//! tree of values or formats a number through a string of its own.

use std::borrow::Cow;
use std::io::Write as _;
use std::time::Duration;

use super::scan;
use crate::domain::listing::{LabelUse, Line, Listing, Source, Syntax};
use crate::domain::result::{Asm, CompileResult, Fix, OutputLine, Tag};

/// First line of every plain-text rendering.
pub(super) const BANNER: &str = "# Compilation provided by Compiler Explorer at https://godbolt.org/";

/// Takes terminal codes out of a text.
pub type Strip = fn(&str) -> Cow<'_, str>;

/// The result as one JSON object, members in the order the running system emits them.
pub fn json(result: &CompileResult) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024 + weight(result));
    out.push(b'{');
    if let Some(directory) = &result.directory {
        member(&mut out, "dirPath");
        string(&mut out, directory);
    }
    member(&mut out, "inputFilename");
    string(&mut out, &result.input_filename);
    member(&mut out, "code");
    number(&mut out, result.code);
    member(&mut out, "okToCache");
    boolean(&mut out, result.ok_to_cache);
    member(&mut out, "timedOut");
    boolean(&mut out, result.timed_out);
    member(&mut out, "stdout");
    lines(&mut out, &result.stdout);
    member(&mut out, "stderr");
    lines(&mut out, &result.stderr);
    member(&mut out, "truncated");
    boolean(&mut out, result.truncated);
    member(&mut out, "execTime");
    milliseconds(&mut out, result.exec_time);
    member(&mut out, "processExecutionResultTime");
    fraction(&mut out, result.tagging_time);
    member(&mut out, "instructionSet");
    string(&mut out, &result.instruction_set);
    member(&mut out, "compilationOptions");
    array(&mut out, &result.compilation_options, |out, option| string(out, option));
    out.extend_from_slice(br#","downloads":[],"tools":[]"#);
    if let Some(size) = result.asm_size {
        member(&mut out, "asmSize");
        number(&mut out, i64::try_from(size).unwrap_or(i64::MAX));
    }
    assembly(&mut out, result);
    if let Some(language) = result.language_id {
        member(&mut out, "languageId");
        string(&mut out, language);
    }
    if !result.skip_popular_arguments {
        out.extend_from_slice(br#","popularArguments":{}"#);
    }
    out.push(b'}');
    out
}

/// The result as plain text; `strip` is given when the client wants no terminal codes.
pub fn text(result: &CompileResult, strip: Option<Strip>) -> Vec<u8> {
    let mut out = String::with_capacity(256 + weight(result));
    let clean = |text| strip.map_or(Cow::Borrowed(text), |strip| strip(text));
    out.push_str(BANNER);
    out.push('\n');
    match &result.asm {
        Asm::Skipped => {}
        Asm::Listing(listing) => join(&mut out, listing.lines().map(|line| clean(line.text))),
        Asm::Remark(text) | Asm::Raw(text) => out.push_str(&clean(text)),
    }
    if result.code != 0 {
        out.push_str("\n# Compiler exited with result code ");
        out.push_str(&result.code.to_string());
    }
    for (title, lines) in [("\nStandard out:\n", &result.stdout), ("\nStandard error:\n", &result.stderr)] {
        if !lines.is_empty() {
            out.push_str(title);
            join(&mut out, lines.iter().map(|line| clean(&line.text)));
        }
    }
    out.push('\n');
    out.into_bytes()
}

/// The members that a result has for its listing, as an object of their own.
pub fn listing(listing: &Listing, took: Duration) -> Vec<u8> {
    let mut out = Vec::with_capacity(256 + 128 * listing.len());
    out.push(b'{');
    member(&mut out, "asm");
    items(&mut out, listing);
    definitions(&mut out, listing, took);
    out.push(b'}');
    out
}

/// The shape of a compile that was refused before anything ran.
pub fn refusal(message: &str) -> Vec<u8> {
    let mut out = br#"{"code":-1,"stdout":[],"stderr":[{"text":"#.to_vec();
    string(&mut out, message);
    out.extend_from_slice(b"}]}");
    out
}

/// The shape in which clients expect to hear that the server failed.
pub fn internal_error(message: &str) -> Vec<u8> {
    refusal(&format!("Internal Compiler Explorer error: {message}"))
}

/// Appends `text` as a JSON string.
pub fn string(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    let mut rest = text.as_bytes();
    loop {
        let plain = scan::plain(rest);
        out.extend_from_slice(&rest[..plain]);
        let Some(&special) = rest.get(plain) else { break };
        match special {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', special]),
            b'\n' => out.extend_from_slice(br"\n"),
            b'\t' => out.extend_from_slice(br"\t"),
            b'\r' => out.extend_from_slice(br"\r"),
            0x08 => out.extend_from_slice(br"\b"),
            0x0c => out.extend_from_slice(br"\f"),
            control => {
                out.extend_from_slice(br"\u00");
                out.extend_from_slice(&[HEX[usize::from(control >> 4)], HEX[usize::from(control & 15)]]);
            }
        }
        rest = &rest[plain + 1..];
    }
    out.push(b'"');
}

/// The `asm` member and those that only a processed listing has.
fn assembly(out: &mut Vec<u8>, result: &CompileResult) {
    let none = Listing::default();
    member(out, "asm");
    let listing = match &result.asm {
        Asm::Skipped => {
            out.extend_from_slice(br#"[],"optOutput":[]"#);
            return;
        }
        Asm::Raw(text) => {
            out.extend_from_slice(br#"[{"text":"#);
            string(out, text);
            out.extend_from_slice(br#"}],"optOutput":[]"#);
            return;
        }
        Asm::Remark(text) => {
            out.extend_from_slice(br#"[{"text":"#);
            string(out, text);
            out.extend_from_slice(br#","source":null,"labels":[]}]"#);
            &none
        }
        Asm::Listing(listing) => {
            items(out, listing);
            listing
        }
    };
    out.extend_from_slice(br#","optOutput":[]"#);
    definitions(out, listing, result.parsing_time);
}

/// The members that stand behind a processed `asm`.
fn definitions(out: &mut Vec<u8>, listing: &Listing, took: Duration) {
    out.extend_from_slice(br#","labelDefinitions":{"#);
    for (index, (name, line)) in listing.label_definitions.iter().enumerate() {
        separate(out, index);
        string(out, name);
        out.push(b':');
        number(out, *line);
    }
    out.push(b'}');
    member(out, "parsingTime");
    milliseconds(out, took);
    member(out, "filteredCount");
    number(out, listing.filtered_count);
}

fn items(out: &mut Vec<u8>, listing: &Listing) {
    match listing.syntax {
        Syntax::Assembly => array(out, listing.lines(), item),
        Syntax::LlvmIr => array(out, listing.lines(), ir_item),
    }
}

/// A line of LLVM IR: no labels, and a source only where its scope leads to one.
fn ir_item(out: &mut Vec<u8>, line: Line<'_>) {
    out.extend_from_slice(br#"{"text":"#);
    string(out, line.text);
    if let Some(source) = line.source {
        member(out, "source");
        self::source(out, source);
    }
    if let Some(scope) = line.scope {
        member(out, "scope");
        string(out, scope);
    }
    out.push(b'}');
}

fn item(out: &mut Vec<u8>, line: Line<'_>) {
    out.extend_from_slice(br#"{"text":"#);
    string(out, line.text);
    out.extend_from_slice(br#","source":"#);
    match line.source {
        Some(source) => self::source(out, source),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(br#","labels":"#);
    array(out, line.labels, label);
    out.push(b'}');
}

fn source(out: &mut Vec<u8>, source: &Source) {
    out.extend_from_slice(br#"{"file":"#);
    match &source.file {
        Some(file) => string(out, file),
        None => out.extend_from_slice(b"null"),
    }
    member(out, "line");
    number(out, source.line);
    if let Some(main) = source.main_source {
        member(out, "mainsource");
        boolean(out, main);
    }
    if let Some(column) = source.column {
        member(out, "column");
        number(out, column);
    }
    out.push(b'}');
}

fn label(out: &mut Vec<u8>, label: &LabelUse) {
    out.extend_from_slice(br#"{"name":"#);
    string(out, &label.name);
    out.extend_from_slice(br#","range":{"startCol":"#);
    number(out, label.start);
    member(out, "endCol");
    number(out, label.end);
    out.push(b'}');
    if let Some(target) = &label.target {
        member(out, "target");
        string(out, target);
    }
    out.push(b'}');
}

fn lines(out: &mut Vec<u8>, lines: &[OutputLine]) {
    array(out, lines, |out, line| {
        out.extend_from_slice(br#"{"text":"#);
        string(out, &line.text);
        if let Some(tag) = &line.tag {
            member(out, "tag");
            self::tag(out, tag);
        }
        out.push(b'}');
    });
}

fn tag(out: &mut Vec<u8>, tag: &Tag) {
    out.extend_from_slice(br#"{"line":"#);
    number(out, tag.line);
    member(out, "column");
    number(out, tag.column);
    member(out, "text");
    string(out, &tag.text);
    member(out, "severity");
    number(out, tag.severity as u8);
    member(out, "file");
    string(out, &tag.file);
    if !tag.fixes.is_empty() {
        member(out, "fixes");
        array(out, &tag.fixes, fix);
    }
    out.push(b'}');
}

fn fix(out: &mut Vec<u8>, fix: &Fix) {
    out.extend_from_slice(br#"{"title":"#);
    string(out, &fix.title);
    member(out, "edits");
    array(out, &fix.edits, |out, edit| {
        out.extend_from_slice(br#"{"line":"#);
        number(out, edit.line);
        for (name, position) in
            [("column", edit.column), ("endline", edit.end_line), ("endcolumn", edit.end_column)]
        {
            member(out, name);
            number(out, position);
        }
        member(out, "text");
        string(out, &edit.text);
        out.push(b'}');
    });
    out.push(b'}');
}

fn array<T>(out: &mut Vec<u8>, items: impl IntoIterator<Item = T>, mut each: impl FnMut(&mut Vec<u8>, T)) {
    out.push(b'[');
    for (index, item) in items.into_iter().enumerate() {
        separate(out, index);
        each(out, item);
    }
    out.push(b']');
}

fn separate(out: &mut Vec<u8>, index: usize) {
    if index > 0 {
        out.push(b',');
    }
}

/// Begins a member: a comma unless it is the object's first, the name, a colon. `name` needs no escaping.
fn member(out: &mut Vec<u8>, name: &'static str) {
    if out.last() != Some(&b'{') {
        out.push(b',');
    }
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

fn boolean(out: &mut Vec<u8>, value: bool) {
    out.extend_from_slice(if value { b"true" } else { b"false" });
}

/// Digits by hand: a large listing has hundreds of thousands of numbers, and `write!` is slow at them.
fn number(out: &mut Vec<u8>, value: impl Into<i64>) {
    let value = value.into();
    if value < 0 {
        out.push(b'-');
    }
    let mut rest = value.unsigned_abs();
    let mut digits = [b'0'; 20];
    let mut first = digits.len();
    loop {
        first -= 1;
        digits[first] = b"0123456789"[usize::try_from(rest % 10).unwrap_or_default()];
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[first..]);
}

/// Whole milliseconds.
fn milliseconds(out: &mut Vec<u8>, time: Duration) {
    number(out, i64::try_from(time.as_millis()).unwrap_or(i64::MAX));
}

/// Milliseconds with a fraction, as JavaScript prints a float: no trailing zeros.
fn fraction(out: &mut Vec<u8>, time: Duration) {
    // Writing to a vector cannot fail.
    let _infallible = write!(out, "{}", time.as_secs_f64() * 1e3).is_ok();
}

fn join<'a>(out: &mut String, lines: impl Iterator<Item = Cow<'a, str>>) {
    for (index, line) in lines.enumerate() {
        if index > 0 {
            out.push('\n');
        }
        out.push_str(&line);
    }
}

/// About how many bytes of text the result holds, so that the buffer need not grow.
fn weight(result: &CompileResult) -> usize {
    let asm = match &result.asm {
        Asm::Skipped => 0,
        Asm::Listing(listing) => {
            listing.lines().map(|line| line.text.len() + 48 + 48 * line.labels.len()).sum()
        }
        Asm::Remark(text) | Asm::Raw(text) => text.len(),
    };
    let printed = result.stdout.iter().chain(&result.stderr);
    asm + printed.map(|line| 2 * line.text.len() + 64).sum::<usize>()
}

#[cfg(test)]
mod tests;
