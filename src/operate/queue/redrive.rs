//! Brings dead letters back to the job queue, as jobs that a worker takes.
//!
//! A letter is sent first and deleted after, so whatever ends us in between leaves it in one place at least. It travels
//! under a group of its own, so that it holds up nobody, and under a deduplication id made from what the dead-letter
//! queue calls it: no job or letter had that id before, so the job queue never takes it for a repeat; but if we die
//! before the letter is deleted and it is brought back again within five minutes, the queue drops the second copy.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use futures_util::future::join_all;
use serde::Serialize;
use tokio::time::Instant;

use crate::aws::{Clients, SqsSink};
use crate::lifecycle::Lifecycle;
use crate::operate::queue::{Inspection, Queue, fault};
use crate::operate::trouble::Trouble;
use crate::ports::{LARGEST_BATCH, Message, QueueError, QueueSink as _, QueueSource as _, Receipt, Received};
use crate::wire::envelope::{self, Incoming, REASON, REMAINING};

/// How long a letter is hidden while it is moved; after a crash it takes so long until it can be seen again.
const HIDDEN: Duration = Duration::from_mins(1);
/// Less time than this is not worth a job.
const TOO_LITTLE: Duration = Duration::from_secs(1);
/// How exactly a letter's age is known.
const RESOLUTION: Duration = Duration::from_secs(1);
/// Longest group of SQS, in bytes.
const LONGEST_GROUP: usize = 128;

/// Which letters to bring back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Order {
    /// Most letters.
    pub count: Option<usize>,
    /// Only letters that lie there for at least so long.
    pub older_than: Option<Duration>,
    /// Only the letter of this job.
    pub guid: Option<String>,
    /// Also jobs that nobody waits for any more; they get as much time as a new one.
    pub force: bool,
    /// Only say what would be done.
    pub dry_run: bool,
}

/// How long somebody waits for a job that does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget(pub Duration);

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Outcome {
    /// The jobs that were brought back, or would have been.
    pub moved: Vec<String>,
    /// The letters that stay, each with the reason.
    pub left: Vec<Left>,
    /// Jobs that were sent, and whose letters could not be deleted: they come up again, and are dropped as repeats if they
    /// are brought back within five minutes.
    pub undeleted: Vec<String>,
    /// Groups of several jobs in which a letter stays: what stands behind it, if anything, was not reached.
    pub blocked: BTreeSet<String>,
}

/// A letter that stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Left {
    /// The job's name, or what the queue calls the message if it has none.
    pub guid: String,
    /// Why.
    pub why: String,
}

/// Brings letters from `from` back to `to`. `tell` hears how many were moved so far. A letter that arrives meanwhile is left
/// for the next time, so that a job that fails again at once does not go round in circles. What was moved before anything
/// failed is told, too.
pub async fn redrive(
    clients: &Clients,
    from: &Queue,
    to: &Queue,
    order: &Order,
    budget: Budget,
    mut tell: impl FnMut(usize),
) -> (Outcome, Result<(), Trouble>) {
    let inspection = match Inspection::new(clients, from) {
        Ok(inspection) => inspection,
        Err(trouble) => return (Outcome::default(), Err(trouble)),
    };
    let lifecycle = Lifecycle::new();
    let sink = SqsSink::new(clients, lifecycle.clone());
    let mut held = HashMap::new();
    let moving = Moving { clients, inspection: &inspection, sink, to, order, budget, begun: Instant::now() };
    let mut outcome = Outcome::default();
    let moved = moving.all(&mut held, &mut outcome, &mut tell).await;
    let released = inspection.release(held.into_values()).await;
    (outcome, moved.and(released))
}

struct Moving<'a> {
    clients: &'a Clients,
    inspection: &'a Inspection<'a>,
    sink: SqsSink,
    to: &'a Queue,
    order: &'a Order,
    budget: Budget,
    begun: Instant,
}

/// What is to become of a letter.
enum Verdict {
    Move { guid: String, job: Message },
    Stay(Left),
}

