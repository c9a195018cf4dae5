//! Hands a request on to another service, byte for byte both ways (contract-cloud 5, decision D15).

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Response, Uri, uri};
use http_body_util::BodyDataStream;
use reqwest::redirect;

use crate::domain::class::{Class, Classify};
use crate::domain::limits::Deadline;

/// Says that a request was handed on once. A second time would be one too many.
const FORWARDED: HeaderName = HeaderName::from_static("x-compilation-worker-forwarded");
/// How long a service may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// Idle connections kept for each service.
const IDLE: usize = 64;

/// Headers that speak of one connection, and not of what travels on it.
const OF_A_CONNECTION: [&str; 11] = [
    "connection",
    "expect",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "trailers",
    "transfer-encoding",
    "upgrade",
];

/// A way to other services. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Forward(reqwest::Client);

/// Why a request was not answered by another service.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    /// There can be no way to other services at all.
    #[error("could not set up requests to other services")]
    Setup(#[source] reqwest::Error),
    /// The request came from a worker that sent it here as to its last stop.
    #[error("Failed to forward request: it was forwarded before, the routing table leads in a circle")]
    Circle,
    /// The service did not answer.
    #[error("Failed to forward request: {}", if .0.is_timeout() { "the service did not answer in time" } else { "the service cannot be reached" })]
    Exchange(#[source] reqwest::Error),
}

impl Classify for ForwardError {
    fn class(&self) -> Class {
        match self {
            Self::Setup(_) => Class::Internal,
            Self::Circle | Self::Exchange(_) => Class::Upstream,
        }
    }
}

impl Forward {
    /// A way that trusts whom `tls` trusts.
    pub fn new(tls: rustls::ClientConfig) -> Result<Self, ForwardError> {
        reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT)
            .pool_max_idle_per_host(IDLE)
            .no_proxy()
            .build()
            .map(Self)
            .map_err(ForwardError::Setup)
    }

    /// Hands a request on to `service`, the compile URL of a compiler, whose last word becomes `errand`: `compile`,
    /// `cmake` or `build/<system>`. The reply is whatever the service says, and its body is still under way; both have
    /// to be over by the deadline.
    pub async fn send<B>(
        &self,
        service: &Uri,
        errand: &str,
        head: &Parts,
        body: B,
        deadline: Deadline,
    ) -> Result<Response<reqwest::Body>, ForwardError>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        if head.headers.contains_key(FORWARDED) {
            return Err(ForwardError::Circle);
        }
        let mut headers = passed_on(&head.headers);
        // The length stays what it is, because the bytes do.
        headers.remove(HOST);
        headers.insert(FORWARDED, HeaderValue::from_static("1"));
        let request = self
            .0
            .post(target(service, errand, head.uri.query()))
            .headers(headers)
            .timeout(deadline.remaining())
            .body(reqwest::Body::wrap_stream(BodyDataStream::new(body)));
        let response = request.send().await.map_err(|error| ForwardError::Exchange(error.without_url()))?;
        let mut response: Response<reqwest::Body> = response.into();
        let headers = response.headers_mut();
        *headers = passed_on(headers);
        headers.remove("via");
        Ok(response)
    }
}

/// The headers that go on to the next connection.
fn passed_on(headers: &HeaderMap) -> HeaderMap {
    let mut passed = headers.clone();
    for named in headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok()) {
        for name in named.split(',') {
            passed.remove(name.trim());
        }
    }
    for name in OF_A_CONNECTION {
        passed.remove(name);
    }
    passed
}

/// The URL for an errand: the table has that of a compile.
fn target(service: &Uri, errand: &str, query: Option<&str>) -> String {
    let path = service.path().trim_end_matches('/');
    // A service with another scheme of paths takes everything where the table says.
    let path =
        path.strip_suffix("/compile").map_or_else(|| path.to_owned(), |stem| format!("{stem}/{errand}"));
    let queries: Vec<&str> =
        service.query().into_iter().chain(query).filter(|query| !query.is_empty()).collect();
    let scheme = service.scheme().unwrap_or(&uri::Scheme::HTTP);
    let authority = service.authority().map_or("", uri::Authority::as_str);
    let mark = if queries.is_empty() { "" } else { "?" };
    format!("{scheme}://{authority}{path}{mark}{}", queries.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets() {
        for (service, errand, query, expected) in [
            ("http://h/api/compiler/a/compile", "compile", None, "http://h/api/compiler/a/compile"),
            ("http://h/api/compiler/a/compile/", "compile", Some(""), "http://h/api/compiler/a/compile"),
            (
                "https://h:8/gpu/api/compiler/a/compile",
                "cmake",
                Some("a=1"),
                "https://h:8/gpu/api/compiler/a/cmake?a=1",
            ),
            ("http://h/compile?k=v", "build/cargo", Some("a=%2F"), "http://h/build/cargo?k=v&a=%2F"),
            ("http://h/other", "cmake", None, "http://h/other"),
            ("http://h", "compile", None, "http://h"),
        ] {
            assert_eq!(target(&service.parse().unwrap(), errand, query), expected, "{service}");
        }
    }

    #[test]
    fn headers_of_a_connection_stay_with_it() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, x-mine"),
            ("x-mine", "1"),
            ("transfer-encoding", "chunked"),
            ("te", "trailers"),
            ("upgrade", "h2c"),
            ("keep-alive", "timeout=5"),
            ("proxy-authorization", "secret"),
            ("cookie", "a=b"),
            ("authorization", "token"),
            ("content-type", "application/json"),
            ("x-forwarded-for", "1.2.3.4"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let mut passed: Vec<_> = passed_on(&headers).keys().map(ToString::to_string).collect();
        passed.sort_unstable();
        assert_eq!(passed, ["authorization", "content-type", "cookie", "x-forwarded-for"]);
    }
}
