//! What an Auto Scaling group is like, and what has become of it.

use jiff::Timestamp;
use serde::Deserialize;

use crate::aws::fault::{Fault, Kind};
use crate::aws::xml::{self, List};

use super::AutoScalingGroup;

/// A group as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Fewest instances.
    pub min: u32,
    /// Instances wanted; those in Standby are not counted.
    pub desired: u32,
    /// Most instances.
    pub max: u32,
    /// Its instances, in every state.
    pub members: Vec<Member>,
    /// Processes that somebody has suspended, such as `Terminate`.
    pub suspended: Vec<String>,
}

/// An instance of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its id.
    pub id: String,
    /// The availability zone it is in.
    pub zone: String,
    /// The instance type; empty where the group does not tell.
    pub kind: String,
    /// Where it is in its life, such as `InService`, `Standby` or `Terminating:Wait`.
    pub lifecycle: String,
    /// Whether the group takes it for healthy.
    pub healthy: bool,
    /// Whether the group leaves it alone when it scales in.
    pub protected: bool,
}

/// Something that a group did or does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activity {
    /// Its id.
    pub id: String,
    /// What.
    pub description: String,
    /// Such as `InProgress`, `Successful`, `Failed`, `Cancelled`.
    pub status: String,
    /// Why it failed, or what it waits for.
    pub message: Option<String>,
    /// When it began.
    pub begun: Option<Timestamp>,
    /// In hundredths.
    pub progress: u8,
}

impl Activity {
    /// Whether it goes on.
    pub fn is_under_way(&self) -> bool {
        !matches!(self.status.as_str(), "Successful" | "Failed" | "Cancelled")
    }
}

