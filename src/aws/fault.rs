//! What a service or the way to it did wrong, in our words.

use std::error::Error;
use std::fmt;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

/// Longest part of a foreign text that is kept, in bytes: a page of HTML does not belong in a log.
const LONGEST_DETAIL: usize = 300;

/// Codes by which the services say "later". The SDK's own list lacks those of SQS and its key management.
const THROTTLED: [&str; 9] = [
    "KmsThrottled",
    "OverLimit",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
];

/// Codes of credentials whose time is over.
const EXPIRED: [&str; 3] = ["ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"];

/// Codes of a signature or a right that is not accepted.
const DENIED: [&str; 8] = [
    "AccessDenied",
    "AccessDeniedException",
    "IncompleteSignature",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
];

/// A failed call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What kind of failure.
    pub kind: Kind,
    /// What was said, in at most a few hundred bytes.
    pub detail: String,
    /// The service's own word for it, such as `ValidationError`, where it answered with one.
    pub code: Option<String>,
}

/// What kind of failure. All but [`Kind::Refused`] may pass by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The service wants fewer requests.
    Throttled,
    /// No answer in time; the request may have been carried out.
    TimedOut,
    /// No connection, or one that broke; the request may have been carried out.
    Unreachable,
    /// There are no credentials.
    NoCredentials,
    /// The credentials' time is over; they are fetched anew for the next call.
    Expired,
    /// Signature or right not accepted.
    Denied,
    /// The answer makes no sense.
    Garbled,
    /// The service failed.
    Broken,
    /// The service does not want this request, and will not want it later.
    Refused,
}

impl Kind {
    /// Whether the same call may go through if it is made again at once.
    pub const fn may_pass(self) -> bool {
        match self {
            Self::Throttled | Self::TimedOut | Self::Unreachable | Self::Expired | Self::Broken => true,
            Self::NoCredentials | Self::Denied | Self::Garbled | Self::Refused => false,
        }
    }

    /// How it reads at the head of a message.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Throttled => "throttled",
            Self::TimedOut => "no answer in time",
            Self::Unreachable => "unreachable",
            Self::NoCredentials => "no credentials",
            Self::Expired => "expired credentials",
            Self::Denied => "access denied",
            Self::Garbled => "garbled answer",
            Self::Broken => "service failure",
            Self::Refused => "refused",
        }
    }
}

impl Fault {
    /// A failure with this detail, cut to size and to one line.
    pub(super) fn new(kind: Kind, detail: &str) -> Self {
        let detail = &detail[..detail.floor_char_boundary(LONGEST_DETAIL)];
        Self { kind, detail: detail.replace(char::is_control, " "), code: None }
    }

    /// What a service answered with an error code.
    pub(super) fn answered(status: u16, code: Option<&str>, message: Option<&str>) -> Self {
        let detail = match (code, message) {
            (Some(code), Some(message)) => format!("{code}: {message}"),
            (Some(word), None) | (None, Some(word)) => word.to_owned(),
            (None, None) => format!("status {status}"),
        };
        Self { code: code.map(ToOwned::to_owned), ..Self::new(kind_of(status, code), &detail) }
    }

    /// What the SDK reports.
    pub(super) fn of<E>(error: &SdkError<E, HttpResponse>) -> Self
    where
        E: Error + ProvideErrorMetadata + 'static,
    {
        let kind = match error {
            SdkError::ServiceError(answer) => {
                let (status, said) = (answer.raw().status().as_u16(), answer.err());
                match (said.code(), said.message()) {
                    (None, None) => kind_of(status, None),
                    (code, message) => return Self::answered(status, code, message),
                }
            }
            _ if causes(error).any(<dyn Error>::is::<CredentialsError>) => Kind::NoCredentials,
            SdkError::TimeoutError(_) => Kind::TimedOut,
            SdkError::DispatchFailure(failure) if failure.is_timeout() => Kind::TimedOut,
            SdkError::ResponseError(_) => Kind::Garbled,
            SdkError::ConstructionFailure(_) => Kind::Refused,
            _ => Kind::Unreachable,
        };
        Self::new(kind, &chain(error))
    }
}

/// The kind that a status and a code make. The code wins: DynamoDB throttles with 400.
fn kind_of(status: u16, code: Option<&str>) -> Kind {
    let said = |codes: &[&str]| code.is_some_and(|code| codes.contains(&code));
    match status {
        _ if said(&THROTTLED) => Kind::Throttled,
        _ if said(&EXPIRED) => Kind::Expired,
        _ if said(&DENIED) => Kind::Denied,
        // A success that is reported as an error is one that could not be read.
        ..400 => Kind::Garbled,
        429 => Kind::Throttled,
        403 => Kind::Denied,
        500.. => Kind::Broken,
        _ => Kind::Refused,
    }
}

/// Everything beneath an error, outermost first.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(error.source(), |&cause| cause.source())
}

/// What everything beneath an error says, joined by a colon. The outermost only names the kind, as ours does.
pub(super) fn chain(error: &(dyn Error + 'static)) -> String {
    let said: Vec<String> = causes(error).map(ToString::to_string).collect();
    if said.is_empty() { error.to_string() } else { said.join(": ") }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.as_str(), self.detail)
    }
}

impl Error for Fault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_tells_more_than_a_status() {
        for (status, code, expected) in [
            (400, Some("ThrottlingException"), Kind::Throttled),
            (403, Some("RequestThrottled"), Kind::Throttled),
            (503, Some("SlowDown"), Kind::Throttled),
            (429, None, Kind::Throttled),
            (400, Some("ExpiredTokenException"), Kind::Expired),
            (403, Some("ExpiredToken"), Kind::Expired),
            (400, Some("UnrecognizedClientException"), Kind::Denied),
            (403, None, Kind::Denied),
            (500, Some("InternalError"), Kind::Broken),
            (503, None, Kind::Broken),
            (400, Some("InvalidParameterValue"), Kind::Refused),
            (404, None, Kind::Refused),
            (200, None, Kind::Garbled),
        ] {
            assert_eq!(Fault::answered(status, code, None).kind, expected, "{status} {code:?}");
        }
    }

    #[test]
    fn a_long_answer_is_cut_between_characters() {
        let fault = Fault::answered(500, None, Some(&"ü".repeat(4000)));
        assert!(fault.detail.len() <= LONGEST_DETAIL && fault.detail.ends_with('ü'));
        assert_eq!(Fault::answered(400, None, Some("a\r\nb\0")).detail, "a  b ", "one line");
        assert_eq!(Fault::answered(502, None, None).to_string(), "service failure: status 502");
    }
}
