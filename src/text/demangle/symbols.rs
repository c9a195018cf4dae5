//! Collects the names of a listing that are handed to a demangler: labels, and what jumps, calls and moves refer to.
//!
//! Of each line the first pattern that matches counts, even if what it finds is no mangled name: the `b ` of `sub rax`
//! is taken for a branch. That is what clients have come to expect; it does little harm, because a name that one line
//! gives away is replaced in all of them.

use std::collections::HashSet;

use foldhash::fast::RandomState;

use crate::domain::listing::{Listing, Syntax};
use crate::text::asm::label_start;
use crate::text::scan;

/// Every name worth a try, longest first, labels before others.
pub(super) fn collect(listing: &Listing) -> Vec<String> {
    let mut labels: HashSet<&str, RandomState> = HashSet::default();
    let mut others: HashSet<&str, RandomState> = HashSet::default();
    for line in listing.lines() {
        if listing.syntax == Syntax::LlvmIr {
            others.extend(globals(line.text));
            continue;
        }
        for label in line.labels {
            match &label.target {
                Some(target) => {
                    labels.insert(target);
                    others.insert(&label.name);
                }
                None => {
                    labels.insert(&label.name);
                }
            }
        }
        if let Some(label) = label_start(line.text) {
            labels.insert(label.name);
        }
        if may_be_mangled(line.text) {
            others.extend(other(line.text));
        }
    }
    others.retain(|name| !labels.contains(name));
    [labels, others].into_iter().flat_map(longest_first).collect()
}

fn longest_first(names: HashSet<&str, RandomState>) -> Vec<String> {
    let mut names: Vec<_> =
        names.into_iter().filter(|name| may_be_mangled(name)).map(str::to_owned).collect();
    names.sort_by(|one, other| other.len().cmp(&one.len()).then_with(|| one.cmp(other)));
    names
}

/// Whether a mangled name may stand in `text`; most lines end here.
fn may_be_mangled(text: &str) -> bool {
    memchr::memchr_iter(b'_', text.as_bytes())
        .any(|at| matches!(text.as_bytes().get(at + 1), Some(b'Z' | b'R' | b'G')))
}

/// The names behind `@` in LLVM IR.
fn globals(text: &str) -> impl Iterator<Item = &str> {
    memchr::memchr_iter(b'@', text.as_bytes()).filter_map(|at| {
        let start = at + 1;
        let end = scan::skip_while(text.as_bytes(), start, scan::in_symbol);
        (end > start).then(|| &text[start..end])
    })
}

/// What the first matching pattern finds.
fn other(text: &str) -> Option<&str> {
    let line = Text::new(text);
    line.pointer(true)
        .or_else(|| line.branch())
        .or_else(|| line.call())
        .or_else(|| line.moved("mov", Quoted::Any))
        .or_else(|| line.moved("lea", Quoted::None))
        .or_else(|| line.quad())
        .or_else(|| line.ptx())
}

/// Whether a pattern takes names in quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quoted {
    None,
    Any,
}

/// A line, and its lower-case twin: patterns ignore case.
struct Text<'t> {
    text: &'t str,
    lower: Vec<u8>,
}

impl<'t> Text<'t> {
    fn new(text: &'t str) -> Self {
        Self { text, lower: text.to_ascii_lowercase().into_bytes() }
    }

    fn find(&self, word: &str) -> Option<usize> {
        memchr::memmem::find(&self.lower, word.as_bytes())
    }

