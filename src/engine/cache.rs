//! What has been compiled before, in memory and bounded in bytes, on two levels.
//!
//! * **Outputs**: toolchain, argument list, environment and files give what the compiler wrote. Filters are not
//!   part of it, so changing one never compiles again.
//! * **Replies**: a request, byte for byte, gives its rendered answer. A hit costs a hash and a `stat`.
//!
//! Neither holds what may come out differently next time: infrastructure failures, kills, truncated output.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};

/// A 256-bit digest of everything that decides an answer.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key([u8; 32]);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:02x}{:02x}{:02x}{:02x}…)", self.0[0], self.0[1], self.0[2], self.0[3])
    }
}

/// Digests parts so that no two different lists of parts run together into the same bytes.
#[derive(Debug, Default)]
pub struct KeyBuilder(blake3::Hasher);

impl KeyBuilder {
    /// Adds one part, its length first.
    pub fn part(&mut self, part: &[u8]) -> &mut Self {
        self.0.update(&(part.len() as u64).to_le_bytes());
        self.0.update(part);
        self
    }

    /// The digest of all parts so far.
    pub fn finish(&self) -> Key {
        Key(*self.0.finalize().as_bytes())
    }
}

/// Something whose room in memory is known.
pub trait Weigh {
    /// Bytes it takes, roughly.
    fn bytes(&self) -> usize;
}

/// What an entry costs beside its own bytes: key, list links, reference counts.
const ENTRY_OVERHEAD: usize = 256;
/// What an entry is expected to weigh; only sizes the cache's tables at start.
const USUAL_ENTRY: u64 = 16 * 1024;

/// A map bounded in bytes that forgets what is seldom asked for.
#[derive(Debug)]
pub struct Memory<V>(Cache<Key, Arc<V>, ByBytes>);

#[derive(Debug, Clone, Copy)]
struct ByBytes;

impl<V: Weigh> Weighter<Key, Arc<V>> for ByBytes {
    fn weight(&self, _key: &Key, value: &Arc<V>) -> u64 {
        (value.bytes() + ENTRY_OVERHEAD) as u64
    }
}

impl<V: Weigh> Memory<V> {
    /// Room for `bytes`; zero keeps nothing.
    pub fn new(bytes: u64) -> Self {
        let entries = usize::try_from(bytes / USUAL_ENTRY).unwrap_or(usize::MAX).clamp(16, 65_536);
        // One shard: an entry may then take any part of the whole, and a look-up is far shorter than a compile.
        let options = OptionsBuilder::new()
            .shards(1)
            .estimated_items_capacity(entries)
            .weight_capacity(bytes)
            .build()
            .unwrap_or_else(|_| unreachable!("both capacities are given"));
        Self(Cache::with_options(
            options,
            ByBytes,
            DefaultHashBuilder::default(),
            DefaultLifecycle::default(),
        ))
    }

    /// What is remembered under `key`.
    pub fn find(&self, key: &Key) -> Option<Arc<V>> {
        self.0.get(key)
    }

    /// Remembers `value`, forgetting others as the room demands. A value larger than the whole is not kept.
    pub fn keep(&self, key: Key, value: Arc<V>) {
        self.0.insert(key, value);
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.0.clear();
    }

    /// Bytes in use.
    pub fn bytes(&self) -> u64 {
        self.0.weight()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Weigh for String {
        fn bytes(&self) -> usize {
            self.len()
        }
    }

    fn key(parts: &[&str]) -> Key {
        let mut builder = KeyBuilder::default();
        for part in parts {
            builder.part(part.as_bytes());
        }
        builder.finish()
    }

    #[test]
    fn parts_do_not_run_together() {
        assert_eq!(key(&["ab", "c"]), key(&["ab", "c"]));
        assert_ne!(key(&["ab", "c"]), key(&["a", "bc"]));
        assert_ne!(key(&["ab", ""]), key(&["ab"]));
    }

    #[test]
    fn memory_is_bounded_in_bytes() {
        let memory = Memory::new(100_000);
        for n in 0..1000 {
            memory.keep(key(&[&n.to_string()]), Arc::new("x".repeat(1000)));
            assert!(memory.bytes() <= 100_000, "{}", memory.bytes());
        }
        assert!(memory.bytes() > 50_000);
        memory.keep(key(&["big"]), Arc::new("x".repeat(200_000)));
        assert!(memory.find(&key(&["big"])).is_none());
        memory.clear();
        assert_eq!(memory.bytes(), 0);
    }

    #[test]
    fn an_entry_may_take_most_of_the_room() {
        let memory = Memory::new(10_000_000);
        memory.keep(key(&["big"]), Arc::new("x".repeat(7_000_000)));
        assert_eq!(memory.find(&key(&["big"])).unwrap().len(), 7_000_000);
    }

    #[test]
    fn no_room_keeps_nothing() {
        let memory = Memory::new(0);
        memory.keep(key(&["a"]), Arc::new(String::new()));
        assert!(memory.find(&key(&["a"])).is_none());
    }
}
