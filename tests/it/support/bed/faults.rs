//! How a call can fail.

use std::time::Duration;

/// What happens to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// It is refused, with a status, a code and a message.
    Refuse(u16, &'static str, &'static str),
    /// A proxy that knows nothing of the service answers.
    Garbage(u16),
    /// It is not answered, ever.
    Hang,
    /// The connection is torn down before anything is done.
    Reset,
    /// It is done, and the connection is torn down before the answer.
    Lost,
    /// It is done after a while.
    Late(Duration),
    /// A receive's messages are visible to everybody again at once.
    Again,
    /// A receive's messages come as if two workers had received them before.
    Worn,
    /// A receive's messages come in the opposite order.
    Backwards,
}

impl Fault {
    /// "Later", as SQS says it.
    pub(crate) const THROTTLED: Self = Self::Refuse(400, "RequestThrottled", "Rate exceeded");
    /// The time of the credentials is over.
    pub(crate) const EXPIRED: Self =
        Self::Refuse(403, "ExpiredTokenException", "The security token included in the request is expired");
}
