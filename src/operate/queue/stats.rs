//! How full the queues are, and how they are set, beside what the worker relies on.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::aws::{Clients, Fault, Figures, Metric, Span, SqsOverseer, Statistics};
use crate::operate::queue::{Queue, Role};
use crate::operate::trouble::Trouble;
use crate::wire::envelope::LARGEST_INLINE;

/// How long a dead letter must be kept: two weeks, the most that SQS can.
const KEPT: Duration = Duration::from_hours(14 * 24);
/// How far back the last figure for a message's age may lie: SQS publishes one a minute, a few minutes late.
const RECENT: SignedDuration = SignedDuration::from_mins(15);

/// What the worker relies on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expectations {
    /// How long it hides a message at each receive.
    pub visibility: Duration,
    /// How long somebody waits for a job.
    pub budget: Duration,
    /// The receive at which it gives a job up itself; the queue must not do so earlier.
    pub attempts: u32,
}

/// One queue.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Stats {
    /// Which of the two.
    pub role: Role,
    /// Its name.
    pub queue: String,
    /// Its URL.
    pub url: String,
    /// Messages that can be received.
    pub visible: Option<u64>,
    /// Messages that somebody has received, and not deleted.
    pub in_flight: Option<u64>,
    /// Messages that were sent with a delay.
    pub delayed: Option<u64>,
    /// Seconds that the oldest message has been there, as CloudWatch last said. Nothing, if it has not said lately.
    pub oldest_seconds: Option<f64>,
    /// What differs from what the worker relies on, each with its consequence.
    pub warnings: Vec<String>,
}

/// Looks at a queue. `dead_letters` is the queue its redrive policy should name. That the age cannot be had is a
/// warning, not a failure.
pub async fn stats(
    clients: &Clients,
    queue: &Queue,
    expected: &Expectations,
    dead_letters: Option<&Queue>,
) -> Result<Stats, Trouble> {
    let attributes = SqsOverseer::new(clients).attributes(&queue.address).await;
    let attributes = attributes
        .map_err(|fault| queue.trouble(clients, "read the attributes of", "sqs:GetQueueAttributes", fault))?;
    let mut warnings = differences(queue, &attributes, expected, dead_letters);
    let oldest_seconds = age(clients, queue).await.unwrap_or_else(|fault| {
        let action = "cloudwatch:GetMetricData";
        let trouble = queue.trouble(clients, "ask CloudWatch for the oldest message of", action, fault);
        warnings.push(trouble.to_string().replace('\n', "; "));
        None
    });
    let count = |name: &str| attributes.get(name).and_then(|count| count.parse().ok());
    Ok(Stats {
        role: queue.role,
        queue: queue.name().to_owned(),
        url: queue.address.to_string(),
        visible: count("ApproximateNumberOfMessages"),
        in_flight: count("ApproximateNumberOfMessagesNotVisible"),
        delayed: count("ApproximateNumberOfMessagesDelayed"),
        oldest_seconds,
        warnings,
    })
}

/// The age of the oldest message, which SQS tells to CloudWatch alone.
async fn age(clients: &Clients, queue: &Queue) -> Result<Option<f64>, Fault> {
    let age =
        Metric::new("AWS/SQS", "ApproximateAgeOfOldestMessage", &[("QueueName", queue.name())], "Maximum");
    let now = Timestamp::now();
    let span = Span { from: now.checked_sub(RECENT).unwrap_or(now), to: now, period: 60 };
    let figures = Statistics::new(clients)?.read(&[age], span).await?;
    Ok(figures.first().and_then(Figures::newest))
}

