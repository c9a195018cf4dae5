//! The daemons' log events: which are wanted, and following them without hole or double.

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;

use crate::aws::{Clients, Event, Fault, LogGroup, Page, Search};
use crate::operate::{Call, Trouble};
use crate::telemetry::fields;

/// How late an event may come, in milliseconds, and still be found by who follows. The agent on an instance sends every
/// five seconds, and the service takes some more to let events be found.
const LATEST: i64 = 120_000;
/// Pages of one look that are read; each has up to a megabyte, or ten thousand events.
const MOST_PAGES: usize = 500;

/// How grave an event is, the gravest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something failed.
    Error,
    /// Something may fail.
    Warn,
    /// What happens.
    Info,
    /// How it happens.
    Debug,
    /// Everything.
    Trace,
}

/// Which events are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Milliseconds of Unix time from which on.
    pub from: i64,
    /// Of this instance alone.
    pub instance: Option<String>,
    /// Of this request alone.
    pub request: Option<String>,
    /// With this in what they say.
    pub message: Option<String>,
    /// At least this grave.
    pub level: Option<Level>,
}

/// The events of a fleet's daemons, read on and on.
#[derive(Debug)]
pub struct Follower {
    group: LogGroup,
    region: String,
    wanted: Wanted,
    /// What was given out already, by id, with its time: events come late and out of order.
    given: HashMap<String, i64>,
    /// The newest time that was given out.
    newest: i64,
}

impl Level {
    /// All, with their names in events.
    const ALL: [(Self, &'static str); 5] = [
        (Self::Error, "ERROR"),
        (Self::Warn, "WARN"),
        (Self::Info, "INFO"),
        (Self::Debug, "DEBUG"),
        (Self::Trace, "TRACE"),
    ];

    /// The level with this name, in any case.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(_, own)| own.eq_ignore_ascii_case(name)).map(|(level, _)| level)
    }
}

impl Wanted {
    /// What the service is to look for. It only makes the answer shorter: what comes is looked at again.
    fn pattern(&self) -> Option<String> {
        if let Some(text) = self.request.as_ref().or(self.message.as_ref()) {
            return Some(quoted(text));
        }
        // Names of levels occur in other events too, but few.
        let level = self.level.filter(|&level| level < Level::Info)?;
        let graver = Level::ALL.into_iter().filter(|&(own, _)| own <= level);
        let words: Vec<String> = graver.map(|(_, name)| format!("?{name}")).collect();
        Some(words.join(" "))
    }

    /// Whether this is such an event.
    pub fn fits(&self, event: &Event) -> bool {
        let said = serde_json::from_str::<Value>(&event.message).ok();
        let request = self.request.as_ref().is_none_or(|wanted| {
            let of = said.as_ref().and_then(request_of);
            of.map_or_else(|| event.message.contains(wanted), |of| of == wanted)
        });
        let message = self.message.as_ref().is_none_or(|wanted| {
            let of = said.as_ref().and_then(|said| said["message"].as_str());
            of.unwrap_or(&event.message).contains(wanted)
        });
        let level = self.level.is_none_or(|least| {
            let own = said.as_ref().and_then(|said| said["level"].as_str()).and_then(Level::parse);
            // What is no event of the daemon's own, such as a panic's last words, is always wanted.
            own.is_none_or(|own| own <= least)
        });
        request && message && level
    }
}

/// The request that an event is about: its own field, or its span's.
pub fn request_of(said: &Value) -> Option<&str> {
    let own = said.get(fields::REQUEST_ID);
    own.or_else(|| said.get("span").and_then(|span| span.get(fields::REQUEST_ID))).and_then(Value::as_str)
}

/// A text as one term of the service's language of patterns.
fn quoted(text: &str) -> String {
    let mut term = String::from('"');
    for letter in text.chars() {
        if matches!(letter, '"' | '\\') {
            term.push('\\');
        }
        term.push(letter);
    }
    term.push('"');
    term
}

impl Follower {
    /// Nothing is asked yet; an error means that there can be no TLS here.
    pub fn new(clients: &Clients, group: &str, wanted: Wanted) -> Result<Self, Fault> {
        Ok(Self {
            group: LogGroup::new(clients, group.to_owned())?,
            region: clients.region().to_owned(),
            newest: wanted.from,
            wanted,
            given: HashMap::new(),
        })
    }

