//! Single flight: identical work under way is done once, for all who ask.
//!
//! The work runs in a task of its own, so that the caller who happened to start it may leave. It is cancelled when
//! the last caller has left: interest is a reference count.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::lifecycle::Lifecycle;

/// The work was lost: its task panicked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the job's task ended without a result")]
pub struct LostError;

/// One piece of work under way; every caller holds it, and dropping the last ends the work.
#[derive(Debug)]
struct Flight<V> {
    outcome: watch::Receiver<Option<V>>,
    interest: CancellationToken,
}

impl<V> Drop for Flight<V> {
    fn drop(&mut self) {
        self.interest.cancel();
    }
}

/// The flights under way, by key.
type Board<K, V> = Arc<Mutex<HashMap<K, Weak<Flight<V>>>>>;

/// The work under way.
#[derive(Debug)]
pub(super) struct Flights<K, V> {
    lifecycle: Lifecycle,
    under_way: Board<K, V>,
}

/// A flight's entry on the board, taken down when this is dropped, however the flight ends.
struct Notice<K: Copy + Eq + Hash, V> {
    key: K,
    flight: Weak<Flight<V>>,
    board: Board<K, V>,
}

impl<K, V> Flights<K, V>
where
    K: Copy + Eq + Hash + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// No work yet; tasks will be spawned through `lifecycle`.
    pub(super) fn new(lifecycle: Lifecycle) -> Self {
        Self { lifecycle, under_way: Arc::default() }
    }

    /// The outcome of `work` for `key`, started now unless it is under way. Dropping the future withdraws interest.
    pub(super) async fn join<F>(&self, key: K, work: impl FnOnce() -> F) -> Result<V, LostError>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let flight = self.board(key, work);
        let mut outcome = flight.outcome.clone();
        let landed = outcome.wait_for(Option::is_some).await.map_err(|_| LostError)?;
        landed.clone().ok_or(LostError)
    }

    fn board<F>(&self, key: K, work: impl FnOnce() -> F) -> Arc<Flight<V>>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = under_way.get(&key).and_then(Weak::upgrade) {
            return flight;
        }
        let (sender, outcome) = watch::channel(None);
        let interest = CancellationToken::new();
        let flight = Arc::new(Flight { outcome, interest: interest.clone() });
        under_way.insert(key, Arc::downgrade(&flight));
        let notice = Notice { key, flight: Arc::downgrade(&flight), board: Arc::clone(&self.under_way) };
        let work = work();
        let _task = self.lifecycle.spawn("flight", async move {
            // Inside, so that a panic takes it down too, and before the sender tells of it.
            let notice = notice;
            let landed = tokio::select! {
                // Interest first: work that nobody waits for must not win a race by being quick.
                biased;
                () = interest.cancelled() => None,
                value = work => Some(value),
            };
            // Before landing, so that whoever comes next finds the cache, not a flight that is over.
            drop(notice);
            if landed.is_some() {
                sender.send_replace(landed);
            }
        });
        flight
    }
}

impl<K: Copy + Eq + Hash, V> Drop for Notice<K, V> {
    fn drop(&mut self) {
        let mut board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
        if board.get(&self.key).is_some_and(|flight| Weak::ptr_eq(flight, &self.flight)) {
            board.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn identical_work_is_done_once() {
        let flights = Flights::new(Lifecycle::default());
        let runs = Arc::new(AtomicUsize::new(0));
        let work = |runs: Arc<AtomicUsize>| {
            move || async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                runs.fetch_add(1, Ordering::Relaxed)
            }
        };
        let (a, b, c) = tokio::join!(
            flights.join(1, work(Arc::clone(&runs))),
            flights.join(1, work(Arc::clone(&runs))),
            flights.join(2, work(Arc::clone(&runs))),
        );
        assert_eq!(a, b);
        assert_ne!(a, c);
        assert_eq!(runs.load(Ordering::Relaxed), 2);
        assert!(flights.under_way.lock().unwrap().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn followers_are_answered_when_the_leader_leaves() {
        let flights = Flights::new(Lifecycle::default());
        let work = || async {
            tokio::time::sleep(Duration::from_secs(2)).await;
            7
        };
        let follower = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            flights.join(1, || async { panic!("the leader's work is still under way") }).await
        };
        let leader = tokio::time::timeout(Duration::from_secs(1), flights.join(1, work));
        let (leader, follower) = tokio::join!(leader, follower);
        assert!(leader.is_err());
        assert_eq!(follower, Ok(7));
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_nobody_waits_for_is_cancelled() {
        let flights = Flights::new(Lifecycle::default());
        let (dropped, mut was_dropped) = tokio::sync::oneshot::channel::<()>();
        let work = move || async move {
            let _held_until_cancelled = dropped;
            std::future::pending::<u8>().await
        };
        let left = tokio::time::timeout(Duration::from_secs(1), flights.join(1, work)).await;
        assert!(left.is_err());
        tokio::time::timeout(Duration::from_secs(1), &mut was_dropped).await.unwrap().unwrap_err();
        assert_eq!(flights.join(1, || async { 3 }).await, Ok(3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_is_an_error_for_its_callers_only() {
        let flights = Flights::<_, u8>::new(Lifecycle::default());
        let (crash, crashed) = tokio::sync::oneshot::channel::<()>();
        let work = || async {
            crashed.await.unwrap();
            panic!("planted")
        };
        let mut leader = Box::pin(flights.join(1, work));
        assert!(tokio::time::timeout(Duration::ZERO, &mut leader).await.is_err());
        let mut follower = Box::pin(flights.join(1, || async { panic!("the work is under way") }));
        assert!(tokio::time::timeout(Duration::ZERO, &mut follower).await.is_err());
        crash.send(()).unwrap();
        assert_eq!(leader.await, Err(LostError));
        // The follower has not been told yet, and holds the flight: who comes now must not board it.
        assert_eq!(flights.join(1, || async { 4 }).await, Ok(4));
        assert_eq!(follower.await, Err(LostError));
        assert!(flights.under_way.lock().unwrap().is_empty());
    }
}
