//! Deadlines and limits.

use std::time::Duration;

use compilation_worker::doors::server::HttpSettings;
use tokio::io::AsyncReadExt as _;
use tokio::time::{Instant, sleep};

use crate::support::client::{Client, End, compile, get, post};
use crate::support::house::{House, scaled};

const HEALTH: &str = "/health/live";

/// Asserts that `elapsed` is `expected` milliseconds, or a little more: the machine may be busy.
#[track_caller]
fn about(elapsed: Duration, expected: u64) {
    let expected = Duration::from_millis(expected);
    let slack = Duration::from_secs(4);
    assert!(elapsed >= expected && elapsed < expected + slack, "{elapsed:?} instead of {expected:?}");
}

#[tokio::test]
async fn h01_a_silent_connection_ends_at_the_idle_limit() {
    let house = House::build(scaled()).await;
    let begun = Instant::now();
    let mut client = house.client().await;
    assert_eq!(client.end().await, End::Closed);
    about(begun.elapsed(), 750);
}

#[tokio::test]
async fn the_idle_limit_counts_from_the_last_reply() {
    let house = House::build(scaled()).await;
    let mut client = house.client().await;
    let mut asked = Instant::now();
    for _ in 0..5 {
        sleep(Duration::from_millis(250)).await;
        asked = Instant::now();
        assert_eq!(client.ask(get(HEALTH, "")).await.status, 200);
    }
    assert_eq!(client.end().await, End::Closed);
    about(asked.elapsed(), 750);
}

#[tokio::test]
async fn h02_a_head_has_a_deadline_however_it_trickles() {
    let house = House::build(scaled()).await;
    for trickles in [false, true] {
        let begun = Instant::now();
        let mut client = house.client().await;
        client.send("GET / HT").await;
        if trickles {
            for byte in "TP/1.1\r\nHost: t\r\n".chars() {
                sleep(Duration::from_millis(40)).await;
                if client.try_send(byte.to_string()).await.is_err() {
                    break;
                }
            }
        }
        let reply = client.reply().await;
        assert_eq!((reply.status, reply.header("connection")), (408, Some("close")));
        assert!(reply.text().contains("did not arrive in time"), "{}", reply.text());
        if !trickles {
            about(begun.elapsed(), 400);
            assert_eq!(client.end().await, End::Closed);
        }
    }
}

#[tokio::test]
async fn h03_a_body_has_a_deadline_and_a_least_speed() {
    let mut plan = scaled();
    plan.http.slowest = 0;
    let house = House::build(plan).await;
    let begun = Instant::now();
    let mut client = house.client().await;
    let whole = compile("int x;");
    client.send(&whole[..whole.len() - 10]).await;
    let reply = client.reply().await;
    assert_eq!((reply.status, reply.header("x-job-status")), (408, Some("rejected")));
    about(begun.elapsed(), 600);
    assert_eq!(client.end().await, End::Closed);

    let mut plan = scaled();
    plan.http.body = Duration::from_mins(1);
    let house = House::build(plan).await;
    let begun = Instant::now();
    let mut client = house.client().await;
    client.send(&whole[..whole.len() - 10]).await;
    assert_eq!(client.reply().await.status, 408);
    about(begun.elapsed(), 300);
    assert_eq!(house.workshop.begun(), 0);
}

#[tokio::test]
async fn h04_a_reader_that_does_not_read_is_cut() {
    let house = House::build(scaled()).await;
    let mut client = Client::narrow(house.address).await;
    client.send(post("/api/compiler/g1/compile", "Accept: text/plain\r\n", "reply 20000000")).await;
    sleep(Duration::from_millis(1500)).await;
    // What the kernels hold still arrives.
    let got = client.rest().await.len();
    assert!(got < 10_000_000, "{got} bytes were written to a client that read none");
}

#[tokio::test]
async fn a_slow_reader_that_reads_gets_everything() {
    let house = House::build(scaled()).await;
    let mut client = Client::narrow(house.address).await;
    client.send(compile("reply 3000000")).await;
    // Longer than one window, and always faster than the least speed.
    sleep(Duration::from_millis(300)).await;
    assert_eq!(client.reply().await.body.len(), 3_000_011);
}

