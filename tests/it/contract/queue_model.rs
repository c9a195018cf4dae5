//! The queue in this process against a model small enough to be seen to be right, under any order of events.

use std::collections::BTreeSet;
use std::time::Duration;

use compilation_worker::local::queue::{Depth, LocalQueueSettings, LocalQueues, LocalSource};
use compilation_worker::ports::{Ask, Message, QueueAddress, QueueSink as _, QueueSource as _, Receipt};
use proptest::prelude::*;
use tokio::time::{Instant, sleep};

/// How long a received message is hidden.
const HIDDEN: Duration = Duration::from_secs(5);
const ONE: Ask = Ask { most: 1, wait: Duration::ZERO, hidden_for: HIDDEN };

/// One thing that happens. Indices count from the latest receive.
#[derive(Debug, Clone)]
enum Event {
    Send { group: u8 },
    Receive,
    Delete { held: usize },
    GiveBack { held: usize },
    Wait { seconds: u64 },
}

/// A receive that the model knows of.
struct Held {
    id: usize,
    receipt: Receipt,
    until: Instant,
}

struct Model {
    queues: LocalQueues,
    source: LocalSource,
    address: QueueAddress,
    /// The group of each message sent, by its id.
    groups: Vec<u8>,
    deleted: BTreeSet<usize>,
    held: Vec<Held>,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => (0..3_u8).prop_map(|group| Event::Send { group }),
        4 => Just(Event::Receive),
        2 => (0..3_usize).prop_map(|held| Event::Delete { held }),
        1 => (0..3_usize).prop_map(|held| Event::GiveBack { held }),
        1 => (0..7_u64).prop_map(|seconds| Event::Wait { seconds }),
    ]
}

impl Model {
    fn new() -> Self {
        let (queues, address) = (LocalQueues::new(), QueueAddress::new("work.fifo"));
        let retention = Duration::from_hours(24);
        let source = queues.create(address.clone(), LocalQueueSettings { retention, ..Default::default() });
        Self { queues, source, address, groups: Vec::new(), deleted: BTreeSet::new(), held: Vec::new() }
    }

    /// The message that must come next from a group: its first that is not deleted, unless that one is in flight.
    fn next_of(&self, group: u8) -> Option<usize> {
        let first =
            (0..self.groups.len()).find(|id| self.groups[*id] == group && !self.deleted.contains(id))?;
        let now = Instant::now();
        (!self.held.iter().any(|held| held.id == first && held.until > now)).then_some(first)
    }

    async fn apply(&mut self, event: Event) {
        match event {
            Event::Send { group } => self.send(group).await,
            Event::Receive => self.receive().await,
            Event::Delete { held } => self.delete(held).await,
            Event::GiveBack { held } => self.give_back(held).await,
            Event::Wait { seconds } => sleep(Duration::from_secs(seconds)).await,
        }
    }

    async fn send(&mut self, group: u8) {
        let id = self.groups.len().to_string();
        let message = Message {
            body: id.clone(),
            group: Some(group.to_string()),
            dedup: Some(id),
            ..Message::default()
        };
        self.queues.send(&self.address, message).await.unwrap();
        self.groups.push(group);
    }

    async fn receive(&mut self) {
        let possible: BTreeSet<usize> = (0..3).filter_map(|group| self.next_of(group)).collect();
        let received = self.source.receive(ONE).await.unwrap().pop();
        let id = received.as_ref().map(|received| received.message.body.parse().unwrap());
        // Among groups, the oldest message wins.
        assert_eq!(id, possible.first().copied());
        if let (Some(id), Some(received)) = (id, received) {
            // A message has one right holder: the latest.
            self.held.retain(|held| held.id != id);
            self.held.push(Held { id, receipt: received.receipt, until: Instant::now() + HIDDEN });
        }
    }

    async fn delete(&mut self, back: usize) {
        let Some(index) = self.held.len().checked_sub(back + 1) else { return };
        let held = &self.held[index];
        let void = self.source.delete(vec![held.receipt.clone()]).await.unwrap();
        let ours = held.until > Instant::now() || self.deleted.contains(&held.id);
        assert_eq!(void.is_empty(), ours);
        if ours {
            self.deleted.insert(held.id);
        }
    }

    async fn give_back(&mut self, back: usize) {
        let Some(index) = self.held.len().checked_sub(back + 1) else { return };
        let (now, held) = (Instant::now(), &mut self.held[index]);
        let done = self.source.hide(held.receipt.clone(), Duration::ZERO).await;
        assert_eq!(done.is_ok(), held.until > now && !self.deleted.contains(&held.id));
        held.until = held.until.min(now);
    }

    /// Nothing is lost: all that was not deleted can still be received.
    async fn empty(&mut self) {
        sleep(HIDDEN).await;
        for _ in self.deleted.len()..self.groups.len() {
            self.receive().await;
            self.delete(0).await;
        }
        assert_eq!(self.deleted.len(), self.groups.len());
        assert_eq!(self.queues.depth(&self.address).unwrap(), Depth::default());
    }
}

proptest! {
    #[test]
    fn no_order_of_events_loses_doubles_or_reorders(events in prop::collection::vec(event(), 0..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let mut model = Model::new();
            for event in events {
                model.apply(event).await;
            }
            model.empty().await;
        });
    }
}
