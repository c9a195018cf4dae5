//! Whether a request comes from somebody at this machine, or from a page in their browser.
//!
//! Every page that an operator visits may send a POST to their loopback address, and one whose name is made to lead
//! there may read the reply too. Browsers tell of the first by `Origin` and `Sec-Fetch-Site`, of the second by `Host`.

use std::net::IpAddr;

use http::HeaderMap;
use http::header::{HOST, HeaderName, ORIGIN};
use http::uri::Authority;

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Why a request is not even told anything; `None` if it is.
pub(super) fn stranger(headers: &HeaderMap) -> Option<&'static str> {
    (!host(headers).is_none_or(is_this_machine))
        .then_some("call this door by localhost or an IP address: no other name is trusted to lead here")
}

/// Why a request may move nothing; `None` if it may.
pub(super) fn objection(headers: &HeaderMap) -> Option<&'static str> {
    if let Some(objection) = stranger(headers) {
        return Some(objection);
    }
    let host = host(headers);
    let ours = |origin: &str| origin.strip_prefix("http://").is_some_and(|origin| Some(origin) == host);
    let from_page = headers.get(ORIGIN).is_some_and(|origin| !origin.to_str().is_ok_and(ours));
    let from_site = headers.get(FETCH_SITE).is_some_and(|site| site != "same-origin" && site != "none");
    (from_page || from_site).then_some("pages of other sites may not do that")
}

fn host(headers: &HeaderMap) -> Option<&str> {
    headers.get(HOST).map(|host| host.to_str().unwrap_or_default())
}

/// Whether a `Host` is a name that nobody can point elsewhere. Behind a tunnel the port is another.
fn is_this_machine(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn refused(lines: &[(&'static str, &str)]) -> bool {
        let lines = lines.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
        objection(&lines.collect()).is_some()
    }

    #[test]
    fn tools_and_tunnels_are_let_in() {
        for host in ["127.0.0.1:10241", "localhost:8080", "LOCALHOST", "[::1]:10241", "10.0.0.7:10241"] {
            assert!(!refused(&[("host", host)]), "{host}");
            assert!(!refused(&[("host", host), ("origin", &format!("http://{host}"))]), "{host}");
        }
        assert!(!refused(&[]), "HTTP/1.0 has no Host");
        for site in ["same-origin", "none"] {
            assert!(!refused(&[("host", "localhost"), ("sec-fetch-site", site)]), "{site}");
        }
    }

    #[test]
    fn pages_are_not() {
        for origin in ["https://example.com", "null", "http://localhost:9999", "http://127.0.0.1"] {
            assert!(refused(&[("host", "localhost:10241"), ("origin", origin)]), "{origin}");
        }
        for site in ["cross-site", "same-site", ""] {
            assert!(refused(&[("host", "localhost:10241"), ("sec-fetch-site", site)]), "{site}");
        }
    }

    #[test]
    fn other_names_are_not() {
        for host in ["rebound.example:10241", "localhost.example", "127.0.0.1.example", "worker", ""] {
            assert!(refused(&[("host", host)]), "{host:?}");
            assert!(refused(&[("host", host), ("origin", &format!("http://{host}"))]), "{host:?}");
        }
    }

    proptest! {
        #[test]
        fn no_header_is_too_odd(text in "(localhost|127.0.0.1|http://|[\\[\\]:@/0-9a\u{e9}\u{1f600}]){0,8}", bytes: Vec<u8>) {
            for value in [text.as_bytes(), &bytes].map(HeaderValue::from_bytes).into_iter().flatten() {
                for name in [HOST, ORIGIN, FETCH_SITE] {
                    let _objection = objection(&HeaderMap::from_iter([(name, value.clone())]));
                }
            }
        }
    }
}