impl Moving<'_> {
    /// Goes through the letters. Those that stay are `held`, so that they do not come up twice.
    async fn all(
        &self,
        held: &mut HashMap<String, Receipt>,
        outcome: &mut Outcome,
        tell: &mut impl FnMut(usize),
    ) -> Result<(), Trouble> {
        let most = self.order.count.unwrap_or(usize::MAX);
        while outcome.moved.len() < most {
            let wanted = LARGEST_BATCH.min(most - outcome.moved.len());
            let received = self.inspection.receive(wanted, HIDDEN).await?;
            let mut news = false;
            let mut batch = Vec::new();
            for received in received {
                // Held first: if anything fails from here on, it is given back.
                let known = held.insert(received.id.clone(), received.receipt.clone()).is_some();
                if known {
                    continue;
                }
                news = true;
                match judge(&received, self.order, self.budget, self.begun.elapsed()) {
                    Verdict::Stay(left) => {
                        outcome.blocked.extend(shared(&received, &left.guid));
                        outcome.left.push(left);
                    }
                    Verdict::Move { guid, .. } if self.order.dry_run => {
                        outcome.blocked.extend(shared(&received, &guid));
                        outcome.moved.push(guid);
                    }
                    Verdict::Move { guid, job } => batch.push((received.id, guid, job)),
                }
            }
            self.send(batch, held, outcome).await?;
            tell(outcome.moved.len());
            if !news {
                break;
            }
        }
        Ok(())
    }

    /// Sends a batch, and deletes the letters whose jobs were taken.
    async fn send(
        &self,
        batch: Vec<(String, String, Message)>,
        held: &mut HashMap<String, Receipt>,
        outcome: &mut Outcome,
    ) -> Result<(), Trouble> {
        let sent = batch
            .into_iter()
            .map(async |(id, guid, job)| (id, guid, self.sink.send(&self.to.address, job).await));
        let (mut done, mut failure) = (Vec::new(), None);
        for (id, guid, sent) in join_all(sent).await {
            match sent {
                Ok(()) => done.extend(held.remove(&id).map(|receipt| (receipt, guid))),
                // A message that no queue takes stays where it is.
                Err(error @ (QueueError::TooLarge { .. } | QueueError::Incomplete { .. })) => {
                    outcome.left.push(Left { guid, why: error.to_string() });
                }
                Err(error) => failure = Some(fault(error)),
            }
        }
        let receipts = done.iter().map(|(receipt, _)| receipt.clone()).collect();
        let deleted = self.inspection.source.delete(receipts).await;
        let void: Vec<Receipt> = match &deleted {
            Ok(void) => void.clone(),
            Err(_) => done.iter().map(|(receipt, _)| receipt.clone()).collect(),
        };
        for (receipt, guid) in done {
            if void.contains(&receipt) {
                outcome.undeleted.push(guid.clone());
            }
            outcome.moved.push(guid);
        }
        if let Err(error) = deleted {
            let doing = "delete letters that were sent on from";
            let trouble =
                self.inspection.queue.trouble(self.clients, doing, "sqs:DeleteMessage", fault(error));
            return Err(trouble);
        }
        match failure {
            Some(fault) => Err(self.to.trouble(self.clients, "send to", "sqs:SendMessage", fault)),
            None => Ok(()),
        }
    }
}

/// What is to become of one letter, `since` the start.
fn judge(received: &Received, order: &Order, budget: Budget, since: Duration) -> Verdict {
    let stay = |guid: &str, why: String| Verdict::Stay(Left { guid: guid.to_owned(), why });
    let guid = match envelope::read(&received.message.body) {
        Ok(Incoming::Job(job)) => job.id,
        Ok(Incoming::Parked(parked)) => parked.id,
        Err(error) => {
            let why = format!("it is no job, and would be buried again: {}", error.wrong);
            return stay(error.id.as_ref().map_or(&received.id, |id| id.as_str()), why);
        }
    };
    let guid = guid.as_str();
    if order.guid.as_ref().is_some_and(|wanted| wanted != guid) {
        return stay(guid, "it is another job".to_owned());
    }
    if received.age + RESOLUTION < since {
        return stay(guid, "it arrived after the start".to_owned());
    }
    if let Some(least) = order.older_than.filter(|least| received.age < *least) {
        return stay(guid, format!("it is not yet {} s old", least.as_secs()));
    }
    let told = received.message.attributes.get(REMAINING).and_then(|text| text.parse().ok());
    let whole = told.map_or(budget.0, |millis| Duration::from_millis(millis).min(budget.0));
    let left = whole.saturating_sub(received.age);
    let left = match (left >= TOO_LITTLE, order.force) {
        (true, false) => left,
        (false, false) => {
            return stay(
                guid,
                "nobody waits for it any more; --force brings it back all the same".to_owned(),
            );
        }
        (_, true) => budget.0,
    };
    let mut attributes = received.message.attributes.clone();
    attributes.remove(REASON);
    attributes.insert(REMAINING.to_owned(), left.as_millis().to_string());
    let job = Message {
        body: received.message.body.clone(),
        group: Some(if is_group(guid) { guid.to_owned() } else { received.id.clone() }),
        dedup: Some(format!("redriven:{}", received.id)),
        attributes,
        trace: received.message.trace,
    };
    Verdict::Move { guid: guid.to_owned(), job }
}

