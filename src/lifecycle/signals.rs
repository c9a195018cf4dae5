//! Signals in the words of a life: the first stop drains, the second kills, a hang-up reloads.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::lifecycle::{Lifecycle, Phase};

/// The process's signals, taken over from their defaults.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

/// What one signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Stop,
    Reload,
}

impl Signals {
    /// Takes the signals over. From here on, SIGTERM no longer ends the process by itself.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Obeys for ever: meant for [`Lifecycle::accompany`].
    pub async fn obey(mut self, life: Lifecycle, reload: impl Fn()) {
        loop {
            match self.next().await {
                Wish::Reload => reload(),
                Wish::Stop if life.phase() >= Phase::Draining => {
                    tracing::warn!("told to stop once more, killing what is left");
                    life.begin_kill();
                }
                Wish::Stop => {
                    tracing::info!("told to stop, finishing what has begun");
                    life.begin_drain();
                }
            }
        }
    }

    async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.terminate.recv() => Wish::Stop,
            _ = self.interrupt.recv() => Wish::Stop,
            _ = self.hang_up.recv() => Wish::Reload,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use rustix::process::{Signal, getpid, kill_process};
    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn hang_up_reloads_then_once_drains_and_twice_kills() {
        let life = Lifecycle::new();
        let (reloads, told) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let (counter, teller) = (Arc::clone(&reloads), Arc::clone(&told));
        let signals = Signals::listen().unwrap();
        let _obeying = life.accompany(
            "signals",
            signals.obey(life.clone(), move || {
                counter.fetch_add(1, Ordering::Relaxed);
                teller.notify_one();
            }),
        );
        kill_process(getpid(), Signal::HUP).unwrap();
        told.notified().await;
        assert_eq!(reloads.load(Ordering::Relaxed), 1);
        assert_eq!(life.phase(), Phase::Starting);
        kill_process(getpid(), Signal::TERM).unwrap();
        life.draining().await;
        assert!(!life.kill_token().is_cancelled());
        kill_process(getpid(), Signal::INT).unwrap();
        life.kill_token().cancelled().await;
        assert_eq!(life.phase(), Phase::Killing);
    }
}
