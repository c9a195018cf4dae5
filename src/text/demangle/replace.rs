//! Puts one text in the place of another, all over a listing: left to right, the longest name at each position, anywhere,
//! without regard to where words end. Knows nothing of what the names mean.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::domain::listing::{LabelUse, Listing};
use crate::text::scan;

/// By how much a listing may grow, in bytes, before the names in the rest of it stay as they are: a name of a hundred
/// bytes may mean a quarter of a megabyte, in every line.
pub(super) const MOST_GROWTH: usize = 64 * 1024 * 1024;
/// Names that are replaced in one line at most.
const MOST_IN_LINE: usize = 1 << 20;
/// Bytes that are compared with names, before the names in the rest of a listing stay as they are: a name can begin
/// wherever a long one nearly does. In real listings it is few more than the names have.
const MOST_COMPARED: usize = 1 << 28;
/// How many bytes are compared at once.
const BLOCK: usize = 32;

/// Replaces the first of each pair by the second.
pub(super) fn replace(listing: &mut Listing, names: &[(String, String)]) {
    let names = Names::new(names);
    if names.sorted.is_empty() {
        return;
    }
    let most = listing.text_len() + MOST_GROWTH;
    let (mut room, mut compared) = (MOST_GROWTH, 0);
    listing.rewrite(|text, labels, out| {
        let mut replaced = Vec::new();
        names.rewrite(text, out, most, &mut compared, &mut replaced);
        if !replaced.is_empty() && !labels.is_empty() {
            names.relabel(text, &replaced, labels, &mut room);
        }
    });
    let mut places: HashMap<String, usize, RandomState> = HashMap::default();
    let mut renamed: Vec<(String, u32)> = Vec::with_capacity(listing.label_definitions.len());
    for (name, line) in std::mem::take(&mut listing.label_definitions) {
        let name = names.exact(&name).map_or(name, str::to_owned);
        if let Some(&place) = places.get(&name) {
            renamed[place].1 = line;
        } else {
            places.insert(name.clone(), renamed.len());
            renamed.push((name, line));
        }
    }
    listing.label_definitions = renamed;
}

/// Names to replace, sorted. Of the names that a text starts with, the longest is the last name not above the text, or
/// one of the names that this one starts with; [`Entry::jump`] finds the right one in few steps.
#[derive(Debug)]
struct Names<'n> {
    sorted: Vec<Entry<'n>>,
    /// Which pairs of bytes a name starts with.
    starts: Vec<bool>,
}

#[derive(Debug)]
struct Entry<'n> {
    from: &'n str,
    to: &'n str,
    /// The longest other name that this one starts with.
    prefix: Option<usize>,
    /// Some name further along that chain.
    jump: Option<usize>,
    /// How many names there are along that chain.
    depth: usize,
}

/// A replacement made in one line, in bytes of the old text and of the new line.
#[derive(Debug, Clone, Copy)]
struct Replaced {
    old: (usize, usize),
    /// Where the new text starts, in UTF-16 code units.
    new_start: usize,
    entry: usize,
}

impl<'n> Names<'n> {
    fn new(names: &'n [(String, String)]) -> Self {
        let mut pairs: Vec<_> = names.iter().map(|(from, to)| (from.as_str(), to.as_str())).collect();
        pairs.retain(|(from, to)| from.len() >= 2 && from != to);
        pairs.sort_unstable();
        pairs.dedup_by_key(|(from, _)| *from);
        let mut starts = vec![false; 1 << 16];
        let mut sorted: Vec<Entry<'n>> = Vec::with_capacity(pairs.len());
        for (from, to) in pairs {
            starts[start(from.as_bytes(), 0)] = true;
            let mut prefix = sorted.len().checked_sub(1);
            while let Some(index) = prefix
                && !from.starts_with(sorted[index].from)
            {
                prefix = sorted[index].prefix;
            }
            let depth = prefix.map_or(0, |index| sorted[index].depth + 1);
            let jump = prefix.map(|index| jump_from(&sorted, index));
            sorted.push(Entry { from, to, prefix, jump, depth });
        }
        Self { sorted, starts }
    }

