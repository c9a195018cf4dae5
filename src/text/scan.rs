//! The characters of the trade: what counts as white space, a word and a symbol, and where lines end.
//!
//! Clients compare with what JavaScript's regular expressions find, so white space is theirs (it includes U+FEFF,
//! the no-break spaces and the line separators), while words are ASCII. Offsets are in bytes here.

/// Letters, digits and `_`: what a regular expression calls a word character.
const WORD: u8 = 1;
/// What a symbol starts with: a letter, `_` or `.`.
const SYMBOL_START: u8 = 2;
/// What a symbol continues with: a word character, `$` or `.`.
const SYMBOL: u8 = 4;
/// What a label start consists of: a symbol character or `@`.
const LABEL: u8 = 8;
/// ASCII white space.
const SPACE: u8 = 16;

const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        let letter = byte.is_ascii_alphabetic() || byte == b'_';
        if letter || byte.is_ascii_digit() {
            classes[byte as usize] |= WORD | SYMBOL | LABEL;
        }
        if letter {
            classes[byte as usize] |= SYMBOL_START;
        }
        if byte == b' ' || (byte >= 9 && byte <= 13) {
            classes[byte as usize] |= SPACE;
        }
        byte += 1;
    }
    classes[b'.' as usize] = SYMBOL_START | SYMBOL | LABEL;
    classes[b'$' as usize] = SYMBOL | LABEL;
    classes[b'@' as usize] = LABEL;
    classes
};

const fn is(byte: u8, class: u8) -> bool {
    CLASSES[byte as usize] & class != 0
}

/// Whether `byte` is a letter, digit or `_`.
pub(super) const fn is_word(byte: u8) -> bool {
    is(byte, WORD)
}

/// Whether a symbol may start with `byte`.
pub(super) const fn starts_symbol(byte: u8) -> bool {
    is(byte, SYMBOL_START)
}

/// Whether a symbol may continue with `byte`.
pub(super) const fn in_symbol(byte: u8) -> bool {
    is(byte, SYMBOL)
}

/// Whether a label start may contain `byte`.
pub(super) const fn in_label(byte: u8) -> bool {
    is(byte, LABEL)
}

/// Whether JavaScript's `\s` and `trim` take `character` for white space.
pub(super) const fn is_space(character: char) -> bool {
    matches!(
        character,
        '\t'..='\r' | ' ' | '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{2028}' | '\u{2029}' | '\u{202f}'
            | '\u{205f}' | '\u{3000}' | '\u{feff}'
    )
}

/// `text` without white space at either end.
pub(super) fn trim(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// Whether nothing in `text` ends a line as far as JavaScript is concerned: there, patterns stop at a carriage return
/// or line separator too.
pub(super) fn is_one_line(text: &str) -> bool {
    !text.contains(['\r', '\u{2028}', '\u{2029}'])
}

/// The offset at or after `at` of the first character that is no white space.
#[inline]
pub(super) fn skip_space(text: &str, mut at: usize) -> usize {
    let bytes = text.as_bytes();
    while let Some(&byte) = bytes.get(at) {
        if is(byte, SPACE) {
            at += 1;
        } else if byte < 0x80 {
            break;
        } else {
            return skip_wide_space(text, at);
        }
    }
    at
}

/// The same, where a character beyond ASCII stands first.
#[cold]
fn skip_wide_space(text: &str, at: usize) -> usize {
    let rest = &text[at..];
    at + (rest.len() - rest.trim_start_matches(is_space).len())
}

/// The offset at or after `at` of the first byte that does not satisfy `wanted`.
pub(super) fn skip_while(bytes: &[u8], mut at: usize, wanted: impl Fn(u8) -> bool) -> usize {
    while bytes.get(at).is_some_and(|&byte| wanted(byte)) {
        at += 1;
    }
    at
}

/// Which symbols a place allows to start with `$`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dollar {
    /// None.
    No,
    /// Any.
    Start,
}

/// The end of the symbol that starts at `at`, plain or in double quotes.
pub(super) fn symbol_end(bytes: &[u8], at: usize, dollar: Dollar) -> Option<usize> {
    let word_end = |at: usize| {
        let first = *bytes.get(at)?;
        let starts = starts_symbol(first) || (first == b'$' && dollar == Dollar::Start);
        starts.then(|| skip_while(bytes, at + 1, in_symbol))
    };
    if bytes.get(at) == Some(&b'"') {
        let end = word_end(at + 1)?;
        return (bytes.get(end) == Some(&b'"')).then_some(end + 1);
    }
    word_end(at)
}

