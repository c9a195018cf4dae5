//! PTX, as far as a listing needs it: where kernels and functions open. Knows none of its instructions.

use crate::text::scan::{self, Dollar};

/// What opens a kernel or function.
pub(super) const WORDS: [&str; 2] = ["entry", "func"];

/// The word (`entry` or `func`) with which the line opens a kernel or function: the word with a dot, an optional result
/// list in parentheses, a name, and an opening parenthesis that ends the line.
pub(super) fn opening(line: &str) -> Option<&str> {
    let bytes = line.as_bytes();
    if bytes.last() != Some(&b'(') {
        return None;
    }
    // A result list holds no closing parenthesis and a name follows it: it can only end at the last one.
    let close = memchr::memrchr(b')', bytes);
    let lists_start = close.and_then(|close| memchr::memrchr(b')', &bytes[..close])).unwrap_or(0);
    let name_behind_list = close.is_some_and(|close| ends_in_name(line, scan::skip_space(line, close + 1)));
    memchr::memchr_iter(b'.', bytes).find_map(|dot| {
        let word = WORDS.into_iter().find(|word| bytes[dot + 1..].starts_with(word.as_bytes()))?;
        let end = dot + 1 + word.len();
        let next = scan::skip_space(line, end);
        let opens = next > end
            && if bytes.get(next) == Some(&b'(') {
                name_behind_list && lists_start <= next && close > Some(next)
            } else {
                ends_in_name(line, next)
            };
        opens.then(|| &line[dot + 1..end])
    })
}

/// Whether nothing but a name and the opening parenthesis stands at `at`.
fn ends_in_name(line: &str, at: usize) -> bool {
    scan::symbol_end(line.as_bytes(), at, Dollar::Start).is_some_and(|end| end + 1 == line.len())
}

/// Whether the line ends the parameter list of an opening: a closing parenthesis alone.
pub(super) fn closes(line: &str) -> bool {
    scan::trim(line) == ")"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openings() {
        for (line, expected) in [
            (".visible .entry _Z6squarePii(", Some("entry")),
            (".func  (.param .b32 func_retval0) _Z3fooi(", Some("func")),
            ("\t.func foo(", Some("func")),
            (".weak .func \"a.b\"(", Some("func")),
            (".entry $x(", Some("entry")),
            (".entry foo( // c", None),
            (".entry foo()", None),
            (".entryfoo(", None),
            (".entry (", None),
            (".entry (x foo(", None),
            (".other .entry (", None),
            (".func (a) (b) foo(", None),
            (".func (a .entry (b) foo(", Some("func")),
            ("(x) .func (b) foo(", Some("func")),
            ("", None),
        ] {
            assert_eq!(opening(line), expected, "{line}");
        }
        assert!(closes(" ) ") && !closes("),") && !closes(""));
    }
}
