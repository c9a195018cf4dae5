//! How long things took, over a short while: counts by size, from which percentiles are read.
//!
//! There are eight sizes to each doubling, and a percentile is the upper bound of its size: an eighth too high at most,
//! and never too low. Noting takes one addition, no lock and no memory.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Sizes to each doubling, as a power of two.
const PARTS_BITS: u32 = 3;
const PARTS: usize = 1 << PARTS_BITS;
/// What is below these microseconds, as a power of two, is one size.
const LEAST_BITS: u32 = 4;
/// Doublings from there: up to 134 seconds, longer than any request may take. What is longer counts as that.
const DOUBLINGS: usize = 23;
const SIZES: usize = 1 + DOUBLINGS * PARTS;

/// Times noted since the last [`take`](Self::take).
#[derive(Debug)]
pub struct Spread([AtomicU32; SIZES]);

/// Times that were noted.
#[derive(Debug, Clone)]
pub struct Counts([u32; SIZES]);

impl Default for Spread {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU32::new(0)))
    }
}

impl Default for Counts {
    fn default() -> Self {
        Self([0; SIZES])
    }
}

impl Spread {
    /// Notes one time.
    pub fn note(&self, time: Duration) {
        self.0[size(time)].fetch_add(1, Ordering::Relaxed);
    }

    /// What was noted; from here on it is forgotten.
    pub fn take(&self) -> Counts {
        Counts(std::array::from_fn(|size| self.0[size].swap(0, Ordering::Relaxed)))
    }

    /// What was noted so far.
    pub fn peek(&self) -> Counts {
        Counts(std::array::from_fn(|size| self.0[size].load(Ordering::Relaxed)))
    }
}

impl Counts {
    /// Adds what others have noted.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            *mine = mine.saturating_add(*theirs);
        }
    }

    /// How many were noted.
    pub fn total(&self) -> u64 {
        self.0.iter().copied().map(u64::from).sum()
    }

    /// The time within which so many of a hundred stayed, in milliseconds; nothing of nothing.
    pub fn percentile(&self, percent: u64) -> Option<f64> {
        let rank = (self.total() * percent).div_ceil(100).max(1);
        let mut passed = 0;
        let size = self.0.iter().position(|count| {
            passed += u64::from(*count);
            passed >= rank
        })?;
        Some(f64::from(bound(size)) / 1e3)
    }
}

/// The size of a time.
fn size(time: Duration) -> usize {
    let micros = u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
    let Some(doubling) = micros.checked_ilog2().and_then(|bits| bits.checked_sub(LEAST_BITS)) else {
        return 0;
    };
    let part = (micros >> (doubling + LEAST_BITS - PARTS_BITS)) as usize % PARTS;
    (1 + doubling as usize * PARTS + part).min(SIZES - 1)
}

/// The microseconds below which everything of a size is.
fn bound(size: usize) -> u32 {
    let Some(above) = size.checked_sub(1) else { return 1 << LEAST_BITS };
    let (doubling, part) = (above / PARTS, above % PARTS);
    u32::try_from((PARTS + part + 1) << (doubling + (LEAST_BITS - PARTS_BITS) as usize)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn percentiles_are_read() {
        let spread = Spread::default();
        assert_eq!(spread.peek().percentile(50), None);
        for millis in 1..=100 {
            spread.note(Duration::from_millis(millis));
        }
        let counts = spread.take();
        assert_eq!(counts.total(), 100);
        for (percent, least) in [(50, 50.0), (95, 95.0), (99, 99.0), (100, 100.0)] {
            let read = counts.percentile(percent).unwrap();
            assert!(read >= least && read <= least * 1.125, "p{percent} is {read}");
        }
        assert_eq!(spread.peek().total(), 0, "what was taken is forgotten");
        let mut twice = counts.clone();
        twice.add(&counts);
        assert_eq!((twice.total(), twice.percentile(50)), (200, counts.percentile(50)));
    }

    #[test]
    fn nothing_is_too_short_or_too_long() {
        let spread = Spread::default();
        spread.note(Duration::ZERO);
        assert_eq!(spread.peek().percentile(99), Some(0.016));
        spread.note(Duration::MAX);
        assert_eq!(spread.peek().percentile(99), Some(134_217.728));
    }

    proptest! {
        #[test]
        fn a_bound_is_above_its_times_by_an_eighth_at_most(micros in 16_u32..134_217_728) {
            let bound = bound(size(Duration::from_micros(micros.into())));
            prop_assert!(bound > micros && f64::from(bound) <= f64::from(micros) * 1.125 + 1.0);
        }
    }
}
