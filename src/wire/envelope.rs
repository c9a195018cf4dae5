//! The job message of the queue, as today's router writes it and today's workers read it (contract-cloud 3.2, 3.3 and
//! 3.5; decisions D10, D11 and D16), and the note that stands in for a message too large for the queue.

use std::collections::BTreeMap;
use std::time::Duration;

use super::form::Fields;
use super::frame::CANCELLATIONS;
use super::json::{JsonError, Kind, Reader};
use super::request::{self, Draft, RequestError};
use super::result::string;
use crate::domain::ids::{IdError, RequestId};

/// Bytes of a message that still travel on the queue itself; more are parked in the blob store (contract-cloud 3.3).
pub const LARGEST_INLINE: usize = 262_144;

/// The message attribute that says how many milliseconds a job had left when it was sent (decision D24).
pub const REMAINING: &str = "RemainingMs";

/// The message attribute of a dead letter that says why it is one (decision D23).
pub const REASON: &str = "Reason";

/// Takes from the time that a job has left what it has spent on its way to the queue.
pub fn spend(attributes: &mut BTreeMap<String, String>, spent: Duration) {
    let left = attributes.get_mut(REMAINING).and_then(|text| Some((text.parse::<u64>().ok()?, text)));
    if let Some((millis, text)) = left {
        let spent = u64::try_from(spent.as_millis()).unwrap_or(u64::MAX);
        *text = millis.saturating_sub(spent).to_string();
    }
}

/// The `type` of a note that stands in for a parked message.
const PARKED: &str = "s3-overflow";

/// Members that only a router may write. A client's are left out, so that it can neither take another's name nor
/// have a worker fetch what it likes (D11).
const RESERVED: [&str; 10] = [
    "guid",
    "compilerId",
    "isCMake",
    "buildSystem",
    "headers",
    "queryStringParameters",
    "queueTimeMs",
    "type",
    "s3Bucket",
    "s3Key",
];

/// What today's router writes where a client left a member out.
const DEFAULTS: [(&str, &str); 8] = [
    ("source", r#""""#),
    ("options", "[]"),
    ("filters", "{}"),
    ("backendOptions", "{}"),
    ("tools", "[]"),
    ("libraries", "[]"),
    ("files", "[]"),
    ("executeParameters", "{}"),
];

/// What is to be made of a job's files.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Build {
    /// A listing of one file.
    #[default]
    Compile,
    /// A project, by the build system of this name.
    Project(String),
}

/// A job on its way to a queue.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing<'a> {
    /// What its result will be called.
    pub id: &'a RequestId,
    /// The compiler, as the path named it.
    pub compiler: &'a str,
    /// What is to be made.
    pub build: &'a Build,
    /// The query string, undecoded.
    pub query: &'a str,
    /// The body.
    pub body: Body<'a>,
}

/// A request's body, as the door tells the two kinds apart.
#[derive(Debug, Clone, Copy)]
pub enum Body<'a> {
    /// A JSON object.
    Json(&'a [u8]),
    /// Bare source.
    Text(&'a [u8]),
}

/// What a queue message says.
#[derive(Debug)]
pub enum Incoming {
    /// A job.
    Job(Box<Job>),
    /// The job lies in the blob store.
    Parked(Parked),
}

/// A job from a queue.
#[derive(Debug)]
pub struct Job {
    /// What its result must be called.
    pub id: RequestId,
    /// The compiler asked for.
    pub compiler: String,
    /// What is to be made.
    pub build: Build,
    /// The request, if it is one: what is wrong with it is for its sender to hear.
    pub draft: Result<Draft, RequestError>,
}

/// Where a job lies that was too large for the queue. Whether that place may be read at all is decided by the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parked {
    /// What the job's result must be called; the job itself must say the same.
    pub id: RequestId,
    /// The bucket it lies in.
    pub bucket: String,
    /// Its key there.
    pub key: String,
}

/// Why a message is no job. Where the message has a name all the same, somebody waits to hear of it.
#[derive(Debug, thiserror::Error)]
#[error("the message is no job")]
pub struct EnvelopeError {
    /// Its name, if one could be read.
    pub id: Option<RequestId>,
    /// What is wrong.
    #[source]
    pub wrong: EnvelopeProblem,
}

