//! The look at the metadata service every few seconds, and what follows from what it says.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};

use crate::instance::notice::{self, Act, Interruption, Target};
use crate::instance::{Item, Knowledge, MetadataError, Source};
use crate::lifecycle::pause::{Cause, Pause};
use crate::lifecycle::{KILL_GRACE, Lifecycle};

/// The time between two looks that AWS recommends: a notice comes two minutes before the end.
pub const EVERY: Duration = Duration::from_secs(5);
/// Longest that the start waits for the first look.
const FIRST: Duration = Duration::from_secs(3);
/// Longest that the queue stays shut because nobody has said yet whether this instance was set aside, from the start on:
/// six looks. Then its jobs are worth more than the doubt.
const HOLD: Duration = Duration::from_secs(30);
/// What is kept of the time that a notice leaves, for what comes after the drain: killed work and companions, each in
/// trouble, and the farewell to the system.
const MARGIN: Duration = KILL_GRACE.saturating_mul(3);

/// Letters of an unknown word that are told to the log.
const LONGEST_WORD: usize = 40;

/// Listens to what is intended with this instance, and acts.
#[derive(Debug)]
pub struct Watch<S> {
    source: S,
    drain_on_rebalance: bool,
    lifecycle: Lifecycle,
    pause: Pause,
    knowledge: Knowledge,
    /// Until when a silent service keeps the queue shut.
    hold: Instant,
    /// What was heard before, so that each thing is told to the log once.
    heard: Heard,
}

#[derive(Debug, Default)]
struct Heard {
    /// The service did not answer.
    away: bool,
    /// It has told what the group wants, or that there is nothing to tell.
    group: bool,
    target: Option<String>,
    spot: Option<String>,
    rebalance: Option<String>,
}

impl<S: Source> Watch<S> {
    /// Of `source`; a rebalance recommendation is told to the log, or leads to a drain.
    pub fn new(
        source: S,
        drain_on_rebalance: bool,
        lifecycle: Lifecycle,
        pause: Pause,
        knowledge: Knowledge,
    ) -> Self {
        let hold = Instant::now() + HOLD;
        Self { source, drain_on_rebalance, lifecycle, pause, knowledge, hold, heard: Heard::default() }
    }

    /// The first look, in a time that a start may take: what is intended holds from the first moment on. A service that is
    /// away keeps nobody from asking us; us it keeps from the queue for a while, if one `is_ours`.
    pub async fn begin(&mut self, is_ours: bool) {
        if timeout(FIRST, self.look()).await.is_err() {
            tracing::warn!("the instance metadata service did not answer in time; going on without");
            self.heard.away = true;
        }
        if is_ours && !self.heard.group {
            self.pause.set(Cause::Metadata, true);
        }
    }

    /// Looks for ever: meant for [`Lifecycle::accompany`]. The drain does not end it, because what is learnt meanwhile may
    /// leave less time.
    pub async fn serve(mut self) {
        let (hold, pause) = (self.hold, self.pause.clone());
        let release = async move {
            sleep_until(hold).await;
            if pause.set(Cause::Metadata, false) && !pause.is_on() {
                let waited_s = HOLD.as_secs();
                tracing::warn!(waited_s, "nobody says whether this instance was set aside; taking jobs");
            }
        };
        let ((), ()) = tokio::join!(release, self.look_for_ever());
    }

    async fn look_for_ever(&mut self) {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first tick comes at once.
        ticks.tick().await;
        loop {
            ticks.tick().await;
            self.look().await;
        }
    }

    /// One look.
    async fn look(&mut self) {
        match self.ask().await {
            Ok(()) if self.heard.away => {
                self.heard.away = false;
                tracing::info!("the instance metadata service answers again");
            }
            Err(error) if !self.heard.away => {
                self.heard.away = true;
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "the instance metadata service does not answer; going on without");
            }
            Ok(()) | Err(_) => {}
        }
    }

    async fn ask(&mut self) -> Result<(), MetadataError> {
        // First, so that a notice of the end does not hide behind another item that fails.
        let spot = self.source.look(Item::Spot).await?;
        self.heed_spot(spot);
        if let Some(target) = self.source.look(Item::Target).await? {
            self.heed_target(target);
        }
        // After what it says: one that was set aside is not let go in between.
        self.heard.group = true;
        self.pause.set(Cause::Metadata, false);
        let rebalance = self.source.look(Item::Rebalance).await?;
        self.heed_rebalance(rebalance);
        if self.knowledge.instance().is_none() { self.ask_who().await } else { Ok(()) }
    }

    async fn ask_who(&self) -> Result<(), MetadataError> {
        let instance = self.source.look(Item::Instance).await?;
        if let Some(instance) = instance.as_deref().and_then(notice::name) {
            self.knowledge.learn(instance);
            let zone = self.source.look(Item::Zone).await?;
            let zone = zone.as_deref().and_then(notice::name).unwrap_or("unknown");
            tracing::info!(instance, zone, "this is an instance of EC2");
        }
        Ok(())
    }

    /// A state that is not told leaves things as they are: whoever was set aside stays so until the group wants it back.
    fn heed_target(&mut self, text: String) {
        let target = notice::target(&text);
        if self.heard.target.as_ref() != Some(&text) {
            let word: String = text.chars().take(LONGEST_WORD).collect();
            tracing::info!(
                target_state = word,
                known = target.is_some(),
                "what the group wants of this instance"
            );
        }
        self.heard.target = Some(text);
        match target {
            Some(Target::InService) => drop(self.pause.set(Cause::Group, false)),
            Some(Target::Aside) => drop(self.pause.set(Cause::Group, true)),
            Some(Target::Terminated) => self.end(true, None),
            None => {}
        }
    }

    fn heed_spot(&mut self, text: Option<String>) {
        // Only what is new: a time that could not be read counts from when it was first told.
        if self.heard.spot == text {
            return;
        }
        self.heard.spot.clone_from(&text);
        let Some(text) = text else { return };
        match notice::interruption(&text) {
            Some(spot @ Interruption { act: Act::Terminate | Act::Stop, .. }) => {
                let left = spot.left(Timestamp::now());
                tracing::warn!(act = ?spot.act, left_s = left.as_secs(), "EC2 takes this instance away");
                self.end(false, Some(left));
            }
            Some(Interruption { act: Act::Hibernate, .. }) => {
                tracing::warn!("EC2 freezes this instance; what it works on is for others");
            }
            None => tracing::warn!("EC2 says something unknown about taking this instance away"),
        }
    }

    fn heed_rebalance(&mut self, text: Option<String>) {
        if self.heard.rebalance == text {
            return;
        }
        self.heard.rebalance.clone_from(&text);
        if text.is_some_and(|text| notice::rebalance(&text)) {
            let drains = self.drain_on_rebalance;
            tracing::warn!(drains, "EC2 may take this instance away soon, and recommends to rebalance");
            if drains {
                self.end(false, None);
            }
        }
    }

    /// The end, with so much time left; the drain is the one that a signal begins, and there is one only.
    fn end(&self, by_group: bool, left: Option<Duration>) {
        self.knowledge.expect_end(by_group);
        if let Some(left) = left {
            self.lifecycle.end_by(Instant::now() + usable(left));
        }
        self.lifecycle.begin_drain();
    }
}

/// The part of the time left that work may take: at least half of it.
fn usable(left: Duration) -> Duration {
    left.saturating_sub(MARGIN.min(left / 2))
}

#[cfg(test)]
mod tests;
