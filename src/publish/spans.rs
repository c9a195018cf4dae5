//! Exports the spans of traces to a collector of OpenTelemetry's, in batches (OTLP/HTTP).
//!
//! ```text
//! request over ─ record ─ (a bounded line) ─ batch ─ POST /v1/traces ─┬ taken
//!                   └ no room: counted                                ├ later: again, a few times
//!                                                                     └ refused, or late for too long: counted
//! ```
//!
//! A trace is worth less than any request: nobody waits for a collector, and what it does not take is counted and
//! dropped. What is sent again because an answer was lost is known by its ids.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Collected, Limited};
use reqwest::redirect;
use serde::Deserialize;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::{LAST_WORDS, Trouble};
use crate::domain::class::chain;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::otlp::{self, Attribute, Span};
use crate::trust;

/// Spans that may wait: some megabytes, and many seconds' worth.
const LINE: usize = 4096;
/// Most spans of one request.
const LARGEST_BATCH: usize = 512;
/// How long the first span of a batch waits for more.
const LINGER: Duration = Duration::from_secs(1);
/// How long a collector may take to answer: what the protocol's specification proposes.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often a batch is sent before it is dropped.
const TRIES: u32 = 5;
/// Longest pause between two tries, whatever the collector asks for.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Bytes of an answer that are read.
const LARGEST_ANSWER: usize = 64 * 1024;
/// How long an idle connection is kept.
const KEEP: Duration = Duration::from_secs(30);

/// Where spans are handed in. Clones are the same place.
#[derive(Debug, Clone)]
pub struct Spans {
    line: Sender<Span>,
    metrics: Arc<Metrics>,
}

/// Tells who we are. The instance's id may be learnt late, so it is asked for each batch.
pub type Resource = Box<dyn Fn() -> Vec<Attribute> + Send + Sync>;

/// The way to a collector.
pub struct Collector {
    http: reqwest::Client,
    url: String,
    resource: Resource,
    waiting: Receiver<Span>,
    trouble: Trouble,
    /// Spans that a collector does not take, of requests that it does.
    rejections: Trouble,
    metrics: Arc<Metrics>,
}

