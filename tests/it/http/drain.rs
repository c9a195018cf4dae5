//! H21: the end loses nothing that was received.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::support::client::{Client, End, compile, get, until};
use crate::support::house::{House, Plan};

#[tokio::test]
async fn everything_received_is_answered_and_nothing_is_reset() {
    for _ in 0..5 {
        let mut house = House::open().await;
        let mut idle = Vec::new();
        for number in 0..50 {
            let mut client = house.client().await;
            if number % 2 == 0 {
                assert_eq!(client.ask(get("/health/ready", "")).await.status, 200);
            }
            idle.push(client);
        }
        let mut running = Vec::new();
        for _ in 0..22 {
            let mut client = house.client().await;
            client.send(compile("sleep 300")).await;
            running.push(client);
        }
        until(|| house.workshop.running() == 22).await;
        house.drain();
        // Each goes as it is told to; who stays is waited for a second, in `who_comes_during_the_drain_is_told_so`.
        for mut client in running {
            let reply = client.reply().await;
            assert_eq!((reply.status, reply.header("connection")), (200, Some("close")));
            assert_eq!(client.end().await, End::Closed);
        }
        for mut client in idle {
            assert_eq!(client.end().await, End::Closed);
        }
        house.ended().await;
        assert_eq!(house.workshop.cancelled(), 0);
        assert!(Client::try_connect(house.address).await.is_err(), "the door is still open");
    }
}

#[tokio::test]
async fn who_comes_during_the_drain_is_told_so() {
    let mut house = House::open().await;
    let mut running = house.client().await;
    running.send(compile("sleep 400")).await;
    until(|| house.workshop.running() == 1).await;
    house.drain();
    sleep(Duration::from_millis(50)).await;
    let mut late = house.client().await;
    let reply = late.ask(compile("int x;")).await;
    assert_eq!((reply.status, reply.header("connection")), (503, Some("close")));
    assert!(reply.header("retry-after").is_some());
    assert_eq!(reply.header("x-job-status"), Some("rejected"));
    assert_eq!(late.end().await, End::Closed);
    let reply = house.client().await.ask(get("/health/ready", "")).await;
    assert_eq!((reply.status, &reply.json()["reason"]), (503, &"draining".into()));
    assert_eq!(house.client().await.ask(get("/health/live", "")).await.status, 200);
    assert_eq!(running.reply().await.status, 200);
    house.ended().await;
}

#[tokio::test]
async fn a_lame_duck_still_serves() {
    let mut plan = Plan::default();
    plan.http.lame_duck = Duration::from_secs(3);
    let mut house = House::build(plan).await;
    let mut idle = house.client().await;
    assert_eq!(idle.ask(get("/health/ready", "")).await.status, 200);
    let begun = Instant::now();
    house.drain();
    sleep(Duration::from_millis(100)).await;
    let reply = idle.ask(compile("int x;")).await;
    assert_eq!((reply.status, reply.header("connection")), (200, Some("close")));
    assert_eq!(house.client().await.ask(get("/health/ready", "")).await.status, 503);
    house.ended().await;
    assert!(begun.elapsed() >= Duration::from_secs(3));
}

#[tokio::test]
async fn requests_sent_just_before_the_end_get_a_reply() {
    for _ in 0..10 {
        let mut house = House::open().await;
        let mut clients = Vec::new();
        for _ in 0..20 {
            let mut client = house.client().await;
            assert_eq!(client.ask(get("/health/live", "")).await.status, 200);
            clients.push(client);
        }
        for client in &mut clients {
            client.send(compile("int x;")).await;
        }
        house.drain();
        for mut client in clients {
            let status = client.reply().await.status;
            assert!(status == 200 || status == 503, "{status}");
            assert_eq!(client.end().await, End::Closed);
        }
        house.ended().await;
    }
}
