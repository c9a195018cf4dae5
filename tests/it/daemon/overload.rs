//! More work than there is room for: refused at once, while everything else goes on.

use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::time::Instant;

use crate::support::daemon::{BINARY, Daemon, compile};
use crate::support::obedient::{ID, Obedient, held, sleep};

/// Far less than the 15 s that one who is not refused waits for a slot, and more than a busy machine stands still.
const AT_ONCE: Duration = Duration::from_secs(7);

#[tokio::test]
async fn who_finds_slots_and_queue_full_is_told_so_at_once() {
    let obedient = Obedient::make();
    let daemon = obedient.serve(&["--engine-slots", "1", "--engine-queue-length", "1"]).await;
    let mut running = daemon.client().await;
    running.send(compile(ID, &held("refusals", 0))).await;
    daemon.health_until(|health| health["slotsBusy"] == 1).await;
    let mut queued = daemon.client().await;
    queued.send(compile(ID, &sleep("0", 1))).await;
    daemon.health_until(|health| health["queued"] == 1).await;
    for number in 2..7 {
        let mut client = daemon.client().await;
        let begun = Instant::now();
        let reply = client.ask(compile(ID, &sleep("0", number))).await;
        assert!(begun.elapsed() < AT_ONCE, "a refusal took {:?}", begun.elapsed());
        assert_eq!((reply.status, reply.header("x-job-status")), (503, Some("rejected")));
        let seconds: u64 = reply.header("retry-after").unwrap().parse().unwrap();
        assert!(seconds >= 1);
        assert_eq!(reply.json()["error"], true);
    }
    let begun = Instant::now();
    let health = daemon.page("/healthcheck").await;
    assert!(begun.elapsed() < AT_ONCE, "/healthcheck took {:?}", begun.elapsed());
    let body = health.json();
    assert_eq!((health.status, &body["slotsBusy"], &body["queued"]), (200, &1.into(), &1.into()), "{body}");
    obedient.release("refusals");
    for client in [&mut running, &mut queued] {
        let reply = client.reply().await;
        assert_eq!((reply.status, reply.header("x-job-status")), (200, Some("ok")));
    }
    daemon.stop().await;
}

#[tokio::test]
async fn who_could_not_start_in_time_is_not_kept_waiting() {
    let obedient = Obedient::make();
    let daemon = obedient.serve(&["--engine-slots", "1", "--engine-queue-wait", "300ms"]).await;
    let mut running = daemon.client().await;
    running.send(compile(ID, &held("refusal", 0))).await;
    daemon.health_until(|health| health["slotsBusy"] == 1).await;
    let begun = Instant::now();
    let reply = daemon.compile(ID, &sleep("0", 1)).await;
    assert!(begun.elapsed() < AT_ONCE, "it waited {:?}", begun.elapsed());
    assert!(matches!(reply.status, 408 | 503), "{} {}", reply.status, reply.text());
    obedient.release("refusal");
    assert_eq!(running.reply().await.status, 200);
    assert_eq!(daemon.compile(ID, &sleep("0", 1)).await.status, 200);
    daemon.stop().await;
}

#[tokio::test]
async fn as_many_descriptors_are_opened_as_may_be() {
    let mut command = program_below("ulimit -Sn 200 && ulimit -Hn 900");
    command.arg(BINARY);
    let daemon = Daemon::start_as(command, &[]).await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", daemon.pid())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let limits: Vec<&str> = line.split_whitespace().skip(3).take(2).collect();
    assert_eq!(limits, ["900", "900"]);
    daemon.stop().await;
}

/// A shell that does something first, and then becomes what its arguments say.
#[expect(clippy::disallowed_methods, reason = "the black-box tests start the program")]
fn program_below(first: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &format!("{first} && exec \"$@\""), "sh"]);
    command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").stdin(Stdio::null());
    command
}
