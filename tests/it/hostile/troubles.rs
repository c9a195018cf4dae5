//! Trouble beyond the tables: with the helper, with the catalogue while jobs run, with clients that dawdle.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::hostile::census;
use crate::hostile::daemon::{ALL, Daemon, LONG, SHORT, Who};
use crate::hostile::vector;
use crate::support::client::{Client, get, post};

/// How long until a daemon must have noticed what happened to it.
const NOTICED: Duration = Duration::from_secs(5);

fn signal_helper(daemon: &Daemon, signal: Signal) {
    let helper = census::helper(daemon.process()).unwrap();
    let helper = Pid::from_raw(helper.try_into().unwrap()).unwrap();
    kill_process(helper, signal).unwrap();
}

fn sleeper(seconds: &str) -> serde_json::Value {
    json!({
        "source": "int x;",
        "options": {"userArguments": "-fplugin=./x.so"},
        "files": [
            {"filename": "x.so", "contents": vector::plugin()},
            {"filename": "x.sh", "contents": format!("sleep {seconds}; exit 0")},
        ],
        "bypassCache": 1,
    })
}

/// Only the main thread of a new process can start a helper: a daemon that lost its own answers whom it can, and ends
/// so that it is started again.
#[tokio::test]
async fn without_its_helper_a_daemon_ends() {
    let mut daemon = Daemon::start(&[SHORT]).await;
    let (running, ()) = tokio::join!(async { daemon.compile(Who::Gcc, &sleeper("1000")).await }, async {
        while !census::commands_below(daemon.process()).iter().any(|line| line.contains("sleep 1000")) {
            sleep(Duration::from_millis(5)).await;
        }
        signal_helper(&daemon, Signal::KILL);
    });
    // Which it is depends on who learns of it first: the job, or the one who watches the helper.
    let answer = (running.status, running.header("x-job-status"));
    assert!([(500, Some("infra_error")), (503, Some("rejected"))].contains(&answer), "{answer:?}");
    let left = census::commands_below(daemon.process());
    assert!(left.iter().all(|line| !line.contains("sleep 1000")), "{left:?}");
    assert!(!daemon.end(NOTICED).await.success(), "who supervises it must see that something was wrong");
}

/// A stopped helper builds no jails; when it goes on, so does everything.
#[tokio::test]
async fn a_stopped_helper_is_survived() {
    let daemon = Daemon::start(&[SHORT]).await;
    let before = daemon.at_rest().await;
    signal_helper(&daemon, Signal::STOP);
    // More than stand ready, so that some must wait for a jail.
    let mut statuses = Vec::new();
    let jobs = async {
        for number in 0..5 {
            let pair = tokio::join!(daemon.ordinary_job(ALL[number % 4]), daemon.ordinary_job(Who::Gcc));
            statuses.extend([pair.0.is_ok(), pair.1.is_ok()]);
        }
    };
    let resume = async {
        sleep(Duration::from_millis(800)).await;
        assert!(daemon.healthy().await, "a helper that is slow is no reason to be replaced");
        signal_helper(&daemon, Signal::CONT);
    };
    tokio::join!(jobs, resume);
    assert_eq!(statuses, [true; 10]);
    daemon.is_back_at(&before).await.unwrap();
}

/// Reloads while every slot compiles: no job notices.
#[tokio::test]
async fn a_reload_under_load_disturbs_nobody() {
    let daemon = Daemon::start(&[LONG]).await;
    let before = daemon.at_rest().await;
    let load = async {
        for number in 0..20 {
            daemon.ordinary_job(ALL[number % 4]).await.unwrap();
        }
    };
    let reload = async {
        for _ in 0..10 {
            let reply = daemon.ask(daemon.admin, post("/admin/reload", "", "")).await;
            assert_eq!(reply.status, 200, "{}", reply.text());
        }
    };
    tokio::join!(load, reload);
    daemon.is_back_at(&before).await.unwrap();
}

