//! Results from whoever computed them to whoever waits, within this process.
//!
//! A publisher's offer stands while its future lives, so a subscriber that comes late still finds it and nothing is
//! kept for nobody. What has been acknowledged is remembered for two minutes, so that a repeat ends at once.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_channel::mpsc;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::domain::ids::RequestId;
use crate::domain::limits::Deadline;
use crate::local::lock;
use crate::ports::{Membership, Pending, PublishError, ResultBus, SubscribeError, Subscription};

/// How long an acknowledgement is remembered.
const ACK_MEMORY: Duration = Duration::from_mins(2);
/// Frames that may wait for one subscriber; more of them are repeats, and are dropped.
const UNREAD_FRAMES: usize = 16;

/// A bus.
#[derive(Debug, Clone)]
pub struct LocalBus {
    hub: Arc<Hub>,
    largest_frame: usize,
}

#[derive(Debug, Default)]
struct Hub(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    topics: HashMap<RequestId, Topic>,
    acknowledged: VecDeque<(Instant, RequestId)>,
    /// Numbers subscribers and offers.
    last: u64,
}

/// Everything about one request's result.
#[derive(Debug, Default)]
struct Topic {
    subscribers: BTreeMap<u64, mpsc::Sender<Bytes>>,
    offers: BTreeMap<u64, Bytes>,
    acknowledged: watch::Sender<bool>,
}

/// One publisher's offer; its drop withdraws it.
struct Offer {
    hub: Arc<Hub>,
    id: RequestId,
    number: u64,
}

/// One subscriber's place; its drop gives it up.
struct Place {
    hub: Arc<Hub>,
    id: RequestId,
    number: u64,
}

impl LocalBus {
    /// A bus that takes frames up to this size, in bytes.
    pub fn new(largest_frame: usize) -> Self {
        Self { hub: Arc::default(), largest_frame }
    }

    /// Requests that somebody offers, awaits, or lately acknowledged.
    pub fn topics(&self) -> usize {
        let mut state = lock(&self.hub.0);
        state.forget(Instant::now());
        state.topics.len()
    }
}

impl ResultBus for LocalBus {
    fn publish(
        &self,
        id: &RequestId,
        frame: Bytes,
        until: Deadline,
    ) -> Pending<'static, Result<(), PublishError>> {
        let (hub, id, cap) = (Arc::clone(&self.hub), id.clone(), self.largest_frame);
        Box::pin(async move {
            if frame.len() > cap {
                return Err(PublishError::TooLarge { id, bytes: frame.len(), cap });
            }
            let (offer, mut acknowledged) = hub.offer(id, frame);
            match timeout_at(until.instant(), acknowledged.wait_for(|done| *done)).await {
                Ok(Ok(_)) => Ok(()),
                // The sender lives in the topic, and the topic as long as the offer: only time can run out.
                Ok(Err(_)) | Err(_) => Err(PublishError::Unacknowledged { id: offer.id.clone() }),
            }
        })
    }

    fn subscribe(&self, id: &RequestId) -> Pending<'_, Result<Subscription, SubscribeError>> {
        let id = id.clone();
        Box::pin(async move {
            let (frames, place) = self.hub.join(&id);
            Ok(Subscription::new(id, frames, Box::new(place)))
        })
    }

    /// Nothing is kept here but what its publisher holds anyway.
    fn room(&self) -> Pending<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    fn largest_frame(&self) -> usize {
        self.largest_frame
    }
}

impl Hub {
    fn offer(self: &Arc<Self>, id: RequestId, frame: Bytes) -> (Offer, watch::Receiver<bool>) {
        let mut state = lock(&self.0);
        state.forget(Instant::now());
        let number = state.number();
        let topic = state.topics.entry(id.clone()).or_default();
        for subscriber in topic.subscribers.values_mut() {
            // A full place holds the same result already.
            let _repeat = subscriber.try_send(frame.clone()).is_err();
        }
        topic.offers.insert(number, frame);
        let acknowledged = topic.acknowledged.subscribe();
        drop(state);
        (Offer { hub: Arc::clone(self), id, number }, acknowledged)
    }

    fn join(self: &Arc<Self>, id: &RequestId) -> (mpsc::Receiver<Bytes>, Place) {
        let (mut sender, frames) = mpsc::channel(UNREAD_FRAMES);
        let mut state = lock(&self.0);
        let number = state.number();
        let topic = state.topics.entry(id.clone()).or_default();
        for frame in topic.offers.values() {
            let _repeat = sender.try_send(frame.clone()).is_err();
        }
        topic.subscribers.insert(number, sender);
        drop(state);
        (frames, Place { hub: Arc::clone(self), id: id.clone(), number })
    }
}

impl State {
    fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    fn forget(&mut self, now: Instant) {
        while self.acknowledged.front().is_some_and(|(at, _)| now.duration_since(*at) >= ACK_MEMORY) {
            let Some((_, id)) = self.acknowledged.pop_front() else { return };
            if let Some(topic) = self.topics.get(&id) {
                topic.acknowledged.send_replace(false);
            }
            self.tidy(&id);
        }
    }

    /// Drops a topic that nobody has a part in.
    fn tidy(&mut self, id: &RequestId) {
        let idle = |topic: &Topic| {
            topic.subscribers.is_empty() && topic.offers.is_empty() && !*topic.acknowledged.borrow()
        };
        if self.topics.get(id).is_some_and(idle) {
            self.topics.remove(id);
        }
    }
}

impl Membership for Place {
    fn acknowledge(&self) {
        let mut state = lock(&self.hub.0);
        let Some(topic) = state.topics.get(&self.id) else { return };
        if !topic.acknowledged.send_replace(true) {
            state.acknowledged.push_back((Instant::now(), self.id.clone()));
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = lock(&self.hub.0);
        if let Some(topic) = state.topics.get_mut(&self.id) {
            topic.subscribers.remove(&self.number);
        }
        state.tidy(&self.id);
    }
}

impl Drop for Offer {
    fn drop(&mut self) {
        let mut state = lock(&self.hub.0);
        if let Some(topic) = state.topics.get_mut(&self.id) {
            topic.offers.remove(&self.number);
        }
        state.tidy(&self.id);
    }
}
