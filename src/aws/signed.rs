//! Services that are asked by hand: one signed POST for each call.
//!
//! The SDK's crates for these services are large (that for Systems Manager adds 150 CPU seconds to a release build, that
//! for EC2 needs eight gigabytes of memory), and of each we need a few verbs. What they share is here: the signature by
//! the service's own clock, patience, repeats where the patience has them, and errors in our words.

use std::error::Error;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use reqwest::redirect;
use serde::Deserialize;
use tokio::time::{sleep, timeout};

use crate::aws::clients::{BACKOFF, Clients, IDLE, Patience};
use crate::aws::fault::{Fault, Kind, chain};
use crate::aws::{Settings, clock};
use crate::trust;

/// Most bytes of an answer that are read. The largest are pages of log events, of a megabyte each.
const LARGEST_ANSWER: usize = 8 * 1024 * 1024;
/// How services that speak JSON call it.
const JSON: &str = "application/x-amz-json-1.1";
/// How those call it that take forms and answer with XML.
const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";

/// A service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    /// Systems Manager, for parameters: JSON.
    Parameters,
    /// Auto Scaling: forms and XML.
    AutoScaling,
    /// Elastic Load Balancing, version 2: forms and XML.
    Balancing,
    /// CloudWatch's metrics: forms and XML.
    Metrics,
    /// CloudWatch Logs: JSON.
    Logs,
}

/// A service and the way to it.
#[derive(Debug)]
pub(super) struct Signed {
    service: Service,
    patience: Patience,
    clients: Clients,
    http: reqwest::Client,
    /// Seconds that the service's clock was ahead of ours when it last answered: signatures must have its time.
    ahead: AtomicI64,
}

/// One call, before it is signed.
struct Call<'a> {
    /// Header names in lower case, with their values; all are signed.
    headers: Vec<(&'static str, &'a str)>,
    body: String,
}

/// What a service that speaks XML says is wrong. EC2 calls the outermost elements otherwise.
#[derive(Deserialize)]
struct XmlErrors {
    #[serde(rename = "Error")]
    error: XmlError,
}

#[derive(Deserialize)]
struct XmlError {
    #[serde(rename = "Code")]
    code: String,
    #[serde(rename = "Message", default)]
    message: String,
}

/// What a service that speaks JSON says is wrong.
#[derive(Deserialize, Default)]
#[serde(default)]
struct JsonError {
    #[serde(rename = "__type")]
    kind: Option<String>,
    #[serde(alias = "Message")]
    message: Option<String>,
}

impl Service {
    /// The name that it is signed for.
    const fn name(self) -> &'static str {
        match self {
            Self::Parameters => "ssm",
            Self::AutoScaling => "autoscaling",
            Self::Balancing => "elasticloadbalancing",
            Self::Metrics => "monitoring",
            Self::Logs => "logs",
        }
    }

    /// The version of the interface, for those that take forms.
    const fn version(self) -> &'static str {
        match self {
            // Say it in the target of each call.
            Self::Parameters | Self::Logs => "",
            Self::AutoScaling => "2011-01-01",
            Self::Balancing => "2015-12-01",
            Self::Metrics => "2010-08-01",
        }
    }

    fn endpoint(self, Settings { region, endpoints }: &Settings) -> String {
        let own = match self {
            Self::Parameters => &endpoints.ssm,
            Self::AutoScaling => &endpoints.autoscaling,
            Self::Balancing => &endpoints.elbv2,
            Self::Metrics => &endpoints.cloudwatch,
            Self::Logs => &endpoints.logs,
        };
        let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        let name = self.name();
        endpoints.or_every(own.as_ref()).unwrap_or_else(|| format!("https://{name}.{region}.{domain}"))
    }
}

impl Signed {
    /// The way to a service. Asks nothing yet; an error means that there can be no TLS here.
    pub(super) fn new(clients: &Clients, service: Service, patience: Patience) -> Result<Self, Fault> {
        let (tls, _authorities) = trust::client().map_err(|error| unset(&error))?;
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(redirect::Policy::none())
            .pool_idle_timeout(IDLE)
            .no_proxy()
            .build();
        let http = http.map_err(|error| unset(&error))?;
        Ok(Self { service, patience, clients: clients.clone(), http, ahead: AtomicI64::new(0) })
    }

