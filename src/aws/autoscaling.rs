//! What an instance says of itself to its Auto Scaling group, and what operators ask of it.

mod group;
mod refresh;

use std::time::Duration;

use crate::aws::clients::{Clients, Patience};
use crate::aws::fault::Fault;
use crate::aws::signed::{Service, Signed};

pub use group::{Activity, Group, Member};
pub use refresh::{Pace, Refresh};

/// Nobody waits for an instance's verbs, and a busy control plane gets time. These may be repeated, and so may all that
/// look or set a number. What begins, ends or moves something is asked once, because a repeat after a lost answer would
/// be refused, or would begin it anew: whoever asks looks what has become of it.
const VERB: Patience = Patience { attempt: Duration::from_secs(5), attempts: 5 };

/// For whoever asks again by himself, when it is time.
const ONCE: Patience = Patience { attempts: 1, ..VERB };

/// An Auto Scaling group.
#[derive(Debug)]
pub struct AutoScalingGroup {
    name: String,
    service: Signed,
}

impl AutoScalingGroup {
    /// The group with this name. Asks nothing yet; an error means that there can be no TLS here.
    pub fn new(clients: &Clients, name: String) -> Result<Self, Fault> {
        Ok(Self { name, service: Signed::new(clients, Service::AutoScaling, VERB)? })
    }

    /// The same, but each call is made once, whatever comes of it.
    pub fn asked_once(clients: &Clients, name: String) -> Result<Self, Fault> {
        Ok(Self { name, service: Signed::new(clients, Service::AutoScaling, ONCE)? })
    }

    /// Keeps the group from choosing this instance when it scales in, or lets it again.
    pub async fn protect(&self, instance: &str, protected: bool) -> Result<(), Fault> {
        let protected = if protected { "true" } else { "false" };
        let parameters = [
            ("AutoScalingGroupName", &*self.name),
            ("InstanceIds.member.1", instance),
            ("ProtectedFromScaleIn", protected),
        ];
        self.service.form("SetInstanceProtection", &parameters).await.map(drop)
    }

    /// Says that this instance still works on what `hook` waits for, which begins its time anew.
    pub async fn heartbeat(&self, hook: &str, instance: &str) -> Result<(), Fault> {
        let parameters = self.of_hook(hook, instance);
        self.service.form("RecordLifecycleActionHeartbeat", &parameters).await.map(drop)
    }

    /// Says that `hook` need not wait for this instance any longer.
    pub async fn complete(&self, hook: &str, instance: &str) -> Result<(), Fault> {
        let mut parameters = self.of_hook(hook, instance).to_vec();
        parameters.push(("LifecycleActionResult", "CONTINUE"));
        self.service.form("CompleteLifecycleAction", &parameters).await.map(drop)
    }

    fn of_hook<'a>(&'a self, hook: &'a str, instance: &'a str) -> [(&'static str, &'a str); 3] {
        [("AutoScalingGroupName", &self.name), ("LifecycleHookName", hook), ("InstanceId", instance)]
    }
}