/// The letter's group, if it is not the job's own.
fn shared(received: &Received, guid: &str) -> Option<String> {
    received.message.group.clone().filter(|group| group != guid)
}

/// Whether SQS takes this as a group.
fn is_group(text: &str) -> bool {
    (1..=LONGEST_GROUP).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::trace::TraceContext;

    const GUID: &str = "7d3c0000-0000-4000-8000-000000000000";
    const TRACE: &str = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";

    fn letter(guid: &str, age: u64, remaining: Option<&str>) -> Received {
        let body = serde_json::json!({ "guid": guid, "compilerId": "g132", "source": "int x;" });
        let mut attributes: std::collections::BTreeMap<String, String> =
            [(REASON.to_owned(), "it failed".to_owned()), ("Other".to_owned(), "kept".to_owned())].into();
        attributes.extend(remaining.map(|text| (REMAINING.to_owned(), text.to_owned())));
        Received {
            id: "message-1".to_owned(),
            message: Message {
                body: body.to_string(),
                group: Some("default".to_owned()),
                dedup: Some(guid.to_owned()),
                attributes,
                trace: TraceContext::parse(TRACE),
            },
            receipt: Receipt::new("r"),
            receives: 1,
            age: Duration::from_secs(age),
        }
    }

    fn judged(letter: &Received, order: &Order) -> Result<Message, String> {
        match judge(letter, order, Budget(Duration::from_secs(55)), Duration::from_secs(3)) {
            Verdict::Move { job, .. } => Ok(job),
            Verdict::Stay(left) => Err(left.why),
        }
    }

    #[test]
    fn a_job_that_somebody_waits_for_goes_back_with_what_time_is_left() {
        let order = Order::default();
        let job = judged(&letter(GUID, 5, Some("20000")), &order).unwrap();
        assert_eq!(job.group.as_deref(), Some(GUID));
        assert_eq!(job.dedup.as_deref(), Some("redriven:message-1"));
        assert_eq!(job.attributes[REMAINING], "15000");
        assert_eq!(job.trace.map(|trace| trace.to_string()).as_deref(), Some(TRACE));
        assert!(!job.attributes.contains_key(REASON) && job.attributes["Other"] == "kept");
        assert_eq!(judged(&letter(GUID, 5, None), &order).unwrap().attributes[REMAINING], "50000");
        let more = judged(&letter(GUID, 5, Some("99999999")), &order).unwrap();
        assert_eq!(more.attributes[REMAINING], "50000", "nobody waits for longer than the budget");
    }

    #[test]
    fn what_stays_says_why() {
        let old = Order { older_than: Some(Duration::from_mins(1)), ..Order::default() };
        let other = Order { guid: Some("other".to_owned()), ..Order::default() };
        for (letter, order, why) in [
            (letter(GUID, 60, None), Order::default(), "nobody waits"),
            (letter(GUID, 5, Some("5500")), Order::default(), "nobody waits"),
            (letter(GUID, 0, None), Order::default(), "after the start"),
            (letter(GUID, 30, None), old, "not yet 60 s"),
            (letter(GUID, 30, None), other, "another job"),
            (letter("", 30, None), Order { force: true, ..Order::default() }, "no job"),
        ] {
            let told = judged(&letter, &order).unwrap_err();
            assert!(told.contains(why), "{told}");
        }
    }

    #[test]
    fn by_force_a_job_has_the_time_of_a_new_one() {
        let order = Order { force: true, guid: Some(GUID.to_owned()), ..Order::default() };
        let job = judged(&letter(GUID, 86_400, Some("0")), &order).unwrap();
        assert_eq!(job.attributes[REMAINING], "55000");
    }

    #[test]
    fn a_name_that_is_no_group_is_replaced() {
        let order = Order::default();
        assert_eq!(judged(&letter("a b", 5, None), &order).unwrap().group.as_deref(), Some("message-1"));
    }

    proptest::proptest! {
        #[test]
        fn no_letter_is_too_odd(body in ".*", remaining in ".*", age: u32, force: bool) {
            let mut letter = letter(GUID, u64::from(age), Some(&remaining));
            letter.message.body = body;
            let _judged = judged(&letter, &Order { force, ..Order::default() });
        }
    }
}
