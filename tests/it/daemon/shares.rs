//! Identical requests at the same time make one compile, and who leaves takes only what was theirs.

use std::time::Duration;

use crate::support::daemon::{Daemon, compile};
use crate::support::obedient::{ID, Obedient, held, sleep};

/// What each request that was not answered from memory counts, when it has got as far as the flights.
const MISSES: &str = "ce_cache_get_total{result=\"miss\",name=\"default\",type=\"memory\"}";

/// Connections on which the same request has been sent, all of them having got as far as the flights.
async fn fly(daemon: &Daemon, number: usize, request: &[u8]) -> Vec<crate::support::client::Client> {
    let mut clients = Vec::new();
    for sent in 1..=number {
        let mut client = daemon.client().await;
        client.send(request).await;
        clients.push(client);
        // The first must lead.
        daemon.metric_until(MISSES, sent as u64).await;
    }
    clients
}

#[tokio::test]
async fn eight_who_ask_the_same_share_one_compile() {
    let obedient = Obedient::make();
    let daemon = obedient.serve(&["--engine-slots", "4"]).await;
    let request = compile(ID, &held("all", 0));
    let mut replies = Vec::new();
    let clients = fly(&daemon, 8, &request).await;
    obedient.release("all");
    for mut client in clients {
        replies.push(client.reply().await);
    }
    for reply in &replies {
        assert_eq!((reply.status, reply.header("x-job-status")), (200, Some("ok")));
        let result = reply.json();
        assert_eq!(result["asm"], replies[0].json()["asm"]);
        assert_eq!(result.get("retreivedFromCache"), None, "it waited for the compile: {result}");
    }
    assert_eq!(daemon.compiles().await, 1);
    daemon.stop().await;
}

#[tokio::test]
async fn a_leader_that_leaves_does_not_take_its_followers_along() {
    let obedient = Obedient::make();
    let daemon = obedient.serve(&["--engine-slots", "4"]).await;
    let request = compile(ID, &held("all", 0));
    let mut clients = fly(&daemon, 4, &request).await;
    daemon.health_until(|health| health["slotsBusy"] == 1).await;
    drop(clients.remove(0));
    daemon.metric_until("compile_jobs_total{status=\"cancelled\"}", 1).await;
    obedient.release("all");
    for mut client in clients {
        let reply = client.reply().await;
        assert_eq!((reply.status, reply.header("x-job-status")), (200, Some("ok")));
    }
    assert_eq!(daemon.compiles().await, 1);
    daemon.stop().await;
}

#[tokio::test]
async fn the_last_to_leave_ends_the_compile_at_once() {
    let obedient = Obedient::make();
    let daemon = obedient.serve(&["--engine-slots", "1"]).await;
    // The bound is for a machine that is not busy with other things, so one of three times has to hold it.
    let mut times = Vec::new();
    for turn in 0..3 {
        let request = compile(ID, &sleep("60", turn));
        let mut client = daemon.client().await;
        client.send(&request).await;
        daemon.running_until("sleep", 1).await;
        daemon.health_until(|health| health["slotsBusy"] == 1).await;
        drop(client);
        times.push(daemon.health_until(|health| health["slotsBusy"] == 0).await);
        daemon.running_until("sleep", 0).await;
        let next = daemon.compile(ID, &sleep("0", turn)).await;
        assert_eq!((next.status, next.header("x-job-status")), (200, Some("ok")));
    }
    assert!(times.iter().min().unwrap() < &Duration::from_millis(100), "the slot was freed after {times:?}");
    daemon.stop().await;
}
