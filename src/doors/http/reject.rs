//! What a failure becomes on the wire: one place where classes turn into statuses.

use std::borrow::Cow;
use std::time::Duration;

use crate::domain::class::{Class, Classify};
use crate::domain::ids::RequestId;
use crate::domain::result::JobStatus;
use crate::doors::reply::{JSON, Reply};
use crate::doors::server::Refusal;
use crate::doors::workshop::Failure;
use crate::relay::RelayError;
use crate::relay::forward::ForwardError;
use crate::routing::RoutingError;
use crate::wire;
use crate::wire::request::RequestError;
use axum::Extension;
use axum::response::IntoResponse;
use http::header::{CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{HeaderName, Response, StatusCode};

/// How the job ended, on every answer of the compile API.
pub(super) const JOB_STATUS: HeaderName = HeaderName::from_static("x-job-status");
/// How long a caller whom we cannot serve should stay away, unless the engine knows better.
const RETRY: Duration = Duration::from_secs(1);

/// A request that gets no answer. As a response it is only the status, with the whole of it as an extension: the body
/// is written once it is known how the request is called and which shape its errors have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rejection {
    pub(super) status: StatusCode,
    pub(super) class: Class,
    message: Cow<'static, str>,
    retry_after: Option<Duration>,
    /// Whether the caller is told the reason, although it is nothing the caller did.
    told: bool,
    /// Whether bytes of the request may still be on their way, so that the connection is of no further use.
    hang_up: bool,
}

/// Which shape an error body has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// The compile API's: `{"error":true,"message":...}`.
    Compile,
    /// Everyone else's: `{"error":...}`.
    Plain,
}

