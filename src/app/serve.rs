//! The daemon's birth and death.
//!
//! ```text
//! main thread ─ runtime ┬ http ─┬ connection …        work: the drain waits for it
//!                       │       └ flight …            one per job under way
//!                       ├ pulse, signals, warm-up,    companions: dropped when the work has ended
//!                       │ instance watch …
//!                       ├ publish, trace              the last to leave: tell what the last work came to
//! admin thread ─ runtime┴ metrics, health, levers, watchdog
//! log thread            ─ writes what the others logged
//! stdout thread         ─ prints metrics, if they go there
//! ```

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::pin::pin;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::Instant;

use crate::app::clients::Shared;
use crate::app::fleet::{self, Watchers, Ways};
use crate::app::instance::Instance;
use crate::app::meter::{Meter, gauge};
use crate::app::status::{Gatherer, Sources};
use crate::app::{open_many, parts, shadow, status, trace};
use crate::cli::Announce;
use crate::compilers::{self, Catalogue};
use crate::config::Loaded;
use crate::config::keys::Config;
use crate::doors::admin::{self, Controls};
use crate::doors::health::{Health, Vitals};
use crate::doors::http::{Door, Parts};
use crate::doors::server::{self, Gate, House, Traffic};
use crate::engine::Engine;
#[cfg(debug_assertions)]
use crate::failpoint;
use crate::lifecycle::signals::Signals;
use crate::lifecycle::{self, Lifecycle, Phase};
use crate::notify::{self, Pulse};
use crate::sandbox::{Launched, Sandbox};
use crate::telemetry::identity::Identity;
use crate::telemetry::log::{self, Log, LogSettings};
use crate::telemetry::metrics::Metrics;

/// How much longer than its limit a job may hold its slot before the worker counts as stuck: killing a job and
/// reading its output take milliseconds, on a machine in trouble seconds.
const STUCK_MARGIN: Duration = Duration::from_secs(30);
/// How long the end waits for threads that may block.
const LAST_WAIT: Duration = Duration::from_secs(1);
/// Compilers asked what they can do before anybody needs to know. A catalogue of thousands is asked on demand.
const MOST_WARMED: usize = 32;

/// What exists before the runtime does.
struct Born {
    config: Config,
    begun: Instant,
    log: Log,
    catalogue: compilers::Loaded,
    http: TcpListener,
    admin: TcpListener,
    sandbox: Launched,
    instance: Instance,
}

/// What runs.
#[derive(Clone)]
struct Running {
    lifecycle: Lifecycle,
    engine: Engine,
    metrics: Arc<Metrics>,
    reloading: Arc<tokio::sync::Mutex<()>>,
    ways: Option<Ways>,
    identity: Identity,
    instance: Instance,
}

/// Runs the daemon to its end.
pub(super) fn serve(loaded: Loaded, announce: Announce) -> anyhow::Result<ExitCode> {
    let begun = Instant::now();
    let config = loaded.config;
    let settings = LogSettings { format: config.log.format, filter: config.log.filter.clone() };
    let log = log::start(&settings)?;
    #[cfg(debug_assertions)]
    if let Some(plan) = loaded.failpoint {
        tracing::warn!(%plan, "this process is told to go wrong");
        failpoint::arm(plan);
    }
    for warning in &loaded.warnings {
        tracing::warn!("configuration: {warning}");
    }
    // On this thread, which lives as long as the process: the helper dies with the thread that started it.
    let sandbox = Sandbox::launch(parts::sandbox(&config, config.engine.slots))?;
    open_many();
    let _pump = lifecycle::thread("log", log.pump()).context("could not start the log's thread")?;
    let catalogue = parts::catalogue(&config)?;
    report(&catalogue);
    let http = listen(config.http.listen, "http.listen")?;
    let admin = listen(config.admin.listen, "admin.listen")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("worker")
        .build()
        .context("could not start the runtime")?;
    let instance = Instance::remembered(&config);
    let born = Born { config, begun, log, catalogue, http, admin, sandbox, instance };
    let code = runtime.block_on(live(born, announce));
    // A thread that waits for a file system or a driver which hangs is left behind: the process ends all the same.
    runtime.shutdown_timeout(LAST_WAIT);
    code
}

