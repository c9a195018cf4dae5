//! Spells paths the way the router's table does: without a prefix, in lower case but for names, one slash at a time.

use http::Uri;
use http::uri::PathAndQuery;

/// Respells the path of `uri`: whatever the case of the fixed words, doubled or trailing slashes do not matter, and the
/// name of our environment may stand before `/api`. A path that is no text leads nowhere.
pub(super) fn normalize(uri: &mut Uri, environment: Option<&str>) {
    if !is_text(uri.path()) {
        *uri = Uri::default();
    } else if let Some(path) = respelled(uri.path(), environment) {
        let target = match uri.query() {
            Some(query) => path + "?" + query,
            None => path,
        };
        // What is left of a valid path is a valid path.
        *uri = PathAndQuery::try_from(target).map(Uri::from).unwrap_or_default();
    }
}

/// What stands before `/api`.
pub(super) fn environment(path: &str) -> Option<&str> {
    let mut parts = parts(path);
    let (first, second) = (parts.next()?, parts.next()?);
    let is_api = |part: &str| part.eq_ignore_ascii_case("api");
    (is_api(second) && !is_api(first)).then_some(first)
}

/// The path as the router knows it, unless it is that already.
fn respelled(path: &str, ours: Option<&str>) -> Option<String> {
    let prefix = usize::from(environment(path).is_some_and(|name| Some(name) == ours));
    let noscript = parts(path).nth(prefix + 1).is_some_and(|part| part.eq_ignore_ascii_case("noscript"));
    // The third part and the fifth are names, of compilers and the like: their case is theirs.
    let words = parts(path).skip(prefix).enumerate().map(|(place, part)| match place {
        2 => (part, noscript),
        4 => (part, false),
        _ => (part, true),
    });
    let slashes = path.contains("//") || path.ends_with('/');
    let shouted = |(part, word): (&str, bool)| word && part.bytes().any(|byte| byte.is_ascii_uppercase());
    if prefix == 0 && !slashes && !words.clone().any(shouted) {
        return None;
    }
    let mut whole = String::with_capacity(path.len());
    for (part, word) in words {
        whole.push('/');
        let start = whole.len();
        whole.push_str(part);
        if word {
            whole[start..].make_ascii_lowercase();
        }
    }
    if whole.is_empty() {
        whole.push('/');
    }
    Some(whole)
}

fn parts(path: &str) -> impl Iterator<Item = &str> + Clone {
    path.split('/').filter(|part| !part.is_empty())
}

/// Whether everything that is escaped is text.
fn is_text(path: &str) -> bool {
    if !path.contains('%') {
        return true;
    }
    let mut bytes = path.bytes();
    let mut decoded = Vec::with_capacity(path.len());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let mut digit = || bytes.next().and_then(|digit| char::from(digit).to_digit(16));
        let value = digit().zip(digit()).and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
        let Some(value) = value else { return false };
        decoded.push(value);
    }
    std::str::from_utf8(&decoded).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn normal(path: &str, environment: Option<&str>) -> String {
        let mut uri: Uri = path.parse().unwrap();
        normalize(&mut uri, environment);
        uri.to_string()
    }

    #[test]
    fn paths() {
        for (path, want) in [
            ("/api/compiler/G132/compile", "/api/compiler/G132/compile"),
            ("/API/Compiler/G132/COMPILE/", "/api/compiler/G132/compile"),
            ("///api/compiler///g132/compile///?a=/B//", "/api/compiler/g132/compile?a=/B//"),
            ("/prod/api/compiler/g132/compile", "/api/compiler/g132/compile"),
            ("/prod/API/noscript/Compile", "/api/noscript/compile"),
            ("/api/compiler/g/Build/CMake", "/api/compiler/g/build/CMake"),
            ("/api/releaseBuild", "/api/releasebuild"),
            ("/api/compilers/C%2B%2b", "/api/compilers/C%2B%2b"),
            ("/health/Live/", "/health/live"),
            ("/staging/api/compiler/g132/compile", "/staging/api/compiler/g132/compile"),
            ("/prod/healthcheck", "/prod/healthcheck"),
            ("/api/compiler/%ff/compile", "/"),
            ("/api/compiler/%4/compile", "/"),
            ("/api/compiler/%+4/compile", "/"),
            ("/", "/"),
            ("//", "/"),
            ("*", "*"),
        ] {
            assert_eq!(normal(path, Some("prod")), want, "{path}");
        }
        assert_eq!(normal("/prod/api/version", None), "/prod/api/version");
    }

    #[test]
    fn environments() {
        assert_eq!(environment("//prod/Api/version"), Some("prod"));
        for path in ["/api/version", "/api/api", "/a/b/api/version", "/prod/healthcheck", "/"] {
            assert_eq!(environment(path), None, "{path}");
        }
    }

    proptest! {
        #[test]
        fn what_is_normal_stays(path in "[/a-cA-C%0-9\u{e9}\u{1f600}]{0,40}|/(prod|API)/api/(noscript|compiler)/[/A-Ca-c]{0,9}/compile") {
            let once = normal(&format!("/{path}"), Some("prod"));
            prop_assert_eq!(normal(&once, None), once);
        }
    }
}
