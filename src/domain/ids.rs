//! Names that are parsed once, at the door, so that an empty or oversized one does not exist inside.

use std::fmt;
use std::sync::Arc;

/// Longest identifier accepted from outside, in bytes. Compiler Explorer's longest today is under 64.
pub const LONGEST_ID: usize = 128;

/// As much of a text that should be an identifier as is worth telling.
pub fn shortened(text: &str) -> &str {
    &text[..text.floor_char_boundary(LONGEST_ID)]
}

/// Why a text is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Nothing there.
    #[error("the {0} is empty")]
    Empty(&'static str),
    /// Longer than [`LONGEST_ID`] bytes.
    #[error("the {what} has {bytes} bytes, more than the {LONGEST_ID} allowed")]
    TooLong {
        /// Which identifier.
        what: &'static str,
        /// How long it is.
        bytes: usize,
    },
    /// A control character, which would corrupt logs and headers.
    #[error("the {0} contains a control character")]
    Control(&'static str),
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Accepts 1 to [`LONGEST_ID`] bytes without control characters.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                if text.is_empty() {
                    return Err(IdError::Empty($what));
                }
                if text.len() > LONGEST_ID {
                    return Err(IdError::TooLong { what: $what, bytes: text.len() });
                }
                if text.chars().any(char::is_control) {
                    return Err(IdError::Control($what));
                }
                Ok(Self(Arc::from(text)))
            }

            /// The identifier as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id!(
    /// A compiler's name in the catalogue and in URLs, such as `g132`.
    CompilerId,
    "compiler id"
);
id!(
    /// A language's name, such as `c++`.
    LanguageId,
    "language id"
);
id!(
    /// What one request is called in logs, headers and, on the queue, as its guid.
    RequestId,
    "request id"
);

impl RequestId {
    /// A new random identifier (UUID version 4, as the deployed router makes them).
    pub fn mint() -> Self {
        Self(Arc::from(uuid::Uuid::new_v4().hyphenated().to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn identifiers_are_checked_once() {
        assert_eq!(CompilerId::parse("g132").unwrap().as_str(), "g132");
        assert_eq!(CompilerId::parse(""), Err(IdError::Empty("compiler id")));
        assert_eq!(CompilerId::parse("a\nb"), Err(IdError::Control("compiler id")));
        let long = "x".repeat(129);
        assert!(
            LanguageId::parse(&long)
                .unwrap_err()
                .to_string()
                .contains("129 bytes, more than the 128 allowed")
        );
        assert_ne!(RequestId::mint(), RequestId::mint());
        assert_eq!(shortened("g132"), "g132");
        assert_eq!(shortened(&"é".repeat(99)), "é".repeat(64));
    }

    proptest! {
        #[test]
        fn no_identifier_is_too_odd(text in "(a{60}|[a\u{e9}\u{1f600}\0\r\u{1b}]){0,8}") {
            prop_assert!(text.starts_with(shortened(&text)) && shortened(&text).len() <= LONGEST_ID);
            prop_assert_eq!(RequestId::parse(&text).is_ok(), CompilerId::parse(&text).is_ok());
        }
    }
}
