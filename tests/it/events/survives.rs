//! What a network does to connections, and that no result is lost by it.

use std::time::Duration;

use compilation_worker::domain::ids::RequestId;
use compilation_worker::events::Settings;
use compilation_worker::ports::ResultBus as _;
use futures_util::future::join_all;
use tokio::time::{Instant, sleep, timeout};

use super::bed::{Bed, PATIENCE, publish, take, until};
use crate::support::proxy::{Mood, Proxy};

#[tokio::test]
async fn a_half_open_socket_is_found_by_the_missing_pong() {
    let bed = Bed::default();
    let (address, _hub) = bed.hub().await;
    let proxy = Proxy::before(address, &bed.lifecycle).await;
    let quick = |settings: &mut Settings| {
        settings.ping = Duration::from_millis(200);
        settings.pong = Duration::from_millis(300);
    };
    let router = bed.bus_at(proxy.address, quick).await;
    let worker = bed.bus_at(address, |_| ()).await;
    until(&router, |status| status.connections == 2).await;
    let id = RequestId::mint();
    let mut subscription = router.subscribe(&id).await.unwrap();
    proxy.swallow();
    let begun = Instant::now();
    let (published, ()) = tokio::join!(publish(&worker, &id), take(&mut subscription));
    published.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5), "found after {:?}", begun.elapsed());
    assert!(router.status().connected >= 3);
}

#[tokio::test]
async fn what_is_asked_and_offered_in_a_gap_goes_through_when_it_ends() {
    let bed = Bed::default();
    let (address, _hub) = bed.hub().await;
    let proxy = Proxy::before(address, &bed.lifecycle).await;
    let bus = bed.bus_at(proxy.address, |_| ()).await;
    let early = RequestId::mint();
    let mut subscription = bus.subscribe(&early).await.unwrap();
    proxy.set(Mood::Cut);
    until(&bus, |status| status.connections == 0).await;
    let late = RequestId::mint();
    let published = async { tokio::join!(publish(&bus, &early), publish(&bus, &late)) };
    let taken = async {
        let mut other = bus.subscribe(&late).await.unwrap();
        take(&mut subscription).await;
        take(&mut other).await;
    };
    let healed = async {
        sleep(Duration::from_secs(3)).await;
        proxy.set(Mood::Honest);
        Instant::now()
    };
    let ((first, second), (), healed) = tokio::join!(published, taken, healed);
    first.unwrap();
    second.unwrap();
    assert!(healed.elapsed() < Duration::from_secs(5), "recovered after {:?}", healed.elapsed());
}

#[tokio::test]
async fn a_hub_that_is_down_is_dialed_at_a_measured_pace() {
    let bed = Bed::default();
    let (address, _hub) = bed.hub().await;
    let proxy = Proxy::before(address, &bed.lifecycle).await;
    let bus = bed.bus_at(proxy.address, |settings| settings.connections = 1).await;
    proxy.set(Mood::Cut);
    until(&bus, |status| status.connections == 0).await;
    let before = proxy.dials();
    sleep(Duration::from_secs(5)).await;
    let dials = proxy.dials() - before;
    assert!((2..=6).contains(&dials), "{dials} dials in 5 s");
}

#[tokio::test]
async fn rotation_loses_nothing() {
    let bed = Bed::default();
    let (address, hub) = bed.hub().await;
    // Two hours in half a second.
    let aging = |settings: &mut Settings| {
        settings.rotation = Duration::from_millis(500);
        settings.linger = Duration::from_millis(200);
    };
    let (worker, router) = (bed.bus_at(address, aging).await, bed.bus_at(address, aging).await);
    let results = (0..300_u64).map(|number| {
        let (worker, router) = (&worker, &router);
        async move {
            sleep(Duration::from_millis(number * 10)).await;
            let id = RequestId::mint();
            let mut subscription = router.subscribe(&id).await.unwrap();
            // Meanwhile, the connection on which the hub was told is replaced, and so is its successor.
            sleep(Duration::from_millis(1200)).await;
            let (published, ()) = tokio::join!(publish(worker, &id), take(&mut subscription));
            published.unwrap();
        }
    });
    timeout(PATIENCE, join_all(results)).await.expect("results were lost");
    let status = router.status();
    assert!(status.connected >= 8, "{status:?}");
    assert!(status.connections <= 2, "those that were replaced take no new work: {status:?}");
    let repeats = worker.status().repeats;
    assert!(repeats <= 3, "{repeats} of 300 results had to be sent again");
    let held = hub.status().connections;
    assert!(held <= 12, "replaced connections are not closed: the hub holds {held}");
}

#[tokio::test]
async fn ten_thousand_subscriptions_move_to_a_new_connection() {
    const MANY: usize = 10_000;
    let bed = Bed::default();
    let (address, hub) = bed.hub().await;
    let proxy = Proxy::before(address, &bed.lifecycle).await;
    let router = bed.bus_at(proxy.address, |_| ()).await;
    let worker = bed.bus_at(address, |_| ()).await;
    let ids: Vec<RequestId> = (0..MANY).map(|_| RequestId::mint()).collect();
    let mut subscriptions: Vec<_> =
        join_all(ids.iter().map(|id| router.subscribe(id))).await.into_iter().map(Result::unwrap).collect();
    assert_eq!((hub.status().subscriptions, router.status().subscriptions), (MANY, MANY));
    proxy.set(Mood::Cut);
    until(&router, |status| status.connections == 0).await;
    proxy.set(Mood::Honest);
    for index in [0, MANY / 2, MANY - 1] {
        let (published, ()) = tokio::join!(publish(&worker, &ids[index]), take(&mut subscriptions[index]));
        published.unwrap();
    }
    let begun = Instant::now();
    while hub.status().subscriptions != MANY {
        assert!(begun.elapsed() < PATIENCE, "{:?}", hub.status());
        sleep(Duration::from_millis(10)).await;
    }
    drop(subscriptions);
    until(&router, |status| status.subscriptions == 0).await;
    while hub.status().subscriptions != 0 {
        assert!(begun.elapsed() < PATIENCE, "{:?}", hub.status());
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn subscriptions_are_bounded() {
    let bed = Bed::default();
    let (address, _hub) = bed.hub().await;
    let bus = bed.bus_at(address, |settings| settings.subscriptions = 1).await;
    let first = bus.subscribe(&RequestId::mint()).await.unwrap();
    let refused = bus.subscribe(&RequestId::mint()).await.unwrap_err();
    assert_eq!(refused.source.to_string(), "1 results are waited for already");
    drop(first);
    bus.subscribe(&RequestId::mint()).await.unwrap();
}
