//! Queues that deliver twice, refuse, or take messages away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use compilation_worker::lifecycle::Lifecycle;
use compilation_worker::local::queue::LocalSource;
use compilation_worker::ports::{Ask, Pending, QueueAddress, QueueError, QueueSource, Receipt, Received};
use tokio::time::{Instant, sleep};

use super::yard::{QUEUE, Yard, id, message, next};
use compilation_worker::ports::ResultBus as _;

/// A queue with troubles.
#[derive(Debug)]
struct Troubled {
    source: LocalSource,
    trouble: Arc<Trouble>,
}

#[derive(Debug, Default)]
struct Trouble {
    refusing: AtomicBool,
    /// Nobody keeps a message longer than its first time.
    forgetting: AtomicBool,
    /// So many deletions fail.
    undeletable: AtomicUsize,
    receives: AtomicUsize,
    /// Messages seem to have been received so often; not at 0.
    tired: AtomicU32,
    /// What hides a message takes two seconds to get there, whether anybody waits for it or not.
    slow: AtomicBool,
    /// So many are on their way.
    hiding: AtomicUsize,
    wires: Lifecycle,
}

impl QueueSource for Troubled {
    fn receive(&self, ask: Ask) -> Pending<'static, Result<Vec<Received>, QueueError>> {
        self.trouble.receives.fetch_add(1, Ordering::SeqCst);
        if self.trouble.refusing.load(Ordering::SeqCst) {
            return Box::pin(async { Err(refused("receive")) });
        }
        let (receiving, trouble) = (self.source.receive(ask), Arc::clone(&self.trouble));
        Box::pin(async move {
            let mut received = receiving.await?;
            let tired = trouble.tired.load(Ordering::SeqCst);
            for message in &mut received {
                message.receives = message.receives.max(tired);
            }
            Ok(received)
        })
    }

    fn delete(&self, receipts: Vec<Receipt>) -> Pending<'static, Result<Vec<Receipt>, QueueError>> {
        let fails = self
            .trouble
            .undeletable
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if fails.is_ok() {
            return Box::pin(async { Err(refused("delete")) });
        }
        self.source.delete(receipts)
    }

    fn hide(&self, receipt: Receipt, visible_in: Duration) -> Pending<'_, Result<(), QueueError>> {
        if self.trouble.forgetting.load(Ordering::SeqCst) {
            return Box::pin(async { Err(QueueError::Void { queue: QueueAddress::new(QUEUE) }) });
        }
        if self.trouble.slow.load(Ordering::SeqCst) && !visible_in.is_zero() {
            let (source, trouble) = (self.source.clone(), Arc::clone(&self.trouble));
            trouble.hiding.fetch_add(1, Ordering::SeqCst);
            let on_its_way = self.trouble.wires.spawn("slow wire", async move {
                sleep(Duration::from_secs(2)).await;
                trouble.hiding.fetch_sub(1, Ordering::SeqCst);
                source.hide(receipt, visible_in).await
            });
            return Box::pin(async { on_its_way.await.unwrap() });
        }
        self.source.hide(receipt, visible_in)
    }
}

fn refused(act: &'static str) -> QueueError {
    QueueError::Unreachable { act, queue: QueueAddress::new(QUEUE), source: "throttled".into() }
}

fn troubled() -> (Yard, Arc<Trouble>) {
    let trouble = Arc::new(Trouble::default());
    let told = Arc::clone(&trouble);
    (Yard::over(|_| {}, |source| Arc::new(Troubled { source, trouble: told })), trouble)
}

#[tokio::test(start_paused = true)]
async fn a_long_job_stays_ours() {
    let yard = Yard::open();
    yard.send("long", "sleep 45000").await;
    yard.result("long").await;
    assert_eq!(yard.settled(1).await, [("done", Some("ok"))]);
    assert_eq!(yard.workshop.begun(), 1, "it was never received again");
}

#[tokio::test(start_paused = true)]
async fn a_repeat_waits_for_the_first_and_is_not_compiled() {
    let yard = Yard::open();
    yard.post(&message("twice", "sleep 5000"), "twice", "one").await;
    yard.post(&message("twice", "sleep 5000"), "twice-again", "two").await;
    let mut subscription = yard.wait_for("twice").await;
    next(&mut subscription).await;
    subscription.acknowledge();
    let mut settled = yard.settled(3).await;
    settled.sort_unstable();
    assert_eq!(settled, [("done", Some("ok")), ("done", Some("ok")), ("regrouped", None)]);
    assert_eq!((yard.workshop.begun(), yard.depth(QUEUE)), (1, (0, 0)));
}