/// The status that tells a class of failure.
pub(super) const fn status_of(class: Class) -> StatusCode {
    match class {
        Class::Malformed => StatusCode::BAD_REQUEST,
        Class::Unknown => StatusCode::NOT_FOUND,
        Class::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Class::Busy | Class::Draining => StatusCode::SERVICE_UNAVAILABLE,
        Class::Expired => StatusCode::REQUEST_TIMEOUT,
        Class::Upstream => StatusCode::BAD_GATEWAY,
        Class::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The job status that tells a class of failure.
const fn job_of(class: Class) -> JobStatus {
    match class {
        Class::Malformed | Class::Unknown | Class::TooLarge | Class::Busy | Class::Draining => {
            JobStatus::Rejected
        }
        Class::Expired => JobStatus::Stale,
        Class::Upstream | Class::Internal => JobStatus::InfraError,
    }
}

impl Rejection {
    pub(super) fn new(class: Class, message: impl Into<Cow<'static, str>>) -> Self {
        let retry_after = matches!(class, Class::Busy | Class::Draining).then_some(RETRY);
        let message = message.into();
        Self { status: status_of(class), class, message, retry_after, told: false, hang_up: false }
    }

    /// A failure of ours or of others whose reason names nothing that is only for us.
    pub(super) fn told(class: Class, message: impl Into<Cow<'static, str>>) -> Self {
        Self { told: true, ..Self::new(class, message) }
    }

    pub(super) fn no_compiler(id: &str) -> Self {
        Self::new(Class::Unknown, format!("Not Found: there is no compiler {id:?}"))
    }

    pub(super) fn method() -> Self {
        let rejection = Self::new(Class::Malformed, "method not allowed");
        Self { status: StatusCode::METHOD_NOT_ALLOWED, ..rejection }
    }

    pub(super) fn media(message: impl Into<Cow<'static, str>>) -> Self {
        let rejection = Self::new(Class::Malformed, message);
        Self { status: StatusCode::UNSUPPORTED_MEDIA_TYPE, hang_up: true, ..rejection }
    }

    pub(super) fn forbidden(message: &'static str) -> Self {
        Self { status: StatusCode::FORBIDDEN, ..Self::new(Class::Malformed, message) }
    }

    pub(super) fn too_large(most: usize) -> Self {
        let message = format!("the request body is larger than the {most} bytes allowed");
        Self { hang_up: true, ..Self::new(Class::TooLarge, message) }
    }

    pub(super) fn crowded(message: &'static str) -> Self {
        Self { hang_up: true, ..Self::new(Class::Busy, message) }
    }

    /// The client stopped sending in the middle of its request; nobody will read this.
    pub(super) fn cut_off() -> Self {
        Self { hang_up: true, ..Self::new(Class::Malformed, "the request ended before its body did") }
    }

    /// The reply, in the given shape. What failed inside is told to the log alone; the caller gets the request's id.
    pub(super) fn reply(&self, shape: Shape, request: &RequestId) -> Response<Vec<u8>> {
        let ours = matches!(self.class, Class::Upstream | Class::Internal) && !self.told;
        let message = if ours {
            Cow::Owned(format!("internal error, request {request}"))
        } else {
            self.message.clone()
        };
        let body = match shape {
            Shape::Compile if ours => wire::result::internal_error(&message),
            Shape::Compile => error_body(br#"{"error":true,"message":"#, &message),
            Shape::Plain => error_body(br#"{"error":"#, &message),
        };
        let mut reply = Response::new(body);
        *reply.status_mut() = self.status;
        let headers = reply.headers_mut();
        headers.insert(CONTENT_TYPE, JSON);
        if let Some(after) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(after.as_secs().max(1)));
        }
        if self.hang_up {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if shape == Shape::Compile {
            headers.insert(JOB_STATUS, HeaderValue::from_static(job_of(self.class).as_str()));
        }
        reply
    }

    /// What is told to the log.
    pub(super) fn message(&self) -> &str {
        &self.message
    }

    pub(super) fn job(&self) -> JobStatus {
        job_of(self.class)
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Reply {
        (self.status, Extension(self)).into_response()
    }
}

impl From<Failure> for Rejection {
    fn from(failure: Failure) -> Self {
        let rejection = Self::new(failure.class, failure.message);
        Self { retry_after: failure.retry_after.or(rejection.retry_after), ..rejection }
    }
}

impl From<RequestError> for Rejection {
    fn from(error: RequestError) -> Self {
        Self::new(error.class(), error.to_string())
    }
}

impl From<RoutingError> for Rejection {
    fn from(error: RoutingError) -> Self {
        let retry_after = Some(error.retry_after());
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            retry_after,
            ..Self::told(error.class(), error.to_string())
        }
    }
}

impl From<RelayError> for Rejection {
    fn from(error: RelayError) -> Self {
        let rejection = Self::told(error.class(), error.to_string());
        tracing::debug!(error = &error as &dyn std::error::Error, "no result from elsewhere");
        // A bus or queue that is away comes back; a result that cannot be had does not.
        match error {
            RelayError::Subscribe(_) | RelayError::Send(_) | RelayError::Park { .. }
                if rejection.class == Class::Upstream =>
            {
                Self { status: StatusCode::SERVICE_UNAVAILABLE, retry_after: Some(RETRY), ..rejection }
            }
            _ => rejection,
        }
    }
}

impl From<ForwardError> for Rejection {
    fn from(error: ForwardError) -> Self {
        tracing::debug!(error = &error as &dyn std::error::Error, "not forwarded");
        Self::told(error.class(), error.to_string())
    }
}

impl From<Refusal> for Rejection {
    fn from(refusal: Refusal) -> Self {
        let class = if refusal == Refusal::Body { Class::TooLarge } else { Class::Malformed };
        let rejection = Self::new(class, refusal.to_string());
        Self { status: refusal.status(), hang_up: true, ..rejection }
    }
}

fn error_body(start: &[u8], message: &str) -> Vec<u8> {
    let mut body = start.to_vec();
    wire::result::string(&mut body, message);
    body.push(b'}');
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_its_status() {
        let statuses =
            Class::ALL.map(|class| (class.as_str(), status_of(class).as_u16(), job_of(class).as_str()));
        assert_eq!(
            statuses,
            [
                ("malformed", 400, "rejected"),
                ("unknown", 404, "rejected"),
                ("too_large", 413, "rejected"),
                ("busy", 503, "rejected"),
                ("draining", 503, "rejected"),
                ("expired", 408, "stale"),
                ("upstream", 502, "infra_error"),
                ("internal", 500, "infra_error"),
            ]
        );
    }

    #[test]
    fn bodies_tell_callers_what_is_theirs_to_know() {
        let id = RequestId::parse("id-1").unwrap();
        let text =
            |rejection: Rejection, shape| String::from_utf8(rejection.reply(shape, &id).into_body()).unwrap();
        let malformed = || Rejection::new(Class::Malformed, "a \"b\"");
        assert_eq!(text(malformed(), Shape::Compile), r#"{"error":true,"message":"a \"b\""}"#);
        assert_eq!(text(malformed(), Shape::Plain), r#"{"error":"a \"b\""}"#);
        let internal = || Rejection::new(Class::Internal, "secret");
        assert_eq!(text(internal(), Shape::Plain), r#"{"error":"internal error, request id-1"}"#);
        let body = text(internal(), Shape::Compile);
        assert!(
            body.starts_with(
                r#"{"code":-1,"stdout":[],"stderr":[{"text":"Internal Compiler Explorer error: "#
            ),
            "{body}"
        );
        let busy = Rejection::new(Class::Busy, "full").reply(Shape::Compile, &id);
        assert_eq!(
            (&busy.headers()[RETRY_AFTER], &busy.headers()[JOB_STATUS]),
            (&"1".parse().unwrap(), &"rejected".parse().unwrap())
        );
    }
}
