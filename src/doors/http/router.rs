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
    /// The path, with names for what varies.
    pub(super) path: &'static str,
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
pub(super) const NOWHERE: Place = Place { name: "none", path: "", kind: Kind::Upkeep };

/// The router over `desk`. Paths arrive [normalized](paths::normalize), and everything that any request goes through is
/// in [`conduct`].
pub(super) fn router<W: Workshop>(desk: &Shared<W>) -> Router {
    use Kind::{Api, Compile, Upkeep};
    let conducted = |place: Place, methods: MethodRouter<Shared<W>>| {
        methods.options(preflight).layer(from_fn_with_state((Arc::clone(desk), place), conduct))
    };
    let at = |path, name, kind, methods: MethodRouter<Shared<W>>| {
        (path, conducted(Place { name, path, kind }, methods.fallback(wrong_method)))
    };
    let both = || get(listings::arguments).post(listings::arguments);
    let places = [
        at("/api/compiler/{id}/compile", "compile", Compile, post(compile::compile)),
        at("/api/compiler/{id}/cmake", "build", Compile, post(compile::cmake)),
        at("/api/compiler/{id}/build/{system}", "build", Compile, post(compile::build)),
        at("/api/noscript/compile", "noscript", Compile, post(compile::noscript)),
        at("/api/populararguments/{id}", "popular_arguments", Api, both()),
        at("/api/optimizationarguments/{id}", "optimization_arguments", Api, both()),
        at("/api/compilers", "compilers", Api, get(listings::compilers)),
        at("/api/compilers/{language}", "compilers", Api, get(listings::compilers)),
        at("/api/languages", "languages", Api, get(listings::languages)),
        at("/api/libraries", "libraries", Api, get(listings::libraries)),
        at("/api/libraries/{language}", "libraries", Api, get(listings::libraries)),
        at("/api/tools/{language}", "tools", Api, get(listings::tools)),
        at("/api/version", "version", Api, get(listings::version)),
        at("/api/releasebuild", "release_build", Api, get(listings::release_build)),
        at("/healthcheck", "healthcheck", Upkeep, get(health::report).post(health::report)),
        at("/health", "health", Upkeep, get(health::report)),
        at("/health/live", "health_live", Upkeep, get(health::live)),
        at("/health/ready", "health_ready", Upkeep, get(health::ready)),
        at("/admin/clear-cache", "clear_cache", Upkeep, post(admin::clear_cache)),
    ];
    let router =
        places.into_iter().fold(Router::new(), |router, (path, methods)| router.route(path, methods));
    router
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
        // at(path, name, kind, methods)
        let places = include_str!("router.rs").lines().filter_map(|line| {
            let (_path, rest) = line.split_once("at(\"")?.1.split_once("\", \"")?;
            rest.split_once('"')
        });
        let mut upkeep: Vec<&str> =
            places.filter(|(_, rest)| rest.starts_with(", Upkeep,")).map(|(name, _)| name).collect();
        upkeep.push(super::NOWHERE.name);
        upkeep.sort_unstable();
        let mut known = UPKEEP_ROUTES;
        known.sort_unstable();
        assert_eq!(upkeep, known);
    }
}
