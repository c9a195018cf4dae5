//! The age of a message by the queue's own clock.
//!
//! A message carries when it was sent in milliseconds of the queue's clock, and every answer carries a `Date` of the
//! same clock in whole seconds. Our own clock, which may be minutes off, only chooses the moment within that second.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use aws_sdk_sqs::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_sqs::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_sqs::error::BoxError;
use aws_sdk_sqs::primitives::{DateTime, DateTimeFormat};
use aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint;

/// What a `Date` is cut to.
const RESOLUTION: Duration = Duration::from_secs(1);

/// Catches the queue's time from the answer to one call.
#[derive(Debug, Clone, Default)]
pub(super) struct QueueClock(Arc<OnceLock<SystemTime>>);

impl QueueClock {
    /// What time it was for the queue when it answered; our own time if it did not say.
    pub(super) fn now(&self) -> SystemTime {
        self.0.get().copied().unwrap_or_else(SystemTime::now)
    }
}

#[dyn_dispatch_hint]
impl Intercept for QueueClock {
    fn name(&self) -> &'static str {
        "QueueClock"
    }

    fn read_before_deserialization(
        &self,
        answer: &BeforeDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = answer.response().headers().get("date").and_then(parse);
        if let Some(date) = date {
            self.0.get_or_init(|| within(date, SystemTime::now()));
        }
        Ok(())
    }
}

/// The moment nearest to `ours` in the second that `date` names.
fn within(date: SystemTime, ours: SystemTime) -> SystemTime {
    ours.clamp(date, date.checked_add(RESOLUTION).unwrap_or(date))
}

/// The time that a `Date` names.
pub(super) fn parse(date: &str) -> Option<SystemTime> {
    DateTime::from_str(date, DateTimeFormat::HttpDate).ok()?.try_into().ok()
}

/// How long before `now` a message with this `SentTimestamp` (milliseconds since 1970) was sent. Zero if it does not
/// say, or says the future.
pub(super) fn age(sent: Option<&str>, now: SystemTime) -> Duration {
    let sent = sent.and_then(|sent| sent.parse().ok()).map(Duration::from_millis);
    sent.and_then(|sent| SystemTime::UNIX_EPOCH.checked_add(sent))
        .and_then(|sent| now.duration_since(sent).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(milliseconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(milliseconds)
    }

    #[test]
    fn our_clock_only_chooses_within_the_second() {
        for (ours, expected) in
            [(5_300, 5_300), (5_000, 5_000), (6_000, 6_000), (4_900, 5_000), (600_000, 6_000), (0, 5_000)]
        {
            assert_eq!(within(at(5_000), at(ours)), at(expected), "ours is {ours}");
        }
    }

    #[test]
    fn dates_are_read_and_garbage_is_not() {
        assert_eq!(parse("Thu, 01 Jan 1970 00:00:05 GMT"), Some(at(5_000)));
        for garbage in ["", "soon", "5", "Thu, 99 Jan 1970 00:00:05 GMT"] {
            assert_eq!(parse(garbage), None, "{garbage}");
        }
    }

    #[test]
    fn an_age_is_never_negative_and_never_a_panic() {
        assert_eq!(age(Some("2000"), at(5_500)), Duration::from_millis(3_500));
        for sent in [None, Some(""), Some("soon"), Some("-1"), Some("9000"), Some("18446744073709551615")] {
            assert_eq!(age(sent, at(5_500)), Duration::ZERO, "{sent:?}");
        }
    }

    proptest! {
        #[test]
        fn no_date_and_no_moment_is_too_odd(
            date in "(Mon, |[0-9]{2}|Jan|[0-9]{4}|:|GMT| |.){0,12}",
            sent in "-?[0-9]{0,22}|.*",
            now in 0..u64::MAX / 4000,
        ) {
            if let Some(date) = parse(&date) {
                let near = within(date, at(now));
                prop_assert!(near >= date && near.duration_since(date).unwrap() <= RESOLUTION);
            }
            prop_assert!(age(Some(&sent), at(now)) <= Duration::from_millis(now));
        }
    }
}
