//! The grammar of Compiler Explorer's `*.properties` files.
//!
//! One line, one property. `#` starts a comment anywhere and cannot be escaped; `key=value` splits at the first `=`;
//! `key+=value` appends to a text defined earlier in the same file. Whatever else a line may hold is a [`Problem`]
//! with its place, and the line is skipped.
//!
//! [`Problem`]: crate::compilers::problems::Problem

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use crate::compilers::problems::Problems;

/// Bytes of a value that a complaint repeats.
const LONGEST_QUOTE: usize = 100;

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The file.
    pub file: Arc<Path>,
    /// The 1-based line.
    pub line: u32,
}

/// What a value is, beside its text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    /// Nothing but text.
    Text,
    /// `true`, `yes`, `false` or `no`.
    Flag(bool),
    /// An integer without leading zeros, or a decimal.
    Number(f64),
}

/// One value: its text as written, what that means, and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Property {
    /// The text, blanks trimmed.
    pub text: String,
    /// What the text means.
    pub value: Value,
    /// Where it was written.
    pub origin: Origin,
}

/// The properties of one base name (`c++`, `compiler-explorer`), all layers laid over each other.
#[derive(Debug, Default)]
pub struct Properties {
    entries: HashMap<Box<str>, Property>,
}

impl Properties {
    /// Lays the contents of `file` over what is there already: a key that both have takes the file's value.
    pub fn lay(&mut self, file: &Arc<Path>, contents: &[u8], problems: &mut Problems) {
        let contents = contents.strip_prefix(b"\xef\xbb\xbf").unwrap_or(contents);
        for (line, number) in contents.split(|byte| *byte == b'\n').zip(1..) {
            let origin = Origin { file: Arc::clone(file), line: number };
            if let Err(complaint) = self.read_line(line, &origin) {
                problems.note(&origin, complaint);
            }
        }
    }

    /// Gives `key` the value `text`, whatever it had before.
    pub fn define(&mut self, key: &str, text: &str, origin: &Origin) {
        let property = Property { text: text.to_owned(), value: meaning(key, text), origin: origin.clone() };
        self.entries.insert(Box::from(key), property);
    }

    /// The value of `key`.
    pub fn find(&self, key: &str) -> Option<&Property> {
        self.entries.get(key)
    }

    /// Every key and its value, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Property)> {
        self.entries.iter().map(|(key, property)| (&**key, property))
    }

    fn read_line(&mut self, line: &[u8], origin: &Origin) -> Result<(), String> {
        let line = std::str::from_utf8(line)
            .map_err(|_| "the line is not UTF-8; save the file as UTF-8".to_owned())?;
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            return Ok(());
        }
        let (key, value) =
            line.split_once('=').ok_or_else(|| format!("{} has no `=`; write `key=value`", quote(line)))?;
        let (key, appends) = match key.strip_suffix('+') {
            Some(key) => (key.trim_end(), true),
            None => (key.trim_end(), false),
        };
        if key.is_empty() {
            return Err(format!("{} has no key before the `=`", quote(line)));
        }
        if appends {
            return self.append(key, value, origin);
        }
        self.define(key, value.trim_start(), origin);
        Ok(())
    }

    fn append(&mut self, key: &str, text: &str, origin: &Origin) -> Result<(), String> {
        let earlier = self
            .entries
            .get_mut(key)
            .filter(|earlier| Arc::ptr_eq(&earlier.origin.file, &origin.file))
            .ok_or_else(|| format!("`{key}+=` appends to nothing; write `{key}=` first, in the same file"))?;
        if earlier.value != Value::Text {
            return Err(format!(
                "`{key}+=` appends to {}, which is no text; write it as one value",
                quote(&earlier.text)
            ));
        }
        earlier.text.push_str(text);
        Ok(())
    }
}

/// A value as a complaint shows it: in back quotes, cut at [`LONGEST_QUOTE`].
pub fn quote(text: &str) -> String {
    let end = text.floor_char_boundary(LONGEST_QUOTE);
    let dots = if end < text.len() { "..." } else { "" };
    format!("`{}{dots}`", text[..end].escape_debug())
}

/// An assignment as a complaint shows it.
pub fn assignment(key: &str, text: &str) -> String {
    quote(&format!("{key}={text}"))
}

