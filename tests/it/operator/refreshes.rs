//! `fleet refresh`: begun, followed, stopped, taken back. No emulator has refreshes that take time.

use super::SOON;
use super::cloud::{Cloud, refusal};

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
    let pace = ["--checkpoints", "10,50", "--pause", "10m", "--warm-up", "2m", "--auto-rollback"];
    let run = cloud.run(&[&["fleet", "refresh"], &SOON[..], &pace].concat()).await;
    assert_eq!(run.code, Some(0), "{run:?}");
    let said: Vec<&str> = run.out.lines().collect();
    assert_eq!(said[0], "compilation-asg: replacing 2 instances, 90 % stay healthy");
    assert!(
        said[1].starts_with("0 % Pending") && said[2].starts_with("10 % InProgress, 1 instances left"),
        "{said:?}"
    );
    assert!(said.last().unwrap().starts_with("100 % Successful"), "{said:?}");
    let world = cloud.world();
    let asked = world.last("StartInstanceRefresh");
    for (name, value) in [
        ("MinHealthyPercentage", "90"),
        ("StandbyInstances", "Ignore"),
        ("CheckpointPercentages.member.1", "10"),
        ("CheckpointPercentages.member.2", "50"),
        ("CheckpointPercentages.member.3", "100"),
        ("CheckpointDelay", "600"),
        ("InstanceWarmup", "120"),
        ("SkipMatching", "true"),
        ("AutoRollback", "true"),
    ] {
        assert_eq!(asked[&format!("Preferences.{name}")], value, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_under_way_is_followed_stopped_or_taken_back() {
    let cloud = Cloud::start().await;
    let refresh = |more: &[&'static str]| [&["fleet", "refresh"], &SOON[..], more].concat();
    for word in ["--follow", "--cancel", "--rollback"] {
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
    cloud.world().refresh = vec![("InProgress", 40)];
    let run = cloud.run(&refresh(&["--rollback"])).await;
    assert!(run.code == Some(0) && run.out.contains("0 % RollbackSuccessful"), "{run:?}");
    assert_eq!(cloud.changes(), ["CancelInstanceRefresh", "RollbackInstanceRefresh"]);
    cloud.world().refresh = vec![("InProgress", 40), ("InProgress", 80), ("Failed", 80)];
    let run = cloud.run(&refresh(&["--follow"])).await;
    assert!(run.code == Some(1) && run.err.contains("refresh r-1 ended as Failed"), "{run:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_begin_is_told() {
    let cloud = Cloud::start().await;
    let run = cloud.run(&["fleet", "refresh", "--checkpoints", "50,10"]).await;
    assert!(run.code == Some(64) && run.err.contains("checkpoints ascend"), "{run:?}");
    let run = cloud.run(&["fleet", "refresh", "--dry-run"]).await;
    assert!(run.code == Some(0) && cloud.changes().is_empty(), "{run:?}");
    cloud.world().trouble("StartInstanceRefresh", refusal(403, "AccessDenied", "no"), 1);
    let run = cloud.run(&["fleet", "refresh"]).await;
    assert!(run.code == Some(1) && run.err.contains("autoscaling:StartInstanceRefresh"), "{run:?}");
    cloud.world().refresh = vec![("Successful", 100), ("InProgress", 1)];
    let run = cloud.run(&[&["fleet", "refresh", "--timeout", "200ms"], &SOON[..]].concat()).await;
    assert!(run.code == Some(1) && run.err.contains("--follow follows it again"), "{run:?}");
}