/// What is wrong with a message.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeProblem {
    /// Not JSON we accept.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// A member of the wrong type.
    #[error("{member} must be {expected}")]
    Type {
        /// Which.
        member: &'static str,
        /// What it should have been.
        expected: &'static str,
    },
    /// A member that must be there is not.
    #[error("it has no {0}")]
    Missing(&'static str),
    /// The guid is a name under which workers are told other things.
    #[error("its guid is no job's name")]
    Taken,
    /// The guid is no identifier.
    #[error(transparent)]
    Name(#[from] IdError),
}

/// Writes the message for a job. Fails only where the door would have refused the body.
pub fn write(job: &Outgoing<'_>) -> Result<String, RequestError> {
    let size = match job.body {
        Body::Json(bytes) => bytes.len(),
        Body::Text(text) => text.len() + text.len() / 8,
    };
    let mut out = Vec::with_capacity(512 + size);
    out.extend_from_slice(br#"{"guid":"#);
    string(&mut out, job.id.as_str());
    out.extend_from_slice(br#","compilerId":"#);
    string(&mut out, job.compiler);
    let (cmake, system) = match job.build {
        Build::Compile => (false, None),
        // Today's workers know CMake by either member, and other systems by the second.
        Build::Project(system) => (system == "cmake", Some(system)),
    };
    out.extend_from_slice(if cmake { br#","isCMake":true"# } else { br#","isCMake":false"# });
    if let Some(system) = system {
        out.extend_from_slice(br#","buildSystem":"#);
        string(&mut out, system);
    }
    let kind = match job.body {
        Body::Json(_) => "application/json",
        Body::Text(_) => "text/plain",
    };
    out.extend_from_slice(br#","headers":{"content-type":"#);
    string(&mut out, kind);
    out.extend_from_slice(br#"},"queryStringParameters":{"#);
    let query = Fields::parse(job.query.as_bytes());
    let query = query.map_err(|source| RequestError::Form { what: "query string", source })?;
    for (index, (name, value)) in query.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        string(&mut out, name);
        out.push(b':');
        string(&mut out, value);
    }
    out.push(b'}');
    let mut defaults = DEFAULTS.to_vec();
    match job.body {
        Body::Text(source) => {
            let source = request::utf8(source)?;
            out.extend_from_slice(br#","source":"#);
            string(&mut out, source);
            defaults.retain(|(name, _)| *name != "source");
        }
        Body::Json(body) => copy_members(body, &mut out, &mut defaults)?,
    }
    for (name, value) in defaults {
        out.push(b',');
        string(&mut out, name);
        out.push(b':');
        out.extend_from_slice(value.as_bytes());
    }
    out.push(b'}');
    // Everything in it is text: what was read as such, or written here.
    Ok(sendable(String::from_utf8(out).unwrap_or_default()))
}

/// The same JSON without the two characters that queues refuse and JSON allows. They can only stand in strings.
fn sendable(json: String) -> String {
    if !json.contains(['\u{fffe}', '\u{ffff}']) {
        return json;
    }
    json.replace('\u{fffe}', "\\ufffe").replace('\u{ffff}', "\\uffff")
}

/// Copies the client's members as they stand, but for the reserved ones, and strikes their defaults out.
fn copy_members(
    body: &[u8],
    out: &mut Vec<u8>,
    defaults: &mut Vec<(&'static str, &'static str)>,
) -> Result<(), RequestError> {
    let mut reader = Reader::new(body)?;
    reader.object(|reader, name| {
        let value = reader.raw()?;
        if !RESERVED.contains(&name) && value != "null" {
            defaults.retain(|(known, _)| *known != name);
            out.push(b',');
            string(out, name);
            out.push(b':');
            out.extend_from_slice(value.as_bytes());
        }
        Ok::<(), RequestError>(())
    })?;
    Ok(reader.end()?)
}

/// Writes the note that stands in for a parked job. `at` is when, as RFC 3339.
pub fn write_parked(parked: &Parked, compiler: &str, size: usize, at: &str) -> String {
    let mut out = Vec::with_capacity(512);
    out.extend_from_slice(br#"{"type":"#);
    string(&mut out, PARKED);
    for (name, value) in [
        ("guid", parked.id.as_str()),
        ("compilerId", compiler),
        ("s3Bucket", &parked.bucket),
        ("s3Key", &parked.key),
    ] {
        out.push(b',');
        string(&mut out, name);
        out.push(b':');
        string(&mut out, value);
    }
    out.extend_from_slice(format!(r#","originalSize":{size},"timestamp":"#).as_bytes());
    string(&mut out, at);
    out.push(b'}');
    sendable(String::from_utf8(out).unwrap_or_default())
}

/// The members that make a message what it is, as far as they could be read.
#[derive(Default)]
struct Head {
    id: Option<RequestId>,
    compiler: Option<String>,
    cmake: bool,
    system: Option<String>,
    kind: Option<String>,
    query: Vec<(String, String)>,
    source: String,
    parked: bool,
    bucket: String,
    key: String,
}

/// Reads a message.
pub fn read(message: &str) -> Result<Incoming, EnvelopeError> {
    let mut head = Head::default();
    let whole = read_head(message, &mut head);
    let Head { id, compiler, cmake, system, kind, query, source, parked, bucket, key } = head;
    let fail = |wrong| EnvelopeError { id: id.clone(), wrong };
    whole.map_err(fail)?;
    let Some(id) = id.clone() else { return Err(fail(EnvelopeProblem::Missing("guid"))) };
    if id.as_str() == CANCELLATIONS {
        return Err(EnvelopeError { id: None, wrong: EnvelopeProblem::Taken });
    }
    if parked && !bucket.is_empty() && !key.is_empty() {
        return Ok(Incoming::Parked(Parked { id, bucket, key }));
    }
    let Some(compiler) = compiler else { return Err(fail(EnvelopeProblem::Missing("compilerId"))) };
    let build = match (system, cmake) {
        (Some(system), _) => Build::Project(system),
        (None, true) => Build::Project("cmake".to_owned()),
        (None, false) => Build::Compile,
    };
    let draft = if kind.as_deref().is_some_and(is_json) {
        request::json(message.as_bytes())
    } else {
        request::source(source, &Fields::given(query))
    };
    Ok(Incoming::Job(Box::new(Job { id, compiler, build, draft })))
}

/// Whether a content type is JSON, parameters or not.
fn is_json(kind: &str) -> bool {
    kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
}

fn read_head(message: &str, head: &mut Head) -> Result<(), EnvelopeProblem> {
    let mut reader = Reader::new(message.as_bytes())?;
    reader.object(|reader, name| {
        match name {
            "guid" => head.id = Some(RequestId::parse(&text(reader, "guid")?)?),
            "compilerId" => head.compiler = Some(text(reader, "compilerId")?),
            "buildSystem" => head.system = optional(reader, "buildSystem")?,
            "isCMake" => head.cmake = reader.raw()? == "true",
            "headers" => pairs(reader, "headers", |name, value| {
                if name.eq_ignore_ascii_case("content-type") {
                    head.kind = Some(value);
                }
            })?,
            "queryStringParameters" => {
                pairs(reader, "queryStringParameters", |name, value| {
                    head.query.push((name.to_owned(), value));
                })?;
            }
            "source" => head.source = optional(reader, "source")?.unwrap_or_default(),
            "type" => head.parked = reader.kind()? == Kind::String && text(reader, "type")? == PARKED,
            "s3Bucket" => head.bucket = optional(reader, "s3Bucket")?.unwrap_or_default(),
            "s3Key" => head.key = optional(reader, "s3Key")?.unwrap_or_default(),
            _ => reader.skip()?,
        }
        Ok::<(), EnvelopeProblem>(())
    })?;
    Ok(reader.end()?)
}

fn text(reader: &mut Reader<'_>, member: &'static str) -> Result<String, EnvelopeProblem> {
    match reader.kind()? {
        Kind::String => Ok(reader.string()?.into_owned()),
        _ => Err(EnvelopeProblem::Type { member, expected: "a string" }),
    }
}

fn optional(reader: &mut Reader<'_>, member: &'static str) -> Result<Option<String>, EnvelopeProblem> {
    if reader.kind()? == Kind::Null {
        reader.null()?;
        return Ok(None);
    }
    text(reader, member).map(Some)
}

/// An object of texts; a list of texts stands for its first.
fn pairs(
    reader: &mut Reader<'_>,
    member: &'static str,
    mut each: impl FnMut(&str, String),
) -> Result<(), EnvelopeProblem> {
    match reader.kind()? {
        Kind::Null => return Ok(reader.null()?),
        Kind::Object => {}
        _ => return Err(EnvelopeProblem::Type { member, expected: "an object" }),
    }
    reader.object(|reader, name| {
        match reader.kind()? {
            Kind::String => each(name, reader.string()?.into_owned()),
            Kind::Array => {
                let mut first = None;
                reader.array(|reader, _| {
                    if first.is_none() && reader.kind()? == Kind::String {
                        first = Some(reader.string()?.into_owned());
                        return Ok(());
                    }
                    reader.skip()
                })?;
                if let Some(value) = first {
                    each(name, value);
                }
            }
            _ => reader.skip()?,
        }
        Ok::<(), EnvelopeProblem>(())
    })
}

#[cfg(test)]
mod tests;