pub(super) fn listen(address: SocketAddr, key: &str) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address)
        .with_context(|| format!("could not listen on {address}; choose another address with {key}"))?;
    listener.set_nonblocking(true).with_context(|| format!("could not prepare {address}"))?;
    Ok(listener)
}

/// Announces addresses to whoever started us.
pub(super) fn tell(addresses: &serde_json::Value) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    out.write_all(format!("{addresses}\n").as_bytes())
        .and_then(|()| out.flush())
        .context("could not announce the addresses")
}

/// From the first task to the last.
async fn live(born: Born, announce: Announce) -> anyhow::Result<ExitCode> {
    let Born { config, begun, log, catalogue, http, admin, sandbox, instance } = born;
    let lifecycle = Lifecycle::new();
    let metrics = Arc::new(Metrics::new());
    let sandbox = sandbox.attach()?;
    tracing::info!(protections = ?sandbox.protections(), "the sandbox holds");
    count(&metrics, &catalogue);
    let engine = Engine::new(
        &parts::engine(&config),
        Arc::new(catalogue.catalogue),
        sandbox.clone(),
        lifecycle.clone(),
        Arc::clone(&metrics),
    );
    let clients = Shared::default();
    let ways = fleet::open(&config, &clients, &lifecycle, &metrics).await?;
    let (identity, reloading) = (Identity::of_host(), Arc::default());
    let running =
        Running { lifecycle: lifecycle.clone(), engine, metrics, reloading, ways, identity, instance };
    let pulse = Pulse::new();
    lifecycle.accompany("pulse", pulse.clone().beat());
    lifecycle.accompany("signals", running.clone().obey_signals(config.clone())?);

    lifecycle.accompany("helper watch", running.clone().leave_without(sandbox.clone()));

    let addresses = (http.local_addr()?, admin.local_addr()?);
    let meter = running.meter(log, begun);
    let admin = running.open_admin(admin, config.clone(), pulse, &meter)?;
    let watchers = Watchers {
        metrics: Arc::clone(&running.metrics),
        spans: trace::open(&config, &lifecycle, &running.metrics, &running.identity)?,
    };
    running.open_http(http, &config, watchers.clone())?;
    running.warm();

    // Before anything is taken from a queue: who was set aside before a restart still is.
    running.instance.watch(&config, &clients, &lifecycle, &running.engine).await?;
    lifecycle.accompany("identity", running.clone().learn_its_name());
    lifecycle.begin_serving();
    if let Some(ways) = &running.ways {
        ways.open_queue(&config, &running.engine, &lifecycle, &running.instance, watchers);
    }
    running.metrics.startup.set(begun.elapsed().as_secs_f64());
    notify::ready("serving");
    tracing::info!(http = %addresses.0, admin = %addresses.1, startup_ms = begun.elapsed().as_secs_f64() * 1e3, "serving");
    if announce == Announce::Addresses {
        tell(&serde_json::json!({ "http": addresses.0, "admin": addresses.1 }))?;
    }
    // After the addresses: events may go to standard output too.
    meter.publish(&config)?;

    lifecycle.draining().await;
    notify::stopping("draining");
    tracing::info!(budget_s = config.drain.budget.as_secs(), "draining");
    let ending = lifecycle.shut_down(config.drain.budget).await;
    sandbox.shut_down().await;
    let _ended = lifecycle::blocking("await admin", move || admin.join()).await;
    tracing::info!(?ending, "stopped");
    Ok(running.instance.exit_code(ending))
}

impl Running {
    fn meter(&self, log: Log, begun: Instant) -> Arc<Meter> {
        let Self { lifecycle, engine, metrics, ways, identity, instance, .. } = self.clone();
        let turn = Mutex::default();
        Arc::new(Meter { lifecycle, engine, metrics, ways, log, begun, identity, instance, turn })
    }

