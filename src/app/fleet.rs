//! The rest of the fleet as the configuration describes it: the table, the queues, the events hub and the buckets.
//!
//! Queues whose address is a URL are Amazon's; others live in this process, as results do without a hub, and blobs where
//! results do: so one process can be the whole system.

use std::sync::Arc;
use std::time::Duration;

use ::http::Uri;
use anyhow::Context as _;

use crate::app::clients::Shared;
use crate::app::instance::Instance;
use crate::app::{route, status, trace};
use crate::aws::{AwsRoutes, Clients, S3Blobs, SqsSink, SqsSource};
use crate::config::keys::Config;
use crate::domain::limits::MIB;
use crate::doors::http;
use crate::doors::queue::{self, QueueSettings};
use crate::engine::Engine;
use crate::events::{self, EventsBus};
use crate::lifecycle::Lifecycle;
use crate::local::blobs::LocalBlobs;
use crate::local::bus::LocalBus;
use crate::local::queue::{LocalQueueSettings, LocalQueues};
use crate::local::routes::LocalRoutes;
use crate::ports::{BlobPlace, BlobStore, QueueAddress, QueueSink, QueueSource, ResultBus, RouteStore};
use crate::publish::Spans;
use crate::relay::forward::Forward;
use crate::relay::{Parts, Relay, RelaySettings};
use crate::routing::Router;
use crate::telemetry::metrics::Metrics;
use crate::trust;
use crate::wire::envelope::LARGEST_INLINE;

/// How long a queue in this process keeps a message, as those of the running system do (contract-cloud 3.4).
const RETENTION: Duration = Duration::from_mins(5);
/// Bytes of the largest message that such a queue takes, as those of the running system do.
const LARGEST_MESSAGE: usize = LARGEST_INLINE;
/// Bytes of blobs kept in this process.
const LOCAL_BLOBS: u64 = 256 * MIB;

/// The ways to the fleet.
#[derive(Debug, Clone)]
pub(super) struct Ways {
    sink: Arc<dyn QueueSink>,
    source: Option<Arc<dyn QueueSource>>,
    bus: Arc<dyn ResultBus>,
    /// The bus, if it is a hub's.
    hub: Option<EventsBus>,
    blobs: Arc<dyn BlobStore>,
    router: Arc<Router>,
}

/// Who is told what became of requests and messages.
#[derive(Debug, Clone)]
pub(super) struct Watchers {
    pub(super) metrics: Arc<Metrics>,
    /// Where spans go, if traces are exported.
    pub(super) spans: Option<Spans>,
}

/// Whether the configuration knows of a fleet at all.
fn has_fleet(config: &Config) -> bool {
    config.routing.table.is_some() || config.queues.own.is_some() || config.queues.default.is_some()
}

/// Opens the ways to the fleet, if there is one.
pub(super) async fn open(
    config: &Config,
    clients: &Shared,
    lifecycle: &Lifecycle,
    metrics: &Arc<Metrics>,
) -> anyhow::Result<Option<Ways>> {
    if !has_fleet(config) {
        return Ok(None);
    }
    let clients = clients.get(config).await;
    let (sink, source) = queues(config, clients, lifecycle)?;
    let table = table(config, clients)?;
    let hub = hub(config, lifecycle)?;
    let bus: Arc<dyn ResultBus> = match &hub {
        Some(hub) => Arc::new(hub.clone()),
        None => Arc::new(LocalBus::new(largest_frame(config))),
    };
    let router = Router::new(route::settings(config), table, lifecycle.clone(), Arc::clone(metrics));
    let router = Arc::new(router);
    if config.routing.warm_up {
        drop(lifecycle.accompany("route warm-up", warm_up(Arc::clone(&router))));
    }
    Ok(Some(Ways { sink, source, bus, hub, blobs: blobs(config, clients), router }))
}

/// A table that cannot be read now is read later, row by row.
async fn warm_up(router: Arc<Router>) {
    match router.warm_up().await {
        Ok(compilers) => tracing::info!(compilers, "read the routing table"),
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "could not read the routing table");
        }
    }
}

impl Ways {
    /// The figures of the way to the events hub, if there is one.
    pub(super) fn hub(&self) -> Option<events::Status> {
        self.hub.as_ref().map(EventsBus::status)
    }

    /// What the HTTP door needs of the fleet.
    pub(super) fn fleet(&self, config: &Config, lifecycle: &Lifecycle) -> anyhow::Result<http::Fleet> {
        let (tls, _authorities) = trust::client().context("could not set up TLS")?;
        let relay = Relay::new(Parts {
            settings: RelaySettings {
                environment: config.http.environment.clone().unwrap_or_else(|| "none".to_owned()),
                overflow: overflow(config),
                results: results(config),
                ..RelaySettings::default()
            },
            sink: Arc::clone(&self.sink),
            bus: Arc::clone(&self.bus),
            blobs: Arc::clone(&self.blobs),
            lifecycle: lifecycle.clone(),
        });
        Ok(http::Fleet { router: Arc::clone(&self.router), relay, forward: Forward::new(tls) })
    }

