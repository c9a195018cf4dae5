//! What Amazon has no room for, and what Terraform must refuse.

use serde_json::{Value as Json, json};

use crate::infrastructure::plan::{NAMELESS_VPC, Plan, example, least, with};

/// An application load balancer's limits for one rule, and for a path in it.
const RULE_VALUES: usize = 5;
const RULE_WILDCARDS: usize = 6;
const LONGEST_PATH: usize = 128;

fn paths(plan: &Plan) -> Vec<Vec<String>> {
    let values = |rule: &Json| {
        let values = rule["condition"][0]["path_pattern"][0]["values"].as_array().unwrap();
        values.iter().map(|value| value.as_str().unwrap().to_owned()).collect()
    };
    plan.all("aws_lb_listener_rule.compile").iter().map(values).collect()
}

#[test]
fn one_rule_is_enough_for_all_compilers() {
    let plan = Plan::of(&least());
    assert_eq!(paths(&plan), [["/api/compiler/*/compile"]]);
    assert_eq!(plan.one("aws_lb_listener_rule.compile")["priority"], 70);
    let plan = Plan::of(&with(&json!({ "environment": "prod", "compiler_patterns": ["g*"] })));
    assert_eq!(paths(&plan), [["/api/compiler/g*/compile", "/prod/api/compiler/g*/compile"]]);
}

#[test]
fn rules_stay_within_the_balancers_limits() {
    for (environment, patterns, builds) in [
        (json!("prod"), json!(["*"]), true),
        (json!(null), json!(["g*", "clang*", "icc*", "rustc?", "gnat*", "gdc*", "ldc*"]), false),
        (json!("staging"), json!(["g*", "clang*", "icc*"]), true),
    ] {
        let inputs = json!({
            "environment": environment,
            "compiler_patterns": patterns,
            "project_builds": builds,
            "listener_priorities": (70..90).collect::<Vec<_>>(),
        });
        let plan = Plan::of(&with(&inputs));
        let rules = paths(&plan);
        let environments = if environment.is_null() { 1 } else { 2 };
        let verbs = if builds { 3 } else { 1 };
        let all: Vec<_> = rules.iter().flatten().collect();
        assert_eq!(all.len(), patterns.as_array().unwrap().len() * environments * verbs, "{all:?}");
        assert_eq!(all.iter().any(|path| path.ends_with("/build/*")), builds);
        assert_eq!(all.iter().any(|path| path.ends_with("/cmake")), builds);
        for values in &rules {
            let wildcards = values.iter().map(|value| value.matches(['*', '?']).count()).sum::<usize>();
            assert!(values.len() <= RULE_VALUES && wildcards <= RULE_WILDCARDS, "{values:?}");
            assert!(values.iter().all(|value| value.len() <= LONGEST_PATH), "{values:?}");
        }
    }
}

#[test]
fn one_number_moves_the_requests_and_takes_them_back() {
    for weight in [0, 10, 50, 90, 100, 0] {
        let plan = Plan::of(&with(&json!({ "instances_weight": weight })));
        assert!(plan.refusals.is_empty(), "{:?}", plan.refusals);
        let instances = plan.one("aws_lb_target_group.instances")["arn"].clone();
        for rule in plan.all("aws_lb_listener_rule.compile") {
            let forward = &rule["action"][0]["forward"][0]["target_group"];
            let expected = json!([
                { "arn": instances, "weight": weight },
                { "arn": least()["existing_target_group_arn"], "weight": 100 - weight },
            ]);
            assert_eq!(forward, &expected);
        }
    }
    let alone = Plan::of(&example("small"));
    let forward = &alone.one("aws_lb_listener_rule.compile")["action"][0]["forward"][0]["target_group"];
    assert_eq!(forward.as_array().unwrap().len(), 1);
    assert_eq!(forward[0]["weight"], 100);
}

