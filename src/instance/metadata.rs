//! The instance metadata service of EC2, version 2: a token first, then small texts.
//!
//! The service is a neighbor on the machine's own link: an answer takes a millisecond, or does not come. It is never
//! asked through a proxy, its redirects are not followed, and little of what it says is read.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderValue};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::{Instant, timeout};

use crate::domain::class::chain;

/// How long one answer may take, the connection included: on a machine whose cores all compile, that is not only the
/// service's time.
const PATIENCE: Duration = Duration::from_secs(2);
/// Seconds that a token is asked for: the most that the service gives.
const TOKEN_LIFE: u64 = 6 * 60 * 60;
/// Bytes of an answer that are read. A token has 56, the longest text that we ask for some hundred.
const LARGEST: usize = 4096;
/// How long a connection is kept for the next look, and a little longer than the time between two.
const KEEP: Duration = Duration::from_secs(12);

/// What can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Item {
    /// The instance's id.
    Instance,
    /// Its availability zone.
    Zone,
    /// What its Auto Scaling group wants it to become.
    Target,
    /// That it is a spot instance, and to be taken away.
    Spot,
    /// That it is a spot instance, and more likely than others to be taken away soon.
    Rebalance,
}

impl Item {
    /// Every item.
    pub const ALL: [Self; 5] = [Self::Instance, Self::Zone, Self::Target, Self::Spot, Self::Rebalance];

    /// Where it is.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Instance => "/latest/meta-data/instance-id",
            Self::Zone => "/latest/meta-data/placement/availability-zone",
            Self::Target => "/latest/meta-data/autoscaling/target-lifecycle-state",
            Self::Spot => "/latest/meta-data/spot/instance-action",
            Self::Rebalance => "/latest/meta-data/events/recommendations/rebalance",
        }
    }
}

/// Why the service said nothing that we understand.
#[derive(Debug, thiserror::Error)]
pub enum MetadataError {
    /// No answer in time.
    #[error("no answer within {PATIENCE:?}")]
    Silent,
    /// No connection, or one that broke.
    #[error("unreachable: {0}")]
    Unreachable(String),
    /// It refuses.
    #[error("status {0}")]
    Refused(StatusCode),
    /// It says something else than a short text.
    #[error("garbled answer: {0}")]
    Garbled(String),
}

/// Whoever can be asked about the instance.
pub trait Source: Send + Sync {
    /// What it says; `None` if there is no such thing now.
    fn look(&self, item: Item) -> impl Future<Output = Result<Option<String>, MetadataError>> + Send;
}

/// The service.
#[derive(Debug)]
pub struct Metadata {
    base: String,
    client: Client<HttpConnector, Full<Bytes>>,
    token: Mutex<Option<Token>>,
}

#[derive(Debug, Clone)]
struct Token {
    value: HeaderValue,
    /// At half of its life, so that a service that is away for a while does not find us without one.
    renew_at: Instant,
}

impl Metadata {
    /// The service at this URL, such as `http://169.254.169.254`. Nothing is asked yet.
    pub fn new(base: &str) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(PATIENCE));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(KEEP)
            .pool_max_idle_per_host(1)
            .build(connector);
        Self { base: base.trim_end_matches('/').to_owned(), client, token: Mutex::default() }
    }

    async fn token(&self) -> Result<HeaderValue, MetadataError> {
        let known = self.token.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(token) = known.filter(|token| Instant::now() < token.renew_at) {
            return Ok(token.value);
        }
        let (begun, life) = (Instant::now(), HeaderValue::from(TOKEN_LIFE));
        let (status, headers, body) = self
            .ask(Method::PUT, "/latest/api/token", ("x-aws-ec2-metadata-token-ttl-seconds", life))
            .await?;
        if status != StatusCode::OK {
            return Err(MetadataError::Refused(status));
        }
        let mut value = HeaderValue::from_maybe_shared(body)
            .map_err(|_| MetadataError::Garbled("what should be a token".to_owned()))?;
        value.set_sensitive(true);
        let renew_at = begun + lifetime(&headers) / 2;
        let token = Token { value: value.clone(), renew_at };
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = Some(token);
        Ok(value)
    }

    fn forget_token(&self) {
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// One request and its whole answer.
    async fn ask(
        &self,
        method: Method,
        path: &str,
        (name, value): (&'static str, HeaderValue),
    ) -> Result<(StatusCode, HeaderMap, Bytes), MetadataError> {
        let request =
            Request::builder().method(method).uri(format!("{}{path}", self.base)).header(name, value);
        let request =
            request.body(Full::default()).map_err(|error| MetadataError::Unreachable(error.to_string()))?;
        let exchange = async {
            let answer = self.client.request(request).await;
            let (head, body) =
                answer.map_err(|error| MetadataError::Unreachable(chain(&error)))?.into_parts();
            let body = Limited::new(body, LARGEST).collect().await;
            let body = body.map_err(|error| MetadataError::Garbled(error.to_string()))?;
            Ok((head.status, head.headers, body.to_bytes()))
        };
        timeout(PATIENCE, exchange).await.unwrap_or(Err(MetadataError::Silent))
    }

    async fn read(&self, item: Item) -> Result<Option<String>, MetadataError> {
        let token = self.token().await?;
        let (status, _, body) =
            self.ask(Method::GET, item.path(), ("x-aws-ec2-metadata-token", token)).await?;
        match status {
            StatusCode::OK => {
                let text =
                    std::str::from_utf8(&body).map_err(|error| MetadataError::Garbled(error.to_string()))?;
                Ok(Some(text.trim().to_owned()))
            }
            StatusCode::NOT_FOUND => Ok(None),
            _ => Err(MetadataError::Refused(status)),
        }
    }
}

impl Source for Metadata {
    async fn look(&self, item: Item) -> Result<Option<String>, MetadataError> {
        match self.read(item).await {
            // A token is void after the machine was stopped, or frozen, and started again.
            Err(MetadataError::Refused(StatusCode::UNAUTHORIZED)) => {
                self.forget_token();
                self.read(item).await
            }
            read => read,
        }
    }
}

/// How long a token is good for: as long as the service says, but no longer than we asked.
fn lifetime(headers: &HeaderMap) -> Duration {
    let told =
        headers.get("x-aws-ec2-metadata-token-ttl-seconds").and_then(|life| life.to_str().ok()?.parse().ok());
    Duration::from_secs(told.unwrap_or(TOKEN_LIFE).min(TOKEN_LIFE))
}
