//! Messages as SQS writes them.

use std::collections::{BTreeMap, HashMap};
use std::time::SystemTime;

use aws_sdk_sqs::error::BuildError;
use aws_sdk_sqs::types::{
    Message as Foreign, MessageAttributeValue, MessageSystemAttributeName as Fact,
    MessageSystemAttributeNameForSends, MessageSystemAttributeValue, SendMessageBatchRequestEntry,
};

use crate::aws::clock;
use crate::domain::trace::TraceContext;
use crate::ports::{Message, QueueAddress, QueueError, Receipt, Received};

/// The largest message SQS takes, in bytes. A queue may be set to less.
const LARGEST: usize = 1024 * 1024;
/// The type of every attribute we send. SQS counts its name against the limit, too.
const TEXT: &str = "String";

/// What to ask for beside body and receipt.
pub(super) const FACTS: [Fact; 5] = [
    Fact::ApproximateReceiveCount,
    Fact::AwsTraceHeader,
    Fact::MessageDeduplicationId,
    Fact::MessageGroupId,
    Fact::SentTimestamp,
];

/// A received message, at this time of the queue's clock. `None` without a receipt: nothing could settle it, so it is
/// left to reappear.
pub(super) fn received(foreign: Foreign, now: SystemTime) -> Option<Received> {
    let receipt = Receipt::new(foreign.receipt_handle()?);
    let fact = |name: &Fact| foreign.attributes().and_then(|facts| facts.get(name)).cloned();
    // At least one: this receive.
    let receives =
        fact(&Fact::ApproximateReceiveCount).and_then(|count| count.parse().ok()).unwrap_or(1).max(1);
    let age = clock::age(fact(&Fact::SentTimestamp).as_deref(), now);
    let id = foreign.message_id().unwrap_or_default().to_owned();
    let message = Message {
        group: fact(&Fact::MessageGroupId),
        dedup: fact(&Fact::MessageDeduplicationId),
        trace: fact(&Fact::AwsTraceHeader).and_then(|header| TraceContext::parse(&header)),
        attributes: texts(foreign.message_attributes),
        body: foreign.body.unwrap_or_default(),
    };
    Some(Received { id, message, receipt, receives, age })
}

/// Attributes with a text. Binary ones are no facts of ours, and are left out.
fn texts(foreign: Option<HashMap<String, MessageAttributeValue>>) -> BTreeMap<String, String> {
    let text = |(name, value): (String, MessageAttributeValue)| Some((name, value.string_value?));
    foreign.into_iter().flatten().filter_map(text).collect()
}

/// Bytes that SQS counts.
pub(super) fn size(message: &Message) -> usize {
    message.size() + message.attributes.len() * TEXT.len()
}

/// Refuses what SQS would refuse, without asking it.
pub(super) fn check(to: &QueueAddress, message: &Message) -> Result<(), QueueError> {
    let (bytes, queue) = (size(message), || to.clone());
    if bytes > LARGEST {
        return Err(QueueError::TooLarge { queue: queue(), bytes, cap: LARGEST });
    }
    let lacking = match (&message.group, &message.dedup) {
        (None, _) => "group",
        (_, None) => "dedup id",
        _ => return Ok(()),
    };
    if to.is_fifo() { Err(QueueError::Incomplete { queue: queue(), lacking }) } else { Ok(()) }
}

/// One entry of a batch. Group and dedup id stay here unless the queue is a FIFO one: others refuse them.
pub(super) fn entry(
    id: usize,
    message: &Message,
    fifo: bool,
) -> Result<SendMessageBatchRequestEntry, BuildError> {
    let mut entry = SendMessageBatchRequestEntry::builder()
        .id(id.to_string())
        .message_body(&message.body)
        .set_message_group_id(message.group.clone().filter(|_| fifo))
        .set_message_deduplication_id(message.dedup.clone().filter(|_| fifo));
    for (name, value) in &message.attributes {
        let value = MessageAttributeValue::builder().data_type(TEXT).string_value(value).build()?;
        entry = entry.message_attributes(name, value);
    }
    if let Some(trace) = message.trace {
        let value = MessageSystemAttributeValue::builder().data_type(TEXT).string_value(trace.to_string());
        entry = entry
            .message_system_attributes(MessageSystemAttributeNameForSends::AwsTraceHeader, value.build()?);
    }
    entry.build()
}

#[cfg(test)]
mod tests {
    use aws_sdk_sqs::primitives::Blob;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_fact_is_too_odd(facts in prop::collection::vec(".{0,20}", FACTS.len()), name in ".*", bytes: Vec<u8>) {
            let binary = MessageAttributeValue::builder().data_type("Binary").binary_value(Blob::new(bytes));
            let foreign = Foreign::builder()
                .receipt_handle("r")
                .set_attributes(Some(FACTS.into_iter().zip(facts).collect()))
                .message_attributes(name, binary.build().unwrap());
            let received = received(foreign.build(), SystemTime::now()).unwrap();
            prop_assert!(received.receives >= 1 && received.message.attributes.is_empty());
        }

        #[test]
        fn the_size_is_what_sqs_counts(body in ".{0,50}", name in "[a-z]{1,9}", value in ".{1,50}") {
            let bytes = body.len() + name.len() + value.len() + "String".len();
            let trace = TraceContext::parse("Root=1-5759e988-bd862e3fe1be46a994272793");
            let message = Message { body, attributes: [(name, value)].into(), trace, ..Message::default() };
            prop_assert!(trace.is_some());
            prop_assert_eq!(size(&message), bytes);
        }
    }
}
