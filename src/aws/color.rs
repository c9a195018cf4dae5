//! The live color, from a parameter of Systems Manager.
//!
//! One signed POST, written out. The SDK's crate for Systems Manager is the largest of all but one, and would add 150
//! CPU seconds to every release build for this one verb. What it would do besides is not missed: there is no retry,
//! because the router has the last known color and asks again within 30 s.

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
use serde_json::json;
use tokio::time::timeout;

use crate::aws::clients::{Clients, IDLE};
use crate::aws::fault::{Fault, Kind, chain};
use crate::aws::{Settings, clock};
use crate::ports::Color;
use crate::trust;

/// How long the whole call may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// Most bytes of an answer that are read. A parameter has 8 KiB at most, and a few hundred bytes around it.
const LARGEST_ANSWER: usize = 64 * 1024;
/// The headers of the call, which are signed.
const HEADERS: [(&str, &str); 2] =
    [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", "AmazonSSM.GetParameter")];

/// A parameter that names the live color.
#[derive(Debug)]
pub(super) struct ColorParameter {
    name: String,
    clients: Clients,
    http: reqwest::Client,
    /// Seconds that the service's clock was ahead of ours when it last answered: signatures must have its time.
    ahead: AtomicI64,
}

/// What comes back: a parameter, or the name of what is wrong.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Answer {
    #[serde(rename = "Parameter")]
    parameter: Parameter,
    #[serde(rename = "__type")]
    kind: Option<String>,
    #[serde(alias = "Message")]
    message: Option<String>,
}

#[derive(Deserialize, Default)]
struct Parameter {
    #[serde(rename = "Value", default)]
    value: String,
}

impl ColorParameter {
    pub(super) fn new(clients: &Clients, name: String) -> Result<Self, Fault> {
        let (tls, _authorities) = trust::client().map_err(|error| unset(&error))?;
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(redirect::Policy::none())
            .pool_idle_timeout(IDLE)
            .no_proxy()
            .build();
        let http = http.map_err(|error| unset(&error))?;
        Ok(Self { name, clients: clients.clone(), http, ahead: AtomicI64::new(0) })
    }

    /// The name, for messages.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The color it names now. A parameter that is not there means blue, as to the deployed router.
    pub(super) async fn color(&self) -> Result<Color, Fault> {
        let slow = |_| Fault::new(Kind::TimedOut, &format!("no answer within {PATIENCE:?}"));
        // Credentials may have to be fetched first.
        let (status, body) = timeout(PATIENCE, self.ask()).await.map_err(slow)??;
        read(status, &body).map_err(|fault| self.clients.noted(fault))
    }

    async fn ask(&self) -> Result<(u16, Bytes), Fault> {
        let credentials = self.clients.keys().current().await;
        let credentials = credentials.map_err(|error| Fault::new(Kind::NoCredentials, &chain(&error)))?;
        let request = self.request(credentials, shifted(SystemTime::now(), self.ahead.load(Relaxed)));
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
        credentials: Credentials,
        now: SystemTime,
    ) -> Result<reqwest::Request, Box<dyn Error + Send + Sync>> {
        let (url, body) = (endpoint(self.clients.settings()), json!({ "Name": self.name }).to_string());
        let (identity, settings) = (credentials.into(), SigningSettings::default());
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.clients.settings().region)
            .name("ssm")
            .time(now)
            .settings(settings)
            .build()?
            .into();
        let signable =
            SignableRequest::new("POST", &url, HEADERS.into_iter(), SignableBody::Bytes(body.as_bytes()))?;
        let (signature, _) = sign(signable, &parameters)?.into_parts();
        let mut request = http::Request::post(&url).body(body)?;
        for (name, value) in HEADERS {
            request.headers_mut().insert(name, http::HeaderValue::from_static(value));
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

fn endpoint(settings: &Settings) -> String {
    let Settings { region, endpoints } = settings;
    let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    endpoints.or_every(endpoints.ssm.as_ref()).unwrap_or_else(|| format!("https://ssm.{region}.{domain}"))
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

fn read(status: u16, body: &[u8]) -> Result<Color, Fault> {
    let answer: Result<Answer, _> = serde_json::from_slice(body);
    if status != 200 {
        let answer = answer.unwrap_or_default();
        // Some services put a namespace before the name.
        let code = answer.kind.as_deref().map(|kind| kind.rsplit('#').next().unwrap_or(kind));
        return match code {
            Some("ParameterNotFound") => Ok(Color::Blue),
            _ => Err(Fault::answered(status, code, answer.message.as_deref())),
        };
    }
    let answer = answer.map_err(|error| Fault::new(Kind::Garbled, &error.to_string()))?;
    Ok(if answer.parameter.value == "green" { Color::Green } else { Color::Blue })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_not_green_is_blue() {
        for (status, body, expected) in [
            (200, r#"{"Parameter":{"Name":"n","Value":"green","Version":3}}"#, Color::Green),
            (200, r#"{"Parameter":{"Value":"blue"}}"#, Color::Blue),
            (200, r#"{"Parameter":{"Value":"GREEN"}}"#, Color::Blue),
            (200, r#"{"Parameter":{}}"#, Color::Blue),
            (400, r#"{"__type":"ParameterNotFound"}"#, Color::Blue),
            (400, r#"{"__type":"com.amazonaws.ssm#ParameterNotFound","message":""}"#, Color::Blue),
        ] {
            assert_eq!(read(status, body.as_bytes()).unwrap(), expected, "{body}");
        }
    }

    #[test]
    fn failures_are_told_apart() {
        for (status, body, expected) in [
            (200, "<html>", Kind::Garbled),
            (200, r#"{"Parameter":{"Value":1}}"#, Kind::Garbled),
            (400, r#"{"__type":"ThrottlingException","message":"Rate exceeded"}"#, Kind::Throttled),
            (400, r#"{"__type":"ExpiredTokenException"}"#, Kind::Expired),
            (400, r#"{"__type":"AccessDeniedException","Message":"no"}"#, Kind::Denied),
            (502, "<html>", Kind::Broken),
        ] {
            assert_eq!(read(status, body.as_bytes()).unwrap_err().kind, expected, "{body}");
        }
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
            let _answer = read(status, &body);
        }
    }
}