#[derive(Deserialize)]
struct Groups {
    #[serde(rename = "AutoScalingGroups", default)]
    groups: List<RawGroup>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawGroup {
    min_size: u32,
    desired_capacity: u32,
    max_size: u32,
    #[serde(default)]
    instances: List<RawMember>,
    #[serde(default)]
    suspended_processes: List<RawProcess>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawMember {
    instance_id: String,
    #[serde(default)]
    availability_zone: String,
    #[serde(default)]
    instance_type: String,
    #[serde(default)]
    lifecycle_state: String,
    #[serde(default)]
    health_status: String,
    #[serde(default)]
    protected_from_scale_in: String,
}

#[derive(Deserialize)]
struct RawProcess {
    #[serde(rename = "ProcessName", default)]
    name: String,
}

#[derive(Deserialize)]
struct Activities {
    #[serde(rename = "Activities", default)]
    activities: List<RawActivity>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct RawActivity {
    #[serde(default)]
    activity_id: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    status_code: String,
    #[serde(default)]
    status_message: String,
    #[serde(default)]
    start_time: String,
    #[serde(default)]
    progress: String,
}

impl From<RawGroup> for Group {
    fn from(raw: RawGroup) -> Self {
        Self {
            min: raw.min_size,
            desired: raw.desired_capacity,
            max: raw.max_size,
            members: raw.instances.members.into_iter().map(Member::from).collect(),
            suspended: raw.suspended_processes.members.into_iter().map(|process| process.name).collect(),
        }
    }
}

impl From<RawMember> for Member {
    fn from(raw: RawMember) -> Self {
        Self {
            id: raw.instance_id,
            zone: raw.availability_zone,
            kind: raw.instance_type,
            lifecycle: raw.lifecycle_state,
            healthy: raw.health_status.eq_ignore_ascii_case("healthy"),
            protected: raw.protected_from_scale_in == "true",
        }
    }
}

impl From<RawActivity> for Activity {
    fn from(raw: RawActivity) -> Self {
        Self {
            id: raw.activity_id,
            description: raw.description,
            status: raw.status_code,
            message: xml::said(&raw.status_message),
            begun: xml::moment(&raw.start_time),
            progress: raw.progress.trim().parse().unwrap_or(0),
        }
    }
}

impl AutoScalingGroup {
    /// The group as it is now; `None` if there is none with this name.
    pub async fn describe(&self) -> Result<Option<Group>, Fault> {
        let parameters = [("AutoScalingGroupNames.member.1", &*self.name)];
        let body = self.service.form("DescribeAutoScalingGroups", &parameters).await?;
        let Groups { groups } = xml::result(&body)?;
        Ok(groups.members.into_iter().next().map(Group::from))
    }

    /// What it did last, newest first; at most `most`, of which the service gives a hundred.
    pub async fn activities(&self, most: u32) -> Result<Vec<Activity>, Fault> {
        let most = most.to_string();
        let parameters = [("AutoScalingGroupName", &*self.name), ("MaxRecords", &*most)];
        let body = self.service.form("DescribeScalingActivities", &parameters).await?;
        let Activities { activities } = xml::result(&body)?;
        Ok(activities.members.into_iter().map(Activity::from).collect())
    }

    /// Changes how many instances there are to be. Bounds that are not given stay.
    pub async fn resize(&self, min: Option<u32>, desired: u32, max: Option<u32>) -> Result<(), Fault> {
        let [min, max] = [min, max].map(|bound| bound.map(|bound| bound.to_string()));
        let desired = desired.to_string();
        let mut parameters = vec![("AutoScalingGroupName", &*self.name), ("DesiredCapacity", &*desired)];
        parameters.extend(min.as_deref().map(|min| ("MinSize", min)));
        parameters.extend(max.as_deref().map(|max| ("MaxSize", max)));
        self.service.form("UpdateAutoScalingGroup", &parameters).await.map(drop)
    }

    /// Takes an instance out of service, and out of the target groups, without ending it. `decrement` makes the group
    /// want one instance less; otherwise it starts another in its place. Asked once: a second time it would be refused.
    pub async fn enter_standby(&self, instance: &str, decrement: bool) -> Result<Vec<Activity>, Fault> {
        let decrement = if decrement { "true" } else { "false" };
        let parameters = [
            ("AutoScalingGroupName", &*self.name),
            ("InstanceIds.member.1", instance),
            ("ShouldDecrementDesiredCapacity", decrement),
        ];
        let body = self.service.form_once("EnterStandby", &parameters).await?;
        let Activities { activities } = xml::result(&body)?;
        Ok(activities.members.into_iter().map(Activity::from).collect())
    }

    /// Puts an instance in Standby back into service; the group wants one instance more then. Asked once, likewise.
    pub async fn exit_standby(&self, instance: &str) -> Result<Vec<Activity>, Fault> {
        let parameters = [("AutoScalingGroupName", &*self.name), ("InstanceIds.member.1", instance)];
        let body = self.service.form_once("ExitStandby", &parameters).await?;
        let Activities { activities } = xml::result(&body)?;
        Ok(activities.members.into_iter().map(Activity::from).collect())
    }

    /// The group as it is now, which there has to be.
    pub async fn existing(&self) -> Result<Group, Fault> {
        let absent = || {
            let Self { name, .. } = self;
            let said = format!("there is no Auto Scaling group {name} in this account and region");
            Fault::new(Kind::Refused, &said)
        };
        self.describe().await?.ok_or_else(absent)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: &str =
        "<DescribeAutoScalingGroupsResponse xmlns=\"http://autoscaling.amazonaws.com/doc/2011-01-01/\">
      <DescribeAutoScalingGroupsResult><AutoScalingGroups><member>
        <AutoScalingGroupName>compilation-asg</AutoScalingGroupName>
        <MinSize>2</MinSize><DesiredCapacity>3</DesiredCapacity><MaxSize>20</MaxSize>
        <SuspendedProcesses><member><ProcessName>Terminate</ProcessName></member></SuspendedProcesses>
        <Instances>
          <member><InstanceId>i-1</InstanceId><InstanceType>t4g.medium</InstanceType>
            <AvailabilityZone>us-east-1a</AvailabilityZone><LifecycleState>InService</LifecycleState>
            <HealthStatus>Healthy</HealthStatus><ProtectedFromScaleIn>true</ProtectedFromScaleIn></member>
          <member><InstanceId>i-2</InstanceId><AvailabilityZone>us-east-1b</AvailabilityZone>
            <LifecycleState>Pending:Wait</LifecycleState><HealthStatus>Unhealthy</HealthStatus></member>
        </Instances>
      </member></AutoScalingGroups></DescribeAutoScalingGroupsResult></DescribeAutoScalingGroupsResponse>";

    #[test]
    fn a_group_is_read_with_its_instances() {
        let Groups { groups } = xml::result(GROUP.as_bytes()).unwrap();
        let group = groups.members.into_iter().map(Group::from).next().unwrap();
        assert_eq!((group.min, group.desired, group.max), (2, 3, 20));
        assert_eq!(group.suspended, ["Terminate"]);
        let [first, second] = &group.members[..] else { panic!("{group:?}") };
        assert!(first.healthy && first.protected && first.kind == "t4g.medium");
        assert!(!second.healthy && !second.protected && second.lifecycle == "Pending:Wait");
    }

    proptest::proptest! {
        #[test]
        fn no_answer_is_too_odd(body: Vec<u8>, word in ".{0,40}", cut in 0..GROUP.len()) {
            let _read = (xml::result::<Groups>(&body).is_ok(), xml::result::<Activities>(&body).is_ok());
            let broken = [&GROUP.as_bytes()[..cut], word.as_bytes(), &GROUP.as_bytes()[cut..]].concat();
            let _read = xml::result::<Groups>(&broken).is_ok();
        }
    }
}
