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
    let [first, inner @ ..] = name.as_bytes() else { return 0 };
    let last = inner.last().unwrap_or(first);
    let middle = inner.get(inner.len() / 2).unwrap_or(first);
    let mixed = usize::from(*first) ^ usize::from(*last) << 4 ^ usize::from(*middle) << 8 ^ inner.len() << 11;
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
