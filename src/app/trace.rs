//! Spans of what is over: from what the doors tell of a request or a message to what a collector of traces is told.
//!
//! ```text
//! POST /api/compiler/{id}/compile          (the router's)
//! └ process jobs.fifo                      (the worker's)
//!   ├ wait for a slot
//!   └ compile
//! ```

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;

use crate::config::keys::Config;
use crate::domain::class::Class;
use crate::domain::result::JobStatus;
use crate::domain::trace::{Sampling, SpanId, Traced};
use crate::doors::http::{GONE, Served};
use crate::doors::queue::Settled;
use crate::engine::Work;
use crate::lifecycle::Lifecycle;
use crate::ports::QueueAddress;
use crate::publish::{Collector, Spans};
use crate::telemetry::fields;
use crate::telemetry::identity::Identity;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::otlp::{Attribute, Kind, Span};

/// A span's time and place, before it is known what it tells.
struct Frame {
    traced: Traced,
    id: SpanId,
    begun: SystemTime,
    took: Duration,
}

/// Opens the way to the collector, if there is one, and exports until the last work has ended.
pub(super) fn open(
    config: &Config,
    lifecycle: &Lifecycle,
    metrics: &Arc<Metrics>,
    identity: &Identity,
) -> anyhow::Result<Option<Spans>> {
    let Some(url) = &config.trace.url else { return Ok(None) };
    let (fleet, region, identity) = (config.fleet.name.clone(), config.aws.region.clone(), identity.clone());
    let resource = Box::new(move || resource(&fleet, &region, &identity));
    let (spans, collector) = Collector::open(url, resource, Arc::clone(metrics))
        .with_context(|| format!("could not open trace.url = {url}"))?;
    drop(lifecycle.attend("trace", collector.run(lifecycle.ending())));
    tracing::info!(url, share = config.trace.share.fraction(), "exporting traces");
    Ok(Some(spans))
}

/// Which traces are recorded here, if any are.
pub(super) fn sampling(config: &Config) -> Option<Sampling> {
    config.trace.url.as_ref().map(|_| Sampling::of(config.trace.share.millionths()))
}

/// Who we are.
fn resource(fleet: &str, region: &str, identity: &Identity) -> Vec<Attribute> {
    let mut facts = vec![
        Attribute::text("service.name", env!("CARGO_PKG_NAME")),
        Attribute::text("service.version", env!("CARGO_PKG_VERSION")),
        Attribute::text("service.namespace", fleet.to_owned()),
        Attribute::text("service.instance.id", identity.name().to_owned()),
        Attribute::text("host.name", identity.host().to_owned()),
    ];
    if let Some(instance) = identity.instance() {
        facts.extend([
            Attribute::text("host.id", instance.to_owned()),
            Attribute::text("cloud.provider", "aws"),
            Attribute::text("cloud.platform", "aws_ec2"),
            Attribute::text("cloud.region", region.to_owned()),
        ]);
    }
    facts
}

/// Records a request that is over, if its trace is recorded.
pub(super) fn record_request(spans: &Spans, served: &Served) {
    let Some(frame) = Frame::of(served.traced, served.duration) else { return };
    let mut attributes = vec![
        Attribute::text("http.request.method", served.method),
        Attribute::text("http.route", served.path),
        Attribute::text(fields::REQUEST_ID, served.id.to_string()),
        Attribute::truth(fields::CACHED, served.cached),
    ];
    if served.status != GONE {
        attributes.push(Attribute::number("http.response.status_code", served.status));
    }
    attributes.extend(of_job(served.compiler.as_ref(), served.job));
    let failed = (500..600).contains(&served.status) || served.job == Some(JobStatus::InfraError);
    let failure = failed
        .then(|| served.class.map(Class::as_str).or(served.job.map(JobStatus::as_str)).unwrap_or("internal"));
    frame.record(spans, served.work, |frame| Span {
        name: format!("{} {}", served.method, served.path).into(),
        kind: Kind::Server,
        attributes: attributes.into_iter().chain(of_failure(failure)).collect(),
        ..frame.span(failure)
    });
}

