//! What must hold between values, once each of them makes sense alone.

use std::ops::RangeInclusive;
use std::time::Duration;

use http::uri::Authority;

use crate::config::keys::{Config, Key};
use crate::config::layers::{Layers, Mistake};
use crate::config::machine::Machine;
use crate::config::value::{ByteSize, Value as _};
use crate::domain::limits::MIB;
use crate::ports::{LONGEST_HIDING, QueueAddress};
use crate::routing;
use crate::sandbox::Mode;
use crate::telemetry::log;

/// More slots than any machine has cores: a typing mistake.
const MOST_SLOTS: usize = 1024;
/// More than this and the wait is hopeless whatever the budget.
const MOST_WAITING: usize = 100_000;
/// Each costs a descriptor and some kilobytes.
const MOST_CONNECTIONS: usize = 1_000_000;
/// Each may hold a request and two of the largest replies.
const MOST_SHADOWED: usize = 64;
/// No balancer or client of the contract sends more, and each request may hold this much.
const LARGEST_BODY: ByteSize = ByteSize(16 * MIB);

/// Queues count in whole seconds, and less would be over before a message has arrived (decision D4 says 10 s).
const SHORTEST_HIDING: Duration = Duration::from_secs(1);

/// More often would be a burden, and CloudWatch keeps one value a minute anyway; what comes more rarely than every few
/// minutes leaves alarms without data.
const PUBLISHING: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_mins(15);

/// Longest name of a log group, and more than any name derived from a fleet's may have.
const LONGEST_GROUP: usize = 512;
const LONGEST_NAME: usize = 64;
/// How long a lifecycle hook may wait, by the rules of Auto Scaling.
const HOOK_TIMES: RangeInclusive<Duration> = Duration::from_secs(30)..=Duration::from_hours(2);

/// The longest text of a client that carries no result is shorter.
const SMALLEST_MESSAGE: ByteSize = ByteSize(256);

/// Notes what contradicts itself, and returns what is merely unwise.
pub(super) fn check(config: &Config, machine: &Machine, layers: &mut Layers) -> Vec<String> {
    counts(config, layers);
    sizes(config, layers);
    clocks(config, layers);
    places(config, layers);
    routes(config, layers);
    shadow(config, layers);
    trace(config, layers);
    names(config, layers);
    instance(config, layers);
    warnings(config, machine)
}

fn counts(config: &Config, layers: &mut Layers) {
    let Config { http, limits, engine, hub, .. } = config;
    for (path, is_zero, consequence) in [
        ("engine.slots", engine.slots == 0, "nothing would ever compile"),
        ("http.connections", http.connections == 0, "nobody could connect"),
        ("hub.connections", hub.connections == 0, "nobody could connect"),
        ("hub.subscriptions", hub.subscriptions == 0, "nobody could hear of a result"),
        ("limits.pids", limits.pids == 0, "no compiler could start"),
        ("limits.cpu_millis", limits.cpu_millis == 0, "no compiler could run"),
    ] {
        if is_zero {
            layers.object(path, consequence, "write a number above zero");
        }
    }
    for (path, value, most) in [
        ("engine.slots", engine.slots, MOST_SLOTS),
        ("engine.queue_length", engine.queue_length, MOST_WAITING),
        ("http.connections", http.connections, MOST_CONNECTIONS),
        ("hub.connections", hub.connections, MOST_CONNECTIONS),
    ] {
        if value > most {
            layers.object(path, format!("is more than the {most} allowed"), "lower it");
        }
    }
}

fn sizes(config: &Config, layers: &mut Layers) {
    let Config { http, limits, hub, .. } = config;
    if http.body > LARGEST_BODY {
        layers.object("http.body", format!("is more than the {LARGEST_BODY} allowed"), "lower it");
    }
    for (path, size) in [("hub.message", hub.message), ("hub.frame", hub.frame)] {
        if size < SMALLEST_MESSAGE {
            layers.object(
                path,
                format!("is less than the {SMALLEST_MESSAGE} that a subscription may need"),
                "raise it",
            );
        }
        if size > LARGEST_BODY {
            layers.object(path, format!("is more than the {LARGEST_BODY} allowed"), "lower it");
        }
    }
    if limits.memory.bytes() == 0 {
        layers.object("limits.memory", "no compiler could run", "write a size above 0B");
    } else if limits.memory < limits.output.max(limits.artifact) {
        let wrong = "is less than limits.output or limits.artifact, which we hold for each job";
        layers.object("limits.memory", wrong, "raise it, or lower those");
    }
}

