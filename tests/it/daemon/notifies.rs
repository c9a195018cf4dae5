//! What the service manager hears.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::Instant;

use crate::support::daemon::{Daemon, program};

/// Messages until one has the line `wanted`; how long that took, and all that came.
fn hear(socket: &UnixDatagram, wanted: &str) -> Vec<String> {
    let begun = Instant::now();
    let mut heard = Vec::new();
    while begun.elapsed() < Duration::from_secs(10) {
        let mut buffer = [0; 4096];
        let length = socket.recv(&mut buffer).unwrap_or_else(|error| panic!("{error}: heard only {heard:?}"));
        heard.push(String::from_utf8(buffer[..length].to_vec()).unwrap());
        if heard.last().is_some_and(|message| message.lines().any(|line| line == wanted)) {
            return heard;
        }
    }
    panic!("never heard {wanted}: {heard:?}");
}

#[tokio::test]
async fn ready_alive_and_stopping_are_told() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut command = program();
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "400000");
    let begun = Instant::now();
    let daemon = Daemon::start_as(command, &[]).await;
    hear(&socket, "READY=1");
    let ready = Instant::now();
    for _ in 0..5 {
        hear(&socket, "WATCHDOG=1");
    }
    // Twice per 400 ms, the first at once.
    let (least, most) = (ready.elapsed(), begun.elapsed());
    assert!(most > Duration::from_millis(750), "five meals took at most {most:?}");
    assert!(least < Duration::from_secs(8), "five meals took at least {least:?}");
    let held = daemon.holdings();
    daemon.signal(Signal::TERM);
    hear(&socket, "STOPPING=1");
    daemon.ends_with(0, held).await;
}

#[tokio::test]
async fn without_a_watchdog_nobody_is_fed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut command = program();
    // Meant for another process, as when a shell inherits it.
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "100000").env("WATCHDOG_PID", "1");
    let daemon = Daemon::start_as(command, &[]).await;
    let held = daemon.holdings();
    daemon.signal(Signal::TERM);
    let heard = hear(&socket, "STOPPING=1");
    assert!(heard.iter().any(|message| message.contains("READY=1")), "{heard:?}");
    assert!(!heard.iter().any(|message| message.contains("WATCHDOG=1")), "{heard:?}");
    daemon.ends_with(0, held).await;
}
