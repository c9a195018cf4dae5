//! The service that is asked what it would have answered, if the configuration names one.

use std::sync::Arc;

use anyhow::Context as _;

use crate::config::keys::Config;
use crate::lifecycle::Lifecycle;
use crate::relay::forward::Forward;
use crate::relay::shadow::{Parts, Shadow, ShadowSettings, What};
use crate::telemetry::metrics::Metrics;
use crate::trust;

/// Opens the way to it.
pub(super) fn open(
    config: &Config,
    lifecycle: &Lifecycle,
    metrics: &Arc<Metrics>,
) -> anyhow::Result<Option<Shadow>> {
    let keys = &config.shadow;
    let Some(url) = &keys.url else { return Ok(None) };
    let service = url.parse().with_context(|| format!("could not understand shadow.url = {url}"))?;
    let (tls, _authorities) = trust::client().context("could not set up TLS")?;
    let (metrics, counted) = (Arc::clone(metrics), Arc::clone(metrics));
    tracing::info!(service = %url, share = keys.share.fraction(), "requests are copied to a second service");
    Ok(Some(Shadow::new(Parts {
        settings: ShadowSettings {
            service,
            share: keys.share.fraction(),
            at_once: keys.at_once,
            patience: keys.patience,
            samples: keys.samples.clone(),
        },
        forward: Forward::new(tls),
        lifecycle: lifecycle.clone(),
        observe: Box::new(move |compared| {
            let differences = compared.verdict.differences().map(What::as_str);
            let times = compared.times.map(|times| [times.ours, times.theirs]);
            counted.count_comparison(compared.verdict.as_str(), differences, times);
        }),
        pass_over: Box::new(move || {
            metrics.shadow_passed_over.inc();
        }),
    })))
}