/// Records a message of `queue` that is settled, if its trace is recorded.
pub(super) fn record_message(spans: &Spans, queue: &QueueAddress, settled: &Settled) {
    let Some(frame) = Frame::of(settled.traced, settled.duration) else { return };
    let queue = queue.as_str().rsplit('/').next().unwrap_or_default().to_owned();
    let mut attributes = vec![
        Attribute::text("messaging.system", "aws_sqs"),
        Attribute::text("messaging.operation.name", "process"),
        Attribute::text("messaging.operation.type", "process"),
        Attribute::text("messaging.destination.name", queue.clone()),
        Attribute::text("messaging.message.id", settled.message.clone()),
        Attribute::text("outcome", settled.outcome),
        Attribute::number("receives", settled.receives),
        Attribute::truth(fields::CACHED, settled.cached),
    ];
    attributes.extend(settled.id.as_ref().map(|id| Attribute::text(fields::REQUEST_ID, id.to_string())));
    attributes.extend(of_job(settled.compiler.as_ref(), settled.job));
    let failure = match settled.job {
        Some(JobStatus::InfraError) => Some(JobStatus::InfraError.as_str()),
        _ => settled.failed.then_some(settled.outcome),
    };
    frame.record(spans, settled.work, |frame| Span {
        name: format!("process {queue}").into(),
        kind: Kind::Consumer,
        attributes: attributes.into_iter().chain(of_failure(failure)).collect(),
        ..frame.span(failure)
    });
}

fn of_job(compiler: Option<&String>, job: Option<JobStatus>) -> impl Iterator<Item = Attribute> {
    let compiler = compiler.map(|compiler| Attribute::text(fields::COMPILER_ID, compiler.clone()));
    let job = job.map(|job| Attribute::text(fields::JOB_STATUS, job.as_str()));
    compiler.into_iter().chain(job)
}

fn of_failure(failure: Option<&'static str>) -> Option<Attribute> {
    failure.map(|failure| Attribute::text("error.type", failure))
}

impl Frame {
    /// Of what took so long until now, if it is recorded.
    fn of(traced: Option<Traced>, took: Duration) -> Option<Self> {
        let traced = traced?;
        let id = traced.span?;
        Some(Self { traced, id, begun: SystemTime::now() - took, took })
    }

    /// The span, without what it is.
    fn span(&self, failure: Option<&'static str>) -> Span {
        Span {
            trace: self.traced.context.id,
            id: self.id,
            parent: self.traced.context.parent,
            name: "".into(),
            kind: Kind::Internal,
            begun: self.begun,
            took: self.took,
            attributes: Vec::new(),
            failure: failure.map(Into::into),
        }
    }

    /// Records the whole and its parts.
    fn record(self, spans: &Spans, work: Option<Work>, whole: impl FnOnce(&Self) -> Span) {
        spans.record(whole(&self));
        if let Some(Work { waited, after, took }) = work {
            let part = |name: &'static str, after: Duration, took| Span {
                id: SpanId::mint(),
                parent: Some(self.id),
                name: name.into(),
                begun: self.begun + after,
                took,
                ..self.span(None)
            };
            spans.record(part("wait for a slot", after.saturating_sub(waited), waited));
            spans.record(part("compile", after, took));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_says_where_it_is_once_it_knows() {
        let identity = Identity::of("ip-10-0-0-1");
        let keys = |identity: &Identity| -> Vec<_> {
            resource("east", "us-east-1", identity).into_iter().map(|fact| fact.key).collect()
        };
        assert_eq!(keys(&identity).len(), 5);
        identity.tell("i-0abc".to_owned());
        let facts = resource("east", "us-east-1", &identity);
        for (key, value) in [
            ("service.name", "compilation-worker"),
            ("service.namespace", "east"),
            ("service.instance.id", "i-0abc"),
            ("host.name", "ip-10-0-0-1"),
            ("host.id", "i-0abc"),
            ("cloud.region", "us-east-1"),
        ] {
            assert!(facts.contains(&Attribute::text(key, value)), "{key}: {facts:?}");
        }
    }
}