#[test]
fn mistakes_are_refused_with_the_name_of_the_variable() {
    let six = json!(["a*", "b*", "c*", "d*", "e*", "f*"]);
    for (over, refused) in [
        (json!({ "name": "Compilation" }), "var.name"),
        (json!({ "name": "a-name-that-is-far-too-long" }), "var.name"),
        (json!({ "environment": "api" }), "var.environment"),
        (json!({ "vpc_id": "main" }), "var.vpc_id"),
        (json!({ "subnet_ids": ["subnet-0"] }), "var.subnet_ids"),
        (json!({ "subnet_ids": ["subnet-0", "subnet-0"] }), "var.subnet_ids"),
        (json!({ "listener_arn": "arn:aws:sqs:us-east-1:1:x" }), "var.listener_arn"),
        (json!({ "balancer_idle_seconds": 50 }), "var.balancer_idle_seconds"),
        (json!({ "balancer_idle_seconds": 120 }), "var.balancer_idle_seconds"),
        (json!({ "balancer_idle_seconds": 62 }), "aws_lb_listener_rule.compile"),
        (json!({ "route_table_ids": [] }), "var.route_table_ids"),
        (json!({ "interface_endpoints": ["s3"] }), "var.interface_endpoints"),
        (json!({ "gateway_endpoints": ["s3", "sqs"] }), "var.gateway_endpoints"),
        (json!({ "vpc_id": NAMELESS_VPC }), "aws_vpc_endpoint.interface"),
        // Without endpoints and without a way out, nothing would be reached but S3 and DynamoDB.
        (json!({ "create_endpoints": false }), "var.create_endpoints"),
        (
            json!({ "create_endpoints": false, "egress": { "hub": { "cidr": "10.0.0.0/8", "port": 10242 } } }),
            "var.create_endpoints",
        ),
        (json!({ "trace_percent": 101 }), "var.trace_percent"),
        (json!({ "trace_percent": -1 }), "var.trace_percent"),
        (json!({ "trace_percent": 33.33333 }), "var.trace_percent"),
        (json!({ "egress": { "hub": { "cidr": "hub.example" } } }), "var.egress"),
        (json!({ "egress": { "hub": { "cidr": "10.0.0.0/8", "port": 0 } } }), "var.egress"),
        (json!({ "image_id": "latest" }), "var.image_id"),
        (json!({ "instance_types": ["m7i.large"] }), "var.instance_types"),
        (json!({ "instance_types": [] }), "var.instance_types"),
        (json!({ "cpu_credits": "standard" }), "var.cpu_credits"),
        (json!({ "root_volume_gib": 19 }), "var.root_volume_gib"),
        (json!({ "root_volume_gib": 1025 }), "var.root_volume_gib"),
        (json!({ "min_size": 4 }), "var.desired_size"),
        (json!({ "max_size": 1 }), "var.max_size"),
        (json!({ "cpu_scale_in_percent": 75 }), "var.cpu_target_percent"),
        (json!({ "backlog_surge_per_slot": 2 }), "var.backlog_surge_per_slot"),
        (json!({ "lame_duck_seconds": 15 }), "var.lame_duck_seconds"),
        (json!({ "drain_seconds": 90 }), "var.drain_seconds"),
        (json!({ "drain_seconds": 40 }), "var.drain_seconds"),
        (json!({ "hook_heartbeat_seconds": 60 }), "var.hook_heartbeat_seconds"),
        (json!({ "refresh_checkpoint_percentages": [50] }), "var.refresh_checkpoint_percentages"),
        (json!({ "queue_receives": 1 }), "var.queue_receives"),
        (json!({ "queue_message_bytes": 262_144 }), "var.queue_message_bytes"),
        (json!({ "queue_visibility_seconds": 5 }), "var.queue_visibility_seconds"),
        (json!({ "queue_senders": ["CeRouterRole"] }), "var.queue_senders"),
        (json!({ "dead_letter_days": 15 }), "var.dead_letter_days"),
        (json!({ "default_queue_url": "prod-compilation-queue.fifo" }), "var.default_queue_url"),
        (json!({ "neighbor_queue_arns": ["q.fifo"] }), "var.neighbor_queue_arns"),
        (json!({ "instances_weight": 101 }), "var.instances_weight"),
        (json!({ "instances_weight": 12.5 }), "var.instances_weight"),
        (json!({ "existing_target_group_arn": null, "instances_weight": 90 }), "var.instances_weight"),
        (json!({ "existing_target_group_arn": "lambda" }), "var.existing_target_group_arn"),
        (json!({ "compiler_patterns": ["g*1*"] }), "var.compiler_patterns"),
        (json!({ "compiler_patterns": ["g/.."] }), "var.compiler_patterns"),
        (json!({ "compiler_patterns": six }), "aws_lb_listener_rule.compile"),
        (json!({ "listener_priorities": [70, 70] }), "var.listener_priorities"),
        (json!({ "events_url": "https://events.example.com" }), "var.events_url"),
        (json!({ "routing_table": "x y" }), "var.routing_table"),
        (json!({ "color_parameter": "color" }), "var.color_parameter"),
        (json!({ "settings": { "slots": "2" } }), "var.settings"),
        (json!({ "settings": { "engine.slots": "2\nX=1" } }), "var.settings"),
        (json!({ "log_retention_days": 8 }), "var.log_retention_days"),
        (json!({ "alarm_actions": ["me@example.com"] }), "var.alarm_actions"),
        (json!({ "cpu_alarm_percent": 60 }), "var.cpu_alarm_percent"),
        (json!({ "cpu_credits_charged": -1 }), "var.cpu_credits_charged"),
        (json!({ "queue_age_seconds": 300 }), "var.queue_age_seconds"),
        (json!({ "error_rate_percent": 0 }), "var.error_rate_percent"),
    ] {
        let refusals = Plan::of(&with(&over)).refusals;
        let named = refusals.iter().any(|refusal| refusal.starts_with(&format!("{refused}: ")));
        assert!(named, "{over}: {refusals:?}");
    }
}

