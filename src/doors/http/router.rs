//! Every path there is.

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, any, get, post};
use http::{StatusCode, Uri};

use super::conduct::conduct;
use super::reject::Rejection;
use super::{Shared, admin, compile, listings, paths};
use crate::domain::class::Class;
use crate::doors::health;
use crate::doors::reply::{self, Reply, TEXT};
use crate::doors::workshop::Workshop;

/// Where a request came to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// The name in logs and metrics.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
}

/// What manners a place has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The compile API, whose errors have a shape of their own.
    Compile,
    /// The rest of the public interface.
    Api,
    /// What balancers and operators ask; or nothing at all.
    Upkeep,
}

/// Where nothing is.
pub(super) const NOWHERE: Place = Place { name: "none", kind: Kind::Upkeep };

/// The router over `desk`. Paths arrive [normalized](paths::normalize), and everything that any request goes through is
/// in [`conduct`].
pub(super) fn router<W: Workshop>(desk: &Shared<W>) -> Router {
    use Kind::{Api, Compile, Upkeep};
    let conducted = |place: Place, methods: MethodRouter<Shared<W>>| {
        methods.options(preflight).layer(from_fn_with_state((Arc::clone(desk), place), conduct))
    };
    let at = |name, kind, methods: MethodRouter<Shared<W>>| {
        conducted(Place { name, kind }, methods.fallback(wrong_method))
    };
    let both = || get(listings::arguments).post(listings::arguments);
    Router::new()
        .route("/api/compiler/{id}/compile", at("compile", Compile, post(compile::compile)))
        .route("/api/compiler/{id}/cmake", at("build", Compile, post(compile::cmake)))
        .route("/api/compiler/{id}/build/{system}", at("build", Compile, post(compile::build)))
        .route("/api/noscript/compile", at("noscript", Compile, post(compile::noscript)))
        .route("/api/populararguments/{id}", at("popular_arguments", Api, both()))
        .route("/api/optimizationarguments/{id}", at("optimization_arguments", Api, both()))
        .route("/api/compilers", at("compilers", Api, get(listings::compilers)))
        .route("/api/compilers/{language}", at("compilers", Api, get(listings::compilers)))
        .route("/api/languages", at("languages", Api, get(listings::languages)))
        .route("/api/libraries", at("libraries", Api, get(listings::libraries)))
        .route("/api/libraries/{language}", at("libraries", Api, get(listings::libraries)))
        .route("/api/tools/{language}", at("tools", Api, get(listings::tools)))
        .route("/api/version", at("version", Api, get(listings::version)))
        .route("/api/releasebuild", at("release_build", Api, get(listings::release_build)))
        .route("/healthcheck", at("healthcheck", Upkeep, get(health::report).post(health::report)))
        .route("/health", at("health", Upkeep, get(health::report)))
        .route("/health/live", at("health_live", Upkeep, get(health::live)))
        .route("/health/ready", at("health_ready", Upkeep, get(health::ready)))
        .route("/admin/clear-cache", at("clear_cache", Upkeep, post(admin::clear_cache)))
        .fallback_service(conducted(NOWHERE, any(nowhere)).with_state(Arc::clone(desk)))
        .with_state(Arc::clone(desk))
}

/// Browsers ask before they send what another site has written. The headers that answer them are on every reply.
async fn preflight() -> Reply {
    reply::reply(StatusCode::OK, TEXT, "OK")
}

async fn wrong_method() -> Rejection {
    Rejection::method()
}

async fn nowhere(uri: Uri) -> Rejection {
    let message = match paths::environment(uri.path()) {
        Some(_) => "Not Found: that is not this worker's environment",
        None => "Not Found",
    };
    Rejection::new(Class::Unknown, message)
}

#[cfg(test)]
mod tests {
    use crate::telemetry::metrics::UPKEEP_ROUTES;

    #[test]
    fn what_is_no_use_of_the_api_is_known_to_the_metrics() {
        let places =
            include_str!("router.rs").lines().filter_map(|line| line.split_once("at(\"")?.1.split_once('"'));
        let mut upkeep: Vec<&str> =
            places.filter(|(_, rest)| rest.starts_with(", Upkeep,")).map(|(name, _)| name).collect();
        upkeep.push(super::NOWHERE.name);
        upkeep.sort_unstable();
        let mut known = UPKEEP_ROUTES;
        known.sort_unstable();
        assert_eq!(upkeep, known);
    }
}
