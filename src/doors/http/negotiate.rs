//! What the client would like to get: q-values and all.

use http::HeaderMap;
use http::header::{ACCEPT, ACCEPT_ENCODING, HeaderName};

use crate::engine::Rendition;

/// How a reply is packed for the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    Identity,
    Gzip,
    Zstd,
}

/// One alternative of a list such as `text/*;q=0.5, application/json`.
struct Choice<'a> {
    name: &'a str,
    quality: f32,
}

/// How well a client's list suits a name: quality first, then how exactly it is named, then how early.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
struct Match {
    quality: f32,
    precision: u8,
    earliness: f32,
}

/// The rendition the client prefers; `default` when it has no preference, or wants what we do not have.
pub(super) fn rendition(headers: &HeaderMap, default: Rendition) -> Rendition {
    let json = best(headers, ["application/json", "application/*", "*/*"]);
    let text = best(headers, ["text/plain", "text/*", "*/*"]);
    if json.quality > 0.0 && json > text {
        Rendition::Json
    } else if text.quality > 0.0 && text > json {
        Rendition::Text
    } else {
        default
    }
}

/// The coding the client prefers among those we have; identity when in doubt.
pub(super) fn coding(headers: &HeaderMap) -> Coding {
    let (mut zstd, mut gzip, mut any, mut identity) = (None, None, None, None);
    choices(headers, &ACCEPT_ENCODING).for_each(|choice| {
        let place = match choice.name {
            name if name.eq_ignore_ascii_case("zstd") => &mut zstd,
            name if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") => &mut gzip,
            name if name.eq_ignore_ascii_case("identity") => &mut identity,
            "*" => &mut any,
            _ => return,
        };
        *place = Some(choice.quality);
    });
    let zstd = zstd.unwrap_or(0.0);
    let gzip = gzip.or(any).unwrap_or(0.0);
    let identity = identity.unwrap_or(0.0);
    if zstd > 0.0 && zstd >= gzip && zstd >= identity {
        Coding::Zstd
    } else if gzip > 0.0 && gzip >= identity {
        Coding::Gzip
    } else {
        Coding::Identity
    }
}

/// How well `Accept` suits a type, given its own name, its family's, and the name of everything.
fn best(headers: &HeaderMap, names: [&str; 3]) -> Match {
    let none = Match { quality: 0.0, precision: 0, earliness: 0.0 };
    let mut earliness = 0.0;
    let mut found = none;
    for choice in choices(headers, &ACCEPT) {
        earliness -= 1.0;
        let Some(place) = names.iter().position(|name| name.eq_ignore_ascii_case(choice.name)) else {
            continue;
        };
        let precision = if place == 0 { 3 } else { 2 - u8::from(place == 2) };
        // The most exact entry decides, even when it says "less" or "no".
        if precision > found.precision {
            // What everything-but names first is no preference.
            let earliness = if precision == 1 { 0.0 } else { earliness };
            found = Match { quality: choice.quality, precision, earliness };
        }
    }
    found
}

fn choices<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = Choice<'a>> {
    let lists = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).map(|choice| {
        let mut parts = choice.split(';');
        let name = parts.next().unwrap_or_default().trim();
        let quality = parts.find_map(|part| {
            let (key, value) = part.split_once('=')?;
            key.trim().eq_ignore_ascii_case("q").then(|| value.trim().parse().unwrap_or(0.0))
        });
        Choice { name, quality: quality.unwrap_or(1.0_f32).clamp(0.0, 1.0) }
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn headers(name: HeaderName, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        headers
    }

    #[test]
    fn renditions() {
        for (accept, want) in [
            ("*/*", None),
            ("", None),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", None),
            ("image/png", None),
            ("application/json", Some(Rendition::Json)),
            ("Application/JSON; charset=utf-8", Some(Rendition::Json)),
            ("application/json, text/plain, */*", Some(Rendition::Json)),
            ("text/plain, application/json", Some(Rendition::Text)),
            ("application/json, text/javascript, */*; q=0.01", Some(Rendition::Json)),
            ("text/plain", Some(Rendition::Text)),
            ("text/*", Some(Rendition::Text)),
            ("application/*", Some(Rendition::Json)),
            ("text/plain;q=0.5, application/json;q=0.4", Some(Rendition::Text)),
            ("text/plain;q=0.4, application/json;q=0.5", Some(Rendition::Json)),
            ("text/plain;q=0, */*", Some(Rendition::Json)),
            ("application/json;q=0, */*", Some(Rendition::Text)),
            ("*/*, text/plain;q=0.1", Some(Rendition::Json)),
            ("application/json;q=nonsense, text/plain;q=0.1", Some(Rendition::Text)),
        ] {
            for default in [Rendition::Json, Rendition::Text] {
                assert_eq!(rendition(&headers(ACCEPT, accept), default), want.unwrap_or(default), "{accept}");
            }
        }
        assert_eq!(rendition(&HeaderMap::new(), Rendition::Text), Rendition::Text);
    }

    #[test]
    fn codings() {
        for (accept, want) in [
            ("gzip, deflate, br, zstd", Coding::Zstd),
            ("gzip, deflate", Coding::Gzip),
            ("gzip;q=1, zstd;q=0.5", Coding::Gzip),
            ("gzip;q=0, *", Coding::Identity),
            ("*", Coding::Gzip),
            ("identity, gzip;q=0.5", Coding::Identity),
            ("br", Coding::Identity),
            ("GZIP", Coding::Gzip),
            ("", Coding::Identity),
        ] {
            assert_eq!(coding(&headers(ACCEPT_ENCODING, accept)), want, "{accept}");
        }
        assert_eq!(coding(&HeaderMap::new()), Coding::Identity);
    }

    proptest! {
        #[test]
        fn any_header_is_answered(value in "(gzip|br|q=|[0-9]|[ -~\t\u{e9}\u{1f600}]){0,40}") {
            let _ = (rendition(&headers(ACCEPT, &value), Rendition::Json), coding(&headers(ACCEPT_ENCODING, &value)));
        }
    }
}
