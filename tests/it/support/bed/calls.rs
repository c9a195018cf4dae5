//! What was asked of the services.

use std::sync::Mutex;

use tokio::time::Instant;

/// Which service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    Sqs,
    S3,
    DynamoDb,
    Ssm,
}

/// One call.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) at: Instant,
    pub(crate) service: Service,
    /// `ReceiveMessage`, `GetItem`, `GET`, …
    pub(crate) verb: String,
    /// The queue's URL, the bucket and key, or the table.
    pub(crate) what: String,
}

/// The calls, in their order.
#[derive(Default)]
pub(super) struct Log(Mutex<Vec<Call>>);

/// Calls that are remembered. A benchmark makes more, and looks at none.
const MOST: usize = 100_000;

impl Log {
    /// Takes down a call.
    pub(super) fn note(&self, service: Service, verb: &str, what: &str) -> Call {
        let call = Call { at: Instant::now(), service, verb: verb.to_owned(), what: what.to_owned() };
        let mut calls = self.0.lock().unwrap();
        if calls.len() < MOST {
            calls.push(call.clone());
        }
        call
    }

    pub(super) fn all(&self) -> Vec<Call> {
        self.0.lock().unwrap().clone()
    }
}
