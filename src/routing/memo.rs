//! One fact of a store, remembered: fresh, ripe, stale or unknown, and asked for by one at a time.
//!
//! ```text
//!  read ──── fresh ────┬── ripe ──────────┬── old ─────────────────────────►
//!                      │ served, while    │ who wants it waits for the next look,
//!                      │ one looks again  │ but not long if the old one may stand in
//! ```
//!
//! The look is a task of its own, so that nobody who leaves takes it along. A failure is never a fact: it keeps what
//! was known, and keeps everybody from asking again for a moment.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::decision::Origin;
use crate::lifecycle::Lifecycle;
use crate::ports::LookupError;

/// How long one look may take. With [`PAUSE`] it bounds how soon after a store heals we notice, which is to be 5 s.
const LONGEST_LOOK: Duration = Duration::from_secs(2);
/// How long a store that failed is left alone, for this fact; up to twice as long, so that not all come back at once.
const PAUSE: Duration = Duration::from_secs(1);
/// How long after its pause a failure still speaks for itself: the next look, and a while until somebody begins it.
const LATELY: Duration = Duration::from_secs(4);
/// How long somebody waits for a look if an old answer can stand in. Tables answer in a hundredth of a second.
const PATIENCE: Duration = Duration::from_millis(250);

/// What a look brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fact<V> {
    pub(super) value: V,
    /// How long it is believed.
    pub(super) good_for: Duration,
    /// Whether it may stand in afterwards, when the store cannot be read.
    pub(super) lasts: bool,
}

/// What somebody who asks is told.
pub(super) type Told<V> = Result<(V, Origin), Arc<LookupError>>;

/// How often everything has been forgotten. A fact of an earlier era is old.
pub(super) type Era = u64;

/// One fact.
#[derive(Debug)]
pub(super) struct Memo<V> {
    /// What it is, for errors.
    what: String,
    lifecycle: Lifecycle,
    state: ArcSwap<State<V>>,
    /// Held by the look under way, which alone may change the state.
    turn: Arc<Mutex<()>>,
}

#[derive(Debug)]
struct State<V> {
    fact: Option<Kept<V>>,
    failure: Option<Failure>,
}

#[derive(Debug, Clone)]
struct Kept<V> {
    value: V,
    ripe: Instant,
    until: Instant,
    lasts: bool,
    era: Era,
}

#[derive(Debug)]
struct Failure {
    error: Arc<LookupError>,
    until: Instant,
    era: Era,
}

