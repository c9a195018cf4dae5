//! The operator's commands against services that refuse, throttle, know nothing, talk nonsense or say nothing: each
//! failure is told with the call, the thing and the way out, and nothing is lost.

use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::aws::server::{Act, Request, Server};
use crate::cli::asks::output;
use crate::cli::cloud::{given, job, operator};

/// Longest that a test waits for something to happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a request asks for: `AmazonSQS.ReceiveMessage`, or the action of a form.
fn verb(request: &Request) -> String {
    let form = || {
        let text = String::from_utf8_lossy(&request.body).into_owned();
        text.split('&').find_map(|pair| pair.strip_prefix("Action=").map(ToOwned::to_owned))
    };
    request.header("x-amz-target").map(ToOwned::to_owned).or_else(form).unwrap_or_default()
}

/// What one command prints, says and returns.
fn run(server: &Server, words: &[&str]) -> (String, String, i32) {
    output(operator(&format!("http://{}", server.host())).args(words))
}

/// The queues by their URLs, so that nobody has to find them.
fn urls(server: &Server) -> Vec<String> {
    ["--queues-own", "jobs.fifo", "--queues-dead-letters", "dead.fifo"]
        .chunks(2)
        .flat_map(|pair| [pair[0].to_owned(), server.queue(pair[1]).to_string()])
        .collect()
}

/// A message as SQS brings it.
fn message(id: &str, body: &str) -> Value {
    let sent = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    json!({ "MessageId": id, "ReceiptHandle": format!("receipt of {id}"), "Body": body,
        "Attributes": { "SentTimestamp": sent.to_string(), "ApproximateReceiveCount": "1" } })
}

