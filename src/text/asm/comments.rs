//! Deletes the block comments that start a line. Knows nothing of what else a line may be.

use std::borrow::Cow;

use memchr::memmem;

use crate::text::scan;

/// `text` without block comments that only blanks and tabs precede on their line: each goes from its indentation through
/// its end and the white space behind, line feeds and the next line's indentation included.
///
/// A comment right behind a deleted one is therefore deleted only if it stands at column 0.
pub(super) fn without_blocks(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let mut kept = String::new();
    let mut copied = 0;
    for open in memmem::find_iter(bytes, "/*") {
        // Inside a deleted comment, or the `/*` of `//*`.
        if open < copied {
            continue;
        }
        let start = bytes[copied..open]
            .iter()
            .rposition(|byte| !matches!(byte, b' ' | b'\t'))
            .map_or(copied, |last| copied + last + 1);
        if !starts_line(text, start) {
            continue;
        }
        // No end behind this one means no end behind any later one.
        let Some(length) = memmem::find(&bytes[open + 2..], b"*/") else { break };
        kept.push_str(&text[copied..start]);
        copied = scan::skip_space(text, open + 2 + length + 2);
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    kept.push_str(&text[copied..]);
    Cow::Owned(kept)
}

/// Whether `at` follows what JavaScript takes for the end of a line.
fn starts_line(text: &str, at: usize) -> bool {
    at == 0 || text[..at].ends_with(['\n', '\r', '\u{2028}', '\u{2029}'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn block_comments_that_start_a_line_are_deleted() {
        for (sentence, text, expected) in [
            ("one line", "a\n/* c */\nb", "a\nb"),
            ("with its indentation", "a\n \t/* c */\nb", "a\nb"),
            ("many lines", "/* c\n d\n*/\n  b", "b"),
            ("all white space behind it", "/* c */ \n\n\t\u{a0}\n  b\n", "b\n"),
            ("code behind it moves to the line start", "  /* c */ mov a, b", "mov a, b"),
            ("not behind code", "mov /* c */ a", "mov /* c */ a"),
            ("not when unfinished", "/* c", "/* c"),
            ("slash after the opening does not close", "/*/ x */y", "y"),
            ("stars inside", "/*** x **/y", "y"),
            ("an indented one right behind stays", "/* a */\n  /* b */\nc", "/* b */\nc"),
            ("one at column 0 right behind goes", "/* a */\n/* b */\nc", "c"),
            ("one on the same line stays", "/* a */ /* b */\nc", "/* b */\nc"),
            ("CRLF", "x\r\n/* a */\r\nb", "x\r\nb"),
        ] {
            assert_eq!(without_blocks(text), expected, "{sentence}");
        }
    }

    proptest! {
        #[test]
        fn never_panics_and_never_grows(text in "(/|\\*|/\\*|\\*/|[ \t\n\ra\u{2028}\u{e9}\u{1f600}\0\u{1b}]){0,30}") {
            prop_assert!(without_blocks(&text).len() <= text.len());
        }
    }
}
