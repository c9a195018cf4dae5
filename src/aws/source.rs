//! Receiving from one SQS queue.

use std::error::Error;
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::Config;
use aws_sdk_sqs::config::timeout::TimeoutConfig;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::types::{DeleteMessageBatchRequestEntry, DeleteMessageBatchResultEntry};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use crate::aws::answers;
use crate::aws::clients::{Clients, Patience};
use crate::aws::clock::QueueClock;
use crate::aws::fault::{Fault, Kind};
use crate::aws::messages;
use crate::ports::{
    Ask, LARGEST_BATCH, LONGEST_HIDING, Pending, QueueAddress, QueueError, QueueSource, Receipt, Received,
};

/// How much longer than the poll's own wait a receive may take before it counts as hung.
const RECEIVE_SLACK: Duration = Duration::from_secs(3);

/// Receiving is never repeated in here: an answer that was lost has hidden messages already, and a throttled poller
/// must wait longer than the SDK would. Whoever polls backs off. The time comes from each ask.
const RECEIVE: Patience = Patience { attempt: RECEIVE_SLACK, attempts: 1 };

/// Deleting twice is deleting once, and a message that stays is compiled again: worth three attempts.
const DELETE: Patience = Patience { attempt: Duration::from_secs(4), attempts: 3 };

/// Hiding twice is hiding once, but late it is worth nothing: two attempts fit well into a third of the ten seconds
/// that a message is hidden for. A void receipt is an answer, and is not asked again.
const HIDE: Patience = Patience { attempt: Duration::from_millis(1_500), attempts: 2 };

/// The receiving end of one queue. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SqsSource {
    clients: Clients,
    queue: QueueAddress,
    receiving: Client,
    deleting: Client,
    hiding: Client,
}

impl SqsSource {
    /// The receiving end of the queue with this URL. Asks nothing yet.
    pub fn new(clients: &Clients, queue: QueueAddress) -> Result<Self, QueueError> {
        let Some(place) = clients.place(&queue) else { return Err(QueueError::Absent { queue }) };
        let client = |patience| clients.sqs(&place, patience);
        Ok(Self {
            receiving: client(RECEIVE),
            deleting: client(DELETE),
            hiding: client(HIDE),
            clients: clients.clone(),
            queue,
        })
    }

    async fn poll(&self, ask: Ask) -> Result<Vec<Received>, QueueError> {
        let clock = QueueClock::default();
        let patience = TimeoutConfig::builder().operation_attempt_timeout(ask.wait + RECEIVE_SLACK);
        let answer = self
            .receiving
            .receive_message()
            .queue_url(self.queue.as_str())
            .max_number_of_messages(i32::try_from(ask.most).unwrap_or(1))
            .wait_time_seconds(whole_seconds(ask.wait))
            .visibility_timeout(whole_seconds(ask.hidden_for))
            .set_message_system_attribute_names(Some(messages::FACTS.to_vec()))
            .message_attribute_names("All")
            .customize()
            .config_override(Config::builder().timeout_config(patience.build()))
            .interceptor(clock.clone())
            .send()
            .await
            .map_err(|error| self.failed("receive", &error))?;
        let (now, foreign) = (clock.now(), answer.messages.unwrap_or_default());
        let brought = foreign.len();
        let received: Vec<Received> =
            foreign.into_iter().filter_map(|message| messages::received(message, now)).collect();
        if received.len() < brought {
            tracing::warn!(queue = %self.queue, "a message came without a receipt and was left alone");
        }
        Ok(received)
    }

    /// Deletes one batch, and returns what was void.
    async fn delete_batch(&self, receipts: &[Receipt]) -> Result<Vec<Receipt>, QueueError> {
        let entry = |(id, receipt): (usize, &Receipt)| {
            let entry = DeleteMessageBatchRequestEntry::builder().id(id.to_string());
            entry.receipt_handle(receipt.as_str()).build()
        };
        let entries: Result<Vec<_>, _> = receipts.iter().enumerate().map(entry).collect();
        let entries = entries
            .map_err(|error| self.unreachable("delete", Fault::new(Kind::Refused, &error.to_string())))?;
        let call = self.deleting.delete_message_batch().queue_url(self.queue.as_str());
        let answer = call.set_entries(Some(entries)).send().await;
        let answer = answer.map_err(|error| self.failed("delete", &error))?;
        let mut void = Vec::new();
        for (id, receipt) in receipts.iter().enumerate() {
            let done = answer.successful().iter().map(DeleteMessageBatchResultEntry::id);
            match answers::entry(id, done, answer.failed()) {
                Ok(()) => {}
                Err(failure) if failure.void => void.push(receipt.clone()),
                // The rest of the answer is lost with it, which costs nothing: whoever asks again gets the same.
                Err(failure) => return Err(self.unreachable("delete", failure.fault)),
            }
        }
        Ok(void)
    }

    /// What a failed call means for the queue.
    fn failed<E>(&self, act: &'static str, error: &SdkError<E, HttpResponse>) -> QueueError
    where
        E: Error + ProvideErrorMetadata + 'static,
    {
        let code = error.as_service_error().and_then(ProvideErrorMetadata::code);
        if answers::is_absent(code) {
            return QueueError::Absent { queue: self.queue.clone() };
        }
        self.unreachable(act, self.clients.fault(error))
    }

    fn unreachable(&self, act: &'static str, fault: Fault) -> QueueError {
        QueueError::Unreachable { act, queue: self.queue.clone(), source: Box::new(fault) }
    }
}

impl QueueSource for SqsSource {
    fn receive(&self, ask: Ask) -> Pending<'static, Result<Vec<Received>, QueueError>> {
        let source = self.clone();
        Box::pin(async move { source.poll(ask.clamped()).await })
    }

    fn delete(&self, receipts: Vec<Receipt>) -> Pending<'static, Result<Vec<Receipt>, QueueError>> {
        let source = self.clone();
        Box::pin(async move {
            let mut void = Vec::new();
            for batch in receipts.chunks(LARGEST_BATCH) {
                void.extend(source.delete_batch(batch).await?);
            }
            Ok(void)
        })
    }

    fn hide(&self, receipt: Receipt, visible_in: Duration) -> Pending<'_, Result<(), QueueError>> {
        Box::pin(async move {
            let call = self.hiding.change_message_visibility().queue_url(self.queue.as_str());
            let visible_in = whole_seconds(visible_in.min(LONGEST_HIDING));
            let answer = call.receipt_handle(receipt.as_str()).visibility_timeout(visible_in).send().await;
            answer.map(drop).map_err(|error| {
                let said = error.as_service_error();
                if said.is_some_and(|said| answers::is_void(said.code(), said.message())) {
                    QueueError::Void { queue: self.queue.clone() }
                } else {
                    self.failed("hide", &error)
                }
            })
        })
    }
}

/// SQS counts in whole seconds. Rounded up: a message hidden for a moment too long is late, one hidden too short is
/// compiled twice.
fn whole_seconds(span: Duration) -> i32 {
    i32::try_from(span.as_millis().div_ceil(1000)).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_become_whole_seconds_that_are_not_too_short() {
        for (span, expected) in [
            (Duration::ZERO, 0),
            (Duration::from_millis(1), 1),
            (Duration::from_secs(10), 10),
            (Duration::from_millis(10_001), 11),
            (LONGEST_HIDING, 43_200),
        ] {
            assert_eq!(whole_seconds(span), expected);
        }
    }
}
