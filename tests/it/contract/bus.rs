//! What every result bus promises.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use compilation_worker::domain::ids::RequestId;
use compilation_worker::domain::limits::Deadline;
use compilation_worker::local::bus::LocalBus;
use compilation_worker::ports::{PublishError, ResultBus};
use tokio::time::{Instant, sleep, timeout};

use super::suite;
use crate::events::bed;

fn local() -> Arc<dyn ResultBus> {
    Arc::new(LocalBus::new(32_000))
}

suite! { in_process = super::local:
    a_result_reaches_its_subscriber_and_the_receipt_comes_back
    an_early_result_waits_for_its_subscriber
    arrival_alone_is_no_receipt
    results_of_others_do_not_arrive
    every_subscriber_gets_it_and_one_receipt_is_enough
    a_repeat_after_the_receipt_ends_at_once
    a_dropped_subscription_gets_nothing
    a_repeat_long_after_the_receipt_ends_at_once
    a_name_may_carry_many_words_that_nobody_acknowledges
    nobody_there_is_told_at_the_deadline
    the_largest_frame_passes_and_a_larger_does_not
}

/// The same in real time, because the clock of a socket cannot be paused. A pool on our own hub, over loopback.
macro_rules! over_loopback {
    ($($case:ident)+) => {
        mod over_loopback {
            $(
                #[tokio::test]
                async fn $case() {
                    super::$case(super::bed::Bed::default().bus().await).await;
                }
            )+
        }
    };
}

over_loopback! {
    a_result_reaches_its_subscriber_and_the_receipt_comes_back
    an_early_result_waits_for_its_subscriber
    arrival_alone_is_no_receipt
    results_of_others_do_not_arrive
    every_subscriber_gets_it_and_one_receipt_is_enough
    a_repeat_after_the_receipt_ends_at_once
    a_dropped_subscription_gets_nothing
    a_name_may_carry_many_words_that_nobody_acknowledges
    nobody_there_is_told_at_the_deadline
    the_largest_frame_passes_and_a_larger_does_not
}

