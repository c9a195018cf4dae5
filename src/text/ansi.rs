//! Removes terminal control sequences. Knows nothing of what the text says.

use std::borrow::Cow;

/// Which sequences [`strip_where`] removes.
type Wanted = fn(sequence: &str) -> bool;

/// `text` without CSI sequences: ESC `[` or U+009B, parameters, intermediates, and a final byte `@` to `~`.
pub fn strip(text: &str) -> Cow<'_, str> {
    strip_where(text, |_| true)
}

/// `text` without what compilers print to color their diagnostics: CSI sequences that end in `K` or `m`, and the
/// OSC 8 sequences around hyperlinks (the linked words stay).
pub(super) fn strip_decoration(text: &str) -> Cow<'_, str> {
    match strip_where(text, |sequence| sequence.ends_with(['K', 'm'])) {
        Cow::Borrowed(text) => strip_hyperlinks(text),
        Cow::Owned(text) => match strip_hyperlinks(&text) {
            Cow::Borrowed(_) => Cow::Owned(text),
            Cow::Owned(text) => Cow::Owned(text),
        },
    }
}

fn strip_where(text: &str, wanted: Wanted) -> Cow<'_, str> {
    let mut kept = String::new();
    let mut copied = 0;
    // U+009B is the bytes C2 9B in UTF-8.
    for start in memchr::memchr2_iter(0x1b, 0xc2, text.as_bytes()) {
        if start < copied {
            continue;
        }
        if let Some(end) = csi_end(text.as_bytes(), start)
            && wanted(&text[start..end])
        {
            kept.push_str(&text[copied..start]);
            copied = end;
        }
    }
    finish(text, kept, copied)
}

fn strip_hyperlinks(text: &str) -> Cow<'_, str> {
    let mut kept = String::new();
    let mut copied = 0;
    for start in memchr::memmem::find_iter(text.as_bytes(), b"\x1b]8;") {
        if start < copied {
            continue;
        }
        if let Some(end) = hyperlink_end(text.as_bytes(), start) {
            kept.push_str(&text[copied..start]);
            copied = end;
        }
    }
    finish(text, kept, copied)
}

fn finish(text: &str, mut kept: String, copied: usize) -> Cow<'_, str> {
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    kept.push_str(&text[copied..]);
    Cow::Owned(kept)
}

/// Where the CSI sequence that starts at `start` ends.
fn csi_end(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = match bytes.get(start..start + 2)? {
        [0x1b, b'['] | [0xc2, 0x9b] => start + 2,
        _ => return None,
    };
    while matches!(bytes.get(at)?, b'0'..=b'?') {
        at += 1;
    }
    while matches!(bytes.get(at)?, b' '..=b'/') {
        at += 1;
    }
    matches!(bytes.get(at)?, b'@'..=b'~').then_some(at + 1)
}

/// Where the OSC 8 sequence that starts at `start` ends: after BEL or ESC `\`.
fn hyperlink_end(bytes: &[u8], start: usize) -> Option<usize> {
    let body = start + 4;
    let end = body + memchr::memchr2(0x07, 0x1b, &bytes[body..])?;
    match bytes[end] {
        0x07 => Some(end + 1),
        _ => (bytes.get(end + 1) == Some(&b'\\')).then_some(end + 2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn csi_sequences_go() {
        for (text, expected) in [
            ("plain", "plain"),
            ("\x1b[31mred\x1b[0m", "red"),
            ("\u{9b}1;2Hx", "x"),
            ("\x1b[?25l\x1b[!pX", "X"),
            ("\x1b[1 qX", "X"),
            ("a\x1b[", "a\x1b["),
            ("a\x1b[12\u{e9}", "a\x1b[12\u{e9}"),
            ("\x1b]8;;u\x07t", "\x1b]8;;u\x07t"),
            ("\u{a9} \u{e9}", "\u{a9} \u{e9}"),
        ] {
            assert_eq!(strip(text), expected, "{text:?}");
        }
    }

    #[test]
    fn decoration_is_colors_and_hyperlinks() {
        for (text, expected) in [
            ("\x1b[01;31m\x1b[Kerror:\x1b[m\x1b[K x", "error: x"),
            ("\x1b[2Jx", "\x1b[2Jx"),
            ("[\x1b]8;;https://gcc.gnu.org/x\x1b\\-Wall\x1b]8;;\x1b\\]", "[-Wall]"),
            ("[\x1b]8;;https://gcc.gnu.org/x\x07-Wall\x1b]8;;\x07]", "[-Wall]"),
            ("\x1b]8;;unfinished", "\x1b]8;;unfinished"),
            ("\x1b[35m\x1b]8;;u\x07w\x1b]8;;\x07\x1b[0m", "w"),
        ] {
            assert_eq!(strip_decoration(text), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn never_panics_and_what_is_left_is_in_order(text in "[\u{1b}\u{9b}\\[\\]8;0mK\\\\\u{7}\u{e9}\u{1f600}\0\rx]{0,40}") {
            for stripped in [strip(&text), strip_decoration(&text)] {
                let mut rest = text.chars();
                prop_assert!(stripped.chars().all(|wanted| rest.any(|character| character == wanted)));
            }
        }
    }
}
