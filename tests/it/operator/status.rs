//! `fleet status`: what is wrong first, and the rest at a glance.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use compilation_worker::lifecycle;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::cloud::{Cloud, Machine, metric, refusal};
use crate::aws::server::Act;

/// The number right before `words`.
fn seconds(text: &str, words: &str) -> u64 {
    let before = text.split_once(words).map(|(before, _)| before).unwrap_or_default();
    before.rsplit(' ').next().unwrap_or_default().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_that_serves_is_shown_with_nothing_wrong() {
    let cloud = Cloud::start().await;
    {
        let mut world = cloud.world();
        let figures = [
            ("ApproximateNumberOfMessagesVisible", "compilation-queue.fifo", vec![9.0, 4.0]),
            ("ApproximateAgeOfOldestMessage", "compilation-queue.fifo", vec![2.0]),
            ("ApproximateNumberOfMessagesVisible", "compilation-queue-dlq.fifo", vec![0.0]),
        ];
        world.figures = figures
            .map(|(name, queue, values)| {
                (metric("AWS/SQS", name, &[("QueueName", queue)], "Maximum"), values)
            })
            .into();
    }
    let run = cloud.run(&["fleet", "status", "--check"]).await;
    assert_eq!((run.err.as_str(), run.code), ("", Some(0)), "{run:?}");
    for line in [
        "group      compilation-asg: 2 wanted (min 2, max 4)",
        "queue      compilation-queue.fifo: 4 waiting, the oldest for 2 s",
        "dead       compilation-queue-dlq.fifo: 0",
        "totals     2 in service of 2, 2 healthy, 2 of 4 slots busy",
    ] {
        assert!(run.out.lines().any(|own| own == line), "{line} is not in {}", run.out);
    }
    let row = run.out.lines().find(|line| line.starts_with("i-1")).unwrap();
    for cell in ["us-east-1a", "t4g.medium", "InService", "healthy", "0.1.0", "serving", "taken", "1/2"] {
        assert!(row.contains(cell), "{cell} is not in {row}");
    }
    // By the time that it is shown, a busy machine is some seconds further.
    assert!((5..=15).contains(&seconds(row, " s ago")), "{row}");
    assert!(!run.out.contains('!'), "{}", run.out);
    let run = cloud.run(&["fleet", "status", "--json"]).await;
    let page: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!((&page["wrong"], &page["totals"]["slots"]), (&json!([]), &json!(4.0)));
    assert_eq!(page["instances"][1]["id"], json!("i-2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn queues_are_those_that_the_commands_on_queues_mean() {
    let cloud = Cloud::start().await;
    for (words, expected) in [
        (&["--queues-own", "https://q/1/mine.fifo"][..], ["mine.fifo", "mine-dlq.fifo"]),
        (&["--queues-default", "https://q/1/sent.fifo"], ["sent.fifo", "sent-dlq.fifo"]),
        (
            &["--fleet-name", "east", "--fleet-target-group", "compilation-instances"],
            ["east-queue.fifo", "east-queue-dlq.fifo"],
        ),
    ] {
        let run = cloud.run(&[&["fleet", "status", "--json"], words].concat()).await;
        let page: Value = serde_json::from_str(&run.out).unwrap();
        assert_eq!([&page["queue"]["name"], &page["dead_letters"]["name"]], expected, "{words:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_said_first_and_fails_the_check() {
    let cloud = Cloud::start().await;
    {
        let mut world = cloud.world();
        world.machines = vec![
            Machine { version: "0.2.0", ..Machine::new("i-1") },
            Machine { target: Some("unhealthy"), ..Machine::new("i-2") },
            Machine { said_ago: 500, ..Machine::new("i-3") },
            Machine { consuming: None, ..Machine::new("i-4") },
            Machine::isolated("i-5"),
        ];
        world.desired = 5;
        world.activity = Some(("Failed", "We currently do not have sufficient capacity"));
    }
    let run = cloud.run(&["fleet", "status", "--check"]).await;
    assert_eq!(run.code, Some(1), "{run:?}");
    let wrong: Vec<&str> = run.out.lines().take_while(|line| !line.is_empty()).collect();
    for expected in [
        "! 4 instances are in service, and 5 are wanted",
        "! i-2 is unhealthy at the balancer",
        "! i-4 has never said anything of itself",
        "! i-5 is isolated: `fleet rejoin i-5` brings it back",
        "! versions are mixed: 0.1.0 on 2, 0.2.0 on 1",
        "! failed in the last hour: Launching an instance: We currently do not have sufficient capacity",
    ] {
        assert!(wrong.contains(&expected), "{expected} is not in {wrong:#?}");
    }
    assert_eq!(wrong.len(), 7, "{wrong:#?}");
    for [before, after] in [["! i-3 was last heard ", " seconds ago"], ["OLD: ", " s ago"]] {
        let told = run.out.split_once(before).map(|(_, told)| told).unwrap_or_default();
        let told = told.split_inclusive(after).next().unwrap_or_default();
        assert!((495..=505).contains(&seconds(told, after)), "{before}: {}", run.out);
    }
    assert_eq!(
        cloud.run(&["fleet", "status"]).await.code,
        Some(0),
        "it was shown, which was all that was asked"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_seen_is_told_with_the_call() {
    for (action, act, expected) in [
        ("DescribeTargetGroups", refusal(400, "TargetGroupNotFound", "no"), "--fleet-target-group"),
        ("GetLogEvents", Act::error(400, "AccessDeniedException", "no"), "logs:GetLogEvents"),
        ("GetMetricData", Act::garbage(200), "not the service"),
    ] {
        let cloud = Cloud::start().await;
        cloud.world().trouble(action, act, 9);
        let run = cloud.run(&["fleet", "status"]).await;
        assert_eq!(run.code, Some(1), "{run:?}");
        assert!(run.err.contains(expected), "{expected}: {}", run.err);
        let row = run.out.lines().find(|line| line.starts_with("i-1")).unwrap();
        assert!(row.contains("InService") && !run.out.contains('!'), "the rest is shown: {}", run.out);
        let page = cloud.run(&["fleet", "status", "--json"]).await;
        let page: Value = serde_json::from_str(&page.out).unwrap();
        assert_eq!(page["unseen"].as_array().unwrap().len(), 1, "{page}");
    }
    let cloud = Cloud::start().await;
    cloud.world().trouble("DescribeAutoScalingGroups", refusal(403, "AccessDenied", "no"), 1);
    let run = cloud.run(&["fleet", "status"]).await;
    assert_eq!((run.out.as_str(), run.code), ("", Some(1)), "{run:?}");
    assert!(run.err.contains("autoscaling:DescribeAutoScalingGroups"), "{run:?}");
    let nothing = "<DescribeAutoScalingGroupsResponse><DescribeAutoScalingGroupsResult><AutoScalingGroups/>\
        </DescribeAutoScalingGroupsResult></DescribeAutoScalingGroupsResponse>";
    cloud.world().trouble("DescribeAutoScalingGroups", Act::Answer(200, String::new(), nothing.into()), 1);
    let run = cloud.run(&["fleet", "status"]).await;
    assert!(run.err.contains("there is no Auto Scaling group compilation-asg"), "{run:?}");
    // One answer that never comes is asked for again.
    cloud.world().trouble("DescribeTargetHealth", Act::Hang, 1);
    assert_eq!(cloud.run(&["fleet", "status"]).await.code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn watching_goes_on_until_a_key() {
    let cloud = Cloud::start().await;
    let mut command = cloud.command(&["fleet", "status", "--watch", "20ms", "--json"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let id = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    let seen = lifecycle::blocking("lines", move || {
        let seen: Vec<String> = lines.by_ref().take(2).map(Result::unwrap).collect();
        kill_process(id, Signal::INT).unwrap();
        // Whatever it still says is read, so that it does not end of that.
        let _rest = lines.count();
        seen
    });
    for line in seen.await.unwrap() {
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap()["totals"]["healthy"], json!(2), "{line}");
    }
    let ended = lifecycle::blocking("program", move || child.wait()).await.unwrap().unwrap();
    assert_eq!(ended.code(), Some(0));
}
