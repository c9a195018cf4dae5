//! Percentiles, and rows of the printed table.

use std::fmt;
use std::time::Duration;

/// A duration in milliseconds with two digits.
pub(crate) struct Millis(pub(crate) Duration);

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} ms", self.0.as_secs_f64() * 1e3)
    }
}

/// The `percent`th percentile, nearest rank.
pub(crate) fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    let rank = (times.len() * percent).div_ceil(100).max(1);
    times[rank - 1]
}

/// Prints one row.
pub(crate) fn row(figure: &str, measured: &str, baseline: &str, ratio: &str, promise: &str) {
    println!("{figure:<46} {measured:>12} {baseline:>12} {ratio:>9}  {promise}");
}
