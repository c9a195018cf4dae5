//! Sending to SQS queues, in batches as soon as there is more than one message to send.
//!
//! A lone message goes out at once. While calls are under way, what comes meanwhile gathers, and leaves in one batch
//! with the next: the busier the queue, the fewer calls a message costs, and nobody waits for a timer.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::ProvideErrorMetadata as _;
use aws_sdk_sqs::types::SendMessageBatchResultEntry;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::aws::clients::{Clients, Patience};
use crate::aws::fault::{Fault, Kind};
use crate::aws::{answers, messages};
use crate::lifecycle::Lifecycle;
use crate::ports::{LARGEST_BATCH, Message, Pending, QueueAddress, QueueError, QueueSink};
use crate::wire::envelope;

/// Sending again is sending once only where the queue drops repeats, so FIFO queues alone are asked again: three
/// times in all, well within the minute that somebody waits for the result.
const SEND_ONCE_MORE: Patience = Patience { attempt: Duration::from_secs(4), attempts: 3 };
/// On any other queue a repeat would be a second job: whoever waits decides.
const SEND_ONCE: Patience = Patience { attempts: 1, ..SEND_ONCE_MORE };

/// Calls under way to one queue at a time. More than one, so that a call that hangs holds up nobody else; three of
/// 10 ms each are the 300 calls a second that a FIFO queue takes.
const CALLS: usize = 3;
/// Calls under way when more would wait than the next calls can take along: each of those beyond [`CALLS`] carries as
/// much as a call can, so that there are no more of them than the messages need.
const MOST_CALLS: usize = 12;
/// Most bytes in a batch of more than one message, in bytes: what every queue took before 2025, when it became 1 MiB.
const LARGEST_CALL: usize = 256 * 1024;
/// Queues whose lanes are kept. A fleet has tens.
const LANES: usize = 64;

/// Sends to any queue.
#[derive(Debug)]
pub struct SqsSink {
    clients: Clients,
    lifecycle: Lifecycle,
    lanes: Mutex<HashMap<QueueAddress, Arc<Lane>>>,
}

/// The way to one queue.
struct Lane {
    queue: QueueAddress,
    clients: Clients,
    client: Client,
    line: Mutex<Line>,
}

#[derive(Default)]
struct Line {
    waiting: VecDeque<Waiting>,
    /// Calls under way.
    calls: usize,
}

/// A message that is not sent yet, and who wants to know.
struct Waiting {
    message: Message,
    since: Instant,
    told: oneshot::Sender<Result<(), QueueError>>,
}

impl SqsSink {
    /// A sink whose calls are tasks of `lifecycle`, so that a sender who gives up takes no other's message along, and
    /// a drain waits for what is under way.
    pub fn new(clients: &Clients, lifecycle: Lifecycle) -> Self {
        Self { clients: clients.clone(), lifecycle, lanes: Mutex::default() }
    }

    fn lane(&self, to: &QueueAddress) -> Result<Arc<Lane>, QueueError> {
        let mut lanes = lock(&self.lanes);
        if let Some(lane) = lanes.get(to) {
            return Ok(Arc::clone(lane));
        }
        let place = self.clients.place(to).ok_or_else(|| QueueError::Absent { queue: to.clone() })?;
        let patience = if to.is_fifo() { SEND_ONCE_MORE } else { SEND_ONCE };
        let lane = Arc::new(Lane {
            queue: to.clone(),
            client: self.clients.sqs(&place, patience),
            clients: self.clients.clone(),
            line: Mutex::default(),
        });
        if lanes.len() >= LANES {
            lanes.retain(|_, lane| lock(&lane.line).calls > 0);
        }
        lanes.insert(to.clone(), Arc::clone(&lane));
        Ok(lane)
    }
}

