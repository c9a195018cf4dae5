//! What every queue promises.

use std::sync::Arc;
use std::time::Duration;

use compilation_worker::domain::class::{Class, Classify as _};
use compilation_worker::domain::trace::TraceContext;
use compilation_worker::local::queue::{LocalQueueSettings, LocalQueues};
use compilation_worker::ports::{
    Ask, Message, QueueAddress, QueueError, QueueSink, QueueSource, Receipt, Received,
};
use tokio::time::{Instant, sleep};

use super::suite;

/// A FIFO queue that gives up on a message after two receives, and where such messages go.
pub(super) struct Queues {
    pub(super) sink: Arc<dyn QueueSink>,
    pub(super) source: Arc<dyn QueueSource>,
    pub(super) address: QueueAddress,
    pub(super) dead: Arc<dyn QueueSource>,
    /// A queue without order or groups.
    pub(super) loose: Arc<dyn QueueSource>,
    pub(super) loose_address: QueueAddress,
    /// Where no queue is.
    pub(super) nowhere: QueueAddress,
}

fn local() -> Queues {
    let queues = LocalQueues::new();
    let (address, dead, loose) =
        (QueueAddress::new("work.fifo"), QueueAddress::new("dead.fifo"), QueueAddress::new("loose"));
    let dead_letters = Some((2, dead.clone()));
    Queues {
        source: Arc::new(
            queues.create(address.clone(), LocalQueueSettings { dead_letters, ..Default::default() }),
        ),
        dead: Arc::new(queues.create(dead, LocalQueueSettings::default())),
        loose: Arc::new(queues.create(loose.clone(), LocalQueueSettings::default())),
        sink: Arc::new(queues),
        address,
        loose_address: loose,
        nowhere: QueueAddress::new("nowhere.fifo"),
    }
}

suite! { Queues; in_process = super::local:
    what_is_sent_is_received
    a_trace_stays_with_its_message
    a_group_flies_one_at_a_time
    a_batch_may_hold_a_group_in_order
    groups_do_not_block_each_other
    hidden_messages_come_back
    hiding_longer_keeps_a_message_ours
    giving_back_makes_visible_at_once
    an_expired_receipt_settles_nothing
    a_superseded_receipt_settles_nothing
    what_is_deleted_stays_away
    deleting_is_idempotent
    repeats_are_dropped_even_after_deletion
    the_dedup_window_ends
    worn_messages_become_dead_letters
    a_long_poll_wakes_for_a_send
    a_long_poll_wakes_for_a_deletion_that_frees_a_group
    an_empty_poll_waits_its_time_and_no_longer
    asks_are_clamped
    messages_that_cannot_be_taken_are_refused
    queues_without_order_ignore_groups
    old_messages_are_forgotten
}

/// Looks once, for one message hidden for two seconds.
const ONE: Ask = Ask { most: 1, wait: Duration::ZERO, hidden_for: Duration::from_secs(2) };
const ALL: Ask = Ask { most: 10, ..ONE };

fn message(group: &str, id: &str) -> Message {
    Message {
        body: id.to_owned(),
        group: Some(group.to_owned()),
        dedup: Some(id.to_owned()),
        ..Message::default()
    }
}

impl Queues {
    async fn send(&self, group: &str, id: &str) {
        self.sink.send(&self.address, message(group, id)).await.unwrap();
    }

    async fn receive(&self, ask: Ask) -> Vec<Received> {
        self.source.receive(ask).await.unwrap()
    }

    async fn bodies(&self, ask: Ask) -> Vec<String> {
        self.receive(ask).await.into_iter().map(|received| received.message.body).collect()
    }

    async fn delete(&self, receipt: &Receipt) -> Vec<Receipt> {
        self.source.delete(vec![receipt.clone()]).await.unwrap()
    }
}

async fn what_is_sent_is_received(queues: Queues) {
    let mut sent = message("g", "1");
    sent.attributes.insert("remaining".to_owned(), "55000".to_owned());
    queues.sink.send(&queues.address, sent.clone()).await.unwrap();
    sleep(Duration::from_secs(3)).await;
    let received = queues.receive(ONE).await.pop().unwrap();
    assert_eq!(received.message, sent);
    assert_eq!(received.receives, 1);
    assert!(
        received.age >= Duration::from_secs(3) && received.age < Duration::from_secs(5),
        "{:?}",
        received.age
    );
}