#[test]
fn everything_finds_room() {
    for inputs in
        [least(), example("small"), example("large"), with(&json!({ "name": "a-fleet-of-20-letter" }))]
    {
        let plan = Plan::of(&inputs);
        let size = |value: &Json| value.as_str().unwrap().len();
        let template = plan.one("aws_launch_template.worker");
        assert!(size(&template["user_data"]) <= 16 * 1024 * 3 / 4, "base64 of it must fit 16 KiB");
        assert!(size(&plan.one("aws_lb_target_group.instances")["name"]) <= 32);
        assert!(size(&plan.one("aws_iam_role_policy.worker")["policy"]) <= 10_240);
        assert!(size(&plan.one("aws_iam_policy.operator")["policy"]) <= 6_144);
        for bucket in plan.all("aws_s3_bucket.overflow").iter().chain(plan.all("aws_s3_bucket.results")) {
            assert!(size(&bucket["bucket"]) <= 63, "{bucket}");
        }
        for dashboard in plan.all("aws_cloudwatch_dashboard.fleet") {
            let body: Json = serde_json::from_str(dashboard["dashboard_body"].as_str().unwrap()).unwrap();
            let widgets = body["widgets"].as_array().unwrap();
            assert!(widgets.len() <= 500);
            for widget in widgets.iter().filter(|widget| widget["type"] == "metric") {
                assert!(widget["properties"]["metrics"].as_array().unwrap().len() <= 500);
            }
            for (at, widget) in widgets.iter().enumerate() {
                let edge = |name: &str| widget[name].as_u64().unwrap_or_else(|| panic!("{name} of {widget}"));
                assert!(edge("x") + edge("width") <= 24, "{widget}");
                let place = (edge("x"), edge("y"));
                let others = &widgets[at + 1..];
                assert!(others.iter().all(
                    |other| (other["x"].as_u64(), other["y"].as_u64()) != (Some(place.0), Some(place.1))
                ));
            }
        }
    }
}