    /// The name at `at`: a letter, `_`, `$` or one of `more`, then name characters.
    fn name(&self, at: usize, more: &[u8]) -> Option<&'t str> {
        let bytes = self.text.as_bytes();
        let first = *bytes.get(at)?;
        let starts = |byte: u8| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'$');
        if first == b'"' && bytes.get(at + 1).copied().is_some_and(starts) {
            let end = scan::skip_while(bytes, at + 1, scan::in_label);
            return (bytes.get(end) == Some(&b'"')).then(|| &self.text[at..=end]);
        }
        let end = scan::skip_while(bytes, at + 1, scan::in_label);
        (starts(first) || more.contains(&first)).then(|| &self.text[at..end])
    }

    /// `ptr [ ... N ]`, where N stands last; it starts with `_` if `underscore` says so.
    fn pointer(&self, underscore: bool) -> Option<&'t str> {
        let open = self.find("ptr")?;
        let bracket = scan::skip_space(self.text, open + "ptr".len());
        if self.text.as_bytes().get(bracket) != Some(&b'[') {
            return None;
        }
        let close = bracket + memchr::memrchr(b']', &self.text.as_bytes()[bracket..])?;
        let inner = scan::trim(&self.text[bracket + 1..close]);
        let start = match inner.strip_suffix('"') {
            Some(quoted) => quoted.rfind('"')?,
            None => inner.bytes().rposition(|byte| !scan::in_label(byte)).map_or(0, |last| last + 1),
        };
        let name = &inner[start..];
        let first = name.trim_start_matches('"').bytes().next()?;
        (first == b'_' || (!underscore && first.is_ascii_alphabetic())).then_some(name)
    }

    /// Letters beginning with `j`, or `b`, `bl`, `blx`; blanks; N. Anything may precede.
    fn branch(&self) -> Option<&'t str> {
        let mut at = 0;
        while let Some(found) = self.text[at..].find(scan::is_space) {
            let space = at + found;
            let letters = &self.lower[..space];
            let start =
                letters.iter().rposition(|byte| !byte.is_ascii_alphabetic()).map_or(0, |last| last + 1);
            let word = &letters[start.max(at)..];
            let name = scan::skip_space(self.text, space);
            let branches = word.contains(&b'j')
                || [b"b".as_slice(), b"bl", b"blx"].iter().any(|end| word.ends_with(end));
            if branches && let Some(name) = self.name(name, b"") {
                return Some(name);
            }
            at = name;
        }
        None
    }

    /// The forms of a call.
    fn call(&self) -> Option<&'t str> {
        let start = self.find("call")? + "call".len();
        let behind = start + usize::from(self.lower.get(start) == Some(&b'q'));
        let operand = scan::skip_space(self.text, behind);
        let through_pointer = || (self.find("ptr")? > start).then(|| self.pointer(false)).flatten();
        if memchr::memmem::find(&self.lower[start..], b"qword ptr").is_some()
            && let Some(name) = through_pointer()
        {
            return Some(name);
        }
        if let Some(bracket) = memchr::memmem::find(&self.lower[start..], b"[qword ptr ") {
            return self.name(scan::skip_space(self.text, start + bracket + "[qword ptr ".len()), b"");
        }
        let direct = (operand > behind).then(|| self.name(operand, b"*.")).flatten();
        direct.or_else(through_pointer)
    }

    /// `word` ... and behind a blank or colon an N that starts with `_`, the last one.
    fn moved(&self, word: &str, quoted: Quoted) -> Option<&'t str> {
        let start = self.find(word)? + word.len();
        let bytes = self.text.as_bytes();
        (start + 1..bytes.len()).rev().find_map(|at| {
            let bounded = bytes[at - 1] == b':'
                || self.text.is_char_boundary(at) && self.text[..at].ends_with(scan::is_space);
            let starts = bytes[at] == b'_' || (bytes[at] == b'"' && quoted == Quoted::Any);
            (bounded && starts).then(|| self.name(at, b"")).flatten()
        })
    }

    fn quad(&self) -> Option<&'t str> {
        let start = self.find(".quad")? + ".quad".len();
        let name = scan::skip_space(self.text, start);
        (self.text.as_bytes().get(name) == Some(&b'_')).then(|| self.name(name, b"")).flatten()
    }

    /// Kernels and functions, by the name before the opening parenthesis; variables, by the last name.
    fn ptx(&self) -> Option<&'t str> {
        let opens = [".entry", ".func"].into_iter().find_map(|word| Some(self.find(word)? + word.len()));
        if let Some(at) = opens {
            let mut name = scan::skip_space(self.text, at);
            if self.text.as_bytes().get(name) == Some(&b'(') {
                let close = memchr::memchr(b')', &self.text.as_bytes()[name..])?;
                name = scan::skip_space(self.text, name + close + 1);
            }
            return self.name(name, b"");
        }
        [".global", ".const"].into_iter().find_map(|word| self.find(word))?;
        let declared = self.text.split(['=', '[', ';']).next()?;
        let name = scan::trim(declared).rsplit(scan::is_space).next()?;
        self.name(name.as_ptr().addr() - self.text.as_ptr().addr(), b"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::listing::LabelUse;

    #[test]
    fn others_by_the_first_pattern_that_matches() {
        for (sentence, text, expected) in [
            ("a pointer", "mov rax, QWORD PTR [rip + _ZTV1A]", Some("_ZTV1A")),
            ("a pointer with the name last", "mov rax, QWORD PTR [_ZTV1A + rip]", None),
            ("a jump", "jmp _Z1fv", Some("_Z1fv")),
            ("a conditional jump", "  jne  _Z1fv@PLT", Some("_Z1fv@PLT")),
            ("a branch", "\tbl\t_Z1fv", Some("_Z1fv")),
            ("no local labels", "b .L_Z2", None),
            ("the b of sub uses up the line", "sub rax, _Z1av", Some("rax")),
            ("a call", "call _Z1fv", Some("_Z1fv")),
            ("a call through a pointer", "callq *_Z1fv", Some("*_Z1fv")),
            ("a call to a local name", "call .L_Z1", Some(".L_Z1")),
            ("call through memory", "call QWORD PTR [rip + foo_Z]", Some("foo_Z")),
            ("call through memory without plus", "call qword ptr [_Z1fv]", Some("_Z1fv")),
            ("call [qword ptr", "call [qword ptr _Z1fv + rip]", Some("_Z1fv")),
            ("call dword", "call DWORD PTR [eax + _Z1fv]", Some("_Z1fv")),
            ("a move behind a colon", "mov edi, OFFSET FLAT:_ZTI1A", Some("_ZTI1A")),
            ("a move behind a blank", "mov rax, _ZTV1A[rip+16]", Some("_ZTV1A")),
            ("not behind a dollar", "movl $_ZTV1A, %eax", None),
            ("the last of two", "mov _Z1av, _Z1bv", Some("_Z1bv")),
            ("a quoted move", "mov rax, \"_Z1a\"", Some("\"_Z1a\"")),
            ("lea", "lea rdi, _ZTV1A[rip]", Some("_ZTV1A")),
            ("lea not quoted", "lea rdi, \"_Z1a\"", None),
            (".quad", "\t.quad\t_ZTI1A", Some("_ZTI1A")),
            (".long is never looked at", "\t.long\t_ZTI1A", None),
            ("nor adrp", "\tadrp x0, _ZN1a1bE", None),
            ("PTX", ".visible .entry _Z1fPi(", Some("_Z1fPi")),
            ("PTX function", ".func (.param .b32 r) _Z1gi(", Some("_Z1gi")),
            ("PTX variable", ".global .align 4 .u32 _ZN1a1bE = 4;", Some("_ZN1a1bE")),
            ("case does not matter", "CALL _Z1fv", Some("_Z1fv")),
        ] {
            assert_eq!(other(text), expected, "{sentence}");
        }
    }

    #[test]
    fn labels_come_first_and_longer_names_before_shorter_ones() {
        let mut listing = Listing::default();
        let label = |name: &str, target: Option<&str>| LabelUse {
            name: name.to_owned(),
            target: target.map(str::to_owned),
            start: 1,
            end: 2,
        };
        listing.push("_Z1fv:", None, Vec::new());
        listing.push("call _Z3foov@PLT", None, vec![label("_Z3foov@PLT", Some("_Z3foov"))]);
        listing.push("x", None, vec![label("_Z1xv", None), label("main", None)]);
        listing.push("jmp _Z1fv", None, Vec::new());
        listing.push("jmp _Z1longerv", None, Vec::new());
        assert_eq!(collect(&listing), ["_Z3foov", "_Z1fv", "_Z1xv", "_Z3foov@PLT", "_Z1longerv"]);
    }
}
