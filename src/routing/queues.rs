//! The queues that jobs can go to: those that rows name, the default one, and the one this worker serves itself.

use std::sync::Arc;

use super::queue_url::{Spelling, name_of};
use crate::ports::{Color, QueueAddress};

/// The queues as they are configured.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QueueSettings {
    /// Where jobs go whose row names no queue, without color.
    pub default: Option<QueueAddress>,
    /// The queue this worker takes jobs from, with its color if it has one.
    pub own: Option<QueueAddress>,
    /// Whether each queue has two halves, of which the live one takes the jobs.
    pub colors: bool,
}

/// A queue by its name, before its color is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    name: Arc<str>,
    is_own: bool,
}

/// Every queue's spelling, and what sets two of them apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Queues {
    spelling: Spelling,
    default: Option<Queue>,
    own: Option<QueueAddress>,
    colors: bool,
}

impl Queue {
    /// The name, as the table has it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether this worker takes jobs from it, in one of its colors.
    pub const fn is_own(&self) -> bool {
        self.is_own
    }
}

impl Queues {
    /// Queues that rows name are neighbors of the default queue or, without one, of our own.
    pub(super) fn new(settings: QueueSettings) -> Self {
        let QueueSettings { default, own, colors } = settings;
        let spelling = default.as_ref().or(own.as_ref()).map(Spelling::of).unwrap_or_default();
        let mut queues = Self { spelling, default: None, own, colors };
        queues.default = default.as_ref().map(|address| queues.named(name_of(address)));
        queues
    }

    /// The queue a row names.
    pub(super) fn named(&self, name: &str) -> Queue {
        // During a deployment, a worker of the color that is not live is as good as another for what reaches it.
        let halves = [None, Some(Color::Blue), Some(Color::Green)];
        let halves = if self.colors { &halves[..] } else { &halves[..1] };
        let is_own = halves.iter().any(|color| Some(self.spelling.address(name, *color)) == self.own);
        Queue { name: Arc::from(name), is_own }
    }

    /// Whether a name alone says where a queue is: only beside a queue whose address is known.
    pub(super) const fn have_a_place(&self) -> bool {
        self.default.is_some() || self.own.is_some()
    }

    /// Where jobs go whose row names no queue.
    pub(super) const fn default(&self) -> Option<&Queue> {
        self.default.as_ref()
    }

    /// Whether an address takes a color.
    pub(super) const fn have_colors(&self) -> bool {
        self.colors
    }

    /// Where `queue` is, in its half for `color`.
    pub(super) fn address(&self, queue: &Queue, color: Option<Color>) -> QueueAddress {
        self.spelling.address(&queue.name, color)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queues(default: Option<&str>, own: Option<&str>, colors: bool) -> Queues {
        let [default, own] = [default, own].map(|address| address.map(QueueAddress::new));
        Queues::new(QueueSettings { default, own, colors })
    }

    #[test]
    fn our_own_queue_is_recognized_in_any_spelling() {
        for (own, colors, name, expected) in [
            ("https://q/1/prod.fifo", false, "prod", true),
            ("https://q/1/prod.fifo", false, "prod.fifo", true),
            ("https://q/1/prod.fifo", false, "prod-blue", false),
            ("https://q/1/prod.fifo", false, "prod2", false),
            ("https://q/2/prod.fifo", false, "prod", false),
            ("https://q/1/prod-blue.fifo", false, "prod", false),
            ("https://q/1/prod-blue.fifo", true, "prod", true),
            ("https://q/1/prod-green.fifo", true, "prod.fifo", true),
            ("https://q/1/prod-green.fifo", true, "prod-green", true),
            ("https://q/1/prod-green.fifo", true, "prod-blue", false),
        ] {
            let queues = queues(Some("https://q/1/default.fifo"), Some(own), colors);
            assert_eq!(queues.named(name).is_own(), expected, "{own} {colors} {name}");
        }
        assert!(!queues(Some("https://q/1/prod.fifo"), None, true).named("prod").is_own());
    }

    #[test]
    fn names_are_neighbors_of_a_queue_we_know() {
        let there = |queues: Queues, color| queues.address(&queues.named("other"), color).to_string();
        let both = queues(Some("https://q/1/default.fifo"), Some("https://q/2/own"), false);
        assert_eq!(there(both, None), "https://q/1/other.fifo");
        assert_eq!(there(queues(None, Some("https://q/2/own"), false), None), "https://q/2/other");
        assert_eq!(there(queues(None, None, false), None), "other");
    }

    #[test]
    fn the_default_queue_takes_the_color_too() {
        let queues = queues(Some("https://q/1/default.fifo"), Some("https://q/1/default-blue.fifo"), true);
        let default = queues.default().unwrap();
        assert!(default.is_own() && queues.have_colors());
        assert_eq!(queues.address(default, Some(Color::Green)).as_str(), "https://q/1/default-green.fifo");
    }
}
