//! How far something is that takes time, a line at a time on standard error.

use std::time::Duration;

use tokio::time::Instant;

use crate::cli::out::Streams;

/// Between two lines. What is over sooner says nothing on its way.
const PACE: Duration = Duration::from_secs(1);

/// Something under way.
#[derive(Debug)]
pub struct Progress {
    /// What is done to what: `moved`.
    what: &'static str,
    total: Option<usize>,
    told: Instant,
}

impl Progress {
    /// Begins. `what` stands before the count: `moved`. `total` is how much there is to do, if that is known.
    pub fn new(what: &'static str, total: Option<usize>) -> Self {
        Self { what, total, told: Instant::now() }
    }

    /// Tells how much is done, unless something was told a moment ago.
    pub fn tell(&mut self, streams: &mut Streams, done: usize) {
        if self.told.elapsed() < PACE {
            return;
        }
        self.told = Instant::now();
        match self.total {
            Some(total) => streams.say(format_args!("{} {done} of {total}", self.what)),
            None => streams.say(format_args!("{} {done}", self.what)),
        }
    }
}