    /// Gives everything that is there and was not given before to `take`, page by page, each in the order of time.
    /// `take` says whether it wants more.
    pub async fn look(&mut self, mut take: impl FnMut(Vec<Event>) -> bool) -> Result<bool, Trouble> {
        let search = Search {
            from: (self.newest - LATEST).max(self.wanted.from),
            to: None,
            stream: self.wanted.instance.clone(),
            pattern: self.wanted.pattern(),
        };
        self.given.retain(|_, time| *time >= search.from);
        let (mut token, mut tokens): (Option<String>, BTreeSet<String>) = (None, BTreeSet::new());
        for _ in 0..MOST_PAGES {
            let page = self.group.search(&search, token.as_deref()).await;
            let Page { events, next_token } = page.map_err(|fault| self.trouble(fault))?;
            let events = self.new_ones(events);
            if !events.is_empty() && !take(events) {
                return Ok(false);
            }
            match next_token {
                Some(next) if tokens.insert(next.clone()) => token = Some(next),
                _ => break,
            }
        }
        Ok(true)
    }

    /// What of these is wanted and was not given before.
    fn new_ones(&mut self, events: Vec<Event>) -> Vec<Event> {
        let mut new: Vec<Event> = Vec::new();
        for event in events {
            if self.given.insert(event.id.clone(), event.timestamp).is_none() {
                self.newest = self.newest.max(event.timestamp);
                if self.wanted.fits(&event) {
                    new.push(event);
                }
            }
        }
        new.sort_by_key(|event| event.timestamp);
        new
    }

    fn trouble(&self, fault: Fault) -> Trouble {
        let thing = format!("log group {}", self.group.name());
        let call =
            Call { doing: "read", thing: &thing, action: "logs:FilterLogEvents", key: "fleet.log_group" };
        Trouble::new(&call, &self.region, fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(message: &str) -> Event {
        Event { message: message.to_owned(), ..Event::default() }
    }

    #[test]
    fn patterns_hold_any_request() {
        let pattern =
            |request: &str| Wanted { request: Some(request.to_owned()), ..Wanted::default() }.pattern();
        assert_eq!(pattern("r-1").as_deref(), Some("\"r-1\""));
        assert_eq!(pattern("a\"b\\c").as_deref(), Some(r#""a\"b\\c""#));
        let level = |level| Wanted { level: Some(level), ..Wanted::default() }.pattern();
        assert_eq!(level(Level::Warn).as_deref(), Some("?ERROR ?WARN"));
        assert_eq!(level(Level::Info), None, "almost everything would fit");
    }

    #[test]
    fn only_what_is_wanted_fits() {
        let request = Wanted { request: Some("r-1".to_owned()), ..Wanted::default() };
        let said = Wanted { message: Some("slow".to_owned()), ..Wanted::default() };
        let warn = Wanted { level: Some(Level::Warn), ..Wanted::default() };
        for (wanted, message, fits) in [
            (&request, r#"{"level":"INFO","request.id":"r-1"}"#, true),
            (&request, r#"{"level":"INFO","span":{"request.id":"r-1"}}"#, true),
            (&request, r#"{"level":"INFO","request.id":"r-12","note":"r-1"}"#, false),
            (&request, "thread panicked in r-1", true),
            (&request, "thread panicked", false),
            (&said, r#"{"message":"a slow job"}"#, true),
            (&said, r#"{"message":"a job","note":"slow"}"#, false),
            (&said, "slow death", true),
            (&warn, r#"{"level":"INFO","message":"ERROR"}"#, false),
            (&warn, r#"{"level":"WARN"}"#, true),
            (&warn, r#"{"level":"error"}"#, true),
            (&warn, "thread panicked", true),
        ] {
            assert_eq!(wanted.fits(&event(message)), fits, "{message}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_quoted_text_ends_where_it_should(text in ".*") {
            let term = quoted(&text);
            let inner = &term[1..term.len() - 1];
            let (mut read, mut letters) = (String::new(), inner.chars());
            while let Some(letter) = letters.next() {
                proptest::prop_assert!(letter != '"');
                read.extend(if letter == '\\' { letters.next() } else { Some(letter) });
            }
            proptest::prop_assert_eq!(read, text);
        }

        #[test]
        fn no_event_is_too_odd(message: String) {
            let wanted = Wanted { request: Some("r".to_owned()), level: Some(Level::Warn), ..Wanted::default() };
            let _fits = wanted.fits(&event(&message));
        }
    }
}
