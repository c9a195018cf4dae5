//! Judges whether a transfer moves.

use std::time::Duration;

use tokio::time::Instant;

/// Counts what moves in one window of time after another.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    window: Duration,
    least: u64,
    end: Instant,
    moved: u64,
}

impl Pace {
    /// Starts a window now, in which at least `slowest` bytes per second have to move.
    pub(super) fn start(window: Duration, slowest: u64) -> Self {
        let least = u128::from(slowest) * window.as_millis() / 1000;
        Self {
            window,
            least: u64::try_from(least).unwrap_or(u64::MAX),
            end: Instant::now() + window,
            moved: 0,
        }
    }

    /// `bytes` more have moved.
    pub(super) fn add(&mut self, bytes: usize) {
        self.moved += bytes as u64;
    }

    /// When the current window ends.
    pub(super) fn end(&self) -> Instant {
        self.end
    }

    /// At the end of a window: whether enough has moved, in which case the next one begins.
    pub(super) fn holds(&mut self) -> bool {
        let holds = self.moved >= self.least;
        self.moved = 0;
        self.end += self.window;
        holds
    }
}
