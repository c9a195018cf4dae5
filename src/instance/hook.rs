//! The group's termination hook: kept waiting while we drain, and let go when we have.

use std::convert::Infallible;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::instance::{Knowledge, Scaling};
use crate::lifecycle::Lifecycle;

/// Longest that the end of the process waits for the group to hear that we are done. It is less than companions get at
/// the end; unheard, the hook ends with its own time.
const FAREWELL: Duration = Duration::from_secs(4);

/// A hook of the group that stands before the end of an instance.
#[derive(Debug)]
pub struct Hook<S> {
    group: S,
    name: String,
    time: Duration,
    knowledge: Knowledge,
}

impl<S: Scaling> Hook<S> {
    /// The hook of this name, which waits so long for each sign of life.
    pub fn new(group: S, name: String, time: Duration, knowledge: Knowledge) -> Self {
        Self { group, name, time, knowledge }
    }

    /// Speaks to the hook from the group's notice to the end of the last work: meant for [`Lifecycle::attend`].
    pub async fn serve(self, lifecycle: Lifecycle) {
        tokio::select! {
            biased;
            () = lifecycle.ending() => {}
            never = self.beat() => match never {},
        }
        let Some(instance) = self.knowledge.instance().filter(|_| self.knowledge.is_ended_by_group()) else {
            return;
        };
        let hook = self.name.as_str();
        match timeout(FAREWELL, self.group.complete(hook, &instance)).await {
            Ok(Ok(())) => tracing::info!(hook, "told the group that we are done"),
            Ok(Err(error)) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(
                    hook,
                    error,
                    "could not tell the group that we are done; its hook ends by itself"
                );
            }
            Err(_) => tracing::warn!(
                hook,
                "the group did not hear in time that we are done; its hook ends by itself"
            ),
        }
    }

    /// A sign of life at every third of the hook's time: two may be lost.
    async fn beat(&self) -> Infallible {
        let instance = self.knowledge.ended_by_group().await;
        loop {
            sleep(self.time / 3).await;
            let hook = self.name.as_str();
            match self.group.heartbeat(hook, &instance).await {
                Ok(()) => tracing::debug!(hook, "told the group that we still drain"),
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(hook, error, "could not tell the group that we still drain");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instance::scaling::heard::Heard;
    use crate::lifecycle::Ending;

    /// A hook of a minute at a drain of `seconds`, after `notice` was given.
    async fn heard(notice: impl FnOnce(&Knowledge), deaf: bool, seconds: u64) -> Vec<(u64, String)> {
        let (life, group, knowledge) = (Lifecycle::new(), Heard::new(), Knowledge::default());
        group.deafen(deaf);
        let hook = Hook::new(group.clone(), "drain".to_owned(), Duration::from_mins(1), knowledge.clone());
        let _hook = life.attend("lifecycle hook", hook.serve(life.clone()));
        let _work = life.spawn("work", sleep(Duration::from_secs(seconds)));
        knowledge.learn("i-1");
        notice(&knowledge);
        assert_eq!(life.shut_down(Duration::from_mins(2)).await, Ending::Clean);
        group.said()
    }

    fn lines(said: &[(u64, String)]) -> Vec<String> {
        said.iter().map(|(second, what)| format!("{second} {what}")).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn it_waits_for_a_long_drain_and_hears_of_the_end_once() {
        let expected = [
            "20 heartbeat drain i-1",
            "40 heartbeat drain i-1",
            "60 heartbeat drain i-1",
            "70 complete drain i-1",
        ];
        for deaf in [false, true] {
            let said = heard(|knowledge| knowledge.expect_end(true), deaf, 70).await;
            assert_eq!(lines(&said), expected, "deaf: {deaf}");
        }
        let said = heard(|knowledge| knowledge.expect_end(true), false, 0).await;
        assert_eq!(lines(&said), ["0 complete drain i-1"]);
    }

    #[tokio::test(start_paused = true)]
    async fn other_ends_are_none_of_its_business() {
        assert_eq!(heard(|_| {}, false, 70).await, []);
        assert_eq!(heard(|knowledge| knowledge.expect_end(false), false, 70).await, []);
    }

    #[tokio::test(start_paused = true)]
    async fn a_notice_that_comes_while_we_drain_counts() {
        let said = heard(
            |knowledge| {
                knowledge.expect_end(false);
                knowledge.expect_end(true);
            },
            false,
            30,
        );
        assert_eq!(lines(&said.await), ["20 heartbeat drain i-1", "30 complete drain i-1"]);
    }
}
