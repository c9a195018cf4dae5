//! What the SDK alone reaches with a queue: messages sent, received and deleted, and nothing else.

use std::time::{Duration, Instant};

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::{BehaviorVersion, Config, Credentials, Region};
use aws_sdk_sqs::types::{DeleteMessageBatchRequestEntry, Message, SendMessageBatchRequestEntry};

use crate::bed::Bed;
use crate::relaying::BODY;

/// Messages of one call at most.
pub(crate) const BATCH: usize = 10;
/// How long one round lasts.
const ROUND: Duration = Duration::from_secs(2);

/// What came through.
#[derive(Clone, Copy, Default)]
pub(crate) struct Outcome {
    messages: usize,
    took: Duration,
}

impl Outcome {
    /// Adds another round.
    pub(crate) fn add(&mut self, other: Self) {
        self.messages += other.messages;
        self.took += other.took;
    }

    /// Messages per second.
    pub(crate) fn rate(&self) -> f64 {
        self.messages as f64 / self.took.as_secs_f64()
    }
}

/// Sends, receives and deletes for one round, with so many messages under way, so many of them in each call.
pub(crate) fn generate(bed: &Bed, in_flight: usize, batch: usize) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let client = Client::from_conf(
        Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .credentials_provider(Credentials::new("AKIDTEST", "secret", None, None, "bench"))
            .region(Region::new("us-east-1"))
            .endpoint_url(&bed.url)
            .build(),
    );
    let (begun, queue) = (Instant::now(), bed.bare.clone());
    let messages = runtime.block_on(async {
        let lanes: Vec<_> = (0..in_flight.div_ceil(batch))
            .map(|_| tokio::spawn(lane(client.clone(), queue.clone(), batch, begun + ROUND)))
            .collect();
        let mut messages = 0;
        for lane in lanes {
            messages += lane.await.unwrap();
        }
        messages
    });
    Outcome { messages, took: begun.elapsed() }
}

async fn lane(client: Client, queue: String, batch: usize, end: Instant) -> usize {
    let mut done = 0;
    while Instant::now() < end {
        if batch == 1 {
            let (name, body) = (uuid::Uuid::new_v4().to_string(), "x".repeat(BODY));
            let sending = client.send_message().queue_url(&queue).message_group_id(&name).message_body(body);
            sending.message_deduplication_id(name).send().await.unwrap();
            for message in receive(&client, &queue, 1).await {
                let deleting = client.delete_message().queue_url(&queue);
                deleting.receipt_handle(message.receipt_handle().unwrap()).send().await.unwrap();
                done += 1;
            }
            continue;
        }
        let entries = (0..batch).map(|number| {
            let name = uuid::Uuid::new_v4().to_string();
            let entry = SendMessageBatchRequestEntry::builder().id(number.to_string());
            let entry = entry.message_group_id(&name).message_deduplication_id(name);
            entry.message_body("x".repeat(BODY)).build().unwrap()
        });
        let sending = client.send_message_batch().queue_url(&queue).set_entries(Some(entries.collect()));
        assert!(sending.send().await.unwrap().failed().is_empty());
        done += delete(&client, &queue, receive(&client, &queue, BATCH).await).await;
    }
    done
}

async fn receive(client: &Client, queue: &str, most: usize) -> Vec<Message> {
    let receiving =
        client.receive_message().queue_url(queue).max_number_of_messages(most.try_into().unwrap());
    receiving.wait_time_seconds(20).send().await.unwrap().messages.unwrap_or_default()
}

async fn delete(client: &Client, queue: &str, messages: Vec<Message>) -> usize {
    let entries: Vec<_> = messages
        .iter()
        .enumerate()
        .map(|(number, message)| {
            let entry = DeleteMessageBatchRequestEntry::builder().id(number.to_string());
            entry.receipt_handle(message.receipt_handle().unwrap()).build().unwrap()
        })
        .collect();
    let deleting = client.delete_message_batch().queue_url(queue).set_entries(Some(entries));
    assert!(deleting.send().await.unwrap().failed().is_empty());
    messages.len()
}
