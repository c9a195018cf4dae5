//! The one vocabulary in which *our* failures are told. A compile that fails is a result, not a failure.

/// What kind of failure kept us from doing our part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// The caller's words make no sense: bad JSON, a forbidden file name.
    Malformed,
    /// No such compiler.
    Unknown,
    /// More than a limit allows: body, file count, options.
    TooLarge,
    /// No slot, and no room to wait for one.
    Busy,
    /// The stop has begun.
    Draining,
    /// Nobody waits for the answer any more.
    Expired,
    /// Something we depend on failed.
    Upstream,
    /// We failed: the jail would not build, a panic, a full disk.
    Internal,
}

impl Class {
    /// Every class, in the order above.
    pub const ALL: [Self; 8] = [
        Self::Malformed,
        Self::Unknown,
        Self::TooLarge,
        Self::Busy,
        Self::Draining,
        Self::Expired,
        Self::Upstream,
        Self::Internal,
    ];

    /// The label used in logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Unknown => "unknown",
            Self::TooLarge => "too_large",
            Self::Busy => "busy",
            Self::Draining => "draining",
            Self::Expired => "expired",
            Self::Upstream => "upstream",
            Self::Internal => "internal",
        }
    }
}

/// An error and everything beneath it, joined by colons: for those who get one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Implemented by every module's error, so that each door can say what the failure means to its caller.
pub trait Classify {
    /// The kind of failure this is.
    fn class(&self) -> Class;
}
