//! What an instance says to its Auto Scaling group; tests listen in the group's place.

use std::error::Error;

use crate::aws::{AutoScalingGroup, Fault};

/// Whoever hears what an instance says of itself.
pub trait Scaling: Send + Sync + 'static {
    /// Why it was not heard.
    type Error: Error + Send + 'static;

    /// Asks to be spared when the group scales in, or no longer.
    fn protect(
        &self,
        instance: &str,
        protected: bool,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Says that what `hook` waits for goes on.
    fn heartbeat(&self, hook: &str, instance: &str) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Says that it is over.
    fn complete(&self, hook: &str, instance: &str) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

impl Scaling for AutoScalingGroup {
    type Error = Fault;

    async fn protect(&self, instance: &str, protected: bool) -> Result<(), Fault> {
        Self::protect(self, instance, protected).await
    }

    async fn heartbeat(&self, hook: &str, instance: &str) -> Result<(), Fault> {
        Self::heartbeat(self, hook, instance).await
    }

    async fn complete(&self, hook: &str, instance: &str) -> Result<(), Fault> {
        Self::complete(self, hook, instance).await
    }
}

/// A group that notes what it hears, and when.
#[cfg(test)]
pub(super) mod heard {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, Mutex};

    use tokio::time::Instant;

    use super::Scaling;

    #[derive(Debug, Clone)]
    pub(in crate::instance) struct Heard(Arc<Notes>);

    #[derive(Debug)]
    struct Notes {
        since: Instant,
        deaf: AtomicBool,
        said: Mutex<Vec<(u64, String)>>,
    }

    #[derive(Debug, thiserror::Error)]
    #[error("the group is deaf")]
    pub(in crate::instance) struct Deaf;

    impl Heard {
        pub(in crate::instance) fn new() -> Self {
            let notes = Notes { since: Instant::now(), deaf: AtomicBool::new(false), said: Mutex::default() };
            Self(Arc::new(notes))
        }

        /// From now on, everything fails, or nothing does.
        pub(in crate::instance) fn deafen(&self, deaf: bool) {
            self.0.deaf.store(deaf, Ordering::SeqCst);
        }

        /// Everything that was said, after how many seconds.
        pub(in crate::instance) fn said(&self) -> Vec<(u64, String)> {
            self.0.said.lock().unwrap().clone()
        }

        fn note(&self, what: String) -> Result<(), Deaf> {
            self.0.said.lock().unwrap().push((self.0.since.elapsed().as_secs(), what));
            if self.0.deaf.load(Ordering::SeqCst) { Err(Deaf) } else { Ok(()) }
        }
    }

    impl Scaling for Heard {
        type Error = Deaf;

        async fn protect(&self, instance: &str, protected: bool) -> Result<(), Deaf> {
            self.note(format!("{} {instance}", if protected { "protect" } else { "release" }))
        }

        async fn heartbeat(&self, hook: &str, instance: &str) -> Result<(), Deaf> {
            self.note(format!("heartbeat {hook} {instance}"))
        }

        async fn complete(&self, hook: &str, instance: &str) -> Result<(), Deaf> {
            self.note(format!("complete {hook} {instance}"))
        }
    }
}
