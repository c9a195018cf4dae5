//! What commands share that take a while: spans of time on the command line, and an operator who may have enough.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::config::value::{Raw, Value as _};

/// Reads a span of time: those of the configuration, and days.
pub(super) fn span(text: &str) -> Result<Duration, String> {
    if let Some(days) = text.trim().strip_suffix('d') {
        let days: Option<u64> = days.trim().parse().ok();
        let seconds = days.and_then(|days| days.checked_mul(86_400));
        return seconds.map(Duration::from_secs).ok_or_else(|| "write days as in 7d".to_owned());
    }
    Duration::read(&Raw::One(text.to_owned()))
        .map_err(|wrong| format!("{}; {}, or days as in 7d", wrong.what, wrong.fix))
}

/// Reads how long to wait between two looks, which is not nothing: each look is a round of calls.
pub(super) fn pace(text: &str) -> Result<Duration, String> {
    let pause = span(text)?;
    if pause.is_zero() {
        return Err("it would never rest; write a time such as 10s".to_owned());
    }
    Ok(pause)
}

/// An operator who may press Ctrl-C.
#[derive(Debug)]
pub(super) struct Operator(Signal);

impl Operator {
    /// From now on Ctrl-C does not end the process, but what is waited for.
    pub(super) fn listen() -> io::Result<Self> {
        signal(SignalKind::interrupt()).map(Self)
    }

    /// What `doing` comes to; `None` if the operator has enough first.
    pub(super) async fn unless_enough<T>(&mut self, doing: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            _ = self.0.recv() => None,
            done = doing => Some(done),
        }
    }

    /// Waits; says whether the operator still wants to go on.
    pub(super) async fn pause(&mut self, span: Duration) -> bool {
        self.unless_enough(tokio::time::sleep(span)).await.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spans_are_read() {
        for (text, seconds) in [("90s", 90), ("5m", 300), ("2h", 7200), ("7d", 604_800), (" 1d ", 86_400)] {
            assert_eq!(span(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for odd in ["", "d", "7 days", "-1d", "1.5d", "99999999999999999999d", "18446744073709551615d", "7"] {
            span(odd).unwrap_err();
        }
    }

    #[test]
    fn a_pace_is_not_nothing() {
        assert_eq!(pace("20ms"), Ok(Duration::from_millis(20)));
        for odd in ["0s", "0d", "5", ""] {
            pace(odd).unwrap_err();
        }
    }

    proptest! {
        #[test]
        fn no_span_is_too_odd(text in "[0-9]{0,21}(d|h|m|s|ms| |\u{e9}|\u{1f600})|.*") {
            let _read = (span(&text).is_ok(), pace(&text).is_ok());
        }
    }
}
