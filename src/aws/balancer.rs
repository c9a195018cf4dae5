//! The load balancer: who is in a target group, how they are, and how a listener's rule shares requests.

mod rules;

use std::time::Duration;

use serde::Deserialize;

use crate::aws::clients::{Clients, Patience};
use crate::aws::fault::{Fault, Kind};
use crate::aws::signed::{Service, Signed};
use crate::aws::xml::{self, List};

pub use rules::{Forward, Rule, Share};

/// An operator waits for each verb, and all may be repeated.
const VERB: Patience = Patience { attempt: Duration::from_secs(5), attempts: 4 };

/// The way to the balancers of an account and region.
#[derive(Debug)]
pub struct Balancer {
    service: Signed,
}

/// A target group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetGroup {
    /// Its ARN.
    pub arn: String,
    /// Its name.
    pub name: String,
    /// The balancers that use it, by ARN.
    pub balancers: Vec<String>,
}

/// A target and how it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetHealth {
    /// The instance's id, or the function's ARN.
    pub id: String,
    /// `healthy`, `unhealthy`, `initial`, `draining`, `unused`, `unavailable`.
    pub state: String,
    /// Why, in a word of the service's.
    pub reason: Option<String>,
}

#[derive(Deserialize)]
struct Groups {
    #[serde(rename = "TargetGroups", default)]
    groups: List<RawGroup>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawGroup {
    target_group_arn: String,
    #[serde(default)]
    target_group_name: String,
    #[serde(default)]
    load_balancer_arns: List<String>,
}

#[derive(Deserialize)]
struct Healths {
    #[serde(rename = "TargetHealthDescriptions", default)]
    healths: List<RawHealth>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawHealth {
    target: RawTarget,
    target_health: RawState,
}

#[derive(Deserialize)]
struct RawTarget {
    #[serde(rename = "Id")]
    id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawState {
    #[serde(default)]
    state: String,
    #[serde(default)]
    reason: String,
}

impl From<RawGroup> for TargetGroup {
    fn from(raw: RawGroup) -> Self {
        Self {
            arn: raw.target_group_arn,
            name: raw.target_group_name,
            balancers: raw.load_balancer_arns.members,
        }
    }
}

impl From<RawHealth> for TargetHealth {
    fn from(raw: RawHealth) -> Self {
        let RawState { state, reason } = raw.target_health;
        Self { id: raw.target.id, state, reason: xml::said(&reason) }
    }
}

impl TargetGroup {
    /// How metrics name it: the last part of its ARN, `targetgroup/NAME/ID`.
    pub fn dimension(&self) -> &str {
        self.arn.rsplit(':').next().unwrap_or(&self.arn)
    }
}

impl Balancer {
    /// The way to the balancers. Asks nothing yet; an error means that there can be no TLS here.
    pub fn new(clients: &Clients) -> Result<Self, Fault> {
        Ok(Self { service: Signed::new(clients, Service::Balancing, VERB)? })
    }

    /// The target group with this name or ARN; `None` if there is none.
    pub async fn target_group(&self, group: &str) -> Result<Option<TargetGroup>, Fault> {
        let by = if group.starts_with("arn:") { "TargetGroupArns.member.1" } else { "Names.member.1" };
        let body = match self.service.form("DescribeTargetGroups", &[(by, group)]).await {
            Err(fault) if is_absent(&fault) => return Ok(None),
            other => other?,
        };
        let Groups { groups } = xml::result(&body)?;
        Ok(groups.members.into_iter().next().map(TargetGroup::from))
    }

    /// The target group with this name or ARN, which there has to be.
    pub async fn existing(&self, group: &str) -> Result<TargetGroup, Fault> {
        let absent = || {
            let said = format!("there is no target group {group} in this account and region");
            Fault::new(Kind::Refused, &said)
        };
        self.target_group(group).await?.ok_or_else(absent)
    }

    /// Every target of a group and how it is. One that was taken out is told of while it drains.
    pub async fn health(&self, group: &TargetGroup) -> Result<Vec<TargetHealth>, Fault> {
        let body = self.service.form("DescribeTargetHealth", &[("TargetGroupArn", &group.arn)]).await?;
        let Healths { healths } = xml::result(&body)?;
        Ok(healths.members.into_iter().map(TargetHealth::from).collect())
    }
}

/// Whether the service says that there is no such thing.
fn is_absent(fault: &Fault) -> bool {
    fault.code.as_deref().is_some_and(|code| code.trim_end_matches("Exception").ends_with("NotFound"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read_with_their_reasons() {
        let body = b"<R><DescribeTargetHealthResult><TargetHealthDescriptions>
          <member><HealthCheckPort>10240</HealthCheckPort><Target><Id>i-1</Id><Port>10240</Port></Target>
            <TargetHealth><State>healthy</State></TargetHealth></member>
          <member><Target><Id>i-2</Id></Target><TargetHealth><State>draining</State>
            <Reason>Target.DeregistrationInProgress</Reason><Description>x</Description></TargetHealth></member>
          </TargetHealthDescriptions></DescribeTargetHealthResult></R>";
        let Healths { healths } = xml::result(body).unwrap();
        let healths: Vec<TargetHealth> = healths.members.into_iter().map(TargetHealth::from).collect();
        assert_eq!((healths[0].state.as_str(), &healths[0].reason), ("healthy", &None));
        assert_eq!(healths[1].reason.as_deref(), Some("Target.DeregistrationInProgress"));
    }

    #[test]
    fn metrics_name_a_group_by_the_end_of_its_arn() {
        let arn =
            "arn:aws:elasticloadbalancing:us-east-1:1:targetgroup/compilation-instances/6d0ecf831eec9f09";
        let group = TargetGroup { arn: arn.to_owned(), name: String::new(), balancers: Vec::new() };
        assert_eq!(group.dimension(), "targetgroup/compilation-instances/6d0ecf831eec9f09");
    }

    proptest::proptest! {
        #[test]
        fn no_answer_is_too_odd(body: Vec<u8>) {
            let _read = (xml::result::<Groups>(&body).is_ok(), xml::result::<Healths>(&body).is_ok());
        }
    }
}
