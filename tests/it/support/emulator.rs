//! A third party's emulator of Amazon's services, started by a test on a free port and ended with it.

use compilation_worker::aws::{Clients, Endpoints, Settings};
use compilation_worker::local::queue::Depth;
use compilation_worker::ports::QueueAddress;
use serde_json::{Value, json};

use super::client::{Client, post};
use super::served::Served;

/// A running emulator: nothing persists, nobody is asked for a password.
pub(crate) struct Emulator(Served);

impl Emulator {
    pub(crate) async fn start() -> Self {
        let served = Served::start("emulator/bin/hypercorn", |command, address| {
            // Without workers of its own there is one process, and killing it is the end.
            command.args(["--workers", "0", "--bind", &address.to_string(), "ministack.app:app"]);
            command.env("GATEWAY_PORT", address.port().to_string());
        });
        Self(served.await)
    }

    /// Where every service is.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.0.address)
    }

    /// Clients that find every service here.
    pub(crate) fn clients(&self) -> Clients {
        let endpoints = Endpoints { every: Some(self.url()), ..Endpoints::default() };
        clients(endpoints)
    }

    /// Calls what the adapters have no need of, such as making a queue.
    async fn call(&self, verb: &str, body: Value) -> Value {
        let headers = format!("X-Amz-Target: {verb}\r\nContent-Type: application/x-amz-json-1.0\r\n");
        let mut client = Client::connect(self.0.address).await;
        let reply = client.ask(post("/", &headers, body.to_string())).await;
        assert_eq!(reply.status, 200, "{verb}: {}", reply.text());
        reply.json()
    }

    pub(crate) async fn make_queue(&self, name: &str, mut attributes: Value) -> QueueAddress {
        if QueueAddress::new(name).is_fifo() {
            attributes["FifoQueue"] = json!("true");
        }
        let made = self.call("AmazonSQS.CreateQueue", json!({ "QueueName": name, "Attributes": attributes }));
        QueueAddress::new(made.await["QueueUrl"].as_str().unwrap())
    }

    /// How full a queue is.
    pub(crate) async fn depth(&self, queue: &QueueAddress) -> Depth {
        let body = json!({ "QueueUrl": queue.as_str(), "AttributeNames": ["All"] });
        let found = self.call("AmazonSQS.GetQueueAttributes", body).await;
        let count = |name: &str| found["Attributes"][name].as_str().unwrap().parse().unwrap();
        let waiting = count("ApproximateNumberOfMessages");
        Depth { waiting, in_flight: count("ApproximateNumberOfMessagesNotVisible") }
    }

    /// What a redrive policy calls a queue.
    pub(crate) async fn queue_arn(&self, queue: &QueueAddress) -> String {
        let body = json!({ "QueueUrl": queue.as_str(), "AttributeNames": ["QueueArn"] });
        let found = self.call("AmazonSQS.GetQueueAttributes", body).await;
        found["Attributes"]["QueueArn"].as_str().unwrap().to_owned()
    }

    /// A table with the routing table's key.
    pub(crate) async fn make_table(&self, name: &str) {
        let body = json!({
            "TableName": name,
            "KeySchema": [{ "AttributeName": "compilerId", "KeyType": "HASH" }],
            "AttributeDefinitions": [{ "AttributeName": "compilerId", "AttributeType": "S" }],
            "BillingMode": "PAY_PER_REQUEST",
        });
        self.call("DynamoDB_20120810.CreateTable", body).await;
    }

    pub(crate) async fn put_item(&self, table: &str, item: Value) {
        self.call("DynamoDB_20120810.PutItem", json!({ "TableName": table, "Item": item })).await;
    }

    pub(crate) async fn put_parameter(&self, name: &str, value: &str) {
        let body = json!({ "Name": name, "Value": value, "Type": "String", "Overwrite": true });
        self.call("AmazonSSM.PutParameter", body).await;
    }

    pub(crate) async fn make_bucket(&self, name: &str) {
        let mut client = Client::connect(self.0.address).await;
        let request = format!("PUT /{name} HTTP/1.1\r\nHost: s3\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(client.ask(request).await.status, 200);
    }
}

/// Clients with credentials that nobody checks.
pub(crate) fn clients(endpoints: Endpoints) -> Clients {
    let credentials = aws_credential_types::Credentials::new("AKIDTEST", "secret", None, None, "test");
    Clients::new(Settings { region: "us-east-1".to_owned(), endpoints }, credentials)
}
