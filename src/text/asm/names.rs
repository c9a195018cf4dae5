//! The names that a text defines, numbered in the order they came; before them, those that every text defines. Knows
//! nothing of what they name.

use std::collections::HashMap;
use std::num::NonZeroU32;

use foldhash::fast::RandomState;

/// What every JavaScript object has: these count as defined, whatever the listing says.
const INHERITED: [&str; 12] = [
    "constructor",
    "toString",
    "toLocaleString",
    "valueOf",
    "hasOwnProperty",
    "isPrototypeOf",
    "propertyIsEnumerable",
    "__proto__",
    "__defineGetter__",
    "__defineSetter__",
    "__lookupGetter__",
    "__lookupSetter__",
];

/// Bits in the sieve: 8 KiB, a quarter of the smallest first-level cache in use.
const SIEVE_BITS: usize = 1 << 16;

/// A name, by number. Half the size of a `usize`, because listings are mostly labels, and what is read once costs the
/// memory it passes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Name(NonZeroU32);

impl Name {
    /// The name with this index; four billion names share the last number.
    fn new(index: usize) -> Self {
        Self(u32::try_from(index + 1).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MAX))
    }

    /// Whether it counts as defined, whatever the listing says.
    pub(super) const fn is_inherited(self) -> bool {
        self.index() < INHERITED.len()
    }

    /// Its place in a list with an entry per name.
    pub(super) const fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

/// Names and their numbers. The hasher is seeded, so a hostile listing cannot choose names that collide.
#[derive(Debug)]
pub(super) struct Names<'t> {
    numbers: HashMap<&'t str, Name, RandomState>,
    /// One bit per cheap fingerprint: most words of a listing are mnemonics and registers, and end here.
    sieve: Vec<u64>,
}

impl<'t> Names<'t> {
    /// The names of every text, with room for more.
    pub(super) fn with_capacity(more: usize) -> Self {
        let numbers = HashMap::with_capacity_and_hasher(INHERITED.len() + more, RandomState::default());
        let mut names = Self { numbers, sieve: vec![0; SIEVE_BITS / 64] };
        for name in INHERITED {
            names.number(name);
        }
        names
    }

    /// The number of `name`, which is added if it is new.
    pub(super) fn number(&mut self, name: &'t str) -> Name {
        let print = fingerprint(name);
        self.sieve[print / 64] |= 1 << (print % 64);
        let next = Name::new(self.numbers.len());
        *self.numbers.entry(name).or_insert(next)
    }

    /// The number of `name`, if it is there.
    pub(super) fn find(&self, name: &str) -> Option<Name> {
        let print = fingerprint(name);
        if self.sieve[print / 64] & (1 << (print % 64)) == 0 {
            return None;
        }
        self.numbers.get(name).copied()
    }

    /// How many names there are.
    pub(super) fn len(&self) -> usize {
        self.numbers.len()
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
        let mut names = Names::with_capacity(10);
        let inherited = names.len();
        for (number, text) in texts.iter().enumerate() {
            assert_eq!(names.find(text), None);
            assert_eq!(names.number(text).index(), inherited + number);
            assert_eq!(names.number(text).index(), inherited + number);
        }
        assert_eq!(names.find(".L2999").map(Name::index), Some(inherited + 2999));
        assert_eq!((names.find(""), names.len()), (None, inherited + 3000));
        assert!(INHERITED.iter().all(|name| names.find(name).is_some_and(Name::is_inherited)));
        assert!(!names.find(".L0").is_some_and(Name::is_inherited));
    }

    #[test]
    fn the_last_number_is_shared() {
        assert_eq!(Name::new(usize::from(u16::MAX)).index(), usize::from(u16::MAX));
        assert_eq!(Name::new(1 << 40), Name::new(1 << 41));
    }
}
