//! Kinds of values: how each is read from text, shown again, and what to say when it cannot be read.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::domain::limits::MIB;
use crate::doors::http::{Network, NetworkError};
use crate::ports::QueueAddress;
use crate::publish::{Outlet, OutletError};
use crate::routing::queue_url;
use crate::sandbox::Mode;
use crate::telemetry::log;

/// A value as some layer gave it, before anybody knows what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Raw {
    /// One text. Lists are separated by commas.
    One(String),
    /// A list from a place that can say so.
    Many(Vec<String>),
}

/// How a value is given on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// `--key VALUE`
    One,
    /// `--key`, or `--key=false`
    Switch,
    /// `--key VALUE...`
    Many,
}

/// Why a text is not a value, and what would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// What is wrong, to be read after a colon.
    pub what: String,
    /// What to write instead.
    pub fix: String,
}

/// A kind of value.
pub trait Value: Sized {
    /// What a value looks like, for help and for errors.
    const LOOKS: &'static str;
    /// What stands for it in usage lines.
    const NOUN: &'static str;
    /// How it is given on the command line.
    const SHAPE: Shape = Shape::One;

    /// Reads a value.
    fn read(raw: &Raw) -> Result<Self, Wrong>;

    /// The text that [`Self::read`] reads as this value.
    fn show(&self) -> String;
}

/// A number of bytes. Reading one requires a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

/// A part of a whole, in millionths. Reading one requires a percent sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u32);

const DURATIONS: [(&str, u64); 4] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)];
const SIZES: [(&str, u64); 4] = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

impl fmt::Display for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(text) => f.write_str(text),
            Self::Many(texts) => f.write_str(&texts.join(",")),
        }
    }
}

impl Raw {
    fn one(&self) -> Result<&str, Wrong> {
        match self {
            Self::One(text) => Ok(text.trim()),
            Self::Many(_) => {
                Err(Wrong::new("takes one value, not a list", "write the value without brackets"))
            }
        }
    }

    fn many(&self) -> Vec<&str> {
        let texts: Vec<&str> = match self {
            Self::One(text) => text.split(',').collect(),
            Self::Many(texts) => texts.iter().map(String::as_str).collect(),
        };
        texts.into_iter().map(str::trim).filter(|text| !text.is_empty()).collect()
    }
}

impl Wrong {
    fn new(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { what: what.into(), fix: fix.into() }
    }
}

impl Value for Duration {
    const LOOKS: &'static str = "a duration such as 500ms, 30s, 5m or 1h";
    const NOUN: &'static str = "DURATION";

    fn read(raw: &Raw) -> Result<Self, Wrong> {
        let text = raw.one()?;
        measured(text, &DURATIONS, "a duration", ("30s", "s")).map(Self::from_millis)
    }

    fn show(&self) -> String {
        // Seconds at most: 60s and 75s compare at a glance, 1m and 75s do not.
        show_measured(u64::try_from(self.as_millis()).unwrap_or(u64::MAX), &DURATIONS[..2], "s")
    }
}

impl Value for ByteSize {
    const LOOKS: &'static str = "a size such as 512B, 64KiB, 64MiB or 2GiB";
    const NOUN: &'static str = "SIZE";

    fn read(raw: &Raw) -> Result<Self, Wrong> {
        let text = raw.one()?;
        measured(text, &SIZES, "a size", ("64MiB", "MiB")).map(Self)
    }

    fn show(&self) -> String {
        show_measured(self.0, &SIZES, "B")
    }
}

impl ByteSize {
    /// The number of bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// The same in whole mebibytes, as people like to read it.
    #[must_use]
    pub const fn rounded(self) -> Self {
        Self(self.0 / MIB * MIB)
    }
}

/// Millionths in one percent.
const PERCENT: u32 = 10_000;

impl Value for Share {
    const LOOKS: &'static str = "a percentage such as 100%, 1% or 0.5%";
    const NOUN: &'static str = "PERCENT";

    fn read(raw: &Raw) -> Result<Self, Wrong> {
        let text = raw.one()?;
        let Some(number) = text.strip_suffix('%') else {
            return Err(Wrong::new("a share needs a percent sign", format!("write {text}%")));
        };
        let wrong = || Wrong::new("is no share of a whole", "write a number from 0% to 100%, such as 0.5%");
        let (whole, part) = number.trim().split_once('.').unwrap_or((number.trim(), "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(part) || part.len() > 4 {
            return Err(wrong());
        }
        let whole: u32 = whole.parse().map_err(|_| wrong())?;
        let part: u32 = format!("{part:0<4}").parse().map_err(|_| wrong())?;
        let millionths = whole.checked_mul(PERCENT).and_then(|whole| whole.checked_add(part));
        millionths.filter(|millionths| *millionths <= 100 * PERCENT).map(Self).ok_or_else(wrong)
    }

    fn show(&self) -> String {
        let (whole, part) = (self.0 / PERCENT, self.0 % PERCENT);
        let part = format!("{part:04}");
        let part = part.trim_end_matches('0');
        if part.is_empty() { format!("{whole}%") } else { format!("{whole}.{part}%") }
    }
}

impl Share {
    /// In millionths of the whole.
    pub const fn millionths(self) -> u32 {
        self.0
    }

