//! The instances' policy allows exactly the calls that the adapters make, and what the `CloudWatch` agent needs.

use std::collections::{BTreeMap, BTreeSet};

use compilation_worker::operate::permissions::PERMISSIONS;
use regex::Regex;
use serde_json::{Value as Json, json};

use crate::infrastructure::plan::{Plan, example, with};
use crate::tidy::{sources, without_tests};

/// The daemon's calls of the SDK's clients, and the right that each takes. A call on several things at once needs the
/// right to the same on one.
const CALLS: [(&str, &str); 8] = [
    ("receive_message", "sqs:ReceiveMessage"),
    ("delete_message_batch", "sqs:DeleteMessage"),
    ("change_message_visibility", "sqs:ChangeMessageVisibility"),
    ("send_message_batch", "sqs:SendMessage"),
    ("get_item", "dynamodb:GetItem"),
    ("scan", "dynamodb:Scan"),
    ("get_object", "s3:GetObject"),
    ("put_object", "s3:PutObject"),
];
/// The daemon's calls that are signed by hand, by their names on the wire.
const SIGNED: [(&str, &str); 4] = [
    ("AmazonSSM.GetParameter", "ssm:GetParameter"),
    ("SetInstanceProtection", "autoscaling:SetInstanceProtection"),
    ("RecordLifecycleActionHeartbeat", "autoscaling:RecordLifecycleActionHeartbeat"),
    ("CompleteLifecycleAction", "autoscaling:CompleteLifecycleAction"),
];
/// The right by which S3 says of an object that it is not there.
const ABSENT: &str = "s3:ListBucket";
/// What is not a call of the daemon's, and why it is there.
const BESIDES: [(&str, &str); 13] = [
    (ABSENT, "so that S3 says that an object is not there, instead of that it is forbidden"),
    ("logs:CreateLogStream", "the CloudWatch agent"),
    ("logs:DescribeLogStreams", "the CloudWatch agent"),
    ("logs:PutLogEvents", "the CloudWatch agent"),
    ("cloudwatch:PutMetricData", "the CloudWatch agent, for memory, disk and network"),
    ("ec2:DescribeTags", "the CloudWatch agent, for the group's name"),
    ("xray:PutTelemetryRecords", "the CloudWatch agent, for traces"),
    ("xray:PutTraceSegments", "the CloudWatch agent, for traces"),
    ("ssm:UpdateInstanceInformation", "sessions of Session Manager"),
    ("ssmmessages:CreateControlChannel", "sessions of Session Manager"),
    ("ssmmessages:CreateDataChannel", "sessions of Session Manager"),
    ("ssmmessages:OpenControlChannel", "sessions of Session Manager"),
    ("ssmmessages:OpenDataChannel", "sessions of Session Manager"),
];

/// Adapters that only the operator's commands have: `tests/it/cli/rights.rs` and `tests/it/operator/rights.rs` compare what
/// they ask for with [`PERMISSIONS`].
const OPERATORS: [&str; 8] = [
    "autoscaling/group.rs",
    "autoscaling/refresh.rs",
    "balancer.rs",
    "balancer/rules.rs",
    "logs.rs",
    "overseer.rs",
    "route_table.rs",
    "statistics.rs",
];

/// Every statement of a policy: its actions, and its resources.
fn statements(policy: &Json) -> Vec<(Vec<String>, Vec<String>, Json)> {
    let policy: Json = serde_json::from_str(policy["policy"].as_str().unwrap()).unwrap();
    let list = |value: &Json| match value {
        Json::String(one) => vec![one.clone()],
        Json::Array(many) => many.iter().map(|one| one.as_str().unwrap().to_owned()).collect(),
        other => panic!("{other}"),
    };
    let statement =
        |statement: &Json| (list(&statement["Action"]), list(&statement["Resource"]), statement.clone());
    policy["Statement"].as_array().unwrap().iter().map(statement).collect()
}

fn actions(policy: &Json) -> BTreeSet<String> {
    statements(policy).into_iter().flat_map(|(actions, ..)| actions).collect()
}

/// The SDK calls of one file, and how many requests it sends in all.
fn calls(text: &str) -> (Vec<&'static str>, usize) {
    let text = without_tests(text);
    let times = |call: &str| text.matches(&format!(".{call}()")).count();
    let found = CALLS.into_iter().flat_map(|(call, action)| std::iter::repeat_n(action, times(call)));
    // Everything that an SDK's client does ends in this.
    (found.collect(), text.matches(".send()").count())
}