impl QueueSink for SqsSink {
    fn send<'a>(&'a self, to: &'a QueueAddress, message: Message) -> Pending<'a, Result<(), QueueError>> {
        Box::pin(async move {
            messages::check(to, &message)?;
            let lane = self.lane(to)?;
            let (told, outcome) = oneshot::channel();
            if lane.enter(Waiting { message, since: Instant::now(), told }) {
                let lane = Arc::clone(&lane);
                self.lifecycle.spawn("queue send", async move { lane.run().await });
            }
            outcome
                .await
                .unwrap_or_else(|_| Err(lane.failed(Fault::new(Kind::Unreachable, "the process ends"))))
        })
    }
}

impl Lane {
    /// Puts a message in line. True if a call may begin for it: then [`Self::run`] must follow.
    fn enter(&self, waiting: Waiting) -> bool {
        let mut line = lock(&self.line);
        line.waiting.push_back(waiting);
        let may_begin = line.may_begin();
        line.calls += usize::from(may_begin);
        may_begin
    }

    /// Calls until nobody is in line.
    async fn run(&self) {
        loop {
            let next = lock(&self.line).next();
            let Some(batch) = next else { return };
            self.send(batch).await;
        }
    }

    async fn send(&self, batch: Vec<Waiting>) {
        let fifo = self.queue.is_fifo();
        let entry = |(id, waiting): (usize, &Waiting)| messages::entry(id, &waiting.message, fifo);
        let entries: Result<Vec<_>, _> = batch.iter().enumerate().map(entry).collect();
        let entries = match entries {
            Ok(entries) => entries,
            Err(error) => return self.fail(batch, &Fault::new(Kind::Refused, &error.to_string())),
        };
        let call = self.client.send_message_batch().queue_url(self.queue.as_str());
        match call.set_entries(Some(entries)).send().await {
            Ok(answer) => {
                for (id, waiting) in batch.into_iter().enumerate() {
                    let done = answer.successful().iter().map(SendMessageBatchResultEntry::id);
                    let fate = answers::entry(id, done, answer.failed());
                    waiting.tell(fate.map_err(|failure| self.failed(failure.fault)));
                }
            }
            Err(error) if answers::is_absent(error.as_service_error().and_then(|said| said.code())) => {
                for waiting in batch {
                    waiting.tell(Err(QueueError::Absent { queue: self.queue.clone() }));
                }
            }
            Err(error) => self.fail(batch, &self.clients.fault(&error)),
        }
    }

    fn fail(&self, batch: Vec<Waiting>, fault: &Fault) {
        for waiting in batch {
            waiting.tell(Err(self.failed(fault.clone())));
        }
    }

    fn failed(&self, fault: Fault) -> QueueError {
        QueueError::Unreachable { act: "send", queue: self.queue.clone(), source: Box::new(fault) }
    }
}

impl Line {
    /// Whether one more call may begin.
    fn may_begin(&self) -> bool {
        self.calls < CALLS || (self.calls < MOST_CALLS && self.waiting.len() >= LARGEST_BATCH)
    }

    /// The next call's messages. With `None` the call's place is given back.
    fn next(&mut self) -> Option<Vec<Waiting>> {
        if self.calls > CALLS && self.waiting.len() < LARGEST_BATCH {
            self.calls -= 1;
            return None;
        }
        let mut batch = Vec::new();
        let mut bytes = 0;
        while let Some(mut waiting) = self.waiting.pop_front() {
            if waiting.told.is_closed() {
                // Who sent it has given up, and nothing has left yet.
                continue;
            }
            let size = messages::size(&waiting.message);
            if !batch.is_empty() && bytes + size > LARGEST_CALL {
                self.waiting.push_front(waiting);
                break;
            }
            bytes += size;
            // The queue begins to count only now, or a few seconds later if the call has to be made again.
            envelope::spend(&mut waiting.message.attributes, waiting.since.elapsed());
            batch.push(waiting);
            if batch.len() == LARGEST_BATCH {
                break;
            }
        }
        if batch.is_empty() {
            self.calls -= 1;
            return None;
        }
        Some(batch)
    }
}