    /// As a fraction, from 0 to 1.
    pub fn fraction(self) -> f64 {
        f64::from(self.0) / f64::from(100 * PERCENT)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.show())
    }
}

impl Value for usize {
    const LOOKS: &'static str = "a whole number";
    const NOUN: &'static str = "NUMBER";

    fn read(raw: &Raw) -> Result<Self, Wrong> {
        whole(raw)
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for u64 {
    const LOOKS: &'static str = "a whole number";
    const NOUN: &'static str = "NUMBER";

    fn read(raw: &Raw) -> Result<Self, Wrong> {
        whole(raw)
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for bool {
    const LOOKS: &'static str = "true or false";
    const NOUN: &'static str = "BOOL";
    const SHAPE: Shape = Shape::Switch;

    fn read(raw: &Raw) -> Result<Self, Wrong> {
        match raw.one()? {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(Wrong::new("is neither true nor false", "write true or false")),
        }
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for SocketAddr {
    const LOOKS: &'static str = "an address such as 127.0.0.1:10240 or [::1]:10240";
    const NOUN: &'static str = "ADDRESS";

    fn read(raw: &Raw) -> Result<Self, Wrong> {
        let text = raw.one()?;
        text.parse().map_err(|_unhelpful| {
            let fix = match text.parse::<u16>() {
                Ok(port) => format!("write 127.0.0.1:{port}, or 0.0.0.0:{port} for every interface"),
                Err(_) => format!("write {}", Self::LOOKS),
            };
            Wrong::new("is not an IP address with a port", fix)
        })
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for String {
    const LOOKS: &'static str = "a text";
    const NOUN: &'static str = "TEXT";

    fn read(raw: &Raw) -> Result<Self, Wrong> {
        raw.one().map(str::to_owned)
    }

    fn show(&self) -> String {
        self.clone()
    }
}

impl Value for Option<String> {
    const LOOKS: &'static str = "a name, or nothing";
    const NOUN: &'static str = "NAME";

    fn read(raw: &Raw) -> Result<Self, Wrong> {
        raw.one().map(|text| Some(text.to_owned()).filter(|text| !text.is_empty()))
    }

    fn show(&self) -> String {
        self.clone().unwrap_or_default()
    }
}

impl Value for Option<PathBuf> {
    const LOOKS: &'static str = "an absolute path, or nothing";
    const NOUN: &'static str = "PATH";

    fn read(raw: &Raw) -> Result<Self, Wrong> {
        match raw.one()? {
            "" => Ok(None),
            text => absolute(text).map(Some),
        }
    }

    fn show(&self) -> String {
        self.as_ref().map(|path| path.display().to_string()).unwrap_or_default()
    }
}

impl Value for Option<QueueAddress> {
    const LOOKS: &'static str = "a queue's name or URL, or nothing";
    const NOUN: &'static str = "QUEUE";

    fn read(raw: &Raw) -> Result<Self, Wrong> {
        let text = raw.one()?;
        let address = QueueAddress::new(text);
        if text.is_empty() {
            return Ok(None);
        }
        if !queue_url::is_name(queue_url::name_of(&address)) {
            let fix = "write a name such as jobs.fifo, or a URL that ends in one";
            return Err(Wrong::new("does not end in the name of a queue", fix));
        }
        Ok(Some(address))
    }

    fn show(&self) -> String {
        self.as_ref().map(ToString::to_string).unwrap_or_default()
    }
}

impl Value for Option<Outlet> {
    const LOOKS: &'static str = "stdout, an address such as tcp://127.0.0.1:25888, or nothing";
    const NOUN: &'static str = "OUTLET";

    fn read(raw: &Raw) -> Result<Self, Wrong> {
        match raw.one()? {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|error: OutletError| {
                Wrong::new(
                    error.to_string(),
                    "write stdout, or tcp:// and the agent's address on this machine",
                )
            }),
        }
    }

    fn show(&self) -> String {
        self.map(|outlet| outlet.to_string()).unwrap_or_default()
    }
}

impl Value for Vec<PathBuf> {
    const LOOKS: &'static str = "paths, separated by commas";
    const NOUN: &'static str = "PATH";
    const SHAPE: Shape = Shape::Many;

    fn read(raw: &Raw) -> Result<Self, Wrong> {
        Ok(raw.many().into_iter().map(PathBuf::from).collect())
    }

    fn show(&self) -> String {
        let paths: Vec<String> = self.iter().map(|path| path.display().to_string()).collect();
        paths.join(",")
    }
}

impl Value for Vec<String> {
    const LOOKS: &'static str = "names, separated by commas";
    const NOUN: &'static str = "NAME";
    const SHAPE: Shape = Shape::Many;

    fn read(raw: &Raw) -> Result<Self, Wrong> {
        Ok(raw.many().into_iter().map(str::to_owned).collect())
    }

    fn show(&self) -> String {
        self.join(",")
    }
}

impl Value for Vec<Network> {
    const LOOKS: &'static str = "blocks of addresses, separated by commas";
    const NOUN: &'static str = "NETWORK";
    const SHAPE: Shape = Shape::Many;

    fn read(raw: &Raw) -> Result<Self, Wrong> {
        let block = |text: &str| {
            text.parse().map_err(|error: NetworkError| {
                Wrong::new(error.to_string(), "write the network's address and the length of its prefix")
            })
        };
        raw.many().into_iter().map(block).collect()
    }

    fn show(&self) -> String {
        let blocks: Vec<String> = self.iter().map(ToString::to_string).collect();
        blocks.join(",")
    }
}

/// One of a few words, for a type that reads and shows itself.
macro_rules! choice {
    ($kind:ty, $looks:literal) => {
        impl Value for $kind {
            const LOOKS: &'static str = $looks;
            const NOUN: &'static str = "CHOICE";

            fn read(raw: &Raw) -> Result<Self, Wrong> {
                let text = raw.one()?;
                text.parse()
                    .map_err(|_unknown| Wrong::new("is not one of the choices", concat!("write ", $looks)))
            }

            fn show(&self) -> String {
                self.to_string()
            }
        }
    };
}

choice!(log::Format, "auto, json or pretty");
choice!(Mode, "jail, strict or none");

fn whole<T: FromStr>(raw: &Raw) -> Result<T, Wrong> {
    let text = raw.one()?;
    let error = |_: T::Err| Wrong::new("is not a whole number that fits", "write digits only, such as 4");
    text.parse().map_err(error)
}

fn absolute(text: &str) -> Result<PathBuf, Wrong> {
    let path = PathBuf::from(text);
    if path.is_absolute() {
        return Ok(path);
    }
    Err(Wrong::new("is not an absolute path", "begin it with /"))
}

/// A whole number with one of `units`, in the smallest of them.
fn measured(text: &str, units: &[(&str, u64)], what: &str, fix: (&str, &str)) -> Result<u64, Wrong> {
    let (example, usual) = fix;
    let end = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = (&text[..end], text[end..].trim_start());
    let names = || units.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    if digits.is_empty() || unit.starts_with(['.', ',']) {
        return Err(Wrong::new(format!("{what} is a whole number with a unit"), format!("write {example}")));
    }
    if unit.is_empty() {
        return Err(Wrong::new(format!("{what} needs a unit"), format!("write {digits}{usual}")));
    }
    let Some((_, factor)) = units.iter().find(|(name, _)| *name == unit) else {
        let fix = format!("use one of {}, as in {digits}{usual}", names());
        return Err(Wrong::new(format!("{unit:?} is no unit of {what}"), fix));
    };
    let number = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(*factor));
    number.ok_or_else(|| Wrong::new(format!("{what} this large does not exist"), format!("write {example}")))
}

/// The shortest exact text: the largest unit that divides the number; zero in the `usual` one.
fn show_measured(number: u64, units: &[(&str, u64)], usual: &str) -> String {
    if number == 0 {
        return format!("0{usual}");
    }
    let exact = units.iter().rev().find(|(_, factor)| number.is_multiple_of(*factor));
    exact.map_or_else(|| number.to_string(), |(name, factor)| format!("{}{name}", number / factor))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(text: &str) -> Raw {
        Raw::One(text.to_owned())
    }

    #[test]
    fn units_are_required_and_the_fix_is_named() {
        for (text, millis) in
            [("500ms", 500), ("30s", 30_000), ("30 s", 30_000), ("5m", 300_000), ("1h", 3_600_000), ("0s", 0)]
        {
            assert_eq!(Duration::read(&one(text)), Ok(Duration::from_millis(millis)), "{text}");
        }
        for (text, bytes) in [("512B", 512), ("64KiB", 65_536), ("1280MiB", 1280 << 20), ("2GiB", 2 << 30)] {
            assert_eq!(ByteSize::read(&one(text)), Ok(ByteSize(bytes)), "{text}");
        }
        let wrong = |raw: &Raw| Duration::read(raw).unwrap_err();
        assert_eq!(wrong(&one("30")), Wrong::new("a duration needs a unit", "write 30s"));
        assert_eq!(wrong(&one("1.5s")), Wrong::new("a duration is a whole number with a unit", "write 30s"));
        assert_eq!(wrong(&one("-1s")), Wrong::new("a duration is a whole number with a unit", "write 30s"));
        assert_eq!(
            wrong(&one("30 sec")),
            Wrong::new("\"sec\" is no unit of a duration", "use one of ms, s, m, h, as in 30s")
        );
        assert_eq!(wrong(&one("99999999999999999999s")).what, "a duration this large does not exist");
        assert_eq!(wrong(&one("18446744073709551615h")).what, "a duration this large does not exist");
        let wrong = |text| ByteSize::read(&one(text)).unwrap_err();
        assert_eq!(wrong("64"), Wrong::new("a size needs a unit", "write 64MiB"));
        assert_eq!(
            wrong("64MB"),
            Wrong::new("\"MB\" is no unit of a size", "use one of B, KiB, MiB, GiB, as in 64MiB")
        );
    }

    #[test]
    fn shares_are_percentages() {
        for (text, millionths, shown) in [
            ("0%", 0, "0%"),
            ("1%", 10_000, "1%"),
            ("0.5 %", 5000, "0.5%"),
            ("12.3400%", 123_400, "12.34%"),
            ("100%", 1_000_000, "100%"),
        ] {
            assert_eq!(Share::read(&one(text)), Ok(Share(millionths)), "{text}");
            assert_eq!(Share(millionths).show(), shown);
        }
        assert_eq!(Share::read(&one("5")).unwrap_err().fix, "write 5%");
        for text in ["101%", "100.0001%", "-1%", "1e2%", ".5%", "5.%", "0.00001%", "%", "99999999999%"] {
            assert_eq!(Share::read(&one(text)).unwrap_err().what, "is no share of a whole", "{text}");
        }
    }

    #[test]
    fn lists_come_from_commas_and_from_lists() {
        let expected = Ok(vec!["a".to_owned(), "b".to_owned()]);
        assert_eq!(Vec::<String>::read(&one("a, b,")), expected);
        assert_eq!(Vec::<String>::read(&Raw::Many(vec!["a".to_owned(), "b".to_owned()])), expected);
        assert_eq!(Vec::<PathBuf>::read(&one("")), Ok(vec![]));
        assert_eq!(
            usize::read(&Raw::Many(vec!["1".to_owned()])).unwrap_err().what,
            "takes one value, not a list"
        );
    }

    #[test]
    fn other_kinds_say_what_they_want() {
        let wrong = SocketAddr::read(&one("10240")).unwrap_err();
        assert_eq!(wrong.fix, "write 127.0.0.1:10240, or 0.0.0.0:10240 for every interface");
        assert!(SocketAddr::read(&one("localhost:1")).is_err());
        assert_eq!(bool::read(&one("yes")).unwrap_err().fix, "write true or false");
        assert_eq!(Mode::read(&one("jial")).unwrap_err().fix, "write jail, strict or none");
        assert_eq!(Option::<PathBuf>::read(&one("x/y")).unwrap_err().fix, "begin it with /");
        assert_eq!(Option::<String>::read(&one("")), Ok(None));
        assert_eq!(Option::<QueueAddress>::read(&one("")), Ok(None));
        for address in ["jobs.fifo", "https://q/1/jobs.fifo"] {
            let read = Option::<QueueAddress>::read(&one(address)).unwrap();
            assert_eq!(read.show(), address);
        }
        for address in ["https://q/1/", "https://q/1/jobs?x=1", "two words"] {
            let wrong = Option::<QueueAddress>::read(&one(address)).unwrap_err();
            assert_eq!(wrong.what, "does not end in the name of a queue", "{address}");
        }
        assert_eq!(u64::read(&one("-1")).unwrap_err().what, "is not a whole number that fits");
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_the_same(number in any::<u64>(), text in "\\PC*") {
            let size = ByteSize(number);
            prop_assert_eq!(ByteSize::read(&one(&size.show())), Ok(size));
            let duration = Duration::from_millis(number);
            prop_assert_eq!(Duration::read(&one(&duration.show())), Ok(duration));
            // Whatever is read shows as something that reads the same, and nothing panics.
            if let Ok(duration) = Duration::read(&one(&text)) {
                prop_assert_eq!(Duration::read(&one(&duration.show())), Ok(duration));
            }
            let share = Share(u32::try_from(number % 1_000_001).unwrap());
            prop_assert_eq!(Share::read(&one(&share.show())), Ok(share));
            let _wrong = Share::read(&one(&text));
            if let Ok(list) = Vec::<String>::read(&one(&text)) {
                prop_assert_eq!(Vec::<String>::read(&one(&list.show())), Ok(list));
            }
        }
    }
}
