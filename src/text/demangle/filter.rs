//! What `c++filt -n` and Compiler Explorer make of one name. Knows the three manglings only by their first letters.

use std::fmt::Write;

use crate::text::demangle::itanium;
use crate::text::scan;

/// Longer names stay as they are: nobody reads them, and a small name already expands a lot.
const LONGEST_NAME: usize = 32 * 1024;

/// What a name turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// A mangled name, and what it means.
    Readable(String),
    /// Nothing mangled.
    Plain,
    /// It looks mangled, but cannot be read.
    Unreadable,
}

/// What `name` means. The name may hold more than one symbol, as in `*_Z1fv@PLT`. Adds the steps it takes to `steps`.
pub(super) fn readable(name: &str, steps: &mut usize) -> Outcome {
    let mut text = String::new();
    let mut at = 0;
    while at < name.len() {
        let start = at;
        at = scan::skip_while(name.as_bytes(), at, scan::in_symbol);
        let symbol = &name[start..at];
        if symbol_into(symbol, &mut text, steps).is_none() {
            return Outcome::Unreadable;
        }
        // What is no symbol is copied.
        let next = name[at..].chars().next().map_or(0, char::len_utf8);
        text.push_str(&name[at..at + next]);
        at += next;
    }
    if text == name {
        return Outcome::Plain;
    }
    text.push_str(note(name).unwrap_or_default());
    Outcome::Readable(text)
}

/// Appends what `symbol` means, or itself if it is not mangled; `None` if it cannot be read.
fn symbol_into(symbol: &str, out: &mut String, steps: &mut usize) -> Option<()> {
    // Some assemblers mark names so; the demangler drops a dollar and keeps a dot.
    let mangled = symbol.strip_prefix(['.', '$']).unwrap_or(symbol);
    let is_mangled = ["_Z", "_R", "_GLOBAL_"].into_iter().any(|prefix| mangled.starts_with(prefix));
    if !is_mangled {
        out.push_str(symbol);
        return Some(());
    }
    if mangled.len() > LONGEST_NAME {
        return None;
    }
    let readable = rust(mangled, steps).or_else(|| itanium::demangle(mangled, steps));
    if readable.is_none() && !mangled.starts_with("_Z") {
        out.push_str(symbol);
        return Some(());
    }
    if symbol.starts_with('.') {
        out.push('.');
    }
    out.push_str(&readable?);
    Some(())
}

/// Rust names, old and new. The old ones are C++ names that end in a hash.
fn rust(symbol: &str, steps: &mut usize) -> Option<String> {
    if !symbol.starts_with("_R") && !symbol.contains("17h") {
        return None;
    }
    let readable = rustc_demangle::try_demangle(symbol).ok()?;
    let mut text = String::new();
    let written = write!(Bounded { text: &mut text }, "{readable}");
    // Each step writes something.
    *steps += text.len();
    written.is_ok().then_some(text)
}

/// A text that refuses to grow beyond what a name may expand to.
struct Bounded<'a> {
    text: &'a mut String,
}

impl Write for Bounded<'_> {
    fn write_str(&mut self, piece: &str) -> std::fmt::Result {
        if self.text.len() + piece.len() > itanium::LONGEST_TEXT {
            return Err(std::fmt::Error);
        }
        self.text.push_str(piece);
        Ok(())
    }
}

/// Which of several constructors or destructors a name ends in.
fn note(name: &str) -> Option<&'static str> {
    let destructors = [
        ("D0Ev", " [deleting destructor]"),
        ("D1Ev", " [complete object destructor]"),
        ("D2Ev", " [base object destructor]"),
    ];
    if let Some((_, note)) = destructors.into_iter().find(|(code, _)| name.ends_with(code)) {
        return Some(note);
    }
    // The parameters' types, which are word characters, follow a constructor's code.
    let words = name.bytes().rposition(|byte| !scan::is_word(byte)).map_or(0, |last| last + 1);
    let constructors = [
        ("C1E", " [complete object constructor]"),
        ("C2E", " [base object constructor]"),
        ("C3E", " [complete object allocating constructor]"),
    ];
    constructors.into_iter().find(|(code, _)| name[words..].contains(code)).map(|(_, note)| note)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (name, expected) in [
            ("_Z3foov", Some("foo()")),
            ("_Z3foov@PLT", Some("foo()@PLT")),
            ("*_Z3foov", Some("*foo()")),
            ("\"_Z3foov\"", Some("\"foo()\"")),
            ("$_Z3foov", Some("foo()")),
            ("._Z3foov", Some(".foo()")),
            ("_Z3foov.cold", Some("foo() [clone .cold]")),
            ("_ZN1AC1Ei", Some("A::A(int) [complete object constructor]")),
            ("_ZN1AC2Ei", Some("A::A(int) [base object constructor]")),
            ("_ZN1AC3Ei", Some("A::A(int) [complete object allocating constructor]")),
            ("_ZN1AD0Ev", Some("A::~A() [deleting destructor]")),
            ("_ZN1AD1Ev", Some("A::~A() [complete object destructor]")),
            ("_ZN1AD2Ev", Some("A::~A() [base object destructor]")),
            ("_ZN4core3fmt5write17h0123456789abcdefE", Some("core::fmt::write::h0123456789abcdef")),
            ("_RNvC7mycrate3foo", Some("mycrate::foo")),
            ("_GLOBAL__sub_I_main", None),
            ("main", None),
            ("_R", None),
            ("", None),
        ] {
            let expected = expected.map_or(Outcome::Plain, |text| Outcome::Readable(text.to_owned()));
            assert_eq!(readable(name, &mut 0), expected, "{name}");
        }
        assert_eq!(readable("_Zzz", &mut 0), Outcome::Unreadable);
        assert_eq!(readable(&format!("_Z{}v", "1a".repeat(LONGEST_NAME)), &mut 0), Outcome::Unreadable);
    }
}
