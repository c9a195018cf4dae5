//! How long to wait before a service that refused is asked again.

use std::time::Duration;

/// Waits grow from here. A poller that is refused asks at most once in this time (decision D25).
const FLOOR: Duration = Duration::from_secs(1);
/// And no further than this, so that recovery follows a heal within five seconds.
const CAP: Duration = Duration::from_secs(4);

/// Waits with full jitter between [`FLOOR`] and a bound that doubles up to [`CAP`]: a fleet that was refused
/// together does not come back together.
#[derive(Debug, Default)]
pub(super) struct Pace {
    refusals: u32,
}

impl Pace {
    /// The service answered.
    pub(super) fn reset(&mut self) {
        self.refusals = 0;
    }

    /// The service refused: how long to leave it alone.
    pub(super) fn next(&mut self) -> Duration {
        self.refusals = self.refusals.saturating_add(1);
        let bound = FLOOR.saturating_mul(1 << self.refusals.min(4)).min(CAP);
        FLOOR + bound.saturating_sub(FLOOR).mul_f64(fastrand::f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_cap_and_start_over() {
        let mut pace = Pace::default();
        for bound in [2, 4, 4, 4] {
            let wait = pace.next();
            assert!((FLOOR..=Duration::from_secs(bound)).contains(&wait), "{wait:?}");
        }
        for _ in 0..100 {
            assert!((FLOOR..=CAP).contains(&pace.next()));
        }
        pace.reset();
        assert!(pace.next() <= Duration::from_secs(2));
    }
}