/// What is not as the worker relies on it.
fn differences(
    queue: &Queue,
    attributes: &BTreeMap<String, String>,
    expected: &Expectations,
    dead_letters: Option<&Queue>,
) -> Vec<String> {
    let mut found = Vec::new();
    let text = |name: &str| attributes.get(name).map(String::as_str);
    let number = |name: &str| text(name).and_then(|number| number.parse::<u64>().ok());
    if text("FifoQueue") != Some("true") {
        found.push("it is no FIFO queue: messages come twice, and repeats are not dropped".to_owned());
    }
    if text("ContentBasedDeduplication") == Some("true") {
        found.push(
            "ContentBasedDeduplication is on: a job that is sent again on purpose may be dropped; turn it off"
                .to_owned(),
        );
    }
    if let Some(bytes) = number("MaximumMessageSize").filter(|bytes| *bytes < LARGEST_INLINE as u64) {
        found.push(format!(
            "MaximumMessageSize is {bytes}: jobs of up to {LARGEST_INLINE} bytes are sent to it, and refused"
        ));
    }
    if let Some(delay) = number("DelaySeconds").filter(|delay| *delay > 0) {
        found.push(format!("DelaySeconds is {delay}: every job waits that long; set it to 0"));
    }
    if text("DeduplicationScope") == Some("messageGroup")
        && text("FifoThroughputLimit").is_some_and(|limit| limit != "perMessageGroupId")
    {
        found.push(
            "DeduplicationScope is messageGroup without FifoThroughputLimit perMessageGroupId: it costs the \
             protection and gains nothing"
                .to_owned(),
        );
    }
    let retention = number("MessageRetentionPeriod");
    match queue.role {
        Role::Jobs => jobs(&mut found, attributes, expected, dead_letters),
        Role::DeadLetters => {
            if let Some(kept) = retention.filter(|kept| *kept < KEPT.as_secs()) {
                found.push(format!(
                    "MessageRetentionPeriod is {kept} s: dead letters are gone after that; set it to {} s",
                    KEPT.as_secs()
                ));
            }
            if attributes.contains_key("RedrivePolicy") {
                found.push(
                    "it has a RedrivePolicy: each look counts, and in the end moves a letter on".to_owned(),
                );
            }
        }
    }
    found
}

