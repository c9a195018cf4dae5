//! Results that another worker made: what is read of them, and how they become replies (contract-cloud 1.5 and 4.6).
//!
//! They are passed on as they stand, members we do not know included: a worker may be newer than we are.

use std::collections::HashSet;

use bytes::Bytes;

use super::json::{JsonError, Kind, Reader};
use super::result::{BANNER, Strip, string};
use crate::domain::result::JobStatus;

/// Members that travel between router and worker, and are not for clients.
const OURS: [&str; 2] = ["guid", "s3Key"];

/// How a client wants its result.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    /// As it is.
    Json,
    /// As plain text; `strip` is given when the client wants no terminal codes.
    Text {
        /// What takes them out.
        strip: Option<Strip>,
    },
}

/// A result in its client's shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// What the client gets.
    pub body: Vec<u8>,
    /// How the job ended, as far as the result tells.
    pub status: JobStatus,
}

/// [`join`], and the shape that the client wants. The blob is let go as soon as it is read. A text is never more than a
/// few lines longer than the result it is made of.
pub fn show(parked: Option<Bytes>, frame: &[u8], shape: Shape) -> Result<Shown, JsonError> {
    let result = join(parked.as_deref(), frame)?;
    drop(parked);
    let status = status(&result);
    let body = match shape {
        Shape::Json => result,
        Shape::Text { strip } => text(&result, strip)?,
    };
    Ok(Shown { body, status })
}

/// The result for a client: what lies in the blob store, if something does, overlaid by what stands in the frame.
pub fn join(parked: Option<&[u8]>, frame: &[u8]) -> Result<Vec<u8>, JsonError> {
    let mut names = HashSet::new();
    let mut reader = Reader::of_result(frame)?;
    reader.object(|reader, name| {
        names.insert(name.to_owned());
        reader.skip()
    })?;
    reader.end()?;
    let mut out = Vec::with_capacity(parked.map_or(0, <[u8]>::len) + frame.len());
    out.push(b'{');
    if let Some(parked) = parked {
        copy(parked, &mut out, |name| !names.contains(name))?;
    }
    copy(frame, &mut out, |_| true)?;
    out.push(b'}');
    Ok(out)
}

fn copy(object: &[u8], out: &mut Vec<u8>, wanted: impl Fn(&str) -> bool) -> Result<(), JsonError> {
    let mut reader = Reader::of_result(object)?;
    reader.object(|reader, name| {
        let value = reader.raw()?;
        if !OURS.contains(&name) && wanted(name) {
            if out.len() > 1 {
                out.push(b',');
            }
            string(out, name);
            out.push(b':');
            out.extend_from_slice(value.as_bytes());
        }
        Ok::<(), JsonError>(())
    })?;
    reader.end()
}

/// What is read of a result. Everything may be missing or of another kind, and everything else may be there.
#[derive(Debug, Default)]
struct Members {
    code: Option<i64>,
    timed_out: bool,
    asm: Option<String>,
    stdout: Option<String>,
    stderr: Option<String>,
    execution: Option<Box<Self>>,
}

impl Members {
    fn read(reader: &mut Reader<'_>, strip: Option<Strip>) -> Result<Self, JsonError> {
        let mut members = Self::default();
        reader.object(|reader, name| {
            match (name, reader.kind()?) {
                ("code", Kind::Number) => members.code = whole(reader.number()?),
                ("timedOut", Kind::Bool) => members.timed_out = reader.bool()?,
                ("asm", _) => members.asm = text_of(reader, strip)?,
                ("stdout", _) => members.stdout = text_of(reader, strip)?,
                ("stderr", _) => members.stderr = text_of(reader, strip)?,
                ("execResult", Kind::Object) => {
                    members.execution = Some(Box::new(Self::read(reader, strip)?));
                }
                _ => reader.skip()?,
            }
            Ok::<(), JsonError>(())
        })?;
        Ok(members)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "exit codes are small, and others saturate")]
fn whole(code: f64) -> Option<i64> {
    (code.fract() == 0.0).then_some(code as i64)
}

/// The lines that come next, joined, if there are any; some compilers have a text in their place.
fn text_of(reader: &mut Reader<'_>, strip: Option<Strip>) -> Result<Option<String>, JsonError> {
    let clean = |text: &str| strip.map_or_else(|| text.to_owned(), |strip| strip(text).into_owned());
    match reader.kind()? {
        Kind::String => Ok(Some(clean(&reader.string()?)).filter(|text| !text.trim().is_empty())),
        Kind::Array => {
            let mut joined = None;
            reader.array(|reader, index| {
                let lines: &mut String = joined.get_or_insert_default();
                if index > 0 {
                    lines.push('\n');
                }
                match reader.kind()? {
                    Kind::Object => reader.object(|reader, name| match (name, reader.kind()?) {
                        ("text", Kind::String) => {
                            lines.push_str(&clean(&reader.string()?));
                            Ok(())
                        }
                        _ => reader.skip(),
                    }),
                    _ => reader.skip(),
                }
            })?;
            Ok(joined)
        }
        _ => reader.skip().map(|()| None),
    }
}

/// How a relayed job ended, as far as its result tells.
pub fn status(result: &[u8]) -> JobStatus {
    let read = Reader::of_result(result).and_then(|mut reader| Members::read(&mut reader, None));
    match read {
        Err(_) => JobStatus::InfraError,
        Ok(Members { timed_out: true, .. }) => JobStatus::TimeoutWall,
        Ok(Members { code: Some(0), .. }) => JobStatus::Ok,
        // What a worker says that could not do a job.
        Ok(Members { code: Some(-1), asm: None, .. }) => JobStatus::Rejected,
        Ok(_) => JobStatus::CompileError,
    }
}

