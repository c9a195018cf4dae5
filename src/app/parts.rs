//! From the configuration's keys to the settings of each part.

use anyhow::Context as _;

use crate::app::trace;
use crate::compilers::{Catalogue, CatalogueSettings, Loaded};
use crate::config::keys::Config;
use crate::config::value::ByteSize;
use crate::doors::http::DoorSettings;
use crate::doors::server::HttpSettings;
use crate::engine::plan::PlanSettings;
use crate::engine::slots::SlotSettings;
use crate::engine::{EngineSettings, Rendition};
use crate::events::hub::HubSettings;
use crate::sandbox;

/// Loads the catalogue, and tells the log what it had to skip.
pub(super) fn catalogue(config: &Config) -> anyhow::Result<Loaded> {
    let settings = CatalogueSettings {
        files: config.catalogue.paths.clone(),
        discover: config.catalogue.discover,
        search_path: config.catalogue.search_path.clone(),
        environments: config.catalogue.environments.clone(),
        readable: readable(config),
    };
    Catalogue::load(&settings).context("could not load the catalogue")
}

/// What jobs may read: the usual places and what the operator adds.
fn readable(config: &Config) -> Vec<std::path::PathBuf> {
    let mut paths = sandbox::Settings::default_readable();
    paths.extend(config.sandbox.readable.iter().cloned());
    paths
}

/// The sandbox for `slots` jobs at once.
pub(super) fn sandbox(config: &Config, slots: usize) -> sandbox::Settings {
    sandbox::Settings {
        mode: config.sandbox.mode,
        readable: readable(config),
        limits: config.limits.of_a_job(),
        cgroup_parent: config.sandbox.cgroup_parent.clone(),
        ..sandbox::Settings::new(slots)
    }
}

/// The engine.
pub(super) fn engine(config: &Config) -> EngineSettings {
    EngineSettings {
        slots: SlotSettings { slots: config.engine.slots, queue: config.engine.queue_length },
        limits: config.limits.of_a_job(),
        queue_wait: config.engine.queue_wait,
        plan: PlanSettings::default(),
        output_cache: config.engine.output_cache.bytes(),
        reply_cache: config.engine.answer_cache.bytes(),
    }
}

/// The public server.
pub(super) fn http(config: &Config) -> HttpSettings {
    HttpSettings {
        idle: config.http.idle,
        head: config.http.head_deadline,
        body: config.http.body_deadline,
        write_window: config.http.write_deadline,
        body_bytes: size(config.http.body),
        connections: config.http.connections,
        lame_duck: config.drain.lame_duck,
        ..HttpSettings::default()
    }
}

/// The public door.
pub(super) fn door(config: &Config) -> DoorSettings {
    DoorSettings {
        environment: config.http.environment.clone(),
        default_rendition: if config.http.text_by_default { Rendition::Text } else { Rendition::Json },
        answer_within: config.engine.request_budget,
        body_bytes: size(config.http.body),
        keep_for: config.http.keep_for,
        clear_cache_from: config.http.clear_cache_from.clone(),
        version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        sampling: trace::sampling(config),
        ..DoorSettings::default()
    }
}

/// The events hub.
pub(super) fn hub(config: &Config) -> HubSettings {
    HubSettings {
        message: size(config.hub.message),
        frame: size(config.hub.frame),
        connections: config.hub.connections,
        subscriptions: config.hub.subscriptions,
        backlog: size(config.hub.backlog),
        ..HubSettings::default()
    }
}

fn size(size: ByteSize) -> usize {
    usize::try_from(size.bytes()).unwrap_or(usize::MAX)
}
