//! Looks at messages without losing them: each is hidden while it is looked at, and given back at once.

use std::collections::HashSet;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use crate::aws::{Clients, Fault, Kind, S3Blobs};
use crate::operate::queue::{Inspection, Queue};
use crate::operate::trouble::{Call, Trouble};
use crate::ports::{BlobAddress, BlobError, BlobPlace, BlobStore as _, LARGEST_BATCH, Receipt, Received};
use crate::wire::envelope::{self, Incoming, REASON, REMAINING};

/// How long a message is hidden if we die before we give it back.
const HIDDEN: Duration = Duration::from_secs(20);
/// Most bytes of a job in the blob store that are fetched to be looked at.
const LARGEST_FETCH: u64 = 32 * 1024 * 1024;
/// Headers whose values are shown: what a worker reads, and what tells one kind of client from another. Today's router
/// sends all that it gets along, and nobody knows what that may be: cookies, keys, addresses.
const SHOWN: [&str; 7] = [
    "accept",
    "accept-encoding",
    "content-encoding",
    "content-length",
    "content-type",
    "user-agent",
    "x-amzn-trace-id",
];
/// What stands for the others.
const HIDDEN_VALUE: &str = "(not shown)";

/// What to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// Most messages.
    pub count: usize,
    /// With their decoded bodies.
    pub full: bool,
    /// With the jobs that lie in this place because they were too large for the queue.
    pub fetch: Option<BlobPlace>,
}

/// A message that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// What the queue calls it.
    pub message: String,
    /// The job's name.
    pub guid: Option<String>,
    /// The compiler asked for.
    pub compiler: Option<String>,
    /// Seconds since it was sent to this queue.
    pub age_seconds: u64,
    /// How often it was received, this look included.
    pub receives: u32,
    /// Why it is a dead letter, if a worker said so.
    pub reason: Option<String>,
    /// What is wrong with it, if it is no job.
    pub wrong: Option<String>,
    /// Bytes that the queue counts.
    pub bytes: usize,
    /// Its group.
    pub group: Option<String>,
    /// Milliseconds that were left when it was sent.
    pub remaining_ms: Option<String>,
    /// Where the job lies, if it was too large for the queue.
    pub parked: Option<Place>,
    /// The message as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub envelope: Option<Value>,
    /// The job that lies elsewhere, or why it cannot be had.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<Value>,
}

/// Where a large job lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The bucket.
    pub bucket: String,
    /// The key within.
    pub key: String,
}

/// Looks at messages, and gives each back. They count as received once more. Of a group in a queue with order, nobody
/// receives anything while one of its messages is hidden: at most as long as the look takes.
pub async fn peek(clients: &Clients, queue: &Queue, look: &Look) -> Result<Vec<Seen>, Trouble> {
    let inspection = Inspection::new(clients, queue)?;
    let mut held = Vec::new();
    let looked = gather(&inspection, look, &mut held).await;
    // Whatever happened: nothing stays hidden for longer than it must.
    let released = inspection.release(held).await;
    let received = looked?;
    released?;
    let mut seen: Vec<Seen> = received.iter().map(|received| describe(received, look.full)).collect();
    if let Some(place) = &look.fetch {
        let blobs = S3Blobs::new(clients);
        for seen in &mut seen {
            if let Some(at) = &seen.parked {
                seen.job = Some(fetch(clients, &blobs, place, at).await);
            }
        }
    }
    Ok(seen)
}

async fn gather(
    inspection: &Inspection<'_>,
    look: &Look,
    held: &mut Vec<Receipt>,
) -> Result<Vec<Received>, Trouble> {
    let (mut all, mut known) = (Vec::new(), HashSet::new());
    while all.len() < look.count {
        let received = inspection.receive(LARGEST_BATCH.min(look.count - all.len()), HIDDEN).await?;
        let before = all.len();
        for received in received {
            held.push(received.receipt.clone());
            // One that came back meanwhile is no other message.
            if known.insert(received.id.clone()) {
                all.push(received);
            }
        }
        if all.len() == before {
            break;
        }
    }
    Ok(all)
}

fn describe(received: &Received, full: bool) -> Seen {
    let message = &received.message;
    let json: Option<Value> = serde_json::from_str(&message.body).ok();
    let member = |name: &str| {
        let value = json.as_ref()?.get(name)?;
        value.as_str().map(ToOwned::to_owned)
    };
    let (parked, wrong) = match envelope::read(&message.body) {
        Ok(Incoming::Parked(parked)) => (Some(Place { bucket: parked.bucket, key: parked.key }), None),
        Ok(Incoming::Job(job)) => (None, job.draft.err().map(|error| error.to_string())),
        Err(error) => (None, Some(error.wrong.to_string())),
    };
    Seen {
        message: received.id.clone(),
        guid: member("guid"),
        compiler: member("compilerId"),
        age_seconds: received.age.as_secs(),
        receives: received.receives,
        reason: message.attributes.get(REASON).cloned(),
        wrong,
        bytes: message.size(),
        group: message.group.clone(),
        remaining_ms: message.attributes.get(REMAINING).cloned(),
        parked,
        envelope: full.then(|| veiled(json).unwrap_or_else(|| Value::from(message.body.as_str()))),
        job: None,
    }
}

