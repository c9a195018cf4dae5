//! The life of the machine we run on, as far as others decide about it: EC2 and the instance's Auto Scaling group.
//!
//! | what is told | by | what we do |
//! |---|---|---|
//! | a spot instance is to be terminated or stopped | `spot/instance-action` | drain, within the time that is left |
//! | the group ends this instance | target state `Terminated` | drain, and keep the group's hook waiting until it is over |
//! | the group sets it aside | `Standby` and the like | [pause](crate::lifecycle::pause), until `InService` |
//! | it may be taken away soon | `events/recommendations/rebalance` | drain, if the owner wants that |
//!
//! The drain is that of a signal. [`Watch`] listens and acts, [`Hook`] speaks to the group while the end is under way,
//! [`Protection`] asks it to spare us while we work, and [`Memory`] keeps the operator's pause. Nothing of this is on a
//! request's way, and without any of these services the worker works.

mod hook;
mod memory;
mod metadata;
mod notice;
mod protection;
mod scaling;
mod watch;

use std::sync::Arc;

use tokio::sync::watch as channel;

pub use hook::Hook;
pub use memory::Memory;
pub use metadata::{Item, Metadata, MetadataError, Source};
pub use notice::{Act, Interruption, NOTICE, Target, interruption, name, rebalance, target};
pub use protection::Protection;
pub use scaling::Scaling;
pub use watch::{EVERY, Watch};

/// What is known of the instance and of its end. Clones know the same.
#[derive(Debug, Clone, Default)]
pub struct Knowledge(channel::Sender<Known>);

#[derive(Debug, Clone, Default)]
struct Known {
    /// The instance's id.
    instance: Option<Arc<str>>,
    /// Somebody said that its end is near.
    ending: bool,
    /// It is its group that ends it, so that a hook may be waiting.
    ended_by_group: bool,
}

impl Knowledge {
    /// The instance's id, once it is known.
    pub fn instance(&self) -> Option<Arc<str>> {
        self.0.borrow().instance.clone()
    }

    /// Whether somebody said that the instance's end is near. A process that ends then has done what it should, and is
    /// not to be started again.
    pub fn is_ending(&self) -> bool {
        self.0.borrow().ending
    }

    /// Whether it is the group that ends the instance.
    pub fn is_ended_by_group(&self) -> bool {
        self.0.borrow().ended_by_group
    }

    /// Notes the instance's id.
    fn learn(&self, instance: &str) {
        self.0.send_modify(|known| known.instance = Some(instance.into()));
    }

    /// Notes that its end is near.
    fn expect_end(&self, by_group: bool) {
        self.0.send_modify(|known| {
            known.ending = true;
            known.ended_by_group |= by_group;
        });
    }

    /// Resolves to the instance's id once that is known.
    pub async fn named(&self) -> Arc<str> {
        self.until(|known| known.instance.clone()).await
    }

    /// Resolves to the instance's id once its group is ending it.
    async fn ended_by_group(&self) -> Arc<str> {
        self.until(|known| known.instance.clone().filter(|_| known.ended_by_group)).await
    }

    async fn until(&self, what: impl Fn(&Known) -> Option<Arc<str>>) -> Arc<str> {
        let mut changes = self.0.subscribe();
        loop {
            if let Some(found) = what(&changes.borrow_and_update()) {
                return found;
            }
            // The sender lives in `self`, so the channel cannot close under us.
            let _closed = changes.changed().await.is_err();
        }
    }
}