#[test]
fn endpoints_that_take_over_names_for_a_vpc_answer_all_of_it() {
    let plan = Plan::of(&least());
    let endpoints = plan.one("aws_security_group.endpoints");
    let rules = plan.all("aws_vpc_security_group_ingress_rule.endpoints_from_vpc");
    let networks: Vec<_> = rules.iter().map(|rule| &rule["cidr_ipv4"]).collect();
    assert_eq!(networks, ["10.0.0.0/16", "100.64.0.0/20"]);
    for rule in rules {
        assert_eq!((&rule["security_group_id"], &rule["from_port"]), (&endpoints["id"], &json!(443)));
    }
    for endpoint in plan.all("aws_vpc_endpoint.interface") {
        assert_eq!(endpoint["private_dns_enabled"], true);
        assert_eq!(endpoint["security_group_ids"], json!([endpoints["id"]]));
    }
    // Beside a running system no name is taken over.
    let beside = Plan::of(&example("large"));
    assert!(beside.all("aws_vpc_endpoint.interface").is_empty());
    assert!(beside.all("aws_vpc_security_group_ingress_rule.endpoints_from_vpc").is_empty());
}

#[test]
fn what_is_there_already_is_used_and_not_made() {
    let plan = Plan::of(&with(&json!({
        "vpc_id": NAMELESS_VPC,
        "create_endpoints": false,
        "egress": { "nat": { "cidr": "0.0.0.0/0" } },
        "route_table_ids": [],
        "create_overflow_bucket": false,
        "overflow_bucket": "the-sites-own",
        "balancer_egress": false,
    })));
    assert!(plan.refusals.is_empty(), "{:?}", plan.refusals);
    for address in [
        "aws_vpc_endpoint.interface",
        "aws_vpc_endpoint.gateway",
        "aws_security_group.endpoints",
        "aws_s3_bucket.overflow",
        "aws_dynamodb_table.routing",
        "aws_vpc_security_group_egress_rule.balancer_to_instances",
    ] {
        assert!(plan.all(address).is_empty(), "{address}");
    }
    assert_eq!(plan.outputs["overflow_bucket"], "the-sites-own");
    let plan = Plan::of(&with(&json!({ "create_routing_table": true })));
    let table = plan.one("aws_dynamodb_table.routing");
    assert_eq!((&table["name"], &table["hash_key"]), (&json!("CompilerRouting"), &json!("compilerId")));
    let endpoints = plan.all("aws_vpc_endpoint.interface").len() + plan.all("aws_vpc_endpoint.gateway").len();
    assert_eq!(endpoints, 9);
    let plan = Plan::of(&with(&json!({ "gateway_endpoints": ["dynamodb"] })));
    let gateways = plan.all("aws_vpc_endpoint.gateway").iter().map(|gateway| &gateway["service_name"]);
    assert_eq!(gateways.collect::<Vec<_>>(), ["com.amazonaws.us-east-1.dynamodb"]);
    // What has both already needs no route tables named.
    let plan = Plan::of(&with(&json!({ "gateway_endpoints": [], "route_table_ids": [] })));
    assert!(plan.refusals.is_empty() && plan.all("aws_vpc_endpoint.gateway").is_empty());
    // One more for traces, where there are any.
    let names = |inputs: &Json| -> Vec<String> {
        let endpoints = Plan::of(&with(inputs)).all("aws_vpc_endpoint.interface").to_vec();
        endpoints.iter().map(|endpoint| endpoint["service_name"].as_str().unwrap().to_owned()).collect()
    };
    let traced = names(&json!({ "trace_percent": 5 }));
    assert_eq!(traced.len(), names(&json!({})).len() + 1);
    assert!(traced.contains(&"com.amazonaws.us-east-1.xray".to_owned()), "{traced:?}");
}
