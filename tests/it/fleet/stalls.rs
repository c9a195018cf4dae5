//! How long the machine kept us waiting: bounds on time are for the program, not for whatever else is running.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// How often it is looked.
const TICK: Duration = Duration::from_millis(10);
/// Later than this by itself is no clock.
const USUAL: Duration = Duration::from_millis(5);

/// A clock that notes when it runs late.
pub(super) struct Stalls {
    noted: Arc<Mutex<Vec<(Timestamp, Duration)>>>,
    _ticking: JoinSet<()>,
}

impl Stalls {
    pub(super) fn watch() -> Self {
        let noted = Arc::new(Mutex::new(Vec::new()));
        let (book, mut ticking) = (Arc::clone(&noted), JoinSet::new());
        ticking.spawn(async move {
            loop {
                let begun = Instant::now();
                sleep(TICK).await;
                let late = begun.elapsed().saturating_sub(TICK);
                if late > USUAL {
                    book.lock().unwrap().push((Timestamp::now(), late));
                }
            }
        });
        Self { noted, _ticking: ticking }
    }

    /// By how much the clock ran late, all told, in so long a time.
    pub(super) fn within(&self, since: Timestamp, span: Duration) -> Duration {
        let noted = self.noted.lock().unwrap();
        noted.iter().filter(|(at, _)| (since..=since + span).contains(at)).map(|(_, late)| *late).sum()
    }
}
