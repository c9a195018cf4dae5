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
pub const MOST_PAGES: usize = 500;
/// Words of lines that are no events of a daemon's, written while it died. They are wanted at every level.
const LAST_WORDS: [&str; 3] = ["panicked", "\"fatal runtime error\"", "\"error:\""];

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
    /// Of this trace alone: `1-` and eight digits, `-` and twenty-four.
    pub trace: Option<String>,
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
    /// Up to when everything was looked through, in milliseconds of Unix time by the service's clock.
    searched: i64,
    /// The search that was broken off.
    course: Option<Course>,
}

/// How a look ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Looked {
    /// All that was there was read.
    Through,
    /// There is more than [`MOST_PAGES`]; the next look goes on there.
    Partly,
    /// Whoever took the events wanted no more.
    Enough,
}

/// A search and how far it is.
#[derive(Debug)]
struct Course {
    search: Search,
    /// When its first page was answered.
    begun: Option<i64>,
    token: Option<String>,
    /// Every token so far: one that comes again leads in a circle.
    tokens: BTreeSet<String>,
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
        let texts = [&self.request, &self.trace, &self.message];
        if let Some(text) = texts.into_iter().flatten().next() {
            return term(text);
        }
        // Names of levels occur in other events too, but few.
        let level = self.level.filter(|&level| level < Level::Info)?;
        let graver = Level::ALL.into_iter().filter(|&(own, _)| own <= level).map(|(_, name)| name);
        let words: Vec<String> = graver.chain(LAST_WORDS).map(|word| format!("?{word}")).collect();
        Some(words.join(" "))
    }

    /// Whether this is such an event.
    pub fn fits(&self, event: &Event) -> bool {
        let said = serde_json::from_str::<Value>(&event.message).ok();
        let is_about = |field: &str, wanted: &Option<String>| {
            wanted.as_ref().is_none_or(|wanted| {
                let of = said.as_ref().and_then(|said| field_of(said, field));
                of.map_or_else(|| event.message.contains(wanted), |of| of == wanted)
            })
        };
        let request = is_about(fields::REQUEST_ID, &self.request);
        let trace = is_about(fields::TRACE_ID, &self.trace);
        let message = self.message.as_ref().is_none_or(|wanted| {
            let of = said.as_ref().and_then(|said| said["message"].as_str());
            of.unwrap_or(&event.message).contains(wanted)
        });
        let level = self.level.is_none_or(|least| {
            let own = said.as_ref().and_then(|said| said["level"].as_str()).and_then(Level::parse);
            // What is no event of the daemon's own, such as a panic's last words, is always wanted.
            own.is_none_or(|own| own <= least)
        });
        request && trace && message && level
    }
}

/// What an event says of itself in a field: in its own, or in its span's.
fn field_of<'a>(said: &'a Value, field: &str) -> Option<&'a str> {
    let own = said.get(field);
    own.or_else(|| said.get("span").and_then(|span| span.get(field))).and_then(Value::as_str)
}

/// A text as one term of the service's language of patterns; nothing if no term would do. A line of JSON writes some
/// letters otherwise than a plain line, so the longest part without them is what both have.
fn term(text: &str) -> Option<String> {
    let differs = |letter: char| matches!(letter, '"' | '\\') || letter.is_control();
    let longest = text.split(differs).max_by_key(|part| part.len())?;
    (!longest.trim().is_empty()).then(|| format!("\"{longest}\""))
}

impl Follower {
    /// Nothing is asked yet; an error means that there can be no TLS here.
    pub fn new(clients: &Clients, group: &str, wanted: Wanted) -> Result<Self, Fault> {
        Ok(Self {
            group: LogGroup::new(clients, group.to_owned())?,
            region: clients.region().to_owned(),
            searched: wanted.from,
            wanted,
            given: HashMap::new(),
            course: None,
        })
    }

    /// Gives everything that is there and was not given before to `take`, page by page, each in the order of time.
    /// `take` says whether it wants more.
    pub async fn look(&mut self, mut take: impl FnMut(Vec<Event>) -> bool) -> Result<Looked, Trouble> {
        let mut course = self.course.take().unwrap_or_else(|| self.begin());
        for _ in 0..MOST_PAGES {
            let page = self.group.search(&course.search, course.token.as_deref()).await;
            let Page { events, next_token } = match page {
                Ok(page) => page,
                Err(fault) => {
                    self.course = Some(course);
                    return Err(self.trouble(fault));
                }
            };
            // Not before: the service tells its time when it answers.
            let begun = *course.begun.get_or_insert_with(|| self.group.now());
            let events = self.new_ones(events);
            if !events.is_empty() && !take(events) {
                return Ok(Looked::Enough);
            }
            match next_token {
                Some(next) if course.tokens.insert(next.clone()) => course.token = Some(next),
                _ => {
                    self.searched = self.searched.max(begun);
                    return Ok(Looked::Through);
                }
            }
        }
        self.course = Some(course);
        Ok(Looked::Partly)
    }

