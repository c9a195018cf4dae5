//! The strict look at a request's head, before the HTTP library sees it.
//!
//! Smuggling lives where two parsers disagree, so whatever the RFC lets a parser choose about is refused: bare line
//! feeds, folded lines, blanks before a colon, two lengths, a length beside a transfer encoding, two hosts. What
//! passes has one reading.

use super::refusal::Refusal;
use super::settings::HttpSettings;

/// Longest `Content-Length`, in digits. Nine digits are a gigabyte, far above any body limit.
const LONGEST_LENGTH: usize = 15;

/// How the end of a request's body is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// After this many bytes.
    Length(u64),
    /// At the empty chunk.
    Chunked,
}

/// What the header lines said so far.
#[derive(Default)]
struct Seen<'a> {
    host: bool,
    length: Option<&'a [u8]>,
    chunked: bool,
}

/// The length of the head that `input` begins with, when it is complete. `searched` bytes of it were looked at
/// before, without a result.
pub(super) fn end(input: &[u8], searched: usize, limits: &HttpSettings) -> Result<Option<usize>, Refusal> {
    if searched == 0 && input.first().is_some_and(|first| !is_token(*first)) {
        return Err(Refusal::Malformed("a request does not begin like this"));
    }
    for newline in memchr::memchr_iter(b'\n', &input[searched..]) {
        let line = &input[..searched + newline];
        if !line.ends_with(b"\r") {
            return Err(Refusal::Malformed("a line feed without a carriage return"));
        }
        if line.ends_with(b"\r\n\r") {
            let end = line.len() + 1;
            return if end <= limits.head_bytes { Ok(Some(end)) } else { Err(Refusal::Head("bytes")) };
        }
    }
    if input.len() >= limits.head_bytes { Err(Refusal::Head("bytes")) } else { Ok(None) }
}

/// Checks a complete head, empty line included, and says how its body ends.
pub(super) fn check(head: &[u8], limits: &HttpSettings) -> Result<Framing, Refusal> {
    let mut lines = lines(head);
    let modern = request_line(lines.next().unwrap_or_default())?;
    let mut seen = Seen::default();
    let mut count = 0;
    for line in lines {
        if line.is_empty() {
            break;
        }
        count += 1;
        if count > limits.head_lines {
            return Err(Refusal::Head("header lines"));
        }
        field(line, &mut seen)?;
    }
    if modern && !seen.host {
        return Err(Refusal::Malformed("no Host"));
    }
    match (seen.length, seen.chunked) {
        (Some(_), true) => Err(Refusal::Malformed("a Content-Length beside a Transfer-Encoding")),
        (None, true) if !modern => Err(Refusal::Malformed("a Transfer-Encoding in HTTP/1.0")),
        (None, true) => Ok(Framing::Chunked),
        (Some(digits), false) => length(digits).map(Framing::Length),
        (None, false) => Ok(Framing::Length(0)),
    }
}

/// The lines of a text whose every line feed follows a carriage return.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}

/// True for HTTP/1.1, false for HTTP/1.0.
fn request_line(line: &[u8]) -> Result<bool, Refusal> {
    let mut words = line.split(|byte| *byte == b' ');
    let (method, target, version) = (words.next(), words.next(), words.next());
    let (Some(method), Some(target), Some(version), None) = (method, target, version, words.next()) else {
        return Err(Refusal::Malformed("a request line of other than three words"));
    };
    let modern = match version {
        b"HTTP/1.1" => true,
        b"HTTP/1.0" => false,
        _ if version.starts_with(b"HTTP/") => return Err(Refusal::Version),
        _ => return Err(Refusal::Malformed("no HTTP version")),
    };
    if method.is_empty() || !method.iter().all(|byte| is_token(*byte)) {
        return Err(Refusal::Malformed("a method that is no token"));
    }
    if !target.iter().all(u8::is_ascii_graphic) {
        return Err(Refusal::Malformed("a request target with bytes that must be escaped"));
    }
    if target.starts_with(b"/") || (target == b"*" && method == b"OPTIONS") {
        Ok(modern)
    } else {
        Err(Refusal::Malformed("a request target that is no path"))
    }
}

