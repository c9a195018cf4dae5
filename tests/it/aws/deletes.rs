//! Settling: deleted in batches and repeated if need be; hidden again unless the receipt is void.

use std::time::Duration;

use compilation_worker::aws::Kind;
use compilation_worker::ports::{QueueError, QueueSource as _, Receipt};
use serde_json::{Value, json};

use super::server::{Act, Request, Server};
use super::unreachable;

/// How SQS itself calls a receipt whose time has run out, on a FIFO queue.
const EXPIRED: &str =
    "Value AQEBwJnK for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired.";

fn receipts(number: usize) -> Vec<Receipt> {
    (0..number).map(|number| Receipt::new(&format!("r{number}"))).collect()
}

/// Deletes all that is asked, but refuses the receipts that `refusal` has an answer for.
fn deleting(request: &Request, refusal: impl Fn(&str) -> Option<Value>) -> Act {
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    for entry in request.json()["Entries"].as_array().unwrap() {
        match refusal(entry["ReceiptHandle"].as_str().unwrap()) {
            None => done.push(json!({ "Id": entry["Id"] })),
            Some(mut refused) => {
                refused["Id"] = entry["Id"].clone();
                failed.push(refused);
            }
        }
    }
    Act::ok(&json!({ "Successful": done, "Failed": failed }))
}

#[tokio::test]
async fn many_are_deleted_ten_at_a_time() {
    let server = Server::start(|request| deleting(request, |_| None)).await;
    assert!(server.source().delete(receipts(23)).await.unwrap().is_empty());
    let sizes: Vec<usize> =
        server.seen().iter().map(|request| request.json()["Entries"].as_array().unwrap().len()).collect();
    assert_eq!(sizes, [10, 10, 3]);
    assert!(server.source().delete(Vec::new()).await.unwrap().is_empty());
    assert_eq!(server.asked(), 3, "nothing to delete is nothing to ask");
}

#[tokio::test]
async fn void_receipts_are_reported_and_the_rest_is_deleted() {
    let server = Server::start(|request| {
        deleting(request, |receipt| match receipt {
            "r1" => Some(json!({ "Code": "InvalidParameterValue", "Message": EXPIRED, "SenderFault": true })),
            "r11" => Some(json!({ "Code": "ReceiptHandleIsInvalid", "SenderFault": true })),
            _ => None,
        })
    })
    .await;
    let void = server.source().delete(receipts(12)).await.unwrap();
    assert_eq!(void, [Receipt::new("r1"), Receipt::new("r11")]);
}

#[tokio::test]
async fn a_failed_deletion_is_tried_three_times() {
    let server = Server::start(|request| match request.number {
        0 => Act::garbage(500),
        1 => Act::Reset,
        _ => deleting(request, |_| None),
    })
    .await;
    assert!(server.source().delete(receipts(2)).await.unwrap().is_empty());
    assert_eq!(server.asked(), 3);

    let server = Server::doing([Act::error(400, "RequestThrottled", "slow down")]).await;
    let error = server.source().delete(receipts(2)).await.unwrap_err();
    assert_eq!(unreachable(&error, "delete"), Kind::Throttled);
    assert_eq!(server.asked(), 3);
}

#[tokio::test]
async fn an_entry_that_failed_or_is_not_mentioned_is_not_called_deleted() {
    let failed = json!({ "Id": "1", "Code": "InternalError", "Message": "try again", "SenderFault": false });
    for (answer, expected) in [
        (json!({ "Successful": [{ "Id": "0" }], "Failed": [failed] }), Kind::Broken),
        (json!({ "Successful": [{ "Id": "0" }] }), Kind::Garbled),
        (json!({ "Successful": [{ "Id": "0" }, { "Id": "7" }] }), Kind::Garbled),
    ] {
        let server = Server::doing([Act::ok(&answer)]).await;
        let error = server.source().delete(receipts(2)).await.unwrap_err();
        assert_eq!(unreachable(&error, "delete"), expected, "{answer}");
    }
}

#[tokio::test]
async fn a_void_receipt_cannot_hide_and_is_not_asked_again() {
    for (code, message) in [
        ("InvalidParameterValue", EXPIRED),
        ("com.amazonaws.sqs#ReceiptHandleIsInvalid", ""),
        ("com.amazonaws.sqs#MessageNotInflight", ""),
    ] {
        let server = Server::doing([Act::error(400, code, message)]).await;
        let error = server.source().hide(Receipt::new("r"), Duration::from_secs(10)).await.unwrap_err();
        assert!(matches!(error, QueueError::Void { .. }), "{code}: {error}");
        assert_eq!(server.asked(), 1, "{code}");
    }
}

#[tokio::test]
async fn hiding_is_tried_twice() {
    let server = Server::doing([Act::garbage(500), Act::ok(&json!({}))]).await;
    server.source().hide(Receipt::new("r"), Duration::from_secs(10)).await.unwrap();
    assert_eq!(server.asked(), 2);
    assert_eq!(server.seen()[1].json()["VisibilityTimeout"], json!(10));

    let server =
        Server::doing([Act::error(400, "InvalidParameterValue", "VisibilityTimeout is invalid")]).await;
    let error = server.source().hide(Receipt::new("r"), Duration::from_hours(100)).await.unwrap_err();
    assert_eq!(unreachable(&error, "hide"), Kind::Refused);
    assert_eq!(server.asked(), 1, "what is refused is refused");
    assert_eq!(server.seen()[0].json()["VisibilityTimeout"], json!(43_200), "twelve hours at most");
}
