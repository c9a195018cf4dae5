//! A fleet's day against a third party's emulator, which knows nothing of our adapters: what they ask for has to be
//! asked as Amazon reads it.
//!
//! What the emulator lacks, the test does in its place: targets leave the balancer when their instance does, and daemons
//! say that they have noticed. It has no refreshes at all, which `fleet status` says, and shows the rest.

use std::process::Stdio;
use std::time::Duration;

use compilation_worker::lifecycle;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::SOON;
use crate::support::control_plane::{ControlPlane, found};
use crate::support::daemon::program;

/// A fleet, and how it is spoken to.
struct Fleet {
    plane: ControlPlane,
    listener: String,
}

impl Fleet {
    fn command(&self, words: &[&str]) -> std::process::Command {
        let mut command = program();
        command.args(words).env("AWS_ENDPOINT_URL", self.plane.url());
        command.env("AWS_ACCESS_KEY_ID", "AKIDTEST").env("AWS_SECRET_ACCESS_KEY", "secret");
        command.env("AWS_EC2_METADATA_DISABLED", "true");
        command.env("COMPILATION_WORKER_FLEET_LISTENER", &self.listener);
        command
    }

    async fn run(&self, words: &[&str]) -> (String, String, Option<i32>) {
        let mut command = self.command(words);
        let output = lifecycle::blocking("program", move || command.output()).await.unwrap().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (text(output.stdout), text(output.stderr), output.status.code())
    }

    /// Says in a daemon's name whether it takes jobs.
    async fn say(&self, instance: &str, consuming: bool) {
        let word = json!({
            "Fleet": "compilation", "version": "0.1.0", "phase": "serving", "consuming": consuming,
            "slots": 2, "slots_busy": 0,
        });
        self.plane.log("metrics", instance, &word).await;
    }

    /// The group's state of an instance.
    async fn state(&self, instance: &str) -> (String, String) {
        let group = self.plane.form("autoscaling", "DescribeAutoScalingGroups", &[]).await;
        let instances = found(&group, "InstanceId");
        let at = instances.iter().position(|own| own == instance).unwrap();
        (found(&group, "LifecycleState").remove(at), found(&group, "ProtectedFromScaleIn").remove(at))
    }

    async fn target(&self, action: &str, instance: &str) {
        let group = [("Names.member.1", "compilation-instances")];
        let group = self.plane.form("elasticloadbalancing", "DescribeTargetGroups", &group).await;
        let group = &found(&group, "TargetGroupArn")[0];
        let target = [("TargetGroupArn", &**group), ("Targets.member.1.Id", instance)];
        self.plane.form("elasticloadbalancing", action, &target).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_of_a_fleet() {
    let plane = ControlPlane::start().await;
    let fleet = Fleet { listener: plane.make_fleet().await, plane };
    let instances = fleet.plane.instances().await;
    for instance in &instances {
        fleet.plane.make_stream("metrics", instance).await;
        fleet.plane.make_stream("daemon", instance).await;
        fleet.say(instance, true).await;
    }
    serves(&fleet, &instances).await;
    isolates(&fleet, &instances[0]).await;
    rejoins(&fleet, &instances[0]).await;
    logs(&fleet, &instances).await;
    shares(&fleet).await;
    grows(&fleet).await;
    costs(&fleet).await;
}

async fn serves(fleet: &Fleet, instances: &[String]) {
    let (out, err, code) = fleet.run(&["fleet", "status", "--json"]).await;
    let page: Value = serde_json::from_str(&out).unwrap();
    let refreshes = "could not read the refreshes of Auto Scaling group compilation-asg";
    assert_eq!((code, page["unseen"].as_array().unwrap().len()), (Some(1), 1), "{out} {err}");
    assert!(page["unseen"][0].as_str().unwrap().starts_with(refreshes), "{out}");
    assert_eq!(page["wrong"], json!([]), "{out}");
    for (instance, seen) in instances.iter().zip(page["instances"].as_array().unwrap()) {
        let expected =
            [json!(instance), json!("InService"), json!("healthy"), json!(true), json!("t4g.medium")];
        let own = ["id", "lifecycle", "target", "consuming", "kind"].map(|name| seen[name].clone());
        assert_eq!(own, expected, "{out}");
    }
}

async fn isolates(fleet: &Fleet, instance: &str) {
    let words = [&["fleet", "isolate", instance], &SOON[..]].concat();
    let mut command = fleet.command(&words);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while fleet.state(instance).await.0 != "Standby" {
        sleep(Duration::from_millis(20)).await;
    }
    fleet.target("DeregisterTargets", instance).await;
    fleet.say(instance, false).await;
    let ended = lifecycle::blocking("program", move || child.wait_with_output()).await.unwrap().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(0), "{said}");
    assert_eq!(fleet.state(instance).await, ("Standby".to_owned(), "true".to_owned()));
    assert_eq!(fleet.plane.instances().await.len(), 3, "the group started another in its place");
    let (out, _, _) = fleet.run(&["fleet", "status"]).await;
    assert!(out.contains(&format!("! {instance} is isolated: `fleet rejoin {instance}`")), "{out}");
}

async fn rejoins(fleet: &Fleet, instance: &str) {
    let words = [&["fleet", "rejoin", instance], &SOON[..]].concat();
    let mut command = fleet.command(&words);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while fleet.state(instance).await.0 != "InService" {
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(fleet.state(instance).await.1, "true", "protected until it serves again");
    fleet.target("RegisterTargets", instance).await;
    fleet.say(instance, true).await;
    let ended = lifecycle::blocking("program", move || child.wait_with_output()).await.unwrap().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(0), "{said}");
    assert!(said.contains("the group wants 3 instances"), "{said}");
    assert_eq!(fleet.state(instance).await, ("InService".to_owned(), "false".to_owned()));
}

async fn logs(fleet: &Fleet, instances: &[String]) {
    for (instance, request) in instances.iter().zip(["r-1", "r-2 \"odd\""]) {
        let event = json!({ "level": "INFO", "message": "compiled", "request.id": request });
        fleet.plane.log("daemon", instance, &event).await;
    }
    let (out, err, code) = fleet.run(&["fleet", "logs"]).await;
    assert_eq!((out.lines().count(), code), (2, Some(0)), "{out} {err}");
    let (out, err, _) = fleet.run(&["fleet", "logs", "--instance", &instances[1], "--json"]).await;
    let event: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error} in {out} {err}"));
    assert_eq!(event["instance"], json!(instances[1]));
    let (out, err, _) = fleet.run(&["fleet", "logs", "--request", "r-1"]).await;
    assert!(out.lines().count() == 1 && out.contains("request.id=r-1"), "{out} {err}");
    let (out, err, _) = fleet.run(&["fleet", "logs", "--request", "r-2 \"odd\""]).await;
    assert!(out.lines().count() == 1 && out.contains("r-2"), "{out} {err}");
}

