//! What a daemon says of itself once a minute, in the event that its figures are published with.

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::aws::Event;

/// What a daemon said, as far as an operator wants to know.
#[derive(Debug, Clone, PartialEq)]
pub struct Word {
    /// When.
    pub at: Timestamp,
    /// Its version.
    pub version: Option<String>,
    /// Where it is in its life.
    pub phase: Option<String>,
    /// Whether it takes jobs from its queue.
    pub consuming: Option<bool>,
    /// Compiles that it may do at once.
    pub slots: Option<f64>,
    /// Of these, how many it does.
    pub busy: Option<f64>,
    /// Requests that wait for a slot.
    pub waiting: Option<f64>,
}

impl Word {
    /// Reads an event; `None` if it is no object.
    pub fn read(event: &Event) -> Option<Self> {
        let said: Map<String, Value> = serde_json::from_str(&event.message).ok()?;
        let text = |name: &str| said.get(name).and_then(Value::as_str).map(str::to_owned);
        Some(Self {
            at: Timestamp::from_millisecond(event.timestamp).ok()?,
            version: text("version"),
            phase: text("phase"),
            consuming: said.get("consuming").and_then(Value::as_bool),
            slots: said.get("slots").and_then(figure),
            busy: said.get("slots_busy").and_then(figure),
            waiting: said.get("queue_waiting").and_then(figure),
        })
    }
}

/// A figure: a number, or the last of several.
fn figure(value: &Value) -> Option<f64> {
    match value {
        Value::Array(values) => values.last().and_then(Value::as_f64),
        other => other.as_f64(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(message: &str) -> Event {
        Event { timestamp: 1_700_000_000_000, message: message.to_owned(), ..Event::default() }
    }

    #[test]
    fn a_word_is_read_as_far_as_it_goes() {
        let word = Word::read(&event(
            r#"{"_aws":{"Timestamp":1},"Fleet":"compilation","version":"0.1.0","phase":"serving",
                "consuming":false,"slots":2,"slots_busy":[0,1],"queue_waiting":"many"}"#,
        ))
        .unwrap();
        assert_eq!((word.version.as_deref(), word.consuming), (Some("0.1.0"), Some(false)));
        assert_eq!((word.slots, word.busy, word.waiting), (Some(2.0), Some(1.0), None));
        assert_eq!(Word::read(&event("starting up")), None);
        assert_eq!(Word::read(&event("{}")).unwrap().consuming, None);
    }

    proptest::proptest! {
        #[test]
        fn no_event_is_too_odd(message: String, timestamp: i64) {
            let _read = Word::read(&Event { timestamp, message, ..Event::default() });
        }
    }
}
