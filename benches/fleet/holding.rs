//! What a request costs that waits for its result: ten thousand of them, and a worker that never answers.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::bed::Bed;
use crate::common::load;
use crate::common::numbers::row;
use crate::hub::Hub;

/// Requests held at once.
const HELD: usize = 10_000;
/// Requests sent and abandoned beforehand, so that what is there for the first request only is not counted.
const WARM: usize = 200;
/// How long all may take to arrive.
const PATIENCE: Duration = Duration::from_secs(40);

/// Resident memory of a router that holds ten thousand requests.
pub(crate) fn hold() {
    let (bed, hub) = (Bed::start(), Hub::start());
    let router = hub.router(&bed, &["--http-connections=12000"]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (before, after) = runtime.block_on(async {
        let warm = send(router.http, WARM).await;
        wait_for(&hub, WARM).await;
        let before = router.resident();
        let held = send(router.http, HELD).await;
        wait_for(&hub, WARM + HELD).await;
        let after = router.resident();
        drop((warm, held));
        (before, after)
    });
    let each = after.saturating_sub(before) / HELD as u64;
    row(
        &format!("resident for each of {HELD} held requests"),
        &format!("{:.1} KB", each as f64 / 1e3),
        &format!("{} MB", before / 1_000_000),
        &format!("{} MB", after / 1_000_000),
        "<= 20 KB",
    );
}

/// So many requests, each on a connection of its own.
async fn send(router: SocketAddr, count: usize) -> Vec<TcpStream> {
    let mut held = Vec::with_capacity(count);
    for number in 0..count {
        let mut stream = TcpStream::connect(router).await.unwrap();
        stream.write_all(&load::post(crate::ELSEWHERE, &crate::body(number))).await.unwrap();
        held.push(stream);
    }
    held
}

/// Waits until the hub has been asked for so many results.
async fn wait_for(hub: &Hub, subscriptions: usize) {
    let end = Instant::now() + PATIENCE;
    while hub.subscriptions() < subscriptions {
        assert!(Instant::now() < end, "only {} requests have arrived", hub.subscriptions());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