#[tokio::test]
async fn h04_a_reader_that_takes_for_ever_is_cut() {
    let mut plan = scaled();
    plan.door.read_within = Duration::from_secs(1);
    let house = House::build(plan).await;
    let mut client = Client::narrow(house.address).await;
    client.send(post("/api/compiler/g1/compile", "Accept: text/plain\r\n", "reply 20000000")).await;
    // Faster than the least speed of the server's own clock, and far too slow for all of it.
    let (mut got, mut bytes) = (0, vec![0; 20 << 10]);
    while let Ok(read @ 1..) = client.stream.read(&mut bytes).await {
        got += read;
        sleep(Duration::from_millis(10)).await;
    }
    assert!((500_000..10_000_000).contains(&got), "{got}");
}

#[tokio::test]
async fn h05_a_body_over_the_limit_is_refused_at_once() {
    let house = House::build(scaled()).await;
    let head = "POST /api/compiler/g1/compile HTTP/1.1\r\nHost: t\r\n";
    let begun = Instant::now();
    let mut client = house.client().await;
    let reply = client.ask(format!("{head}Content-Length: 1000001\r\n\r\n")).await;
    assert_eq!((reply.status, reply.header("connection")), (413, Some("close")));
    assert!(reply.text().contains("larger than the 1000000 bytes allowed"));
    about(begun.elapsed(), 0);

    // One that sends on regardless still gets to read the answer.
    let mut client = house.client().await;
    client.send(format!("{head}Content-Length: 3000000\r\n\r\n")).await;
    let _sent = client.try_send(vec![b'x'; 3_000_000]).await.is_ok();
    assert_eq!(client.reply().await.status, 413);

    for chunk in ["F4241\r\n".to_owned(), format!("80000\r\n{0}\r\n80000\r\n", "x".repeat(0x80000))] {
        let mut client = house.client().await;
        client.send(format!("{head}Transfer-Encoding: chunked\r\n\r\n{chunk}")).await;
        assert_eq!(client.reply().await.status, 413);
    }
    assert_eq!(house.workshop.begun(), 0);
}

#[tokio::test]
async fn bodies_up_to_the_limit_are_read_in_either_framing() {
    let house = House::build(scaled()).await;
    let mut client = house.client().await;
    let source = "y".repeat(1_000_000);
    let reply = client.ask(post("/api/compiler/g1/compile", "Accept: text/plain\r\n", &source)).await;
    assert_eq!((reply.status, reply.body.len()), (200, source.len() + 3));
    let chunks: String = source.as_bytes().chunks(70_000).fold(String::new(), |all, chunk| {
        all + &format!("{:x}\r\n{}\r\n", chunk.len(), std::str::from_utf8(chunk).unwrap())
    });
    let head = "POST /api/compiler/g1/compile HTTP/1.1\r\nHost: t\r\nAccept: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n";
    let reply = client.ask(format!("{head}{chunks}0\r\nTrailer: x\r\n\r\n")).await;
    assert_eq!((reply.status, reply.body.len()), (200, source.len() + 3));
}

#[tokio::test]
async fn large_bodies_share_a_bounded_room() {
    let mut plan = scaled();
    plan.http.body = Duration::from_secs(5);
    plan.http.body_window = Duration::from_secs(5);
    plan.door.all_bodies_bytes = 1_000_000;
    let house = House::build(plan).await;
    let half = "x".repeat(600_000);
    let large = post("/api/compiler/g1/compile", "", &half);
    let mut first = house.client().await;
    first.send(&large[..large.len() - 1]).await;
    sleep(Duration::from_millis(200)).await;
    let mut second = house.client().await;
    let _cut_short = second.try_send(&large).await.is_ok();
    let refused = second.reply().await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    assert_eq!(house.client().await.ask(compile("int x;")).await.status, 200, "small ones need no room");
    first.send("x").await;
    assert_eq!(first.reply().await.status, 200);
    assert_eq!(house.client().await.ask(&large).await.status, 200, "the room is free again");
}

#[tokio::test]
async fn h10_heads_are_limited() {
    let house = House::open().await;
    for headers in [
        "X: y\r\n".repeat(1000),
        format!("X: {}\r\n", "y".repeat(64 * 1024)),
        format!("X: {}\r\n", "y".repeat(1_000_000)),
    ] {
        let mut client = house.client().await;
        let _sent = client.try_send(get(HEALTH, &headers)).await.is_ok();
        let reply = client.reply().await;
        assert_eq!((reply.status, reply.header("connection")), (431, Some("close")), "{}", reply.text());
    }
}