    /// Opens the queue door, if a queue is ours.
    pub(super) fn open_queue(
        &self,
        config: &Config,
        engine: &Engine,
        lifecycle: &Lifecycle,
        instance: &Instance,
        watchers: Watchers,
    ) {
        let own = self.source.clone().zip(config.queues.own.clone()).zip(instance.intake.clone());
        let Some(((source, own), intake)) = own else { return };
        tracing::info!(queue = %own, "taking jobs");
        let (Watchers { metrics, spans }, queue) = (watchers, own.clone());
        let parts = queue::Parts {
            workshop: engine.clone(),
            settings: QueueSettings {
                dead_letters: config.queues.dead_letters.clone(),
                visibility: config.queues.visibility,
                budget: config.engine.request_budget,
                overflow: overflow(config),
                results: results(config),
                sampling: trace::sampling(config),
                ..QueueSettings::new(own, config.engine.slots)
            },
            source,
            sink: Arc::clone(&self.sink),
            bus: Arc::clone(&self.bus),
            blobs: Arc::clone(&self.blobs),
            lifecycle: lifecycle.clone(),
            pause: instance.pause.clone(),
            intake,
            observe: Box::new(move |settled| {
                metrics.count_message(settled.outcome, settled.queued);
                if let Some(job) = settled.job {
                    metrics.count_job(job);
                }
                if let Some(spans) = &spans {
                    trace::record_message(spans, &queue, &settled);
                }
                metrics.recent.note(status::of_message(settled));
            }),
        };
        drop(lifecycle.spawn("queue", queue::run(parts)));
    }
}

/// The configured table; without one, an empty table in this process: what this machine has is compiled here.
pub(super) fn table(config: &Config, clients: &Clients) -> anyhow::Result<Arc<dyn RouteStore>> {
    let Some(table) = &config.routing.table else { return Ok(Arc::new(LocalRoutes::new())) };
    let routes = AwsRoutes::new(clients, table.clone(), config.aws.color_parameter.clone());
    Ok(Arc::new(routes.context("could not set up TLS")?))
}

type Ends = (Arc<dyn QueueSink>, Option<Arc<dyn QueueSource>>);

fn queues(config: &Config, clients: &Clients, lifecycle: &Lifecycle) -> anyhow::Result<Ends> {
    let keys = &config.queues;
    // The configuration's check sees to it that all are of one kind.
    if keys.all().any(QueueAddress::is_url) {
        let source = keys.own.clone().map(|own| SqsSource::new(clients, own)).transpose()?;
        let source = source.map(|source| Arc::new(source) as _);
        return Ok((Arc::new(SqsSink::new(clients, lifecycle.clone())), source));
    }
    let queues = LocalQueues::new();
    for queue in keys.all() {
        let keeping =
            LocalQueueSettings { retention: RETENTION, largest: LARGEST_MESSAGE, dead_letters: None };
        queues.create(queue.clone(), keeping);
    }
    let own = keys.own.as_ref().and_then(|own| queues.source(own));
    Ok((Arc::new(queues), own.map(|source| Arc::new(source) as _)))
}

fn hub(config: &Config, lifecycle: &Lifecycle) -> anyhow::Result<Option<EventsBus>> {
    let Some(url) = &config.events.url else { return Ok(None) };
    let url: Uri = url.parse().with_context(|| format!("could not understand events.url = {url}"))?;
    let settings = events::Settings { largest_frame: largest_frame(config), ..events::Settings::new(url) };
    EventsBus::open(settings, lifecycle).map(Some).context("could not open the way to the events hub")
}

fn largest_frame(config: &Config) -> usize {
    usize::try_from(config.events.largest_frame.bytes()).unwrap_or(usize::MAX)
}

fn blobs(config: &Config, clients: &Clients) -> Arc<dyn BlobStore> {
    let storage = &config.storage;
    if storage.overflow_bucket.is_some() || storage.results_bucket.is_some() {
        Arc::new(S3Blobs::new(clients))
    } else {
        Arc::new(LocalBlobs::new(LOCAL_BLOBS))
    }
}

fn overflow(config: &Config) -> Option<BlobPlace> {
    place(config, config.storage.overflow_bucket.as_ref(), &config.storage.overflow_prefix)
}

fn results(config: &Config) -> Option<BlobPlace> {
    place(config, config.storage.results_bucket.as_ref(), &config.storage.results_prefix)
}

/// The configured place; where results do not leave this process, blobs need not either.
fn place(config: &Config, bucket: Option<&String>, prefix: &str) -> Option<BlobPlace> {
    let local = config.events.url.is_none().then(|| "local".to_owned());
    bucket.cloned().or(local).map(|bucket| BlobPlace { bucket, prefix: prefix.to_owned() })
}