/// Why there can be no way to a collector.
#[derive(Debug, thiserror::Error)]
pub enum CollectorError {
    /// There is no TLS here.
    #[error("could not set up TLS")]
    Tls(#[from] rustls::Error),
    /// There is no HTTP here.
    #[error("could not set up HTTP")]
    Http(#[from] reqwest::Error),
}

/// What became of one request.
enum Fate {
    /// Taken, but for so many spans, for this reason.
    Taken(usize, String),
    /// To be sent again, at the earliest after this time if the collector says so.
    Later(Option<Duration>, String),
    /// Not to be sent again.
    Refused(String),
}

/// What a collector says of a request that it took.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Answer {
    partial_success: Option<PartialSuccess>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct PartialSuccess {
    /// A number, or a text that is one.
    rejected_spans: serde_json::Value,
    error_message: String,
}

impl Spans {
    /// Hands in a span, for which nobody waits.
    pub fn record(&self, span: Span) {
        if self.line.try_send(span).is_err() {
            self.metrics.count_dropped("overflow", 1);
        }
    }
}

impl Collector {
    /// The way to the collector under this URL, such as `http://127.0.0.1:4318`, and where spans for it are handed in.
    /// Nothing is asked yet.
    pub fn open(
        url: &str,
        resource: Resource,
        metrics: Arc<Metrics>,
    ) -> Result<(Spans, Self), CollectorError> {
        let (tls, _authorities) = trust::client()?;
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(redirect::Policy::none())
            .pool_idle_timeout(KEEP)
            .no_proxy()
            .build()?;
        let (line, waiting) = channel(LINE);
        let url = format!("{}/v1/traces", url.trim_end_matches('/'));
        let (trouble, rejections) = (Trouble::default(), Trouble::default());
        let spans = Spans { line, metrics: Arc::clone(&metrics) };
        Ok((spans, Self { http, url, resource, waiting, trouble, rejections, metrics }))
    }

    /// Exports until `ending` resolves, and then what is left.
    pub async fn run(mut self, ending: impl Future<Output = ()> + Send) {
        let (mut batch, over) = (Vec::new(), CancellationToken::new());
        let in_time = {
            let mut work = pin!(self.work(&mut batch, &over));
            tokio::select! {
                biased;
                () = ending => over.cancel(),
                () = &mut work => return,
            }
            timeout(LAST_WORDS, work).await.is_ok()
        };
        if !in_time {
            let lost = batch.len() + self.waiting.len();
            self.metrics.count_dropped("end", lost);
            tracing::warn!(spans = lost, "the last spans of traces were not taken in time");
        }
    }

    /// Sends batch after batch; once it is over, until nothing is left.
    async fn work(&mut self, batch: &mut Vec<Span>, over: &CancellationToken) {
        loop {
            if over.run_until_cancelled(self.gather(batch)).await.is_none() {
                let room = LARGEST_BATCH - batch.len();
                batch.extend(std::iter::from_fn(|| self.waiting.try_recv().ok()).take(room));
            }
            if batch.is_empty() {
                return;
            }
            self.deliver(batch, over).await;
            batch.clear();
        }
    }

    /// Waits for a batch. What has come is kept if nobody waits any more.
    async fn gather(&mut self, batch: &mut Vec<Span>) {
        if self.waiting.recv_many(batch, LARGEST_BATCH).await == 0 {
            // Nobody will hand in anything; the end will come.
            std::future::pending::<()>().await;
        }
        let until = Instant::now() + LINGER;
        while batch.len() < LARGEST_BATCH {
            let more = self.waiting.recv_many(batch, LARGEST_BATCH - batch.len());
            if matches!(timeout_at(until, more).await, Err(_) | Ok(0)) {
                return;
            }
        }
    }

    /// Sends a batch, again where that may help, until it is taken or dropped. What waits for another try when the end comes
    /// has it at once, and then no other.
    async fn deliver(&mut self, batch: &[Span], over: &CancellationToken) {
        for attempt in 1..=TRIES {
            let Fate::Later(after, error) = self.send(batch).await else { return };
            let failures = self.trouble.failures();
            let pause = self.trouble.pause(LONGEST_PAUSE).mul_f64(0.5 + 0.5 * fastrand::f64());
            if self.trouble.is_news() {
                tracing::warn!(
                    error,
                    failures,
                    "could not export spans of traces; what does not fit is dropped"
                );
            }
            if over.is_cancelled() {
                return self.metrics.count_dropped("end", batch.len());
            }
            if attempt < TRIES {
                // A collector can ask for more patience than we have, and not for less.
                let pause = after.map_or(pause, |after| after.clamp(pause, LONGEST_PAUSE));
                let _cut_short_at_the_end = over.run_until_cancelled(sleep(pause)).await;
            }
        }
        self.metrics.count_dropped("unreachable", batch.len());
    }

    /// Sends a batch once, and counts what is decided by that.
    async fn send(&mut self, batch: &[Span]) -> Fate {
        let body = otlp::request(batch, &(self.resource)());
        let silent = || Fate::Later(None, format!("no answer within {PATIENCE:?}"));
        let fate = timeout(PATIENCE, self.post(body)).await.unwrap_or_else(|_| silent());
        match &fate {
            Fate::Taken(rejected, error) => {
                let rejected = (*rejected).min(batch.len());
                self.metrics.spans_exported.inc_by((batch.len() - rejected) as u64);
                if let Some(failures) = self.trouble.over() {
                    tracing::info!(failures, "spans of traces are exported again");
                }
                if rejected > 0 {
                    self.metrics.count_dropped("refused", rejected);
                    if self.rejections.is_news() {
                        tracing::warn!(
                            rejected,
                            error,
                            url = self.url,
                            "the collector does not take all spans of traces; the others are dropped"
                        );
                    }
                }
            }
            Fate::Refused(error) => {
                self.metrics.count_dropped("refused", batch.len());
                self.trouble.pause(LONGEST_PAUSE);
                if self.trouble.is_news() {
                    tracing::warn!(
                        error,
                        url = self.url,
                        "the collector refuses spans of traces; they are dropped"
                    );
                }
            }
            Fate::Later(..) => {}
        }
        fate
    }

    async fn post(&self, body: Vec<u8>) -> Fate {
        let request =
            Request::post(&self.url).header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let request = request.body(body).map_err(|error| error.to_string());
        let request = request.and_then(|request| request.try_into().map_err(|error| chain(&error)));
        let request = match request {
            Ok(request) => request,
            Err(error) => return Fate::Refused(error),
        };
        let answer = match self.http.execute(request).await {
            Ok(answer) => answer,
            Err(error) => return Fate::Later(None, chain(&error)),
        };
        let (status, after) = (answer.status(), wait(answer.headers()));
        let body = Limited::new(reqwest::Body::from(answer), LARGEST_ANSWER).collect().await;
        // Whatever it says, the status has said it.
        fate(status, after, &body.map(Collected::to_bytes).unwrap_or_default())
    }
}

/// What an answer means (OTLP 1.9, "OTLP/HTTP response").
fn fate(status: StatusCode, after: Option<Duration>, body: &Bytes) -> Fate {
    match status.as_u16() {
        200..=299 => {
            let answer: Answer = serde_json::from_slice(body).unwrap_or_default();
            let partial = answer.partial_success.unwrap_or_default();
            let rejected = &partial.rejected_spans;
            let rejected = rejected.as_u64().or_else(|| rejected.as_str()?.parse().ok()).unwrap_or_default();
            Fate::Taken(usize::try_from(rejected).unwrap_or(usize::MAX), partial.error_message)
        }
        429 | 502 | 503 | 504 => Fate::Later(after, format!("status {status}")),
        _ => Fate::Refused(format!("status {status}")),
    }
}

/// How long the collector wishes to be left alone, if it says so in seconds.
fn wait(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collector").field("url", &self.url).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::domain::trace::{SpanId, TraceId};
    use crate::telemetry::otlp::Kind;
    use proptest::prelude::*;

    #[test]
    fn what_finds_no_room_is_counted_and_waits_for_nobody() {
        let metrics = Arc::new(Metrics::new());
        let (spans, collector) =
            Collector::open("http://127.0.0.1:9", Box::new(Vec::new), Arc::clone(&metrics)).unwrap();
        let span = Span {
            trace: TraceId::mint(SystemTime::now()),
            id: SpanId::mint(),
            parent: None,
            name: "compile".into(),
            kind: Kind::Internal,
            begun: SystemTime::now(),
            took: Duration::ZERO,
            attributes: Vec::new(),
            failure: None,
        };
        for _ in 0..LINE + 3 {
            spans.record(span.clone());
        }
        assert_eq!(collector.waiting.len(), LINE);
        assert!(metrics.render().contains("trace_spans_dropped_total{reason=\"overflow\"} 3\n"));
    }

    #[test]
    fn answers_mean_what_the_specification_says() {
        let told = |status: u16, body: &'static str| {
            fate(
                StatusCode::from_u16(status).unwrap(),
                Some(Duration::from_secs(7)),
                &Bytes::from_static(body.as_bytes()),
            )
        };
        for (body, rejected) in [
            ("", 0),
            ("{}", 0),
            (r#"{"partialSuccess":{}}"#, 0),
            (r#"{"partialSuccess":{"rejectedSpans":"3","errorMessage":"too old"}}"#, 3),
            (r#"{"partialSuccess":{"rejectedSpans":3}}"#, 3),
            (r#"{"partialSuccess":{"rejectedSpans":"many"}}"#, 0),
            ("<html>", 0),
        ] {
            assert!(matches!(told(200, body), Fate::Taken(number, _) if number == rejected), "{body}");
        }
        for status in [429, 502, 503, 504] {
            assert!(
                matches!(told(status, ""), Fate::Later(Some(after), _) if after.as_secs() == 7),
                "{status}"
            );
        }
        for status in [301, 400, 401, 404, 413, 500, 501] {
            assert!(matches!(told(status, ""), Fate::Refused(_)), "{status}");
        }
    }

    #[test]
    fn pauses_are_told_in_seconds() {
        for (value, expected) in
            [("3", Some(3)), (" 0", Some(0)), ("Wed, 21 Oct 2026 07:28:00 GMT", None), ("-1", None)]
        {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(value))]);
            assert_eq!(wait(&headers), expected.map(Duration::from_secs), "{value}");
        }
        assert_eq!(wait(&HeaderMap::new()), None);
    }

    proptest! {
        #[test]
        fn no_answer_is_too_odd(
            status in 100_u16..1000,
            body in "(\\{|\\}|\"partialSuccess\"|\"rejectedSpans\"|\"errorMessage\"|:|,|\"|-?[0-9.e]{1,22}|.){0,16}",
            value: Vec<u8>,
        ) {
            let _fate = fate(StatusCode::from_u16(status).unwrap(), None, &body.into());
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                let _wait = wait(&HeaderMap::from_iter([(RETRY_AFTER, value)]));
            }
        }
    }
}
