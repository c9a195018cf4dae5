//! The program with Amazon's services in its environment: it finds them, its credentials and the table as every AWS
//! program would.

use compilation_worker::lifecycle;
use serde_json::{Value, json};

use super::server::{Act, Server};
use crate::support::daemon::program;

/// What `route g132` prints, says and returns with these variables beside the server's address.
async fn route(server: &Server, variables: &[(&str, &str)]) -> (String, String, Option<i32>) {
    let mut command = program();
    command.args(["route", "g132", "--json", "--catalogue-search-path", "/nowhere"]);
    command.args(["--http-environment", "prod", "--routing-table", "CompilerRouting"]);
    command.args(["--queues-default", "https://sqs.eu-west-1.amazonaws.com/1/prod.fifo", "--queues-colours"]);
    command.args(["--aws-color-parameter", "/prod/active-color"]);
    command.args(["--events-url", "wss://events.example.com/prod"]);
    command.env("AWS_ENDPOINT_URL", format!("http://{}", server.host())).env("AWS_REGION", "eu-west-1");
    // Nobody in these tests talks to a metadata service.
    command.env("AWS_EC2_METADATA_DISABLED", "true").envs(variables.iter().copied());
    for (name, _) in variables.iter().filter(|(_, value)| value.is_empty()) {
        command.env_remove(name);
    }
    let output = lifecycle::blocking("program", move || command.output()).await.unwrap().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr), output.status.code())
}

/// The table and the parameter.
async fn services() -> Server {
    Server::start(|request| {
        let text = |text: &str| json!({ "S": text });
        match request.header("x-amz-target") {
            Some("DynamoDB_20120810.GetItem") => {
                Act::ok(&json!({ "Item": { "routingType": text("queue"), "queueName": text("jobs") } }))
            }
            Some("AmazonSSM.GetParameter") => Act::ok(&json!({ "Parameter": { "Value": "green" } })),
            other => panic!("{other:?} was not expected"),
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn table_color_region_and_credentials_come_from_the_environment() {
    let server = services().await;
    let keys =
        [("AWS_ACCESS_KEY_ID", "AKIDENV"), ("AWS_SECRET_ACCESS_KEY", "secret"), ("AWS_SESSION_TOKEN", "t")];
    let (out, err, code) = route(&server, &keys).await;
    assert_eq!(code, Some(0), "{err}");
    let page: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(page["address"], json!("https://sqs.eu-west-1.amazonaws.com/1/jobs-green.fifo"), "{out}");
    assert!(server.asked() >= 2, "the table and the parameter");
    for request in server.seen() {
        assert_eq!(request.access_key(), "AKIDENV");
        assert!(request.header("authorization").unwrap().contains("/eu-west-1/"));
        assert_eq!(request.header("x-amz-security-token"), Some("t"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_asked_for_a_region_that_is_not_set() {
    let (server, metadata) = (services().await, Server::doing([Act::Reset]).await);
    let (out, err, code) = route(
        &server,
        &[
            ("AWS_ACCESS_KEY_ID", "AKIDENV"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_REGION", ""),
            ("AWS_EC2_METADATA_DISABLED", ""),
            ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &format!("http://{}", metadata.host())),
        ],
    )
    .await;
    assert_eq!((code, metadata.asked()), (Some(0), 0), "{out} {err}");
    for request in server.seen() {
        assert!(request.header("authorization").unwrap().contains("/us-east-1/"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_credentials_the_program_says_so() {
    let server = services().await;
    let (out, err, code) = route(&server, &[]).await;
    assert_eq!((out.as_str(), code), ("", Some(1)), "{err}");
    assert!(err.contains("no credentials"), "{err}");
    assert_eq!(server.asked(), 0);
}
