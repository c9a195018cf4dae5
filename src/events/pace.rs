//! When to try again.

use std::time::Duration;

/// The second retry waits at least this long (D25).
const FLOOR: Duration = Duration::from_secs(1);
/// No retry waits longer. Half of what D25 allows, because the repeat of a result may follow: the two together must
/// stay within 5 s of a heal.
const CAP: Duration = Duration::from_secs(2);
/// A connection that stood less long than this was no success: its end counts as one more failure in a row.
const STEADY: Duration = Duration::from_secs(10);

/// Repeats of an offer: at 200 ms, doubling (D6) ...
const FIRST_REPEAT: Duration = Duration::from_millis(200);
/// ... but no further apart than this, so that a waiter who comes late still gets the result in time.
const LAST_REPEAT: Duration = Duration::from_secs(3);

/// How long to wait before each dial of one place in the pool: not at all, then 1 s to 2 s at random.
#[derive(Debug, Default)]
pub(super) struct Pace {
    failures: u32,
}

impl Pace {
    /// The wait before the next dial; `chance` is a random number from 0 to 1.
    pub(super) fn wait(&self, chance: f64) -> Duration {
        if self.failures < 2 {
            return Duration::ZERO;
        }
        FLOOR + CAP.saturating_sub(FLOOR).mul_f64(chance.clamp(0.0, 1.0))
    }

    /// A dial failed, or the connection it made ended after `lived`.
    pub(super) fn failed(&mut self, lived: Duration) {
        self.failures = if lived >= STEADY { 1 } else { self.failures.saturating_add(1) };
    }
}

/// The waits between the repeats of one offer.
pub(super) fn repeats() -> impl Iterator<Item = Duration> {
    std::iter::successors(Some(FIRST_REPEAT), |wait| Some((*wait * 2).min(LAST_REPEAT)))
}

/// At which age connection `index` of `count` is replaced: evenly apart in the first round, then at `age`, less up to
/// a tenth so that the many of a fleet do not fall into step.
pub(super) fn rotation(age: Duration, (index, count): (u32, u32), first: bool, chance: f64) -> Duration {
    let share = if first { f64::from(index + 1) / f64::from(count.max(1)) } else { 1.0 };
    age.mul_f64(share * (1.0 - 0.1 * chance.clamp(0.0, 1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_retry_is_immediate_and_the_rest_are_paced() {
        let mut pace = Pace::default();
        assert_eq!(pace.wait(1.0), Duration::ZERO, "the first dial");
        pace.failed(Duration::ZERO);
        assert_eq!(pace.wait(1.0), Duration::ZERO, "the first retry");
        for _ in 0..4 {
            pace.failed(Duration::ZERO);
            assert_eq!((pace.wait(0.0), pace.wait(1.0)), (FLOOR, CAP));
        }
        pace.failed(STEADY);
        assert_eq!(pace.wait(1.0), Duration::ZERO, "a connection that had stood is replaced at once");
    }

    #[test]
    fn repeats_double_up_to_their_cap() {
        let waits: Vec<u128> = repeats().take(6).map(|wait| wait.as_millis()).collect();
        assert_eq!(waits, [200, 400, 800, 1600, 3000, 3000]);
    }

    #[test]
    fn first_ages_are_staggered() {
        let minutes =
            |index, first| rotation(Duration::from_mins(110), (index, 2), first, 0.0).as_secs() / 60;
        assert_eq!([minutes(0, true), minutes(1, true), minutes(0, false)], [55, 110, 110]);
        assert_eq!(rotation(Duration::from_mins(110), (1, 2), false, 1.0), Duration::from_mins(99));
    }
}