fn field<'a>(line: &'a [u8], seen: &mut Seen<'a>) -> Result<(), Refusal> {
    if line.starts_with(b" ") || line.starts_with(b"\t") {
        return Err(Refusal::Malformed("a folded header line"));
    }
    let colon = memchr::memchr(b':', line).ok_or(Refusal::Malformed("a header line without a colon"))?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    if name.is_empty() || !name.iter().all(|byte| is_token(*byte)) {
        return Err(Refusal::Malformed("a header name that is no token"));
    }
    if value.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
        return Err(Refusal::Malformed("a control character in a header"));
    }
    let value = value.trim_ascii();
    if name.eq_ignore_ascii_case(b"host") {
        if seen.host {
            return Err(Refusal::Malformed("two Hosts"));
        }
        seen.host = true;
        if !value.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._~:[]%".contains(byte)) {
            return Err(Refusal::Malformed("a Host that names none"));
        }
    } else if name.eq_ignore_ascii_case(b"content-length") {
        if seen.length.is_some_and(|other| other != value) {
            return Err(Refusal::Malformed("two different Content-Lengths"));
        }
        seen.length = Some(value);
    } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
        if seen.chunked || !value.eq_ignore_ascii_case(b"chunked") {
            return Err(Refusal::Malformed("a Transfer-Encoding other than chunked"));
        }
        seen.chunked = true;
    }
    Ok(())
}

fn length(digits: &[u8]) -> Result<u64, Refusal> {
    let refusal = Refusal::Malformed("a Content-Length that is no plain number");
    if digits.is_empty() || digits.len() > LONGEST_LENGTH || !digits.iter().all(u8::is_ascii_digit) {
        return Err(refusal);
    }
    std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).ok_or(refusal)
}

/// The characters of an RFC 9110 token.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn look(head: &str) -> Result<Option<Framing>, Refusal> {
        let limits = HttpSettings::default();
        match end(head.as_bytes(), 0, &limits)? {
            Some(end) => check(&head.as_bytes()[..end], &limits).map(Some),
            None => Ok(None),
        }
    }

    #[test]
    fn ordinary_heads() {
        for (head, want) in [
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", Framing::Length(0)),
            ("GET /a?b=%20 HTTP/1.0\r\n\r\n", Framing::Length(0)),
            ("OPTIONS * HTTP/1.1\r\nhost:\r\n\r\n", Framing::Length(0)),
            (
                "POST / HTTP/1.1\r\nHost: [::1]:80\r\nX: a\tb \u{e9}\r\ncontent-length: 7\r\n\r\n",
                Framing::Length(7),
            ),
            (
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\nContent-Length: 7\r\n\r\n",
                Framing::Length(7),
            ),
            ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n", Framing::Chunked),
        ] {
            assert_eq!(look(head), Ok(Some(want)), "{head:?}");
        }
        assert_eq!(look("GET / HTTP/1.1\r\nHost: a\r\n"), Ok(None));
        assert_eq!(look(""), Ok(None));
    }

    #[test]
    fn what_parsers_disagree_about() {
        for head in [
            "GET / HTTP/1.1\nHost: a\n\n",
            "GET / HTTP/1.1\r\nHost: a\n\r\n",
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n",
            "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET * HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n",
            "G@T / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /\r\n\r\n",
            "GET / FTP/1.1\r\nHost: a\r\n\r\n",
            "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "\u{16}\u{3}",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +14\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x10\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551616\r\n\r\n",
        ] {
            assert!(matches!(look(head), Err(Refusal::Malformed(_))), "{head:?}");
        }
        assert_eq!(look("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), Err(Refusal::Version));
    }

    #[test]
    fn sizes_are_limited() {
        let long = |bytes: usize| format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(bytes));
        let rest = long(0).len();
        assert!(look(&long(16 * 1024 - rest)).is_ok());
        assert_eq!(look(&long(16 * 1024 - rest + 1)), Err(Refusal::Head("bytes")));
        assert_eq!(look(&"x".repeat(16 * 1024)), Err(Refusal::Head("bytes")));
        let many = |lines: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(lines));
        assert!(look(&many(63)).is_ok());
        assert_eq!(look(&many(64)), Err(Refusal::Head("header lines")));
    }

    proptest! {
        /// A head that trickles in is found at the same place as one that comes at once.
        #[test]
        fn found_however_it_is_cut(head in "[a-c :\r\n\u{e9}\u{1f600}\0]{0,40}", cuts in proptest::collection::vec(0..6_usize, 0..12)) {
            let limits = HttpSettings::default();
            let whole = end(head.as_bytes(), 0, &limits);
            let (mut at, mut searched, mut found) = (0, 0, Ok(None));
            for cut in cuts.into_iter().chain([head.len()]) {
                at = head.len().min(at + cut);
                found = end(&head.as_bytes()[..at], searched, &limits);
                if found != Ok(None) {
                    break;
                }
                searched = at;
            }
            prop_assert_eq!(found, whole);
        }

        /// What we let pass, the HTTP library's own parser takes too.
        #[test]
        fn any_bytes_are_answered(head in proptest::collection::vec(any::<u8>(), 0..80)) {
            let limits = HttpSettings::default();
            if let Ok(Some(end)) = end(&head, 0, &limits) {
                let _answered = check(&head[..end], &limits).is_ok();
            }
        }
    }
}
