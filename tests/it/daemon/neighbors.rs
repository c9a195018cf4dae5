//! Two daemons on one machine do not get into each other's way.

use std::collections::BTreeSet;

use crate::support::client::until;
use crate::support::daemon::{Daemon, compile};
use crate::support::obedient::{ID, Obedient, held};

/// The users on the host that processes below a daemon run as, its own user left out.
fn users(daemon: &Daemon) -> BTreeSet<u32> {
    let processes = daemon.holdings().processes.into_iter();
    let user = |pid: u32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("Uid:\t")).unwrap_or_default();
        line.split('\t').next().and_then(|user| user.parse().ok())
    };
    let own = rustix::process::geteuid().as_raw();
    processes.filter_map(|process| user(process.pid)).filter(|user| *user != own).collect()
}

#[tokio::test]
async fn each_has_its_own_users_and_groups_and_cleans_up_after_itself() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: without root both have this user");
        return;
    }
    let obedient = Obedient::make();
    let (first, second) = (obedient.serve(&[]).await, obedient.serve(&[]).await);
    let mut clients = Vec::new();
    for daemon in [&first, &second] {
        let mut client = daemon.client().await;
        client.send(compile(ID, &held("both", 0))).await;
        daemon.running_until("sleep", 1).await;
        clients.push(client);
    }
    let (mut of_first, mut of_second) = (BTreeSet::new(), BTreeSet::new());
    for (daemon, seen) in [(&first, &mut of_first), (&second, &mut of_second)] {
        // On a busy machine the job may be alone for a while: no other jail stands.
        until(|| {
            seen.extend(users(daemon));
            seen.len() >= 3
        })
        .await;
    }
    assert!(of_first.is_disjoint(&of_second), "{of_first:?} {of_second:?}");
    let groups = |daemon: &Daemon| daemon.holdings().groups().into_iter().collect::<BTreeSet<_>>();
    assert!(groups(&first).is_disjoint(&groups(&second)));
    // The first goes while the second works.
    obedient.release("both");
    for client in &mut clients {
        assert_eq!(client.reply().await.status, 200);
    }
    first.stop().await;
    assert_eq!(second.compile(ID, &held("both", 1)).await.status, 200);
    second.stop().await;
}
