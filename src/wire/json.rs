//! A strict JSON reader: pulls values straight out of the text, builds no tree, and refuses what two parsers could
//! read differently (a repeated member, a lone surrogate, a number out of range, anything after the end).

use std::borrow::Cow;
use std::collections::HashSet;

use super::scan;

/// Deepest nesting accepted. Real requests are four deep.
pub(super) const DEEPEST: u32 = 64;
/// Most members of one object; real ones have a few dozen. Bounds what the search for repeated names remembers.
pub(super) const MOST_MEMBERS: usize = 4096;
/// The same in a result: a listing of 100 MB has a label in every fourth line or so.
const MOST_LABELS: usize = 1 << 21;
/// Up to here a repeated name is looked for by comparing; beyond, by hashing.
const FEW_MEMBERS: usize = 16;

/// Why a text is not JSON that we accept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Bytes that are no UTF-8.
    #[error("the JSON is not valid UTF-8 at byte {0}")]
    Encoding(usize),
    /// A byte order mark.
    #[error("the JSON begins with a byte order mark")]
    ByteOrderMark,
    /// Broken syntax.
    #[error("invalid JSON at byte {at}: expected {expected}")]
    Syntax {
        /// Where.
        at: usize,
        /// What should stand there.
        expected: &'static str,
    },
    /// A number no double can hold.
    #[error("invalid JSON at byte {0}: the number is out of range")]
    Range(usize),
    /// Half a surrogate pair.
    #[error("invalid JSON at byte {0}: lone surrogate")]
    Surrogate(usize),
    /// More nesting than [`DEEPEST`].
    #[error("invalid JSON at byte {0}: nested deeper than {DEEPEST} levels")]
    Depth(usize),
    /// The same member twice in one object.
    #[error("invalid JSON: the member {0:?} occurs twice in one object")]
    Duplicate(String),
    /// More members in one object than it may have.
    #[error("invalid JSON at byte {0}: an object with too many members")]
    Members(usize),
}

/// What kind of value comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    Bool,
    Number,
    String,
    Array,
    Object,
}

/// A place in a JSON text.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: u32,
    /// Most members of one object.
    most: usize,
    /// Whether half a surrogate pair stands for the replacement character.
    mends: bool,
}

/// The names seen in one object.
#[derive(Default)]
struct Names<'a> {
    few: Vec<Cow<'a, str>>,
    many: HashSet<Cow<'a, str>>,
}

impl<'a> Reader<'a> {
    /// Starts at the beginning of `bytes`.
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self, JsonError> {
        let text = std::str::from_utf8(bytes).map_err(|error| JsonError::Encoding(error.valid_up_to()))?;
        if text.starts_with('\u{feff}') {
            return Err(JsonError::ByteOrderMark);
        }
        Ok(Self { text, at: 0, depth: 0, most: MOST_MEMBERS, mends: false })
    }

    /// The same for a result, in which an object may have a member for each label of a listing, and a worker in
    /// JavaScript may have cut a text in the middle of a character.
    pub(super) fn of_result(bytes: &'a [u8]) -> Result<Self, JsonError> {
        Ok(Self { most: MOST_LABELS, mends: true, ..Self::new(bytes)? })
    }

    /// The kind of the value that comes next.
    pub(super) fn kind(&mut self) -> Result<Kind, JsonError> {
        match self.peek() {
            Some(b'n') => Ok(Kind::Null),
            Some(b't' | b'f') => Ok(Kind::Bool),
            Some(b'-' | b'0'..=b'9') => Ok(Kind::Number),
            Some(b'"') => Ok(Kind::String),
            Some(b'[') => Ok(Kind::Array),
            Some(b'{') => Ok(Kind::Object),
            _ => Err(self.expected("a value")),
        }
    }

    /// Reads `null`.
    pub(super) fn null(&mut self) -> Result<(), JsonError> {
        self.word("null")
    }

    /// Reads `true` or `false`.
    pub(super) fn bool(&mut self) -> Result<bool, JsonError> {
        let value = self.peek() == Some(b't');
        self.word(if value { "true" } else { "false" })?;
        Ok(value)
    }

