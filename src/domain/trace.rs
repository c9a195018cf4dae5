//! The trace that a request is part of, as X-Ray writes it: in the balancer's header and beside a queue's message.
//!
//! `Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1`. The root without its version and dashes
//! is what OpenTelemetry calls the trace's id. The text comes from anybody: what makes no sense is no trace.

use std::fmt;
use std::num::{NonZeroU64, NonZeroU128};
use std::time::{Duration, SystemTime};

/// The HTTP header that carries it, in lower case.
pub const HEADER: &str = "x-amzn-trace-id";

/// Bytes of the longest text that is read. What Amazon's services write has some hundred; the lineage of a long chain of
/// functions comes on top.
const LONGEST: usize = 512;
/// What every root begins with: the version of its form.
const VERSION: &str = "1-";
/// Millionths in a whole.
const MILLION: u64 = 1_000_000;

/// Which trace: 16 bytes, of which the first four are the second of its birth since 1970 and the rest is random. Never
/// zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId(NonZeroU128);

/// Which span of a trace: 8 random bytes, never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId(NonZeroU64);

/// What travels with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    /// Which trace.
    pub id: TraceId,
    /// The span of whoever sent the request on, if there is one.
    pub parent: Option<SpanId>,
    /// Whether the trace is recorded, where that is decided.
    pub sampled: Option<bool>,
}

/// Which traces are recorded of those about which nobody has decided. The decision follows from the trace's id, so that
/// everybody with the same share decides alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sampling {
    millionths: u32,
}

/// A request's place in its trace, here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traced {
    /// What came with it, and what has been decided since.
    pub context: TraceContext,
    /// The span that is recorded of it here, if one is.
    pub span: Option<SpanId>,
}

impl TraceId {
    /// A new one, for a trace that begins at this time.
    pub fn mint(now: SystemTime) -> Self {
        let seconds = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
        let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
        let number = u128::from(seconds) << 96 | fastrand::u128(1..1 << 96);
        Self(NonZeroU128::new(number).unwrap_or(NonZeroU128::MIN))
    }

    /// Reads a root, such as `1-5759e988-bd862e3fe1be46a994272793`.
    pub fn parse(root: &str) -> Option<Self> {
        let (seconds, random) = root.strip_prefix(VERSION)?.split_once('-')?;
        let (seconds, random) = (hex(seconds, 8)?, hex(random, 24)?);
        NonZeroU128::new(seconds << 96 | random).map(Self)
    }

    /// As OpenTelemetry writes it: 32 hexadecimal digits.
    pub fn hex(self) -> String {
        format!("{:032x}", self.0)
    }
}

impl SpanId {
    /// A new one.
    pub fn mint() -> Self {
        Self(NonZeroU64::new(fastrand::u64(1..)).unwrap_or(NonZeroU64::MIN))
    }

    /// Reads 16 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        NonZeroU64::new(u64::try_from(hex(text, 16)?).ok()?).map(Self)
    }

    /// Its 16 hexadecimal digits.
    pub fn hex(self) -> String {
        format!("{:016x}", self.0)
    }
}

impl TraceContext {
    /// Reads a header's value: fields in any order, of which those that are not known are passed over. `None` if there is
    /// no whole root, if a span is no span, or if something is said twice.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > LONGEST {
            return None;
        }
        let (mut id, mut parent, mut sampled) = (None, None, None);
        for field in text.split(';').map(str::trim).filter(|field| !field.is_empty()) {
            let (name, value) = field.split_once('=')?;
            match name {
                "Root" => once(&mut id, TraceId::parse(value)?)?,
                "Parent" => once(&mut parent, SpanId::parse(value)?)?,
                // "?" asks for a decision; whatever else is not known is none either.
                "Sampled" => once(&mut sampled, decision(value))?,
                _ => {}
            }
        }
        Some(Self { id: id?, parent, sampled: sampled.flatten() })
    }
}

impl Sampling {
    /// Records this part of the traces, in millionths.
    pub const fn of(millionths: u32) -> Self {
        Self { millionths }
    }