    fn exact(&self, name: &str) -> Option<&'n str> {
        let index = self.sorted.binary_search_by(|entry| entry.from.cmp(name)).ok()?;
        Some(self.sorted[index].to)
    }

    /// The longest name that `text` starts with. Adds the bytes that had to be compared to `compared`.
    fn longest(&self, text: &[u8], compared: &mut usize) -> Option<usize> {
        let above = self.sorted.partition_point(|entry| entry.from.as_bytes() <= text);
        let common = |entry: &Entry<'_>| common(entry.from.as_bytes(), text);
        // No name has more in common with the text than those that it stands between.
        *compared += self.sorted.get(above).map_or(0, common);
        let mut index = above.checked_sub(1)?;
        let common = common(&self.sorted[index]);
        *compared += common;
        while self.sorted[index].from.len() > common {
            let entry = &self.sorted[index];
            index = entry.jump.filter(|&jump| self.sorted[jump].from.len() > common).or(entry.prefix)?;
        }
        Some(index)
    }

    /// Appends `text` with its names replaced, as long as `out` has less than `most` bytes and `compared` is not too much.
    fn rewrite(
        &self,
        text: &str,
        out: &mut String,
        most: usize,
        compared: &mut usize,
        replaced: &mut Vec<Replaced>,
    ) {
        let bytes = text.as_bytes();
        let mut copied = 0;
        let mut units = 0;
        let mut at = 0;
        while at + 1 < bytes.len()
            && out.len() < most
            && *compared < MOST_COMPARED
            && replaced.len() < MOST_IN_LINE
        {
            let begins = self.starts[start(bytes, at)];
            let found = if begins { self.longest(&bytes[at..], compared) } else { None };
            let Some(entry) = found else {
                at += 1;
                continue;
            };
            out.push_str(&text[copied..at]);
            let end = at + self.sorted[entry].from.len();
            units += scan::utf16_len(&text[copied..at]);
            replaced.push(Replaced { old: (at, end), new_start: units, entry });
            units += scan::utf16_len(self.sorted[entry].to);
            out.push_str(self.sorted[entry].to);
            copied = end;
            at = end;
        }
        out.push_str(&text[copied..]);
    }

    /// Adjusts the uses of labels whose text was replaced exactly. `room` is by how many bytes the names of what they
    /// refer to may still grow: those need not stand in the text.
    fn relabel(&self, text: &str, replaced: &[Replaced], labels: &mut [LabelUse], room: &mut usize) {
        let mut labels = labels.iter_mut().peekable();
        // How far the line has been counted, in bytes and in UTF-16 code units.
        let (mut counted, mut units) = (0, 0);
        let mut column = |offset: usize| {
            units += scan::utf16_len(&text[counted..offset]);
            counted = offset;
            u32::try_from(units + 1).unwrap_or(u32::MAX)
        };
        for replacement in replaced {
            let (start, end) = (column(replacement.old.0), column(replacement.old.1));
            while let Some(label) = labels.next_if(|label| label.start <= start) {
                let entry = &self.sorted[replacement.entry];
                if (label.start, label.end) == (start, end) && label.name == entry.from {
                    entry.to.clone_into(&mut label.name);
                    label.start = u32::try_from(replacement.new_start + 1).unwrap_or(u32::MAX);
                    let length = u32::try_from(scan::utf16_len(entry.to)).unwrap_or(u32::MAX);
                    label.end = label.start.saturating_add(length);
                }
                // The definition that a use refers to is renamed whatever suffix the use has.
                if let Some(target) = &mut label.target
                    && let Some(to) = self.exact(target)
                    && let Some(left) = room.checked_sub(to.len())
                {
                    *room = left;
                    to.clone_into(target);
                }
            }
        }
    }
}

/// With how many same bytes two texts start.
fn common(one: &[u8], other: &[u8]) -> usize {
    let (blocks, other_blocks) = (one.chunks_exact(BLOCK), other.chunks_exact(BLOCK));
    let at = BLOCK * blocks.zip(other_blocks).take_while(|(one, other)| one == other).count();
    at + one[at..].iter().zip(&other[at..]).take_while(|(one, other)| one == other).count()
}

/// Two bytes as a number.
fn start(bytes: &[u8], at: usize) -> usize {
    usize::from(bytes[at]) << 8 | usize::from(bytes[at + 1])
}