fn clocks(config: &Config, layers: &mut Layers) {
    let Config { http, limits, engine, routing, queues, drain, metrics, .. } = config;
    for (path, time) in [
        ("http.head_deadline", http.head_deadline),
        ("http.body_deadline", http.body_deadline),
        ("http.write_deadline", http.write_deadline),
        ("limits.wall", limits.wall),
        ("routing.ttl", routing.ttl),
        ("routing.negative_ttl", routing.negative_ttl),
    ] {
        if time.is_zero() {
            layers.object(path, "leaves no time at all", "write a duration above zero");
        }
    }
    if !(SHORTEST_HIDING..=LONGEST_HIDING).contains(&queues.visibility) {
        let wrong = format!("is not from {} to {}", SHORTEST_HIDING.show(), LONGEST_HIDING.show());
        layers.object("queues.visibility", wrong, "write a duration such as 10s");
    }
    if !PUBLISHING.contains(&metrics.every) {
        let wrong = format!("is not from {} to {}", PUBLISHING.start().show(), PUBLISHING.end().show());
        layers.object("metrics.every", wrong, "write a duration such as 60s");
    }
    if http.idle <= http.balancer_idle {
        layers.object(
            "http.idle",
            format!("must exceed http.balancer_idle = {}", http.balancer_idle.show()),
            "raise it, or the balancer sends requests into connections that we have just closed",
        );
    }
    let longest = engine.queue_wait + limits.wall;
    if engine.request_budget < longest {
        layers.object(
            "engine.request_budget",
            format!("is less than engine.queue_wait + limits.wall = {}", longest.show()),
            "raise it, or lower one of the two",
        );
    }
    if engine.request_budget >= http.balancer_idle {
        layers.object(
            "engine.request_budget",
            format!("must stay below http.balancer_idle = {}", http.balancer_idle.show()),
            "lower it, or the balancer gives up on a request before we answer it",
        );
    }
    let last = drain.lame_duck + limits.wall;
    if drain.budget <= last {
        layers.object(
            "drain.budget",
            format!("must exceed drain.lame_duck + limits.wall = {}", last.show()),
            "raise it, or a compile that has just begun is killed at every stop",
        );
    }
}

fn places(config: &Config, layers: &mut Layers) {
    let Config { http, admin, catalogue, sandbox, log, routing, queues, .. } = config;
    if http.listen.port() != 0 && http.listen == admin.listen {
        layers.object("admin.listen", "is the address of http.listen too", "give it a port of its own");
    }
    let is_router = routing.table.is_some() || queues.default.is_some();
    if !catalogue.discover && catalogue.paths.is_empty() && !is_router {
        let wrong = "leaves nothing to compile with, as catalogue.paths is empty";
        layers.object(
            "catalogue.discover",
            wrong,
            "name a catalogue, or let the machine's compilers be found",
        );
    }
    for (path, paths) in
        [("sandbox.readable", &sandbox.readable), ("catalogue.search_path", &catalogue.search_path)]
    {
        if let Some(relative) = paths.iter().find(|path| !path.is_absolute()) {
            layers.object(path, format!("{} is not an absolute path", relative.display()), "begin it with /");
        }
    }
    if let Some(name) = http.environment.as_ref().filter(|name| name.contains('/') || *name == "api") {
        let wrong = format!("{name} cannot be a first path segment");
        layers.object("http.environment", wrong, "write a name such as prod");
    }
    if log::parse_filter(&log.filter).is_err() {
        layers.object("log.filter", "is no filter", "write a level such as info, or info,hyper=warn");
    }
}

fn routes(config: &Config, layers: &mut Layers) {
    let Config { routing, queues, .. } = config;
    let hub = "name the events hub, such as wss://events.example.com/prod";
    match &config.events.url {
        Some(url) if !["ws://", "wss://"].iter().any(|scheme| url.starts_with(scheme)) => {
            layers.object("events.url", "is not the URL of an events hub", hub);
        }
        None if queues.all().any(QueueAddress::is_url) => {
            let wrong = "is empty, and results of jobs from a queue elsewhere would reach nobody";
            layers.object("events.url", wrong, hub);
        }
        _ => {}
    }
    if let Some(own) = &queues.own
        && queues.all().any(|queue| queue.is_url() != own.is_url())
    {
        let wrong = "is not where the other queues are: some are elsewhere, and some in this process";
        layers.object("queues.own", wrong, "write URLs for all, or names for all");
    }
    if queues.colours && config.aws.color_parameter.is_none() && routing.table.is_some() {
        let wrong = "nobody tells which color is live, as aws.color_parameter is empty";
        layers.object("queues.colours", wrong, "name the parameter, or leave colors out");
    }
    if queues.colours && routing.table.is_none() {
        let wrong = "nobody tells which color is live, as routing.table is empty";
        layers.object("queues.colours", wrong, "name a table, or leave colors out");
    }
}

fn shadow(config: &Config, layers: &mut Layers) {
    let Config { shadow, .. } = config;
    let fix = "name the service, such as http://balancer.example";
    if let Some(url) = &shadow.url
        && !is_service(url)
    {
        layers.object("shadow.url", "is not the http:// or https:// URL of a service", fix);
    }
    if shadow.at_once == 0 {
        layers.object(
            "shadow.at_once",
            "nobody would ever be asked",
            "write a number above zero, or leave shadow.url empty",
        );
    }
    if shadow.at_once > MOST_SHADOWED {
        layers.object("shadow.at_once", format!("is more than the {MOST_SHADOWED} allowed"), "lower it");
    }
    if shadow.patience.is_zero() {
        layers.object("shadow.patience", "leaves no time at all", "write a duration above zero");
    }
}

