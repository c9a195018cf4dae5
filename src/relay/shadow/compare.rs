//! Whether two services gave the same answer to one request, in what a client would see.
//!
//! How long things took, where they were kept and what the services call themselves differ always. Paths differ in where
//! the job ran, and are compared as clients are shown them. What the listing, the messages and the exit code say counts.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::text::{ansi, mask};

/// One reply to the request.
#[derive(Debug, Clone, Copy)]
pub struct Side<'a> {
    /// Its HTTP status.
    pub status: u16,
    /// Its body: JSON, or text if the request asked for that.
    pub body: &'a [u8],
}

/// In what two replies differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum What {
    /// One of them is an error of another kind.
    Status,
    /// The exit code.
    Code,
    /// Whether the time ran out.
    TimedOut,
    /// Whether the output was cut.
    Truncated,
    /// The listing's text.
    Assembly,
    /// Where the listing's lines come from.
    Sources,
    /// Which labels the listing's lines use, or where they are defined.
    Labels,
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// The text, where text was asked for.
    Text,
}

/// A difference, and the first place of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Difference {
    /// In what.
    pub what: What,
    /// The first line that differs, from 1, where it has lines.
    pub line: Option<usize>,
}

/// A reply that is none: what it claims to be it is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the {whose} reply is no result: {wrong}")]
pub(super) struct Unreadable {
    /// `first` or `second`.
    whose: &'static str,
    /// What is wrong with it.
    wrong: String,
}

/// What of a result counts.
#[derive(Deserialize)]
struct Counted<'a> {
    /// Null after a signal, and absent in some errors.
    #[serde(default)]
    code: Option<i64>,
    #[serde(default, rename = "timedOut")]
    timed_out: bool,
    #[serde(default)]
    truncated: bool,
    #[serde(default, borrow)]
    stdout: Vec<Line<'a>>,
    #[serde(default, borrow)]
    stderr: Vec<Line<'a>>,
    /// A list of lines; some failures have one text.
    #[serde(default, borrow)]
    asm: Option<&'a RawValue>,
    #[serde(default, rename = "labelDefinitions")]
    definitions: BTreeMap<String, i64>,
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow, default)]
    text: Cow<'a, str>,
}

#[derive(Deserialize, Default)]
struct AsmLine<'a> {
    #[serde(borrow, default)]
    text: Cow<'a, str>,
    #[serde(default)]
    source: Option<Source>,
    #[serde(default, borrow)]
    labels: Vec<Label<'a>>,
}

#[derive(Deserialize, PartialEq)]
struct Source {
    #[serde(default)]
    file: Option<String>,
    #[serde(default)]
    line: Option<i64>,
}

#[derive(Deserialize, PartialEq)]
struct Label<'a> {
    #[serde(borrow, default)]
    name: Cow<'a, str>,
}

impl What {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::Status,
        Self::Code,
        Self::TimedOut,
        Self::Truncated,
        Self::Assembly,
        Self::Sources,
        Self::Labels,
        Self::Stdout,
        Self::Stderr,
        Self::Text,
    ];

    /// The name in logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Code => "code",
            Self::TimedOut => "timed_out",
            Self::Truncated => "truncated",
            Self::Assembly => "assembly",
            Self::Sources => "sources",
            Self::Labels => "labels",
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
            Self::Text => "text",
        }
    }
}

/// Whether a reply says of itself that it was remembered, as those of either service do; one in plain text cannot.
pub(super) fn is_remembered(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Mark {
        #[serde(default, rename = "retreivedFromCache")]
        remembered: bool,
    }
    serde_json::from_slice::<Mark>(body).is_ok_and(|mark| mark.remembered)
}

/// In what two replies in JSON differ; nothing if a client would see the same.
pub(super) fn results(first: Side<'_>, second: Side<'_>) -> Result<Vec<Difference>, Unreadable> {
    if let Some(verdict) = by_status(first, second) {
        return Ok(verdict);
    }
    let (one, other) = (counted("first", first.body)?, counted("second", second.body)?);
    let (listing, others) = (asm("first", one.asm)?, asm("second", other.asm)?);
    let mut found = Vec::new();
    let mut note = |what, line| found.push(Difference { what, line });
    if one.code != other.code {
        note(What::Code, None);
    }
    if one.timed_out != other.timed_out {
        note(What::TimedOut, None);
    }
    if one.truncated != other.truncated {
        note(What::Truncated, None);
    }
    if let Some(line) =
        first_difference(&listing, &others, |one, other| shown(&one.text) == shown(&other.text))
    {
        note(What::Assembly, Some(line));
    } else {
        if let Some(line) = first_difference(&listing, &others, |one, other| one.source == other.source) {
            note(What::Sources, Some(line));
        }
        let labels = first_difference(&listing, &others, |one, other| one.labels == other.labels);
        if labels.is_some() || one.definitions != other.definitions {
            note(What::Labels, labels);
        }
    }
    for (what, one, other) in
        [(What::Stdout, &one.stdout, &other.stdout), (What::Stderr, &one.stderr, &other.stderr)]
    {
        if let Some(line) = first_difference(one, other, |one, other| shown(&one.text) == shown(&other.text))
        {
            note(what, Some(line));
        }
    }
    Ok(found)
}