    /// Calls `target`, such as `AmazonSSM.GetParameter`, with a JSON object; answers with the one that comes back.
    pub(super) async fn json(&self, target: &str, body: &serde_json::Value) -> Result<Bytes, Fault> {
        let headers = vec![("content-type", JSON), ("x-amz-target", target)];
        self.call(&Call { headers, body: body.to_string() }, json_error).await
    }

    /// Calls `action` with these parameters as a form; answers with the XML that comes back.
    pub(super) async fn form(&self, action: &str, parameters: &[(&str, &str)]) -> Result<Bytes, Fault> {
        let call = self.filled(action, parameters);
        self.call(&call, xml_error).await
    }

    /// The same, once, whatever comes of it: for what another try would not find as the first did.
    pub(super) async fn form_once(&self, action: &str, parameters: &[(&str, &str)]) -> Result<Bytes, Fault> {
        let call = self.filled(action, parameters);
        self.attempt(&call, xml_error).await
    }

    /// A form. Made before any wait: what makes it cannot pass from thread to thread.
    fn filled(&self, action: &str, parameters: &[(&str, &str)]) -> Call<'static> {
        let body = form_urlencoded::Serializer::new(String::new())
            .append_pair("Action", action)
            .append_pair("Version", self.service.version())
            .extend_pairs(parameters)
            .finish();
        Call { headers: vec![("content-type", FORM)], body }
    }

    /// The time by the service's clock, as far as its last answer told it; until then, ours.
    pub(super) fn now(&self) -> SystemTime {
        shifted(SystemTime::now(), self.ahead.load(Relaxed))
    }

    /// Tries as often as patience allows, where another try may help.
    async fn call(&self, call: &Call<'_>, read: fn(u16, &[u8]) -> Fault) -> Result<Bytes, Fault> {
        let mut tries = 1;
        loop {
            let answer = self.attempt(call, read).await;
            let passing = answer.as_ref().err().is_some_and(|fault| fault.kind.may_pass());
            if !passing || tries >= self.patience.attempts {
                return answer;
            }
            let longest = BACKOFF.1.min(BACKOFF.0.saturating_mul(1 << tries.min(10)));
            sleep(longest.mul_f64(fastrand::f64())).await;
            tries += 1;
        }
    }

    async fn attempt(&self, call: &Call<'_>, read: fn(u16, &[u8]) -> Fault) -> Result<Bytes, Fault> {
        let patience = self.patience.attempt;
        let slow = |_| Fault::new(Kind::TimedOut, &format!("no answer within {patience:?}"));
        // Credentials may have to be fetched first.
        let (status, body) = timeout(patience, self.ask(call)).await.map_err(slow)??;
        if status == 200 { Ok(body) } else { Err(self.clients.noted(read(status, &body))) }
    }

    async fn ask(&self, call: &Call<'_>) -> Result<(u16, Bytes), Fault> {
        let credentials = self.clients.keys().current().await;
        let credentials = credentials.map_err(|error| Fault::new(Kind::NoCredentials, &chain(&error)))?;
        let request = self.request(call, credentials, self.now());
        let request = request.map_err(|error| Fault::new(Kind::Refused, &chain(&*error)))?;
        let response = self.http.execute(request).await.map_err(|error| lost(&error))?;
        if let Some(date) =
            response.headers().get("date").and_then(|date| date.to_str().ok()).and_then(clock::parse)
        {
            self.ahead.store(seconds_between(SystemTime::now(), date), Relaxed);
        }
        body(response).await
    }

    fn request(
        &self,
        call: &Call<'_>,
        credentials: Credentials,
        now: SystemTime,
    ) -> Result<reqwest::Request, Box<dyn Error + Send + Sync>> {
        let settings = self.clients.settings();
        let url = self.service.endpoint(settings);
        let identity = credentials.into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&settings.region)
            .name(self.service.name())
            .time(now)
            .settings(SigningSettings::default())
            .build()?
            .into();
        let body = SignableBody::Bytes(call.body.as_bytes());
        let signable = SignableRequest::new("POST", &url, call.headers.iter().copied(), body)?;
        let (signature, _) = sign(signable, &parameters)?.into_parts();
        let mut request = http::Request::post(&url).body(call.body.clone())?;
        for (name, value) in &call.headers {
            request.headers_mut().insert(*name, http::HeaderValue::from_str(value)?);
        }
        signature.apply_to_request_http1x(&mut request);
        Ok(request.try_into()?)
    }
}