/// What `text` means as the value of `key`. A version such as `12.10` must stay the text it is.
fn meaning(key: &str, text: &str) -> Value {
    if key.ends_with(".version") || key.ends_with(".semver") {
        return Value::Text;
    }
    match text {
        "true" | "yes" => Value::Flag(true),
        "false" | "no" => Value::Flag(false),
        _ if is_number(text) => text.parse().map_or(Value::Text, Value::Number),
        _ => Value::Text,
    }
}

/// `-?(0|[1-9][0-9]*)` or `-?[0-9]*\.[0-9]+`
fn is_number(text: &str) -> bool {
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let text = text.strip_prefix('-').unwrap_or(text);
    match text.split_once('.') {
        Some((whole, fraction)) => digits(whole) && digits(fraction) && !fraction.is_empty(),
        None => digits(text) && (text == "0" || !text.starts_with('0')) && !text.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(name: &str) -> Arc<Path> {
        Arc::from(Path::new(name))
    }

    fn read(contents: &[u8]) -> (Properties, Vec<String>) {
        let mut properties = Properties::default();
        let mut problems = Problems::default();
        properties.lay(&file("f"), contents, &mut problems);
        (properties, problems.into_vec().iter().map(ToString::to_string).collect())
    }

    fn text_of(contents: &str, key: &str) -> Option<String> {
        let (properties, problems) = read(contents.as_bytes());
        assert_eq!(problems, [""; 0], "{contents:?}");
        properties.find(key).map(|property| property.text.clone())
    }

    #[test]
    fn key_value_is_split_at_the_first_equals_sign_and_blank_trimmed() {
        for (line, value) in [
            ("k=v", "v"),
            ("  k  =  v  ", "v"),
            ("\tk\t=\tv\t\r", "v"),
            ("k=a=b", "a=b"),
            ("k=a+=b", "a+=b"),
            ("k=", ""),
            ("k==", "="),
            ("k=two words", "two words"),
            ("\u{feff}k=v", "v"),
        ] {
            assert_eq!(text_of(line, "k").as_deref(), Some(value), "{line:?}");
        }
    }

    #[test]
    fn hash_starts_a_comment_anywhere() {
        for line in ["k=v#c", "k=v # c", "#k=w\nk=v", "   # k=w\nk=v", "k=v##", "k=v#=#"] {
            assert_eq!(text_of(line, "k").as_deref(), Some("v"), "{line:?}");
        }
        assert_eq!(text_of("k=#v", "k").as_deref(), Some(""));
        assert_eq!(text_of("#k=v", "k"), None);
        assert_eq!(text_of("\n\n  \n\t\r\n", ""), None);
    }

    #[test]
    fn plus_equals_appends_keeping_leading_blanks() {
        assert_eq!(text_of("k=a\nk+=b", "k").as_deref(), Some("ab"));
        assert_eq!(text_of("k=a\nk+=  b  \nk +=:c", "k").as_deref(), Some("a  b:c"));
        assert_eq!(text_of("k=a\nk+=\nk+=b#c", "k").as_deref(), Some("ab"));
        assert_eq!(text_of("k=\nk+=12\nk+=3", "k").as_deref(), Some("123"));
        assert_eq!(read(b"k=\nk+=12").0.find("k").unwrap().value, Value::Text);
    }

    #[test]
    fn plus_equals_needs_a_text_defined_earlier_in_the_same_file() {
        let (properties, problems) = read(b"k+=b\nn=5\nn+=6\n");
        assert!(properties.find("k").is_none());
        assert_eq!(properties.find("n").unwrap().text, "5");
        assert_eq!(
            problems,
            [
                "f:1: `k+=` appends to nothing; write `k=` first, in the same file",
                "f:3: `n+=` appends to `5`, which is no text; write it as one value",
            ]
        );

        let mut layered = Properties::default();
        let mut problems = Problems::default();
        layered.lay(&file("low"), b"k=a", &mut problems);
        layered.lay(&file("high"), b"k+=b", &mut problems);
        assert_eq!(layered.find("k").unwrap().text, "a");
        assert_eq!(problems.into_vec()[0].file, file("high"));
    }

    #[test]
    fn a_higher_layer_and_a_later_line_win_and_keep_their_origin() {
        let mut properties = Properties::default();
        let mut problems = Problems::default();
        properties.lay(&file("low"), b"a=1\nb=2\n", &mut problems);
        properties.lay(&file("high"), b"\n# c\nb=3\nb=4\n", &mut problems);
        assert_eq!(properties.find("a").unwrap().origin, Origin { file: file("low"), line: 1 });
        let b = properties.find("b").unwrap();
        assert_eq!((b.text.as_str(), &b.origin), ("4", &Origin { file: file("high"), line: 4 }));
        assert_eq!(properties.iter().count(), 2);
    }

    #[test]
    fn values_are_typed_except_versions() {
        let number = Value::Number;
        for (text, want) in [
            ("true", Value::Flag(true)),
            ("yes", Value::Flag(true)),
            ("false", Value::Flag(false)),
            ("no", Value::Flag(false)),
            ("True", Value::Text),
            ("yes!", Value::Text),
            ("0", number(0.0)),
            ("12", number(12.0)),
            ("-12", number(-12.0)),
            ("-0", number(0.0)),
            ("012", Value::Text),
            ("00", Value::Text),
            ("12.5", number(12.5)),
            ("-12.5", number(-12.5)),
            (".5", number(0.5)),
            ("01.5", number(1.5)),
            ("5.", Value::Text),
            (".", Value::Text),
            ("-", Value::Text),
            ("--1", Value::Text),
            ("+1", Value::Text),
            ("1e3", Value::Text),
            ("1.2.3", Value::Text),
            ("12a", Value::Text),
            ("a.1", Value::Text),
            ("1.a", Value::Text),
            ("inf", Value::Text),
            ("", Value::Text),
        ] {
            assert_eq!(meaning("k", text), want, "{text:?}");
            assert_eq!(meaning("c.x.version", text), Value::Text, "{text:?}");
            assert_eq!(meaning("c.x.semver", text), Value::Text, "{text:?}");
        }
        assert_eq!(meaning("version", "12"), number(12.0));
        assert_eq!(meaning("xsemver", "12"), number(12.0));
    }

    #[test]
    fn a_bad_line_is_reported_and_skipped() {
        let (properties, problems) = read(b"a=1\nno equals\n=v\n +=v\nb=\xff\nc=3");
        assert_eq!(properties.iter().count(), 2);
        assert_eq!(properties.find("c").unwrap().origin.line, 6);
        assert_eq!(
            problems,
            [
                "f:2: `no equals` has no `=`; write `key=value`",
                "f:3: `=v` has no key before the `=`",
                "f:4: `+=v` has no key before the `=`",
                "f:5: the line is not UTF-8; save the file as UTF-8",
            ]
        );
    }

    #[test]
    fn a_quote_is_short_and_harmless() {
        assert_eq!(quote("a\u{1b}[0m"), "`a\\u{1b}[0m`");
        assert_eq!(quote(&"x".repeat(100)), format!("`{}`", "x".repeat(100)));
        assert_eq!(quote(&"x".repeat(101)), format!("`{}...`", "x".repeat(100)));
        assert_eq!(quote(&"\u{e9}".repeat(51)), format!("`{}...`", "\u{e9}".repeat(50)));
        assert_eq!(quote(&format!("{}\u{e9}", "x".repeat(99))), format!("`{}...`", "x".repeat(99)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(contents in prop::collection::vec(any::<u8>(), 0..400)) {
            let (properties, _) = read(&contents);
            for (key, property) in properties.iter() {
                prop_assert!(!key.is_empty());
                prop_assert_eq!(key.trim(), key);
                prop_assert!(!key.contains(['=', '#', '\n']));
                prop_assert!(!property.text.contains(['#', '\n']));
                prop_assert!(property.origin.line >= 1);
            }
        }

        #[test]
        fn what_looks_like_a_file_is_read_line_by_line(contents in "([ab]{0,2} ?\\+?={0,2}[ 0-9.#a\u{e9}\u{1f600}\0\r\u{1b}]{0,4}\n){0,30}") {
            let (properties, problems) = read(contents.as_bytes());
            prop_assert!(properties.iter().count() + problems.len() <= contents.lines().count());
        }

        #[test]
        fn a_written_property_is_read_back(key in "[a-z&.]{1,20}[a-z]", value in "[a-z&:./ -]{0,40}") {
            let text = text_of(&format!("{key}={value}"), &key);
            prop_assert_eq!(text.as_deref(), Some(value.trim()));
        }
    }
}