async fn a_trace_stays_with_its_message(queues: Queues) {
    let traced = |id: &str, root: &str| {
        let trace = TraceContext::parse(&format!("Root={root};Parent=53995c3f42cd8ad8;Sampled=1"));
        assert!(trace.is_some());
        Message { trace, ..message("g", id) }
    };
    let (first, second) = ("1-5759e988-bd862e3fe1be46a994272793", "1-5759e988-000000000000000000000001");
    // It counts nothing against the limit.
    let sent = Message { body: "x".repeat(1024 * 1024), ..traced("1", first) };
    queues.sink.send(&queues.address, sent.clone()).await.unwrap();
    queues.sink.send(&queues.address, traced("1", second)).await.unwrap();
    for _ in 0..2 {
        let received = queues.receive(ALL).await;
        let [one] = received.as_slice() else { panic!("the same job in another trace is the same job") };
        assert_eq!(one.message, sent);
        queues.source.hide(one.receipt.clone(), Duration::ZERO).await.unwrap();
    }
    let dead = queues.dead.receive(Ask { wait: Duration::from_secs(10), ..ONE });
    let (dead, none) = tokio::join!(dead, queues.receive(ONE));
    assert_eq!((dead.unwrap().pop().unwrap().message.trace, none.len()), (sent.trace, 0));
}

async fn a_group_flies_one_at_a_time(queues: Queues) {
    for id in ["1", "2", "3"] {
        queues.send("g", id).await;
    }
    let first = queues.receive(ONE).await.pop().unwrap();
    assert_eq!(first.message.body, "1");
    assert!(queues.receive(ALL).await.is_empty(), "the group is in flight");
    assert!(queues.delete(&first.receipt).await.is_empty());
    assert_eq!(queues.bodies(ONE).await, ["2"]);
}

async fn a_batch_may_hold_a_group_in_order(queues: Queues) {
    for id in ["1", "2", "3"] {
        queues.send("g", id).await;
    }
    assert_eq!(queues.bodies(Ask { most: 2, ..ONE }).await, ["1", "2"]);
    assert!(queues.receive(ALL).await.is_empty());
}

async fn groups_do_not_block_each_other(queues: Queues) {
    for (group, id) in [("a", "1"), ("a", "2"), ("b", "3")] {
        queues.send(group, id).await;
    }
    assert_eq!(queues.bodies(ONE).await, ["1"]);
    assert_eq!(queues.bodies(ALL).await, ["3"]);
}

async fn hidden_messages_come_back(queues: Queues) {
    queues.send("g", "1").await;
    // Hidden from somewhen within the receive on.
    let begun = Instant::now();
    let first = queues.receive(ONE).await.pop().unwrap();
    assert_eq!(first.receives, 1);
    let again = queues.receive(Ask { wait: Duration::from_secs(20), ..ONE }).await.pop().unwrap();
    assert_eq!((again.message.body.as_str(), again.receives), ("1", 2));
    assert!(!first.id.is_empty() && again.id == first.id, "{} is {} again", first.id, again.id);
    let waited = begun.elapsed();
    assert!(
        waited >= Duration::from_secs(2) && waited < Duration::from_secs(4),
        "came back after {waited:?}"
    );
}

async fn hiding_longer_keeps_a_message_ours(queues: Queues) {
    queues.send("g", "1").await;
    let receipt = queues.receive(ONE).await.pop().unwrap().receipt;
    for _ in 0..3 {
        sleep(Duration::from_secs(1)).await;
        queues.source.hide(receipt.clone(), Duration::from_secs(2)).await.unwrap();
    }
    sleep(Duration::from_secs(1)).await;
    assert!(queues.receive(ALL).await.is_empty(), "four seconds on, it is still ours");
    assert!(queues.delete(&receipt).await.is_empty());
}

