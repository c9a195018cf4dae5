//! Whatever a client or a hub sends, the other side goes on serving.

use std::time::Duration;

use compilation_worker::events::hub::HubSettings;
use futures_util::SinkExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use super::bed::{Bed, PATIENCE, round_trip, until};
use super::peer::Peer;

/// One text frame of 64 MiB; its head alone says so.
fn huge() -> Message {
    Message::Frame(Frame::message(vec![b'x'; 64 << 20], OpCode::Data(Data::Text), true))
}

#[tokio::test]
async fn the_hub_answers_what_it_does_not_know_and_goes_on() {
    let bed = Bed::default();
    let (address, hub) = bed.hub().await;
    let mut peer = Peer::dial(address).await;
    for (said, answer) in [
        ("nonsense", "unknown text message"),
        ("subscribe:no-space", "unknown text message"),
        (r#"{"no":"guid"}"#, "unknown object message"),
        (r#"{"guid":["#, "unknown object message"),
        ("\u{0}\u{ffff}", "unknown text message"),
    ] {
        peer.say(said).await;
        assert_eq!(peer.hear().await, answer, "{said}");
    }
    peer.0.send(Message::binary(vec![0xff; 100])).await.unwrap();
    assert_eq!(peer.hear().await, "unknown text message");
    peer.say("ping").await;
    assert_eq!(peer.hear().await, "pong");
    assert_eq!(hub.status().unknown, 6);
}

#[tokio::test]
async fn a_message_or_frame_over_the_limit_is_closed_with_1009() {
    let hub = HubSettings { message: 3000, frame: 1000, ..HubSettings::default() };
    let bed = Bed { hub, ..Bed::default() };
    let (address, _hub) = bed.hub().await;
    let mut peer = Peer::dial(address).await;
    peer.say(format!(r#"{{"guid":"g","asm":"{}"}}"#, "x".repeat(1000))).await;
    assert_eq!(peer.close_code().await, Some(1009), "the frame was too large");
    let mut peer = Peer::dial(address).await;
    for (index, kind) in [Data::Text, Data::Continue, Data::Continue, Data::Continue].into_iter().enumerate()
    {
        let frame = Frame::message(vec![b'{'; 900], OpCode::Data(kind), index == 3);
        peer.0.send(Message::Frame(frame)).await.unwrap();
    }
    assert_eq!(peer.close_code().await, Some(1009), "the message was too large");
    let mut peer = Peer::dial(address).await;
    let _refused_halfway = peer.0.send(huge()).await.is_err();
    assert_eq!(peer.close_code().await, Some(1009), "64 MiB were too large");
    let mut peer = Peer::dial(address).await;
    peer.say("ping").await;
    assert_eq!(peer.hear().await, "pong", "others are served");
}

#[tokio::test]
async fn bytes_that_are_no_websocket_cost_one_connection() {
    let bed = Bed::default();
    let (address, hub) = bed.hub().await;
    for bytes in [&b"\x16\x03\x01\x02\x00"[..], b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", &[0xff; 10_000]] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // The hub may have gone before it was all written.
        let _written = stream.write_all(bytes).await.is_err();
        let _shut = stream.shutdown().await.is_err();
        let mut answer = Vec::new();
        let ended = timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
        assert!(ended.is_ok(), "the hub keeps {bytes:?} waiting");
        assert!(!answer.starts_with(b"HTTP/1.1 101"));
    }
    let mut peer = Peer::dial(address).await;
    // An unmasked frame is forbidden to clients.
    peer.0.get_mut().write_all(b"\x81\x04ping").await.unwrap();
    let mut rest = Vec::new();
    let _reset =
        timeout(PATIENCE, peer.0.get_mut().read_to_end(&mut rest)).await.expect("it is not closed").is_err();
    let (worker, router) = (bed.bus_at(address, |_| ()).await, bed.bus_at(address, |_| ()).await);
    round_trip(&worker, &router).await;
    assert!(hub.status().connections <= 4, "{:?}", hub.status());
}

#[tokio::test]
async fn a_client_that_says_nothing_is_let_go() {
    let hub = HubSettings { handshake: Duration::from_millis(200), ..HubSettings::default() };
    let bed = Bed { hub, ..Bed::default() };
    let (address, hub) = bed.hub().await;
    let mut mute = TcpStream::connect(address).await.unwrap();
    let mut halfway = TcpStream::connect(address).await.unwrap();
    halfway.write_all(b"GET /prod HTTP/1.1\r\nUpgrade: websocket\r\n").await.unwrap();
    for stream in [&mut mute, &mut halfway] {
        let ended = timeout(PATIENCE, stream.read_to_end(&mut Vec::new())).await;
        assert!(ended.is_ok(), "it is kept for ever");
    }
    assert_eq!(hub.status().connections, 0);
}

#[tokio::test]
async fn one_client_too_many_is_refused_before_it_believes_to_be_in() {
    let hub = HubSettings { connections: 1, ..HubSettings::default() };
    let bed = Bed { hub, ..Bed::default() };
    let (address, _hub) = bed.hub().await;
    let _first = Peer::dial(address).await;
    let stream = TcpStream::connect(address).await.unwrap();
    let refused = tokio_tungstenite::client_async(format!("ws://{address}/"), stream).await.unwrap_err();
    assert!(refused.to_string().contains("503"), "{refused}");
}

#[tokio::test]
async fn garbage_from_a_hub_is_counted_and_a_huge_frame_ends_one_connection() {
    let bed = Bed::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let opening = bed.bus_at(listener.local_addr().unwrap(), |settings| settings.connections = 1);
    let (bus, mut hub) = tokio::join!(opening, Peer::accept(&listener));
    for text in ["unknown text message", "[1,2]", r#"{"guid":7}"#, "{", "pong", ""] {
        hub.say(text).await;
    }
    hub.0.send(Message::binary(vec![0; 10])).await.unwrap();
    until(&bus, |status| status.garbage == 6).await;
    // Ten thousand receipts for results that nobody here has sent.
    for number in 0..10_000 {
        hub.0.feed(Message::text(format!(r#"{{"type":"ack","guid":"{number}"}}"#))).await.unwrap();
    }
    hub.0.flush().await.unwrap();
    let _refused_halfway = hub.0.send(huge()).await.is_err();
    assert_eq!(hub.close_code().await, Some(1009));
    let mut hub = Peer::accept(&listener).await;
    hub.say("{").await;
    until(&bus, |status| status.garbage == 7 && status.connections == 1).await;
}

#[tokio::test]
async fn a_client_that_does_not_read_keeps_nobody_waiting() {
    let hub = HubSettings { backlog: 100_000, stall: Duration::from_secs(1), ..HubSettings::default() };
    let bed = Bed { hub, ..Bed::default() };
    let (address, hub) = bed.hub().await;
    let (mut slow, mut sender) = (Peer::dial(address).await, Peer::dial(address).await);
    slow.say("subscribe: g").await;
    slow.say("ping").await;
    assert_eq!(slow.hear().await, "pong");
    let result = format!(r#"{{"guid":"g","asm":"{}"}}"#, "x".repeat(30_000));
    for _ in 0..2000 {
        sender.0.feed(Message::text(result.clone())).await.unwrap();
    }
    sender.say("ping").await;
    assert_eq!(sender.hear().await, "pong");
    let status = hub.status();
    assert!(status.dropped > 0 && status.relayed + status.dropped + status.unheard == 2000, "{status:?}");
    for _ in 0..2000 {
        if hub.status().connections == 1 {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("it is kept for ever: {:?}", hub.status());
}
