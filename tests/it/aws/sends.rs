//! Sending: repeated only where a repeat is dropped, and in batches as soon as there is more than one to send.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use compilation_worker::aws::Kind;
use compilation_worker::domain::trace::TraceContext;
use compilation_worker::ports::{Message, QueueAddress, QueueError, QueueSink as _};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::server::{Act, Request, Server};
use super::unreachable;

fn message(id: &str) -> Message {
    Message {
        body: id.to_owned(),
        group: Some(id.to_owned()),
        dedup: Some(id.to_owned()),
        attributes: [("remaining".to_owned(), "55000".to_owned())].into(),
        trace: None,
    }
}

fn entries(request: &Request) -> Vec<Value> {
    request.json()["Entries"].as_array().unwrap().clone()
}

/// Takes every entry.
fn taking(request: &Request) -> Act {
    let done = entries(request).into_iter().map(
        |entry| json!({ "Id": entry["Id"], "MessageId": "m", "MD5OfMessageBody": "d41d8cd98f00b204e9800998ecf8427e" }),
    );
    Act::ok(&json!({ "Successful": done.collect::<Vec<_>>(), "Failed": [] }))
}

#[tokio::test]
async fn a_send_is_repeated_where_repeats_are_dropped() {
    let server = Server::start(|request| match request.number {
        0 => Act::Reset,
        1 => Act::error(400, "RequestThrottled", "slow down"),
        _ => taking(request),
    })
    .await;
    server.sink().send(&server.queue("work.fifo"), message("1")).await.unwrap();
    let ids: Vec<Value> =
        server.seen().iter().map(|request| entries(request)[0]["MessageDeduplicationId"].clone()).collect();
    assert_eq!(ids, ["1", "1", "1"], "one id, or the repeats would be jobs");
    let entry = &entries(&server.seen()[2])[0];
    assert_eq!((&entry["MessageGroupId"], &entry["MessageBody"]), (&json!("1"), &json!("1")));
    assert_eq!(entry["MessageAttributes"]["remaining"]["StringValue"], json!("55000"));
}

#[tokio::test]
async fn a_trace_goes_beside_the_message() {
    let server = Server::start(taking).await;
    let header = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0";
    let traced = Message { trace: TraceContext::parse(header), ..message("1") };
    for (message, expected) in [
        (traced, json!({ "AWSTraceHeader": { "DataType": "String", "StringValue": header } })),
        (message("2"), Value::Null),
    ] {
        server.sink().send(&server.queue("work.fifo"), message).await.unwrap();
        let entry = entries(server.seen().last().unwrap()).pop().unwrap();
        assert_eq!(entry["MessageSystemAttributes"], expected, "{entry}");
        assert_eq!(entry["MessageAttributes"].as_object().unwrap().len(), 1, "{entry}");
    }
}

#[tokio::test]
async fn a_send_is_not_repeated_where_a_repeat_is_a_second_job() {
    let server = Server::doing([Act::garbage(500)]).await;
    let error = server.sink().send(&server.queue("loose"), message("1")).await.unwrap_err();
    assert_eq!(unreachable(&error, "send"), Kind::Broken);
    assert_eq!(server.asked(), 1);
    let entry = &entries(&server.seen()[0])[0];
    assert!(
        entry.get("MessageGroupId").is_none() && entry.get("MessageDeduplicationId").is_none(),
        "{entry}"
    );
}

#[tokio::test]
async fn a_queue_that_keeps_refusing_is_given_up_after_three_calls() {
    for (act, expected, calls) in [
        (Act::error(400, "RequestThrottled", "slow down"), Kind::Throttled, 3),
        (Act::garbage(503), Kind::Broken, 3),
        (Act::error(403, "AccessDenied", "not yours"), Kind::Denied, 1),
        (Act::garbage(200), Kind::Garbled, 1),
    ] {
        let server = Server::doing([act.clone()]).await;
        let error = server.sink().send(&server.queue("work.fifo"), message("1")).await.unwrap_err();
        assert_eq!(unreachable(&error, "send"), expected, "{act:?}");
        assert_eq!(server.asked(), calls, "{act:?}");
    }
}