/// A result as plain text; `strip` is given when the client wants no terminal codes.
pub fn text(result: &[u8], strip: Option<Strip>) -> Result<Vec<u8>, JsonError> {
    let members = Members::read(&mut Reader::of_result(result)?, strip)?;
    let code = |code: Option<i64>| code.map_or_else(|| "undefined".to_owned(), |code| code.to_string());
    let mut out = format!("{BANNER}\n{}", members.asm.unwrap_or_default());
    if members.code != Some(0) {
        out.push_str("\n# Compiler exited with result code ");
        out.push_str(&code(members.code));
    }
    let section = |out: &mut String, title, lines: Option<String>| {
        if let Some(lines) = lines {
            out.push_str(title);
            out.push_str(&lines);
        }
    };
    section(&mut out, "\nStandard out:\n", members.stdout);
    section(&mut out, "\nStandard error:\n", members.stderr);
    if let Some(run) = members.execution {
        out.push_str("\n\n# Execution result with exit code ");
        out.push_str(&code(run.code));
        out.push('\n');
        section(&mut out, "# Standard out:\n", run.stdout);
        section(&mut out, "\n# Standard error:\n", run.stderr);
    }
    out.push('\n');
    Ok(out.into_bytes())
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_frame_wins_over_what_is_parked() {
        for (parked, frame, expected) in [
            (None, r#"{"guid":"a","code":0,"new":{"x":[1]}}"#, r#"{"code":0,"new":{"x":[1]}}"#),
            (None, r#"{"guid":"a"}"#, "{}"),
            (
                None,
                r#"{ "guid":"a", "weird\u0041" : [1e5, {"x":"\u00e9"}], "s3Key":"k","code" : 0 }"#,
                r#"{"weirdA":[1e5, {"x":"\u00e9"}],"code":0}"#,
            ),
            (
                Some(r#"{"code":0,"execTime":1,"s3Key":"k","asm":[]}"#),
                r#"{"guid":"a","s3Key":"k","execTime":9,"okToCache":true}"#,
                r#"{"code":0,"asm":[],"execTime":9,"okToCache":true}"#,
            ),
        ] {
            let joined = join(parked.map(str::as_bytes), frame.as_bytes()).unwrap();
            assert_eq!(String::from_utf8(joined).unwrap(), expected);
        }
        assert!(join(None, b"[]").is_err());
        assert!(join(Some(b"x"), b"{}").is_err());
    }

    #[test]
    fn texts() {
        for (result, expected) in [
            (
                r#"{"code":0,"asm":[{"text":"main:"},{"text":"  ret","source":null}],"stdout":[],"stderr":[]}"#,
                "main:\n  ret\n",
            ),
            (
                r#"{"code":1,"asm":[],"stdout":[],"stderr":[{"text":"a.c:1: boom"}]}"#,
                "\n# Compiler exited with result code 1\nStandard error:\na.c:1: boom\n",
            ),
            (r#"{"code":0,"asm":"<No output>"}"#, "<No output>\n"),
            (
                r#"{"code":0,"timedOut":null,"asm":[{"text":null},{"text":"a\ud83d"},7],"stdout":[{"text":" "}]}"#,
                "\na\u{fffd}\n\nStandard out:\n \n",
            ),
            ("{}", "\n# Compiler exited with result code undefined\n"),
            (
                r#"{"code":0,"asm":[],"stdout":[{"text":"o"}],"stderr":null,"execResult":{"code":3,"stdout":[{"text":"x"},{"text":"y"}],"stderr":[{"text":"z"}]}}"#,
                "\nStandard out:\no\n\n# Execution result with exit code 3\n# Standard out:\nx\ny\n# Standard error:\nz\n",
            ),
        ] {
            let rendered = String::from_utf8(text(result.as_bytes(), None).unwrap()).unwrap();
            assert_eq!(rendered, format!("{BANNER}\n{expected}"), "{result}");
        }
        let colored =
            text(br#"{"code":0,"asm":[{"text":"red"}]}"#, Some(|_| Cow::Borrowed("plain"))).unwrap();
        assert!(colored.ends_with(b"plain\n"));
        assert!(text(b"[]x", None).is_err());
    }

    #[test]
    fn many_members_are_joined_in_linear_time() {
        let object = |letter: char| {
            let members: Vec<_> = (0..60_000).map(|index| format!("\"{letter}{index}\":0")).collect();
            format!("{{{}}}", members.join(","))
        };
        let start = tokio::time::Instant::now();
        let joined = join(Some(object('a').as_bytes()), object('b').as_bytes()).unwrap();
        assert_eq!(memchr::memchr_iter(b':', &joined).count(), 120_000);
        assert!(start.elapsed().as_secs() < 30);
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in ".*", object in "\\{[\\[\\]{}\":,a-z0-9\\\\\u{e9}\u{1f600}\0\r\u{1b}]{0,60}") {
            for text in [text.as_bytes(), object.as_bytes()] {
                let _answered = (join(None, text).is_ok(), join(Some(text), b"{}").is_ok(), super::text(text, None).is_ok(), status(text));
            }
        }
    }

    #[test]
    fn how_it_ended() {
        for (result, expected) in [
            (r#"{"code":0,"asm":[]}"#, JobStatus::Ok),
            (r#"{"code":1,"asm":[{"text":"<Compilation failed>"}]}"#, JobStatus::CompileError),
            (r#"{"code":-1,"asm":[],"timedOut":false}"#, JobStatus::Rejected),
            (r#"{"code":-1,"timedOut":true}"#, JobStatus::TimeoutWall),
            (r#"{"code":"odd","timedOut":null}"#, JobStatus::CompileError),
            ("x", JobStatus::InfraError),
        ] {
            assert_eq!(status(result.as_bytes()), expected, "{result}");
        }
    }
}