async fn giving_back_makes_visible_at_once(queues: Queues) {
    queues.send("g", "1").await;
    queues.send("g", "2").await;
    let receipt = queues.receive(ONE).await.pop().unwrap().receipt;
    queues.source.hide(receipt, Duration::ZERO).await.unwrap();
    let again = queues.receive(ONE).await.pop().unwrap();
    assert_eq!((again.message.body.as_str(), again.receives), ("1", 2), "in its old place, and counted");
}

async fn an_expired_receipt_settles_nothing(queues: Queues) {
    queues.send("g", "1").await;
    let receipt = queues.receive(ONE).await.pop().unwrap().receipt;
    sleep(Duration::from_secs(3)).await;
    let error = queues.source.hide(receipt.clone(), Duration::from_secs(2)).await.unwrap_err();
    assert!(matches!(error, QueueError::Void { .. }), "{error}");
    assert_eq!(error.class(), Class::Expired);
    assert_eq!(queues.delete(&receipt).await, [receipt]);
    assert_eq!(queues.bodies(ONE).await, ["1"], "the message is still there");
}

async fn a_superseded_receipt_settles_nothing(queues: Queues) {
    queues.send("g", "1").await;
    let old = queues.receive(ONE).await.pop().unwrap().receipt;
    sleep(Duration::from_secs(3)).await;
    let new = queues.receive(ONE).await.pop().unwrap().receipt;
    let error = queues.source.hide(old.clone(), Duration::ZERO).await.unwrap_err();
    assert!(matches!(error, QueueError::Void { .. }), "{error}");
    assert_eq!(queues.delete(&old).await, [old], "the first receive's right must not end the second's work");
    assert!(queues.delete(&new).await.is_empty());
}

async fn what_is_deleted_stays_away(queues: Queues) {
    queues.send("g", "1").await;
    let receipt = queues.receive(ONE).await.pop().unwrap().receipt;
    assert!(queues.source.delete(Vec::new()).await.unwrap().is_empty(), "nothing is a no-op");
    assert!(queues.delete(&receipt).await.is_empty());
    sleep(Duration::from_secs(3)).await;
    assert!(queues.receive(ALL).await.is_empty());
}

async fn deleting_is_idempotent(queues: Queues) {
    queues.send("g", "1").await;
    let receipt = queues.receive(ONE).await.pop().unwrap().receipt;
    assert!(queues.delete(&receipt).await.is_empty());
    assert!(queues.delete(&receipt).await.is_empty());
}

async fn repeats_are_dropped_even_after_deletion(queues: Queues) {
    queues.send("g", "1").await;
    queues.send("g", "1").await;
    queues.send("other", "1").await;
    let received = queues.receive(ALL).await;
    assert_eq!(received.len(), 1);
    queues.delete(&received[0].receipt).await;
    queues.send("g", "1").await;
    assert!(queues.receive(ALL).await.is_empty());
}

async fn the_dedup_window_ends(queues: Queues) {
    queues.send("g", "1").await;
    let receipt = queues.receive(ONE).await.pop().unwrap().receipt;
    queues.delete(&receipt).await;
    sleep(Duration::from_secs(299)).await;
    queues.send("g", "1").await;
    assert!(queues.receive(ALL).await.is_empty());
    sleep(Duration::from_secs(2)).await;
    queues.send("g", "1").await;
    assert_eq!(queues.bodies(ALL).await, ["1"]);
}

async fn worn_messages_become_dead_letters(queues: Queues) {
    let mut poison = message("g", "1");
    poison.attributes.insert("reason".to_owned(), "planted".to_owned());
    queues.sink.send(&queues.address, poison.clone()).await.unwrap();
    queues.send("g", "2").await;
    for receives in 1..=2 {
        let received = queues.receive(ONE).await.pop().unwrap();
        assert_eq!((received.message.body.as_str(), received.receives), ("1", receives));
        queues.source.hide(received.receipt, Duration::ZERO).await.unwrap();
    }
    let begun = Instant::now();
    let undertaker = queues.dead.receive(Ask { wait: Duration::from_secs(10), ..ONE });
    let (dead, next) = tokio::join!(undertaker, queues.bodies(ONE));
    assert_eq!(next, ["2"], "the poison is out of its group's way");
    assert_eq!(dead.unwrap().pop().unwrap().message, poison);
    assert!(begun.elapsed() < Duration::from_secs(2), "who waits for dead letters is woken");
}