#[tokio::test]
async fn h15_who_expects_to_be_asked_is_asked_once() {
    let house = House::build(scaled()).await;
    let head = "POST /api/compiler/g1/compile HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\n";
    let mut client = house.client().await;
    assert_eq!(client.ask(format!("{head}Content-Length: 6\r\n\r\n")).await.status, 100);
    assert_eq!(client.ask("int x;").await.status, 200);
    assert_eq!(client.ask(format!("{head}Content-Length: 6\r\n\r\n")).await.status, 100);
    assert_eq!(client.reply().await.status, 408, "and then nothing came");
    let mut client = house.client().await;
    assert_eq!(client.ask(format!("{head}Content-Length: 6000000\r\n\r\n")).await.status, 413);
}

#[tokio::test]
async fn h16_pipelined_requests_are_answered_in_order() {
    let house = House::open().await;
    let mut client = house.client().await;
    let all: Vec<u8> = (0..100).flat_map(|number| compile(&format!("number {number}"))).collect();
    client.send(all).await;
    for number in 0..100 {
        assert_eq!(client.reply().await.json()["echo"], format!("number {number} []"));
    }
}

#[tokio::test]
async fn h17_a_full_house_sends_the_oldest_idle_away() {
    let mut plan = scaled();
    plan.http = HttpSettings {
        connections: 8,
        idle: Duration::from_mins(1),
        linger: Duration::from_millis(200),
        ..plan.http
    };
    let house = House::build(plan).await;
    let mut busy = house.client().await;
    busy.send(compile("sleep 1000")).await;
    let mut idle = Vec::new();
    for _ in 0..40 {
        let mut client = house.client().await;
        assert_eq!(client.ask(get(HEALTH, "")).await.status, 200);
        idle.push(client);
    }
    for client in &mut idle[..30] {
        assert_eq!(client.end().await, End::Closed);
    }
    assert_eq!(idle.last_mut().unwrap().ask(get(HEALTH, "")).await.status, 200);
    assert_eq!(busy.reply().await.status, 200, "who is served stays");
}

#[tokio::test]
async fn h17_want_of_descriptors_passes() {
    let house = House::open().await;
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let few = rustix::process::Rlimit { current: Some(60), ..limit };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, few).unwrap();
    // Both ends of every connection live in this process, so that the server runs out too.
    let mut clients = Vec::new();
    while let Ok(client) = Client::try_connect(house.address).await {
        clients.push(client);
    }
    sleep(Duration::from_millis(50)).await;
    clients.drain(..clients.len() / 2);
    for client in &mut clients {
        assert_eq!(client.ask(get(HEALTH, "")).await.status, 200);
    }
}

#[tokio::test]
async fn requests_may_come_in_any_pieces() {
    let house = House::open().await;
    let mut client = house.client().await;
    client.stream.set_nodelay(true).unwrap();
    let whole = [compile("one"), compile("two"), get(HEALTH, "").into_bytes()].concat();
    for size in [1, 7, 50] {
        for piece in whole.chunks(size) {
            client.send(piece).await;
            tokio::task::yield_now().await;
        }
        assert_eq!(client.reply().await.json()["echo"], "one []");
        assert_eq!(client.reply().await.json()["echo"], "two []");
        assert_eq!(client.reply().await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn h22_a_request_that_crosses_the_idle_close_is_never_reset() {
    let mut plan = scaled();
    plan.http.idle = Duration::from_millis(100);
    let house = House::build(plan).await;
    let mut racers = tokio::task::JoinSet::new();
    for number in 0..50_u64 {
        let address = house.address;
        racers.spawn(async move {
            let (mut answered, mut closed) = (0, 0);
            for round in 0..10 {
                let mut client = Client::connect(address).await;
                assert_eq!(client.ask(get(HEALTH, "")).await.status, 200);
                sleep(Duration::from_micros(99_000 + (number * 10 + round) * 5)).await;
                if client.try_send(get(HEALTH, "")).await.is_ok() {
                    match client.try_reply().await.expect("a reset") {
                        Some(_) => answered += 1,
                        None => closed += 1,
                    }
                }
            }
            (answered, closed)
        });
    }
    let (mut answered, mut closed) = (0, 0);
    while let Some(racer) = racers.join_next().await {
        let (a, c) = racer.unwrap();
        answered += a;
        closed += c;
    }
    assert_eq!(answered + closed, 500);
    assert!(closed > 0, "no request ever crossed a close: the test proves nothing");
}
