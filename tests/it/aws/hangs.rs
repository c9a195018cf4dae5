//! A service that accepts every connection and answers none: each verb gives up when its own patience ends.

use std::time::Duration;

use compilation_worker::aws::{AwsRoutes, Kind, S3Blobs};
use compilation_worker::ports::{
    Ask, Blob, BlobAddress, BlobStore as _, Message, QueueSink as _, QueueSource as _, Receipt,
    RouteStore as _,
};
use tokio::time::Instant;

use super::kind;
use super::server::{Act, Server};

/// Runs `act` against a silent server; asserts how often it asked, and how long it took in all.
async fn gives_up<E: std::error::Error + 'static>(
    act: impl AsyncFnOnce(&Server) -> Result<(), E>,
    asked: usize,
    seconds: std::ops::Range<f64>,
) {
    let server = Server::doing([Act::Hang]).await;
    let begun = Instant::now();
    let error = act(&server).await.unwrap_err();
    assert_eq!(kind(&error), Kind::TimedOut, "{error}");
    assert_eq!(server.asked(), asked, "{error}");
    let waited = begun.elapsed().as_secs_f64();
    assert!(seconds.contains(&waited), "{error} after {waited} s");
}

/// The waits add up to the longest of them. Pauses between attempts are up to a second and random.
#[tokio::test]
async fn every_verb_gives_up_in_its_own_time() {
    let receipt = || Receipt::new("r");
    let receive = gives_up(
        async |server| {
            let ask = Ask { most: 1, wait: Duration::from_secs(1), hidden_for: Duration::from_secs(10) };
            server.source().receive(ask).await.map(drop)
        },
        1,
        3.9..6.0,
    );
    let delete =
        gives_up(async |server| server.source().delete(vec![receipt()]).await.map(drop), 3, 12.0..16.0);
    let hide =
        gives_up(async |server| server.source().hide(receipt(), Duration::from_secs(10)).await, 2, 3.0..5.5);
    let send = gives_up(
        async |server| {
            let (group, dedup) = (Some("g".to_owned()), Some("d".to_owned()));
            let message = Message { group, dedup, ..Message::default() };
            server.sink().send(&server.queue("work.fifo"), message).await
        },
        3,
        12.0..16.0,
    );
    let routes =
        |server: &Server| AwsRoutes::new(&server.clients(), "t".to_owned(), Some("c".to_owned())).unwrap();
    let lookup = gives_up(async |server| routes(server).lookup("prod#g132").await.map(drop), 2, 2.0..4.5);
    let color = gives_up(async |server| routes(server).active_color().await.map(drop), 1, 2.0..3.5);
    let put = gives_up(
        async |server| {
            let at = BlobAddress { bucket: "b".to_owned(), key: "k".to_owned() };
            S3Blobs::new(&server.clients()).put(&at, Blob::default()).await
        },
        3,
        15.0..19.0,
    );
    tokio::join!(receive, delete, hide, send, lookup, color, put);
}