/// The same for what only the job queue has.
fn jobs(
    found: &mut Vec<String>,
    attributes: &BTreeMap<String, String>,
    expected: &Expectations,
    dead_letters: Option<&Queue>,
) {
    let number = |name: &str| attributes.get(name).and_then(|number| number.parse::<u64>().ok());
    let Expectations { visibility, budget, attempts } = expected;
    if let Some(hidden) = number("VisibilityTimeout").filter(|hidden| *hidden < visibility.as_secs()) {
        found.push(format!(
            "VisibilityTimeout is {hidden} s, less than the {} s that a worker hides a message for: deployed workers \
             would do jobs twice; set it to 60 s",
            visibility.as_secs()
        ));
    }
    if let Some(kept) = number("MessageRetentionPeriod") {
        if kept < budget.as_secs() {
            found.push(format!(
                "MessageRetentionPeriod is {kept} s: jobs vanish while somebody waits {} s for them",
                budget.as_secs()
            ));
        } else if kept > 3600 {
            found.push(format!(
                "MessageRetentionPeriod is {kept} s: after an outage, workers go through jobs that nobody waits for; \
                 300 s are enough"
            ));
        }
    }
    let policy =
        attributes.get("RedrivePolicy").map(|policy| serde_json::from_str::<serde_json::Value>(policy));
    let Some(Ok(policy)) = policy else {
        found.push(
            "it has no RedrivePolicy: a job that kills workers comes back until it is too old".to_owned(),
        );
        return;
    };
    // Written as a number or as a text.
    let receives = policy["maxReceiveCount"].as_u64();
    let receives = receives.or_else(|| policy["maxReceiveCount"].as_str()?.parse().ok());
    if receives.is_none_or(|receives| receives < u64::from(*attempts)) {
        found.push(format!(
            "maxReceiveCount is {}: the queue gives a job up before the worker's last try, which is the {attempts}rd; set \
             it to {attempts}",
            receives.map_or_else(|| "unreadable".to_owned(), |receives| receives.to_string())
        ));
    }
    let target = policy["deadLetterTargetArn"].as_str().and_then(|arn| arn.rsplit(':').next());
    if let (Some(target), Some(queue)) = (target, dead_letters)
        && target != queue.name()
    {
        found.push(format!(
            "its RedrivePolicy leads to {target}, and not to {}: dead letters lie in two places",
            queue.name()
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::QueueAddress;

    const EXPECTED: Expectations =
        Expectations { visibility: Duration::from_secs(10), budget: Duration::from_secs(55), attempts: 3 };

    fn queue(role: Role, name: &str) -> Queue {
        Queue { role, address: QueueAddress::new(&format!("https://q/1/{name}")) }
    }

    fn found(role: Role, changes: &[(&str, &str)]) -> Vec<String> {
        let retention = if role == Role::Jobs { "300" } else { "1209600" };
        let mut attributes: BTreeMap<String, String> = [
            ("FifoQueue", "true"),
            ("ContentBasedDeduplication", "false"),
            ("VisibilityTimeout", "60"),
            ("MessageRetentionPeriod", retention),
            ("MaximumMessageSize", "1048576"),
            ("DelaySeconds", "0"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        if role == Role::Jobs {
            let policy =
                r#"{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:1:dead.fifo","maxReceiveCount":"3"}"#;
            attributes.insert("RedrivePolicy".to_owned(), policy.to_owned());
        }
        for (name, value) in changes {
            attributes.insert((*name).to_owned(), (*value).to_owned());
        }
        attributes.retain(|_, value| !value.is_empty());
        let dead = queue(Role::DeadLetters, "dead.fifo");
        differences(&queue(role, "jobs.fifo"), &attributes, &EXPECTED, Some(&dead))
    }

    #[test]
    fn what_the_plan_says_is_in_order_and_each_difference_is_told() {
        assert_eq!(found(Role::Jobs, &[]), [""; 0]);
        assert_eq!(found(Role::DeadLetters, &[]), [""; 0]);
        let other = r#"{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:1:other.fifo","maxReceiveCount":3}"#;
        let hasty = r#"{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:1:dead.fifo","maxReceiveCount":2}"#;
        for (role, name, value, expected) in [
            (Role::Jobs, "FifoQueue", "", "no FIFO queue"),
            (Role::Jobs, "ContentBasedDeduplication", "true", "turn it off"),
            (Role::Jobs, "VisibilityTimeout", "5", "less than the 10 s"),
            (Role::Jobs, "MessageRetentionPeriod", "30", "jobs vanish"),
            (Role::Jobs, "MessageRetentionPeriod", "345600", "nobody waits for"),
            (Role::Jobs, "MaximumMessageSize", "1024", "refused"),
            (Role::Jobs, "DelaySeconds", "3", "set it to 0"),
            (Role::Jobs, "RedrivePolicy", "", "no RedrivePolicy"),
            (Role::Jobs, "RedrivePolicy", "{", "no RedrivePolicy"),
            (Role::Jobs, "RedrivePolicy", other, "leads to other.fifo"),
            (Role::Jobs, "RedrivePolicy", hasty, "maxReceiveCount is 2"),
            (Role::Jobs, "RedrivePolicy", "{}", "unreadable"),
            (Role::DeadLetters, "MessageRetentionPeriod", "300", "1209600"),
            (Role::DeadLetters, "RedrivePolicy", other, "moves a letter on"),
        ] {
            let found = found(role, &[(name, value)]);
            assert!(matches!(&found[..], [one] if one.contains(expected)), "{name} = {value}: {found:?}");
        }
        let scope = [("DeduplicationScope", "messageGroup"), ("FifoThroughputLimit", "perQueue")];
        assert_eq!(found(Role::Jobs, &scope).len(), 1);
    }

    proptest::proptest! {
        #[test]
        fn no_attribute_is_too_odd(name in "RedrivePolicy|VisibilityTimeout|MessageRetentionPeriod", value in ".*") {
            let _found = found(Role::Jobs, &[(&name, &value)]);
        }
    }
}
