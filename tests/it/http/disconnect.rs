//! H18: who leaves frees what was being done for them, at once.

use std::time::Duration;

use compilation_worker::domain::result::JobStatus;
use compilation_worker::doors::http::{GONE, Served};
use tokio::io::AsyncWriteExt as _;
use tokio::time::sleep;

use crate::support::client::{Client, compile, get, until};
use crate::support::house::House;

/// Starts a long compile, lets `leave` end the connection, and expects the compile to be cancelled.
async fn cancelled_after(before: Vec<u8>, leave: impl AsyncFnOnce(Client)) {
    let house = House::open().await;
    let mut client = house.client().await;
    client.send([before, compile("sleep 60000")].concat()).await;
    until(|| house.workshop.running() == 1).await;
    sleep(Duration::from_millis(20)).await;
    leave(client).await;
    let took = until(|| house.workshop.running() == 0).await;
    // By itself it would end after a minute.
    assert!(took < Duration::from_secs(10), "the compile ran on for {took:?}");
    assert_eq!(house.workshop.cancelled(), 1);
    let cancelled = |one: &Served| (one.status, one.job) == (GONE, Some(JobStatus::Cancelled));
    assert_eq!(house.served.lock().unwrap().iter().filter(|one| cancelled(one)).count(), 1);
    let mut other = house.client().await;
    assert_eq!(other.ask(compile("int x;")).await.status, 200);
}

#[tokio::test]
async fn a_closed_connection() {
    cancelled_after(Vec::new(), async |client| drop(client)).await;
}

#[tokio::test]
async fn a_reset_connection() {
    cancelled_after(Vec::new(), async |client| {
        client.stream.set_zero_linger().unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_half_closed_connection() {
    cancelled_after(Vec::new(), async |mut client| {
        client.stream.shutdown().await.unwrap();
        // Only closed for good after the compile has had its time to notice.
        sleep(Duration::from_millis(60)).await;
    })
    .await;
}

#[tokio::test]
async fn a_connection_that_had_sent_ahead() {
    cancelled_after(Vec::new(), async |mut client| {
        let ahead: Vec<u8> = (0..50).flat_map(|_| get("/health", "").into_bytes()).collect();
        client.send(ahead).await;
        sleep(Duration::from_millis(50)).await;
    })
    .await;
}

/// More than is read ahead, so that the end is never read while the reply is made.
#[tokio::test]
async fn a_connection_that_had_sent_far_ahead() {
    cancelled_after(Vec::new(), async |mut client| {
        client.send(get("/health", "").repeat(350_000 / 40)).await;
        sleep(Duration::from_millis(100)).await;
    })
    .await;
}

#[tokio::test]
async fn a_connection_that_had_sent_far_ahead_and_is_reset() {
    cancelled_after(Vec::new(), async |mut client| {
        client.send(get("/health", "").repeat(350_000 / 40)).await;
        sleep(Duration::from_millis(100)).await;
        client.stream.set_zero_linger().unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_connection_with_a_past() {
    cancelled_after(get("/health", "").into_bytes(), async |client| drop(client)).await;
}

/// Many clients of all manners at once: nothing is left running, and everyone who waits is answered.
#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_of_all_manners() {
    let house = House::open().await;
    let mut crowd = tokio::task::JoinSet::new();
    for number in 0..60_u64 {
        let address = house.address;
        crowd.spawn(async move {
            for round in 0..10 {
                let mut client = Client::connect(address).await;
                match (number + round) % 4 {
                    0 => {
                        client.send(compile("sleep 60000")).await;
                        sleep(Duration::from_millis(number % 7)).await;
                    }
                    1 => assert_eq!(client.ask(compile("sleep 3")).await.status, 200),
                    2 => {
                        client.send([compile("sleep 1"), compile("one"), compile("two")].concat()).await;
                        for _ in 0..3 {
                            assert_eq!(client.reply().await.status, 200);
                        }
                    }
                    _ => client.send(&compile("int x;")[..20 + usize::try_from(number).unwrap()]).await,
                }
            }
        });
    }
    while let Some(one) = crowd.join_next().await {
        one.unwrap();
    }
    until(|| house.workshop.running() == 0).await;
    assert_eq!(house.client().await.ask(compile("int x;")).await.status, 200);
}
