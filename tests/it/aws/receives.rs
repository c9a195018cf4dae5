//! Receiving: never repeated, and its answers believed as far as they make sense.

use std::time::{Duration, SystemTime};

use compilation_worker::aws::Kind;
use compilation_worker::domain::class::{Class, Classify as _};
use compilation_worker::ports::{Ask, QueueError, QueueSource as _};
use serde_json::{Value, json};

use super::server::{Act, Server};
use super::unreachable;

const ASK: Ask = Ask { most: 3, wait: Duration::ZERO, hidden_for: Duration::from_secs(10) };

#[tokio::test]
async fn a_failure_is_told_at_once_and_never_repeated_in_here() {
    for (act, expected) in [
        (Act::error(400, "com.amazonaws.sqs#RequestThrottled", "slow down"), Kind::Throttled),
        (Act::error(400, "ThrottlingException", "Rate exceeded"), Kind::Throttled),
        (Act::error(403, "OverLimit", "too many in flight"), Kind::Throttled),
        (Act::garbage(429), Kind::Throttled),
        (Act::error(403, "AccessDeniedException", "not authorized"), Kind::Denied),
        (Act::garbage(500), Kind::Broken),
        (Act::garbage(503), Kind::Broken),
        (Act::garbage(200), Kind::Garbled),
        (Act::ok(&json!({ "Messages": "many" })), Kind::Garbled),
        (Act::Reset, Kind::Unreachable),
    ] {
        let server = Server::doing([act.clone()]).await;
        let error = server.source().receive(ASK).await.unwrap_err();
        assert_eq!(unreachable(&error, "receive"), expected, "{act:?}");
        assert_eq!(error.class(), Class::Upstream);
        assert_eq!(server.asked(), 1, "{act:?}");
    }
}

#[tokio::test]
async fn an_absent_queue_is_called_absent() {
    for code in ["com.amazonaws.sqs#QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue"] {
        let server = Server::doing([Act::error(400, code, "no such queue")]).await;
        let error = server.source().receive(ASK).await.unwrap_err();
        assert!(matches!(error, QueueError::Absent { .. }), "{code}: {error}");
    }
}

#[tokio::test]
async fn the_ask_is_passed_on_in_whole_seconds() {
    let server = Server::doing([Act::ok(&json!({}))]).await;
    let ask = Ask { most: 50, wait: Duration::from_millis(300), hidden_for: Duration::from_millis(9_100) };
    assert!(server.source().receive(ask).await.unwrap().is_empty());
    let asked = server.seen().pop().unwrap();
    assert_eq!(asked.header("x-amz-target"), Some("AmazonSQS.ReceiveMessage"));
    let body = asked.json();
    assert_eq!((&body["MaxNumberOfMessages"], &body["WaitTimeSeconds"]), (&json!(10), &json!(1)));
    assert_eq!(body["VisibilityTimeout"], json!(10));
    let facts = body["MessageSystemAttributeNames"].as_array().unwrap();
    assert!(facts.contains(&json!("AWSTraceHeader")) && facts.contains(&json!("SentTimestamp")), "{facts:?}");
}

fn message(facts: &Value) -> Value {
    json!({ "Messages": [{ "Body": "{}", "ReceiptHandle": "r", "Attributes": facts }] })
}

#[tokio::test]
async fn ages_are_the_queues_even_if_our_clock_is_ten_minutes_off() {
    for hours in [-1_i64, 0, 1] {
        let ours = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis();
        let theirs = i64::try_from(ours).unwrap() + hours * 600_000;
        let date = jiff::Timestamp::from_millisecond(theirs).unwrap();
        let date = date.strftime("%a, %d %b %Y %H:%M:%S GMT");
        let answer = message(&json!({ "SentTimestamp": (theirs - 7_000).to_string() }));
        let act = Act::Answer(200, format!("Date: {date}\r\n"), answer.to_string().into_bytes());
        let server = Server::doing([act]).await;
        let received = server.source().receive(ASK).await.unwrap().pop().unwrap();
        let off = received.age.as_secs_f64() - 7.0;
        assert!(off.abs() <= 1.1, "the age is {:?}", received.age);
    }
}

#[tokio::test]
async fn odd_facts_do_no_harm() {
    for (facts, receives) in [
        (json!({}), 1),
        (json!({ "ApproximateReceiveCount": "4" }), 4),
        (json!({ "ApproximateReceiveCount": "many", "SentTimestamp": "yesterday" }), 1),
        (json!({ "ApproximateReceiveCount": "-1", "SentTimestamp": "99999999999999999999" }), 1),
        (json!({ "AWSTraceHeader": "Root=none" }), 1),
    ] {
        let server = Server::doing([Act::ok(&message(&facts))]).await;
        let received = server.source().receive(ASK).await.unwrap().pop().unwrap();
        assert_eq!((received.receives, received.age), (receives, Duration::ZERO), "{facts}");
        assert_eq!(received.message.trace, None, "{facts}");
    }
}

#[tokio::test]
async fn what_nothing_could_settle_is_left_alone() {
    let answer = json!({ "Messages": [
        { "Body": "lost" },
        { "ReceiptHandle": "r", "MessageAttributes": {
            "text": { "DataType": "String", "StringValue": "55000" },
            "bytes": { "DataType": "Binary", "BinaryValue": "AAEC" },
        } },
    ] });
    let server = Server::doing([Act::ok(&answer)]).await;
    let received = server.source().receive(ASK).await.unwrap();
    let [only] = received.as_slice() else { panic!("{received:?}") };
    assert_eq!((only.receipt.as_str(), only.message.body.as_str()), ("r", ""));
    assert_eq!(only.message.attributes, [("text".to_owned(), "55000".to_owned())].into());
}
