//! OpenTelemetry's rendering of spans: a request of its protocol (OTLP/HTTP) in the JSON encoding.
//!
//! Ids are hexadecimal, 64-bit numbers are texts, and enumerations are numbers, as the protocol's specification has it.
//! Nothing that a client wrote is in a span but the names it gave to its request and to the compiler.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::domain::trace::{SpanId, TraceId};

/// Who makes the spans.
const SCOPE: Scope = Scope { name: env!("CARGO_PKG_NAME"), version: env!("CARGO_PKG_VERSION") };
/// `STATUS_CODE_ERROR`. What did not fail has no status.
const ERROR: u32 = 2;

/// What a span is to whoever asked for what it tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Something within.
    Internal = 1,
    /// The answer to a request.
    Server = 2,
    /// The handling of a message.
    Consumer = 5,
}

/// A value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Value {
    /// A text.
    #[serde(rename = "stringValue")]
    Text(Cow<'static, str>),
    /// A whole number, in digits.
    #[serde(rename = "intValue")]
    Number(String),
    /// A truth.
    #[serde(rename = "boolValue")]
    Truth(bool),
}

/// A fact beside a span, or about who made it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Attribute {
    /// What it is called, by OpenTelemetry's conventions where they have a word.
    pub key: &'static str,
    /// What it says.
    pub value: Value,
}

/// A part of a trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Which trace.
    pub trace: TraceId,
    /// Which part of it.
    pub id: SpanId,
    /// Which part it belongs to.
    pub parent: Option<SpanId>,
    /// What it is called: few names in all.
    pub name: Cow<'static, str>,
    /// What it is to others.
    pub kind: Kind,
    /// When it began.
    pub begun: SystemTime,
    /// How long it took.
    pub took: Duration,
    /// What else is known of it.
    pub attributes: Vec<Attribute>,
    /// What failed, if we did.
    pub failure: Option<Cow<'static, str>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    resource_spans: [ResourceSpans<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResourceSpans<'a> {
    resource: Resource<'a>,
    scope_spans: [ScopeSpans<'a>; 1],
}

#[derive(Serialize)]
struct Resource<'a> {
    attributes: &'a [Attribute],
}

#[derive(Serialize)]
struct ScopeSpans<'a> {
    scope: Scope,
    spans: Vec<Rendered<'a>>,
}

#[derive(Serialize)]
struct Scope {
    name: &'static str,
    version: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Rendered<'a> {
    trace_id: String,
    span_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_span_id: Option<String>,
    name: &'a str,
    kind: u32,
    start_time_unix_nano: String,
    end_time_unix_nano: String,
    attributes: &'a [Attribute],
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status<'a>>,
}

#[derive(Serialize)]
struct Status<'a> {
    code: u32,
    message: &'a str,
}

impl Attribute {
    /// A fact that is a text.
    pub fn text(key: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        Self { key, value: Value::Text(value.into()) }
    }

    /// A fact that is a number.
    pub fn number(key: &'static str, value: impl Into<u64>) -> Self {
        Self { key, value: Value::Number(value.into().to_string()) }
    }

    /// A fact that is true or not.
    pub const fn truth(key: &'static str, value: bool) -> Self {
        Self { key, value: Value::Truth(value) }
    }
}

impl Span {
    fn rendered(&self) -> Rendered<'_> {
        Rendered {
            trace_id: self.trace.hex(),
            span_id: self.id.hex(),
            parent_span_id: self.parent.map(SpanId::hex),
            name: &self.name,
            kind: self.kind as u32,
            start_time_unix_nano: nanoseconds(self.begun),
            end_time_unix_nano: nanoseconds(self.begun + self.took),
            attributes: &self.attributes,
            status: self.failure.as_deref().map(|message| Status { code: ERROR, message }),
        }
    }
}

/// The body of the request that exports `spans` of whoever `resource` tells of.
pub fn request(spans: &[Span], resource: &[Attribute]) -> Vec<u8> {
    let spans = spans.iter().map(Span::rendered).collect();
    let scope_spans = [ScopeSpans { scope: SCOPE, spans }];
    let request = Request {
        resource_spans: [ResourceSpans { resource: Resource { attributes: resource }, scope_spans }],
    };
    // Only a map with keys that are no strings could fail here.
    serde_json::to_vec(&request).unwrap_or_default()
}

/// Since 1970, as a text.
fn nanoseconds(time: SystemTime) -> String {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos().to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_span_as_the_specification_writes_it() {
        let id = |text| SpanId::parse(text).unwrap();
        let span = Span {
            trace: TraceId::parse("1-5b8efff7-98038103d269b633813fc60c").unwrap(),
            id: id("eee19b7ec3c1b174"),
            parent: Some(id("eee19b7ec3c1b173")),
            name: "process jobs.fifo".into(),
            kind: Kind::Consumer,
            begun: SystemTime::UNIX_EPOCH + Duration::from_nanos(1_544_712_660_000_000_001),
            took: Duration::from_secs(1),
            attributes: vec![Attribute::number("receives", 2_u32), Attribute::truth("cached", false)],
            failure: Some("infra_error".into()),
        };
        let root =
            Span { parent: None, failure: None, attributes: Vec::new(), kind: Kind::Server, ..span.clone() };
        let resource = [Attribute::text("service.name", "compilation-worker")];
        let body: serde_json::Value = serde_json::from_slice(&request(&[span, root], &resource)).unwrap();
        let version = env!("CARGO_PKG_VERSION");
        let common = json!({
            "traceId": "5b8efff798038103d269b633813fc60c",
            "spanId": "eee19b7ec3c1b174",
            "name": "process jobs.fifo",
            "kind": 2,
            "startTimeUnixNano": "1544712660000000001",
            "endTimeUnixNano": "1544712661000000001",
            "attributes": [],
        });
        let mut child = common.clone();
        child["parentSpanId"] = json!("eee19b7ec3c1b173");
        child["kind"] = json!(5);
        child["status"] = json!({ "code": 2, "message": "infra_error" });
        child["attributes"] = json!([
            { "key": "receives", "value": { "intValue": "2" } },
            { "key": "cached", "value": { "boolValue": false } },
        ]);
        let expected = json!({ "resourceSpans": [{
            "resource": { "attributes": [{ "key": "service.name", "value": { "stringValue": "compilation-worker" } }] },
            "scopeSpans": [{ "scope": { "name": "compilation-worker", "version": version }, "spans": [child, common] }],
        }] });
        assert_eq!(body, expected);
    }
}
