//! Where requests go: the router that the configuration describes, and what it says of one compiler.

use std::sync::Arc;

use anyhow::Context as _;

use crate::app::clients::Shared;
use crate::app::{fleet, parts};
use crate::cli::route::{Explanation, Fate, Says};
use crate::config::Loaded;
use crate::config::keys::Config;
use crate::domain::ids::CompilerId;
use crate::lifecycle::Lifecycle;
use crate::ports::Color;
use crate::routing::{
    Destination, Here, Origin, QueueSettings, Router, RouterSettings, RoutingError, Target, Trust,
};
use crate::telemetry::metrics::Metrics;

/// What routing goes by.
pub(super) fn settings(config: &Config) -> RouterSettings {
    let Config { http, routing, queues, .. } = config;
    RouterSettings {
        environment: http.environment.clone(),
        queues: QueueSettings {
            default: queues.default.clone(),
            own: queues.own.clone(),
            colors: queues.colours,
        },
        trust: Trust { row: routing.ttl, absence: routing.negative_ttl },
    }
}

/// Where a request for `compiler` goes that reaches this machine.
pub(super) fn explain(loaded: &Loaded, compiler: &str) -> anyhow::Result<Explanation> {
    let config = &loaded.config;
    let compiler = CompilerId::parse(compiler).context("could not understand the compiler's name")?;
    let installed = parts::catalogue(config)?.catalogue.find(None, compiler.as_str()).is_some();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let store = fleet::table(config, Shared::default().get(config).await)?;
        let router = Router::new(settings(config), store, Lifecycle::new(), Arc::new(Metrics::new()));
        let explanation = describe(&router, &compiler, installed).await?;
        Ok(Explanation { table: config.routing.table.clone(), ..explanation })
    })
}

/// What `router` says of a compiler, apart from the table's name.
async fn describe(
    router: &Router,
    compiler: &CompilerId,
    installed: bool,
) -> Result<Explanation, RoutingError> {
    let [free, busy] = if installed { [Here::Free, Here::Busy] } else { [Here::Lacking; 2] };
    let decision = router.decide(compiler, free).await?;
    let when_free = fate(&decision.destination);
    let elsewhere = router.decide(compiler, busy).await?.destination;
    let mut explanation = Explanation {
        compiler: compiler.to_string(),
        installed,
        table: None,
        row: decision.route.row.clone(),
        says: says(&decision.route.target),
        cached: decision.origin != Origin::Table,
        queue: None,
        color: None,
        address: None,
        url: None,
        when_free,
        when_busy: fate(&elsewhere),
    };
    match elsewhere {
        Destination::Queue(queue) => {
            explanation.color = router.live_color().await?.map(Color::as_str);
            explanation.address = Some(router.address(&queue).await?.to_string());
            explanation.queue = Some(queue.name().to_owned());
        }
        Destination::Url(url) => explanation.url = Some(url.to_string()),
        Destination::Here | Destination::Nowhere => {}
    }
    Ok(explanation)
}

fn says(target: &Target) -> Says {
    match target {
        Target::Queue(_) => Says::Queue,
        Target::DefaultQueue => Says::DefaultQueue,
        Target::Url(_) => Says::Url,
        Target::Absent => Says::Nothing,
    }
}

fn fate(destination: &Destination) -> Fate {
    match destination {
        Destination::Here => Fate::Compiled,
        Destination::Queue(_) => Fate::Queued,
        Destination::Url(_) => Fate::Forwarded,
        Destination::Nowhere => Fate::NotFound,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::local::routes::LocalRoutes;
    use crate::ports::{QueueAddress, RouteRow, RouteTarget};

    /// A machine that takes jobs from `prod`, beside a fleet with colors.
    fn router() -> Router {
        let table = LocalRoutes::new();
        let rows = [
            ("prod#g132", RouteTarget::Queue("prod".to_owned())),
            ("prod#arm", RouteTarget::Queue("arm".to_owned())),
            ("prod#nvcc", RouteTarget::Url("https://gpu.example/api/compiler/nvcc/compile".to_owned())),
            ("prod#odd", RouteTarget::DefaultQueue),
        ];
        for (key, target) in rows {
            table.put(RouteRow { key: key.to_owned(), target, environment: Some("prod".to_owned()) });
        }
        table.activate(Color::Green);
        let settings = RouterSettings {
            environment: Some("prod".to_owned()),
            queues: QueueSettings {
                default: Some(QueueAddress::new("https://q/1/default.fifo")),
                own: Some(QueueAddress::new("https://q/1/prod-green.fifo")),
                colors: true,
            },
            trust: Trust { row: Duration::from_mins(5), absence: Duration::from_secs(5) },
        };
        Router::new(settings, Arc::new(table), Lifecycle::new(), Arc::new(Metrics::new()))
    }

    #[tokio::test]
    async fn every_kind_of_answer_is_explained() {
        for (compiler, installed, row, says, fates, address) in [
            ("g132", true, true, Says::Queue, [Fate::Compiled, Fate::Queued], Some("prod-green")),
            ("g132", false, true, Says::Queue, [Fate::Queued; 2], Some("prod-green")),
            ("arm", true, true, Says::Queue, [Fate::Queued; 2], Some("arm-green")),
            ("odd", true, true, Says::DefaultQueue, [Fate::Queued; 2], Some("default-green")),
            ("nvcc", true, true, Says::Url, [Fate::Forwarded; 2], None),
            ("new", true, false, Says::Nothing, [Fate::Compiled; 2], None),
            ("new", false, false, Says::Nothing, [Fate::Queued; 2], Some("default-green")),
        ] {
            let id = CompilerId::parse(compiler).unwrap();
            let explained = describe(&router(), &id, installed).await.unwrap();
            let expected_row = row.then(|| format!("prod#{compiler}"));
            assert_eq!((&explained.row, explained.says), (&expected_row, says), "{explained}");
            assert_eq!([explained.when_free, explained.when_busy], fates, "{explained}");
            let address = address.map(|name| format!("https://q/1/{name}.fifo"));
            assert_eq!(explained.address, address, "{explained}");
            assert_eq!(explained.color, address.map(|_| "green"), "{explained}");
            assert_eq!(explained.url.is_some(), says == Says::Url, "{explained}");
            assert!(!explained.cached, "{explained}");
        }
    }
}
