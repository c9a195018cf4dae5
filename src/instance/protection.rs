//! Protection from scale-in while there is work.
//!
//! The group's choice of whom to end is made in a moment, so protection is asked for as soon as work begins and given up
//! only after a while without any. The control plane is for the whole account: it hears from us twice a minute at most.

use std::fmt;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use crate::instance::{Knowledge, Scaling};
use crate::lifecycle::Lifecycle;
use crate::lifecycle::pause::Pause;

/// How often it is looked whether there is work. What takes less, the drain finishes in less.
const LOOK: Duration = Duration::from_secs(1);
/// How long without work until the group may choose us again.
const IDLE: Duration = Duration::from_mins(1);
/// The least time between two calls.
const CALM: Duration = Duration::from_secs(30);
/// And the longest, after failures.
const LONGEST_CALM: Duration = Duration::from_mins(8);
/// Longest that the end of the process waits for the group to hear that we need no protection.
const FAREWELL: Duration = Duration::from_secs(4);

/// Keeps an instance protected while it works.
pub struct Protection<S> {
    group: S,
    knowledge: Knowledge,
    pause: Pause,
    busy: Box<dyn Fn() -> bool + Send + Sync>,
}

/// What the group was told, and when it may be told more.
#[derive(Debug)]
struct Wish {
    /// What it knows; nothing, if we do not know what it knows: a process before us, or an operator, may have spoken to it.
    told: Option<bool>,
    /// When there was work last or, if there was none yet, when this began.
    last: Instant,
    worked: bool,
    quiet_until: Option<Instant>,
    failures: u32,
}

impl<S> fmt::Debug for Protection<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Protection").field("pause", &self.pause).finish_non_exhaustive()
    }
}

impl<S: Scaling> Protection<S> {
    /// For an instance that works whenever `busy` says so, which must be cheap.
    pub fn new(
        group: S,
        knowledge: Knowledge,
        pause: Pause,
        busy: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Self {
        Self { group, knowledge, pause, busy: Box::new(busy) }
    }

    /// Protects until the drain begins: meant for [`Lifecycle::attend`].
    pub async fn serve(self, lifecycle: Lifecycle) {
        let mut wish = Wish::new(Instant::now());
        tokio::select! {
            biased;
            () = lifecycle.draining() => {}
            () = self.look_after(&mut wish) => {}
        }
        // Whoever drains wants to go; but a machine that was set aside is its operator's to protect.
        let may_be_protected = wish.told != Some(false) && !self.pause.is_on();
        let Some(instance) = self.knowledge.instance().filter(|_| may_be_protected) else { return };
        match timeout(FAREWELL, self.group.protect(&instance, false)).await {
            Ok(Ok(())) => tracing::info!("no longer protected from scale-in"),
            Ok(Err(error)) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "could not give the protection from scale-in up");
            }
            Err(_) => tracing::warn!("the group did not hear in time that we need no protection"),
        }
    }

    async fn look_after(&self, wish: &mut Wish) {
        let instance = self.knowledge.named().await;
        loop {
            // A machine that was set aside is its operator's to protect.
            if self.pause.is_on() {
                self.pause.over().await;
                (wish.told, wish.worked, wish.last) = (None, false, Instant::now());
            }
            if let Some(protected) = wish.call(Instant::now(), (self.busy)()) {
                // A call that the drain cuts off may have been heard.
                wish.told = None;
                let heard = self.group.protect(&instance, protected).await;
                wish.called(Instant::now(), heard.is_ok().then_some(protected));
                match heard {
                    Ok(()) => tracing::debug!(protected, "told the group whether to spare us"),
                    Err(error) => {
                        let error = &error as &dyn std::error::Error;
                        tracing::warn!(protected, error, "could not tell the group whether to spare us");
                    }
                }
            }
            sleep(LOOK).await;
        }
    }
}

impl Wish {
    fn new(now: Instant) -> Self {
        Self { told: None, last: now, worked: false, quiet_until: None, failures: 0 }
    }

    /// What the group is to be told now, if anything.
    fn call(&mut self, now: Instant, busy: bool) -> Option<bool> {
        if busy {
            (self.last, self.worked) = (now, true);
        }
        let rested = now.duration_since(self.last) >= IDLE;
        // One that has just begun says nothing yet, so that it may speak when work comes.
        let wanted = if rested { Some(false) } else { self.worked.then_some(true) };
        let quiet = self.quiet_until.is_some_and(|until| now < until);
        wanted.filter(|wanted| self.told != Some(*wanted) && !quiet)
    }

