//! The job queue and its dead letters, as the operator sees them.
//!
//! Every look at a message is a receive: it hides the message for a moment, and is counted. Dead letters bear that, as
//! nothing gives up on them; a job does not, because the worker takes its count for failures.

mod peek;
mod redrive;
mod stats;

use std::time::Duration;

use tokio::time::sleep;

use crate::aws::{Clients, Fault, Kind, SqsOverseer, SqsSource};
use crate::operate::trouble::{Call, Trouble};
use crate::ports::{Ask, QueueAddress, QueueError, QueueSource as _, Receipt, Received};
use crate::routing::queue_url::name_of;

pub use peek::{Look, Place, Seen, peek};
pub use redrive::{Budget, Left, Order, Outcome, redrive};
pub use stats::{Expectations, Stats, stats};

/// What every queue with order ends in.
const FIFO: &str = ".fifo";
/// How long one look waits for a first message: long enough to have SQS ask all of its servers.
const WAIT: Duration = Duration::from_secs(1);
/// How often a receive is tried that the service had no time for.
const TRIES: u32 = 3;

/// Which of the two queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Where the worker takes jobs from.
    Jobs,
    /// Where messages go that no worker could do.
    DeadLetters,
}

/// How the queues are named, as far as the operator named them.
#[derive(Debug, Clone)]
pub struct Names {
    /// The job queue, by name or URL.
    pub jobs: Option<QueueAddress>,
    /// The dead letters, by name or URL.
    pub dead_letters: Option<QueueAddress>,
    /// The fleet, whose queues have names made from its own.
    pub fleet: String,
}

/// A queue that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// Which of the two.
    pub role: Role,
    /// Its URL.
    pub address: QueueAddress,
}

impl Role {
    /// The key that names the queue.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Jobs => "queues.own",
            Self::DeadLetters => "queues.dead_letters",
        }
    }

    /// How people call it.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Jobs => "jobs",
            Self::DeadLetters => "dead letters",
        }
    }
}

impl Names {
    /// The address of a queue: as it was named, or as the fleet's name has it. The dead letters of a job queue that was
    /// named are never those of another fleet.
    pub fn address(&self, role: Role) -> QueueAddress {
        let jobs = || {
            let made = || QueueAddress::new(&format!("{}-queue{FIFO}", self.fleet));
            self.jobs.clone().unwrap_or_else(made)
        };
        match role {
            Role::Jobs => jobs(),
            Role::DeadLetters => self.dead_letters.clone().unwrap_or_else(|| {
                let jobs = jobs();
                let (stem, end) = match jobs.as_str().strip_suffix(FIFO) {
                    Some(stem) => (stem, FIFO),
                    None => (jobs.as_str(), ""),
                };
                QueueAddress::new(&format!("{stem}-dlq{end}"))
            }),
        }
    }

    /// What a queue is called, as figures name it.
    pub fn name(&self, role: Role) -> String {
        name_of(&self.address(role)).to_owned()
    }

    /// Finds a queue. One that is named by its URL is not asked for.
    pub async fn find(&self, clients: &Clients, role: Role) -> Result<Queue, Trouble> {
        let address = self.address(role);
        if address.is_url() {
            return Ok(Queue { role, address });
        }
        let found = SqsOverseer::new(clients).find(address.as_str()).await;
        let absent = || Fault {
            kind: Kind::Refused,
            detail: "there is no queue of this name".to_owned(),
            code: Some("QueueDoesNotExist".to_owned()),
        };
        let found = found.and_then(|found| found.ok_or_else(absent));
        let thing = format!("queue {address}");
        let call = Call { doing: "find", thing: &thing, action: "sqs:GetQueueUrl", key: role.key() };
        let address = found.map_err(|fault| Trouble::new(&call, clients.region(), fault))?;
        Ok(Queue { role, address })
    }
}

impl Queue {
    /// The name within the URL.
    pub fn name(&self) -> &str {
        name_of(&self.address)
    }

    /// What a failed call on it means.
    fn trouble(&self, clients: &Clients, doing: &str, action: &'static str, fault: Fault) -> Trouble {
        let thing = format!("queue {}", self.name());
        Trouble::new(&Call { doing, thing: &thing, action, key: self.role.key() }, clients.region(), fault)
    }
}

/// Deletes every message of a queue. SQS takes up to a minute to do it.
pub async fn purge(clients: &Clients, queue: &Queue) -> Result<(), Trouble> {
    let done = SqsOverseer::new(clients).purge(&queue.address).await;
    done.map_err(|fault| queue.trouble(clients, "empty", "sqs:PurgeQueue", fault))
}

