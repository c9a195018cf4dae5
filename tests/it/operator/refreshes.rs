//! `fleet refresh`: begun, followed, stopped. No emulator has refreshes that take time.

use super::SOON;
use super::cloud::{Cloud, Machine, refusal, xml};
use crate::aws::server::Act;

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_is_followed_to_its_end() {
    let cloud = Cloud::start().await;
    cloud.world().refresh = vec![
        ("Successful", 100),
        ("Pending", 0),
        ("InProgress", 10),
        ("InProgress", 60),
        ("Successful", 100),
    ];
    let pace = ["--checkpoints", "10,50", "--pause", "10m", "--warm-up", "2m", "--yes"];
    let run = cloud.run(&[&["fleet", "refresh"], &SOON[..], &pace].concat()).await;
    assert_eq!(run.code, Some(0), "{run:?}");
    let said: Vec<&str> = run.out.lines().collect();
    assert_eq!(
        said[0],
        "compilation-asg: replacing what is not as it should be of 2 instances, as many stay healthy as the group's maintenance \
         policy says"
    );
    assert!(
        said[1].starts_with("0 % Pending") && said[2].starts_with("10 % InProgress, 1 instances left"),
        "{said:?}"
    );
    assert!(said.last().unwrap().starts_with("100 % Successful"), "{said:?}");
    let asked = cloud.world().last("StartInstanceRefresh").clone();
    for (name, value) in [
        ("StandbyInstances", "Ignore"),
        ("ScaleInProtectedInstances", "Refresh"),
        ("CheckpointPercentages.member.1", "10"),
        ("CheckpointPercentages.member.2", "50"),
        ("CheckpointPercentages.member.3", "100"),
        ("CheckpointDelay", "600"),
        ("InstanceWarmup", "120"),
        ("SkipMatching", "true"),
    ] {
        assert_eq!(asked[&format!("Preferences.{name}")], value, "{name}");
    }
    for unsaid in ["MinHealthyPercentage", "AutoRollback"] {
        assert!(
            !asked.contains_key(&format!("Preferences.{unsaid}")),
            "the group's own {unsaid} holds: {asked:?}"
        );
    }
    cloud.world().refresh = vec![("Successful", 100)];
    let run = cloud
        .run(&[&["fleet", "refresh", "--min-healthy", "50", "--all", "--yes"], &SOON[..]].concat())
        .await;
    assert!(
        run.code == Some(0) && run.out.contains("replacing all of 2 instances, 50 % stay healthy"),
        "{run:?}"
    );
    assert_eq!(cloud.world().last("StartInstanceRefresh")["Preferences.MinHealthyPercentage"], "50");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_under_way_is_followed_or_stopped() {
    let cloud = Cloud::start().await;
    let refresh = |more: &[&'static str]| [&["fleet", "refresh"], &SOON[..], more].concat();
    for word in ["--follow", "--cancel"] {
        let run = cloud.run(&refresh(&[word])).await;
        assert!(
            run.code == Some(1) && run.err.contains("no refresh of compilation-asg is under way"),
            "{run:?}"
        );
    }
    cloud.world().refresh = vec![("InProgress", 40)];
    let run = cloud.run(&refresh(&[])).await;
    assert!(run.code == Some(1) && run.err.contains("--cancel stops it"), "{run:?}");
    let run = cloud.run(&refresh(&["--cancel", "--dry-run"])).await;
    assert!(run.code == Some(0) && cloud.changes().is_empty(), "{run:?}");
    let run = cloud.run(&refresh(&["--cancel"])).await;
    assert!(run.code == Some(0) && run.out.ends_with("40 % Cancelled, 1 instances left\n"), "{run:?}");
    assert_eq!(cloud.changes(), ["CancelInstanceRefresh"]);
    cloud.world().refresh = vec![("InProgress", 40), ("InProgress", 80), ("Failed", 80)];
    let run = cloud.run(&refresh(&["--follow"])).await;
    assert!(run.code == Some(1) && run.err.contains("refresh r-0 ended as Failed"), "{run:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_begin_is_told() {
    let cloud = Cloud::start().await;
    let run = cloud.run(&["fleet", "refresh", "--checkpoints", "50,10"]).await;
    assert!(run.code == Some(64) && run.err.contains("checkpoints ascend"), "{run:?}");
    let run = cloud.run(&["fleet", "refresh", "--dry-run"]).await;
    assert!(run.code == Some(0) && cloud.changes().is_empty(), "{run:?}");
    cloud.world().trouble("StartInstanceRefresh", refusal(403, "AccessDenied", "no"), 1);
    let run = cloud.run(&["fleet", "refresh", "--yes"]).await;
    assert!(run.code == Some(1) && run.err.contains("autoscaling:StartInstanceRefresh"), "{run:?}");
    cloud.world().refresh = vec![("Successful", 100), ("InProgress", 1)];
    let run = cloud.run(&[&["fleet", "refresh", "--yes", "--timeout", "200ms"], &SOON[..]].concat()).await;
    assert!(run.code == Some(1) && run.err.contains("--follow follows it again"), "{run:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_replaces_machines_by_accident() {
    let cloud = Cloud::start().await;
    *cloud.world().machine("i-2") = Machine::isolated("i-2");
    let run = cloud.run(&["fleet", "refresh"]).await;
    assert_eq!(run.code, Some(64), "a pipe is nobody: {run:?}");
    assert!(run.err.contains("Of 1 instances, what is not as it should be will drain and end"), "{run:?}");
    assert!(run.err.contains("add --yes"), "{run:?}");
    assert!(cloud.changes().is_empty(), "{:?}", cloud.changes());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_begun_or_stopped_although_no_answer_said_so_is_not_done_again() {
    let cloud = Cloud::start().await;
    let refresh = |more: &[&'static str]| [&["fleet", "refresh", "--yes"], &SOON[..], more].concat();
    let statuses = vec![("Successful", 100), ("Pending", 0), ("InProgress", 50), ("Successful", 100)];
    cloud.world().refresh = statuses;
    cloud.world().lost.extend(["StartInstanceRefresh", "CancelInstanceRefresh"]);
    let run = cloud.run(&refresh(&[])).await;
    assert!(run.code == Some(0) && run.out.contains("50 % InProgress"), "{run:?}");
    assert!(run.err.contains("looking whether it was done all the same"), "{run:?}");
    cloud.world().refresh = vec![("InProgress", 40)];
    let run = cloud.run(&refresh(&["--cancel"])).await;
    assert!(run.code == Some(0) && run.out.contains("Cancelled"), "{run:?}");
    assert_eq!(cloud.changes(), ["StartInstanceRefresh", "CancelInstanceRefresh"]);
    // What was not carried out is not begun behind the operator's back.
    for act in [Act::Reset, Act::garbage(200), xml("StartInstanceRefresh", "")] {
        cloud.world().refresh = vec![("Successful", 100)];
        cloud.world().trouble("StartInstanceRefresh", act, 1);
        let before = cloud.changes().len();
        let run = cloud.run(&refresh(&[])).await;
        assert!(
            run.code == Some(1) && run.err.contains("nothing of it was seen afterwards\nfix: "),
            "{run:?}"
        );
        assert_eq!(cloud.changes().len(), before + 1, "{:?}", cloud.changes());
    }
    // Nor is one stopped that was over before.
    cloud.world().refresh = vec![("InProgress", 40), ("Successful", 100)];
    cloud.world().trouble("CancelInstanceRefresh", Act::Reset, 1);
    let run = cloud.run(&refresh(&["--cancel"])).await;
    assert!(run.code == Some(1) && run.err.contains("nothing of it was seen afterwards\nfix: "), "{run:?}");
}
