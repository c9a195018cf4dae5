//! Which queues are so far behind that a job sent now would be answered to nobody (contract-cloud X-13).
//!
//! No queue tells its age, but every result tells how long its job waited. That is believed for a moment; then one more
//! job has to find out.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::ports::QueueAddress;

/// How long what was heard of a queue is believed: it may have been drained, or have got more workers.
const BELIEF: Duration = Duration::from_secs(5);
/// The least that has to be left of a job's time when a worker begins with it.
const WORK: Duration = Duration::from_secs(2);
/// Queues remembered. A fleet has tens.
const QUEUES: usize = 256;

/// What is known of the queues.
#[derive(Debug, Default)]
pub(super) struct Backlogs(Mutex<HashMap<QueueAddress, Word>>);

/// The last that was heard of a queue.
#[derive(Debug, Clone, Copy)]
struct Word {
    heard: Instant,
    /// How long a job had waited.
    waited: Duration,
}

impl Backlogs {
    /// How far behind a queue is, if a job that has `left` until its deadline had better not be sent.
    pub(super) fn hopeless(&self, queue: &QueueAddress, left: Duration) -> Option<Duration> {
        let word = *self.words().get(queue)?;
        (word.heard.elapsed() < BELIEF && word.waited + WORK > left).then_some(word.waited)
    }

    /// A job had waited so long when a worker began with it.
    pub(super) fn heard(&self, queue: &QueueAddress, waited: Duration) {
        let mut words = self.words();
        if words.len() >= QUEUES {
            words.retain(|_, word| word.heard.elapsed() < BELIEF);
        }
        words.insert(queue.clone(), Word { heard: Instant::now(), waited });
    }

    /// A job sent at this time has had no answer until now. One job may have met an accident; but if nobody else has
    /// had an answer either, the queue is at least that far behind.
    pub(super) fn silent(&self, queue: &QueueAddress, sent: Instant) {
        let answered = self.words().get(queue).is_some_and(|word| word.heard >= sent);
        if !answered {
            self.heard(queue, sent.elapsed());
        }
    }

    /// Every change is whole.
    fn words(&self) -> MutexGuard<'_, HashMap<QueueAddress, Word>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    fn queue(name: &str) -> QueueAddress {
        QueueAddress::new(name)
    }

    #[tokio::test(start_paused = true)]
    async fn a_queue_is_hopeless_for_those_whom_it_would_answer_too_late() {
        let (backlogs, late) = (Backlogs::default(), Duration::from_secs(54));
        backlogs.heard(&queue("late"), late);
        backlogs.heard(&queue("quick"), Duration::from_millis(3));
        for (name, left, expected) in [
            ("late", Duration::from_secs(55), Some(late)),
            ("late", MINUTE, None),
            ("quick", Duration::from_secs(55), None),
            ("quick", Duration::from_secs(1), Some(Duration::from_millis(3))),
            ("unknown", Duration::from_secs(1), None),
        ] {
            assert_eq!(backlogs.hopeless(&queue(name), left), expected, "{name} {left:?}");
        }
        advance(BELIEF).await;
        assert_eq!(backlogs.hopeless(&queue("late"), Duration::ZERO), None, "somebody has to try again");
    }

    #[tokio::test(start_paused = true)]
    async fn silence_says_something_only_if_all_are_met_with_it() {
        let (backlogs, sent) = (Backlogs::default(), Instant::now());
        advance(MINUTE).await;
        backlogs.silent(&queue("dead"), sent);
        assert_eq!(backlogs.hopeless(&queue("dead"), MINUTE), Some(MINUTE));
        backlogs.heard(&queue("alive"), Duration::ZERO);
        backlogs.silent(&queue("alive"), sent);
        assert_eq!(backlogs.hopeless(&queue("alive"), MINUTE), None, "one job met an accident");
    }

    #[tokio::test(start_paused = true)]
    async fn queues_are_forgotten() {
        let backlogs = Backlogs::default();
        for number in 0..3 * QUEUES {
            backlogs.heard(&queue(&number.to_string()), MINUTE);
            if number % QUEUES == 0 {
                advance(BELIEF).await;
            }
        }
        assert!(backlogs.words().len() <= QUEUES);
    }
}
