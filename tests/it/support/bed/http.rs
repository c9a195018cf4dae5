//! Connections, and what the script does to them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::calls::Service;
use super::{Fault, State};

/// An answer.
pub(super) type Answer = Response<Full<Bytes>>;

/// A request, read to its end.
pub(super) struct Asked {
    pub(super) method: Method,
    /// Without what follows a question mark.
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// The connection is to end without an answer.
#[derive(Debug, thiserror::Error)]
#[error("torn down")]
struct TornDown;

/// How far a signature's time may be off.
const TOLERANCE: i64 = 5 * 60;

pub(super) async fn serve(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        connections.spawn(connection(stream, Arc::clone(&state)));
    }
}

async fn connection(stream: TcpStream, state: Arc<State>) {
    stream.set_nodelay(true).unwrap();
    // A close is a reset; what was answered before has been read by then.
    stream.set_zero_linger().unwrap();
    let service = service_fn(|request| answer(request, &state));
    let _however_it_ends =
        http1::Builder::new().serve_connection(TokioIo::new(stream), service).await.is_ok();
}

async fn answer(request: Request<Incoming>, state: &State) -> Result<Answer, TornDown> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| TornDown)?.to_bytes();
    let asked = Asked { method: head.method, path: head.uri.path().to_owned(), headers: head.headers, body };
    let (service, verb) = kind(&asked);
    let call = state.calls.note(service, &verb, &what(service, &asked));
    let script = state.script.lock().unwrap().clone();
    let fault = script.map_or(Fault::None, |script| script(&call));
    match &fault {
        Fault::Refuse(status, code, message) => {
            return Ok(dated(refusal(service, *status, code, message), state));
        }
        Fault::Garbage(status) => return Ok(said(*status, "text/html", "<html>\u{0}it works!")),
        Fault::Hang => std::future::pending::<()>().await,
        Fault::Reset => return Err(TornDown),
        Fault::Late(pause) => sleep(*pause).await,
        Fault::None | Fault::Lost | Fault::Again | Fault::Worn | Fault::Backwards => {}
    }
    let answer = match service {
        _ if is_off(&asked.headers, state) => refusal(
            service,
            403,
            "RequestTimeTooSkewed",
            "The difference between the request time and the current time is too large.",
        ),
        Service::Sqs => state.queue_call(&verb, &asked.body, &fault).await,
        Service::S3 => state.object_call(&asked).await,
        Service::DynamoDb | Service::Ssm => state.table_call(&verb, &asked.body),
    };
    if fault == Fault::Lost { Err(TornDown) } else { Ok(dated(answer, state)) }
}

/// Which service is meant, and what it is to do.
fn kind(asked: &Asked) -> (Service, String) {
    let target = asked.headers.get("x-amz-target").and_then(|target| target.to_str().ok());
    let Some((prefix, verb)) = target.and_then(|target| target.split_once('.')) else {
        return (Service::S3, asked.method.to_string());
    };
    let service = match prefix {
        "AmazonSQS" => Service::Sqs,
        "AmazonSSM" => Service::Ssm,
        _ => Service::DynamoDb,
    };
    (service, verb.to_owned())
}

/// What a call is about, for scripts.
fn what(service: Service, asked: &Asked) -> String {
    let member = match service {
        Service::S3 => return asked.path.trim_start_matches('/').to_owned(),
        Service::Sqs => "QueueUrl",
        Service::DynamoDb => "TableName",
        Service::Ssm => "Name",
    };
    // The first member that is called so: bodies are large, and calls many.
    let Ok(text) = std::str::from_utf8(&asked.body) else { return String::new() };
    let found = text.split_once(&format!("\"{member}\":\"")).and_then(|(_, rest)| rest.split_once('"'));
    found.map_or_else(String::new, |(value, _)| value.to_owned())
}

/// Whether the signature's time is too far from ours.
fn is_off(headers: &HeaderMap, state: &State) -> bool {
    let date = headers.get("x-amz-date").and_then(|date| date.to_str().ok());
    let signed = date.and_then(|date| jiff::fmt::strtime::parse("%Y%m%dT%H%M%SZ", date).ok());
    let signed = signed
        .and_then(|time| time.to_datetime().ok())
        .and_then(|time| time.to_zoned(jiff::tz::TimeZone::UTC).ok());
    signed.is_some_and(|signed| (signed.timestamp().as_second() - state.now().as_second()).abs() > TOLERANCE)
}

impl State {
    /// The time of the services' clock.
    pub(super) fn now(&self) -> jiff::Timestamp {
        let ahead = self.ahead.load(Ordering::SeqCst);
        jiff::Timestamp::try_from(SystemTime::now()).unwrap() + jiff::SignedDuration::from_secs(ahead)
    }

    /// The time of the services' clock so long ago, in milliseconds of the epoch.
    pub(super) fn millis_before(&self, age: Duration) -> i64 {
        self.now().as_millisecond() - i64::try_from(age.as_millis()).unwrap()
    }
}

fn dated(mut answer: Answer, state: &State) -> Answer {
    let date = state.now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    answer.headers_mut().insert(http::header::DATE, date.parse().unwrap());
    answer
}

/// What the services say when they refuse.
pub(super) fn refusal(service: Service, status: u16, code: &str, message: &str) -> Answer {
    match service {
        Service::S3 => said(
            status,
            "application/xml",
            format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{message}</Message></Error>"),
        ),
        Service::Sqs | Service::DynamoDb | Service::Ssm => said(
            status,
            "application/x-amz-json-1.0",
            serde_json::json!({ "__type": code, "message": message }).to_string(),
        ),
    }
}

/// An answer in JSON.
pub(super) fn json(body: &impl serde::Serialize) -> Answer {
    said(200, "application/x-amz-json-1.0", serde_json::to_vec(body).unwrap())
}

pub(super) fn said(status: u16, content_type: &str, body: impl Into<Bytes>) -> Answer {
    let answer = Response::builder().status(status).header("content-type", content_type);
    answer.body(Full::new(body.into())).unwrap()
}
