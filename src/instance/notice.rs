//! What the metadata service says, read: each text means one thing, or nothing.

use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;

/// How long before it takes a spot instance away EC2 says so, if it can.
pub const NOTICE: Duration = Duration::from_mins(2);
/// Longest name of an instance or a zone: they have some twenty letters.
const LONGEST_NAME: usize = 64;

/// What the Auto Scaling group wants this instance to become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// At work.
    InService,
    /// In the group or beside it, but not at work: `Standby`, `Detached`, and the states of a warm pool.
    Aside,
    /// Gone.
    Terminated,
}

/// That a spot instance is to be taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interruption {
    /// How.
    pub act: Act,
    /// When, by Amazon's clock; `None` if that could not be read.
    pub at: Option<Timestamp>,
}

/// How a spot instance is taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// For good.
    Terminate,
    /// It may be started again, and boots then.
    Stop,
    /// It is frozen at once, and goes on later as if nothing had been: there is nothing to finish first.
    Hibernate,
}

#[derive(Deserialize)]
struct InstanceAction {
    action: String,
    #[serde(default)]
    time: serde_json::Value,
}

#[derive(Deserialize)]
struct Rebalance {
    #[serde(rename = "noticeTime")]
    notice_time: String,
}

/// Reads `autoscaling/target-lifecycle-state`. `None` if the word is unknown.
pub fn target(text: &str) -> Option<Target> {
    match text {
        "InService" => Some(Target::InService),
        "Standby" | "Detached" | "Warmed:Running" | "Warmed:Stopped" | "Warmed:Hibernated" => {
            Some(Target::Aside)
        }
        "Terminated" | "Warmed:Terminated" => Some(Target::Terminated),
        _ => None,
    }
}

/// Reads `spot/instance-action`. `None` if it is none.
pub fn interruption(text: &str) -> Option<Interruption> {
    let InstanceAction { action, time } = serde_json::from_str(text).ok()?;
    let act = match action.as_str() {
        "terminate" => Act::Terminate,
        "stop" => Act::Stop,
        "hibernate" => Act::Hibernate,
        _ => return None,
    };
    Some(Interruption { act, at: time.as_str().and_then(|time| time.parse().ok()) })
}

/// Whether `events/recommendations/rebalance` holds a recommendation.
pub fn rebalance(text: &str) -> bool {
    serde_json::from_str::<Rebalance>(text).is_ok_and(|it| it.notice_time.parse::<Timestamp>().is_ok())
}

/// The name of an instance or of a zone, if it is one.
pub fn name(text: &str) -> Option<&str> {
    let letters = |text: &str| text.bytes().all(|letter| letter.is_ascii_alphanumeric() || letter == b'-');
    ((1..=LONGEST_NAME).contains(&text.len()) && letters(text)).then_some(text)
}

impl Interruption {
    /// How long it leaves us, but for no more than EC2 ever gives: a clock that is off must not make us late.
    pub fn left(&self, now: Timestamp) -> Duration {
        let Some(at) = self.at else { return NOTICE };
        Duration::try_from(at.duration_since(now)).unwrap_or_default().min(NOTICE)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_services_own_examples_are_read() {
        let text = "{\"action\": \"stop\", \"time\": \"2017-09-18T08:22:00Z\"}\n";
        let found = interruption(text).unwrap();
        assert_eq!((found.act, found.at), (Act::Stop, Some("2017-09-18T08:22:00Z".parse().unwrap())));
        for (action, act) in [("terminate", Act::Terminate), ("hibernate", Act::Hibernate)] {
            let found = interruption(&format!("{{\"action\":\"{action}\"}}")).unwrap();
            assert_eq!(found, Interruption { act, at: None });
        }
        assert!(rebalance("{\"noticeTime\": \"2020-10-27T08:22:00Z\"}"));
        for (word, meaning) in [
            ("InService", Some(Target::InService)),
            ("Standby", Some(Target::Aside)),
            ("Detached", Some(Target::Aside)),
            ("Warmed:Stopped", Some(Target::Aside)),
            ("Warmed:Hibernated", Some(Target::Aside)),
            ("Warmed:Running", Some(Target::Aside)),
            ("Warmed:Terminated", Some(Target::Terminated)),
            ("Terminated", Some(Target::Terminated)),
            ("terminated", None),
            ("", None),
        ] {
            assert_eq!(target(word), meaning, "{word}");
        }
        assert_eq!(name("i-0123456789abcdef0"), Some("i-0123456789abcdef0"));
    }

    #[test]
    fn what_is_no_notice_means_nothing() {
        for text in
            ["", "{}", "terminate", "{\"action\":\"explode\"}", "{\"action\":7}", "<html>", "[]", "null"]
        {
            assert_eq!(interruption(text), None, "{text}");
            assert!(!rebalance(text), "{text}");
        }
        for text in ["{\"noticeTime\":\"soon\"}", "{\"noticeTime\":null}"] {
            assert!(!rebalance(text), "{text}");
        }
        for text in ["", "<html>", "i 1", "i-1\n", &"i".repeat(LONGEST_NAME + 1)] {
            assert_eq!(name(text), None, "{text}");
        }
    }

    #[test]
    fn the_time_left_is_no_longer_than_a_notice_and_no_shorter_than_nothing() {
        let now: Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
        for (at, left) in [
            (Some("2026-01-01T12:01:50Z"), 110),
            (Some("2026-01-01T12:00:00Z"), 0),
            (Some("2025-12-31T00:00:00Z"), 0),
            (Some("2027-01-01T00:00:00Z"), 120),
            (None, 120),
        ] {
            let at = at.map(|at| at.parse().unwrap());
            let found = Interruption { act: Act::Terminate, at }.left(now);
            assert_eq!(found, Duration::from_secs(left), "{at:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd(text in ".*", action in ".*", time in ".*") {
            let _read = (target(&text), rebalance(&text), name(&text));
            let spot = serde_json::json!({ "action": action, "time": time }).to_string();
            for text in [text.as_str(), spot.as_str()] {
                if let Some(found) = interruption(text) {
                    prop_assert!(found.left(Timestamp::now()) <= NOTICE);
                }
            }
        }

        #[test]
        fn any_moment_leaves_at_most_two_minutes(at in -377_705_023_201_i64..=253_402_207_200, now in 0_i64..4_000_000_000) {
            let at = Timestamp::from_second(at).ok();
            let found = Interruption { act: Act::Stop, at };
            prop_assert!(found.left(Timestamp::from_second(now).unwrap()) <= NOTICE);
        }
    }
}
