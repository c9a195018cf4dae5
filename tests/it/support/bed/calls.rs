//! What was asked of the services.

use std::collections::HashMap;
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
    /// How many calls of this verb came before.
    pub(crate) number: usize,
}

/// The calls, in their order.
#[derive(Default)]
pub(super) struct Log(Mutex<Noted>);

#[derive(Default)]
struct Noted {
    calls: Vec<Call>,
    counts: HashMap<String, usize>,
}

/// Calls that are remembered. A benchmark makes more, and looks at none.
const MOST: usize = 100_000;

impl Log {
    /// Takes down a call, and tells it how many of its kind there were.
    pub(super) fn note(&self, service: Service, verb: &str, what: &str) -> Call {
        let mut noted = self.0.lock().unwrap();
        let count = noted.counts.entry(verb.to_owned()).or_default();
        let number = *count;
        *count += 1;
        let call = Call { at: Instant::now(), service, verb: verb.to_owned(), what: what.to_owned(), number };
        if noted.calls.len() < MOST {
            noted.calls.push(call.clone());
        }
        call
    }

    pub(super) fn all(&self) -> Vec<Call> {
        self.0.lock().unwrap().calls.clone()
    }
}