    /// Whether it records this one.
    fn holds(self, id: TraceId) -> bool {
        // The end of the random part.
        let [.., a, b, c, d] = id.0.get().to_be_bytes();
        u64::from(u32::from_be_bytes([a, b, c, d])) * MILLION < u64::from(self.millionths) << 32
    }
}

impl Traced {
    /// The place of a request that came with this context, if it came with one. Where traces are recorded, others get a
    /// new one, and what is not decided is.
    pub fn begin(
        told: Option<TraceContext>,
        sampling: Option<Sampling>,
        now: impl FnOnce() -> SystemTime,
    ) -> Option<Self> {
        let Some(sampling) = sampling else { return told.map(|context| Self { context, span: None }) };
        let new = || TraceContext { id: TraceId::mint(now()), parent: None, sampled: None };
        let mut context = told.unwrap_or_else(new);
        let sampled = context.sampled.unwrap_or_else(|| sampling.holds(context.id));
        context.sampled = Some(sampled);
        Some(Self { context, span: sampled.then(SpanId::mint) })
    }

    /// What goes on with the request.
    pub fn onward(self) -> TraceContext {
        TraceContext { parent: self.span.or(self.context.parent), ..self.context }
    }
}

/// A number of exactly so many hexadecimal digits.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_hex = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

/// Fills what is empty.
fn once<T>(place: &mut Option<T>, value: T) -> Option<()> {
    place.replace(value).is_none().then_some(())
}

fn decision(text: &str) -> Option<bool> {
    match text {
        "1" => Some(true),
        "0" => Some(false),
        _ => None,
    }
}

impl fmt::Display for TraceId {
    /// As X-Ray shows it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.0.get();
        write!(f, "{VERSION}{:08x}-{:024x}", number >> 96, number & ((1 << 96) - 1))
    }
}