impl<V: Clone + Send + Sync + 'static> Memo<V> {
    /// Nothing is known yet of `what`.
    pub(super) fn new(what: &str, lifecycle: Lifecycle) -> Self {
        let state = State { fact: None, failure: None };
        Self { what: what.to_owned(), lifecycle, state: ArcSwap::from_pointee(state), turn: Arc::default() }
    }

    /// The fact in this era or a later one, by `look` if need be, which must come to an end by itself.
    pub(super) async fn get<F>(self: &Arc<Self>, era: Era, look: impl FnOnce() -> F) -> Told<V>
    where
        F: Future<Output = Result<Fact<V>, LookupError>> + Send + 'static,
    {
        let now = Instant::now();
        let (stand_in, is_away) = {
            let state = self.state.load();
            if let Some(told) = state.tell(now, era) {
                if state.is_ripe(now, era)
                    && let Ok(turn) = Arc::clone(&self.turn).try_lock_owned()
                {
                    let _behind_us = self.look(turn, era, look());
                }
                return told;
            }
            (state.stand_in(), state.failed_lately(now, era))
        };
        let asked = self.ask(era, look);
        let Some(value) = stand_in else { return asked.await };
        // A store that is away is not waited for: one look after the other goes on behind us until one succeeds.
        let patience = if is_away { Duration::ZERO } else { PATIENCE };
        match timeout(patience, asked).await {
            Ok(Ok(told)) => Ok(told),
            Ok(Err(_)) | Err(_) => Ok((value, Origin::Stale)),
        }
    }

    /// Takes over a fact that was read together with others, unless as much is known already.
    pub(super) async fn learn(&self, era: Era, fact: Fact<V>) {
        let _turn = self.turn.lock().await;
        let known = self.state.load().tell(Instant::now(), era).is_some_and(|told| told.is_ok());
        if !known {
            let _told = self.keep(era, Ok(fact));
        }
    }

    /// What a look brings, ours or that of whoever is looking.
    async fn ask<F>(self: &Arc<Self>, era: Era, look: impl FnOnce() -> F) -> Told<V>
    where
        F: Future<Output = Result<Fact<V>, LookupError>> + Send + 'static,
    {
        let turn = Arc::clone(&self.turn).lock_owned().await;
        let told = self.state.load().tell(Instant::now(), era);
        if let Some(told) = told {
            return told;
        }
        match self.look(turn, era, look()).await {
            Ok(Some(told)) => told,
            // The process ends, or the adapter panicked, of which the lifecycle has told.
            Ok(None) | Err(_) => Err(Arc::new(unreachable(&self.what, "the look was given up"))),
        }
    }

    /// Looks, in a task that holds the turn.
    fn look<F>(self: &Arc<Self>, turn: OwnedMutexGuard<()>, era: Era, look: F) -> JoinHandle<Option<Told<V>>>
    where
        F: Future<Output = Result<Fact<V>, LookupError>> + Send + 'static,
    {
        let memo = Arc::clone(self);
        self.lifecycle.accompany("route look", async move {
            let told = memo.keep(era, look.await);
            drop(turn);
            told
        })
    }

    /// Remembers what a look of this era brought.
    fn keep(&self, era: Era, seen: Result<Fact<V>, LookupError>) -> Told<V> {
        let now = Instant::now();
        match seen {
            Ok(Fact { value, good_for, lasts }) => {
                let (ripe, until) = (now + good_for * 3 / 4, now + good_for);
                let fact = Kept { value: value.clone(), ripe, until, lasts, era };
                self.state.store(Arc::new(State { fact: Some(fact), failure: None }));
                Ok((value, Origin::Table))
            }
            Err(error) => {
                let fact = self.state.load().fact.clone();
                let error = Arc::new(error);
                let failure = Failure { error: Arc::clone(&error), until: now + PAUSE + part_of(PAUSE), era };
                let state = State { fact, failure: Some(failure) };
                let stand_in = state.stand_in();
                self.state.store(Arc::new(state));
                stand_in.map_or(Err(error), |value| Ok((value, Origin::Stale)))
            }
        }
    }
}

impl<V: Clone> State<V> {
    /// What can be said without looking.
    fn tell(&self, now: Instant, era: Era) -> Option<Told<V>> {
        if let Some(fact) = self.fact.as_ref().filter(|fact| fact.era >= era && now < fact.until) {
            return Some(Ok((fact.value.clone(), Origin::Memory)));
        }
        let failure = self.pause(now, era)?;
        let failed = || Err(Arc::clone(&failure.error));
        Some(self.stand_in().map_or_else(failed, |value| Ok((value, Origin::Stale))))
    }

    /// Whether it is time to look again, though what is known still holds.
    fn is_ripe(&self, now: Instant, era: Era) -> bool {
        self.fact.as_ref().is_some_and(|fact| fact.ripe <= now) && self.pause(now, era).is_none()
    }

    /// The failure for which the store is left alone.
    fn pause(&self, now: Instant, era: Era) -> Option<&Failure> {
        self.failure.as_ref().filter(|failure| failure.era >= era && now < failure.until)
    }

    /// Whether the store can be taken to be away.
    fn failed_lately(&self, now: Instant, era: Era) -> bool {
        self.failure.as_ref().is_some_and(|failure| failure.era >= era && now < failure.until + LATELY)
    }

    /// What was known last, if it may be used when nothing better is to be had.
    fn stand_in(&self) -> Option<V> {
        self.fact.as_ref().filter(|fact| fact.lasts).map(|fact| fact.value.clone())
    }
}

/// What `look` brings, or a failure if it takes too long.
pub(super) async fn in_time<T>(
    what: &str,
    look: impl Future<Output = Result<T, LookupError>>,
) -> Result<T, LookupError> {
    timeout(LONGEST_LOOK, look).await.unwrap_or_else(|_| Err(unreachable(what, "no answer in time")))
}

fn unreachable(what: &str, why: &str) -> LookupError {
    LookupError::Unreachable { what: what.to_owned(), source: why.into() }
}

/// A random part of `whole`, so that many clocks set at once do not strike at once.
pub(super) fn part_of(whole: Duration) -> Duration {
    // The standard library seeds its maps at random, and nothing here needs better than that.
    let [.., a, b, c, d] = RandomState::new().hash_one(()).to_ne_bytes();
    whole.mul_f64(f64::from(u32::from_ne_bytes([a, b, c, d])) / f64::from(u32::MAX))
}