#[tokio::test]
async fn what_comes_while_calls_are_under_way_leaves_in_batches() {
    let server =
        Server::start(|request| Act::Late(Duration::from_millis(50), Box::new(taking(request)))).await;
    let (sink, queue) = (Arc::new(server.sink()), server.queue("work.fifo"));
    let mut senders = JoinSet::new();
    for number in 0..120 {
        let (sink, queue) = (Arc::clone(&sink), queue.clone());
        senders.spawn(async move { sink.send(&queue, message(&number.to_string())).await.unwrap() });
    }
    senders.join_all().await;
    let calls = server.seen();
    let sent: Vec<String> =
        calls.iter().flat_map(entries).map(|entry| entry["MessageBody"].to_string()).collect();
    assert_eq!((sent.len(), sent.into_iter().collect::<BTreeSet<_>>().len()), (120, 120), "each once");
    assert!(calls.len() <= 15, "{} calls for 120 messages", calls.len());
}

#[tokio::test]
async fn each_message_of_a_batch_has_its_own_fate() {
    let server = Server::start(|request| {
        let (mut done, mut failed) = (Vec::new(), Vec::new());
        for entry in entries(request) {
            let refused =
                |code, by_sender| json!({ "Id": entry["Id"], "Code": code, "SenderFault": by_sender });
            match entry["MessageBody"].as_str().unwrap() {
                "bad" => failed.push(refused("InvalidMessageContents", true)),
                "unlucky" => failed.push(refused("InternalError", false)),
                "forgotten" => {}
                _ => done.push(json!({ "Id": entry["Id"], "MessageId": "m", "MD5OfMessageBody": "" })),
            }
        }
        let answer = Act::ok(&json!({ "Successful": done, "Failed": failed }));
        Act::Late(Duration::from_millis(20), Box::new(answer))
    })
    .await;
    let (sink, queue) = (server.sink(), server.queue("work.fifo"));
    let fate = async |id: &str| match sink.send(&queue, message(id)).await {
        Ok(()) => None,
        Err(error) => Some(unreachable(&error, "send")),
    };
    // All of them are in line before the first call begins.
    let fates = tokio::join!(
        fate("a"),
        fate("b"),
        fate("c"),
        fate("d"),
        fate("bad"),
        fate("unlucky"),
        fate("forgotten")
    );
    let expected = (None, None, None, None, Some(Kind::Refused), Some(Kind::Broken), Some(Kind::Garbled));
    assert_eq!(fates, expected);
    assert_eq!(server.asked(), 1);
}

#[tokio::test]
async fn a_sender_who_gives_up_takes_no_other_along() {
    let server =
        Server::start(|request| Act::Late(Duration::from_millis(100), Box::new(taking(request)))).await;
    let (sink, queue) = (server.sink(), server.queue("work.fifo"));
    let impatient = async {
        tokio::select! {
            _ = sink.send(&queue, message("gone")) => panic!("too fast"),
            () = sleep(Duration::from_millis(30)) => {}
        }
    };
    let patient = async |id: &str| sink.send(&queue, message(id)).await;
    let ((), first, second, third) = tokio::join!(impatient, patient("1"), patient("2"), patient("3"));
    for outcome in [first, second, third] {
        outcome.unwrap();
    }
}

#[tokio::test]
async fn what_no_queue_takes_is_refused_without_asking() {
    let server = Server::doing([Act::Hang]).await;
    let sink = server.sink();
    // With the type's name, which SQS counts, it is one byte too many.
    let giant = Message { body: "x".repeat(1024 * 1024 - 19), ..message("1") };
    let error = sink.send(&server.queue("work.fifo"), giant).await.unwrap_err();
    assert!(matches!(error, QueueError::TooLarge { bytes: 1_048_577, cap: 1_048_576, .. }), "{error}");
    let error = sink.send(&QueueAddress::new("work.fifo"), message("1")).await.unwrap_err();
    assert!(matches!(error, QueueError::Absent { .. }), "a name is no URL: {error}");
    assert_eq!(server.asked(), 0);
}
