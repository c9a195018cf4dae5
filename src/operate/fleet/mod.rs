//! A fleet: its Auto Scaling group, its target group, and what its daemons say of themselves.

pub mod back;
pub mod cost;
pub mod events;
pub mod life;
pub mod status;
pub mod verdict;
pub mod weights;
mod word;

use jiff::Timestamp;

use crate::aws::{
    Activity, AutoScalingGroup, Balancer, Clients, Fault, Figures, Group, LogGroup, Metric, Pace, Refresh,
    Span, Statistics, TargetGroup, TargetHealth,
};
use crate::operate::{Call, Trouble};

pub use word::Word;

/// Activities that are looked at: as many as a fleet of twenty makes when all its instances are replaced.
const ACTIVITIES: u32 = 40;

/// What a fleet's parts are called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// The fleet itself, as figures name it.
    pub fleet: String,
    /// The Auto Scaling group.
    pub group: String,
    /// The target group.
    pub target_group: String,
    /// The log group of the daemons' figures.
    pub metrics_group: String,
    /// The queue, as figures name it.
    pub queue: String,
    /// The queue of dead letters, likewise.
    pub dead_letters: String,
}

/// A fleet, and the ways to ask about it and to change it.
#[derive(Debug)]
pub struct Fleet {
    names: Names,
    region: String,
    group: AutoScalingGroup,
    balancer: Balancer,
    words: LogGroup,
    statistics: Statistics,
}

impl Fleet {
    /// A fleet of these names. Asks nothing yet; an error means that there can be no TLS here.
    pub fn new(clients: &Clients, names: Names) -> Result<Self, Fault> {
        Ok(Self {
            region: clients.region().to_owned(),
            group: AutoScalingGroup::new(clients, names.group.clone())?,
            balancer: Balancer::new(clients)?,
            words: LogGroup::new(clients, names.metrics_group.clone())?,
            statistics: Statistics::new(clients)?,
            names,
        })
    }

    /// What its parts are called.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// The group as it is now.
    pub async fn group(&self) -> Result<Group, Trouble> {
        let asked = self.group.existing().await;
        asked.map_err(|fault| self.of_group("look at", "autoscaling:DescribeAutoScalingGroups", fault))
    }

    /// What the group did last, newest first.
    pub async fn activities(&self) -> Result<Vec<Activity>, Trouble> {
        let asked = self.group.activities(ACTIVITIES).await;
        asked.map_err(|fault| {
            self.of_group("read the activities of", "autoscaling:DescribeScalingActivities", fault)
        })
    }

    /// Changes how many instances there are to be.
    pub async fn resize(&self, min: Option<u32>, desired: u32, max: Option<u32>) -> Result<(), Trouble> {
        let done = self.group.resize(min, desired, max).await;
        done.map_err(|fault| self.of_group("resize", "autoscaling:UpdateAutoScalingGroup", fault))
    }

    /// Keeps the group from choosing an instance when it scales in, or lets it again.
    pub async fn protect(&self, instance: &str, protected: bool) -> Result<(), Trouble> {
        let done = self.group.protect(instance, protected).await;
        done.map_err(|fault| {
            self.of_instance("set the protection of", instance, "autoscaling:SetInstanceProtection", fault)
        })
    }

    /// Takes an instance out of service without ending it.
    pub async fn enter_standby(&self, instance: &str, decrement: bool) -> Result<Vec<Activity>, Trouble> {
        let done = self.group.enter_standby(instance, decrement).await;
        done.map_err(|fault| {
            self.of_instance("put into Standby", instance, "autoscaling:EnterStandby", fault)
        })
    }

    /// Puts an instance back into service.
    pub async fn exit_standby(&self, instance: &str) -> Result<Vec<Activity>, Trouble> {
        let done = self.group.exit_standby(instance).await;
        done.map_err(|fault| {
            self.of_instance("put back into service", instance, "autoscaling:ExitStandby", fault)
        })
    }

    /// Begins to replace every instance; answers with the refresh's id.
    pub async fn refresh(&self, pace: &Pace) -> Result<String, Trouble> {
        let done = self.group.refresh(pace).await;
        done.map_err(|fault| {
            self.of_group("replace the instances of", "autoscaling:StartInstanceRefresh", fault)
        })
    }

    /// The newest refresh, if there ever was one.
    pub async fn newest_refresh(&self) -> Result<Option<Refresh>, Trouble> {
        let asked = self.group.refreshes(1).await;
        let asked = asked.map_err(|fault| {
            self.of_group("read the refreshes of", "autoscaling:DescribeInstanceRefreshes", fault)
        })?;
        Ok(asked.into_iter().next())
    }

    /// Stops the refresh under way; what is replaced stays replaced.
    pub async fn cancel_refresh(&self) -> Result<(), Trouble> {
        let done = self.group.cancel_refresh().await;
        done.map_err(|fault| self.of_group("stop the refresh of", "autoscaling:CancelInstanceRefresh", fault))
    }

    /// The target group.
    pub async fn target_group(&self) -> Result<TargetGroup, Trouble> {
        let asked = self.balancer.existing(&self.names.target_group).await;
        asked
            .map_err(|fault| self.of_target_group("find", "elasticloadbalancing:DescribeTargetGroups", fault))
    }

    /// Its targets and how they are.
    pub async fn health(&self, group: &TargetGroup) -> Result<Vec<TargetHealth>, Trouble> {
        let asked = self.balancer.health(group).await;
        asked.map_err(|fault| {
            self.of_target_group("read the health of", "elasticloadbalancing:DescribeTargetHealth", fault)
        })
    }

    /// What the daemon of an instance last said of itself.
    pub async fn word(&self, instance: &str) -> Result<Option<Word>, Trouble> {
        let asked = self.words.newest(instance).await.map_err(|fault| {
            let thing = format!("stream {instance} of log group {}", self.words.name());
            self.trouble("read", &thing, "logs:GetLogEvents", "fleet.metrics_group", fault)
        })?;
        Ok(asked.as_ref().and_then(Word::read))
    }

    /// Figures that were collected.
    pub async fn figures(&self, metrics: &[Metric], span: Span) -> Result<Vec<Figures>, Trouble> {
        let asked = self.statistics.read(metrics, span).await;
        asked.map_err(|fault| {
            let thing = format!("of fleet {}", self.names.fleet);
            self.trouble("read the figures", &thing, "cloudwatch:GetMetricData", "fleet.name", fault)
        })
    }

    fn of_group(&self, doing: &str, action: &'static str, fault: Fault) -> Trouble {
        let thing = format!("Auto Scaling group {}", self.names.group);
        self.trouble(doing, &thing, action, "fleet.group", fault)
    }

    fn of_instance(&self, doing: &str, instance: &str, action: &'static str, fault: Fault) -> Trouble {
        let thing = format!("instance {instance} of Auto Scaling group {}", self.names.group);
        self.trouble(doing, &thing, action, "fleet.group", fault)
    }

    fn of_target_group(&self, doing: &str, action: &'static str, fault: Fault) -> Trouble {
        let thing = format!("target group {}", self.names.target_group);
        self.trouble(doing, &thing, action, "fleet.target_group", fault)
    }

    fn trouble(
        &self,
        doing: &str,
        thing: &str,
        action: &'static str,
        key: &'static str,
        fault: Fault,
    ) -> Trouble {
        Trouble::new(&Call { doing, thing, action, key }, &self.region, fault)
    }
}

/// Whole seconds since then; none if it lies ahead.
pub fn seconds_since(then: Timestamp, now: Timestamp) -> u64 {
    u64::try_from(now.as_second() - then.as_second()).unwrap_or(0)
}