    /// The group was called; `told` is what it has heard.
    fn called(&mut self, now: Instant, told: Option<bool>) {
        self.failures = if told.is_some() { 0 } else { self.failures.saturating_add(1) };
        // A call that failed may have been heard.
        self.told = told;
        let calm = CALM.saturating_mul(1 << self.failures.saturating_sub(1).min(8)).min(LONGEST_CALM);
        self.quiet_until = Some(now + calm);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::instance::scaling::heard::Heard;
    use crate::lifecycle::pause::Cause;

    struct Bed {
        life: Lifecycle,
        group: Heard,
        pause: Pause,
        busy: Arc<AtomicBool>,
    }

    impl Bed {
        fn open() -> Self {
            let (life, group, pause) = (Lifecycle::new(), Heard::new(), Pause::new());
            let (knowledge, busy) = (Knowledge::default(), Arc::new(AtomicBool::new(false)));
            let look = Arc::clone(&busy);
            let looked = move || look.load(Ordering::SeqCst);
            let protection = Protection::new(group.clone(), knowledge.clone(), pause.clone(), looked);
            let _protection = life.attend("protection", protection.serve(life.clone()));
            knowledge.learn("i-1");
            Self { life, group, pause, busy }
        }

        /// Is busy, or not, for so long.
        async fn stay(&self, busy: bool, seconds: u64) {
            self.busy.store(busy, Ordering::SeqCst);
            sleep(Duration::from_secs(seconds)).await;
        }

        fn said(&self) -> Vec<String> {
            self.group.said().iter().map(|(second, what)| format!("{second} {what}")).collect()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn work_is_protected_from_its_beginning_and_for_a_while_after() {
        let bed = Bed::open();
        bed.stay(false, 100).await;
        bed.stay(true, 10).await;
        bed.stay(false, 20).await;
        bed.stay(true, 200).await;
        bed.stay(false, 300).await;
        // The first call takes off what a process before us may have left.
        let said = bed.said();
        assert_eq!(said.len(), 3, "{said:?}");
        for ((second, what), (about, expected)) in
            bed.group.said().iter().zip([(60, "release i-1"), (100, "protect i-1"), (389, "release i-1")])
        {
            assert!(what == expected && second.abs_diff(about) <= 2, "{said:?}");
        }
        bed.life.shut_down(Duration::from_secs(1)).await;
        assert_eq!(bed.said().len(), 3, "there was nothing to take off");
    }

    #[tokio::test(start_paused = true)]
    async fn the_group_hears_from_us_twice_a_minute_at_most() {
        let bed = Bed::open();
        for _ in 0..40 {
            bed.stay(true, 3).await;
            bed.stay(false, 63).await;
        }
        let times: Vec<u64> = bed.group.said().iter().map(|(second, _)| *second).collect();
        assert!(times.len() > 40, "{times:?}");
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= CALM.as_secs()), "{times:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_group_that_does_not_listen_is_asked_ever_more_seldom() {
        let bed = Bed::open();
        bed.group.deafen(true);
        bed.stay(true, 3600).await;
        let times: Vec<u64> = bed.group.said().iter().map(|(second, _)| *second).collect();
        assert!((8..=13).contains(&times.len()), "{times:?}");
        bed.group.deafen(false);
        bed.stay(true, LONGEST_CALM.as_secs() + 1).await;
        assert_eq!(bed.group.said().last().unwrap().1, "protect i-1");
        let heard = bed.said().len();
        bed.stay(true, 3600).await;
        assert_eq!(bed.said().len(), heard, "it knows");
    }

    #[tokio::test(start_paused = true)]
    async fn the_drain_takes_it_off_at_once() {
        let bed = Bed::open();
        bed.stay(true, 40).await;
        let _work = bed.life.spawn("work", sleep(Duration::from_secs(50)));
        bed.life.shut_down(Duration::from_mins(1)).await;
        assert_eq!(bed.said(), ["0 protect i-1", "40 release i-1"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_machine_that_was_set_aside_is_its_operators() {
        let bed = Bed::open();
        bed.stay(true, 40).await;
        bed.pause.set(Cause::Group, true);
        bed.stay(false, 1000).await;
        assert_eq!(bed.said(), ["0 protect i-1"]);
        bed.pause.set(Cause::Group, false);
        bed.stay(false, 70).await;
        assert_eq!(bed.said(), ["0 protect i-1", "1100 release i-1"]);
    }
}