async fn a_long_poll_wakes_for_a_send(queues: Queues) {
    let poll = queues.source.receive(Ask { wait: Duration::from_secs(10), ..ONE });
    let begun = Instant::now();
    let (received, ()) = tokio::join!(poll, async {
        sleep(Duration::from_secs(3)).await;
        queues.send("g", "1").await;
    });
    assert_eq!(received.unwrap().len(), 1);
    assert!(begun.elapsed() < Duration::from_secs(4), "woke after {:?}", begun.elapsed());
}

async fn a_long_poll_wakes_for_a_deletion_that_frees_a_group(queues: Queues) {
    queues.send("g", "1").await;
    queues.send("g", "2").await;
    let held = queues.receive(Ask { hidden_for: Duration::from_mins(1), ..ONE }).await.pop().unwrap().receipt;
    let poll = queues.source.receive(Ask { wait: Duration::from_secs(10), ..ONE });
    let begun = Instant::now();
    let (received, _) = tokio::join!(poll, async {
        sleep(Duration::from_secs(1)).await;
        queues.delete(&held).await
    });
    assert_eq!(received.unwrap()[0].message.body, "2");
    assert!(begun.elapsed() < Duration::from_secs(2), "woke after {:?}", begun.elapsed());
}

async fn an_empty_poll_waits_its_time_and_no_longer(queues: Queues) {
    let begun = Instant::now();
    assert!(queues.receive(Ask { wait: Duration::from_secs(2), ..ONE }).await.is_empty());
    let waited = begun.elapsed();
    assert!(waited >= Duration::from_secs(2) && waited < Duration::from_secs(3), "waited {waited:?}");
}

async fn asks_are_clamped(queues: Queues) {
    for number in 0..12 {
        queues.send(&format!("g{number}"), &number.to_string()).await;
    }
    let begun = Instant::now();
    let most = Ask { most: 1000, wait: Duration::from_hours(1), hidden_for: Duration::from_mins(10) };
    assert_eq!(queues.receive(most).await.len(), 10);
    assert_eq!(queues.receive(Ask { most: 0, ..most }).await.len(), 1);
    assert_eq!(queues.receive(most).await.len(), 1);
    assert!(begun.elapsed() < Duration::from_secs(1));
}

async fn messages_that_cannot_be_taken_are_refused(queues: Queues) {
    let nameless = Message { dedup: None, ..message("g", "1") };
    let error = queues.sink.send(&queues.address, nameless).await.unwrap_err();
    assert!(matches!(error, QueueError::Incomplete { lacking: "dedup id", .. }), "{error}");
    let loner = Message { group: None, ..message("g", "1") };
    let error = queues.sink.send(&queues.address, loner).await.unwrap_err();
    assert!(matches!(error, QueueError::Incomplete { lacking: "group", .. }), "{error}");
    let giant = Message { body: "x".repeat(1024 * 1024 + 1), ..message("g", "1") };
    let error = queues.sink.send(&queues.address, giant).await.unwrap_err();
    assert_eq!(error.class(), Class::TooLarge, "{error}");
    let error = queues.sink.send(&queues.nowhere, message("g", "1")).await.unwrap_err();
    assert!(matches!(error, QueueError::Absent { .. }), "{error}");
    let largest = Message { body: "x".repeat(1024 * 1024), ..message("g", "1") };
    queues.sink.send(&queues.address, largest).await.unwrap();
    assert_eq!(queues.receive(ALL).await.len(), 1, "nothing of what was refused went in");
}

async fn queues_without_order_ignore_groups(queues: Queues) {
    for _ in 0..2 {
        queues.sink.send(&queues.loose_address, message("g", "1")).await.unwrap();
    }
    assert_eq!(queues.loose.receive(ONE).await.unwrap().len(), 1);
    assert_eq!(queues.loose.receive(ONE).await.unwrap().len(), 1);
}

async fn old_messages_are_forgotten(queues: Queues) {
    queues.send("g", "1").await;
    sleep(Duration::from_secs(301)).await;
    assert!(queues.receive(ALL).await.is_empty());
}
