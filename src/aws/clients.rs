//! Clients of the services: one HTTP stack, one set of credentials, and patience by verb.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::identity::IdentityCache;
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sdk_sqs::config::SharedHttpClient;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::{Builder, tls};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use crate::aws::fault::{Fault, Kind};
use crate::aws::keys::Keys;
use crate::aws::place::Place;
use crate::aws::{Settings, place};
use crate::ports::QueueAddress;

/// Longest a connection may take, name lookup and TLS included: one lost SYN is sent again after a second.
const CONNECT: Duration = Duration::from_secs(3);
/// How long a connection may idle in the pool. The services close theirs after 20 s (S3) or more; what we close first
/// cannot be closed under a request.
pub(super) const IDLE: Duration = Duration::from_secs(15);
/// First and longest pause between two attempts of one call, each with full jitter.
pub(super) const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// How long a body may stand still before the call fails.
const STALLED: Duration = Duration::from_secs(5);

/// How long one attempt at a call may take, and how many there may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    pub attempt: Duration,
    pub attempts: u32,
}

/// What every adapter is made from. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Clients(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    settings: Settings,
    keys: Keys,
    http: SharedHttpClient,
}

impl Clients {
    /// Clients with the credentials that every AWS program finds: variables, profile, web identity, container,
    /// instance. Nothing is fetched yet.
    pub async fn from_environment(settings: Settings) -> Self {
        let http = http();
        let region = Region::new(settings.region.clone());
        let from = ProviderConfig::default().with_http_client(http.clone());
        // Said to the chain itself, which otherwise asks the machine's metadata service for one now.
        let chain = DefaultCredentialsChain::builder().configure(from).region(region).build().await;
        Self::over(http, settings, chain)
    }

    /// Clients with credentials from elsewhere.
    pub fn new(settings: Settings, credentials: impl ProvideCredentials + 'static) -> Self {
        Self::over(http(), settings, credentials)
    }

    fn over(
        http: SharedHttpClient,
        settings: Settings,
        credentials: impl ProvideCredentials + 'static,
    ) -> Self {
        Self(Arc::new(Shared { settings, keys: Keys::new(credentials), http }))
    }

    /// The region, for messages.
    pub fn region(&self) -> &str {
        &self.0.settings.region
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.0.settings
    }

    pub(super) fn keys(&self) -> &Keys {
        &self.0.keys
    }

    /// Where this queue is served; `None` if its address is no URL.
    pub(super) fn place(&self, queue: &QueueAddress) -> Option<Place> {
        place::of_queue(queue, self.settings())
    }

    pub(super) fn sqs(&self, place: &Place, patience: Patience) -> aws_sdk_sqs::Client {
        let config = self.config(place.region.clone(), Some(place.endpoint.clone()), patience);
        aws_sdk_sqs::Client::new(&config)
    }

    pub(super) fn dynamodb(&self, patience: Patience) -> aws_sdk_dynamodb::Client {
        let Settings { region, endpoints } = self.settings();
        let endpoint = endpoints.or_every(endpoints.dynamodb.as_ref());
        aws_sdk_dynamodb::Client::new(&self.config(region.clone(), endpoint, patience))
    }

    pub(super) fn s3(&self, patience: Patience) -> aws_sdk_s3::Client {
        let Settings { region, endpoints } = self.settings();
        let endpoint = endpoints.or_every(endpoints.s3.as_ref());
        // A stand-in has one host name, and no `<bucket>.` in front of it.
        let path_style = endpoint.is_some();
        let config = self.config(region.clone(), endpoint, patience);
        let config = aws_sdk_s3::config::Builder::from(&config).force_path_style(path_style).build();
        aws_sdk_s3::Client::from_conf(config)
    }

    fn config(&self, region: String, endpoint: Option<String>, patience: Patience) -> SdkConfig {
        let timeouts =
            TimeoutConfig::builder().connect_timeout(CONNECT).operation_attempt_timeout(patience.attempt);
        let retries = RetryConfig::standard()
            .with_max_attempts(patience.attempts)
            .with_initial_backoff(BACKOFF.0)
            .with_max_backoff(BACKOFF.1);
        let mut config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .http_client(self.0.http.clone())
            .credentials_provider(SharedCredentialsProvider::new(self.0.keys.clone()))
            .identity_cache(IdentityCache::no_cache())
            .region(Region::new(region))
            .retry_config(retries)
            .timeout_config(timeouts.build())
            .stalled_stream_protection(
                StalledStreamProtectionConfig::enabled().grace_period(STALLED).build(),
            );
        config.set_endpoint_url(endpoint);
        config.build()
    }

    /// Tells what went wrong in our words, and takes note of it where that helps the next call.
    pub(super) fn fault<E>(&self, error: &SdkError<E, HttpResponse>) -> Fault
    where
        E: Error + ProvideErrorMetadata + 'static,
    {
        self.noted(Fault::of(error))
    }

    pub(super) fn noted(&self, fault: Fault) -> Fault {
        if fault.kind == Kind::Expired {
            self.0.keys.refused();
        }
        fault
    }
}

/// Plain HTTP and HTTPS by the URL's scheme, over one pool of connections.
fn http() -> SharedHttpClient {
    Builder::new().pool_idle_timeout(IDLE).tls_provider(tls::Provider::Rustls(CryptoMode::Ring)).build_https()
}
