//! Credentials, held and renewed.
//!
//! The SDK's own cache renews ten seconds before the end, makes every request wait for that, fails them all if it
//! fails, and keeps what a service has called expired. This one renews minutes before the end, in one request's time
//! and not in the others', lives on with what it has while the source is down, and drops what was refused.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, future};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use crate::aws::fault;

/// How long before their end credentials are renewed. An instance's new ones are there five minutes before.
const EARLY: Duration = Duration::from_mins(4);
/// Longest a source may take. Metadata services are known to need more than the SDK's five seconds.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long a source that failed is left alone while what is held still serves.
const PAUSE: Duration = Duration::from_secs(20);

/// The credentials of one process. Cheap to clone.
#[derive(Clone)]
pub(super) struct Keys(Arc<Ring>);

struct Ring {
    source: Box<dyn ProvideCredentials>,
    held: ArcSwapOption<Credentials>,
    /// Whoever renews holds this. Inside: when the source may be asked again, if it failed.
    renewal: Mutex<Option<Instant>>,
}

impl Keys {
    pub(super) fn new(source: impl ProvideCredentials + 'static) -> Self {
        Self(Arc::new(Ring {
            source: Box::new(source),
            held: ArcSwapOption::empty(),
            renewal: Mutex::default(),
        }))
    }

    /// Drops what is held, because a service said that its time is over.
    pub(super) fn refused(&self) {
        self.0.held.store(None);
    }

    /// Credentials that are good now.
    pub(super) async fn current(&self) -> provider::Result {
        match self.0.good() {
            Some(held) if !near_its_end(&held) => Ok(held),
            Some(held) => Ok(self.0.renew_early().await.unwrap_or(held)),
            None => self.0.wait().await,
        }
    }
}

impl Ring {
    fn good(&self) -> Option<Credentials> {
        let held = self.held.load();
        let held = held.as_deref()?;
        held.expiry().is_none_or(|end| end > SystemTime::now()).then(|| held.clone())
    }

    /// One request tries; the others, and this one if the source fails, go on with what is held.
    async fn renew_early(&self) -> Option<Credentials> {
        let mut not_before = self.renewal.try_lock().ok()?;
        if not_before.is_some_and(|moment| Instant::now() < moment) {
            return None;
        }
        match self.fetch().await {
            Ok(new) => {
                *not_before = None;
                Some(new)
            }
            Err(error) => {
                *not_before = Some(Instant::now() + PAUSE);
                tracing::warn!(error = fault::chain(&error), "credentials could not be renewed early");
                None
            }
        }
    }

    /// All wait for one who fetches.
    async fn wait(&self) -> provider::Result {
        let _renewal = self.renewal.lock().await;
        match self.good() {
            Some(held) => Ok(held),
            None => self.fetch().await,
        }
    }

    async fn fetch(&self) -> provider::Result {
        let new = timeout(PATIENCE, self.source.provide_credentials())
            .await
            .map_err(|_| CredentialsError::provider_timed_out(PATIENCE))??;
        self.held.store(Some(Arc::new(new.clone())));
        Ok(new)
    }
}

fn near_its_end(held: &Credentials) -> bool {
    held.expiry().is_some_and(|end| end < SystemTime::now() + EARLY)
}

impl ProvideCredentials for Keys {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.current())
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Keys").field(&self.0.source).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex as Plain;

    use super::*;

    /// A source that gives what the test put there, numbered, and counts how often it was asked.
    #[derive(Debug, Clone, Default)]
    struct Source(Arc<Plain<Supply>>);

    #[derive(Debug, Default)]
    struct Supply {
        lifetime: Option<Duration>,
        down: bool,
        asked: u32,
    }

    impl ProvideCredentials for Source {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            let mut supply = self.0.lock().unwrap();
            supply.asked += 1;
            let end = supply.lifetime.map(|lifetime| SystemTime::now() + lifetime);
            let new = Credentials::new(supply.asked.to_string(), "secret", None, end, "test");
            let answer = if supply.down { Err(CredentialsError::not_loaded("down")) } else { Ok(new) };
            future::ProvideCredentials::ready(answer)
        }
    }

    impl Source {
        fn set(&self, lifetime: Option<Duration>, down: bool) {
            let mut supply = self.0.lock().unwrap();
            (supply.lifetime, supply.down) = (lifetime, down);
        }
    }

    async fn id(keys: &Keys) -> Result<String, CredentialsError> {
        Ok(keys.current().await?.access_key_id().to_owned())
    }

    #[tokio::test]
    async fn what_is_good_is_not_fetched_again() {
        for lifetime in [None, Some(Duration::from_hours(6))] {
            let source = Source::default();
            source.set(lifetime, false);
            let keys = Keys::new(source);
            let (first, second) = tokio::join!(id(&keys), id(&keys));
            assert_eq!((first.unwrap(), second.unwrap()), ("1".to_owned(), "1".to_owned()));
        }
    }

    #[tokio::test]
    async fn what_nears_its_end_is_renewed_and_outlives_a_dead_source() {
        let source = Source::default();
        source.set(Some(EARLY / 2), false);
        let keys = Keys::new(source.clone());
        assert_eq!(id(&keys).await.unwrap(), "1");
        assert_eq!(id(&keys).await.unwrap(), "2", "renewed early");
        source.set(Some(EARLY / 2), true);
        assert_eq!(id(&keys).await.unwrap(), "2", "the source is down, and what is held still serves");
        assert_eq!(id(&keys).await.unwrap(), "2");
        assert_eq!(source.0.lock().unwrap().asked, 3, "a source that failed is left alone for a while");
    }

    #[tokio::test]
    async fn what_has_ended_or_was_refused_does_not_serve() {
        let source = Source::default();
        source.set(Some(Duration::ZERO), false);
        let keys = Keys::new(source.clone());
        assert_eq!(id(&keys).await.unwrap(), "1");
        source.set(None, false);
        assert_eq!(id(&keys).await.unwrap(), "2", "the first had ended");
        keys.refused();
        assert_eq!(id(&keys).await.unwrap(), "3");
        keys.refused();
        source.set(None, true);
        let error = id(&keys).await.unwrap_err();
        assert!(matches!(error, CredentialsError::CredentialsNotLoaded(_)), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_that_hangs_is_given_up() {
        #[derive(Debug)]
        struct Silent;
        impl ProvideCredentials for Silent {
            fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
            where
                Self: 'a,
            {
                future::ProvideCredentials::new(std::future::pending())
            }
        }
        let error = Keys::new(Silent).current().await.unwrap_err();
        assert!(matches!(error, CredentialsError::ProviderTimedOut(_)), "{error}");
    }
}
