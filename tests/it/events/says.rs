//! What the bus says on the wire, and when: the other side is a stand-in that holds everything back.

use std::time::Duration;

use compilation_worker::domain::ids::RequestId;
use compilation_worker::domain::limits::Deadline;
use compilation_worker::events::EventsBus;
use compilation_worker::ports::{PublishError, ResultBus as _};
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::bed::{self, Bed, PATIENCE, publish, result, take};
use super::peer::Peer;

/// A bus with a single connection, and the stand-in that holds its other end.
async fn pair(bed: &Bed, fence: Duration) -> (EventsBus, Peer, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let bus = bed.bus_at(address, |settings| {
        settings.connections = 1;
        settings.fence = fence;
    });
    let (bus, hub) = tokio::join!(bus, Peer::accept(&listener));
    (bus, hub, listener)
}

fn receipt(id: &RequestId) -> String {
    format!(r#"{{"type":"ack","guid":"{id}","acknowledgedBy":"x"}}"#)
}

#[tokio::test]
async fn a_hub_that_does_not_read_does_not_keep_us_from_ending() {
    let bed = Bed::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let bus = bed.bus_at(listener.local_addr().unwrap(), |settings| {
        settings.connections = 1;
        settings.line = usize::MAX;
    });
    let (bus, _hub) = tokio::join!(bus, Peer::accept(&listener));
    // More than the system keeps for a socket.
    for _ in 0..400 {
        let id = RequestId::mint();
        let frame = format!(r#"{{"guid":"{id}","asm":"{}"}}"#, "x".repeat(100_000));
        let offer = bus.publish(&id, frame.into(), Deadline::after(PATIENCE));
        drop(bed.lifecycle.accompany("offer", offer));
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let begun = Instant::now();
    bed.lifecycle.shut_down(PATIENCE).await;
    assert!(begun.elapsed() < Duration::from_millis(3500), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_lost_receipt_makes_the_result_come_again() {
    let bed = Bed::default();
    let (bus, mut hub, _) = pair(&bed, PATIENCE).await;
    let id = RequestId::mint();
    let begun = Instant::now();
    let hub = async {
        let mut times = Vec::new();
        for _ in 0..3 {
            assert_eq!(hub.hear().await, result(&id));
            times.push(begun.elapsed());
        }
        hub.say(receipt(&id)).await;
        times
    };
    let (published, times) = tokio::join!(publish(&bus, &id), hub);
    published.unwrap();
    assert!(times[1] >= Duration::from_millis(150) && times[2] >= Duration::from_millis(500), "{times:?}");
    assert_eq!((bus.status().repeats, bus.status().offers, bus.status().offered_bytes), (2, 0, 0));
}

#[tokio::test]
async fn every_repeat_of_a_result_gets_its_receipt_again() {
    let bed = Bed::default();
    let (bus, mut hub, _) = pair(&bed, PATIENCE).await;
    let id = RequestId::mint();
    let confirming = async {
        assert_eq!(hub.hear().await, format!("subscribe: {id}"));
        assert_eq!(hub.hear().await, "ping");
        hub.say("pong").await;
        hub
    };
    let (subscription, mut hub) = tokio::join!(bus.subscribe(&id), confirming);
    let mut subscription = subscription.unwrap();
    hub.say(result(&id)).await;
    take(&mut subscription).await;
    assert_eq!(hub.hear().await, format!("ack: {id}"));
    hub.say(result(&id)).await;
    assert_eq!(hub.hear().await, format!("ack: {id}"));
    drop(subscription);
    hub.say(result(&id)).await;
    assert_eq!(hub.hear().await, format!("ack: {id}"), "with nobody left to take it, too");
    assert_eq!(hub.hear().await, format!("unsubscribe: {id}"), "a little later");
}

#[tokio::test]
async fn a_subscription_stands_when_the_hub_has_read_it() {
    let bed = Bed::default();
    let (bus, mut hub, _) = pair(&bed, PATIENCE).await;
    let id = RequestId::mint();
    let mut subscribing = bus.subscribe(&id);
    assert!(timeout(Duration::from_millis(300), &mut subscribing).await.is_err(), "nobody has confirmed it");
    assert_eq!(hub.hear().await, format!("subscribe: {id}"));
    assert_eq!(hub.hear().await, "ping");
    assert!(timeout(Duration::from_millis(100), &mut subscribing).await.is_err());
    hub.say("pong").await;
    timeout(PATIENCE, subscribing).await.expect("confirmed in vain").unwrap();
}

#[tokio::test]
async fn a_hub_that_knows_no_ping_costs_a_moment_and_no_more() {
    let bed = Bed::default();
    let (bus, mut hub, _) = pair(&bed, Duration::from_millis(200)).await;
    let id = RequestId::mint();
    let mut subscription = bus.subscribe(&id).await.unwrap();
    hub.say(result(&id)).await;
    take(&mut subscription).await;
}

#[tokio::test]
async fn an_early_result_is_kept_for_its_waiter() {
    let bed = Bed::default();
    let (bus, mut hub, _) = pair(&bed, Duration::ZERO).await;
    let id = RequestId::mint();
    hub.say(result(&id)).await;
    bed::until(&bus, |status| status.early == 1).await;
    let mut subscription = bus.subscribe(&id).await.unwrap();
    take(&mut subscription).await;
    assert_eq!(hub.hear_request().await, format!("subscribe: {id}"));
    assert_eq!(hub.hear_request().await, format!("ack: {id}"));
}

#[tokio::test]
async fn a_result_that_is_too_large_fails_alone_and_is_never_sent_again() {
    let bed = Bed::default();
    let (bus, mut hub, listener) = pair(&bed, PATIENCE).await;
    let (small, large) = (RequestId::mint(), RequestId::mint());
    let whole = format!(r#"{{"guid":"{large}","asm":"{}"}}"#, "é".repeat(20_000));
    let publish_large = bus.publish(&large, whole.clone().into(), Deadline::after(PATIENCE));
    let refusing = async {
        let mut heard = [hub.hear().await, hub.hear().await];
        heard.sort_by_key(String::len);
        assert_eq!(heard, [result(&small), whole.clone()]);
        let frame = CloseFrame { code: CloseCode::Size, reason: "".into() };
        hub.0.close(Some(frame)).await.unwrap();
        let mut hub = Peer::accept(&listener).await;
        assert_eq!(hub.hear().await, result(&small), "only what fits comes again");
        hub.say(receipt(&small)).await;
        assert_eq!(hub.hear_within(Duration::from_secs(1)).await, None);
    };
    let (refused, published, ()) = tokio::join!(publish_large, publish(&bus, &small), refusing);
    published.unwrap();
    let Err(PublishError::TooLarge { bytes, cap, .. }) = refused else { panic!("{refused:?}") };
    assert_eq!((bytes, cap), (whole.len(), whole.len() - 1));
    assert_eq!(bus.status().refused, 1);
}

#[tokio::test]
async fn a_full_outbox_holds_back_whoever_takes_new_work() {
    let bed = Bed::default();
    let (address, _hub) = bed.hub().await;
    let bus = bed.bus_at(address, |settings| settings.outbox = 10).await;
    timeout(PATIENCE, bus.room()).await.expect("an empty outbox has room");
    let id = RequestId::mint();
    let mut offered = bus.publish(&id, result(&id).into(), Deadline::after(PATIENCE));
    assert!(timeout(Duration::from_millis(50), &mut offered).await.is_err());
    assert!(timeout(Duration::from_millis(50), bus.room()).await.is_err(), "it is full");
    drop(offered);
    timeout(PATIENCE, bus.room()).await.expect("what was withdrawn leaves room");
}