#[tokio::test(start_paused = true)]
async fn a_repeat_that_comes_later_is_answered_from_memory() {
    let yard = Yard::open();
    yard.send("twice", "hello").await;
    yard.result("twice").await;
    yard.settled(1).await;
    yard.post(&message("twice", "hello"), "twice", "again").await;
    assert_eq!(yard.settled(2).await, [("done", Some("ok")); 2]);
    assert_eq!(yard.workshop.begun(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_late_waiter_gets_the_result_of_an_early_job() {
    let yard = Yard::open();
    yard.send("early", "hello").await;
    tokio::time::sleep(Duration::from_secs(25)).await;
    assert_eq!(yard.depth(QUEUE), (0, 1), "kept while it is offered");
    assert_eq!(yard.result("early").await["guid"], "early");
    assert_eq!(yard.settled(1).await, [("done", Some("ok"))]);
    assert_eq!(yard.workshop.begun(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refusing_queue_is_asked_once_a_second_and_found_healed_within_five() {
    let (yard, trouble) = troubled();
    trouble.refusing.store(true, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(11)).await;
    let before = trouble.receives.load(Ordering::SeqCst);
    tokio::time::sleep(Duration::from_mins(5)).await;
    let asked = trouble.receives.load(Ordering::SeqCst) - before;
    assert!((75..=300).contains(&asked), "{asked} in five minutes");
    trouble.refusing.store(false, Ordering::SeqCst);
    yard.send("healed", "hello").await;
    let healed = Instant::now();
    yard.result("healed").await;
    assert!(healed.elapsed() < Duration::from_secs(5), "{:?}", healed.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_is_no_longer_ours_is_finished_and_its_message_left_alone() {
    let (yard, trouble) = troubled();
    trouble.forgetting.store(true, Ordering::SeqCst);
    let mut subscription = yard.bus.subscribe(&id("taken")).await.unwrap();
    yard.send("taken", "sleep 8000").await;
    next(&mut subscription).await;
    subscription.acknowledge();
    let settled = yard.settled(1).await;
    assert_eq!((settled, yard.depth(QUEUE)), (vec![("lost", None)], (0, 1)));
    trouble.forgetting.store(false, Ordering::SeqCst);
    assert_eq!(yard.settled(2).await[1], ("done", Some("ok")), "the next receive had it from memory");
    assert_eq!((yard.workshop.begun(), yard.workshop.cancelled()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_repeat_of_what_runs_here_is_no_reason_to_give_up() {
    let (yard, trouble) = troubled();
    trouble.forgetting.store(true, Ordering::SeqCst);
    let mut subscription = yard.wait_for("slow").await;
    yard.send("slow", "sleep 15000").await;
    sleep(Duration::from_secs(5)).await;
    trouble.forgetting.store(false, Ordering::SeqCst);
    trouble.tired.store(4, Ordering::SeqCst);
    let frame = next(&mut subscription).await;
    assert!(frame.starts_with(br#"{"guid":"slow","echo":"sleep 15000"#), "{frame:?}");
    subscription.acknowledge();
    let mut settled = yard.settled(2).await;
    settled.sort_unstable();
    assert_eq!(settled, [("done", Some("ok")), ("lost", None)]);
    assert_eq!((yard.workshop.begun(), yard.depth(QUEUE), yard.dead().await.len()), (1, (0, 0), 0));
}

#[tokio::test(start_paused = true)]
async fn a_deletion_that_fails_is_tried_again() {
    let (yard, trouble) = troubled();
    trouble.undeletable.store(3, Ordering::SeqCst);
    yard.send("stuck", "hello").await;
    yard.result("stuck").await;
    assert_eq!(yard.settled(1).await, [("done", Some("ok"))]);
    assert_eq!((yard.workshop.begun(), yard.depth(QUEUE)), (1, (0, 0)));
}

#[tokio::test(start_paused = true)]
async fn a_message_that_cannot_be_deleted_comes_back_and_is_not_compiled_again() {
    let (yard, trouble) = troubled();
    trouble.undeletable.store(4, Ordering::SeqCst);
    yard.send("stuck", "hello").await;
    yard.result("stuck").await;
    assert_eq!(yard.settled(2).await, [("lost", None), ("done", Some("ok"))]);
    assert_eq!((yard.workshop.begun(), yard.depth(QUEUE)), (1, (0, 0)));
}

#[tokio::test(start_paused = true)]
async fn only_who_received_a_message_first_tells_how_long_it_waited() {
    let (yard, trouble) = troubled();
    yard.send("first", "hello").await;
    assert!(yard.result("first").await["queueTime"].is_number());
    trouble.tired.store(2, Ordering::SeqCst);
    for (guid, source) in [("again", "hello"), ("wrong", "fail unknown")] {
        yard.send(guid, source).await;
        assert!(yard.result(guid).await.get("queueTime").is_none(), "{guid}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_worker_makes_one_receive_per_poll_wait() {
    let (yard, trouble) = troubled();
    tokio::time::sleep(Duration::from_mins(10)).await;
    let receives = trouble.receives.load(Ordering::SeqCst);
    assert!((60..=61).contains(&receives), "{receives} in ten minutes");
    assert_eq!(yard.settled.lock().unwrap().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_given_back_is_not_hidden_by_a_keeper_that_was_just_asking() {
    let (yard, trouble) = troubled();
    trouble.slow.store(true, Ordering::SeqCst);
    yard.send("running", "sleep 20000").await;
    sleep(Duration::from_millis(10)).await;
    // At its last try it waits to be alone, and so has not begun.
    trouble.tired.store(3, Ordering::SeqCst);
    yard.send("waiting", "hello").await;
    // Each asks after 3 s to 3.7 s, so both are on their way at once.
    let both = async {
        while trouble.hiding.load(Ordering::SeqCst) < 2 {
            sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), both).await.expect("nobody keeps them");
    assert_eq!((yard.workshop.begun(), yard.depth(QUEUE)), (1, (0, 2)));
    yard.lifecycle.begin_drain();
    sleep(Duration::from_secs(3)).await;
    assert_eq!(yard.depth(QUEUE), (1, 1), "others can have it now");
}
