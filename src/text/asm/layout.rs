//! Expands tabs and squeezes white space. Knows nothing of what a line means.

use crate::text::scan;

/// Columns between tab stops.
const TAB: usize = 8;

/// Appends `text` with its tabs expanded.
///
/// The rule is the one that clients see everywhere, and differs from a terminal's: the correction for spaces written so
/// far grows by `k - 1` for a tab at column `k` past a stop, so later tabs of a line drift off the stops.
pub(super) fn expand_tabs(text: &str, out: &mut String) {
    const SPACES: &str = "        ";
    let (mut offset, mut correction, mut rest) = (0, 0, text);
    // Nearly every line that is shown begins with a tab.
    if let Some(behind) = text.strip_prefix('\t') {
        out.push_str(SPACES);
        (offset, correction, rest) = (1, TAB - 1, behind);
    }
    while let Some(tab) = find_tab(rest.as_bytes()) {
        let (before, behind) = rest.split_at(tab);
        offset += scan::utf16_len(before);
        let past_stop = (offset + correction) % TAB;
        out.push_str(before);
        out.push_str(&SPACES[past_stop..]);
        // One less than `past_stop`, kept positive: only the distance from a stop matters.
        correction = (correction + past_stop + TAB - 1) % TAB;
        offset += 1;
        rest = &behind[1..];
    }
    out.push_str(rest);
}

/// Tabs are near, and a plain loop is there before anything clever has begun; behind the last may be a long name.
fn find_tab(text: &[u8]) -> Option<usize> {
    const NEAR: usize = 8;
    let (near, far) = text.split_at(text.len().min(NEAR));
    let is_tab = |&byte: &u8| byte == b'\t';
    near.iter().position(is_tab).or_else(|| memchr::memchr(b'\t', far).map(|tab| NEAR + tab))
}

/// Appends `line` with runs of white space outside double quotes squeezed to one space, and its indentation to two
/// spaces, or one.
pub(super) fn squeeze(line: &str, out: &mut String) {
    let mut rest = line;
    let mut at_start = true;
    while let Some((start, end)) = quoted(rest) {
        squeeze_piece(&rest[..start], at_start, out);
        out.push_str(&rest[start..end]);
        rest = &rest[end..];
        at_start = false;
    }
    squeeze_piece(rest, at_start, out);
}

/// A piece of nothing but white space becomes empty.
fn squeeze_piece(piece: &str, at_start: bool, out: &mut String) {
    let body = scan::skip_space(piece, 0);
    if body == piece.len() {
        return;
    }
    if body > 0 {
        out.push_str(if at_start && piece.chars().nth(1) == Some(' ') { "  " } else { " " });
    }
    let mut at = body;
    while at < piece.len() {
        let end = piece[at..].find(scan::is_space).map_or(piece.len(), |length| at + length);
        out.push_str(&piece[at..end]);
        at = scan::skip_space(piece, end);
        if at > end {
            out.push(' ');
        }
    }
}

/// The bounds of the first string in double quotes; a backslash takes the next character along.
fn quoted(text: &str) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let start = memchr::memchr(b'"', bytes)?;
    let mut at = start + 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes[at] == b'"' {
            return Some((start, at + 1));
        }
        at += 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn expanded(text: &str) -> String {
        let mut out = String::new();
        expand_tabs(text, &mut out);
        out
    }

    fn squeezed(text: &str) -> String {
        let mut out = String::new();
        squeeze(text, &mut out);
        out
    }

    #[test]
    fn tabs() {
        for (sentence, text, expected) in [
            ("none", "a b", "a b".to_owned()),
            ("to the next stop", "a\tb", format!("a{}b", " ".repeat(7))),
            ("on a stop", "\tret", format!("{}ret", " ".repeat(8))),
            (
                "the contract's example",
                "a\tb\tc\td",
                format!("a{}b{}c{}d", " ".repeat(7), " ".repeat(5), " "),
            ),
            ("an instruction", "\tmov\ta, b", format!("{}mov{}a, b", " ".repeat(8), " ".repeat(5))),
            ("offsets are in UTF-16", "\u{e9}\u{1f600}\tx", format!("\u{e9}\u{1f600}{}x", " ".repeat(5))),
            ("at the end", "a\t", format!("a{}", " ".repeat(7))),
        ] {
            assert_eq!(expanded(text), expected, "{sentence}");
        }
    }

    /// The rule as the contract puts it, with signed numbers and no shortcut.
    fn by_the_book(text: &str) -> String {
        let mut extra = 0_i64;
        let mut offset = 0_i64;
        let mut out = String::new();
        for character in text.chars() {
            if character == '\t' {
                let k = (offset + extra) % 8;
                out.extend((0..8 - k).map(|_| ' '));
                extra += k - 1;
            } else {
                out.push(character);
            }
            offset += i64::try_from(character.len_utf16()).unwrap();
        }
        out
    }

    #[test]
    fn trimming() {
        for (sentence, text, expected) in [
            ("runs become one space", "a   b \t c", "a b c"),
            ("an indentation becomes two", "        mov     a, b", "  mov a, b"),
            ("one stays one", " mov a", " mov a"),
            ("one, if the second character is no space", " \u{a0} mov a", " mov a"),
            ("blank", "   ", ""),
            ("quoted parts are copied", " .string \"a   b\"   # c  d", " .string \"a   b\" # c d"),
            ("escaped quotes", r#"a  "b  \"  c"  d"#, r#"a "b  \"  c" d"#),
            ("an unfinished string is none", "a  \"b  c", "a \"b c"),
            ("text after a quote is no line start", "\"a\"   b", "\"a\" b"),
            ("a blank piece becomes empty", "\"a\"   \"b\"  ", "\"a\"\"b\""),
            ("trailing white space becomes one space", "a  ", "a "),
        ] {
            assert_eq!(squeezed(text), expected, "{sentence}");
        }
    }

    proptest! {
        #[test]
        fn tabs_expand_by_the_book(text in "[\ta\u{e9}\u{1f600}\0\r\u{1b}]{0,24}") {
            prop_assert_eq!(expanded(&text), by_the_book(&text));
        }

        #[test]
        fn squeezing_never_grows_beyond_one_and_is_idempotent(text in "[ \t\"\\\\ab\u{a0}\u{e9}\u{1f600}\0\r\u{1b}]{0,24}") {
            let once = squeezed(&text);
            prop_assert!(once.len() <= text.len());
            if !text.contains('"') {
                prop_assert_eq!(squeezed(&once), once);
            }
        }
    }
}
