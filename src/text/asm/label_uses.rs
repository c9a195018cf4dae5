//! Finds the labels that a shown line names. Knows nothing of how the line came about.

use crate::domain::listing::LabelUse;
use crate::text::asm::opcodes::without_comment;
use crate::text::scan;

/// Uses that a listing has at most: some take two bytes of the text and a hundred times that in memory. Compilers write
/// one in ten lines.
const MOST: usize = 1 << 20;

/// Appends the uses of labels in `text`, as far as `defined` knows the label, until there are [`MOST`].
pub(super) fn find(text: &str, defined: impl Fn(&str) -> bool, uses: &mut Vec<LabelUse>) {
    let code = without_comment(text);
    let bytes = code.as_bytes();
    let mut at = after_mnemonic(code);
    let mut columns = Columns::new(code);
    while uses.len() < MOST
        && let Some(&first) = bytes.get(at)
    {
        let starts = scan::in_label(first) && !first.is_ascii_digit() || first == b'"';
        if !starts || (first == b'$' && bytes.get(at + 1) == Some(&b'.')) {
            at += 1;
            continue;
        }
        let mut target_end = scan::skip_while(bytes, at + 1, scan::in_symbol);
        if bytes.get(target_end) == Some(&b'"') {
            target_end += 1;
        }
        let mut end = target_end;
        while bytes.get(end) == Some(&b'@') && bytes.get(end + 1).copied().is_some_and(scan::is_word) {
            end = scan::skip_while(bytes, end + 1, scan::is_word);
        }
        let (name, target) = (&code[at..end], &code[at..target_end]);
        if defined(target) {
            uses.push(LabelUse {
                name: name.to_owned(),
                target: (end > target_end).then(|| target.to_owned()),
                start: columns.at(at),
                end: columns.at(end),
            });
        }
        at = end;
    }
}

/// Whether the first word goes on behind the letters of the mnemonic: its rest may name a label.
pub(super) fn splits_mnemonic(text: &str) -> bool {
    let end = after_mnemonic(text);
    end > 0 && text.as_bytes().get(end).copied().is_some_and(scan::in_symbol)
}

/// The offset behind blanks and letters; 0 if there are no letters.
fn after_mnemonic(code: &str) -> usize {
    let letters = scan::skip_space(code, 0);
    let end = scan::skip_while(code.as_bytes(), letters, |byte| byte.is_ascii_alphabetic());
    if end > letters { end } else { 0 }
}

/// 1-based UTF-16 columns of increasing byte offsets.
struct Columns<'t> {
    text: &'t str,
    /// An offset and its column minus one.
    last: (usize, usize),
}

impl<'t> Columns<'t> {
    fn new(text: &'t str) -> Self {
        Self { text, last: (0, 0) }
    }

    fn at(&mut self, offset: usize) -> u32 {
        let (byte, units) = self.last;
        self.last = (offset, units + scan::utf16_len(&self.text[byte..offset]));
        u32::try_from(self.last.1 + 1).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uses() {
        for (sentence, text, expected) in [
            ("a jump", "        jmp     .L2", &[(".L2", "", 17, 20)][..]),
            ("the mnemonic is none", "main", &[]),
            ("digits end the mnemonic", "ld2r x", &[("r", "", 4, 5), ("x", "", 6, 7)]),
            ("cut at #", "jmp a # b", &[("a", "", 5, 6)]),
            ("cut at ;", "jmp a;b", &[("a", "", 5, 6)]),
            ("suffixes", "call f@PLT", &[("f@PLT", "f", 6, 11)]),
            ("many suffixes", "call f@a@b", &[("f@a@b", "f", 6, 11)]),
            ("no suffix without a word", "call f@ x", &[("f", "", 6, 7), ("@", "", 7, 8), ("x", "", 9, 10)]),
            ("starting with @", "bra @x", &[("@x", "", 5, 7)]),
            ("a quoted name", "call \"a.b\"@PLT", &[("\"a.b\"@PLT", "\"a.b\"", 6, 15)]),
            ("a dollar", "b $L1", &[("$L1", "", 3, 6)]),
            ("no dollar before a dot", "movl $.LC0", &[(".LC0", "", 7, 11)]),
            ("words are whole to the right only", "mov 1a$b.c-d", &[("a$b.c", "", 6, 11), ("d", "", 12, 13)]),
            ("columns are in UTF-16", "x \u{e9}\u{1f600} ab", &[("ab", "", 7, 9)]),
            ("directives", "        .quad   a", &[(".quad", "", 9, 14), ("a", "", 17, 18)]),
        ] {
            let mut uses = Vec::new();
            find(text, |_| true, &mut uses);
            let found: Vec<_> = uses
                .iter()
                .map(|found| {
                    (found.name.as_str(), found.target.as_deref().unwrap_or(""), found.start, found.end)
                })
                .collect();
            assert_eq!(found, expected, "{sentence}");
        }
    }

    #[test]
    fn a_listing_has_no_more_than_fit_into_memory() {
        let mut uses = Vec::new();
        find(&format!("jmp {}", "a,".repeat(MOST + 1)), |_| true, &mut uses);
        find("jmp a", |_| true, &mut uses);
        assert_eq!(uses.len(), MOST);
    }

    #[test]
    fn only_defined_labels_count_by_their_target() {
        let mut uses = Vec::new();
        find("call f@PLT, g", |name| name == "f", &mut uses);
        assert_eq!(uses.len(), 1);
        assert_eq!(uses[0].target.as_deref(), Some("f"));
    }
}