/// An envelope without what its headers should not tell. Headers that are no list of names tell nothing.
fn veiled(json: Option<Value>) -> Option<Value> {
    let mut json = json?;
    match json.get_mut("headers") {
        Some(Value::Object(headers)) => {
            let is_shown = |name: &str| SHOWN.iter().any(|shown| name.eq_ignore_ascii_case(shown));
            for (_, value) in headers.iter_mut().filter(|(name, _)| !is_shown(name)) {
                *value = Value::from(HIDDEN_VALUE);
            }
        }
        Some(other) => *other = Value::from(HIDDEN_VALUE),
        None => {}
    }
    Some(json)
}

/// The job that lies there, or why it cannot be had: of one that cannot, the others are shown nevertheless.
async fn fetch(clients: &Clients, blobs: &S3Blobs, place: &BlobPlace, at: &Place) -> Value {
    let at = BlobAddress { bucket: at.bucket.clone(), key: at.key.clone() };
    if !place.holds(&at) {
        return Value::from(format!("not fetched: it is not within {}/{}", place.bucket, place.prefix));
    }
    match blobs.get(&at, LARGEST_FETCH).await {
        Ok(Some(blob)) => {
            let text = String::from_utf8_lossy(&blob.bytes).into_owned();
            veiled(serde_json::from_str(&text).ok()).unwrap_or_else(|| Value::from(text))
        }
        Ok(None) => Value::from("not there: the bucket keeps large jobs for a day"),
        Err(error @ BlobError::TooLarge { .. }) => Value::from(error.to_string()),
        Err(BlobError::Unreachable { source, .. }) => {
            let fault = match source.downcast::<Fault>() {
                Ok(fault) => *fault,
                Err(other) => Fault { kind: Kind::Unreachable, detail: other.to_string(), code: None },
            };
            let thing = format!("object {at}");
            let call = Call {
                doing: "fetch",
                thing: &thing,
                action: "s3:GetObject",
                key: "storage.overflow_bucket",
            };
            Value::from(
                Trouble::new(&call, clients.region(), fault).to_string().replace("\nfix: ", "; fix: "),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::Message;

    fn seen(body: &str) -> Seen {
        let attributes = [(REASON.to_owned(), "it failed".to_owned())].into();
        let received = Received {
            id: "m".to_owned(),
            message: Message { body: body.to_owned(), attributes, ..Message::default() },
            receipt: Receipt::new("r"),
            receives: 1,
            age: Duration::from_secs(7),
        };
        describe(&received, true)
    }

    #[test]
    fn a_job_a_reference_and_garbage_are_told_apart() {
        let job = seen(
            r#"{"guid":"g","compilerId":"g132","headers":{"Cookie":"secret","accept":"x"},"source":"int x;"}"#,
        );
        assert_eq!((job.guid.as_deref(), job.compiler.as_deref()), (Some("g"), Some("g132")));
        assert_eq!((job.reason.as_deref(), job.wrong, job.age_seconds), (Some("it failed"), None, 7));
        let envelope = job.envelope.unwrap().to_string();
        assert!(!envelope.contains("secret") && envelope.contains("int x;"), "{envelope}");
        let parked = seen(
            r#"{"type":"s3-overflow","guid":"g","compilerId":"g132","s3Bucket":"b","s3Key":"k","originalSize":1}"#,
        );
        assert_eq!(parked.parked, Some(Place { bucket: "b".to_owned(), key: "k".to_owned() }));
        assert_eq!(parked.compiler.as_deref(), Some("g132"));
        let garbage = seen("no json");
        assert!(garbage.wrong.is_some() && garbage.guid.is_none());
        assert_eq!(garbage.envelope, Some(Value::from("no json")));
    }

    #[test]
    fn only_headers_that_are_known_to_tell_nothing_are_shown() {
        let job = seen(
            r#"{"guid":"g","compilerId":"g132","source":"int x;","headers":{"Content-Type":"text/plain","User-Agent":"curl",
                "cookie":"secret","Authorization":["secret","secret"],"x-forwarded-for":"secret","X-Api-Key":"secret"}}"#,
        );
        let headers = &job.envelope.unwrap()["headers"];
        assert_eq!(
            (&headers["Content-Type"], &headers["User-Agent"]),
            (&Value::from("text/plain"), &Value::from("curl"))
        );
        assert_eq!(headers["x-forwarded-for"], HIDDEN_VALUE, "that there is one is shown");
        assert!(!headers.to_string().contains("secret"), "{headers}");
        for odd in [r#"["cookie","secret"]"#, r#""cookie: secret""#] {
            let envelope = seen(&format!(r#"{{"guid":"g","headers":{odd}}}"#)).envelope.unwrap();
            assert_eq!(envelope["headers"], HIDDEN_VALUE, "{odd}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_message_is_too_odd(body in ".*|\\{\"guid\":.*\\}") {
            let seen = seen(&body);
            assert!(seen.envelope.is_some());
        }
    }
}
