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
#[derive(Debug, Clone, Copy, Default)]
struct Word {
    /// How far behind the queue is, and until when that is believed.
    behind: Option<(Duration, Instant)>,
    /// When a worker last answered.
    answered: Option<Instant>,
    /// Whether somebody was let through to find out anew.
    probed: bool,
}

impl Backlogs {
    /// How far behind a queue is, if a job that has `left` until its deadline had better not be sent. When that is no
    /// longer believed, one job is let through, and the others as soon as it has found out, or after as long again.
    pub(super) fn hopeless(&self, queue: &QueueAddress, left: Duration) -> Option<Duration> {
        let mut words = self.words();
        let word = words.get_mut(queue)?;
        let (behind, until) = word.behind?;
        // A queue that is quicker than its jobs is never to blame.
        if behind < WORK || behind + WORK <= left {
            return None;
        }
        let now = Instant::now();
        if now >= until {
            if word.probed {
                word.behind = None;
                return None;
            }
            *word = Word { behind: Some((behind, now + BELIEF)), probed: true, ..*word };
            return None;
        }
        Some(behind)
    }

    /// A job had waited so long when a worker began with it.
    pub(super) fn heard(&self, queue: &QueueAddress, waited: Duration) {
        let now = Instant::now();
        self.note(queue, Word { behind: Some((waited, now + BELIEF)), answered: Some(now), probed: false });
    }

    /// A job sent at this time has had no answer until now. One job may have met an accident; but if nobody else has
    /// had an answer since, the queue is at least that far behind.
    pub(super) fn silent(&self, queue: &QueueAddress, sent: Instant) {
        let answered = self.words().get(queue).and_then(|word| word.answered);
        if answered.is_none_or(|answered| answered < sent) {
            let behind = Some((sent.elapsed(), Instant::now() + BELIEF));
            self.note(queue, Word { behind, answered, probed: false });
        }
    }

    fn note(&self, queue: &QueueAddress, word: Word) {
        let mut words = self.words();
        if words.len() >= QUEUES && !words.contains_key(queue) {
            let now = Instant::now();
            words.retain(|_, word| word.behind.is_some_and(|(_, until)| now < until));
        }
        words.insert(queue.clone(), word);
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
            ("quick", Duration::from_secs(1), None),
            ("unknown", Duration::from_secs(1), None),
        ] {
            assert_eq!(backlogs.hopeless(&queue(name), left), expected, "{name} {left:?}");
        }
        advance(BELIEF).await;
        let now = |backlogs: &Backlogs| backlogs.hopeless(&queue("late"), Duration::ZERO);
        assert_eq!(now(&backlogs), None, "somebody has to try again");
        assert_eq!(now(&backlogs), Some(late), "and nobody else, until it is known what comes of it");
        backlogs.heard(&queue("late"), Duration::ZERO);
        assert_eq!(now(&backlogs), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_dead_queue_is_known_for_as_long_as_it_is_dead() {
        let (backlogs, queue, second) = (Backlogs::default(), queue("dead"), Duration::from_secs(1));
        // One job a second, each given up after a minute.
        let begun = Instant::now();
        let mut sent = std::collections::VecDeque::new();
        let mut refused = 0;
        for _ in 0..600 {
            match backlogs.hopeless(&queue, MINUTE) {
                None => sent.push_back(Instant::now()),
                Some(_) => refused += 1,
            }
            advance(second).await;
            while sent.front().is_some_and(|sent| sent.elapsed() >= MINUTE) {
                backlogs.silent(&queue, sent.pop_front().unwrap());
            }
        }
        assert_eq!(begun.elapsed(), 600 * second);
        assert!(refused > 300, "only {refused} were spared the wait");
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