/// Names of calls that are signed by hand.
fn signed(text: &str) -> BTreeSet<String> {
    let json = Regex::new(r#""(Amazon\w+\.\w+)""#).unwrap();
    let form = Regex::new(r#"\.form(?:_once)?\(\s*"(\w+)""#).unwrap();
    let text = without_tests(text);
    json.captures_iter(text).chain(form.captures_iter(text)).map(|found| found[1].to_owned()).collect()
}

#[test]
fn the_daemon_may_do_what_it_does_and_nothing_else() {
    let mut needed: BTreeSet<String> = BESIDES.into_iter().map(|(action, _)| action.to_owned()).collect();
    let by_wire: BTreeMap<_, _> = SIGNED.into_iter().collect();
    let is_operators = |path: &str| OPERATORS.iter().any(|name| path == format!("src/aws/{name}"));
    let adapters: Vec<_> = sources().into_iter().filter(|(path, _)| path.starts_with("src/aws/")).collect();
    assert_eq!(adapters.iter().filter(|(path, _)| is_operators(path)).count(), OPERATORS.len());
    let adapters = adapters.into_iter().filter(|(path, _)| !is_operators(path));
    let mut sent = 0;
    for (path, text) in adapters {
        let (calls, requests) = calls(&text);
        assert_eq!(calls.len(), requests, "{path} makes a call that has no row in the table: {calls:?}");
        sent += requests;
        needed.extend(calls.into_iter().map(str::to_owned));
        for name in signed(&text) {
            let action =
                by_wire.get(&*name).unwrap_or_else(|| panic!("{path}: {name} has no row in the table"));
            needed.insert((*action).to_owned());
        }
    }
    assert!(sent >= CALLS.len(), "the adapters were not found");
    // What the daemon can do with everything switched on.
    let plan = Plan::of(&with(&json!({ "color_parameter": "/prod/active-color", "trace_percent": 5 })));
    assert_eq!(actions(plan.one("aws_iam_role_policy.worker")), needed);
    assert!(BESIDES.iter().all(|(_, reason)| reason.len() > 10));
}

#[test]
fn a_new_call_would_be_noticed() {
    let planted =
        "client.get_object().bucket(b).send().await;\nclient.delete_object().bucket(b).send().await;\n";
    assert_eq!(calls(planted), (vec!["s3:GetObject"], 2));
    assert_eq!(calls("told.send(outcome)\n\n#[cfg(test)]\nmod tests {\nx.send()\n}\n"), (vec![], 0));
    let planted = "service.form_once(\n\"TerminateInstances\", &p); json(\"AmazonSSM.PutParameter\", b)";
    assert_eq!(
        signed(planted).into_iter().collect::<Vec<_>>(),
        ["AmazonSSM.PutParameter", "TerminateInstances"]
    );
}

#[test]
fn each_right_is_to_a_thing_of_its_own() {
    let plan = Plan::of(&example("large"));
    for (actions, resources, statement) in statements(plan.one("aws_iam_role_policy.worker")) {
        assert!(actions.iter().all(|action| !action.contains('*')), "{statement}");
        // These calls know no single resource; one of them is held to the agent's namespace.
        let anything = [
            "ec2:DescribeTags",
            "cloudwatch:PutMetricData",
            "ssm:UpdateInstanceInformation",
            "xray:PutTelemetryRecords",
        ]
        .contains(&&*actions[0]);
        assert_eq!(resources.iter().any(|resource| resource == "*"), anything, "{statement}");
        if actions[0] == "cloudwatch:PutMetricData" {
            assert_eq!(
                statement["Condition"],
                json!({ "StringEquals": { "cloudwatch:namespace": "CWAgent" } })
            );
        }
        if actions == [ABSENT] {
            let prefix = statement["Condition"]["StringLikeIfExists"]["s3:prefix"].as_str().unwrap();
            assert!(["cache/*", "sqs-overflow/*"].contains(&prefix), "{statement}");
        }
    }
    // Who records nothing needs no right to.
    let silent = actions(Plan::of(&example("small")).one("aws_iam_role_policy.worker"));
    assert!(silent.iter().all(|action| !action.starts_with("xray:")), "{silent:?}");
    let bare =
        json!({ "create_overflow_bucket": false, "create_results_bucket": false, "session_manager": false });
    let bare = with(&bare);
    let bare = actions(Plan::of(&bare).one("aws_iam_role_policy.worker"));
    assert!(bare.iter().all(|action| !action.starts_with("s3:") && !action.starts_with("ssm:")), "{bare:?}");
}

#[test]
fn nothing_takes_a_word_that_is_not_encrypted() {
    let plan = Plan::of(&example("small"));
    let policies =
        ["aws_sqs_queue_policy.jobs", "aws_sqs_queue_policy.dead_letters", "aws_s3_bucket_policy.own"];
    for policy in policies.into_iter().flat_map(|address| plan.all(address)) {
        let denied = statements(policy).into_iter().any(|(.., statement)| {
            statement["Effect"] == "Deny"
                && statement["Principal"] == "*"
                && statement["Condition"] == json!({ "Bool": { "aws:SecureTransport": "false" } })
        });
        assert!(denied, "{policy}");
    }
    assert_eq!(plan.all("aws_s3_bucket_policy.own").len(), 2);
    let senders = Plan::of(&example("large"));
    let statements = statements(senders.one("aws_sqs_queue_policy.jobs"));
    let (actions, _, statement) = &statements[1];
    assert_eq!(*actions, ["sqs:SendMessage", "sqs:GetQueueAttributes"]);
    assert_eq!(statement["Principal"], json!({ "AWS": ["arn:aws:iam::123456789012:role/CeRouterRole"] }));
}

#[test]
fn an_operator_may_do_what_the_commands_do_and_nothing_else() {
    let plan = Plan::of(&example("large"));
    let policy = plan.one("aws_iam_policy.operator");
    let needed = PERMISSIONS.iter().flat_map(|row| row.actions).chain(&[ABSENT]);
    assert_eq!(actions(policy), needed.map(|action| (*action).to_owned()).collect());
    for (actions, resources, statement) in statements(policy) {
        // Only what merely looks may be for everything: these calls know no single resource.
        let looks = |action: &String| action.contains(":Describe") || action.contains(":GetMetric");
        assert!(!resources.contains(&"*".to_owned()) || actions.iter().all(looks), "{statement}");
    }
}
