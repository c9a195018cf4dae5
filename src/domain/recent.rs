//! What is known of a request for a while after it is over.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::ids::RequestId;

/// Facts about requests, each forgotten after a fixed time, or sooner if there are too many.
#[derive(Debug)]
pub struct Recent<V> {
    span: Duration,
    most: usize,
    facts: HashMap<RequestId, (Instant, V)>,
    /// Oldest first. A fact that was renewed stands here more than once; only its last time counts.
    order: VecDeque<(Instant, RequestId)>,
}

impl<V> Recent<V> {
    /// Remembers at most `most` facts, each for `span`.
    pub fn new(span: Duration, most: usize) -> Self {
        Self { span, most, facts: HashMap::new(), order: VecDeque::new() }
    }

    /// Remembers a fact from now on, in place of what was known.
    pub fn remember(&mut self, id: RequestId, fact: V) {
        let now = Instant::now();
        self.facts.insert(id.clone(), (now, fact));
        self.order.push_back((now, id));
        self.forget(now);
    }

    /// What is known, if it is not too long ago.
    pub fn recall(&mut self, id: &RequestId) -> Option<&V> {
        self.forget(Instant::now());
        self.facts.get(id).map(|(_, fact)| fact)
    }

    fn forget(&mut self, now: Instant) {
        while let Some((at, id)) = self.order.front() {
            if now.duration_since(*at) < self.span && self.order.len() <= self.most {
                return;
            }
            if self.facts.get(id).is_some_and(|(renewed, _)| renewed == at) {
                self.facts.remove(id);
            }
            self.order.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> RequestId {
        RequestId::parse(name).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn facts_last_their_time_from_the_last_renewal() {
        let mut recent = Recent::new(Duration::from_secs(10), 100);
        recent.remember(id("a"), 1);
        tokio::time::advance(Duration::from_secs(6)).await;
        recent.remember(id("a"), 2);
        tokio::time::advance(Duration::from_secs(6)).await;
        assert_eq!(recent.recall(&id("a")), Some(&2));
        tokio::time::advance(Duration::from_secs(4)).await;
        assert_eq!(recent.recall(&id("a")), None);
        assert!(recent.facts.is_empty() && recent.order.is_empty(), "{recent:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_go_when_there_are_too_many() {
        let mut recent = Recent::new(Duration::from_mins(2), 2);
        for name in ["a", "b", "c"] {
            tokio::time::advance(Duration::from_millis(1)).await;
            recent.remember(id(name), ());
        }
        assert!(recent.recall(&id("a")).is_none());
        assert!(recent.recall(&id("b")).is_some() && recent.recall(&id("c")).is_some());
    }
}