impl fmt::Display for TraceContext {
    /// As it stands in the header.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Root={}", self.id)?;
        if let Some(parent) = self.parent {
            write!(f, ";Parent={:016x}", parent.0)?;
        }
        self.sampled.map_or(Ok(()), |sampled| write!(f, ";Sampled={}", u8::from(sampled)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ROOT: &str = "1-5759e988-bd862e3fe1be46a994272793";

    fn contexts() -> impl Strategy<Value = TraceContext> {
        let ids = (1..=u128::MAX).prop_map(|id| TraceId(NonZeroU128::new(id).unwrap()));
        let spans = (1..=u64::MAX).prop_map(|id| SpanId(NonZeroU64::new(id).unwrap()));
        let parts = (ids, prop::option::of(spans), prop::option::of(any::<bool>()));
        parts.prop_map(|(id, parent, sampled)| TraceContext { id, parent, sampled })
    }

    #[test]
    fn what_amazon_writes_is_read() {
        let root = TraceId::parse(ROOT).unwrap();
        assert_eq!(
            (root.to_string().as_str(), root.hex().as_str()),
            (ROOT, "5759e988bd862e3fe1be46a994272793")
        );
        let parent = SpanId::parse("53995c3f42cd8ad8");
        for (text, parent, sampled) in [
            ("Root={}", None, None),
            ("Root={};Parent=53995c3f42cd8ad8;Sampled=1", parent, Some(true)),
            ("Sampled=0; Parent=53995C3F42CD8AD8 ;Root={}", parent, Some(false)),
            ("Self=1-67891234-12456789abcdef012345678;Root={};CalledFrom=app", None, None),
            ("Root={};Sampled=?;Lineage=25:a87bd80c:1|68fd508a:5", None, None),
            ("Root={};Parent=53995c3f42cd8ad8;Sampled=;", parent, None),
        ] {
            let text = text.replace("{}", ROOT);
            let expected = TraceContext { id: root, parent, sampled };
            assert_eq!(TraceContext::parse(&text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_no_trace() {
        for text in [
            "",
            ";",
            ROOT,
            "Root",
            "Root=",
            "root=1-5759e988-bd862e3fe1be46a994272793",
            "Root=2-5759e988-bd862e3fe1be46a994272793",
            "Root=1-5759e988-bd862e3fe1be46a99427279",
            "Root=1-5759e988-bd862e3fe1be46a9942727930",
            "Root=1-+759e988-bd862e3fe1be46a994272793",
            "Root=1-00000000-000000000000000000000000",
            "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=0000000000000000",
            "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=12",
            "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled",
            "Root=1-5759e988-bd862e3fe1be46a994272793;Root=1-5759e988-bd862e3fe1be46a994272793",
            "Root=1-5759e988-bd862e3fe1be46a99427279\u{e9}",
        ] {
            assert_eq!(TraceContext::parse(text), None, "{text}");
        }
        let long = format!("Root={ROOT};Lineage={}", "x".repeat(LONGEST));
        assert_eq!(TraceContext::parse(&long), None);
    }

    #[test]
    fn a_share_is_kept_and_everybody_decides_alike() {
        let ids: Vec<TraceId> = (0..20_000).map(|_| TraceId::mint(SystemTime::now())).collect();
        for (millionths, least, most) in
            [(0, 0, 0), (50_000, 800, 1200), (500_000, 9_400, 10_600), (1_000_000, 20_000, 20_000)]
        {
            let sampling = Sampling::of(millionths);
            let held: Vec<bool> = ids.iter().map(|id| sampling.holds(*id)).collect();
            let count = held.iter().filter(|held| **held).count();
            assert!((least..=most).contains(&count), "{count} of 20,000 for {millionths}");
            assert!(ids.iter().zip(held).all(|(id, held)| Sampling::of(millionths).holds(*id) == held));
        }
    }

    #[test]
    fn a_new_trace_knows_when_it_was_born() {
        let id = TraceId::mint(SystemTime::UNIX_EPOCH + Duration::from_secs(0x5759_e988));
        assert!(id.to_string().starts_with("1-5759e988-"), "{id}");
        assert_ne!(id, TraceId::mint(SystemTime::now()));
        assert!(TraceId::mint(SystemTime::UNIX_EPOCH - Duration::from_secs(1)).hex().starts_with("00000000"));
    }

    #[test]
    fn where_nothing_is_recorded_what_came_goes_on() {
        let told = TraceContext::parse(&format!("Root={ROOT};Parent=53995c3f42cd8ad8"));
        let traced = Traced::begin(told, None, SystemTime::now).unwrap();
        assert_eq!((traced.span, Some(traced.onward())), (None, told));
        assert_eq!(Traced::begin(None, None, || panic!("nobody needs the time")), None);
    }

    #[test]
    fn where_traces_are_recorded_the_header_has_the_word_before_the_share() {
        let all = Some(Sampling::of(1_000_000));
        let none = Some(Sampling::of(0));
        let told =
            |sampled: &str| TraceContext::parse(&format!("Root={ROOT};Parent=53995c3f42cd8ad8{sampled}"));
        for (sampled, sampling, recorded) in [
            ("", all, true),
            ("", none, false),
            (";Sampled=?", all, true),
            (";Sampled=1", none, true),
            (";Sampled=0", all, false),
        ] {
            let traced = Traced::begin(told(sampled), sampling, || panic!("it has a time")).unwrap();
            assert_eq!(traced.span.is_some(), recorded, "{sampled}");
            let onward = traced.onward();
            assert_eq!((onward.id.to_string(), onward.sampled), (ROOT.to_owned(), Some(recorded)));
            // Who is not recorded is nobody's parent.
            let parent = if recorded { traced.span } else { traced.context.parent };
            assert_eq!(onward.parent, parent);
        }
        let new = Traced::begin(None, all, SystemTime::now).unwrap();
        assert!(new.context.parent.is_none() && new.span.is_some());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(context in contexts()) {
            let text = context.to_string();
            prop_assert!(text.len() <= 100);
            prop_assert_eq!(TraceContext::parse(&text), Some(context));
        }

        #[test]
        fn any_text_is_a_trace_that_can_be_written_or_none(text in "(Root|Parent|Sampled|Self|;|=|1-|[0-9a-f]{8}|[0-9a-f]{24}|-|.){0,20}") {
            if let Some(context) = TraceContext::parse(&text) {
                prop_assert_eq!(TraceContext::parse(&context.to_string()), Some(context));
            }
        }
    }
}
