//! `migrate weights`: traffic moves, and comes back by itself when it has to.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use compilation_worker::lifecycle;
use rustix::process::{Pid, Signal, kill_process};

use super::SOON;
use super::cloud::{Cloud, Machine, NEW, OLD, OTHER, Rule, World, metric, refusal};

/// What `migrate weights` returns when it could say nothing of the fleet.
const NOT_JUDGED: Option<i32> = Some(75);

fn weights<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["migrate", "weights"], more].concat()
}

/// How the figures name the balancer and its target groups.
const BALANCER: (&str, &str) = ("LoadBalancer", "app/main/50dc6c495c0c9188");
const GROUPS: [(&str, &str); 2] = [
    ("TargetGroup", "targetgroup/lambda/0000000000000001"),
    ("TargetGroup", "targetgroup/compilation-instances/0000000000000002"),
];
/// Watching on over what stands already, with figures that are old enough to be whole.
const ON: [&str; 6] = ["--watch", "200ms", "--since", "10m", SOON[0], SOON[1]];

/// Sets a figure of a side, in each of its newest minutes.
fn figure(world: &mut World, of: &[(&str, &str)], name: &str, minutes: &[f64]) {
    let statistic = if name == "TargetResponseTime" { "p95" } else { "Sum" };
    world.figures.insert(metric("AWS/ApplicationELB", name, of, statistic), minutes.to_vec());
}

/// Figures of both sides, of a minute whose figures have all come: requests, 5xx, those that only the balancer
/// answered, with a 5xx, and p95.
fn figures(cloud: &Cloud, old: [f64; 4], new: [f64; 4]) {
    let mut world = cloud.world();
    world.figures_ago = 4;
    for (group, [requests, failed, unanswered, p95]) in GROUPS.into_iter().zip([old, new]) {
        let answered = requests - failed - unanswered;
        for (name, value) in [
            ("RequestCount", requests),
            ("HTTPCode_Target_2XX_Count", answered - 2.0),
            ("HTTPCode_Target_3XX_Count", 1.0),
            ("HTTPCode_Target_4XX_Count", 1.0),
            ("HTTPCode_Target_5XX_Count", failed),
            // Balancers count it, and each of these among the requests too.
            ("TargetConnectionErrorCount", unanswered),
            ("TargetResponseTime", p95),
        ] {
            figure(&mut world, &[BALANCER, group], name, &[value]);
        }
    }
    figure(&mut world, &[BALANCER], "HTTPCode_ELB_5XX_Count", &[old[2] + new[2]]);
}

