//! The pause of a worker that goes on living: nothing new is taken from queues, and all else stays as it is.
//!
//! It has causes that know nothing of each other, and ends when the last of them does.

use tokio::sync::watch;

/// Why nothing is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// Somebody at this machine said so.
    Operator,
    /// The machine's group has set it aside.
    Group,
    /// Whether the group has, the instance metadata service has not said yet.
    Metadata,
}

impl Cause {
    /// Every cause.
    pub const ALL: [Self; 3] = [Self::Operator, Self::Group, Self::Metadata];

    /// The word for it, in health, metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Group => "group",
            Self::Metadata => "metadata",
        }
    }
}

/// Whether nothing new is taken from queues, and why. Clones are the same pause.
#[derive(Debug, Clone)]
pub struct Pause(watch::Sender<Vec<Cause>>);

impl Default for Pause {
    fn default() -> Self {
        Self::new()
    }
}

impl Pause {
    /// No pause.
    pub fn new() -> Self {
        Self(watch::Sender::new(Vec::new()))
    }

    /// Lets `cause` hold, or hold no more; whether that is news.
    pub fn set(&self, cause: Cause, holds: bool) -> bool {
        let news = self.0.send_if_modified(|causes| {
            let held = causes.contains(&cause);
            if holds && !held {
                causes.push(cause);
            } else if held && !holds {
                causes.retain(|other| *other != cause);
            }
            held != holds
        });
        if news {
            let (cause, paused) = (cause.as_str(), self.is_on());
            let word = if holds { "paused" } else { "no longer paused" };
            tracing::info!(cause, paused, "{word} by {cause}");
        }
        news
    }

    /// The causes that hold, the earliest first.
    pub fn causes(&self) -> Vec<Cause> {
        self.0.borrow().clone()
    }

    /// Whether nothing new is taken.
    pub fn is_on(&self) -> bool {
        !self.0.borrow().is_empty()
    }

    /// Resolves when there is a pause.
    pub async fn begun(&self) {
        // The sender lives in `self`, so the channel cannot close under us.
        let _closed = self.0.subscribe().wait_for(|causes| !causes.is_empty()).await.is_err();
    }

    /// Resolves when there is none.
    pub async fn over(&self) {
        let _closed = self.0.subscribe().wait_for(Vec::is_empty).await.is_err();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_lasts_as_long_as_its_last_cause() {
        let pause = Pause::new();
        pause.over().await;
        assert!(pause.set(Cause::Group, true) && !pause.set(Cause::Group, true));
        assert!(pause.set(Cause::Operator, true));
        assert_eq!(pause.causes(), [Cause::Group, Cause::Operator]);
        pause.begun().await;
        assert!(pause.set(Cause::Group, false) && !pause.set(Cause::Group, false));
        assert!(pause.is_on(), "the operator's pause is not the group's to end");
        let (waiting, clone) = (pause.clone(), pause.clone());
        let ((), news) = tokio::join!(waiting.over(), async { clone.set(Cause::Operator, false) });
        assert!(news && !pause.is_on() && pause.causes().is_empty());
    }
}