/// In what two replies in plain text differ.
pub(super) fn texts(first: Side<'_>, second: Side<'_>) -> Vec<Difference> {
    if let Some(verdict) = by_status(first, second) {
        return verdict;
    }
    let lines = |side: Side<'_>| -> Vec<String> {
        String::from_utf8_lossy(side.body).lines().map(|line| shown(line).into_owned()).collect()
    };
    let line = first_difference(&lines(first), &lines(second), |one, other| one == other);
    line.map(|line| Difference { what: What::Text, line: Some(line) }).into_iter().collect()
}

/// The whole verdict if one of the replies is an error. How errors are worded is not compared.
fn by_status(first: Side<'_>, second: Side<'_>) -> Option<Vec<Difference>> {
    let kind = |side: Side<'_>| side.status / 100;
    if kind(first) == kind(second) {
        return (kind(first) != 2).then(Vec::new);
    }
    Some(vec![Difference { what: What::Status, line: None }])
}

fn counted<'a>(whose: &'static str, body: &'a [u8]) -> Result<Counted<'a>, Unreadable> {
    serde_json::from_slice(body).map_err(|error| Unreadable { whose, wrong: error.to_string() })
}

/// The listing's lines. A text in place of a list is its lines.
fn asm<'a>(whose: &'static str, asm: Option<&'a RawValue>) -> Result<Vec<AsmLine<'a>>, Unreadable> {
    let Some(asm) = asm else { return Ok(Vec::new()) };
    let wrong = |error: serde_json::Error| Unreadable { whose, wrong: format!("asm: {error}") };
    match asm.get().as_bytes().first() {
        Some(b'"') => {
            let text: String = serde_json::from_str(asm.get()).map_err(wrong)?;
            let line = |line: &str| AsmLine { text: Cow::Owned(line.to_owned()), ..AsmLine::default() };
            Ok(text.lines().map(line).collect())
        }
        _ => serde_json::from_str(asm.get()).map_err(wrong),
    }
}

/// A line as a client is shown it, wherever the job ran.
fn shown(line: &str) -> Cow<'_, str> {
    match ansi::strip(line) {
        Cow::Borrowed(line) => mask::root_dir(line),
        Cow::Owned(line) => Cow::Owned(mask::root_dir(&line).into_owned()),
    }
}

