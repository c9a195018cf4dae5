//! How a queue's address is spelled: the name that a row gives, in the place of a queue we know, with a color.
//!
//! Routers and workers of either make must arrive at the same address, so the odd corners are kept as they are.

use crate::ports::{Color, QueueAddress};

/// What the name of a queue with groups ends in; SQS insists on it.
const FIFO: &str = ".fifo";
/// Longest name of a queue, suffix included, in bytes: the limit of SQS.
const LONGEST_NAME: usize = 80;

/// How the queues of one place are spelled, learned from one of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Spelling {
    /// What comes before the name: up to the last slash of a URL, nothing for a bare name.
    stem: String,
    /// Whether the queues there have groups.
    fifo: bool,
}

impl Spelling {
    /// As `address` is spelled.
    pub fn of(address: &QueueAddress) -> Self {
        let stem = address.as_str().strip_suffix(name_of(address)).unwrap_or_default();
        Self { stem: stem.to_owned(), fifo: address.is_fifo() }
    }

    /// The queue `name`, in its half for `color`. A name that says a color keeps it, live or not.
    pub fn address(&self, name: &str, color: Option<Color>) -> QueueAddress {
        // A part of the name is enough, so that a queue called x-blueish has no halves. The deployed router has it so.
        let is_colored = Color::ALL.iter().any(|color| name.contains(suffix(*color)));
        let mut name = match color {
            Some(color) if !is_colored => name.replacen(FIFO, "", 1) + suffix(color),
            _ => name.to_owned(),
        };
        if self.fifo && !name.ends_with(FIFO) {
            name.push_str(FIFO);
        }
        QueueAddress::new(&format!("{}{name}", self.stem))
    }
}

/// The name within an address.
pub fn name_of(address: &QueueAddress) -> &str {
    address.as_str().rsplit('/').next().unwrap_or_default()
}

/// Whether a queue can be called this. Anything else in a row would lead out of the place, or to no queue at all.
pub fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(allowed)
}

const fn suffix(color: Color) -> &'static str {
    match color {
        Color::Blue => "-blue",
        Color::Green => "-green",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BLUE: Option<Color> = Some(Color::Blue);
    const GREEN: Option<Color> = Some(Color::Green);

    fn spelling(address: &str) -> Spelling {
        Spelling::of(&QueueAddress::new(address))
    }

    /// What the deployed router makes of these names was observed, not derived.
    #[test]
    fn golden_vectors() {
        let there = spelling("https://q/1/beta-compilation-queue.fifo");
        for (name, color, expected) in [
            ("prod-compilation-queue", BLUE, "prod-compilation-queue-blue.fifo"),
            ("prod-compilation-queue", GREEN, "prod-compilation-queue-green.fifo"),
            ("prod-compilation-queue.fifo", BLUE, "prod-compilation-queue-blue.fifo"),
            ("prod-compilation-queue.fifo", GREEN, "prod-compilation-queue-green.fifo"),
            ("staging-compilation-queue-green", BLUE, "staging-compilation-queue-green.fifo"),
            ("staging-compilation-queue-green", GREEN, "staging-compilation-queue-green.fifo"),
            ("staging-compilation-queue-blue.fifo", GREEN, "staging-compilation-queue-blue.fifo"),
            ("bluetooth-q", GREEN, "bluetooth-q-green.fifo"),
            ("bluetooth-processor-queue", GREEN, "bluetooth-processor-queue-green.fifo"),
            ("greenfield-project-queue", BLUE, "greenfield-project-queue-blue.fifo"),
            ("a-queue-with-very-many-hyphens", BLUE, "a-queue-with-very-many-hyphens-blue.fifo"),
            ("x-blueish", GREEN, "x-blueish.fifo"),
            ("a.fifo.fifo", BLUE, "a.fifo-blue.fifo"),
            ("", BLUE, "-blue.fifo"),
        ] {
            assert_eq!(there.address(name, color).as_str(), format!("https://q/1/{expected}"), "{name}");
        }
    }

    #[test]
    fn without_colors_a_name_stays_what_it_is() {
        let there = spelling("https://q/1/beta.fifo");
        assert_eq!(there.address("prod", None).as_str(), "https://q/1/prod.fifo");
        assert_eq!(there.address("prod.fifo", None).as_str(), "https://q/1/prod.fifo");
        assert_eq!(there.address("prod-blue", None).as_str(), "https://q/1/prod-blue.fifo");
    }

    #[test]
    fn neighbors_are_spelled_alike() {
        assert_eq!(spelling("jobs").address("other", None).as_str(), "other");
        assert_eq!(spelling("jobs.fifo").address("other", GREEN).as_str(), "other-green.fifo");
        assert_eq!(spelling("http://h/1/jobs").address("other", BLUE).as_str(), "http://h/1/other-blue");
        assert_eq!(Spelling::default().address("other", None).as_str(), "other");
    }

    #[test]
    fn names_lead_nowhere_else() {
        for name in ["prod-compilation-queue", "a", "a_b.fifo", &"x".repeat(80)] {
            assert!(is_name(name), "{name}");
        }
        for name in
            ["", "a/b", "../x", "a?b", "a#b", "a b", "a\n", "é", "https://elsewhere/1/q", &"x".repeat(81)]
        {
            assert!(!is_name(name), "{name}");
        }
    }

    proptest! {
        #[test]
        fn an_address_stays_in_its_place_and_is_spelled_once(name in "[a-zA-Z0-9._-]{1,60}", green: bool) {
            let there = spelling("https://q/1/beta.fifo");
            let color = if green { GREEN } else { BLUE };
            let address = there.address(&name, color);
            prop_assert!(address.as_str().starts_with("https://q/1/") && address.is_fifo());
            prop_assert_eq!(Spelling::of(&address), there.clone());
            prop_assert_eq!(there.address(name_of(&address), color), address);
        }
    }
}
