//! `fleet isolate` and `fleet rejoin`: all proofs, in the right order, whatever comes between.

use std::process::Stdio;
use std::time::Duration;

use compilation_worker::lifecycle;
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::sleep;

use super::SOON;
use super::cloud::{Cloud, Machine, refusal};
use crate::aws::server::Act;

fn words<'a>(command: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [command, &SOON, more].concat()
}

const ISOLATE: [&str; 3] = ["fleet", "isolate", "i-1"];
const REJOIN: [&str; 3] = ["fleet", "rejoin", "i-1"];

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_leaves_with_all_three_proofs_and_comes_back() {
    let cloud = Cloud::start().await;
    let run = cloud.run(&words(&ISOLATE, &[])).await;
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(run.out, "i-1: isolated: in Standby, out of the target group, taking no jobs\n");
    assert_eq!(cloud.changes(), ["SetInstanceProtection", "EnterStandby"]);
    {
        let mut world = cloud.world();
        assert_eq!(world.last("EnterStandby")["ShouldDecrementDesiredCapacity"], "false");
        let left = world.machine("i-1").clone();
        assert_eq!((left.lifecycle, left.protected, left.target), ("Standby", true, None));
        assert_eq!(left.consuming, Some(false));
    }
    for proof in ["draining", "no more jobs"] {
        assert!(run.err.contains(proof), "{proof} was never waited for: {}", run.err);
    }
    let run = cloud.run(&words(&REJOIN, &[])).await;
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(run.out, "i-1: back: in service, healthy, taking jobs\n");
    assert_eq!(cloud.changes()[2..], ["ExitStandby", "SetInstanceProtection"], "protected to the last");
    assert!(run.err.contains("not yet healthy") && run.err.contains("takes jobs"), "{}", run.err);
    let back = cloud.world().machine("i-1").clone();
    assert_eq!((back.lifecycle, back.protected, back.target), ("InService", false, Some("healthy")));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_at_the_end_is_told_and_the_next_run_goes_on() {
    let cloud = Cloud::start().await;
    cloud.world().daemons_notice = false;
    let run = cloud.run(&words(&ISOLATE, &["--timeout", "1s"])).await;
    assert_eq!((run.out.as_str(), run.code), ("", Some(1)), "{run:?}");
    let last = run.err.lines().rev().nth(1).unwrap();
    assert!(last.contains("not done after 1s") && last.contains("takes no more jobs"), "{}", run.err);
    assert!(!last.contains("balancer") && !last.contains("Standby"), "the other proofs are there: {last}");
    cloud.world().daemons_notice = true;
    let run = cloud.run(&words(&ISOLATE, &[])).await;
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(cloud.changes(), ["SetInstanceProtection", "EnterStandby"], "nothing is done twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_death_or_a_key_between_two_steps_is_mended_by_the_next_run() {
    for signal in [Signal::KILL, Signal::INT] {
        let cloud = Cloud::start().await;
        if signal == Signal::KILL {
            cloud.world().trouble("EnterStandby", Act::Hang, 1);
        } else {
            cloud.world().daemons_notice = false;
        }
        let mut command = cloud.command(&words(&ISOLATE, &[]));
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let id = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        while !cloud.changes().contains(&"EnterStandby".to_owned()) {
            sleep(Duration::from_millis(10)).await;
        }
        kill_process(id, signal).unwrap();
        let ended = lifecycle::blocking("program", move || child.wait_with_output()).await.unwrap().unwrap();
        let said = String::from_utf8(ended.stderr).unwrap();
        if signal == Signal::INT {
            assert_eq!(ended.status.code(), Some(1), "{said}");
            assert!(said.contains("interrupted; run the command again to go on"), "{said}");
        } else {
            assert_eq!(ended.status.code(), None, "{said}");
        }
        cloud.world().daemons_notice = true;
        let run = cloud.run(&words(&ISOLATE, &[])).await;
        assert_eq!(run.code, Some(0), "{signal:?}: {run:?}");
        let protections = cloud.changes().iter().filter(|change| *change == "SetInstanceProtection").count();
        assert_eq!(protections, 1, "{:?}", cloud.changes());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rehearsal_changes_nothing() {
    let cloud = Cloud::start().await;
    let run = cloud.run(&words(&ISOLATE, &["--dry-run"])).await;
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.out.contains("the group starts another in its place"), "{run:?}");
    cloud.world().min = 1;
    let run = cloud.run(&words(&ISOLATE, &["--dry-run", "--decrement"])).await;
    assert!(run.out.contains("want one instance less"), "{run:?}");
    *cloud.world().machine("i-1") = Machine::isolated("i-1");
    let run = cloud.run(&words(&REJOIN, &["--dry-run"])).await;
    assert!(run.out.contains("would put it back into service"), "{run:?}");
    assert!(cloud.changes().is_empty(), "{:?}", cloud.changes());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_is_refused_before_anything_changes() {
    let cloud = Cloud::start().await;
    let run = cloud.run(&words(&ISOLATE, &["--decrement"])).await;
    assert!(run.code == Some(1) && run.err.contains("fleet scale 2 --min 1"), "{run:?}");
    cloud.world().machine("i-1").lifecycle = "Terminating:Wait";
    let run = cloud.run(&words(&ISOLATE, &[])).await;
    assert!(run.code == Some(1) && run.err.contains("it is Terminating:Wait"), "{run:?}");
    let run = cloud.run(&words(&["fleet", "isolate", "i-9"], &[])).await;
    assert!(run.code == Some(1) && run.err.contains("there is no instance i-9"), "{run:?}");
    *cloud.world().machine("i-1") = Machine::isolated("i-1");
    cloud.world().max = 2;
    let run = cloud.run(&words(&REJOIN, &[])).await;
    assert!(run.code == Some(1) && run.err.contains("fleet scale 2 --max 3"), "{run:?}");
    assert!(cloud.changes().is_empty(), "{:?}", cloud.changes());
}

#[tokio::test(flavor = "multi_thread")]
async fn services_in_trouble_are_told_with_the_way_out() {
    let cloud = Cloud::start().await;
    let refused = refusal(403, "AccessDenied", "User is not authorized");
    cloud.world().trouble("SetInstanceProtection", refused, 1);
    let run = cloud.run(&words(&ISOLATE, &[])).await;
    assert!(
        run.code == Some(1) && run.err.contains("allow these credentials autoscaling:SetInstanceProtection"),
        "{run:?}"
    );
    cloud.world().trouble("DescribeTargetHealth", Act::garbage(200), 1);
    let run = cloud.run(&words(&ISOLATE, &[])).await;
    assert!(run.code == Some(1) && run.err.contains("garbled answer"), "{run:?}");
    cloud.world().trouble("DescribeAutoScalingGroups", refusal(400, "Throttling", "Rate exceeded"), 5);
    let run = cloud.run(&words(&ISOLATE, &[])).await;
    assert!(run.code == Some(1) && run.err.contains("throttled: Throttling"), "{run:?}");
    // Asked again after the next look, an answer that never comes costs five seconds and nothing else.
    cloud.world().trouble("EnterStandby", Act::Hang, 1);
    let run = cloud.run(&words(&ISOLATE, &[])).await;
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.err.contains("could not put into Standby instance i-1"), "{run:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_although_no_answer_said_so_is_not_done_again() {
    let cloud = Cloud::start().await;
    cloud.world().lost.extend(["EnterStandby", "ExitStandby"]);
    cloud.world().min = 1;
    for (command, change, end) in [
        (&[&ISOLATE[..], &["--decrement"]].concat()[..], "EnterStandby", "i-1: isolated"),
        (&REJOIN, "ExitStandby", "i-1: back"),
    ] {
        let run = cloud.run(&words(command, &[])).await;
        assert!(run.code == Some(0) && run.out.starts_with(end), "{run:?}");
        assert!(run.err.contains("unreachable"), "the loss is told: {run:?}");
        let asked = cloud.changes().into_iter().filter(|asked| asked == change).count();
        assert_eq!(asked, 1, "{:?}", cloud.changes());
    }
    assert_eq!(cloud.world().desired, 2, "one less, and one more");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_that_answers_is_not_taken_by_accident() {
    let cloud = Cloud::start().await;
    cloud.world().machine("i-2").target = Some("unhealthy");
    for more in [&[][..], &["--dry-run"]] {
        let run = cloud.run(&words(&ISOLATE, more)).await;
        assert!(run.code == Some(1) && run.err.contains("no other is healthy"), "{run:?}");
        assert!(run.err.contains("`fleet scale 3`") && run.err.contains("--force"), "{run:?}");
    }
    assert!(cloud.changes().is_empty(), "{:?}", cloud.changes());
    // What was protected before the service refused, stays so, and that is told.
    cloud.world().machine("i-2").target = Some("healthy");
    let refused = refusal(403, "AccessDenied", "User is not authorized");
    cloud.world().trouble("EnterStandby", refused, 1);
    let run = cloud.run(&words(&ISOLATE, &[])).await;
    assert!(run.code == Some(1) && run.err.contains("`fleet rejoin i-1` ends that"), "{run:?}");
    let run = cloud.run(&words(&REJOIN, &[])).await;
    assert!(run.code == Some(0) && !cloud.world().machine("i-1").protected, "{run:?}");
    cloud.world().machine("i-2").target = Some("unhealthy");
    let run = cloud.run(&words(&ISOLATE, &["--force"])).await;
    assert_eq!(run.code, Some(0), "{run:?}");
    // The other one answers nobody: it may go.
    let run = cloud.run(&words(&["fleet", "isolate", "i-2"], &[])).await;
    assert_eq!(run.code, Some(0), "{run:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn passing_trouble_while_waiting_is_waited_out() {
    let cloud = Cloud::start().await;
    *cloud.world().machine("i-1") = Machine { consuming: Some(true), ..Machine::isolated("i-1") };
    cloud.world().daemons_notice = false;
    let mut command = cloud.command(&words(&ISOLATE, &[]));
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let looks = || cloud.world().asked.iter().filter(|(action, _)| action.ends_with("GetLogEvents")).count();
    while looks() < 2 {
        sleep(Duration::from_millis(10)).await;
    }
    {
        let mut world = cloud.world();
        world.trouble("DescribeAutoScalingGroups", refusal(503, "ServiceUnavailable", "later"), 5);
        world.daemons_notice = true;
    }
    let ended = lifecycle::blocking("program", move || child.wait_with_output()).await.unwrap().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(0), "{said}");
    assert!(said.contains("service failure: ServiceUnavailable"), "{said}");
}
