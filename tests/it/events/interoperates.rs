//! Stand-ins that behave exactly as the deployed halves do (contract-cloud 4.4 and 4.5).

use std::time::Duration;

use compilation_worker::domain::ids::RequestId;
use compilation_worker::ports::ResultBus as _;
use tokio::time::{sleep, timeout};

use super::bed::{Bed, PATIENCE, publish, result, take};
use super::peer::Peer;

/// Pause between the sends of the deployed worker.
const WORKER_REPEAT: Duration = Duration::from_secs(3);
/// How often it sends at most.
const WORKER_SENDS: usize = 4;

/// The deployed worker: sends, and again every 3 s until the receipt comes, four times in all. Says how often it sent.
async fn worker(peer: &mut Peer, id: &RequestId) -> usize {
    for sent in 1..=WORKER_SENDS {
        peer.say(result(id)).await;
        if let Some(heard) = peer.hear_within(WORKER_REPEAT).await {
            assert!(
                heard.starts_with(&format!(r#"{{"type":"ack","guid":"{id}","acknowledgedBy":""#)),
                "{heard}"
            );
            return sent;
        }
    }
    panic!("the deployed worker gave up");
}

#[tokio::test]
async fn the_deployed_worker_is_heard_and_told_so_at_once() {
    let bed = Bed::default();
    let (address, _hub) = bed.hub().await;
    let router = bed.bus_at(address, |_| ()).await;
    let mut peer = Peer::dial(address).await;
    let id = RequestId::mint();
    let mut subscription = router.subscribe(&id).await.unwrap();
    let (sent, ()) = tokio::join!(worker(&mut peer, &id), take(&mut subscription));
    assert_eq!(sent, 1);
    // A second copy, sent before the receipt arrived, gets its receipt too: nothing on that worker stalls.
    drop(subscription);
    sleep(Duration::from_millis(100)).await;
    let mut again = router.subscribe(&id).await.unwrap();
    let (sent, ()) = tokio::join!(worker(&mut peer, &id), async {
        again.next().await.unwrap();
    });
    assert_eq!(sent, 1);
}

/// What makes a deployed worker stand still for 12 s (X-4): the hub has lost the receipt, and the router is done.
#[tokio::test]
async fn a_receipt_lost_after_the_router_is_done_is_given_again() {
    let bed = Bed::default();
    let (address, _hub) = bed.hub().await;
    let router = bed.bus_at(address, |_| ()).await;
    let id = RequestId::mint();
    let mut subscription = router.subscribe(&id).await.unwrap();
    let mut first = Peer::dial(address).await;
    first.say(result(&id)).await;
    take(&mut subscription).await;
    drop(subscription);
    assert!(first.hear().await.contains("ack"), "this one counts as lost");
    assert_eq!(worker(&mut first, &id).await, 1);
}

#[tokio::test]
async fn a_subscription_that_comes_late_still_gets_what_the_deployed_worker_repeats() {
    let bed = Bed::default();
    let (address, _hub) = bed.hub().await;
    let router = bed.bus_at(address, |_| ()).await;
    let mut peer = Peer::dial(address).await;
    let id = RequestId::mint();
    let (sent, ()) = tokio::join!(worker(&mut peer, &id), async {
        sleep(Duration::from_secs(1)).await;
        take(&mut router.subscribe(&id).await.unwrap()).await;
    });
    assert_eq!(sent, 2);
}

#[tokio::test]
async fn the_first_of_two_routers_to_answer_ends_the_sending() {
    let bed = Bed::default();
    let (address, _hub) = bed.hub().await;
    let (ours, worker) = (bed.bus_at(address, |_| ()).await, bed.bus_at(address, |_| ()).await);
    let mut theirs = Peer::dial(address).await;
    let id = RequestId::mint();
    theirs.say(format!("subscribe: {id}")).await;
    let mut subscription = ours.subscribe(&id).await.unwrap();
    let (published, ()) = tokio::join!(publish(&worker, &id), async {
        assert_eq!(theirs.hear().await, result(&id));
        theirs.say(format!("ack: {id}")).await;
        take(&mut subscription).await;
    });
    published.unwrap();
}

/// The deployed router subscribes, sleeps 50 ms, sends the job, and only then has a waiter: a result that comes sooner
/// is dropped without a receipt.
#[tokio::test]
async fn the_deployed_router_gets_its_result_though_it_drops_the_first() {
    let bed = Bed::default();
    let (address, _hub) = bed.hub().await;
    let worker = bed.bus_at(address, |_| ()).await;
    let mut router = Peer::dial(address).await;
    let id = RequestId::mint();
    router.say(format!("subscribe: {id}")).await;
    sleep(Duration::from_millis(50)).await;
    let routing = async {
        assert_eq!(router.hear().await, result(&id), "before it waits: dropped");
        assert_eq!(router.hear().await, result(&id), "and again");
        router.say(format!("ack: {id}")).await;
        router.say(format!("unsubscribe: {id}")).await;
        assert_eq!(
            router.hear_within(Duration::from_secs(1)).await,
            None,
            "after its receipt it is left alone"
        );
    };
    let (published, ()) = tokio::join!(publish(&worker, &id), routing);
    published.unwrap();
    assert_eq!(worker.status().repeats, 1);
    timeout(PATIENCE, publish(&worker, &id)).await.expect("the receipt was forgotten").unwrap();
}