/// How many messages can be received, are in flight, and were sent with a delay. One that the queue does not tell is 0.
pub async fn depth(clients: &Clients, queue: &Queue) -> Result<[u64; 3], Trouble> {
    let attributes = SqsOverseer::new(clients).attributes(&queue.address).await;
    let attributes = attributes
        .map_err(|fault| queue.trouble(clients, "read the attributes of", "sqs:GetQueueAttributes", fault))?;
    Ok(["", "NotVisible", "Delayed"].map(|kind| {
        let count = attributes.get(&format!("ApproximateNumberOfMessages{kind}"));
        count.and_then(|count| count.parse().ok()).unwrap_or(0)
    }))
}

/// A queue whose messages are looked at.
struct Inspection<'a> {
    clients: &'a Clients,
    queue: &'a Queue,
    source: SqsSource,
}

impl<'a> Inspection<'a> {
    fn new(clients: &'a Clients, queue: &'a Queue) -> Result<Self, Trouble> {
        let source = SqsSource::new(clients, queue.address.clone())
            .map_err(|error| queue.trouble(clients, "use", "sqs:ReceiveMessage", fault(error)))?;
        Ok(Self { clients, queue, source })
    }

    /// Up to `most` messages, hidden for a while. None means that there are none to be had now.
    async fn receive(&self, most: usize, hidden_for: Duration) -> Result<Vec<Received>, Trouble> {
        let mut tries = 1;
        loop {
            match self.source.receive(Ask { most, wait: WAIT, hidden_for }).await {
                Ok(received) => return Ok(received),
                Err(error) => {
                    let fault = fault(error);
                    if tries >= TRIES || !matches!(fault.kind, Kind::Throttled | Kind::Broken) {
                        let doing = "receive from";
                        return Err(self.queue.trouble(self.clients, doing, "sqs:ReceiveMessage", fault));
                    }
                }
            }
            sleep(WAIT.mul_f64(f64::from(tries) * fastrand::f64())).await;
            tries += 1;
        }
    }

    /// Makes messages visible again at once. One that is another's by now needs it no more.
    async fn release(&self, receipts: impl IntoIterator<Item = Receipt>) -> Result<(), Trouble> {
        let mut first = Ok(());
        for receipt in receipts {
            match self.source.hide(receipt, Duration::ZERO).await {
                Ok(()) | Err(QueueError::Void { .. }) => {}
                // The others are released all the same.
                Err(error) if first.is_ok() => {
                    let doing = "make messages visible again in";
                    let action = "sqs:ChangeMessageVisibility";
                    first = Err(self.queue.trouble(self.clients, doing, action, fault(error)));
                }
                Err(_) => {}
            }
        }
        first
    }
}

/// What the adapter knows of a failure.
fn fault(error: QueueError) -> Fault {
    let refused =
        |code: &str, detail: String| Fault { kind: Kind::Refused, detail, code: Some(code.to_owned()) };
    match error {
        QueueError::Unreachable { source, act, queue } => match source.downcast::<Fault>() {
            Ok(fault) => *fault,
            Err(source) => refused("Unknown", format!("could not {act} on {queue}: {source}")),
        },
        absent @ QueueError::Absent { .. } => refused("QueueDoesNotExist", absent.to_string()),
        other => refused("InvalidMessage", other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(jobs: Option<&str>, dead: Option<&str>) -> [String; 2] {
        let [jobs, dead_letters] = [jobs, dead].map(|name| name.map(QueueAddress::new));
        let names = Names { jobs, dead_letters, fleet: "compilation".to_owned() };
        [Role::Jobs, Role::DeadLetters].map(|role| names.address(role).to_string())
    }

    #[test]
    fn queues_are_named_after_the_fleet_and_dead_letters_after_their_queue() {
        for (jobs, dead, expected) in [
            (None, None, ["compilation-queue.fifo", "compilation-queue-dlq.fifo"]),
            (Some("https://q/1/x.fifo"), None, ["https://q/1/x.fifo", "https://q/1/x-dlq.fifo"]),
            (Some("https://q/1/x"), None, ["https://q/1/x", "https://q/1/x-dlq"]),
            (None, Some("https://q/1/d.fifo"), ["compilation-queue.fifo", "https://q/1/d.fifo"]),
        ] {
            assert_eq!(names(jobs, dead), expected);
        }
        let named = Names {
            jobs: Some(QueueAddress::new("https://q/1/x.fifo")),
            dead_letters: None,
            fleet: String::new(),
        };
        assert_eq!([Role::Jobs, Role::DeadLetters].map(|role| named.name(role)), ["x.fifo", "x-dlq.fifo"]);
    }
}
