//! `migrate weights`: traffic moves, and comes back by itself when it has to.

use super::SOON;
use super::cloud::{Cloud, Machine, NEW, OLD, OTHER, Rule, refusal};

/// What `migrate weights` returns when it could say nothing of the fleet.
const NOT_JUDGED: Option<i32> = Some(75);

fn weights<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["migrate", "weights"], more].concat()
}

/// Figures of both sides: requests, failures, connections that no target took, p95.
fn figures(cloud: &Cloud, old: [f64; 4], new: [f64; 4]) {
    let mut world = cloud.world();
    for (group, values) in [
        ("targetgroup/lambda/0000000000000001", old),
        ("targetgroup/compilation-instances/0000000000000002", new),
    ] {
        let names =
            ["RequestCount", "HTTPCode_Target_5XX_Count", "TargetConnectionErrorCount", "TargetResponseTime"];
        for (name, value) in names.into_iter().zip(values) {
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
        "rule     target group                                        weight  healthy\n\
         rule 70  targetgroup/lambda/0000000000000001                     90  -\n\
         rule 70  targetgroup/compilation-instances/0000000000000002      10  2 of 2\n\
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
    assert_eq!((cloud.weights("70"), cloud.weights("default")), (vec![50, 50], vec![1]));
    let world = cloud.world();
    let said = world.last("ModifyRule");
    let sticky = "Actions.member.1.ForwardConfig.TargetGroupStickinessConfig";
    assert_eq!(
        (&*said[&format!("{sticky}.Enabled")], &*said[&format!("{sticky}.DurationSeconds")]),
        ("true", "60")
    );
    assert!(said.keys().all(|name| name == "RuleArn" || name.starts_with("Actions.")), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_rules_of_the_fleet_move_together_and_no_others() {
    let cloud = Cloud::start().await;
    cloud.world().rules = vec![
        Rule::new("60", &[(OLD, 90), (NEW, 10)]),
        Rule::new("61", &[(OLD, 100), (NEW, 0)]),
        Rule::new("70", &[(OLD, 1)]),
        Rule::new("default", &[(OTHER, 1)]),
    ];
    let run = cloud.run(&weights(&["50"])).await;
    assert!(run.code == Some(1) && run.err.contains("from 0 % to 50 % is a step of 50"), "{run:?}");
    let run = cloud.run(&weights(&["40"])).await;
    assert!(run.code == Some(0) && run.out.ends_with("change  0 to 10 % -> 40 % to the fleet\n"), "{run:?}");
    let moved = |cloud: &Cloud| ["60", "61", "70", "default"].map(|rule| cloud.weights(rule));
    assert_eq!(moved(&cloud), [vec![60, 40], vec![60, 40], vec![1], vec![1]], "today's own rule stays");
    // One call fails: the others are made, and the same command makes the rest.
    cloud.world().trouble("ModifyRule", refusal(403, "AccessDenied", "no"), 1);
    let run = cloud.run(&weights(&["0"])).await;
    assert_eq!(
        (run.code, moved(&cloud)[..2].to_vec()),
        (Some(1), vec![vec![60, 40], vec![100, 0]]),
        "{run:?}"
    );
    assert!(
        run.err.contains("1 of 2 rules are as they were; do it again for these: could not change rule 60")
    );
    let run = cloud.run(&weights(&["0"])).await;
    assert_eq!((run.code, moved(&cloud)[0].clone()), (Some(0), vec![100, 0]), "{run:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_leads_to_the_fleet_and_is_not_moved_is_named() {
    let cloud = Cloud::start().await;
    cloud.world().rules = vec![
        Rule::new("60", &[(OLD, 90), (NEW, 10)]),
        Rule { action: Some("authenticate-oidc"), ..Rule::new("61", &[(NEW, 1)]) },
        Rule::new("default", &[(OLD, 1), (NEW, 1)]),
    ];
    let run = cloud.run(&weights(&[])).await;
    assert_eq!(run.code, Some(0), "{run:?}");
    for told in [
        "rule 61 leads to the fleet too, and is not moved: it does more than forward requests",
        "the default rule leads to the fleet too, and is not moved: it is changed where it is made",
    ] {
        assert!(run.err.contains(told), "{told}: {run:?}");
    }
    let run = cloud.run(&weights(&["20"])).await;
    assert!(
        run.code == Some(1) && run.err.contains("rule 61 leads to the fleet too, and would not"),
        "{run:?}"
    );
    assert!(cloud.changes().is_empty());
    let run = cloud.run(&weights(&["0"])).await;
    assert!(run.code == Some(1) && run.err.contains("2 of the fleet's rules were not moved"), "{run:?}");
    assert_eq!(cloud.weights("60"), [100, 0], "the way back is open");
    // Two old sides: which one is meant has to be said.
    cloud.world().rules =
        vec![Rule::new("60", &[(OLD, 90), (NEW, 10)]), Rule::new("61", &[(OTHER, 90), (NEW, 10)])];
    let run = cloud.run(&weights(&["0"])).await;
    assert!(
        run.code == Some(1) && run.err.contains("fix: name one with --fleet-old-target-group"),
        "{run:?}"
    );
    let run = cloud.run(&weights(&["0", "--fleet-old-target-group", "routers"])).await;
    assert!(run.code == Some(1) && run.err.contains("rule 60 leads to the fleet too"), "{run:?}");
    assert_eq!((cloud.weights("60"), cloud.weights("61")), (vec![90, 10], vec![100, 0]));
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_elses_rule_is_taken_over_by_force_alone() {
    let cloud = Cloud::start().await;
    cloud.world().rules = vec![Rule::new("70", &[(OLD, 1)]), Rule::new("default", &[(OLD, 1)])];
    for words in [&[][..], &["10"], &["0"]] {
        let run = cloud.run(&weights(words)).await;
        assert!(
            run.code == Some(1) && run.err.contains("is somebody else's (/api/compiler/*/compile)"),
            "{run:?}"
        );
        assert!(run.err.contains("take that one over with --force"), "{run:?}");
    }
    assert!(cloud.changes().is_empty());
    let run = cloud.run(&weights(&["10", "--force"])).await;
    assert_eq!((run.code, cloud.weights("70")), (Some(0), vec![90, 10]), "{run:?}");
    let run = cloud.run(&weights(&["10", "--force", "--fleet-rule-priority", "71"])).await;
    assert_eq!((run.code, cloud.weights("70")), (Some(0), vec![90, 10]), "the fleet has a rule: {run:?}");
    cloud.world().rules = vec![Rule::new("default", &[(OLD, 1)])];
    let run = cloud.run(&weights(&["10", "--force", "--fleet-rule-priority", "71"])).await;
    assert!(run.code == Some(1) && run.err.contains("no rule of priority 71"), "{run:?}");
    assert!(run.err.contains("--fleet-rule-priority (fleet.rule_priority)"), "{run:?}");
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
    assert_eq!((run.code, cloud.weights("70")), (Some(0), vec![100, 0]), "{run:?}");
    let run = cloud.run(&weights(&["100", "--force"])).await;
    assert_eq!((run.code, cloud.weights("70")), (Some(0), vec![0, 100]), "{run:?}");
    for words in [
        &["101"][..],
        &["-1"],
        &["half"],
        &["50", "--worse-latency", "0.5", "--watch", "1m"],
        &["50", "--worse-errors", "0", "--watch", "1m"],
        &["50", "--every", "0s", "--watch", "1m"],
    ] {
        assert_eq!(cloud.run(&weights(words)).await.code, Some(64), "{words:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_that_does_worse_is_relieved_unless_somebody_forbids() {
    let watch = ["50", "--watch", "20s", SOON[0], SOON[1]];
    let worse = Cloud::start().await;
    worse.world().rules.insert(0, Rule::new("60", &[(OLD, 3), (NEW, 1)]));
    // What no target answers at all fails too.
    figures(&worse, [5000.0, 1.0, 0.0, 0.5], [5000.0, 20.0, 30.0, 0.5]);
    let forbidden = Cloud::start().await;
    figures(&forbidden, [5000.0, 1.0, 0.0, 0.5], [5000.0, 1.0, 0.0, 5.0]);
    let words = [&watch[..], &["--no-rollback"]].concat();
    let (words, watch) = (weights(&words), weights(&watch));
    let (relieved, left) = tokio::join!(worse.run(&watch), forbidden.run(&words));
    assert!(
        relieved.code == Some(1) && relieved.out.contains("worse   1.00 % of its requests fail"),
        "{relieved:?}"
    );
    assert!(
        relieved.err.contains("back to 10 to 25 %; terraform: set instances_weight = 10"),
        "{relieved:?}"
    );
    assert_eq!(worse.changes().len(), 4);
    assert_eq!((worse.weights("60"), worse.weights("70")), (vec![3, 1], vec![90, 10]));
    assert!(
        left.code == Some(1) && left.out.contains("its p95 is 5.000 s, against 0.500 s x 1.25 allowed"),
        "{left:?}"
    );
    assert_eq!(forbidden.weights("70"), [50, 50]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_that_does_well_keeps_its_share_and_what_is_not_seen_is_said() {
    let watch = weights(&["50", "--watch", "200ms", SOON[0], SOON[1]]);
    let fine = [20_000.0, 20.0, 0.0, 0.5];
    for (old, new, ago, code, expected) in [
        (
            fine,
            [20_000.0, 24.0, 0.0, 0.6],
            0,
            Some(0),
            "well    19 times in 20 at most 0.17 % of its requests fail",
        ),
        (fine, [50.0, 1.0, 0.0, 9.0], 0, NOT_JUDGED, "not judged: 1 of 50 requests failed, and 0.20 % may"),
        (
            fine,
            [20_000.0, 24.0, 0.0, 0.6],
            9,
            NOT_JUDGED,
            "not judged: the newest figures of the fleet are those of",
        ),
    ] {
        let cloud = Cloud::start().await;
        figures(&cloud, old, new);
        cloud.world().figures_ago = ago;
        let run = cloud.run(&watch).await;
        assert!(run.code == code && run.out.contains(expected), "{run:?}");
        assert_eq!(cloud.weights("70"), [50, 50]);
        let said = cloud.world().last("GetMetricData").clone();
        let query = |what: &str| said[&format!("MetricDataQueries.member.1.MetricStat.{what}")].clone();
        assert_eq!((query("Stat"), said.len()), ("p95".to_owned(), 21), "asked for by itself");
    }
    let cloud = Cloud::start().await;
    let run = cloud.run(&watch).await;
    assert!(run.code == NOT_JUDGED && run.out.contains("not judged: 0 of 0 requests failed"), "{run:?}");
    cloud.world().trouble("GetMetricData", refusal(403, "AccessDenied", "no"), 1000);
    let run = cloud.run(&watch).await;
    assert!(run.code == NOT_JUDGED && run.out.contains("no figures could be read at the end"), "{run:?}");
    assert!(run.err.contains("cloudwatch:GetMetricData"), "{run:?}");
    assert_eq!(cloud.weights("70"), [50, 50], "nothing is taken back because nothing could be seen");
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_rules_are_left_alone() {
    let cloud = Cloud::start().await;
    let run = cloud.run(&weights(&["50", "--fleet-listener", ""])).await;
    assert!(run.code == Some(1) && run.err.contains("--fleet-listener"), "{run:?}");
    let run = cloud.run(&weights(&["50", "--fleet-old-target-group", "nobody"])).await;
    assert!(run.code == Some(1) && run.err.contains("--fleet-old-target-group"), "{run:?}");
    for rule in [
        Rule { action: Some("fixed-response"), ..Rule::new("70", &[(OLD, 1), (NEW, 1)]) },
        Rule::new("70", &[(OLD, 1), (NEW, 1), (OTHER, 1)]),
    ] {
        cloud.world().rules = vec![rule];
        let words = ["50", "--fleet-old-target-group", "lambda", "--force"];
        let run = cloud.run(&weights(&words)).await;
        assert!(
            run.code == Some(1) && run.err.contains("no rule of the fleet can be moved: rule 70"),
            "{run:?}"
        );
    }
    cloud.world().rules = vec![Rule::new("70", &[(NEW, 1)])];
    let run = cloud.run(&weights(&["50"])).await;
    assert!(run.code == Some(1) && run.err.contains("say which with --fleet-old-target-group"), "{run:?}");
    assert!(cloud.changes().is_empty());
    let run = cloud.run(&weights(&["50", "--fleet-old-target-group", "lambda"])).await;
    assert_eq!((run.code, cloud.weights("70")), (Some(0), vec![50, 50]), "{run:?}");
    cloud.world().trouble("ModifyRule", refusal(403, "AccessDenied", "no"), 1);
    let run = cloud.run(&weights(&["60"])).await;
    assert!(run.code == Some(1) && run.err.contains("elasticloadbalancing:ModifyRule on rule 70"), "{run:?}");
    cloud.world().trouble("DescribeRules", refusal(400, "ListenerNotFound", "none"), 1);
    let run = cloud.run(&weights(&["60"])).await;
    assert!(run.code == Some(1) && run.err.contains("name one that exists with --fleet-listener"), "{run:?}");
    cloud.world().trouble("DescribeRules", refusal(400, "Throttling", "Rate exceeded"), 100);
    let run = cloud.run(&weights(&["60"])).await;
    assert!(run.code == Some(1) && run.err.contains("too many calls are made"), "{run:?}");
    cloud.world().faults.clear();
    cloud.world().machines = vec![Machine { target: None, ..Machine::new("i-1") }];
    let run = cloud.run(&weights(&["60"])).await;
    assert!(run.code == Some(1) && run.err.contains("none of the 0 targets"), "{run:?}");
}
