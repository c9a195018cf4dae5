//! `migrate weights`: traffic moves, and comes back by itself when it has to.

use super::SOON;
use super::cloud::{Cloud, Machine, refusal};

fn weights<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["migrate", "weights"], more].concat()
}

/// Figures of both sides for one minute: requests, failures, p95.
fn figures(cloud: &Cloud, old: [f64; 3], new: [f64; 3]) {
    let mut world = cloud.world();
    for (group, values) in [
        ("targetgroup/lambda/0000000000000001", old),
        ("targetgroup/compilation-instances/0000000000000002", new),
    ] {
        for (name, value) in
            ["RequestCount", "HTTPCode_Target_5XX_Count", "TargetResponseTime"].into_iter().zip(values)
        {
            world.figures.insert(format!("{name} of {group}"), vec![value]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_share_is_shown_and_moved_and_all_else_stays() {
    let cloud = Cloud::start().await;
    let run = cloud.run(&weights(&[])).await;
    assert_eq!((run.err.as_str(), run.code), ("", Some(0)), "{run:?}");
    assert_eq!(
        run.out,
        "target group                                        weight  healthy\n\
         targetgroup/lambda/0000000000000001                     90  -\n\
         targetgroup/compilation-instances/0000000000000002      10  2 of 2\n\
         fleet   10 % of /api/compiler/*/compile; clients stay for 60 s where they came to\n"
    );
    assert!(cloud.changes().is_empty());
    let run = cloud.run(&weights(&["50", "--dry-run"])).await;
    assert!(run.code == Some(0) && run.out.ends_with("change  10 % -> 50 % to the fleet\n"), "{run:?}");
    assert!(cloud.changes().is_empty());
    let run = cloud.run(&weights(&["50"])).await;
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.err.contains("back again with: compilation-worker migrate weights 10 --force"), "{run:?}");
    assert!(run.err.contains("instances_weight = 50"), "{run:?}");
    assert_eq!(cloud.changes(), ["ModifyRule"], "one call");
    let world = cloud.world();
    assert_eq!(world.weights, [50, 50]);
    let said = world.last("ModifyRule");
    let sticky = "Actions.member.1.ForwardConfig.TargetGroupStickinessConfig";
    assert_eq!(
        (&*said[&format!("{sticky}.Enabled")], &*said[&format!("{sticky}.DurationSeconds")]),
        ("true", "60")
    );
    assert!(said.keys().all(|name| name == "RuleArn" || name.starts_with("Actions.")), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn dangerous_steps_are_refused_and_the_way_back_never() {
    let cloud = Cloud::start().await;
    let run = cloud.run(&weights(&["90"])).await;
    assert!(run.code == Some(1) && run.err.contains("go to 50 % first"), "{run:?}");
    for machine in &mut cloud.world().machines {
        machine.target = Some("unhealthy");
    }
    let run = cloud.run(&weights(&["20"])).await;
    assert!(run.code == Some(1) && run.err.contains("none of the 2 targets"), "{run:?}");
    assert!(cloud.changes().is_empty());
    let run = cloud.run(&weights(&["0"])).await;
    assert_eq!((run.code, cloud.world().weights), (Some(0), [100, 0]), "{run:?}");
    let run = cloud.run(&weights(&["100", "--force"])).await;
    assert_eq!((run.code, cloud.world().weights), (Some(0), [0, 100]), "{run:?}");
    for words in [&["101"][..], &["-1"], &["half"], &["50", "--worse-latency", "0.5", "--watch", "1m"]] {
        assert_eq!(cloud.run(&weights(words)).await.code, Some(64), "{words:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_that_does_worse_is_relieved_unless_somebody_forbids() {
    let watch = ["50", "--watch", "20s", SOON[0], SOON[1]];
    let worse = Cloud::start().await;
    figures(&worse, [5000.0, 1.0, 0.5], [5000.0, 50.0, 0.5]);
    let forbidden = Cloud::start().await;
    figures(&forbidden, [5000.0, 1.0, 0.5], [5000.0, 1.0, 5.0]);
    let words = [&watch[..], &["--no-rollback"]].concat();
    let (words, watch) = (weights(&words), weights(&watch));
    let (relieved, left) = tokio::join!(worse.run(&watch), forbidden.run(&words));
    assert!(
        relieved.code == Some(1) && relieved.out.contains("worse   1.00 % of its requests fail"),
        "{relieved:?}"
    );
    assert!(relieved.err.contains("back to 10 %"), "{relieved:?}");
    assert_eq!(worse.changes().len(), 2);
    assert_eq!(worse.world().weights, [90, 10]);
    assert!(
        left.code == Some(1) && left.out.contains("its p95 is 5.000 s, against 0.500 s x 1.25 allowed"),
        "{left:?}"
    );
    assert_eq!(forbidden.world().weights, [50, 50]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_that_does_well_keeps_its_share_and_what_is_not_seen_is_said() {
    let watch = weights(&["50", "--watch", "200ms", SOON[0], SOON[1]]);
    for (old, new, code, expected) in [
        ([5000.0, 5.0, 0.5], [5000.0, 6.0, 0.6], 0, "watched the fleet does as well as it has to"),
        ([5000.0, 5.0, 0.5], [50.0, 50.0, 9.0], 0, "watched too few requests came"),
    ] {
        let cloud = Cloud::start().await;
        figures(&cloud, old, new);
        let run = cloud.run(&watch).await;
        assert!(run.code == Some(code) && run.out.contains(expected), "{run:?}");
        assert_eq!(cloud.world().weights, [50, 50]);
    }
    let cloud = Cloud::start().await;
    cloud.world().trouble("GetMetricData", refusal(403, "AccessDenied", "no"), 1000);
    let run = cloud.run(&watch).await;
    assert!(run.code == Some(1) && run.err.contains("nobody has watched them"), "{run:?}");
    assert!(run.err.contains("cloudwatch:GetMetricData"), "{run:?}");
    assert_eq!(cloud.world().weights, [50, 50], "nothing is taken back because nothing could be seen");
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_rules_are_left_alone() {
    let cloud = Cloud::start().await;
    let run = cloud.run(&weights(&["50", "--fleet-rule-priority", "71"])).await;
    assert!(run.code == Some(1) && run.err.contains("has no rule of priority 71"), "{run:?}");
    let run = cloud.run(&weights(&["50", "--fleet-listener", ""])).await;
    assert!(run.code == Some(1) && run.err.contains("--fleet-listener"), "{run:?}");
    let run = cloud.run(&weights(&["50", "--fleet-old-target-group", "nobody"])).await;
    assert!(run.code == Some(1) && run.err.contains("--fleet-old-target-group"), "{run:?}");
    cloud.world().action = Some("fixed-response");
    let run = cloud.run(&weights(&["50"])).await;
    assert!(run.code == Some(1) && run.err.contains("does more than forward"), "{run:?}");
    cloud.world().action = None;
    cloud.world().trouble("ModifyRule", refusal(403, "AccessDenied", "no"), 1);
    let run = cloud.run(&weights(&["50"])).await;
    assert!(run.code == Some(1) && run.err.contains("elasticloadbalancing:ModifyRule on rule 70"), "{run:?}");
    cloud.world().machines = vec![Machine { target: None, ..Machine::new("i-1") }];
    let run = cloud.run(&weights(&["50"])).await;
    assert!(run.code == Some(1) && run.err.contains("none of the 0 targets"), "{run:?}");
}
