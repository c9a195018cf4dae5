//! The end of a worker with work in its hands.

use std::time::Duration;

use compilation_worker::lifecycle::Ending;
use tokio::time::Instant;

use super::yard::{QUEUE, Yard, next};

#[tokio::test(start_paused = true)]
async fn running_jobs_are_finished_and_delivered_and_the_rest_is_given_back_at_once() {
    let yard = Yard::open();
    let mut running = Vec::new();
    for number in 0..6 {
        let guid = format!("job{number}");
        running.push(yard.wait_for(&guid).await);
        yard.send(&guid, "sleep 3000").await;
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!((yard.workshop.running(), yard.depth(QUEUE)), (2, (4, 2)));
    yard.lifecycle.begin_drain();
    let begun = Instant::now();
    let delivered = async {
        for subscription in &mut running[..2] {
            next(subscription).await;
            subscription.acknowledge();
        }
    };
    let (ending, ()) = tokio::join!(yard.lifecycle.shut_down(Duration::from_mins(1)), delivered);
    assert_eq!(ending, Ending::Clean);
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    assert_eq!((yard.workshop.begun(), yard.workshop.cancelled()), (2, 0));
    assert_eq!(yard.depth(QUEUE), (4, 0), "others can have them now");
}

#[tokio::test(start_paused = true)]
async fn what_a_receive_brings_after_the_drain_began_is_given_back() {
    let yard = Yard::open();
    tokio::time::sleep(Duration::from_secs(1)).await;
    yard.lifecycle.begin_drain();
    yard.send("late", "hello").await;
    let ending = yard.lifecycle.shut_down(Duration::from_mins(1)).await;
    assert_eq!((ending, yard.workshop.begun()), (Ending::Clean, 0));
    assert_eq!(yard.settled(1).await, [("back", None)]);
    assert_eq!(yard.depth(QUEUE), (1, 0));
    assert!(yard.door.is_finished());
}

#[tokio::test(start_paused = true)]
async fn an_idle_worker_ends_with_its_last_poll() {
    let yard = Yard::open();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let begun = Instant::now();
    assert_eq!(yard.lifecycle.shut_down(Duration::from_mins(1)).await, Ending::Clean);
    assert!(begun.elapsed() <= Duration::from_secs(10), "{:?}", begun.elapsed());
}