/// The balancer finds no instance healthy any more.
fn fall_ill(world: &mut World) {
    for machine in &mut world.machines {
        machine.target = Some("unhealthy");
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
    assert!(run.err.contains("back again with: compilation-worker migrate weights 10\n"), "{run:?}");
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
    // On the way up nothing stays moved that nobody watches, whether its answer came or not.
    cloud.world().trouble("ModifyRule", refusal(403, "AccessDenied", "no"), 1);
    let run = cloud.run(&weights(&["40", "--watch", "20s"])).await;
    assert_eq!((run.code, moved(&cloud)[..2].to_vec()), (Some(1), vec![vec![100, 0]; 2]), "{run:?}");
    assert!(
        run.err.contains(
            "1 of 2 rules could not be changed, and what went up is back: could not change rule 60"
        ),
        "{run:?}"
    );
    cloud.world().then.insert("ModifyRule", |world| {
        world.trouble("ModifyRule", refusal(403, "AccessDenied", "no"), 9);
    });
    let run = cloud.run(&weights(&["40"])).await;
    assert_eq!(
        (run.code, moved(&cloud)[..2].to_vec()),
        (Some(1), vec![vec![60, 40], vec![100, 0]]),
        "{run:?}"
    );
    assert!(run.err.contains("and rule 60 went up and could not be taken back: could not change"), "{run:?}");
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
    // What a watch comes to is more than what was left.
    let run = cloud.run(&weights(&["0", "--watch", "100ms", SOON[0], SOON[1]])).await;
    assert!(run.code == NOT_JUDGED && run.err.contains("2 of the fleet's rules were not moved"), "{run:?}");
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
    fall_ill(&mut cloud.world());
    let run = cloud.run(&weights(&["20"])).await;
    assert!(run.code == Some(1) && run.err.contains("none of the 2 targets"), "{run:?}");
    let run = cloud.run(&weights(&["20", "--force", "--since", "10m", "--watch", "1m"])).await;
    assert!(run.code == Some(1) && run.err.contains("--since counts what came before"), "{run:?}");
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
        &["50", "--latency-ceiling", "0s", "--watch", "1m"],
        &["50", "--back-to", "50", "--watch", "1m"],
        &["50", "--back-to", "10"],
        &["50", "--since", "10m"],
    ] {
        assert_eq!(cloud.run(&weights(words)).await.code, Some(64), "{words:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_takes_the_share_away_needs_not_see_how_the_targets_are() {
    let cloud = Cloud::start().await;
    cloud.world().trouble("DescribeTargetHealth", refusal(403, "AccessDenied", "no"), 1000);
    let run = cloud.run(&weights(&["20"])).await;
    assert!(run.code == Some(1) && run.err.contains("whether anybody would answer is not known"), "{run:?}");
    assert!(cloud.changes().is_empty());
    let run = cloud.run(&weights(&["0"])).await;
    assert_eq!((run.code, cloud.weights("70")), (Some(0), vec![100, 0]), "{run:?}");
    assert!(run.out.contains("0000000000000002      10  ?\n"), "{run:?}");
    assert!(run.err.contains("elasticloadbalancing:DescribeTargetHealth on target group"), "{run:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_that_does_worse_is_relieved_unless_somebody_forbids() {
    let watch = ["50", "--watch", "20s", SOON[0], SOON[1]];
    let worse = Cloud::start().await;
    worse.world().rules.insert(0, Rule::new("60", &[(OLD, 3), (NEW, 1)]));
    worse.world().then.insert("ModifyRule", fall_ill);
    let forbidden = Cloud::start().await;
    forbidden.world().then.insert("ModifyRule", fall_ill);
    let words = [&watch[..], &["--no-rollback"]].concat();
    let (words, watch) = (weights(&words), weights(&watch));
    let (relieved, left) = tokio::join!(worse.run(&watch), forbidden.run(&words));
    assert!(
        relieved.code == Some(1) && relieved.out.contains("worse   none of its 2 targets is healthy"),
        "{relieved:?}"
    );
    assert!(
        relieved.err.contains("back to 10 to 25 %; terraform: set instances_weight = 10"),
        "{relieved:?}"
    );
    assert_eq!(worse.changes().len(), 4);
    assert_eq!((worse.weights("60"), worse.weights("70")), (vec![3, 1], vec![90, 10]));
    assert!(left.code == Some(1) && left.err.contains("the weights stay as they are"), "{left:?}");
    assert_eq!(forbidden.weights("70"), [50, 50]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_back_is_never_up_and_over_nobodys_work() {
    // A step down.
    let cloud = Cloud::start().await;
    cloud.world().rules =
        vec![Rule::new("60", &[(OLD, 1), (NEW, 9)]), Rule::new("61", &[(OLD, 9), (NEW, 1)])];
    cloud.world().then.insert("ModifyRule", fall_ill);
    let watch = weights(&["50", "--watch", "20s", SOON[0], SOON[1]]);
    let run = cloud.run(&watch).await;
    assert!(
        run.err.contains("rule 60 goes down from 90 %: if the fleet does worse, it stays down"),
        "{run:?}"
    );
    assert!(run.err.contains("rule 60 is not taken back: it had 90 %, and has less now"), "{run:?}");
    assert!(
        run.code == Some(1) && run.err.contains("1 of its rules went back to 10 %, and 1 did not"),
        "{run:?}"
    );
    assert_eq!((cloud.weights("60"), cloud.weights("61")), (vec![50, 50], vec![9, 1]));
    // Somebody else has taken the share away during the watch, for good.
    let cloud = Cloud::start().await;
    cloud.world().then.insert("GetMetricData", |world| {
        world.rules[0].shares = vec![(OLD, 95), (NEW, 5)];
        fall_ill(world);
    });
    let run = cloud.run(&watch).await;
    assert!(
        run.err
            .contains("rule 70 is not taken back: somebody has changed it meanwhile, and it stands at 5 %"),
        "{run:?}"
    );
    assert!(run.code == Some(1) && run.err.contains("nothing was taken back\nfix: "), "{run:?}");
    assert_eq!((cloud.weights("70"), cloud.changes().len()), (vec![95, 5], 1));
    // It cannot be seen how the rules stand.
    let cloud = Cloud::start().await;
    cloud.world().then.insert("ModifyRule", |world| {
        fall_ill(world);
        world.trouble("DescribeRules", refusal(403, "AccessDenied", "no"), 9);
    });
    let run = cloud.run(&watch).await;
    assert!(run.code == Some(1) && run.out.contains("worse   none of its 2 targets"), "{run:?}");
    assert!(run.err.contains("nothing was taken back\nfix: compilation-worker migrate weights N"), "{run:?}");
    assert!(run.err.contains("allow these credentials elasticloadbalancing:DescribeRules"), "{run:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_watches_on_says_what_the_way_back_is() {
    let cloud = Cloud::start().await;
    cloud.world().rules.insert(0, Rule::new("60", &[(OLD, 3), (NEW, 1)]));
    let run = cloud.run(&weights(&["50", "--watch", "100ms", SOON[0], SOON[1]])).await;
    assert_eq!(run.code, NOT_JUDGED, "{run:?}");
    let told = run.err.lines().find_map(|line| line.strip_prefix("compilation-worker ")).unwrap();
    assert!(told.starts_with("migrate weights 50 --watch 100ms --back-to 10 --since "), "{run:?}");
    // At the end of that one it is told again.
    let on: Vec<&str> = told.split(' ').chain(SOON).collect();
    let run = cloud.run(&on).await;
    assert!(run.code == NOT_JUDGED && run.err.contains(" --back-to 10 --since "), "{run:?}");
    assert!(run.err.contains("back again with: compilation-worker migrate weights 10\n"), "{run:?}");
    assert_eq!(cloud.changes().len(), 2, "what stands is not set again");
    // Without it nothing is pretended.
    let failing = [5000.0, 20.0, 30.0, 0.5];
    figures(&cloud, [5000.0, 1.0, 0.0, 0.5], failing);
    let run = cloud.run(&weights(&[&["50"], &ON[..]].concat())).await;
    for told in [
        "rule 60 stands at 50 % already, and no way back is known",
        "rule 70 stands at 50 % already, and no way back is known",
        "rule 60 is not taken back: it stood at 50 % already",
        "nothing was taken back\nfix: compilation-worker migrate weights N",
    ] {
        assert!(run.err.contains(told), "{told}: {run:?}");
    }
    assert!(!run.err.contains("back again with"), "{run:?}");
    assert!(run.code == Some(1) && run.out.contains("worse   1.00 % of its requests fail"), "{run:?}");
    assert_eq!((cloud.weights("60"), cloud.changes().len()), (vec![50, 50], 2));
    let run = cloud.run(&weights(&[&["50", "--back-to", "10"], &ON[..]].concat())).await;
    assert!(run.code == Some(1) && run.err.contains("the fleet does worse: back to 10 %"), "{run:?}");
    assert_eq!((cloud.weights("60"), cloud.weights("70")), (vec![90, 10], vec![90, 10]));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_interrupts_a_watch_is_told_the_way_on_and_back() {
    let cloud = Cloud::start().await;
    let mut command = cloud.command(&weights(&["50", "--watch", "1h", SOON[0], SOON[1]]));
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let id = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    let ended = lifecycle::blocking("program", move || {
        let _first_look = lines.by_ref().find(|line| line.starts_with("old: ")).unwrap();
        kill_process(id, Signal::INT).unwrap();
        let rest: Vec<String> = lines.collect();
        (child.wait().unwrap().code(), rest.join("\n"))
    });
    let (code, rest) = ended.await.unwrap();
    assert_eq!((code, cloud.weights("70")), (NOT_JUDGED, vec![50, 50]), "{rest}");
    assert!(
        rest.contains("\ncompilation-worker migrate weights 50 --watch 60m --back-to 10 --since "),
        "{rest}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_that_does_well_keeps_its_share_and_what_is_not_seen_is_said() {
    let watch = weights(&[&["50"], &ON[..]].concat());
    let fine = [20_000.0, 20.0, 0.0, 0.5];
    let well = [20_000.0, 24.0, 0.0, 0.6];
    for (old, new, ago, code, expected) in [
        (fine, well, 4, Some(0), "well    19 times in 20 at most 0.17 % of its requests fail"),
        (fine, [50.0, 1.0, 0.0, 9.0], 4, NOT_JUDGED, "not judged: 1 of 50 requests failed, and 0.20 % may"),
        (fine, [20_000.0, 20.0, 200.0, 0.5], 4, Some(1), "worse   1.10 % of its requests fail"),
        (fine, [20_000.0, 20.0, 0.0, 5.0], 4, Some(1), "worse   its p95 is 5.000 s, against 0.500 s x 1.25"),
        (fine, well, 9, NOT_JUDGED, "not judged: the newest figures of the fleet are those of"),
        // Before the time that is asked for, and so young that they may not all be there.
        (fine, well, 12, NOT_JUDGED, "not judged: 0 of 0 requests failed"),
        (fine, well, 1, NOT_JUDGED, "not judged: 0 of 0 requests failed"),
    ] {
        let cloud = Cloud::start().await;
        cloud.world().rules = vec![Rule::new("70", &[(OLD, 50), (NEW, 50)])];
        figures(&cloud, old, new);
        cloud.world().figures_ago = ago;
        let run = cloud.run(&watch).await;
        assert!(run.code == code && run.out.contains(expected), "{expected}: {run:?}");
        assert_eq!(cloud.weights("70"), [50, 50]);
    }
    let cloud = Cloud::start().await;
    let watch = weights(&["50", "--watch", "200ms", SOON[0], SOON[1]]);
    cloud.world().trouble("GetMetricData", refusal(403, "AccessDenied", "no"), 1000);
    let run = cloud.run(&watch).await;
    assert!(run.code == NOT_JUDGED && run.out.contains("no figures could be read at the end"), "{run:?}");
    assert!(run.err.contains("cloudwatch:GetMetricData"), "{run:?}");
    assert_eq!(cloud.weights("70"), [50, 50], "nothing is taken back because nothing could be seen");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_answered_is_told_from_what_is_not_counted_yet_and_from_clients_that_left() {
    let watch = weights(&[&["50"], &ON[..]].concat());
    let cloud = Cloud::start().await;
    cloud.world().rules = vec![Rule::new("70", &[(OLD, 50), (NEW, 50)])];
    let run = |requests: [f64; 5], answered: [f64; 5], balancer_failed: [f64; 5]| {
        let (cloud, watch) = (&cloud, &watch);
        async move {
            figures(cloud, [20_000.0, 0.0, 0.0, 0.5], [20_000.0, 0.0, 0.0, 0.5]);
            {
                let mut world = cloud.world();
                // The minute that has just begun is the newest.
                world.figures_ago = 0;
                let new = [BALANCER, GROUPS[1]];
                figure(&mut world, &new, "RequestCount", &requests);
                figure(&mut world, &new, "HTTPCode_Target_2XX_Count", &answered);
                figure(&mut world, &[BALANCER], "HTTPCode_ELB_5XX_Count", &balancer_failed);
            }
            cloud.run(watch).await
        }
    };
    // The answers of the newest minutes have not been counted.
    let (early, late) = (20_000.0, 1000.0);
    let told = run([early, 0.0, late, late, late], [early, 0.0, 0.0, 0.0, 0.0], [0.0, 0.0, late, late, late]);
    let told = told.await;
    assert!(told.err.contains("new: 20000 requests, 0 failed, p95"), "{told:?}");
    assert_ne!(told.code, Some(1), "{told:?}");
    // Clients have left, here and where nobody else's worker died.
    let told = run([early, 0.0, 0.0, 0.0, 0.0], [19_000.0, 0.0, 0.0, 0.0, 0.0], [0.0; 5]).await;
    assert!(told.err.contains("new: 20000 requests, 0 failed, p95"), "{told:?}");
    // Workers died or hung.
    let told =
        run([early, 0.0, 0.0, 0.0, 0.0], [19_000.0, 0.0, 0.0, 0.0, 0.0], [900.0, 0.0, 0.0, 0.0, 0.0]).await;
    assert!(told.err.contains("900 failed, p95"), "{told:?}");
    assert!(told.code == Some(1) && told.out.contains("worse   4.50 % of its requests fail"), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_another_side_a_ceiling_judges_the_latency() {
    let cloud = Cloud::start().await;
    cloud.world().rules = vec![Rule::new("70", &[(OLD, 0), (NEW, 100)])];
    figures(&cloud, [0.0; 4], [20_000.0, 0.0, 0.0, 5.0]);
    let run = cloud.run(&weights(&[&["100"], &ON[..]].concat())).await;
    assert!(run.code == Some(0) && run.out.contains("its p95 was not compared"), "{run:?}");
    let run = cloud.run(&weights(&[&["100", "--latency-ceiling", "2s"], &ON[..]].concat())).await;
    assert!(
        run.code == Some(1) && run.out.contains("worse   its p95 is 5.000 s, and 2.000 s is the ceiling"),
        "{run:?}"
    );
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
