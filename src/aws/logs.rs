//! A group of logs in CloudWatch.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use crate::aws::clients::{Clients, Patience};
use crate::aws::fault::{Fault, Kind};
use crate::aws::signed::{Service, Signed};

/// A search through a day's events may take seconds; all verbs may be repeated.
const READ: Patience = Patience { attempt: Duration::from_secs(15), attempts: 5 };
/// How often a stream is asked for its newest event: the service may answer with nothing and a place to go on.
const LOOKS: usize = 4;

/// A group of logs.
#[derive(Debug)]
pub struct LogGroup {
    name: String,
    service: Signed,
}

/// Which events are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Search {
    /// Milliseconds of Unix time from which on.
    pub from: i64,
    /// Up to which; itself not included.
    pub to: Option<i64>,
    /// The only stream, if it is one.
    pub stream: Option<String>,
    /// What they must contain, in the service's own language of patterns.
    pub pattern: Option<String>,
}

/// One page of events.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Page {
    /// The events, oldest first as far as the service can tell. There may be none although more follow.
    #[serde(default)]
    pub events: Vec<Event>,
    /// Where the next page begins, if there is one.
    #[serde(default)]
    pub next_token: Option<String>,
}

/// One event.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Event {
    /// No other event has it.
    #[serde(rename = "eventId")]
    pub id: String,
    /// The stream it is in: the instance's id.
    #[serde(rename = "logStreamName")]
    pub stream: String,
    /// When it happened, in milliseconds of Unix time.
    pub timestamp: i64,
    /// When the service got it, likewise.
    pub ingestion_time: i64,
    /// What was logged.
    pub message: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Tail {
    #[serde(default)]
    events: Vec<Event>,
    #[serde(default)]
    next_backward_token: Option<String>,
}

impl LogGroup {
    /// The group with this name. Asks nothing yet; an error means that there can be no TLS here.
    pub fn new(clients: &Clients, name: String) -> Result<Self, Fault> {
        Ok(Self { name, service: Signed::new(clients, Service::Logs, READ)? })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The time by the service's clock, as far as it has told it, in milliseconds of Unix time.
    pub fn now(&self) -> i64 {
        jiff::Timestamp::try_from(self.service.now()).map_or(0, jiff::Timestamp::as_millisecond)
    }

    /// One page of the events that a search finds.
    pub async fn search(&self, search: &Search, token: Option<&str>) -> Result<Page, Fault> {
        let mut body = json!({ "logGroupName": self.name, "startTime": search.from });
        let mut set = |name: &str, value: serde_json::Value| body[name] = value;
        if let Some(to) = search.to {
            set("endTime", json!(to));
        }
        if let Some(stream) = &search.stream {
            set("logStreamNames", json!([stream]));
        }
        if let Some(pattern) = &search.pattern {
            set("filterPattern", json!(pattern));
        }
        if let Some(token) = token {
            set("nextToken", json!(token));
        }
        self.ask("FilterLogEvents", &body).await
    }

    /// The newest event of a stream, however old; `None` if there is none, or no such stream.
    pub async fn newest(&self, stream: &str) -> Result<Option<Event>, Fault> {
        let mut token: Option<String> = None;
        for _ in 0..LOOKS {
            let mut body = json!({
                "logGroupName": self.name, "logStreamName": stream, "limit": 1, "startFromHead": false,
            });
            if let Some(token) = &token {
                body["nextToken"] = json!(token);
            }
            let tail: Tail = match self.ask("GetLogEvents", &body).await {
                Err(fault) if is_absent(&fault) => return Ok(None),
                other => other?,
            };
            if let Some(event) = tail.events.into_iter().next_back() {
                return Ok(Some(Event { stream: stream.to_owned(), ..event }));
            }
            // The same place again is the end.
            if tail.next_backward_token.is_none() || tail.next_backward_token == token {
                return Ok(None);
            }
            token = tail.next_backward_token;
        }
        Ok(None)
    }

    async fn ask<T: serde::de::DeserializeOwned>(
        &self,
        verb: &str,
        body: &serde_json::Value,
    ) -> Result<T, Fault> {
        let answer = self.service.json(&format!("Logs_20140328.{verb}"), body).await?;
        serde_json::from_slice(&answer).map_err(|error| Fault::new(Kind::Garbled, &error.to_string()))
    }
}

/// Whether the service says that there is no such group or stream.
fn is_absent(fault: &Fault) -> bool {
    fault.code.as_deref() == Some("ResourceNotFoundException")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_read_with_what_matters() {
        let page: Page = serde_json::from_str(
            r#"{"events":[{"logStreamName":"i-1","timestamp":5,"message":"m","ingestionTime":7,"eventId":"e"}],
                "searchedLogStreams":[],"nextToken":"t"}"#,
        )
        .unwrap();
        assert_eq!(page.events[0].stream, "i-1");
        assert_eq!((page.events[0].timestamp, page.next_token.as_deref()), (5, Some("t")));
    }

    proptest::proptest! {
        #[test]
        fn no_answer_is_too_odd(body: Vec<u8>) {
            let _read = (serde_json::from_slice::<Page>(&body).is_ok(), serde_json::from_slice::<Tail>(&body).is_ok());
        }
    }
}