/// The jump of an entry whose prefix is `prefix`: so that any place along a chain is a logarithm of jumps away.
fn jump_from(sorted: &[Entry<'_>], prefix: usize) -> usize {
    let depth = |index: Option<usize>| index.map_or(0, |index| sorted[index].depth + 1);
    let near = sorted[prefix].jump;
    let far = near.and_then(|index| sorted[index].jump);
    match far {
        Some(far) if sorted[prefix].depth + 1 + depth(Some(far)) == 2 * depth(near) => far,
        _ => prefix,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pairs(names: &[(&str, &str)]) -> Vec<(String, String)> {
        names.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect()
    }

    fn rewritten(names: &[(String, String)], text: &str) -> String {
        let mut out = String::new();
        Names::new(names).rewrite(text, &mut out, usize::MAX, &mut 0, &mut Vec::new());
        out
    }

    #[test]
    fn the_longest_name_is_replaced_anywhere() {
        let names = pairs(&[("_Z1a", "A"), ("_Z1ab", "AB"), ("_Z1abcd", "ABCD"), ("same", "same")]);
        assert_eq!(rewritten(&names, "x_Z1a _Z1ab_Z1abc _Z1abcd _Z1b_ same"), "xA ABABc ABCD _Z1b_ same");
        assert_eq!(rewritten(&[], "_Z1a"), "_Z1a");
    }

    #[test]
    fn what_grows_beyond_measure_is_left_as_it_is() {
        let long = "x".repeat(MOST_GROWTH / 4);
        let mut listing = Listing::default();
        for _ in 0..8 {
            listing.push("_Z1a", None, Vec::new());
        }
        replace(&mut listing, &pairs(&[("_Z1a", &long)]));
        let lengths: Vec<_> = listing.lines().map(|line| line.text.len()).collect();
        let (replaced, left) = lengths.split_at(5);
        assert_eq!(replaced, [long.len(); 5], "the last may go over");
        assert_eq!(left, [4; 3]);
    }

    #[test]
    fn what_labels_refer_to_counts_as_growth() {
        let long = "x".repeat(MOST_GROWTH / 4);
        let label = LabelUse { name: "b@P".to_owned(), target: Some("_Z1b".to_owned()), start: 1, end: 4 };
        let mut listing = Listing::default();
        listing.push(&format!("{} _Z1a", "b@P ".repeat(8)), None, vec![label; 8]);
        replace(&mut listing, &pairs(&[("_Z1a", "a"), ("_Z1b", &long)]));
        let labels = listing.lines().flat_map(|line| line.labels);
        let lengths: usize = labels.filter_map(|label| Some(label.target.as_ref()?.len())).sum();
        assert!(lengths <= MOST_GROWTH + 8 * 4, "{lengths}");
    }

    #[test]
    fn names_that_nearly_stand_everywhere_end_soon() {
        let text = "a".repeat(256 << 10);
        for end in ["@_Z1fv", "b_Z1fv"] {
            let mut listing = Listing::default();
            listing.push(&text, None, Vec::new());
            let start = tokio::time::Instant::now();
            replace(&mut listing, &pairs(&[(&format!("{}{end}", &text[..128 << 10]), "x")]));
            assert_eq!(listing.last_text(), Some(text.as_str()));
            assert!(start.elapsed().as_secs() < 60);
        }
    }

    #[test]
    fn labels_that_were_replaced_exactly_are_adjusted() {
        let mut listing = Listing::default();
        let label = |name: &str, target: Option<&str>, start, end| LabelUse {
            name: name.to_owned(),
            target: target.map(str::to_owned),
            start,
            end,
        };
        listing.push(
            "\u{1f600} _Z1a, _Z1bv",
            None,
            vec![label("_Z1a", None, 4, 8), label("_Z1bv", None, 10, 15)],
        );
        listing.push("c _Z1a@PLT d", None, vec![label("_Z1a@PLT", Some("_Z1a"), 3, 11)]);
        listing.push("_Z1a _Z1az", None, vec![label("_Z1az", None, 6, 11)]);
        listing.label_definitions =
            vec![("_Z1a".to_owned(), 1), ("x".to_owned(), 2), ("_Z1bv".to_owned(), 3)];
        replace(&mut listing, &pairs(&[("_Z1a", "alpha()"), ("_Z1bv", "x"), ("_Z1a@PLT", "alpha()@PLT")]));
        let lines: Vec<_> = listing.lines().map(|line| (line.text, line.labels.to_vec())).collect();
        assert_eq!(
            lines,
            [
                ("\u{1f600} alpha(), x", vec![label("alpha()", None, 4, 11), label("x", None, 13, 14)]),
                ("c alpha()@PLT d", vec![label("alpha()@PLT", Some("alpha()"), 3, 14)]),
                ("alpha() alpha()z", vec![label("_Z1az", None, 6, 11)]),
            ]
        );
        assert_eq!(listing.label_definitions, [("alpha()".to_owned(), 1), ("x".to_owned(), 3)]);
    }

    /// Tries every name at every position.
    fn by_the_book(names: &[(String, String)], text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let best =
                names.iter().filter(|(from, _)| rest.starts_with(from)).max_by_key(|(from, _)| from.len());
            let (to, length) = best
                .map_or_else(|| (first.to_string(), first.len_utf8()), |(from, to)| (to.clone(), from.len()));
            out.push_str(&to);
            rest = &rest[length..];
        }
        out
    }

    proptest! {
        #[test]
        fn replaces_by_the_book(
            names in prop::collection::hash_map("(a{30})?[ab\u{e9}\u{1f600}]{2,6}", "[XY]{0,3}", 0..12),
            text in "([ab\u{e9}\u{1f600}]|a{28}){0,40}",
        ) {
            let names: Vec<_> = names.into_iter().filter(|(from, _)| from.len() >= 2).collect();
            prop_assert_eq!(rewritten(&names, &text), by_the_book(&names, &text));
        }
    }
}
