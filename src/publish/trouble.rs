//! Failures that go on: how long to wait after each, and when the log is told.

use std::time::Duration;

use tokio::time::Instant;

/// How long after a failure it is tried again, at first; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// How often the log is told of a trouble that goes on.
const REMINDER: Duration = Duration::from_mins(10);

/// What is known of failures since something last went well.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    failures: u32,
    told: Option<Instant>,
}

impl Trouble {
    /// How many there were.
    pub(super) const fn failures(&self) -> u32 {
        self.failures
    }

    /// Notes a failure, and says how long to wait after it, up to `longest`.
    pub(super) fn pause(&mut self, longest: Duration) -> Duration {
        let pause = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(self.failures.min(16)));
        self.failures = self.failures.saturating_add(1);
        pause.min(longest)
    }

    /// Whether the log is to be told; it is, then.
    pub(super) fn is_news(&mut self) -> bool {
        let is_news = self.told.is_none_or(|told| told.elapsed() >= REMINDER);
        if is_news {
            self.told = Some(Instant::now());
        }
        is_news
    }

    /// Notes that something went well, and says how many failures are over, if there were any.
    pub(super) fn over(&mut self) -> Option<u32> {
        (self.failures > 0).then(|| std::mem::take(self).failures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_and_the_log_is_told_now_and_then() {
        let mut trouble = Trouble::default();
        assert_eq!(trouble.over(), None);
        let pauses = [(); 5].map(|()| trouble.pause(Duration::from_secs(5)).as_secs());
        assert_eq!(pauses, [1, 2, 4, 5, 5]);
        assert_eq!([(); 3].map(|()| trouble.is_news()), [true, false, false]);
        tokio::time::advance(REMINDER).await;
        assert!(trouble.is_news());
        assert_eq!((trouble.over(), trouble.over()), (Some(5), None));
        assert_eq!(trouble.pause(REMINDER), FIRST_PAUSE);
        assert!(trouble.is_news(), "the next trouble is another");
    }
}
