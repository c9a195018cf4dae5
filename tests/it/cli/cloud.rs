//! A fleet's queues and table on an emulator, and the program as an operator runs it against them.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use compilation_worker::aws::{SqsSink, SqsSource};
use compilation_worker::lifecycle::Lifecycle;
use compilation_worker::local::queue::Depth;
use compilation_worker::ports::{Ask, Message, QueueAddress, QueueSink as _, QueueSource as _, Received};
use serde_json::{Value, json};

use crate::cli::asks::output;
use crate::support::daemon::program;
use crate::support::emulator::Emulator;

/// What the routing table is called.
pub(super) const TABLE: &str = "CompilerRouting";

/// The emulator with the queues of the fleet `compilation`, set as the plan says.
pub(super) struct Cloud {
    pub(super) emulator: Emulator,
    pub(super) jobs: QueueAddress,
    pub(super) dead: QueueAddress,
}

impl Cloud {
    pub(super) async fn start() -> Self {
        let emulator = Emulator::start().await;
        let keeping = json!({ "MessageRetentionPeriod": "1209600" });
        let dead = emulator.make_queue("compilation-queue-dlq.fifo", keeping).await;
        let policy =
            json!({ "deadLetterTargetArn": emulator.queue_arn(&dead).await, "maxReceiveCount": "3" });
        let settings = json!({
            "MessageRetentionPeriod": "300",
            "VisibilityTimeout": "60",
            "RedrivePolicy": policy.to_string(),
        });
        let jobs = emulator.make_queue("compilation-queue.fifo", settings).await;
        Self { emulator, jobs, dead }
    }

    /// The program, as somebody with credentials runs it.
    pub(super) fn program(&self) -> Command {
        operator(&self.emulator.url())
    }

    /// What one command line prints, says and returns.
    pub(super) fn run(&self, words: &[&str]) -> (String, String, i32) {
        output(self.program().args(words))
    }

    /// The same where all goes well and JSON is printed.
    #[track_caller]
    pub(super) fn json(&self, words: &[&str]) -> Value {
        let (out, err, code) = self.run(&[words, &["--json"]].concat());
        assert_eq!(code, 0, "{out}{err}");
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error} in {out}"))
    }

    /// Puts a message on a queue.
    pub(super) async fn send(&self, queue: &QueueAddress, dedup: &str, body: &str, facts: &[(&str, &str)]) {
        let fact = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let attributes: BTreeMap<String, String> = facts.iter().map(fact).collect();
        let message = Message {
            body: body.to_owned(),
            group: Some("default".to_owned()),
            dedup: Some(dedup.to_owned()),
            attributes,
            ..Message::default()
        };
        let sink = SqsSink::new(&self.emulator.clients(), Lifecycle::new());
        sink.send(queue, message).await.unwrap();
    }

    /// Receives everything there is, for a while.
    pub(super) async fn take(&self, queue: &QueueAddress) -> Vec<Received> {
        let source = SqsSource::new(&self.emulator.clients(), queue.clone()).unwrap();
        let ask = Ask { most: 10, wait: Duration::ZERO, hidden_for: Duration::from_secs(30) };
        source.receive(ask).await.unwrap()
    }

    pub(super) async fn depth(&self, queue: &QueueAddress) -> [usize; 2] {
        let Depth { waiting, in_flight } = self.emulator.depth(queue).await;
        [waiting, in_flight]
    }
}

/// The program with every service at `url`.
pub(super) fn operator(url: &str) -> Command {
    let mut command = program();
    command.env("AWS_ENDPOINT_URL", url).env("AWS_EC2_METADATA_DISABLED", "true");
    command.env("AWS_ACCESS_KEY_ID", "AKIDTEST").env("AWS_SECRET_ACCESS_KEY", "secret");
    command
}

/// What a command prints, says and returns that is given this on standard input.
pub(super) fn given(command: &mut Command, input: &str) -> (String, String, i32) {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr), output.status.code().unwrap())
}

/// The message of a job.
pub(super) fn job(guid: &str) -> String {
    json!({ "guid": guid, "compilerId": "g132", "headers": { "cookie": "s3cret" }, "source": "int x;" })
        .to_string()
}