    /// Hears what the instance is called.
    async fn learn_its_name(self) {
        self.identity.tell(self.instance.knowledge.named().await.to_string());
    }

    /// The public door, as work: the drain waits for its last reply.
    fn open_http(&self, listener: TcpListener, config: &Config, watchers: Watchers) -> anyhow::Result<()> {
        let fleet = self.ways.as_ref().map(|ways| ways.fleet(config, &self.lifecycle)).transpose()?;
        let listener =
            tokio::net::TcpListener::from_std(listener).context("could not watch the HTTP socket")?;
        let gate = Gate::default();
        let Watchers { metrics, spans } = watchers;
        let door = Door::new(Parts {
            workshop: self.engine.clone(),
            fleet,
            shadow: shadow::open(config, &self.lifecycle, &self.metrics)?,
            settings: parts::door(config),
            health: self.health(config),
            gate: gate.clone(),
            observe: Box::new(move |served| {
                metrics.count_reply(served.route, served.status, served.duration);
                if let Some(job) = served.job {
                    metrics.count_job(job);
                }
                if let Some(spans) = &spans {
                    trace::record_request(spans, &served);
                }
                metrics.recent.note(status::of_request(served));
            }),
        });
        let metrics = &self.metrics;
        let traffic = Traffic { received: metrics.http_received.clone(), sent: metrics.http_sent.clone() };
        let (connections, hurry) = (metrics.http_connections.clone(), self.lifecycle.kill_token());
        let house = House { settings: parts::http(config), gate, connections, traffic, hurry };
        let lifecycle = self.lifecycle.clone();
        let draining = async move { lifecycle.draining().await };
        self.lifecycle.spawn("http", server::run(listener, door, house, draining));
        Ok(())
    }

    /// The operator's door, on a thread of its own that also feeds the watchdog.
    fn open_admin(
        &self,
        listener: TcpListener,
        config: Config,
        pulse: Pulse,
        meter: &Arc<Meter>,
    ) -> anyhow::Result<JoinHandle<()>> {
        let (reloading, draining, clearing) = (self.clone(), self.clone(), self.clone());
        let meter = Arc::clone(meter);
        let (tasks, instance) = (self.lifecycle.clone(), self.instance.clone());
        let longest = config.limits.wall + STUCK_MARGIN;
        let sources = Sources {
            meter: Arc::clone(&meter),
            health: self.health(&config),
            queue: status::queue(&config),
        };
        let gatherer = Gatherer::new(sources);
        let sampling = gatherer.clone().sample();
        let controls = Controls {
            health: self.health(&config),
            metrics: Box::new(move || meter.page()),
            status: Box::new(move || gatherer.status()),
            tasks: Box::new(move || {
                let census: serde_json::Map<_, _> = tasks
                    .tasks()
                    .into_iter()
                    .map(|(name, census)| (name.to_owned(), serde_json::json!(census)))
                    .collect();
                serde_json::Value::from(census).to_string().into_bytes()
            }),
            reload: Box::new(move || {
                let (running, config) = (reloading.clone(), config.clone());
                Box::pin(async move { running.reload(&config).await })
            }),
            pause: Box::new(move |paused| Box::pin(instance.clone().set_paused(paused))),
            drain: Box::new(move || draining.lifecycle.begin_drain()),
            clear_caches: Box::new(move || clearing.engine.clear_caches()),
        };
        let mut phases = self.lifecycle.phases();
        let engine = self.engine.clone();
        let closing = async move {
            let sampling = pin!(sampling);
            let stopped = pin!(async {
                tokio::select! { _ = phases.wait_for(|phase| *phase == Phase::Stopped) => {}, () = sampling => {} }
            });
            match notify::watchdog_interval() {
                Some(period) => {
                    let moving = || engine.status().oldest_job.is_none_or(|age| age < longest);
                    let fed = pin!(notify::feed_watchdog(period, pulse, moving));
                    tokio::select! { () = stopped => {}, () = fed => {} }
                }
                None => stopped.await,
            }
        };
        admin::open(listener, controls, closing).context("could not open the admin door")
    }

