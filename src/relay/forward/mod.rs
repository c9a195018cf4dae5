//! Hands a request on to another service, byte for byte both ways (contract-cloud 5, decision D15).

mod reply;
mod wire;

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Method, Request, Response, Uri};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::time::timeout_at;

use self::wire::{BoxError, Origin, Sent, Wire, Wires};
use crate::domain::class::{Class, Classify};
use crate::domain::limits::Deadline;

pub use self::reply::Body;

/// Says that a request was handed on once. A second time would be one too many.
pub(super) const FORWARDED: HeaderName = HeaderName::from_static("x-compilation-worker-forwarded");
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
pub struct Forward(Arc<Wires>);

/// Why a request was not answered by another service.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    /// The request came from a worker that sent it here as to its last stop.
    #[error("Failed to forward request: it was forwarded before, the routing table leads in a circle")]
    Circle,
    /// The service did not answer.
    #[error("Failed to forward request: the service cannot be reached")]
    Exchange(#[source] BoxError),
    /// The service did not answer by the deadline.
    #[error("Failed to forward request: the service did not answer in time")]
    Late,
}

impl Classify for ForwardError {
    fn class(&self) -> Class {
        Class::Upstream
    }
}

impl Forward {
    /// A way that trusts whom `tls` trusts.
    #[must_use]
    pub fn new(tls: rustls::ClientConfig) -> Self {
        Self(Arc::new(Wires::new(tls)))
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
    ) -> Result<Response<Body>, ForwardError>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        if head.headers.contains_key(FORWARDED) {
            return Err(ForwardError::Circle);
        }
        let origin = Origin::of(service).ok_or_else(|| ForwardError::Exchange("it has no address".into()))?;
        let request = request(service, &origin, errand, head, body)?;
        let exchange = self.exchange(service, &origin, request);
        let exchanged = timeout_at(deadline.instant(), exchange).await.map_err(|_| ForwardError::Late)?;
        let (wire, mut response) = exchanged.map_err(ForwardError::Exchange)?;
        let headers = response.headers_mut();
        keep_passing(headers);
        headers.remove("via");
        Ok(response.map(|body| Body::new(body, wire, origin, Arc::clone(&self.0), deadline)))
    }

    async fn exchange(
        &self,
        service: &Uri,
        origin: &Origin,
        mut request: Request<Sent>,
    ) -> Result<(Wire, Response<Incoming>), BoxError> {
        loop {
            let (mut wire, is_new) = match self.0.idle(origin) {
                Some(wire) => (wire, false),
                None => (self.0.open(service).await?, true),
            };
            let mut failed = match wire.exchange(request).await {
                Ok(response) => return Ok((wire, response)),
                Err(failed) => failed,
            };
            // One that has waited may have been closed in this very moment; what was not begun can be begun anew.
            request = match failed.take_message() {
                Some(request) if !is_new => request,
                _ => return Err(failed.into_error().into()),
            };
        }
    }
}

/// The request as `service` gets it.
fn request<B>(
    service: &Uri,
    origin: &Origin,
    errand: &str,
    head: &Parts,
    body: B,
) -> Result<Request<Sent>, ForwardError>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let unfit = |error: http::Error| ForwardError::Exchange(error.into());
    let mut request = Request::new(body.map_err(Into::into).boxed_unsync());
    *request.method_mut() = Method::POST;
    let target = target(service, errand, head.uri.query());
    *request.uri_mut() = PathAndQuery::try_from(target).map_err(|error| unfit(error.into()))?.into();
    let mut headers = head.headers.clone();
    // The length stays what it is, because the bytes do.
    keep_passing(&mut headers);
    headers.insert(HOST, origin.host().map_err(|error| unfit(error.into()))?);
    headers.insert(FORWARDED, HeaderValue::from_static("1"));
    *request.headers_mut() = headers;
    Ok(request)
}

/// Leaves only the headers that go on to the next connection.
fn keep_passing(headers: &mut HeaderMap) {
    let named: Vec<HeaderValue> = headers.get_all(CONNECTION).iter().cloned().collect();
    for named in named.iter().filter_map(|value| value.to_str().ok()) {
        for name in named.split(',') {
            headers.remove(name.trim());
        }
    }
    for name in OF_A_CONNECTION {
        headers.remove(name);
    }
}

/// The path and query for an errand: the table has those of a compile.
fn target(service: &Uri, errand: &str, query: Option<&str>) -> String {
    let path = service.path().trim_end_matches('/');
    // A service with another scheme of paths takes everything where the table says.
    let path = path.strip_suffix("/compile").map_or_else(|| path.into(), |stem| format!("{stem}/{errand}"));
    let queries: Vec<&str> =
        service.query().into_iter().chain(query).filter(|query| !query.is_empty()).collect();
    let (root, mark) = (if path.is_empty() { "/" } else { "" }, if queries.is_empty() { "" } else { "?" });
    format!("{root}{path}{mark}{}", queries.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets() {
        for (service, errand, query, expected) in [
            ("http://h/api/compiler/a/compile", "compile", None, "/api/compiler/a/compile"),
            ("http://h/api/compiler/a/compile/", "compile", Some(""), "/api/compiler/a/compile"),
            ("https://h:8/gpu/api/compiler/a/compile", "cmake", Some("a=1"), "/gpu/api/compiler/a/cmake?a=1"),
            ("http://h/compile?k=v", "build/cargo", Some("a=%2F"), "/build/cargo?k=v&a=%2F"),
            ("http://h/other", "cmake", None, "/other"),
            ("http://h", "compile", None, "/"),
        ] {
            let target = PathAndQuery::try_from(target(&service.parse().unwrap(), errand, query)).unwrap();
            assert_eq!(target, expected, "{service}");
        }
    }

    #[test]
    fn hosts() {
        for (service, expected) in [
            ("http://h/x", "h"),
            ("http://h:80/x", "h"),
            ("https://h:80/x", "h:80"),
            ("https://h:443", "h"),
            ("http://[::1]:8080/x", "[::1]:8080"),
        ] {
            assert_eq!(Origin::of(&service.parse().unwrap()).unwrap().host().unwrap(), expected, "{service}");
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
        keep_passing(&mut headers);
        let mut passed: Vec<_> = headers.keys().map(ToString::to_string).collect();
        passed.sort_unstable();
        assert_eq!(passed, ["authorization", "content-type", "cookie", "x-forwarded-for"]);
    }
}
