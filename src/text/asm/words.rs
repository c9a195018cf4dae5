//! The few words that count wherever in a line they stand. Looks at the whole text at once: most lines hold none.

use std::iter::Peekable;
use std::sync::LazyLock;

use aho_corasick::packed::{self, Searcher};

use crate::text::asm::lines::{Mark, Marks};
use crate::text::asm::ptx;
use crate::text::scan;

/// The words, with what they mean; openings need a second look.
const WORDS: [(&str, Mark); 8] = [
    (".cfi_startproc", Mark::StartsProcedure),
    (".cfi_endproc", Mark::EndsBlock),
    (".data", Mark::EndsBlock),
    (".text", Mark::EndsBlock),
    (".section", Mark::EndsBlock),
    (".inst", Mark::Instruction),
    (".entry", Mark::Opening),
    (".func", Mark::Opening),
];

/// Finds [`WORDS`] many bytes at a time, where the processor can.
static FINDER: LazyLock<Option<Searcher>> =
    LazyLock::new(|| packed::Config::new().builder().extend(WORDS.map(|(word, _)| word)).build());

/// Where a word of [`WORDS`] stands, and which.
#[derive(Debug, Clone, Copy)]
struct Found {
    start: usize,
    word: usize,
}

/// The words of a text, handed out line by line.
pub(super) struct Words<'t> {
    text: &'t str,
    found: Peekable<std::vec::IntoIter<Found>>,
    equals: Peekable<memchr::Memchr<'t>>,
}

impl<'t> Words<'t> {
    /// The words of `text`.
    pub(super) fn new(text: &'t str) -> Self {
        let equals = memchr::memchr_iter(b'=', text.as_bytes());
        Self { text, found: find(text).into_iter().peekable(), equals: equals.peekable() }
    }

    /// What the words of `line` mean. Lines have to come in their order, as slices of the text.
    pub(super) fn marks(&mut self, line: &str) -> Marks {
        let start = line.as_ptr().addr() - self.text.as_ptr().addr();
        let end = start + line.len();
        let mut marks = Marks::default();
        while let Some(found) = self.found.next_if(|found| found.start < end) {
            let (word, meaning) = WORDS[found.word];
            let next = line.as_bytes().get(found.start + word.len() - start);
            let is_part = meaning == Mark::EndsBlock && next.copied().is_some_and(scan::is_word);
            if !is_part {
                marks.add(meaning);
            }
        }
        while self.equals.next_if(|&at| at < end).is_some() {
            marks.add(Mark::Equals);
        }
        // Once per line, however many such words it has.
        if marks.has(Mark::Opening) && ptx::opening(line).is_none() {
            marks.remove(Mark::Opening);
        }
        marks
    }
}

/// Every word of [`WORDS`] in `text`, in order. No word holds another, so none is missed.
fn find(text: &str) -> Vec<Found> {
    if let Some(finder) = FINDER.as_ref() {
        let found = finder.find_iter(text);
        return found.map(|found| Found { start: found.start(), word: found.pattern().as_usize() }).collect();
    }
    find_one_by_one(text)
}

fn find_one_by_one(text: &str) -> Vec<Found> {
    let word_at = |start: usize| WORDS.iter().position(|(word, _)| text[start..].starts_with(word));
    memchr::memchr_iter(b'.', text.as_bytes())
        .filter_map(|start| word_at(start).map(|word| Found { start, word }))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_count_anywhere_some_only_if_whole() {
        for (text, mark, expected) in [
            ("\t.cfi_startproc", Mark::StartsProcedure, true),
            ("\t.cfi_endproc", Mark::EndsBlock, true),
            (" # .data", Mark::EndsBlock, true),
            ("x.text y", Mark::EndsBlock, true),
            (".section\t.rodata", Mark::EndsBlock, true),
            (".data.rel.ro", Mark::EndsBlock, true),
            (".data1", Mark::EndsBlock, false),
            (".texture .text", Mark::EndsBlock, true),
            (".rodata", Mark::EndsBlock, false),
            (".inst.n 1", Mark::Instruction, true),
            ("x: .func f(", Mark::Opening, true),
            (".func f", Mark::Opening, false),
            ("x == y", Mark::Equals, true),
        ] {
            assert_eq!(Words::new(text).marks(text).has(mark), expected, "{text}");
        }
    }

    #[test]
    fn each_line_has_its_own() {
        let text = "a\n.text\nb = c\n.inst\n.data1\n.data";
        let mut words = Words::new(text);
        let marks = [Mark::EndsBlock, Mark::Equals, Mark::Instruction];
        let found: Vec<_> =
            text.lines().map(|line| words.marks(line)).map(|line| marks.map(|mark| line.has(mark))).collect();
        let [text, equals, inst, none] =
            [[true, false, false], [false, true, false], [false, false, true], [false; 3]];
        assert_eq!(found, [none, text, equals, inst, none, text]);
    }

    proptest! {
        #[test]
        fn without_the_processor_s_help_the_same_words_are_found(
            text in "([.a\u{e9}\u{1f600}\0\r\u{1b}\n]|\\.(text|data|inst|entry|func|section|cfi_startproc|cfi_endproc|cfi_|t)){0,40}"
        ) {
            let found = |found: Vec<Found>| found.iter().map(|found| (found.start, found.word)).collect::<Vec<_>>();
            prop_assert_eq!(found(find(&text)), found(find_one_by_one(&text)));
        }
    }
}
