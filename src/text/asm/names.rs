//! A set of names borrowed from the text, numbered in the order they came. Knows nothing of what they name.

use std::collections::HashMap;

use foldhash::fast::RandomState;

/// Bits in the sieve: 8 KiB, a quarter of the smallest first-level cache in use.
const SIEVE_BITS: usize = 1 << 16;

/// Names and their numbers. The hasher is seeded, so a hostile listing cannot choose names that collide.
#[derive(Debug)]
pub(super) struct Names<'t> {
    numbers: HashMap<&'t str, usize, RandomState>,
    /// One bit per cheap fingerprint: most words of a listing are mnemonics and registers, and end here.
    sieve: Vec<u64>,
}

impl<'t> Names<'t> {
    /// No names.
    pub(super) fn new() -> Self {
        Self { numbers: HashMap::default(), sieve: vec![0; SIEVE_BITS / 64] }
    }

    /// The number of `name`, which is added if it is new.
    pub(super) fn number(&mut self, name: &'t str) -> usize {
        let next = self.numbers.len();
        let print = fingerprint(name);
        self.sieve[print / 64] |= 1 << (print % 64);
        *self.numbers.entry(name).or_insert(next)
    }

    /// The number of `name`, if it is there.
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        let print = fingerprint(name);
        if self.sieve[print / 64] & (1 << (print % 64)) == 0 {
            return None;
        }
        self.numbers.get(name).copied()
    }
}

/// Fewer than [`SIEVE_BITS`] classes of names, told apart by length and the bytes in which labels differ.
fn fingerprint(name: &str) -> usize {
    let bytes = name.as_bytes();
    let length = bytes.len();
    let at = |index: usize| bytes.get(index).copied().map_or(0, usize::from);
    let mixed = at(0)
        ^ at(2) << 3
        ^ at(length.wrapping_sub(1)) << 5
        ^ at(length.wrapping_sub(2)) << 8
        ^ at(length / 2) << 2
        ^ length << 10;
    mixed % SIEVE_BITS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_numbers() {
        let texts: Vec<String> = (0..3000).map(|number| format!(".L{number}")).collect();
        let mut names = Names::new();
        for (number, text) in texts.iter().enumerate() {
            assert_eq!(names.find(text), None);
            assert_eq!(names.number(text), number);
            assert_eq!(names.number(text), number);
        }
        assert_eq!(names.find(".L2999"), Some(2999));
        assert_eq!(names.find(""), None);
    }
}
