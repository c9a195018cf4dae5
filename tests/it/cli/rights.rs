//! The table of rights is what the commands really ask for, with all their options: no right is missing, and none is
//! there for nothing.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use compilation_worker::operate::permissions;
use serde_json::{Value, json};

use crate::aws::server::{Act, Request, Server};
use crate::cli::asks::{output, run};
use crate::cli::cloud::{given, job, operator};

/// The right that a request needs.
fn action(request: &Request) -> String {
    let Some(target) = request.header("x-amz-target") else {
        let text = String::from_utf8_lossy(&request.body).into_owned();
        let form = text.split('&').find_map(|pair| pair.strip_prefix("Action="));
        return form.map_or_else(|| "s3:GetObject".to_owned(), |action| format!("cloudwatch:{action}"));
    };
    let (service, verb) = target.split_once('.').unwrap();
    let service = if service == "AmazonSQS" { "sqs" } else { "dynamodb" };
    // What is done to many at once needs the right to do it to one; DynamoDB has a right of its own for it.
    let verb = if service == "sqs" { verb.trim_end_matches("Batch") } else { verb };
    format!("{service}:{verb}")
}

/// The key of the row that a request is about.
fn key(request: &Request) -> String {
    request.json()["Key"]["compilerId"]["S"].as_str().unwrap_or_default().to_owned()
}

fn row(key: &str) -> Value {
    json!({ "compilerId": { "S": key }, "queueName": { "S": "jobs" } })
}

/// Services in which everything is there once: a letter of a job, one that is no job, one whose job lies elsewhere, a row,
/// and one that goes.
async fn services() -> Server {
    let receives = AtomicUsize::new(0);
    Server::start(move |request| {
        let message = |id: &str, body: String| {
            let sent = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
            json!({ "MessageId": id, "ReceiptHandle": id, "Body": body,
                "Attributes": { "SentTimestamp": sent.as_millis().to_string(), "ApproximateReceiveCount": "1" } })
        };
        match action(request).as_str() {
            "sqs:GetQueueUrl" => {
                let name = request.json()["QueueName"].as_str().unwrap().to_owned();
                Act::ok(&json!({ "QueueUrl": format!("https://sqs.us-east-1.amazonaws.com/1/{name}") }))
            }
            "sqs:ReceiveMessage" if receives.fetch_add(1, Ordering::Relaxed) == 0 => {
                let note = json!({ "type": "s3-overflow", "guid": "b", "compilerId": "g132",
                    "s3Bucket": "overflow", "s3Key": "sqs-overflow/x" });
                Act::ok(&json!({ "Messages": [message("1", job("a")), message("2", note.to_string()),
                    message("3", "garbage".to_owned())] }))
            }
            "sqs:SendMessage" | "sqs:DeleteMessage" => {
                let entries = request.json()["Entries"].as_array().unwrap().clone();
                let done = |entry: &serde_json::Value| json!({ "Id": entry["Id"], "MessageId": "n", "MD5OfMessageBody": "x" });
                Act::ok(&json!({ "Successful": entries.iter().map(done).collect::<Vec<_>>(), "Failed": [] }))
            }
            "cloudwatch:GetMetricData" => Act::garbage(200),
            "dynamodb:Scan" => Act::ok(&json!({ "Items": [row("g132"), row("gone")] })),
            // Somebody has deleted it meanwhile, which is looked after.
            "dynamodb:DeleteItem" if key(request) == "gone" => {
                Act::error(400, "ConditionalCheckFailedException", "The conditional request failed")
            }
            "dynamodb:GetItem" if key(request) == "gone" => Act::ok(&json!({})),
            "dynamodb:GetItem" => Act::ok(&json!({ "Item": row("g132") })),
            _ => Act::ok(&json!({})),
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_command_asks_for_its_rights_and_no_others() {
    let peek = ["--dead-letters", "--full", "--fetch", "--storage-overflow-bucket", "overflow"];
    for (command, ways) in [
        ("queue stats", vec![&[][..]]),
        ("queue peek", vec![&peek[..]]),
        ("queue redrive", vec![&["--force"]]),
        ("queue purge", vec![&["--jobs", "--yes"]]),
        ("routes list", vec![&[]]),
        ("routes set", vec![&["g132", "--queue", "other"], &["g132", "--delete"]]),
        ("routes import", vec![&["-", "--prune", "--yes"]]),
        ("routes validate", vec![&[]]),
    ] {
        let mut asked = BTreeSet::new();
        for words in ways {
            let server = services().await;
            let mut program = operator(&format!("http://{}", server.host()));
            program.args(command.split(' ')).args(words);
            let (out, err, code) = given(&mut program, "compiler,queue\nfresh,jobs\n");
            assert_eq!(code, 0, "{command}: {out}{err}");
            asked.extend(server.seen().iter().map(action));
        }
        let listed: BTreeSet<String> =
            permissions::of(command).iter().map(|action| (*action).to_owned()).collect();
        assert_eq!(asked, listed, "{command}");
    }
}

#[test]
fn help_teaches_with_examples_and_rights() {
    for row in permissions::PERMISSIONS.iter().filter(|row| row.command.starts_with(['q', 'r'])) {
        let words: Vec<&str> = row.command.split(' ').chain(["--help"]).collect();
        let (out, err, code) = run(&words);
        assert_eq!((err.as_str(), code), ("", 0), "{}", row.command);
        assert!(out.contains(&format!("  compilation-worker {}", row.command)), "{out}");
        assert!(row.actions.iter().all(|action| out.contains(action)) && out.contains("Exit codes"), "{out}");
    }
    let (out, _, _) = run(&["--help"]);
    assert!(out.contains("queue") && out.contains("routes"), "{out}");
    let mut command = operator("http://127.0.0.1:1");
    let (_, err, code) = output(command.args(["queue", "stats", "--config", "/nowhere/file.toml"]));
    assert_ne!(code, 0, "{err}");
    command.env("COMPILATION_WORKER_AWS_REGIN", "x");
    let (_, err, code) = output(command.args(["--aws-region", "y"]));
    assert_eq!(code, 78, "{err}");
}