fn trace(config: &Config, layers: &mut Layers) {
    if config.trace.url.as_ref().is_some_and(|url| !is_service(url)) {
        let wrong = "is not the http:// or https:// URL of a collector";
        layers.object("trace.url", wrong, "write one such as http://127.0.0.1:4318");
    }
}

/// Whether paths can be asked for under this URL.
fn is_service(url: &str) -> bool {
    routing::forwardable(url).is_some_and(|url| url.query().is_none())
}

/// Names that others are made from.
fn names(config: &Config, layers: &mut Layers) {
    let fleet = &config.fleet;
    let is_name = |text: &str, most: usize, more: &str| {
        let may =
            |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter) || more.contains(letter);
        (1..=most).contains(&text.len()) && text.chars().all(may)
    };
    if !is_name(&fleet.name, LONGEST_NAME, "") {
        let wrong = format!("is not 1 to {LONGEST_NAME} letters, digits, dots, dashes and underscores");
        // Groups that are derived from it are no better, and not to blame.
        return layers.object("fleet.name", wrong, "write a name such as compilation");
    }
    for (path, group) in
        [("fleet.log_group", &fleet.log_group), ("fleet.metrics_group", &fleet.metrics_group)]
    {
        if !is_name(group, LONGEST_GROUP, "/#") {
            layers.object(
                path,
                "is no name of a log group",
                "write a name such as /compilation-worker/daemon",
            );
        }
    }
}

fn instance(config: &Config, layers: &mut Layers) {
    let Config { instance, .. } = config;
    let host = instance.metadata.strip_prefix("http://");
    if host.is_none_or(|host| host.parse::<Authority>().is_err()) {
        let wrong = "is not the URL of an instance metadata service";
        layers.object("instance.metadata", wrong, "write http://, a host, and a port if need be");
    }
    if !HOOK_TIMES.contains(&instance.hook_timeout) {
        let wrong = format!("is not from {} to {}", HOOK_TIMES.start().show(), HOOK_TIMES.end().show());
        layers.object("instance.hook_timeout", wrong, "write the heartbeat timeout that the hook has");
    }
    for (path, given, needs) in [
        (
            "instance.lifecycle_hook",
            instance.lifecycle_hook.is_some(),
            "tells when the group ends this instance",
        ),
        ("instance.protect_while_busy", instance.protect_while_busy, "tells which instance this is"),
        ("instance.drain_on_rebalance", instance.drain_on_rebalance, "hears of recommendations"),
    ] {
        if given && !instance.watch {
            let wrong = format!("needs instance.watch, which {needs}");
            layers.object(path, wrong, "set instance.watch = true, or leave this out");
        }
    }
}

fn warnings(config: &Config, machine: &Machine) -> Vec<String> {
    let mut warnings = Vec::new();
    let Config { sandbox, limits, engine, http, .. } = config;
    let jobs = limits.memory.bytes().saturating_mul(engine.slots as u64);
    let needed = jobs.saturating_add(engine.answer_cache.bytes()).saturating_add(engine.output_cache.bytes());
    if let Some(memory) = machine.memory.filter(|memory| needed > memory.bytes()) {
        warnings.push(format!(
            "engine.slots = {} jobs of limits.memory = {} and the caches need {}, more than this machine's {}; \
             under full load jobs may be killed for memory that no limit denied them",
            engine.slots,
            limits.memory,
            ByteSize(needed).rounded(),
            memory.rounded()
        ));
    }
    if engine.slots > machine.cores {
        warnings.push(format!(
            "engine.slots = {} is more than this machine's {} cores; compiles will slow each other down",
            engine.slots, machine.cores
        ));
    }
    let open = http.clear_cache_from.iter().find(|network| network.holds_private());
    if let Some(network) = open.filter(|_| !http.listen.ip().to_canonical().is_loopback()) {
        warnings.push(format!(
            "http.clear_cache_from holds {network}, and behind a balancer every caller has an address of a private \
             network: anybody may clear the caches; empty it, as this machine itself always may"
        ));
    }
    if sandbox.mode == Mode::None {
        warnings.push(
            "sandbox.mode = none: every request may read and write what this process may; for development only".to_owned(),
        );
    }
    warnings
}

impl Layers {
    /// Notes a mistake in a value that makes sense alone.
    fn object(&mut self, path: &str, wrong: impl Into<String>, fix: &str) {
        let Some(key) = Key::find(path) else { return };
        let (raw, origin) = self.current(key);
        self.mistakes.push(Mistake {
            key: path.to_owned(),
            value: Some(raw.to_string()),
            origin,
            wrong: wrong.into(),
            fix: fix.to_owned(),
        });
    }
}
