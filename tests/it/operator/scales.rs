//! `fleet scale`: within bounds, followed to the end.

use super::SOON;
use super::cloud::{Cloud, refusal};

#[tokio::test(flavor = "multi_thread")]
async fn the_group_grows_and_is_followed() {
    let cloud = Cloud::start().await;
    let price = ["--price-hour", "t4g.medium=0.05"];
    let run = cloud.run(&[&["fleet", "scale", "3"], &SOON[..], &price].concat()).await;
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(
        run.out,
        "compilation-asg: 2 wanted (min 2, max 4) -> 3 wanted (min 2, max 4)\n\
         cost per hour: 0.1000 USD for 2 instances now -> 0.1500 USD for 3 (0.0500 USD each)\n\
         compilation-asg: 3 in service\n"
    );
    assert!(run.err.contains("2 of 3 in service"), "{}", run.err);
    assert_eq!(cloud.changes(), ["UpdateAutoScalingGroup"]);
    let said = cloud.world().last("UpdateAutoScalingGroup").clone();
    assert!(!said.contains_key("MinSize") && !said.contains_key("MaxSize"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bounds_are_kept_and_moved() {
    let cloud = Cloud::start().await;
    for (words, fix) in [
        (&["fleet", "scale", "5"][..], "add --max 5"),
        (&["fleet", "scale", "1"], "add --min 1"),
        (&["fleet", "scale", "3", "--min", "5"], "give both"),
    ] {
        let run = cloud.run(words).await;
        assert!(run.code == Some(1) && run.err.contains(fix), "{run:?}");
    }
    let run = cloud.run(&["fleet", "scale", "4", "--min", "3", "--max", "9", "--dry-run"]).await;
    assert!(run.code == Some(0) && run.out.contains("-> 4 wanted (min 3, max 9)"), "{run:?}");
    assert!(cloud.changes().is_empty(), "{:?}", cloud.changes());
    let run = cloud.run(&["fleet", "scale", "4", "--min", "3", "--max", "9", "--no-wait"]).await;
    assert_eq!(run.code, Some(0), "{run:?}");
    let world = cloud.world();
    assert_eq!((world.min, world.max), (3, 9));
}

#[tokio::test(flavor = "multi_thread")]
async fn fewer_instances_have_to_be_confirmed() {
    let cloud = Cloud::start().await;
    cloud.world().min = 1;
    let run = cloud.run(&["fleet", "scale", "1"]).await;
    assert!(run.code == Some(64) && run.err.contains("add --yes"), "{run:?}");
    assert!(cloud.changes().is_empty(), "{:?}", cloud.changes());
    let run = cloud.run(&[&["fleet", "scale", "1", "--yes"], &SOON[..]].concat()).await;
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(cloud.world().machines.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_end_the_waiting_with_their_reason() {
    let cloud = Cloud::start().await;
    cloud.world().activity = Some(("Failed", "vCPU limit exceeded"));
    let run = cloud.run(&[&["fleet", "scale", "3"], &SOON[..]].concat()).await;
    assert!(
        run.code == Some(1) && run.err.contains("Launching an instance failed: vCPU limit exceeded"),
        "{run:?}"
    );
    cloud.world().activity = Some(("InProgress", ""));
    let run = cloud.run(&[&["fleet", "scale", "3", "--timeout", "200ms"], &SOON[..]].concat()).await;
    assert!(run.code == Some(1) && run.err.contains("not done after 200ms"), "{run:?}");
    let denied = refusal(403, "AccessDenied", "no");
    cloud.world().trouble("UpdateAutoScalingGroup", denied, 1);
    let run = cloud.run(&["fleet", "scale", "4"]).await;
    assert!(
        run.err.contains("autoscaling:UpdateAutoScalingGroup on Auto Scaling group compilation-asg"),
        "{run:?}"
    );
    let busy = refusal(400, "ScalingActivityInProgress", "busy");
    cloud.world().trouble("UpdateAutoScalingGroup", busy, 1);
    let run = cloud.run(&["fleet", "scale", "4"]).await;
    assert!(run.code == Some(1) && run.err.contains("ScalingActivityInProgress"), "{run:?}");
}