/// A result: on a wire, its name has to stand in it.
fn frame(id: &RequestId) -> Bytes {
    format!(r#"{{"guid":"{id}","code":0}}"#).into()
}

/// A result of so many bytes.
fn large(id: &RequestId, bytes: usize) -> Bytes {
    let text = format!(r#"{{"guid":"{id}","asm":""}}"#);
    let filler = "x".repeat(bytes - text.len());
    text.replace(r#""asm":""#, &format!(r#""asm":"{filler}"#)).into()
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(5))
}

async fn a_result_reaches_its_subscriber_and_the_receipt_comes_back(bus: Arc<dyn ResultBus>) {
    let id = RequestId::mint();
    let mut subscription = bus.subscribe(&id).await.unwrap();
    assert_eq!(subscription.id(), &id);
    let (published, ()) = tokio::join!(bus.publish(&id, frame(&id), soon()), async {
        assert_eq!(subscription.next().await.unwrap(), frame(&id));
        subscription.acknowledge();
    });
    published.unwrap();
}

async fn an_early_result_waits_for_its_subscriber(bus: Arc<dyn ResultBus>) {
    let id = RequestId::mint();
    let (published, ()) = tokio::join!(bus.publish(&id, frame(&id), soon()), async {
        sleep(Duration::from_secs(1)).await;
        let mut subscription = bus.subscribe(&id).await.unwrap();
        assert_eq!(subscription.next().await.unwrap(), frame(&id));
        subscription.acknowledge();
    });
    published.unwrap();
}

async fn arrival_alone_is_no_receipt(bus: Arc<dyn ResultBus>) {
    let id = RequestId::mint();
    let mut subscription = bus.subscribe(&id).await.unwrap();
    let (published, arrived) = tokio::join!(bus.publish(&id, frame(&id), soon()), subscription.next());
    assert!(arrived.is_some());
    assert!(matches!(published, Err(PublishError::Unacknowledged { .. })), "{published:?}");
}

async fn results_of_others_do_not_arrive(bus: Arc<dyn ResultBus>) {
    let (mine, other) = (RequestId::mint(), RequestId::mint());
    let mut subscription = bus.subscribe(&mine).await.unwrap();
    let published = bus.publish(&other, frame(&other), soon()).await;
    assert!(published.is_err());
    assert!(timeout(Duration::from_secs(1), subscription.next()).await.is_err());
}

async fn every_subscriber_gets_it_and_one_receipt_is_enough(bus: Arc<dyn ResultBus>) {
    let id = RequestId::mint();
    let mut first = bus.subscribe(&id).await.unwrap();
    let mut second = bus.subscribe(&id).await.unwrap();
    let (published, ()) = tokio::join!(bus.publish(&id, frame(&id), soon()), async {
        assert!(first.next().await.is_some());
        assert!(second.next().await.is_some());
        second.acknowledge();
    });
    published.unwrap();
}

async fn a_repeat_after_the_receipt_ends_at_once(bus: Arc<dyn ResultBus>) {
    repeat_after(bus, Duration::ZERO).await;
}

async fn a_repeat_long_after_the_receipt_ends_at_once(bus: Arc<dyn ResultBus>) {
    repeat_after(bus, Duration::from_secs(100)).await;
}

async fn repeat_after(bus: Arc<dyn ResultBus>, pause: Duration) {
    let id = RequestId::mint();
    let mut subscription = bus.subscribe(&id).await.unwrap();
    let (published, ()) = tokio::join!(bus.publish(&id, frame(&id), soon()), async {
        assert!(subscription.next().await.is_some());
        subscription.acknowledge();
        subscription.acknowledge();
    });
    published.unwrap();
    drop(subscription);
    sleep(pause).await;
    let begun = Instant::now();
    bus.publish(&id, frame(&id), soon()).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(1));
}

async fn a_dropped_subscription_gets_nothing(bus: Arc<dyn ResultBus>) {
    let id = RequestId::mint();
    drop(bus.subscribe(&id).await.unwrap());
    let published = bus.publish(&id, frame(&id), soon()).await;
    assert!(matches!(published, Err(PublishError::Unacknowledged { .. })), "{published:?}");
}

async fn nobody_there_is_told_at_the_deadline(bus: Arc<dyn ResultBus>) {
    let begun = Instant::now();
    let id = RequestId::mint();
    let error = bus.publish(&id, frame(&id), soon()).await.unwrap_err();
    assert!(error.to_string().contains("nobody acknowledged"), "{error}");
    let waited = begun.elapsed();
    assert!(waited >= Duration::from_secs(5) && waited < Duration::from_secs(6), "waited {waited:?}");
}

async fn the_largest_frame_passes_and_a_larger_does_not(bus: Arc<dyn ResultBus>) {
    let (id, largest) = (RequestId::mint(), bus.largest_frame());
    let mut subscription = bus.subscribe(&id).await.unwrap();
    let (published, ()) = tokio::join!(bus.publish(&id, large(&id, largest), soon()), async {
        assert_eq!(subscription.next().await.unwrap().len(), largest);
        subscription.acknowledge();
    });
    published.unwrap();
    let id = RequestId::mint();
    let error = bus.publish(&id, large(&id, largest + 1), soon()).await.unwrap_err();
    assert!(matches!(error, PublishError::TooLarge { .. }), "{error}");
}

async fn a_name_may_carry_many_words_that_nobody_acknowledges(bus: Arc<dyn ResultBus>) {
    let topic = RequestId::parse("cancelled-jobs").unwrap();
    let mut subscriptions = [bus.subscribe(&topic).await.unwrap(), bus.subscribe(&topic).await.unwrap()];
    let word = |number: usize| Bytes::from(format!(r#"{{"guid":"{topic}","cancelled":["{number}"]}}"#));
    let said: Vec<_> = (0..10)
        .map(|number| bus.publish(&topic, word(number), Deadline::after(Duration::from_millis(150))))
        .collect();
    for outcome in futures_util::future::join_all(said).await {
        assert!(matches!(outcome, Err(PublishError::Unacknowledged { .. })));
    }
    for subscription in &mut subscriptions {
        let mut missing: Vec<Bytes> = (0..10).map(word).collect();
        while !missing.is_empty() {
            let heard =
                timeout(Duration::from_secs(5), subscription.next()).await.expect("a word is missing");
            let heard = heard.unwrap();
            missing.retain(|word| *word != heard);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_bus_in_this_process_forgets() {
    let bus = LocalBus::new(1024);
    let id = RequestId::mint();
    let mut subscription = bus.subscribe(&id).await.unwrap();
    let (published, ()) = tokio::join!(bus.publish(&id, frame(&id), soon()), async {
        assert!(subscription.next().await.is_some());
        subscription.acknowledge();
    });
    published.unwrap();
    let other = RequestId::mint();
    let withdrawn = bus.publish(&other, frame(&other), soon());
    assert!(timeout(Duration::from_secs(1), withdrawn).await.is_err());
    drop(subscription);
    assert_eq!(bus.topics(), 1, "the receipt is remembered, and nothing else");
    sleep(Duration::from_secs(121)).await;
    assert_eq!(bus.topics(), 0);
    assert!(bus.publish(&id, frame(&id), soon()).await.is_err(), "after two minutes an id is new again");
    assert_eq!(bus.topics(), 0);
}