impl Waiting {
    /// Whoever has given up is not told.
    fn tell(self, outcome: Result<(), QueueError>) {
        let _gone = self.told.send(outcome).is_err();
    }
}

/// Every change under these locks leaves the state whole, so a panic elsewhere does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lane").field("queue", &self.queue).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use aws_credential_types::Credentials;

    use super::*;
    use crate::aws::{Endpoints, Settings};

    type Outcome = oneshot::Receiver<Result<(), QueueError>>;

    fn line(sizes: &[usize]) -> (Line, Vec<Outcome>) {
        let message = |size: &usize| Message { body: "x".repeat(*size), ..Message::default() };
        let (waiting, outcomes) = sizes
            .iter()
            .map(|size| {
                let (told, outcome) = oneshot::channel();
                (Waiting { message: message(size), since: Instant::now(), told }, outcome)
            })
            .unzip();
        (Line { waiting, calls: 1 }, outcomes)
    }

    fn batches(line: &mut Line) -> Vec<usize> {
        std::iter::from_fn(|| line.next()).map(|batch| batch.len()).collect()
    }

    #[test]
    fn batches_are_as_large_as_a_call_takes() {
        for (sizes, expected) in [
            (vec![], vec![]),
            (vec![1; 23], vec![10, 10, 3]),
            (vec![LARGEST_CALL, 1], vec![1, 1]),
            (vec![LARGEST_CALL - 1, 1, 1], vec![2, 1]),
            (vec![1, 1024 * 1024, 1], vec![1, 1, 1]),
        ] {
            let (mut line, _outcomes) = line(&sizes);
            assert_eq!(batches(&mut line), expected);
            assert_eq!(line.calls, 0, "the call's place is given back");
        }
    }

    #[test]
    fn more_calls_begin_for_full_batches_only() {
        let (mut line, _outcomes) = line(&[1; 2 * LARGEST_BATCH - 1]);
        assert!(line.may_begin(), "there is room");
        line.calls = CALLS;
        assert!(line.may_begin(), "a full batch would wait");
        line.calls = MOST_CALLS;
        assert!(!line.may_begin(), "there is an end");
        assert_eq!(line.next().map(|batch| batch.len()), Some(LARGEST_BATCH));
        assert!(line.next().is_none(), "the rest is left to fewer calls");
        line.calls = CALLS;
        assert!(!line.may_begin(), "a batch that is not full waits for the next call");
        assert_eq!(line.next().map(|batch| batch.len()), Some(LARGEST_BATCH - 1));
    }

    #[test]
    fn who_gave_up_is_left_out() {
        let (mut line, mut outcomes) = line(&[1, 1, 1]);
        drop(outcomes.remove(1));
        assert_eq!(batches(&mut line), [2]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_in_line_is_taken_from_what_is_left() {
        let (mut line, _outcomes) = line(&[1, 1]);
        for (waiting, left) in line.waiting.iter_mut().zip(["55000", "odd"]) {
            waiting.message.attributes = [("RemainingMs".to_owned(), left.to_owned())].into();
        }
        tokio::time::advance(Duration::from_millis(4321)).await;
        let batch = line.next().unwrap();
        let left: Vec<_> = batch.iter().map(|waiting| &waiting.message.attributes["RemainingMs"]).collect();
        assert_eq!(left, ["50679", "odd"]);
    }

    #[tokio::test]
    async fn lanes_are_bounded() {
        let settings = Settings { region: "us-east-1".to_owned(), endpoints: Endpoints::default() };
        let sink = SqsSink::new(
            &Clients::new(settings, Credentials::new("AKIDTEST", "secret", None, None, "test")),
            Lifecycle::new(),
        );
        for number in 0..3 * LANES {
            let queue = QueueAddress::new(&format!("https://sqs.us-east-1.amazonaws.com/1/q{number}"));
            sink.lane(&queue).unwrap();
            assert!(lock(&sink.lanes).len() <= LANES && lock(&sink.lanes).contains_key(&queue));
        }
    }
}
