//! What must hold between values, once each of them makes sense alone.

use std::path::PathBuf;

use crate::config::keys::{Config, Key};
use crate::config::layers::{Layers, Mistake};
use crate::config::machine::Machine;
use crate::config::value::{ByteSize, SandboxMode, Value as _};
use crate::telemetry::log;

/// Notes what contradicts itself, and returns what is merely unwise.
pub(super) fn check(config: &Config, machine: &Machine, layers: &mut Layers) -> Vec<String> {
    contradictions(config, layers);
    warnings(config, machine)
}

fn contradictions(config: &Config, layers: &mut Layers) {
    let Config { http, admin, catalogue, sandbox, limits, engine, drain, log } = config;
    let mut rule = |holds: bool, path: &str, wrong: String, fix: &str| {
        if !holds {
            layers.object(path, wrong, fix);
        }
    };
    let positive = "write a number above zero";
    rule(engine.slots > 0, "engine.slots", "nothing would ever compile".to_owned(), positive);
    rule(http.connections > 0, "http.connections", "nobody could connect".to_owned(), positive);
    rule(limits.pids > 0, "limits.pids", "no compiler could start".to_owned(), positive);
    rule(limits.cpu_millis > 0, "limits.cpu_millis", "no compiler could run".to_owned(), positive);
    rule(limits.memory.bytes() > 0, "limits.memory", "no compiler could run".to_owned(), "write a size above 0B");
    rule(
        http.idle > http.balancer_idle,
        "http.idle",
        format!("must exceed http.balancer_idle = {}", http.balancer_idle.show()),
        "raise it, or the balancer sends requests into connections that we have just closed",
    );
    rule(
        engine.request_budget >= engine.queue_wait + limits.wall,
        "engine.request_budget",
        format!("is less than engine.queue_wait + limits.wall = {}", (engine.queue_wait + limits.wall).show()),
        "raise it, or lower one of the two",
    );
    rule(
        engine.request_budget < http.balancer_idle,
        "engine.request_budget",
        format!("must stay below http.balancer_idle = {}", http.balancer_idle.show()),
        "lower it, or the balancer gives up on a request before we answer it",
    );
    rule(
        drain.budget > drain.lame_duck + limits.wall,
        "drain.budget",
        format!("must exceed drain.lame_duck + limits.wall = {}", (drain.lame_duck + limits.wall).show()),
        "raise it, or a compile that has just begun is killed at every stop",
    );
    rule(
        http.listen.port() == 0 || http.listen != admin.listen,
        "admin.listen",
        "is the address of http.listen too".to_owned(),
        "give it a port of its own",
    );
    rule(
        catalogue.discover || !catalogue.paths.is_empty(),
        "catalogue.discover",
        "leaves nothing to compile with, as catalogue.paths is empty".to_owned(),
        "name a catalogue, or let the machine's compilers be found",
    );
    rule(
        limits.output.bytes() <= limits.memory.bytes() && limits.artifact.bytes() <= limits.memory.bytes(),
        "limits.memory",
        "is less than limits.output or limits.artifact, which we hold for each job".to_owned(),
        "raise it, or lower those",
    );
    let relative = |paths: &[PathBuf]| paths.iter().find(|path| !path.is_absolute()).map(|path| path.display().to_string());
    for (path, paths) in [("sandbox.readable", &sandbox.readable), ("catalogue.search_path", &catalogue.search_path)] {
        if let Some(relative) = relative(paths) {
            rule(false, path, format!("{relative} is not an absolute path"), "begin it with /");
        }
    }
    if let Some(name) = http.environment.as_ref().filter(|name| name.contains('/') || *name == "api") {
        rule(false, "http.environment", format!("{name} cannot be a first path segment"), "write a name such as prod");
    }
    if log::parse_filter(&log.filter).is_err() {
        rule(false, "log.filter", "is no filter".to_owned(), "write a level such as info, or info,hyper=warn");
    }
}

fn warnings(config: &Config, machine: &Machine) -> Vec<String> {
    let mut warnings = Vec::new();
    let Config { sandbox, limits, engine, .. } = config;
    let jobs = limits.memory.bytes().saturating_mul(engine.slots as u64);
    let caches = engine.answer_cache.bytes().saturating_add(engine.output_cache.bytes());
    if let Some(memory) = machine.memory.filter(|memory| jobs.saturating_add(caches) > memory.bytes()) {
        warnings.push(format!(
            "engine.slots = {} jobs of limits.memory = {} and the caches need {}, more than the {} this machine has; \
             under full load jobs will be killed for memory that no limit denied them",
            engine.slots,
            limits.memory,
            ByteSize(jobs.saturating_add(caches)),
            memory
        ));
    }
    if engine.slots > machine.cores {
        warnings.push(format!(
            "engine.slots = {} is more than this machine's {} cores; compiles will slow each other down",
            engine.slots, machine.cores
        ));
    }
    if sandbox.mode == SandboxMode::None {
        warnings.push(
            "sandbox.mode = none: every request may read and write what this process may; for development only".to_owned(),
        );
    }
    warnings
}

impl Layers {
    fn object(&mut self, path: &str, wrong: String, fix: &str) {
        let Some(key) = Key::find(path) else { return };
        let (raw, origin) = self.current(key);
        self.mistakes.push(Mistake {
            key: path.to_owned(),
            value: Some(raw.to_string()),
            origin,
            wrong,
            fix: fix.to_owned(),
        });
    }
}