/// Clients that leave in the middle, dawdle, or never read: their jobs end, and nothing of them stays.
#[tokio::test]
async fn bad_clients_cost_nothing() {
    let daemon = Daemon::start(&[LONG]).await;
    let before = daemon.at_rest().await;
    let id = daemon.compiler(Who::Gcc);
    let request = post(
        &format!("/api/compiler/{id}/compile"),
        "Content-Type: application/json\r\n",
        sleeper("1000").to_string(),
    );
    let mut gone = Vec::new();
    for _ in 0..6 {
        let mut client = Client::connect(daemon.http).await;
        client.send(&request).await;
        gone.push(client);
    }
    let begun = Instant::now();
    while daemon.vital("slotsBusy").await != 2 {
        assert!(begun.elapsed() < NOTICED, "the slots never filled");
        sleep(Duration::from_millis(5)).await;
    }
    drop(gone);
    let mut dawdling = Vec::new();
    for cut in [1, 20, 100, request.len() / 2, request.len() - 1] {
        let mut client = Client::connect(daemon.http).await;
        client.send(&request[..cut]).await;
        dawdling.push(client);
    }
    for who in ALL {
        daemon.ordinary_job(*who).await.unwrap();
    }
    assert!(begun.elapsed() < Duration::from_secs(10), "a slot stayed with a client who had left");
    drop(dawdling);
    let huge = format!("GET /healthcheck HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(100_000));
    let mut client = Client::connect(daemon.http).await;
    // It may hang up before it has read all of it.
    if client.try_send(huge).await.is_ok() {
        let rest = String::from_utf8_lossy(&client.rest().await).into_owned();
        assert!(rest.is_empty() || rest.contains(" 431 "), "{rest}");
    }
    let many = "X: y\r\n".repeat(1000);
    assert_eq!(daemon.ask(daemon.http, get("/healthcheck", &many)).await.status, 431);
    daemon.is_back_at(&before).await.unwrap();
}

/// A remembered output needs no slot to be shown again with other filters: many at once must not fill the memory.
#[tokio::test]
async fn presenting_is_bounded_too() {
    let daemon = Daemon::start(&[LONG, "--limits-artifact=256KiB", "--engine-answer-cache=64KiB"]).await;
    let show = |filters: usize| {
        let bit = |place: usize| filters >> place & 1 == 1;
        json!({
            "source": "int x;",
            "options": {
                "userArguments": "-wrapper /bin/sh,x.sh",
                "filters": {"labels": false, "directives": false, "trim": bit(0), "commentOnly": bit(1),
                            "demangle": bit(2), "libraryCode": bit(3)},
            },
            "files": [{"filename": "x.sh", "contents": "yes '        nop' | head -c 250000 > output.s; exit 0"}],
        })
    };
    assert_eq!(daemon.compile(Who::Gcc, &show(0)).await.header("x-job-status"), Some("ok"));
    daemon.forget_peak();
    assert_eq!(daemon.compile(Who::Gcc, &show(1)).await.header("x-job-status"), Some("ok"));
    let one = daemon.peak_mib();
    daemon.forget_peak();
    let show = async |filters: usize| daemon.compile(Who::Gcc, &show(filters)).await;
    let mut shown: Vec<_> = (2..10).map(|filters| Box::pin(show(filters))).collect();
    let mut answered = 0;
    std::future::poll_fn(|context| {
        shown.retain_mut(|answer| match answer.as_mut().poll(context) {
            std::task::Poll::Ready(reply) => {
                assert_eq!(reply.header("x-job-status"), Some("ok"));
                answered += 1;
                false
            }
            std::task::Poll::Pending => true,
        });
        if shown.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    let all = daemon.peak_mib();
    let word = format!("{one} MiB for one, {all} MiB for {answered}");
    println!("{word}");
    // The replies themselves wait for their readers; the lines they were made of do not.
    assert!(answered == 8 && all < 2 * one, "{word}");
}