    /// First signal: drain. Second: kill. SIGHUP: reload.
    fn obey_signals(self, config: Config) -> anyhow::Result<impl Future<Output = ()> + Send + 'static> {
        let signals = Signals::listen().context("could not listen for signals")?;
        let lifecycle = self.lifecycle.clone();
        Ok(signals.obey(lifecycle.clone(), move || {
            let (running, config) = (self.clone(), config.clone());
            let _outcome_is_logged =
                lifecycle.accompany("reload", async move { running.reload(&config).await });
        }))
    }

    /// Ends the process when the jail helper has died: only a new process, from its main thread, can start another.
    async fn leave_without(self, sandbox: Sandbox) {
        sandbox.lost().await;
        tracing::error!("the jail helper has died: ending, to be started again");
        self.lifecycle.begin_kill();
    }

    /// Swaps the catalogue for what the files say now; one that cannot be read or has no compiler changes nothing.
    async fn reload(&self, config: &Config) -> Result<String, String> {
        // One after the other, so that it is the latest that stays.
        let _turn = self.reloading.lock().await;
        let config = config.clone();
        let loaded = lifecycle::blocking("load catalogue", move || parts::catalogue(&config)).await;
        let refusal = match loaded {
            Ok(Ok(loaded)) if !loaded.catalogue.is_empty() => {
                report(&loaded);
                count(&self.metrics, &loaded);
                let message =
                    format!("{} compilers, {} problems", loaded.catalogue.len(), loaded.problems.len());
                self.engine.replace_catalogue(Arc::new(loaded.catalogue));
                tracing::info!(%message, "reloaded the catalogue");
                return Ok(message);
            }
            Ok(Ok(_)) => "it has no compilers".to_owned(),
            Ok(Err(error)) => format!("{error:#}"),
            Err(_) => "loading it panicked".to_owned(),
        };
        self.metrics.catalogue_reload_failures.inc();
        tracing::error!(%refusal, "kept the old catalogue");
        Err(format!("kept the old catalogue: {refusal}"))
    }

    /// Asks the compilers of a small catalogue what they can do, so that the first request need not wait for it.
    fn warm(&self) {
        let (engine, catalogue): (_, Arc<Catalogue>) = (self.engine.clone(), self.engine.catalogue());
        self.lifecycle.accompany("warm-up", async move {
            if catalogue.len() <= MOST_WARMED {
                for compiler in catalogue.compilers(None) {
                    engine.warm(compiler).await;
                }
            }
        });
    }

    fn health(&self, config: &Config) -> Health {
        let (running, longest) = (self.clone(), config.limits.wall + STUCK_MARGIN);
        Health::new(move || {
            let (status, phase) = (running.engine.status(), running.lifecycle.phase());
            Vitals {
                phase,
                consuming: running.instance.is_consuming(phase),
                paused_by: running.instance.pause.causes(),
                trouble: status
                    .oldest_job
                    .filter(|age| *age > longest)
                    .map(|age| format!("a job is stuck since {} s", age.as_secs())),
                compilers: running.engine.catalogue().len(),
                slots: status.slots,
                slots_busy: status.slots_busy,
                queued: status.queued,
                queue_limit: status.queue_limit,
                has_fleet: running.ways.is_some(),
                hub_connected: running
                    .ways
                    .as_ref()
                    .and_then(Ways::hub)
                    .is_some_and(|events| events.connections > 0),
            }
        })
    }
}

fn report(loaded: &compilers::Loaded) {
    for problem in &loaded.problems {
        tracing::warn!(%problem, "skipped in the catalogue");
    }
    if loaded.catalogue.is_empty() {
        tracing::error!(
            "there are no compilers: install some (Debian: apt-get install g++ clang) or name a catalogue with --catalogue"
        );
    }
}

fn count(metrics: &Metrics, loaded: &compilers::Loaded) {
    metrics.catalogue_compilers.set(gauge(loaded.catalogue.len()));
    metrics.catalogue_problems.set(gauge(loaded.problems.len()));
}
