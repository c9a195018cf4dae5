//! SQS in its JSON protocol.

use std::collections::BTreeMap;
use std::time::Duration;

use compilation_worker::domain::trace::TraceContext;
use compilation_worker::local::queue::LocalSource;
use compilation_worker::ports::{
    Ask, Message, QueueAddress, QueueError, QueueSink as _, QueueSource as _, Receipt, Received,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::calls::Service;
use super::http::{Answer, json as answer, refusal};
use super::{Fault, State};

/// All members that any verb takes.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[derive(Default)]
struct Asked {
    queue_url: String,
    entries: Vec<Entry>,
    max_number_of_messages: usize,
    wait_time_seconds: u64,
    visibility_timeout: Option<u64>,
    #[serde(flatten)]
    single: Entry,
}

/// A member of a batch; calls without batches have the same at their top.
#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Entry {
    id: String,
    message_body: String,
    message_group_id: Option<String>,
    message_deduplication_id: Option<String>,
    message_attributes: BTreeMap<String, Attribute>,
    message_system_attributes: BTreeMap<String, Attribute>,
    receipt_handle: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Attribute {
    string_value: String,
}

/// Why something is not done: status, code, message.
type Refusal = (u16, &'static str, String);

/// The one attribute that is the system's and comes from who sends.
const TRACE: &str = "AWSTraceHeader";

/// How long a receive hides what it brings, unless it says otherwise: as the running system's queues do.
const VISIBILITY: Duration = Duration::from_mins(1);

impl State {
    /// Does what `verb` says.
    pub(super) async fn queue_call(&self, verb: &str, body: &[u8], fault: &Fault) -> Answer {
        let outcome = match serde_json::from_slice(body) {
            Ok(asked) => self.perform(verb, asked, fault).await,
            Err(error) => Err((400, "SerializationException", error.to_string())),
        };
        outcome.unwrap_or_else(|(status, code, message)| refusal(Service::Sqs, status, code, &message))
    }

    async fn perform(&self, verb: &str, asked: Asked, fault: &Fault) -> Result<Answer, Refusal> {
        let address = QueueAddress::new(&asked.queue_url);
        let absent = || refused(&QueueError::Absent { queue: address.clone() });
        let source = self.queues.source(&address).ok_or_else(absent)?;
        match verb {
            "SendMessage" => {
                self.send(&address, asked.single).await.map(|id| answer(&json!({ "MessageId": id })))
            }
            "SendMessageBatch" => {
                let mut fates = Fates::default();
                for entry in asked.entries {
                    let id = entry.id.clone();
                    let sent = self.send(&address, entry).await;
                    fates.note(&id, sent.map(|message| json!({ "Id": id, "MessageId": message })));
                }
                Ok(fates.told())
            }
            "ReceiveMessage" => Ok(self.receive(&source, &asked, fault).await),
            "DeleteMessage" => {
                delete(&source, asked.single.receipt_handle).await.map(|()| answer(&json!({})))
            }
            "DeleteMessageBatch" => {
                let mut fates = Fates::default();
                for entry in asked.entries {
                    let deleted = delete(&source, entry.receipt_handle).await;
                    fates.note(&entry.id, deleted.map(|()| json!({ "Id": entry.id })));
                }
                Ok(fates.told())
            }
            "ChangeMessageVisibility" => {
                let visible_in = Duration::from_secs(asked.visibility_timeout.unwrap_or_default());
                let hidden = source.hide(Receipt::new(&asked.single.receipt_handle), visible_in).await;
                hidden.map(|()| answer(&json!({}))).map_err(|error| refused(&error))
            }
            "GetQueueUrl" => Ok(answer(&json!({ "QueueUrl": asked.queue_url }))),
            "GetQueueAttributes" => {
                let depth = self.queues.depth(&address).unwrap_or_default();
                Ok(answer(&json!({ "Attributes": {
                    "ApproximateNumberOfMessages": depth.waiting.to_string(),
                    "ApproximateNumberOfMessagesNotVisible": depth.in_flight.to_string(),
                } })))
            }
            _ => Err((400, "UnknownOperationException", format!("nothing is known of {verb}"))),
        }
    }

    async fn send(&self, to: &QueueAddress, entry: Entry) -> Result<String, Refusal> {
        let attributes =
            entry.message_attributes.into_iter().map(|(name, value)| (name, value.string_value)).collect();
        let message = Message {
            body: entry.message_body,
            group: entry.message_group_id,
            dedup: entry.message_deduplication_id,
            attributes,
            trace: entry
                .message_system_attributes
                .get(TRACE)
                .map(|trace| TraceContext::parse(&trace.string_value).expect("what we send is what we read")),
        };
        self.queues.send(to, message).await.map_err(|error| refused(&error))?;
        Ok(uuid::Uuid::new_v4().to_string())
    }

    async fn receive(&self, source: &LocalSource, asked: &Asked, fault: &Fault) -> Answer {
        let ask = Ask {
            most: asked.max_number_of_messages.max(1),
            wait: Duration::from_secs(asked.wait_time_seconds),
            hidden_for: asked.visibility_timeout.map_or(VISIBILITY, Duration::from_secs),
        };
        let mut received = source.receive(ask).await.unwrap();
        if *fault == Fault::Again {
            for one in &received {
                source.hide(one.receipt.clone(), Duration::ZERO).await.unwrap();
            }
        }
        if *fault == Fault::Worn {
            for one in &mut received {
                one.receives += 2;
            }
        }
        if *fault == Fault::Backwards {
            received.reverse();
        }
        let messages: Vec<Value> = received.iter().map(|one| self.message(one)).collect();
        answer(&json!({ "Messages": messages }))
    }

    fn message(&self, received: &Received) -> Value {
        let Message { body, group, dedup, attributes, trace } = &received.message;
        let trace = trace.map(|trace| trace.to_string());
        let mut facts = json!({
            "SentTimestamp": self.millis_before(received.age).to_string(),
            "ApproximateReceiveCount": received.receives.to_string(),
        });
        for (name, fact) in [("MessageGroupId", group), ("MessageDeduplicationId", dedup), (TRACE, &trace)] {
            if let Some(fact) = fact {
                facts[name] = json!(fact);
            }
        }
        let attribute = |(name, value)| (name, json!({ "DataType": "String", "StringValue": value }));
        let attributes: BTreeMap<&String, Value> = attributes.iter().map(attribute).collect();
        json!({
            "MessageId": received.id,
            "ReceiptHandle": received.receipt.as_str(),
            "Body": body,
            "Attributes": facts,
            "MessageAttributes": attributes,
        })
    }
}

async fn delete(source: &LocalSource, handle: String) -> Result<(), Refusal> {
    let receipt = Receipt::new(&handle);
    let void = source.delete(vec![receipt]).await.map_err(|error| refused(&error))?;
    if void.is_empty() { Ok(()) } else { Err(expired(&handle)) }
}

/// What a FIFO queue says of a receipt whose time is over.
fn expired(handle: &str) -> Refusal {
    let message = format!(
        "Value {handle} for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired."
    );
    (400, "InvalidParameterValue", message)
}

/// What SQS says where the twin says this.
fn refused(error: &QueueError) -> Refusal {
    match error {
        QueueError::Absent { .. } => (400, "AWS.SimpleQueueService.NonExistentQueue", error.to_string()),
        QueueError::Void { .. } => expired("of the call"),
        QueueError::Incomplete { .. } => (400, "MissingParameter", error.to_string()),
        QueueError::TooLarge { .. } => (400, "InvalidParameterValue", error.to_string()),
        QueueError::Unreachable { .. } => (500, "InternalError", error.to_string()),
    }
}

/// What became of the entries of a batch.
#[derive(Default)]
struct Fates {
    done: Vec<Value>,
    failed: Vec<Value>,
}

impl Fates {
    fn note(&mut self, id: &str, fate: Result<Value, Refusal>) {
        match fate {
            Ok(done) => self.done.push(done),
            Err((_, code, message)) => {
                self.failed.push(json!({ "Id": id, "Code": code, "Message": message, "SenderFault": true }));
            }
        }
    }

    fn told(self) -> Answer {
        answer(&json!({ "Successful": self.done, "Failed": self.failed }))
    }
}