/// A queue of one letter, which comes once; everything about it succeeds, but for what `but` does.
async fn one_letter(but: impl Fn(&str) -> Option<Act> + Send + Sync + 'static) -> Server {
    let receives = AtomicUsize::new(0);
    Server::start(move |request| {
        let verb = verb(request);
        if let Some(act) = but(&verb) {
            return act;
        }
        match verb.as_str() {
            "AmazonSQS.ReceiveMessage" if receives.fetch_add(1, Ordering::Relaxed) == 0 => {
                Act::ok(&json!({ "Messages": [message("m-1", &job("g-1"))] }))
            }
            "AmazonSQS.SendMessageBatch" | "AmazonSQS.DeleteMessageBatch" => {
                let entry = json!({ "Id": "0", "MessageId": "n", "MD5OfMessageBody": "x" });
                Act::ok(&json!({ "Successful": [entry], "Failed": [] }))
            }
            _ => Act::ok(&json!({})),
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_failure_is_told_with_its_way_out() {
    let denied = || Act::error(400, "AccessDeniedException", "you are not allowed");
    let throttled = || Act::error(400, "ThrottlingException", "Rate exceeded");
    let absent = || Act::error(400, "com.amazonaws.sqs#QueueDoesNotExist", "no such queue");
    let no_table = || Act::error(400, "ResourceNotFoundException", "Requested resource not found");
    let expired = || Act::error(400, "ExpiredTokenException", "The security token is expired");
    let unknown = || Act::error(403, "UnrecognizedClientException", "The security token is invalid");
    let missigned =
        || Act::error(403, "SignatureDoesNotMatch", "Credential should be scoped to a valid region");
    let stats: &[&str] = &["queue", "stats"];
    let peek: &[&str] = &["queue", "peek", "--dead-letters"];
    let redrive: &[&str] = &["queue", "redrive"];
    let purge: &[&str] = &["queue", "purge", "--jobs", "--yes"];
    let list: &[&str] = &["routes", "list"];
    let set: &[&str] = &["routes", "set", "g132", "--queue", "jobs"];
    let validate: &[&str] = &["routes", "validate"];
    for (words, act, told) in [
        (stats, denied(), ["could not read the attributes of queue jobs.fifo", "sqs:GetQueueAttributes"]),
        (peek, denied(), ["could not receive from queue dead.fifo", "sqs:ReceiveMessage"]),
        (redrive, denied(), ["could not receive from queue dead.fifo", "sqs:ReceiveMessage"]),
        (purge, denied(), ["could not read the attributes of queue jobs.fifo", "sqs:GetQueueAttributes"]),
        (list, denied(), ["could not read the rows of table CompilerRouting", "dynamodb:Scan"]),
        (set, denied(), ["could not read a row of table CompilerRouting", "dynamodb:GetItem"]),
        (stats, throttled(), ["throttled", "wait a minute"]),
        (peek, throttled(), ["throttled", "wait a minute"]),
        (list, throttled(), ["throttled", "wait a minute"]),
        (stats, absent(), ["jobs.fifo", "--queues-own"]),
        (peek, absent(), ["dead.fifo", "--queues-dead-letters"]),
        (validate, no_table(), ["table CompilerRouting", "--routing-table"]),
        (list, expired(), ["expired", "log in again"]),
        (list, unknown(), ["access denied", "AWS_PROFILE"]),
        (stats, missigned(), ["access denied", "us-east-1 is the right --aws-region"]),
        (stats, Act::garbage(200), ["garbled", "--aws-endpoint"]),
        (peek, Act::garbage(200), ["garbled", "--aws-endpoint"]),
        (list, Act::garbage(200), ["garbled", "--aws-endpoint"]),
        (list, Act::garbage(503), ["service failure", "later"]),
        (stats, Act::Reset, ["unreachable", "check the network"]),
    ] {
        let server = Server::doing([act.clone()]).await;
        let urls = urls(&server);
        let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
        let (out, err, code) = run(&server, &[words, &urls].concat());
        assert_eq!((out.as_str(), code), ("", 1), "{words:?} {act:?}: {err}");
        assert!(
            told.iter().all(|told| err.contains(told)) && err.contains("\nfix: "),
            "{words:?} {act:?}: {err}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_nothing_is_not_waited_for_for_ever() {
    let server = Server::doing([Act::Hang]).await;
    let urls = urls(&server);
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let begun = Instant::now();
    let (_, err, code) = run(&server, &[&["queue", "peek", "--dead-letters"][..], &urls].concat());
    assert_eq!((code, server.asked()), (1, 1), "{err}");
    assert!(err.contains("no answer in time") && err.contains("check the network"), "{err}");
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_without_queues_or_credentials_is_told_so() {
    let absent = Act::error(400, "com.amazonaws.sqs#QueueDoesNotExist", "no such queue");
    let server = Server::doing([absent]).await;
    let (_, err, code) =
        run(&server, &["queue", "stats", "--fleet-name", "staging", "--aws-region", "eu-west-1"]);
    assert_eq!(code, 1);
    for told in ["could not find queue staging-queue.fifo", "--queues-own", "eu-west-1"] {
        assert!(err.contains(told), "{told}: {err}");
    }
    let server = Server::doing([Act::ok(&json!({}))]).await;
    let mut command = operator(&format!("http://{}", server.host()));
    command.env_remove("AWS_ACCESS_KEY_ID").args(["routes", "list"]);
    let (_, err, code) = output(&mut command);
    assert_eq!((code, server.asked()), (1, 0));
    assert!(err.contains("no credentials") && err.contains("AWS_PROFILE"), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_age_that_cannot_be_had_is_a_warning() {
    let server = Server::start(|request| match verb(request).as_str() {
        "GetMetricData" => Act::xml_error(403, "AccessDenied"),
        _ => Act::ok(&json!({ "Attributes": { "ApproximateNumberOfMessages": "7", "FifoQueue": "true" } })),
    })
    .await;
    let urls = urls(&server);
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let (out, err, code) = run(&server, &[&["queue", "stats"][..], &urls].concat());
    assert_eq!((err.as_str(), code), ("", 0), "{out}");
    assert!(out.contains("cloudwatch:GetMetricData") && out.contains("  7  "), "{out}");
    let failed = "<R><GetMetricDataResult><MetricDataResults><member><Id>m1</Id><StatusCode>InternalError</StatusCode>\
        </member></MetricDataResults></GetMetricDataResult></R>";
    let server = Server::start(move |request| match verb(request).as_str() {
        "GetMetricData" => Act::Answer(200, String::new(), failed.as_bytes().to_vec()),
        _ => Act::ok(&json!({ "Attributes": {} })),
    })
    .await;
    let urls = self::urls(&server);
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let (out, _, code) = run(&server, &[&["queue", "stats"][..], &urls].concat());
    assert!(
        code == 0 && out.contains("service failure: InternalError"),
        "what is not known is not told as none: {out}"
    );
    let age = "<GetMetricDataResponse><GetMetricDataResult><MetricDataResults><member><Id>m1</Id>\
        <Timestamps><member>2026-11-28T19:04:00Z</member><member>2026-11-28T19:05:00Z</member></Timestamps>\
        <Values><member>7</member><member>41</member></Values></member></MetricDataResults>\
        </GetMetricDataResult></GetMetricDataResponse>";
    let server = Server::start(move |request| match verb(request).as_str() {
        "GetMetricData" => Act::Answer(200, String::new(), age.as_bytes().to_vec()),
        _ => Act::ok(&json!({ "Attributes": {} })),
    })
    .await;
    let urls = self::urls(&server);
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let (out, _, _) = run(&server, &[&["queue", "stats"][..], &urls].concat());
    assert!(out.lines().nth(1).unwrap().ends_with("41s"), "{out}");
    let asked = server.seen().into_iter().find(|request| verb(request) == "GetMetricData").unwrap();
    let form = String::from_utf8(asked.body).unwrap();
    assert!(form.contains("MetricStat.Metric.Dimensions.member.1.Value=jobs.fifo"), "{form}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_sent_stays_where_it_is_and_is_given_back() {
    let server = one_letter(|verb| {
        let refused = Act::error(400, "AccessDeniedException", "no");
        (verb == "AmazonSQS.SendMessageBatch").then_some(refused)
    })
    .await;
    let urls = urls(&server);
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let (out, err, code) = run(&server, &[&["queue", "redrive"][..], &urls].concat());
    assert_eq!((out.as_str(), code), ("", 1), "{err}");
    assert!(err.contains("could not send to queue jobs.fifo") && err.contains("sqs:SendMessage"), "{err}");
    let seen = server.seen();
    let verbs: Vec<String> = seen.iter().map(verb).collect();
    assert!(!verbs.iter().any(|verb| verb.contains("Delete")), "{verbs:?}");
    let given_back = seen.last().unwrap().json();
    assert_eq!(given_back["ReceiptHandle"], "receipt of m-1", "{verbs:?}");
    assert_eq!(given_back["VisibilityTimeout"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_the_two_the_next_time_sends_the_same_copy() {
    let hanging = Arc::new(AtomicUsize::new(0));
    let seen_by_script = Arc::clone(&hanging);
    let first = one_letter(move |verb| {
        (verb == "AmazonSQS.DeleteMessageBatch").then(|| {
            seen_by_script.fetch_add(1, Ordering::Relaxed);
            Act::Hang
        })
    })
    .await;
    let urls = urls(&first);
    let mut command = operator(&format!("http://{}", first.host()));
    let mut child = command
        .args(["queue", "redrive"])
        .args(&urls)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while hanging.load(Ordering::Relaxed) == 0 {
        assert!(begun.elapsed() < PATIENCE, "it was never deleted");
        sleep(Duration::from_millis(10)).await;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let second = one_letter(|_| None).await;
    let urls = self::urls(&second);
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    assert_eq!(run(&second, &[&["queue", "redrive"][..], &urls].concat()).2, 0);
    let sent = |server: &Server| {
        let sent = server.seen().into_iter().find(|request| verb(request) == "AmazonSQS.SendMessageBatch");
        let entry = sent.expect("it is sent before it is deleted").json()["Entries"][0].clone();
        [entry["MessageDeduplicationId"].clone(), entry["MessageGroupId"].clone()]
    };
    assert_eq!(sent(&first), [json!("redriven:m-1"), json!("g-1")]);
    assert_eq!(sent(&first), sent(&second), "so the queue drops it, and the job is there once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_that_cannot_be_deleted_is_told() {
    let server = one_letter(|verb| {
        let failed =
            json!({ "Id": "0", "Code": "ReceiptHandleIsInvalid", "SenderFault": true, "Message": "expired" });
        (verb == "AmazonSQS.DeleteMessageBatch")
            .then(|| Act::ok(&json!({ "Successful": [], "Failed": [failed] })))
    })
    .await;
    let urls = urls(&server);
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let (out, _, code) = run(&server, &[&["queue", "redrive"][..], &urls].concat());
    assert_eq!(code, 1);
    assert!(out.contains("1 brought back") && out.contains("g-1 was sent, but its letter"), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_overtaken_is_told_and_what_was_expected_was_said() {
    let server = Server::start(|request| match verb(request).as_str() {
        "DynamoDB_20120810.GetItem" => Act::ok(&json!({ "Item": {
            "compilerId": { "S": "g132" }, "queueName": { "S": "old" }, "lastUpdated": { "S": "then" } } })),
        _ => Act::error(400, "ConditionalCheckFailedException", "The conditional request failed"),
    })
    .await;
    for words in [&["--queue", "new"][..], &["--delete"]] {
        let (out, err, code) = run(&server, &[&["routes", "set", "g132"], words].concat());
        assert_eq!(code, 1, "{out}{err}");
        assert!(
            err.contains("somebody changed g132 meanwhile") && out.ends_with("not written\n"),
            "{out}{err}"
        );
        let asked = server.seen().pop().unwrap().json();
        let values = asked["ExpressionAttributeValues"].to_string();
        assert!(values.contains("\"old\"") && values.contains("\"then\""), "{asked}");
        assert!(asked["ConditionExpression"].as_str().unwrap().contains("attribute_exists"), "{asked}");
    }
}

/// Imports rows a, b and c, of which a is there already.
fn import(server: &Server, words: &[&str]) -> (String, String, i32) {
    let mut command = operator(&format!("http://{}", server.host()));
    given(command.args(["routes", "import", "-"]).args(words), "compiler,queue\na,q\nb,q\nc,q\n")
}

fn written(request: &Request) -> Option<String> {
    let is_write = verb(request).ends_with("UpdateItem");
    is_write.then(|| request.json()["Key"]["compilerId"]["S"].as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_table_has_no_room_for_is_written_again() {
    let writes = AtomicUsize::new(0);
    let server = Server::start(move |request| match verb(request).as_str() {
        // Longer than the client by itself is patient.
        "DynamoDB_20120810.UpdateItem" if writes.fetch_add(1, Ordering::Relaxed) < 15 => {
            Act::error(400, "ProvisionedThroughputExceededException", "the table is busy")
        }
        _ => Act::ok(&json!({ "Items": [] })),
    })
    .await;
    let (_, err, code) = import(&server, &[]);
    assert!(code == 0 && err.ends_with("3 rows are written to CompilerRouting\n"), "{err}");
    assert_eq!(server.seen().iter().filter_map(written).count(), 18);
    let denied = Server::start(|request| match verb(request).as_str() {
        "DynamoDB_20120810.UpdateItem" => Act::error(400, "AccessDeniedException", "no"),
        _ => Act::ok(&json!({ "Items": [] })),
    })
    .await;
    let (_, err, code) = import(&denied, &[]);
    assert_eq!(code, 1);
    assert!(err.contains("0 of 3 are written") && err.contains("dynamodb:UpdateItem"), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_does_not_write_over_what_somebody_changed_meanwhile() {
    // Row a was changed; row b is as we want it, by our own call, of which the answer was lost.
    let made = Mutex::new(json!({}));
    let server = Server::start(move |request| {
        let asked = request.json();
        let key = asked["Key"]["compilerId"]["S"].as_str().unwrap_or_default();
        let row = |key: &str, queue: &str| json!({ "compilerId": { "S": key }, "queueName": { "S": queue } });
        match verb(request).as_str() {
            "DynamoDB_20120810.Scan" => Act::ok(&json!({ "Items": [row("a", "old"), row("gone", "old")] })),
            "DynamoDB_20120810.GetItem" if key == "b" => Act::ok(&json!({ "Item": *made.lock().unwrap() })),
            "DynamoDB_20120810.GetItem" if key == "a" => Act::ok(&json!({ "Item": row("a", "theirs") })),
            "DynamoDB_20120810.GetItem" => Act::ok(&json!({})),
            "DynamoDB_20120810.UpdateItem" if key == "c" => Act::ok(&json!({})),
            "DynamoDB_20120810.UpdateItem" | "DynamoDB_20120810.DeleteItem" => {
                let condition = asked["ConditionExpression"].as_str().unwrap();
                assert!(condition.contains("attribute_"), "{condition}");
                if key == "b" {
                    *made.lock().unwrap() = set(&asked);
                }
                Act::error(400, "ConditionalCheckFailedException", "The conditional request failed")
            }
            other => panic!("{other}"),
        }
    })
    .await;
    let (out, err, code) = import(&server, &["--prune", "--yes", "--json"]);
    assert_eq!(code, 1, "{err}");
    let page: Value = serde_json::from_str(&out).unwrap();
    // The row that was to be deleted is gone: that is what was wanted.
    assert_eq!((&page["written"], &page["overtaken"]), (&json!(3), &json!(["a"])), "{out}");
    assert!(
        err.contains("somebody changed 1 of the rows meanwhile") && err.contains("left them: a\n"),
        "{err}"
    );
    assert!(err.contains("fix: look at them with `routes list`"), "{err}");
    let last = server.seen().iter().map(verb).rfind(|verb| !verb.ends_with("GetItem"));
    assert_eq!(last.as_deref(), Some("DynamoDB_20120810.DeleteItem"), "deletions come last");
}

/// The row that an `UpdateItem` would make.
fn set(asked: &Value) -> Value {
    let mut row = json!({ "compilerId": asked["Key"]["compilerId"] });
    let expression = asked["UpdateExpression"].as_str().unwrap().strip_prefix("SET ").unwrap();
    for pair in expression.split(", ") {
        let (name, value) = pair.split_once(" = ").unwrap();
        let name = asked["ExpressionAttributeNames"][name].as_str().unwrap();
        row[name] = asked["ExpressionAttributeValues"][value].clone();
    }
    row
}

#[tokio::test(flavor = "multi_thread")]
async fn queues_that_may_not_be_asked_for_are_told_and_the_rest_is_looked_at() {
    let row = |key: &str, queue: &str| json!({ "compilerId": { "S": key }, "routingType": { "S": "queue" }, "queueName": { "S": queue } });
    let rows = [row("a", "forbidden"), row("b", "forbidden"), row("c", "nowhere"), row("d", "there")];
    let server = Server::start(move |request| match verb(request).as_str() {
        "DynamoDB_20120810.Scan" => Act::ok(&json!({ "Items": rows })),
        _ => match request.json()["QueueName"].as_str().unwrap() {
            "forbidden.fifo" => Act::error(400, "AccessDenied", "no"),
            "nowhere.fifo" => Act::error(400, "AWS.SimpleQueueService.NonExistentQueue", "no"),
            name => Act::ok(&json!({ "QueueUrl": format!("https://sqs.us-east-1.amazonaws.com/1/{name}") })),
        },
    })
    .await;
    let (out, err, code) = run(&server, &["routes", "validate"]);
    assert_eq!(
        (code, err.as_str()),
        (1, "4 rows: 1 things are wrong, 0 worth knowing, 1 queues could not be looked for\n")
    );
    let lines: Vec<&str> = out.lines().collect();
    assert!(lines[0].starts_with("unseen  a  could not look for queue forbidden.fifo: "), "{out}");
    assert!(lines[0].contains("allow these credentials sqs:GetQueueUrl on queue forbidden.fifo"), "{out}");
    assert!(lines[0].ends_with("(and 1 other rows lead there)"), "{out}");
    assert_eq!(lines[1..], ["WRONG   c  there is no queue nowhere.fifo"]);
    // What befalls every queue alike ends it.
    let away = Server::start(|request| match verb(request).as_str() {
        "DynamoDB_20120810.Scan" => {
            let row = json!({ "compilerId": { "S": "a" }, "queueName": { "S": "jobs" } });
            Act::ok(&json!({ "Items": [row] }))
        }
        _ => Act::error(400, "ExpiredToken", "The security token included in the request is expired"),
    })
    .await;
    let (out, err, code) = run(&away, &["routes", "validate"]);
    assert_eq!((out.as_str(), code), ("", 1));
    assert!(err.contains("log in again"), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_purge_a_minute() {
    let server = Server::start(|request| match verb(request).as_str() {
        "AmazonSQS.PurgeQueue" => Act::error(
            403,
            "AWS.SimpleQueueService.PurgeQueueInProgress",
            "Only one PurgeQueue is allowed every 60 seconds",
        ),
        _ => Act::ok(&json!({ "Attributes": {} })),
    })
    .await;
    let urls = urls(&server);
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let (_, err, code) = run(&server, &[&["queue", "purge", "--jobs", "--yes"][..], &urls].concat());
    assert_eq!(code, 1);
    assert!(err.contains("could not empty queue jobs.fifo") && err.contains("wait a minute"), "{err}");
}