async fn shares(fleet: &Fleet) {
    let (out, err, code) = fleet.run(&["migrate", "weights", "10"]).await;
    assert_eq!(code, Some(0), "{out} {err}");
    let (out, err, code) = fleet.run(&["migrate", "weights"]).await;
    assert_eq!((err.as_str(), code), ("", Some(0)));
    assert!(out.contains("fleet   10 % of /api/compiler/*/compile; clients stay for 60 s"), "{out}");
    let rules = [("ListenerArn", &*fleet.listener)];
    let rules = fleet.plane.form("elasticloadbalancing", "DescribeRules", &rules).await;
    assert_eq!(found(&rules, "Weight"), ["90", "10"], "{rules}");
    let absent = ["migrate", "weights", "0", "--fleet-old-target-group", "nobody"];
    let (_, err, code) = fleet.run(&absent).await;
    assert!(code == Some(1) && err.contains("--fleet-old-target-group (fleet.old_target_group)"), "{err}");
}

async fn grows(fleet: &Fleet) {
    let (out, err, code) = fleet.run(&[&["fleet", "scale", "4"], &SOON[..]].concat()).await;
    assert!(code == Some(0) && out.ends_with("compilation-asg: 4 in service\n"), "{out} {err}");
    assert_eq!(fleet.plane.instances().await.len(), 4);
    let (_, err, code) = fleet.run(&["fleet", "scale", "4", "--fleet-group", "nobody"]).await;
    assert!(code == Some(1) && err.contains("there is no Auto Scaling group nobody"), "{err}");
}

async fn costs(fleet: &Fleet) {
    // What is of this very second is not counted yet: a time does not include its end.
    let then = jiff::Timestamp::now() - jiff::SignedDuration::from_mins(1);
    let then = then.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    for (namespace, name, dimension, value, figure) in [
        ("AWS/AutoScaling", "GroupTotalInstances", "AutoScalingGroupName", "compilation-asg", "2"),
        ("CompilationWorker", "http_requests", "Fleet", "compilation", "1000"),
        ("CompilationWorker", "http_request_duration_seconds", "Fleet", "compilation", "500"),
    ] {
        let datum = [
            ("Namespace", namespace),
            ("MetricData.member.1.MetricName", name),
            ("MetricData.member.1.Dimensions.member.1.Name", dimension),
            ("MetricData.member.1.Dimensions.member.1.Value", value),
            ("MetricData.member.1.Value", figure),
            ("MetricData.member.1.Timestamp", &then),
        ];
        fleet.plane.form("monitoring", "PutMetricData", &datum).await;
    }
    let (_, err, code) = fleet.run(&["cost", "--since", "2h"]).await;
    assert!(code == Some(1) && err.contains("--price-hour t4g.medium=USD"), "{err}");
    let prices =
        ["--price-hour", "t4g.medium=0.04", "--lambda-request", "0.001", "--lambda-gb-second", "0.01"];
    let words = [&["cost", "--since", "2h", "--lambda-memory-mb", "1024"], &prices[..]].concat();
    let (out, err, code) = fleet.run(&words).await;
    assert_eq!(code, Some(0), "{out} {err}");
    assert!(out.contains("lambda     1000 requests x 0.001 USD = 1.00 USD"), "{out}");
    assert!(out.contains("500 s x 1024 MB / 1024 = 500 GB-s x 0.01 USD = 5.00 USD"), "{out}");
}