    /// A search for what was not looked through, and for what may have come late.
    fn begin(&mut self) -> Course {
        let from = self.searched.saturating_sub(LATEST).max(self.wanted.from);
        self.given.retain(|_, time| *time >= from);
        let search =
            Search { from, to: None, stream: self.wanted.instance.clone(), pattern: self.wanted.pattern() };
        Course { search, begun: None, token: None, tokens: BTreeSet::new() }
    }

    /// What of these is wanted and was not given before.
    fn new_ones(&mut self, events: Vec<Event>) -> Vec<Event> {
        let mut new: Vec<Event> = Vec::new();
        for event in events {
            // One without an id, which Amazon's always have, is shown again rather than never.
            let is_new =
                event.id.is_empty() || self.given.insert(event.id.clone(), event.timestamp).is_none();
            if is_new && self.wanted.fits(&event) {
                new.push(event);
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
    fn a_pattern_finds_a_text_in_plain_lines_and_in_json() {
        let pattern = |text: &str| Wanted { message: Some(text.to_owned()), ..Wanted::default() }.pattern();
        for (text, term) in [
            ("slow", Some("\"slow\"")),
            ("a \"quoted\" word", Some("\"quoted\"")),
            ("C:\\compilers\\gcc", Some("\"compilers\"")),
            ("two\nlines", Some("\"lines\"")),
            ("\" \"", None),
            ("", None),
        ] {
            assert_eq!(pattern(text).as_deref(), term, "{text}");
        }
        let id = |request: Option<&str>, trace: Option<&str>| {
            let [request, trace] = [request, trace].map(|id| id.map(str::to_owned));
            Wanted { request, trace, ..Wanted::default() }.pattern()
        };
        assert_eq!(id(Some("r-1"), None).as_deref(), Some("\"r-1\""));
        assert_eq!(id(None, Some("1-2-3")).as_deref(), Some("\"1-2-3\""));
        let level = |level| Wanted { level: Some(level), ..Wanted::default() }.pattern();
        let expected = "?ERROR ?WARN ?panicked ?\"fatal runtime error\" ?\"error:\"";
        assert_eq!(level(Level::Warn).as_deref(), Some(expected));
        assert_eq!(level(Level::Info), None, "almost everything would fit");
    }

    #[test]
    fn only_what_is_wanted_fits() {
        let request = Wanted { request: Some("r-1".to_owned()), ..Wanted::default() };
        let trace = Wanted { trace: Some("1-2-3".to_owned()), ..Wanted::default() };
        let said = Wanted { message: Some("slow".to_owned()), ..Wanted::default() };
        let warn = Wanted { level: Some(Level::Warn), ..Wanted::default() };
        for (wanted, message, fits) in [
            (&request, r#"{"level":"INFO","request.id":"r-1"}"#, true),
            (&request, r#"{"level":"INFO","span":{"request.id":"r-1"}}"#, true),
            (&request, r#"{"level":"INFO","request.id":"r-12","note":"r-1"}"#, false),
            (&request, "thread panicked in r-1", true),
            (&request, "thread panicked", false),
            (&trace, r#"{"trace.id":"1-2-3","request.id":"r-1"}"#, true),
            (&trace, r#"{"span":{"trace.id":"1-2-3"}}"#, true),
            (&trace, r#"{"trace.id":"1-2-4","note":"1-2-3"}"#, false),
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
        fn a_term_is_in_a_line_however_the_line_writes_it(text in ".*|[a-c\"\\\\ \n]*") {
            let Some(term) = term(&text) else { return Ok(()) };
            let inner = &term[1..term.len() - 1];
            proptest::prop_assert!(!inner.contains('"') && !inner.contains('\\'));
            let json = serde_json::json!({ "message": text }).to_string();
            proptest::prop_assert!(text.contains(inner) && json.contains(inner), "{}", json);
        }

        #[test]
        fn no_event_is_too_odd(message: String) {
            let wanted = Wanted { request: Some("r".to_owned()), level: Some(Level::Warn), ..Wanted::default() };
            let _fits = wanted.fits(&event(&message));
        }
    }
}
