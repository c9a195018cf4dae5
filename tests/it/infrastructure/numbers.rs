//! The plan's figures are the defaults, and times and counts that hang together across queue, balancer, group and daemon
//! do so.

use std::collections::BTreeMap;

use compilation_worker::doors::queue::QueueSettings;
use compilation_worker::ports::QueueAddress;
use compilation_worker::wire::envelope::LARGEST_INLINE;
use serde_json::{Value as Json, json};

use crate::infrastructure::plan::{Plan, default, least, packers_default, with};
use crate::infrastructure::settings::configuration;
use crate::tidy::sources;

/// What the unit gives a stopping daemon, in seconds (decision D22).
const TIMEOUT_STOP: u64 = 75;
/// Seconds until a balancer's figures of a minute are all there: what `migrate weights --watch` leaves out.
const FIGURES_SETTLE: u64 = 180;

fn whole(value: &Json) -> u64 {
    value.as_u64().or_else(|| value.as_str()?.parse().ok()).unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn the_plans_figures_are_the_defaults() {
    for (name, figure) in [
        ("name", json!("compilation")),
        ("instance_types", json!(["t4g.medium", "t4g.large", "m7g.medium"])),
        ("min_size", json!(2)),
        ("desired_size", json!(3)),
        ("max_size", json!(20)),
        ("cpu_target_percent", json!(70)),
        ("cpu_scale_in_percent", json!(40)),
        ("warmup_seconds", json!(120)),
        ("queue_retention_seconds", json!(300)),
        ("queue_visibility_seconds", json!(60)),
        ("queue_receives", json!(3)),
        ("dead_letter_days", json!(14)),
        ("listener_priorities", json!([70])),
        ("compiler_patterns", json!(["*"])),
        ("project_builds", json!(false)),
        ("routing_table", json!("CompilerRouting")),
        ("log_retention_days", json!(7)),
        ("cpu_alarm_percent", json!(85)),
        ("queue_age_seconds", json!(30)),
        ("error_rate_percent", json!(0.1)),
        ("drain_seconds", json!(60)),
        ("lame_duck_seconds", json!(20)),
        ("prices", json!(null)),
    ] {
        assert_eq!(default(name), figure, "{name}");
    }
}

#[test]
fn the_queue_is_what_the_daemon_relies_on() {
    let plan = Plan::of(&least());
    let queue = plan.one("aws_sqs_queue.jobs");
    let address = QueueAddress::new(queue["url"].as_str().unwrap());
    assert!(address.is_fifo() && address.is_url());
    let daemon = QueueSettings::new(address, 2);
    for (attribute, expected) in [
        ("name", json!("compilation-queue.fifo")),
        ("fifo_queue", json!(true)),
        // The daemon names each message itself: content says nothing of who waits for it.
        ("content_based_deduplication", json!(false)),
        ("message_retention_seconds", json!(300)),
        ("visibility_timeout_seconds", json!(60)),
        ("sqs_managed_sse_enabled", json!(true)),
        // A regrouped message is repeated within its own group only, so groups may deduplicate alone.
        ("deduplication_scope", json!("messageGroup")),
        ("fifo_throughput_limit", json!("perMessageGroupId")),
    ] {
        assert_eq!(queue[attribute], expected, "{attribute}");
    }
    let redrive: Json = serde_json::from_str(queue["redrive_policy"].as_str().unwrap()).unwrap();
    assert_eq!(
        whole(&redrive["maxReceiveCount"]),
        u64::from(daemon.attempts),
        "the backstop is where the daemon ends"
    );
    let letters = plan.one("aws_sqs_queue.dead_letters");
    assert_eq!(redrive["deadLetterTargetArn"], letters["arn"]);
    assert_eq!(
        (&letters["name"], &letters["fifo_queue"]),
        (&json!("compilation-queue-dlq.fifo"), &json!(true))
    );
    assert_eq!(whole(&letters["message_retention_seconds"]), 14 * 24 * 60 * 60);
    let allowed = plan.one("aws_sqs_queue_redrive_allow_policy.dead_letters");
    let allowed: Json = serde_json::from_str(allowed["redrive_allow_policy"].as_str().unwrap()).unwrap();
    assert_eq!(allowed, json!({ "redrivePermission": "byQueue", "sourceQueueArns": [queue["arn"]] }));
    for queue in [queue, letters] {
        let room = whole(&queue["max_message_size"]) - LARGEST_INLINE as u64;
        assert!(room >= 4096, "an inline job's attributes have {room} bytes");
    }
    assert!(whole(&queue["message_retention_seconds"]) > daemon.budget.as_secs());
    assert!(whole(&queue["visibility_timeout_seconds"]) >= daemon.visibility.as_secs());
    assert_eq!(configuration(&BTreeMap::new()).queues.visibility, daemon.visibility);
    let slow = Plan::of(&with(&json!({ "queue_high_throughput": false })));
    assert_eq!(slow.one("aws_sqs_queue.jobs")["deduplication_scope"], "queue");
}

#[test]
fn health_checks_fit_the_lame_duck_and_the_drain_the_hook() {
    for (lame_duck, drain) in [(20, 60), (10, 45), (38, 60)] {
        let plan = Plan::of(&with(&json!({ "lame_duck_seconds": lame_duck, "drain_seconds": drain })));
        assert!(plan.refusals.is_empty(), "{:?}", plan.refusals);
        let group = plan.one("aws_lb_target_group.instances");
        let check = &group["health_check"][0];
        let noticed = whole(&check["interval"]) * whole(&check["unhealthy_threshold"]);
        assert_eq!(noticed, lame_duck, "an instance that ends serves until the balancer has noticed");
        assert!(whole(&check["timeout"]) < whole(&check["interval"]));
        assert_eq!(whole(&group["deregistration_delay"]), drain);
        let hook = plan.one("aws_autoscaling_lifecycle_hook.drain");
        assert!(whole(&hook["heartbeat_timeout"]) >= TIMEOUT_STOP);
        assert_eq!(hook["lifecycle_transition"], "autoscaling:EC2_INSTANCE_TERMINATING");
        // A daemon that is dead must not keep its machine.
        assert_eq!(hook["default_result"], "CONTINUE");
    }
    let daemon = configuration(&BTreeMap::new());
    assert_eq!(default("drain_seconds").as_u64(), Some(daemon.drain.budget.as_secs()));
    assert_eq!(default("balancer_idle_seconds").as_u64(), Some(daemon.http.balancer_idle.as_secs()));
}

#[test]
fn ports_and_paths_are_the_daemons() {
    let plan = Plan::of(&least());
    let group = plan.one("aws_lb_target_group.instances");
    let path = group["health_check"][0]["path"].as_str().unwrap();
    let routes = sources().into_iter().find(|(path, _)| path == "src/doors/http/router.rs").unwrap().1;
    assert!(routes.contains(&format!("at(\"{path}\"")), "{path} is no route");
    for verb in ["compile", "cmake", "build/"] {
        assert!(routes.contains(verb), "{verb} is no route");
    }
    let port = configuration(&BTreeMap::new()).http.listen.port().to_string();
    assert_eq!(group["port"].to_string(), port);
    for rule in [
        "aws_vpc_security_group_ingress_rule.from_balancer",
        "aws_vpc_security_group_egress_rule.balancer_to_instances",
    ] {
        let rule = plan.one(rule);
        assert_eq!(
            (rule["from_port"].to_string(), rule["to_port"].to_string()),
            (port.clone(), port.clone())
        );
    }
}

#[test]
fn the_group_grows_and_shrinks_as_planned() {
    let plan = Plan::of(&least());
    let group = plan.one("aws_autoscaling_group.workers");
    assert_eq!(group["name"], "compilation-asg");
    assert_eq!((&group["min_size"], &group["max_size"]), (&json!(2), &json!(20)));
    assert_eq!(group["health_check_type"], "ELB");
    assert_eq!(group["default_instance_warmup"], 120);
    let overrides = group["mixed_instances_policy"][0]["launch_template"][0]["override"].as_array().unwrap();
    let types: Vec<_> = overrides.iter().map(|entry| entry["instance_type"].clone()).collect();
    assert_eq!(Json::Array(types), default("instance_types"));
    // What is tracked may add only; one policy takes away.
    let targets = [("cpu", 70), ("backlog", 2), ("saturation", 100)];
    for (policy, target) in targets {
        let tracking =
            &plan.one(&format!("aws_autoscaling_policy.{policy}"))["target_tracking_configuration"][0];
        assert_eq!(
            (&tracking["target_value"], &tracking["disable_scale_in"]),
            (&json!(target), &json!(true))
        );
    }
    let takes = plan.one("aws_autoscaling_policy.scale_in");
    assert_eq!(takes["step_adjustment"][0]["scaling_adjustment"], -1);
    let low = plan.one("aws_cloudwatch_metric_alarm.scale_in");
    assert_eq!((&low["threshold"], &low["comparison_operator"]), (&json!(40), &json!("LessThanThreshold")));
    assert_eq!(low["alarm_actions"], json!([takes["arn"]]));
    let surge = plan.one("aws_cloudwatch_metric_alarm.surge");
    assert_eq!(
        (&surge["evaluation_periods"], &surge["datapoints_to_alarm"]),
        (&json!(2), &json!(2)),
        "demand that has jumped is met after two minutes, and not for a slip of one"
    );
    // Figures that are late must not look like a fleet without slots.
    let queries = surge["metric_query"].as_array().unwrap();
    let backlog = queries.iter().find(|query| query["id"] == "backlog").unwrap();
    assert!(!backlog["expression"].as_str().unwrap().contains("FILL"), "{backlog}");
    assert_eq!(surge["treat_missing_data"], "notBreaching");
}

#[test]
fn a_refresh_stops_where_an_alarm_rings() {
    let plan = Plan::of(&least());
    let group = plan.one("aws_autoscaling_group.workers");
    let preferences = &group["instance_refresh"][0]["preferences"][0];
    // The group has the new version by then, so a rollback would end at what has failed.
    assert_eq!(preferences["auto_rollback"], false);
    // Who is never idle is replaced as well, and not waited for; the hook lets it drain.
    assert_eq!(preferences["scale_in_protected_instances"], "Refresh");
    assert_eq!(preferences["standby_instances"], "Ignore");
    let pause = whole(&preferences["checkpoint_delay"]);
    let alarms = preferences["alarm_specification"][0]["alarms"].as_array().unwrap();
    assert_eq!(alarms.len(), 2);
    let all: Vec<&Json> = plan
        .resources
        .iter()
        .filter(|(address, _)| address.starts_with("aws_cloudwatch_metric_alarm."))
        .flat_map(|(_, instances)| instances)
        .collect();
    for name in alarms {
        let alarm = all.iter().find(|alarm| alarm["alarm_name"] == *name).unwrap();
        let queries = alarm["metric_query"].as_array().into_iter().flatten();
        let longest = queries.filter_map(|query| query["metric"][0]["period"].as_u64()).max();
        let period = longest.unwrap_or_else(|| whole(&alarm["period"]));
        let rings = period * whole(&alarm["evaluation_periods"]) + FIGURES_SETTLE;
        assert!(pause > rings, "{name} rings after {rings} s, and the pause is {pause} s");
    }
}

#[test]
fn a_volume_holds_its_image() {
    let image = packers_default("volume_size").as_u64().unwrap();
    assert!(default("root_volume_gib").as_u64().unwrap() >= image);
    for (size, is_refused) in [(image - 1, true), (image, false)] {
        let refusals = Plan::of(&with(&json!({ "root_volume_gib": size }))).refusals;
        assert_eq!(!refusals.is_empty(), is_refused, "{size} GiB: {refusals:?}");
        assert!(refusals.iter().all(|refusal| refusal.contains("volume_size")), "{refusals:?}");
    }
}

#[test]
fn a_machine_is_closed() {
    let plan = Plan::of(&least());
    let template = plan.one("aws_launch_template.worker");
    let metadata = &template["metadata_options"][0];
    assert_eq!(
        (&metadata["http_tokens"], &metadata["http_put_response_hop_limit"]),
        (&json!("required"), &json!(1))
    );
    let interface = &template["network_interfaces"][0];
    assert_eq!(interface["associate_public_ip_address"], "false");
    let disk = &template["block_device_mappings"][0]["ebs"][0];
    assert_eq!((&disk["volume_type"], &disk["encrypted"]), (&json!("gp3"), &json!("true")));
    assert_eq!(template["monitoring"][0]["enabled"], true);
    assert_eq!(template["instance_type"], "t4g.medium");
    assert!(template.get("credit_specification").is_none(), "m7g could not start from such a template");
    assert!(template.get("key_name").is_none());
    let burstable = json!({ "cpu_credits": "standard", "instance_types": ["t4g.medium"] });
    let low = "aws_cloudwatch_metric_alarm.cpu_credits_low";
    assert_eq!((plan.all(low).len(), Plan::of(&with(&burstable)).all(low).len()), (0, 1));
    let template = Plan::of(&with(&burstable)).one("aws_launch_template.worker").clone();
    assert_eq!(template["credit_specification"], json!([{ "cpu_credits": "standard" }]));
}