fn shifted(time: SystemTime, seconds: i64) -> SystemTime {
    let span = Duration::from_secs(seconds.unsigned_abs());
    let shifted = if seconds < 0 { time.checked_sub(span) } else { time.checked_add(span) };
    shifted.unwrap_or(time)
}

fn seconds_between(from: SystemTime, to: SystemTime) -> i64 {
    let seconds = |span: Duration| i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
    to.duration_since(from).map_or_else(|error| -seconds(error.duration()), seconds)
}

async fn body(response: reqwest::Response) -> Result<(u16, Bytes), Fault> {
    let status = response.status().as_u16();
    let body = Limited::new(reqwest::Body::from(response), LARGEST_ANSWER).collect().await;
    let body = body.map_err(|error| Fault::new(Kind::Garbled, &chain(&*error)))?;
    Ok((status, body.to_bytes()))
}

fn unset(error: &(dyn Error + 'static)) -> Fault {
    Fault::new(Kind::Unreachable, &chain(error))
}

fn lost(error: &reqwest::Error) -> Fault {
    Fault::new(if error.is_timeout() { Kind::TimedOut } else { Kind::Unreachable }, &chain(error))
}

/// What a service that speaks JSON means by a status and a body.
fn json_error(status: u16, body: &[u8]) -> Fault {
    let said: JsonError = serde_json::from_slice(body).unwrap_or_default();
    // Some services put a namespace before the name.
    let code = said.kind.as_deref().map(|kind| kind.rsplit('#').next().unwrap_or(kind));
    Fault::answered(status, code, said.message.as_deref())
}

/// What a service that speaks XML means by a status and a body.
fn xml_error(status: u16, body: &[u8]) -> Fault {
    match quick_xml::de::from_reader::<_, XmlErrors>(body) {
        Ok(XmlErrors { error }) => Fault::answered(status, Some(&error.code), Some(&error.message)),
        Err(_) => Fault::answered(status, None, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_told_apart() {
        let throttled = r#"{"__type":"com.amazonaws.ssm#ThrottlingException","message":"Rate exceeded"}"#;
        let absent = "<ErrorResponse xmlns=\"x\"><Error><Type>Sender</Type><Code>ValidationError</Code>\
            <Message>no such &lt;group&gt;</Message></Error><RequestId>1</RequestId></ErrorResponse>";
        for (read, status, body, kind, code) in [
            (
                json_error as fn(u16, &[u8]) -> Fault,
                400,
                throttled,
                Kind::Throttled,
                Some("ThrottlingException"),
            ),
            (
                json_error,
                400,
                r#"{"__type":"AccessDeniedException","Message":"no"}"#,
                Kind::Denied,
                Some("AccessDeniedException"),
            ),
            (json_error, 502, "<html>", Kind::Broken, None),
            (xml_error, 400, absent, Kind::Refused, Some("ValidationError")),
            (xml_error, 503, "gone", Kind::Broken, None),
            (xml_error, 403, "", Kind::Denied, None),
        ] {
            let fault = read(status, body.as_bytes());
            assert_eq!((fault.kind, fault.code.as_deref()), (kind, code), "{body}");
        }
        assert_eq!(xml_error(400, absent.as_bytes()).detail, "ValidationError: no such <group>");
    }

    #[test]
    fn times_shift_both_ways() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        for (from, to, seconds) in [(100, 700, 600), (700, 100, -600), (5, 5, 0)] {
            assert_eq!(seconds_between(at(from), at(to)), seconds);
            assert_eq!(shifted(at(from), seconds), at(to));
        }
    }

    proptest::proptest! {
        #[test]
        fn no_answer_is_too_odd(status: u16, body: Vec<u8>) {
            let _faults = (json_error(status, &body), xml_error(status, &body));
        }
    }
}
