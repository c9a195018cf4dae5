//! What systemd is told: ready, stopping, what we are doing, and that work still moves.
//!
//! The watchdog is fed from the admin thread, and only while a heartbeat on the main runtime is fresh and the caller
//! says that work moves: a wedged runtime is restarted, a busy one is not. Outside systemd all of this does nothing.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// How often the heart beats. The main runtime is called wedged after [`STALE`] without a beat.
const BEAT: Duration = Duration::from_millis(250);
/// The oldest beat that still counts as fresh.
const STALE: Duration = Duration::from_secs(1);

/// The heartbeat of a runtime: beaten on it, listened to from another thread.
#[derive(Debug, Clone)]
pub struct Pulse(Arc<Mutex<Instant>>);

impl Default for Pulse {
    fn default() -> Self {
        Self::new()
    }
}

impl Pulse {
    /// A heart that has just beaten.
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    /// Beats for ever; to be spawned on the runtime that is watched.
    pub async fn beat(self) {
        let mut ticks = interval(BEAT);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        }
    }

    /// Whether the last beat is recent.
    pub fn is_fresh(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).elapsed() < STALE
    }
}

/// Tells systemd that everything is up.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Tells systemd that the end has begun.
pub fn stopping(status: &str) {
    tell(&[NotifyState::Stopping, NotifyState::Status(status)]);
}

/// Tells systemd, and whoever reads `systemctl status`, what we are doing.
pub fn status(status: &str) {
    tell(&[NotifyState::Status(status)]);
}

/// How often the watchdog wants to be fed, if there is one: twice per period, as its manual advises.
pub fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|period| period / 2)
}

/// Feeds the watchdog at each `period` for which `moving` holds and the pulse is fresh. Runs for ever.
pub async fn feed_watchdog(period: Duration, pulse: Pulse, moving: impl Fn() -> bool) {
    feed(period, pulse, moving, || tell(&[NotifyState::Watchdog])).await;
}

async fn feed(period: Duration, pulse: Pulse, moving: impl Fn() -> bool, mut give: impl FnMut()) {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let (fresh, moving) = (pulse.is_fresh(), moving());
        if fresh && moving {
            give();
        } else {
            tracing::warn!(fresh, moving, "not feeding the watchdog");
        }
    }
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "could not notify systemd");
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::time::timeout;

    use super::*;

    /// How often the watchdog is fed in 10.5 s at a period of 1 s.
    async fn meals(beating: bool, moving: bool) -> u32 {
        let pulse = Pulse::new();
        let fed = Cell::new(0);
        let beat = async {
            if beating {
                pulse.clone().beat().await;
            }
            std::future::pending::<()>().await;
        };
        let feed = feed(Duration::from_secs(1), pulse.clone(), || moving, || fed.set(fed.get() + 1));
        let both = async { tokio::join!(beat, feed) };
        assert!(timeout(Duration::from_millis(10_500), both).await.is_err());
        fed.get()
    }

    #[tokio::test(start_paused = true)]
    async fn the_watchdog_is_fed_only_while_work_moves() {
        assert_eq!(meals(true, true).await, 11);
        assert_eq!(meals(true, false).await, 0, "slots stand still");
        assert_eq!(meals(false, true).await, 1, "the runtime is wedged: only the beat at birth counts");
    }
}
