//! Why the server ends a conversation, before or instead of the service.

use http::StatusCode;

/// Why a request was refused while it was still being received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Something that two parsers could read differently, or that is no HTTP at all.
    #[error("malformed request: {0}")]
    Malformed(&'static str),
    /// Not HTTP/1.
    #[error("only HTTP/1.1 and HTTP/1.0 are spoken here")]
    Version,
    /// A head beyond the limits.
    #[error("the request head is too large: {0}")]
    Head(&'static str),
    /// A body beyond the limit.
    #[error("the request body is too large")]
    Body,
    /// A head or a body that did not come in time.
    #[error("the request did not arrive in time")]
    Slow,
}

impl Refusal {
    /// The status that says it.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::Version => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::Head(_) => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Body => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Slow => StatusCode::REQUEST_TIMEOUT,
        }
    }

    /// Finds the refusal among the causes of `error`.
    pub fn cause_of(error: &(dyn std::error::Error + 'static)) -> Option<Self> {
        let mut cause = Some(error);
        while let Some(error) = cause {
            if let Some(refusal) = error.downcast_ref::<Self>() {
                return Some(*refusal);
            }
            // An `io::Error` hides its inner error from `source` when it was made from it.
            let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
            if let Some(refusal) = inner.and_then(|inner| inner.downcast_ref::<Self>()) {
                return Some(*refusal);
            }
            cause = error.source();
        }
        None
    }
}
