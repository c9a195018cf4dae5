//! Query strings and URL-encoded forms.

use std::borrow::Cow;

/// Most fields of one query or form.
const MOST_FIELDS: usize = 1000;

/// Why a text is not a form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// The decoded bytes are no UTF-8.
    #[error("the field at byte {0} is not valid UTF-8")]
    Encoding(usize),
    /// The same name twice.
    #[error("the field {0:?} is given twice")]
    Twice(String),
    /// More than [`MOST_FIELDS`].
    #[error("more than {MOST_FIELDS} fields")]
    Many,
}

/// The decoded fields of a query or form, each name once.
#[derive(Debug)]
pub(super) struct Fields<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Fields<'a> {
    /// Decodes `name=value&...`, with `+` for a blank. As in browsers, a `%` without two hexadecimal digits is itself.
    pub(super) fn parse(text: &'a [u8]) -> Result<Self, FormError> {
        let mut fields = Vec::new();
        let mut at = 0;
        for field in text.split(|byte| *byte == b'&') {
            if !field.is_empty() {
                let equals = memchr::memchr(b'=', field).unwrap_or(field.len());
                let value = field.get(equals + 1..).unwrap_or_default();
                fields.push((decode(&field[..equals], at)?, decode(value, at + equals + 1)?));
            }
            if fields.len() > MOST_FIELDS {
                return Err(FormError::Many);
            }
            at += field.len() + 1;
        }
        let mut names: Vec<&str> = fields.iter().map(|(name, _)| name.as_ref()).collect();
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(FormError::Twice(pair[0].to_owned()));
        }
        Ok(Self(fields))
    }

    /// Fields that somebody else has decoded.
    pub(super) fn given(fields: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(fields.into_iter().map(|(name, value)| (Cow::Owned(name), Cow::Owned(value))).collect())
    }

    /// Every field, in the order given.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), value.as_ref()))
    }

    /// The value of `name`, when it was given.
    pub(super) fn find(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_ref())
    }

    /// Whether `name` is given as exactly `true`.
    pub(super) fn is_true(&self, name: &str) -> bool {
        self.find(name) == Some("true")
    }
}

fn decode(text: &[u8], at: usize) -> Result<Cow<'_, str>, FormError> {
    let bytes = if text.iter().any(|byte| matches!(byte, b'%' | b'+')) {
        Cow::Owned(unescape(text))
    } else {
        Cow::Borrowed(text)
    };
    match bytes {
        Cow::Borrowed(bytes) => {
            std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|_| FormError::Encoding(at))
        }
        Cow::Owned(bytes) => String::from_utf8(bytes).map(Cow::Owned).map_err(|_| FormError::Encoding(at)),
    }
}

fn unescape(text: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, behind @ ..] = rest {
        let (byte, behind) = match rest {
            [b'%', high, low, behind @ ..] => {
                hex(*high, *low).map_or((b'%', &rest[1..]), |byte| (byte, behind))
            }
            [b'+', ..] => (b' ', behind),
            _ => (*first, behind),
        };
        decoded.push(byte);
        rest = behind;
    }
    decoded
}

fn hex(high: u8, low: u8) -> Option<u8> {
    let digit = |digit| char::from(digit).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fields_are_decoded() {
        let fields = Fields::parse(b"options=-O2+-DX%3D%22a%20b%22&&skipAsm=true&empty=&bare").unwrap();
        assert_eq!(fields.find("options"), Some("-O2 -DX=\"a b\""));
        assert_eq!(fields.find("empty"), Some(""));
        assert_eq!(fields.find("bare"), Some(""));
        assert_eq!(fields.find("absent"), None);
        assert!(fields.is_true("skipAsm"));
        assert!(!fields.is_true("empty"));
    }

    #[test]
    fn percent_signs_that_escape_nothing_are_taken_literally() {
        for (text, expected) in [
            ("a=%", "%"),
            ("a=%4", "%4"),
            ("a=%zz", "%zz"),
            ("a=%4z%41", "%4zA"),
            ("a=%%41+%25", "%A %"),
            ("a=%+1", "% 1"),
            ("a=100%&b=%", "100%"),
        ] {
            assert_eq!(Fields::parse(text.as_bytes()).unwrap().find("a"), Some(expected), "{text}");
        }
    }

    #[test]
    fn odd_forms_are_refused() {
        assert_eq!(Fields::parse(b"a=b&a=c").unwrap_err(), FormError::Twice("a".to_owned()));
        assert_eq!(Fields::parse(b"b=1&a=%ff").unwrap_err(), FormError::Encoding(6));
        assert_eq!(Fields::parse("a&".repeat(1001).as_bytes()).unwrap_err(), FormError::Many);
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _answered = Fields::parse(&bytes).is_ok();
        }
    }
}