    /// Reads a number.
    pub(super) fn number(&mut self) -> Result<f64, JsonError> {
        self.peek();
        let start = self.at;
        self.eat(b'-');
        if !self.eat(b'0') {
            self.digits()?;
        }
        if self.eat(b'.') {
            self.digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            if !self.eat(b'+') {
                self.eat(b'-');
            }
            self.digits()?;
        }
        match self.text[start..self.at].parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(number),
            _ => Err(JsonError::Range(start)),
        }
    }

    /// Reads a string; copies only if it has escapes.
    pub(super) fn string(&mut self) -> Result<Cow<'a, str>, JsonError> {
        self.token(b'"', "a string")?;
        let start = self.at;
        self.at += scan::plain(self.rest());
        if self.eat(b'"') {
            return Ok(Cow::Borrowed(&self.text[start..self.at - 1]));
        }
        let mut unescaped = String::with_capacity(2 * (self.at - start) + 16);
        unescaped.push_str(&self.text[start..self.at]);
        loop {
            if self.eat(b'"') {
                return Ok(Cow::Owned(unescaped));
            }
            if !self.eat(b'\\') {
                return Err(self.expected("a closing quote, or the control character escaped"));
            }
            unescaped.push(self.escape()?);
            let start = self.at;
            self.at += scan::plain(self.rest());
            unescaped.push_str(&self.text[start..self.at]);
        }
    }

    /// Reads an object, giving each member's name, and the reader at its value, to `each`.
    pub(super) fn object<E: From<JsonError>>(
        &mut self,
        mut each: impl FnMut(&mut Self, &str) -> Result<(), E>,
    ) -> Result<(), E> {
        self.enter(b'{', "an object")?;
        let mut names = Names::default();
        if self.peek() != Some(b'}') {
            loop {
                self.peek();
                let at = self.at;
                let name = self.string()?;
                self.token(b':', "a colon")?;
                each(self, &name)?;
                names.add(name, at, self.most)?;
                if self.peek() != Some(b',') {
                    break;
                }
                self.at += 1;
            }
        }
        self.depth -= 1;
        Ok(self.token(b'}', "a comma or a closing brace")?)
    }

    /// Reads an array, giving each element's index, and the reader at it, to `each`.
    pub(super) fn array<E: From<JsonError>>(
        &mut self,
        mut each: impl FnMut(&mut Self, usize) -> Result<(), E>,
    ) -> Result<(), E> {
        self.enter(b'[', "an array")?;
        if self.peek() != Some(b']') {
            for index in 0.. {
                each(self, index)?;
                if self.peek() != Some(b',') {
                    break;
                }
                self.at += 1;
            }
        }
        self.depth -= 1;
        Ok(self.token(b']', "a comma or a closing bracket")?)
    }

    /// Reads a value of any kind and forgets it; it must be valid all the same.
    pub(super) fn skip(&mut self) -> Result<(), JsonError> {
        match self.kind()? {
            Kind::Null => self.null(),
            Kind::Bool => self.bool().map(drop),
            Kind::Number => self.number().map(drop),
            Kind::String => self.string().map(drop),
            Kind::Array => self.array(|reader, _| reader.skip()),
            Kind::Object => self.object(|reader, _| reader.skip()),
        }
    }

    /// Reads a value of any kind, and gives its text as it stands.
    pub(super) fn raw(&mut self) -> Result<&'a str, JsonError> {
        self.peek();
        let start = self.at;
        self.skip()?;
        Ok(&self.text[start..self.at])
    }

    /// Nothing but white space may follow.
    pub(super) fn end(&mut self) -> Result<(), JsonError> {
        if self.peek().is_none() { Ok(()) } else { Err(self.expected("nothing more")) }
    }

    fn rest(&self) -> &'a [u8] {
        &self.text.as_bytes()[self.at..]
    }

    /// Skips white space and shows the byte after it.
    fn peek(&mut self) -> Option<u8> {
        let rest = self.rest();
        let blank =
            rest.iter().position(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).unwrap_or(rest.len());
        self.at += blank;
        rest.get(blank).copied()
    }

    fn expected(&self, expected: &'static str) -> JsonError {
        JsonError::Syntax { at: self.at, expected }
    }

    /// Takes `byte` if it stands right here.
    fn eat(&mut self, byte: u8) -> bool {
        let there = self.rest().first() == Some(&byte);
        self.at += usize::from(there);
        there
    }

    fn token(&mut self, byte: u8, name: &'static str) -> Result<(), JsonError> {
        self.peek();
        if self.eat(byte) { Ok(()) } else { Err(self.expected(name)) }
    }

    fn word(&mut self, word: &'static str) -> Result<(), JsonError> {
        self.peek();
        if !self.rest().starts_with(word.as_bytes()) {
            return Err(self.expected(word));
        }
        self.at += word.len();
        Ok(())
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let digits = self.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += digits;
        if digits == 0 { Err(self.expected("a digit")) } else { Ok(()) }
    }

    fn enter(&mut self, bracket: u8, name: &'static str) -> Result<(), JsonError> {
        self.token(bracket, name)?;
        if self.depth == DEEPEST {
            return Err(JsonError::Depth(self.at - 1));
        }
        self.depth += 1;
        Ok(())
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        let start = self.at - 1;
        let letter = self.rest().first().copied();
        self.at += 1;
        let unit = match letter {
            Some(plain @ (b'"' | b'\\' | b'/')) => return Ok(char::from(plain)),
            Some(b'b') => return Ok('\u{8}'),
            Some(b'f') => return Ok('\u{c}'),
            Some(b'n') => return Ok('\n'),
            Some(b'r') => return Ok('\r'),
            Some(b't') => return Ok('\t'),
            Some(b'u') => self.unit()?,
            _ => return Err(JsonError::Syntax { at: start, expected: "a known escape" }),
        };
        let scalar = match unit {
            0xd800..=0xdbff => {
                let next = self.at;
                let low = if self.eat(b'\\') && self.eat(b'u') { self.unit()? } else { 0 };
                if (0xdc00..=0xdfff).contains(&low) {
                    0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00)
                } else {
                    // Whatever follows is read for itself.
                    self.at = next;
                    unit
                }
            }
            other => other,
        };
        match char::from_u32(scalar) {
            None if self.mends => Ok(char::REPLACEMENT_CHARACTER),
            read => read.ok_or(JsonError::Surrogate(start)),
        }
    }

    /// Four hexadecimal digits.
    fn unit(&mut self) -> Result<u32, JsonError> {
        let mut unit = 0;
        for &byte in self.rest().get(..4).ok_or_else(|| self.expected("four hexadecimal digits"))? {
            let digit =
                char::from(byte).to_digit(16).ok_or_else(|| self.expected("four hexadecimal digits"))?;
            unit = unit * 16 + digit;
        }
        self.at += 4;
        Ok(unit)
    }
}