/// The number written in decimal at `at` and the offset after it; `None` if there is no digit. Saturates.
pub(super) fn number(bytes: &[u8], at: usize) -> Option<(u64, usize)> {
    let end = skip_while(bytes, at, |byte| byte.is_ascii_digit());
    let value = bytes[at..end]
        .iter()
        .fold(0_u64, |value, digit| value.saturating_mul(10).saturating_add(u64::from(digit - b'0')));
    (end > at).then_some((value, end))
}

/// A wire number: whatever does not fit is as large as it gets.
pub(super) fn narrow(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// How many UTF-16 code units `text` has.
pub(super) fn utf16_len(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.encode_utf16().count() }
}

/// The lines of `text`: LF and CRLF end a line; an empty last line does not count, and an empty text has none.
pub(super) fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut start = 0;
    let mut ends = memchr::memchr_iter(b'\n', text.as_bytes());
    std::iter::from_fn(move || {
        let Some(end) = ends.next() else {
            // What follows the last line feed is a line only if it is not empty.
            let rest = &text[start..];
            start = text.len();
            return (!rest.is_empty()).then_some(rest);
        };
        let line = &text[start..end];
        start = end + 1;
        Some(line.strip_suffix('\r').unwrap_or(line))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_end_with_lf_or_crlf_and_one_empty_last_line_is_dropped() {
        for (text, expected) in [
            ("", &[][..]),
            ("a", &["a"]),
            ("a\n", &["a"]),
            ("a\r\nb", &["a", "b"]),
            ("a\n\n", &["a", ""]),
            ("\n", &[""]),
            ("\r\n\r\n", &["", ""]),
            ("a\rb\r", &["a\rb\r"]),
            ("a\r\r\n", &["a\r"]),
        ] {
            assert_eq!(lines(text).collect::<Vec<_>>(), expected, "{text:?}");
        }
    }

    #[test]
    fn white_space_is_that_of_javascript() {
        for character in
            "\t\n\u{b}\u{c}\r \u{a0}\u{1680}\u{2000}\u{200a}\u{2028}\u{2029}\u{202f}\u{205f}\u{3000}\u{feff}"
                .chars()
        {
            assert!(is_space(character), "{character:?}");
            assert_eq!(skip_space(&format!("{character}x"), 0), character.len_utf8());
        }
        for character in "a\u{85}\u{200b}\u{180e}\u{0}\u{1c}".chars() {
            assert!(!is_space(character), "{character:?}");
        }
        assert_eq!(trim("\u{feff} a b\u{a0}\n"), "a b");
    }

    #[test]
    fn symbols_are_words_with_dots_and_dollars_or_quoted_words() {
        for (text, dollar, expected) in [
            ("a$1.b c", Dollar::No, Some(5)),
            (".L1:", Dollar::No, Some(3)),
            ("_x", Dollar::No, Some(2)),
            ("$x", Dollar::No, None),
            ("$x", Dollar::Start, Some(2)),
            ("1a", Dollar::No, None),
            ("\"a.b\" c", Dollar::No, Some(5)),
            ("\"a b\"", Dollar::No, None),
            ("\"a", Dollar::No, None),
            ("\u{e9}", Dollar::No, None),
            ("", Dollar::No, None),
        ] {
            assert_eq!(symbol_end(text.as_bytes(), 0, dollar), expected, "{text:?}");
        }
    }

    #[test]
    fn numbers_saturate() {
        assert_eq!(number(b"0042x", 0), Some((42, 4)));
        assert_eq!(number(b"x", 0), None);
        assert_eq!(number(b"99999999999999999999999", 0), Some((u64::MAX, 23)));
        assert_eq!(narrow(u64::MAX), u32::MAX);
    }

    #[test]
    fn lengths_are_in_utf16() {
        assert_eq!(utf16_len("a\u{e9}\u{1f600}"), 4);
        assert_eq!(utf16_len("abc"), 3);
    }

    proptest! {
        #[test]
        fn places_are_between_characters(text in "[\"$_.a0 \t\r\n\0\u{1b}\u{a0}\u{2028}\u{e9}\u{1f600}]{0,12}") {
            for (at, _) in text.char_indices() {
                prop_assert!(text.is_char_boundary(skip_space(&text, at)));
                for dollar in [Dollar::No, Dollar::Start] {
                    let end = symbol_end(text.as_bytes(), at, dollar);
                    prop_assert!(end.is_none_or(|end| at < end && text.is_char_boundary(end)));
                }
                let end = number(text.as_bytes(), at).map_or(at, |(_, end)| end);
                prop_assert!(text.is_char_boundary(end));
            }
            let all: String = lines(&text).collect();
            prop_assert_eq!(all, text.replace("\r\n", "").replace('\n', ""));
            prop_assert_eq!(utf16_len(&text), text.chars().map(char::len_utf16).sum::<usize>());
        }
    }
}
