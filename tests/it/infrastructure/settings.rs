//! What user data writes for the daemon, the daemon takes: every name is a key, and all of it together a configuration.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::Duration;

use compilation_worker::config::flags::Flags;
use compilation_worker::config::keys::{Config, KEYS};
use compilation_worker::config::machine::Machine;
use compilation_worker::config::value::ByteSize;
use compilation_worker::config::{Inputs, Loaded, load};
use compilation_worker::domain::limits::MIB;
use serde_json::{Value as Json, json};

use crate::infrastructure::plan::{Plan, example, least, with};

/// The file that a machine finds, as cloud-init writes it.
pub(super) fn environment(plan: &Plan) -> BTreeMap<String, String> {
    let user_data = plan.one("aws_launch_template.worker")["user_data"].as_str().unwrap();
    let cloud_config = user_data.strip_prefix("#cloud-config\n").expect("what cloud-init understands");
    let cloud_config: Json = serde_json::from_str(cloud_config).unwrap();
    let file = &cloud_config["write_files"][0];
    assert_eq!(file["path"], "/etc/compilation-worker/environment");
    assert_eq!(
        cloud_config["runcmd"],
        json!([["systemctl", "enable", "--now", "--no-block", "compilation-worker.service"]])
    );
    let lines = file["content"].as_str().unwrap().lines();
    lines.map(|line| line.split_once('=').map(|(name, value)| (name.into(), value.into())).unwrap()).collect()
}

/// The configuration that the daemon makes of it and of the image's own file, on a t4g.medium.
pub(super) fn configuration(environment: &BTreeMap<String, String>) -> Config {
    let given = environment.iter();
    let environment = given.map(|(name, value)| (OsString::from(name), OsString::from(value))).collect();
    let machine = Machine { cores: 2, memory: Some(ByteSize(4096 * MIB)) };
    let file = Some(concat!(env!("CARGO_MANIFEST_DIR"), "/init/config.toml").into());
    let inputs = Inputs { flags: Flags { file, ..Flags::default() }, environment, machine };
    let Loaded { config, warnings, .. } = load(inputs).unwrap_or_else(|errors| panic!("{errors:?}"));
    assert!(warnings.is_empty(), "{warnings:?}");
    config
}

#[test]
fn every_variable_is_a_key() {
    let color = with(&json!({ "environment": "prod", "color_parameter": "/prod/color" }));
    for inputs in [least(), example("small"), example("large"), color] {
        for name in environment(&Plan::of(&inputs)).keys() {
            let is_key = KEYS.iter().any(|key| key.variable() == *name);
            assert!(is_key, "{name} is no setting of the daemon");
        }
    }
}

#[test]
fn the_daemon_takes_it_all() {
    let config = configuration(&environment(&Plan::of(&example("large"))));
    assert_eq!(config.http.listen.to_string(), "0.0.0.0:10240");
    assert_eq!(config.http.environment.as_deref(), Some("prod"));
    assert_eq!(
        (config.drain.lame_duck, config.drain.budget),
        (Duration::from_secs(20), Duration::from_mins(1))
    );
    let own = config.queues.own.as_ref().unwrap();
    assert_eq!(own.as_str(), "https://sqs.us-east-1.amazonaws.com/123456789012/compilation-queue.fifo");
    assert_eq!(config.queues.default, None);
    assert!(config.queues.dead_letters.unwrap().as_str().ends_with("/compilation-queue-dlq.fifo"));
    assert_eq!(config.routing.table.as_deref(), Some("CompilerRouting"));
    assert_eq!(config.storage.results_bucket.as_deref(), Some("storage.example.com"));
    assert_eq!(
        config.storage.overflow_bucket.as_deref(),
        Some("compilation-overflow-123456789012-us-east-1")
    );
}

#[test]
fn beside_todays_queues_it_knows_them_and_their_color() {
    let queue = "https://sqs.us-east-1.amazonaws.com/123456789012/prod-compilation-queue.fifo";
    let inputs = with(&json!({ "default_queue_url": queue, "color_parameter": "/prod/active-color" }));
    let config = configuration(&environment(&Plan::of(&inputs)));
    assert_eq!(config.queues.default.unwrap().as_str(), queue);
    assert!(config.queues.colours);
    assert_eq!(config.aws.color_parameter.as_deref(), Some("/prod/active-color"));
}

#[test]
fn an_operator_is_told_where_rows_lead_as_the_daemon_is() {
    let queue = "https://sqs.us-east-1.amazonaws.com/123456789012/prod-compilation-queue.fifo";
    let beside = with(&json!({ "default_queue_url": queue, "color_parameter": "/prod/active-color" }));
    for (inputs, all) in [(least(), false), (beside, true)] {
        let plan = Plan::of(&inputs);
        let (told, daemon) = (&plan.outputs["operator_environment"], environment(&plan));
        let names = ["queues.own", "queues.default", "queues.colours", "routing.table", "fleet.name"];
        for key in KEYS.iter().filter(|key| names.contains(&&*key.path())) {
            let name = key.variable();
            assert_eq!(
                told.get(&name).and_then(Json::as_str),
                daemon.get(&name).map(String::as_str),
                "{name}"
            );
            assert!(!all || daemon.contains_key(&name), "{name}");
        }
    }
}

#[test]
fn without_a_color_or_buckets_nothing_is_said_of_them() {
    let inputs = with(&json!({ "create_overflow_bucket": false, "create_results_bucket": false }));
    let config = configuration(&environment(&Plan::of(&inputs)));
    assert_eq!((config.storage.overflow_bucket, config.storage.results_bucket), (None, None));
    assert_eq!((config.aws.color_parameter, config.queues.colours), (None, false));
    assert_eq!(config.http.environment, None);
}

#[test]
fn traces_go_to_the_agent_where_they_are_wanted() {
    let config = configuration(&environment(&Plan::of(&with(&json!({ "trace_percent": 0.5 })))));
    assert_eq!(config.trace.share.millionths(), 5_000);
    let agent = concat!(env!("CARGO_MANIFEST_DIR"), "/packer/amazon-cloudwatch-agent.json");
    let agent: Json = serde_json::from_str(&std::fs::read_to_string(agent).unwrap()).unwrap();
    let listens = agent["traces"]["traces_collected"]["otlp"]["http_endpoint"].as_str().unwrap();
    assert_eq!(config.trace.url, Some(format!("http://{listens}")));
    assert_eq!(configuration(&environment(&Plan::of(&least()))).trace.url, None);
}

#[test]
fn an_operator_has_the_last_word() {
    let inputs = with(&json!({ "settings": { "engine.slots": "1", "http.listen": "0.0.0.0:8080" } }));
    let config = configuration(&environment(&Plan::of(&inputs)));
    assert_eq!((config.engine.slots, config.http.listen.port()), (1, 8080));
}
