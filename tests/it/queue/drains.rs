//! The end of a worker with work in its hands.

use std::time::Duration;

use compilation_worker::lifecycle::Ending;
use compilation_worker::lifecycle::pause::Cause;
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
    assert!(!yard.settled.lock().unwrap()[0].failed, "it was not begun");
    assert_eq!(yard.depth(QUEUE), (1, 0));
    assert!(yard.door.is_finished());
}

#[tokio::test(start_paused = true)]
async fn a_paused_worker_finishes_what_it_has_and_takes_nothing_more() {
    let yard = Yard::open();
    let mut running = yard.wait_for("running").await;
    let mut caught = yard.wait_for("caught").await;
    let mut waiting = yard.wait_for("waiting").await;
    yard.send("running", "sleep 3000").await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    yard.pause.set(Cause::Operator, true);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(yard.intake.is_open(), "a receive is under way");
    // The receive that was under way takes one more, and is the last.
    yard.send("caught", "hello").await;
    next(&mut caught).await;
    caught.acknowledge();
    assert!(!yard.intake.is_open(), "it was the last");
    yard.send("waiting", "hello").await;
    next(&mut running).await;
    running.acknowledge();
    // Less than the time after which nobody waits for it any more.
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!((yard.depth(QUEUE), yard.workshop.begun()), ((1, 0), 2), "nothing is taken");
    yard.pause.set(Cause::Operator, false);
    next(&mut waiting).await;
    assert!(yard.intake.is_open());
    waiting.acknowledge();
    yard.settled(3).await;
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_comes_while_every_place_is_taken_wins() {
    let yard = Yard::open();
    for number in 0..3 {
        yard.send(&format!("job{number}"), "sleep 3000").await;
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!((yard.workshop.running(), yard.depth(QUEUE)), (2, (1, 2)));
    yard.pause.set(Cause::Group, true);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(!yard.intake.is_open(), "no receive was under way");
    assert_eq!((yard.workshop.begun(), yard.depth(QUEUE).0), (2, 1));
    yard.lifecycle.begin_drain();
    tokio::time::timeout(Duration::from_secs(1), yard.door).await.expect("a pause holds up the end").unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_idle_worker_ends_with_its_last_poll() {
    let yard = Yard::open();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let begun = Instant::now();
    yard.lifecycle.begin_drain();
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert!(yard.intake.is_open(), "its last poll may bring something");
    assert_eq!(yard.lifecycle.shut_down(Duration::from_mins(1)).await, Ending::Clean);
    assert!(!yard.intake.is_open());
    assert!(begun.elapsed() <= Duration::from_secs(10), "{:?}", begun.elapsed());
}