impl<'a> Names<'a> {
    fn add(&mut self, name: Cow<'a, str>, at: usize, most: usize) -> Result<(), JsonError> {
        if self.many.is_empty() {
            if self.few.contains(&name) {
                return Err(JsonError::Duplicate(name.into_owned()));
            }
            self.few.push(name);
            if self.few.len() > FEW_MEMBERS {
                self.many.extend(self.few.drain(..));
            }
            return Ok(());
        }
        if self.many.len() >= most {
            return Err(JsonError::Members(at));
        }
        match self.many.replace(name) {
            Some(twice) => Err(JsonError::Duplicate(twice.into_owned())),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn valid(text: &[u8]) -> Result<(), JsonError> {
        let mut reader = Reader::new(text)?;
        reader.skip()?;
        reader.end()
    }

    fn read(reader: &mut Reader<'_>) -> Result<Value, JsonError> {
        Ok(match reader.kind()? {
            Kind::Null => reader.null().map(|()| Value::Null)?,
            Kind::Bool => reader.bool()?.into(),
            Kind::Number => reader.number()?.into(),
            Kind::String => reader.string()?.into_owned().into(),
            Kind::Array => {
                let mut all = Vec::new();
                reader.array(|reader, _| read(reader).map(|value| all.push(value)))?;
                all.into()
            }
            Kind::Object => {
                let mut all = serde_json::Map::new();
                reader.object(|reader, name| {
                    read(reader).map(|value| drop(all.insert(name.to_owned(), value)))
                })?;
                all.into()
            }
        })
    }

    #[test]
    fn odd_texts_are_refused_by_name() {
        let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert_eq!(valid(deep(64).as_bytes()), Ok(()));
        assert_eq!(valid(deep(65).as_bytes()), Err(JsonError::Depth(64)));
        assert_eq!(valid("[".repeat(400_000).as_bytes()), Err(JsonError::Depth(64)));
        assert_eq!(valid(b"\xef\xbb\xbf{}"), Err(JsonError::ByteOrderMark));
        assert_eq!(valid(b"\"\xff\""), Err(JsonError::Encoding(1)));
        assert_eq!(valid(b"1e999"), Err(JsonError::Range(0)));
        assert_eq!(valid(br#""\ud800""#), Err(JsonError::Surrogate(1)));
        assert_eq!(valid(br#""\udc00""#), Err(JsonError::Surrogate(1)));
        assert_eq!(valid(br#""\ud800\u0041""#), Err(JsonError::Surrogate(1)));
        for (text, mended) in [
            (r#""a\ud83d""#, "a\u{fffd}"),
            (r#""\ude00b""#, "\u{fffd}b"),
            (r#""\ud83d\u0041""#, "\u{fffd}A"),
            (r#""\ud83d\ud83d\ude00""#, "\u{fffd}\u{1f600}"),
            (r#""\ud83d\n""#, "\u{fffd}\n"),
        ] {
            assert_eq!(Reader::of_result(text.as_bytes()).unwrap().string().unwrap(), mended, "{text}");
        }
        assert!(Reader::of_result(br#""\ud83d\u00""#).unwrap().string().is_err());
        assert_eq!(valid(br#"{"a":1,"b":{"c":1,"\u0063":2}}"#), Err(JsonError::Duplicate("c".to_owned())));
        for text in [
            "",
            "{",
            "{}x",
            "[1,]",
            "{\"a\":1,}",
            "{a:1}",
            "01",
            "+1",
            "1.",
            ".5",
            "'a'",
            "nul",
            "\"\n\"",
            "NaN",
        ] {
            assert!(matches!(valid(text.as_bytes()), Err(JsonError::Syntax { .. })), "{text}");
        }
        for text in ["0", "-0.5e+10", " [ ] ", "{ \"\" : null }", "\"\\u00e9\\ud83d\\ude00\\/\"", "\u{a0}"] {
            assert_eq!(valid(text.as_bytes()).is_ok(), !text.starts_with('\u{a0}'), "{text}");
        }
    }

    #[test]
    fn many_members_are_bounded_and_still_compared() {
        let object = |names: &mut dyn Iterator<Item = usize>| {
            format!("{{{}}}", names.map(|n| format!("\"k{n}\":0")).collect::<Vec<_>>().join(","))
        };
        assert_eq!(valid(object(&mut (0..MOST_MEMBERS)).as_bytes()), Ok(()));
        assert!(matches!(valid(object(&mut (0..=MOST_MEMBERS)).as_bytes()), Err(JsonError::Members(_))));
        let twice = object(&mut (0..100).chain([3]));
        assert_eq!(valid(twice.as_bytes()), Err(JsonError::Duplicate("k3".to_owned())));
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _answered = valid(&bytes).is_ok();
        }

        /// Whatever we accept, the reference parser accepts, and reads the same.
        #[test]
        fn agrees_with_serde_json(text in r#"[\[\]{}:,"\\ unltrefas0-9.eE\-\PC]{0,24}"#) {
            let mut reader = Reader::new(text.as_bytes()).unwrap();
            if let Ok(value) = read(&mut reader).and_then(|value| reader.end().map(|()| value)) {
                prop_assert_eq!(value.to_string(), floats(serde_json::from_str(&text).unwrap()).to_string());
            }
        }

        #[test]
        fn strings_survive(text in "\\PC*", control in "[\u{0}-\u{1f}\"\\\\]{0,5}") {
            let text = format!("{control}{text}{control}");
            let json = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(Reader::new(json.as_bytes()).unwrap().string().unwrap(), text);
        }
    }

    fn floats(value: Value) -> Value {
        match value {
            Value::Number(number) => number.as_f64().unwrap().into(),
            Value::Array(all) => all.into_iter().map(floats).collect(),
            Value::Object(all) => all.into_iter().map(|(name, value)| (name, floats(value))).collect(),
            other => other,
        }
    }
}
