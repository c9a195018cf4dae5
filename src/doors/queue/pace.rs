//! How long to wait before a service that refused is asked again.

use std::time::Duration;

/// Waits grow from here. A poller that is refused asks at most once in this time (decision D25).
const FLOOR: Duration = Duration::from_secs(1);
/// And no further than this, so that recovery follows a heal within five seconds.
const CAP: Duration = Duration::from_secs(4);

/// How long a receive waits after one that brought something.
const ROUSED: Duration = Duration::from_secs(1);

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

/// How long a receive waits for its first message.
///
/// Where messages have come, more will come soon, and a short wait takes as long as a long one; but a call that is never
/// answered is given up soon after its own time, and what has gathered meanwhile is received that much sooner. Where
/// nothing comes, waits grow to what the owner chose.
#[derive(Debug)]
pub(super) struct Attention {
    wait: Duration,
    most: Duration,
}

impl Attention {
    /// That of a worker at rest, which waits so long.
    pub(super) const fn new(most: Duration) -> Self {
        Self { wait: most, most }
    }

    /// How long to wait now.
    pub(super) const fn wait(&self) -> Duration {
        self.wait
    }

    /// Messages came, or something went wrong.
    pub(super) fn rouse(&mut self) {
        self.wait = ROUSED.min(self.most);
    }

    /// Nothing came.
    pub(super) fn rest(&mut self) {
        self.wait = self.wait.saturating_mul(2).min(self.most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attention_is_roused_and_comes_to_rest() {
        let most = Duration::from_secs(10);
        let mut attention = Attention::new(most);
        attention.rest();
        assert_eq!(attention.wait(), most);
        attention.rouse();
        let waits = [(); 6].map(|()| {
            let wait = attention.wait();
            attention.rest();
            wait.as_secs()
        });
        assert_eq!(waits, [1, 2, 4, 8, 10, 10]);
        let mut brief = Attention::new(Duration::from_millis(100));
        brief.rouse();
        assert_eq!(brief.wait(), Duration::from_millis(100));
    }

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