/// The first place, from 1, at which two lists are not the same.
fn first_difference<T>(first: &[T], second: &[T], same: impl Fn(&T, &T) -> bool) -> Option<usize> {
    let common = first.iter().zip(second).position(|(one, other)| !same(one, other));
    let longer = (first.len() != second.len()).then(|| first.len().min(second.len()));
    common.or(longer).map(|index| index + 1)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn ok(body: &str) -> Side<'_> {
        Side { status: 200, body: body.as_bytes() }
    }

    fn result() -> Value {
        json!({
            "inputFilename": "example.cpp", "code": 0, "okToCache": true, "timedOut": false,
            "stdout": [], "stderr": [{ "text": "<source>:1:5: warning: x", "tag": { "line": 1 } }],
            "truncated": false, "execTime": 12, "compilationOptions": ["-g"], "tools": [],
            "asm": [
                { "text": "f:", "source": null, "labels": [] },
                { "text": "  jmp .L2", "source": { "file": null, "line": 3 }, "labels": [{ "name": ".L2" }] },
            ],
            "labelDefinitions": { "f": 1 }, "parsingTime": 1, "filteredCount": 4,
        })
    }

    /// What two results differ in, after `change` to the second.
    fn after(change: impl FnOnce(&mut Value)) -> Vec<(What, Option<usize>)> {
        let (first, mut second) = (result(), result());
        change(&mut second);
        let found = results(ok(&first.to_string()), ok(&second.to_string())).unwrap();
        found.into_iter().map(|difference| (difference.what, difference.line)).collect()
    }

    #[test]
    fn a_remembered_reply_says_so() {
        for (body, expected) in [
            (r#"{"code":0,"retreivedFromCache":true,"retreivedFromCacheTime":3}"#, true),
            (r#"{"code":0,"retreivedFromCache":false}"#, false),
            (r#"{"code":0,"asm":[{"text":"\"retreivedFromCache\":true"}]}"#, false),
            ("retreivedFromCache: true", false),
        ] {
            assert_eq!(is_remembered(body.as_bytes()), expected, "{body}");
        }
    }

    #[test]
    fn what_no_client_sees_is_no_difference() {
        assert_eq!(after(|_| {}), []);
        let changed = after(|second| {
            second["execTime"] = json!(900);
            second["parsingTime"] = json!(70);
            second["queueTime"] = json!(3);
            second["retreivedFromCache"] = json!(true);
            second["inputFilename"] = json!("/tmp/compiler-explorer-compiler1/example.cpp");
            second["stderr"][0]["text"] = json!("\u{1b}[1m<source>:1:5:\u{1b}[m warning: x");
        });
        assert_eq!(changed, []);
    }

    #[test]
    fn each_difference_is_found_at_its_place() {
        assert_eq!(after(|second| second["code"] = json!(1)), [(What::Code, None)]);
        assert_eq!(after(|second| second["code"] = Value::Null), [(What::Code, None)]);
        assert_eq!(after(|second| second["timedOut"] = json!(true)), [(What::TimedOut, None)]);
        assert_eq!(after(|second| second["truncated"] = json!(true)), [(What::Truncated, None)]);
        assert_eq!(after(|second| second["asm"][1]["text"] = json!("  ret")), [(What::Assembly, Some(2))]);
        assert_eq!(
            after(|second| second["asm"] = json!([])),
            [(What::Assembly, Some(1)), (What::Labels, None)][..1]
        );
        assert_eq!(
            after(|second| second["asm"] = json!("f:\n  jmp .L2")),
            [(What::Sources, Some(2)), (What::Labels, Some(2))]
        );
        assert_eq!(after(|second| second["asm"][1]["source"] = Value::Null), [(What::Sources, Some(2))]);
        assert_eq!(after(|second| second["asm"][1]["labels"] = json!([])), [(What::Labels, Some(2))]);
        assert_eq!(after(|second| second["labelDefinitions"] = json!({})), [(What::Labels, None)]);
        assert_eq!(after(|second| second["stdout"] = json!([{ "text": "a" }])), [(What::Stdout, Some(1))]);
        assert_eq!(after(|second| second["stderr"] = json!([])), [(What::Stderr, Some(1))]);
    }

    #[test]
    fn errors_are_compared_by_their_kind() {
        let (fine, error) = (ok("{}"), Side { status: 404, body: b"no such compiler" });
        let status = [Difference { what: What::Status, line: None }];
        assert_eq!(results(fine, error).unwrap(), status);
        assert_eq!(texts(error, fine), status);
        let other = Side { status: 400, body: b"{}" };
        assert_eq!(results(error, other).unwrap(), []);
        assert!(results(fine, ok("<html>")).is_err(), "a success that is no result");
        assert!(results(ok(r#"{"asm":{}}"#), fine).is_err());
    }

    #[test]
    fn texts_are_compared_line_by_line() {
        assert_eq!(texts(ok("# banner\nf:\n ret\n"), ok("# banner\nf:\n ret")), []);
        let found = texts(ok("a\nb\nc"), ok("a\nx\nc"));
        assert_eq!(found, [Difference { what: What::Text, line: Some(2) }]);
        assert_eq!(texts(ok("a\u{1b}[0m\n"), ok("a\n")), []);
    }

    proptest::proptest! {
        #[test]
        fn no_reply_is_too_odd(first: Vec<u8>, second: Vec<u8>, statuses: (u16, u16)) {
            let (first, second) = (Side { status: statuses.0, body: &first }, Side { status: statuses.1, body: &second });
            let _verdict = results(first, second);
            let _verdict = texts(first, second);
        }

        #[test]
        fn everything_is_like_itself(text in "(\\PC|[\n\0\r\u{1b}]){0,60}", code: Option<i64>) {
            let body = json!({ "code": code, "asm": [{ "text": text }], "stderr": [{ "text": text }] }).to_string();
            proptest::prop_assert_eq!(results(ok(&body), ok(&body)).unwrap(), []);
            proptest::prop_assert_eq!(texts(ok(&text), ok(&text)), []);
        }
    }
}
