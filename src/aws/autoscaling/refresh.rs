//! Instance refreshes: a group replaces its instances a few at a time.

use serde::Deserialize;

use crate::aws::fault::{Fault, Kind};
use crate::aws::xml::{self, List};

use super::AutoScalingGroup;

/// How a refresh is to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pace {
    /// Of the wanted capacity, how many hundredths must stay healthy all the time; if not given, what the group's
    /// maintenance policy says, or 90.
    pub min_healthy: Option<u8>,
    /// Seconds until a new instance counts; the group's own warm-up, if not given.
    pub warm_up: Option<u32>,
    /// Hundredths at which it pauses, ascending; ends with 100.
    pub checkpoints: Vec<u8>,
    /// Seconds of each pause.
    pub pause: Option<u32>,
    /// Leave instances alone that are what they should be.
    pub skip_matching: bool,
}

/// A refresh as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refresh {
    /// Its id.
    pub id: String,
    /// Such as `InProgress`, `Successful`, `RollbackInProgress`.
    pub status: String,
    /// Why it is so.
    pub reason: Option<String>,
    /// In hundredths.
    pub percent: u8,
    /// Instances that are still to be replaced.
    pub left: u32,
}

impl Refresh {
    /// Whether it goes on.
    pub fn is_under_way(&self) -> bool {
        let over = ["Successful", "Failed", "Cancelled", "RollbackSuccessful", "RollbackFailed"];
        !over.contains(&self.status.as_str())
    }

    /// Whether it has done what was asked.
    pub fn has_succeeded(&self) -> bool {
        self.status == "Successful"
    }

    /// Whether it was stopped, or is being stopped.
    pub fn is_called_off(&self) -> bool {
        self.status.starts_with("Cancel")
    }
}

#[derive(Deserialize)]
struct Refreshes {
    #[serde(rename = "InstanceRefreshes", default)]
    refreshes: List<RawRefresh>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawRefresh {
    #[serde(default)]
    instance_refresh_id: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    status_reason: String,
    #[serde(default)]
    percentage_complete: String,
    #[serde(default)]
    instances_to_update: String,
}

#[derive(Deserialize)]
struct Begun {
    #[serde(rename = "InstanceRefreshId", default)]
    id: String,
}

impl From<RawRefresh> for Refresh {
    fn from(raw: RawRefresh) -> Self {
        Self {
            id: raw.instance_refresh_id,
            status: raw.status,
            reason: xml::said(&raw.status_reason),
            percent: raw.percentage_complete.trim().parse().unwrap_or(0),
            left: raw.instances_to_update.trim().parse().unwrap_or(0),
        }
    }
}

impl Pace {
    /// As the parameters of the call that begins a refresh.
    fn parameters(&self) -> Vec<(String, String)> {
        let preference =
            |name: &str, value: &dyn ToString| (format!("Preferences.{name}"), value.to_string());
        let mut all = vec![
            preference("SkipMatching", &self.skip_matching),
            // What an operator has set aside stays as it is; by default a refresh would wait an hour for it, and fail.
            preference("StandbyInstances", &"Ignore"),
            // Likewise for one that is never idle, and so always protected. Its drain makes its end safe.
            preference("ScaleInProtectedInstances", &"Refresh"),
        ];
        all.extend(self.min_healthy.map(|percent| preference("MinHealthyPercentage", &percent)));
        all.extend(self.warm_up.map(|seconds| preference("InstanceWarmup", &seconds)));
        all.extend(self.pause.map(|seconds| preference("CheckpointDelay", &seconds)));
        let numbered = self.checkpoints.iter().zip(1..);
        all.extend(numbered.map(|(percent, number): (_, u32)| {
            preference(&format!("CheckpointPercentages.member.{number}"), percent)
        }));
        all
    }
}

impl AutoScalingGroup {
    /// Begins to replace every instance; answers with the refresh's id. Asked once: where the first call was carried out
    /// and is over, a second would begin another. Nothing is said of what the instances are to become, so it is what the
    /// group has them be already.
    pub async fn refresh(&self, pace: &Pace) -> Result<String, Fault> {
        let pace = pace.parameters();
        let mut parameters = vec![("AutoScalingGroupName", &*self.name), ("Strategy", "Rolling")];
        parameters.extend(pace.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let body = self.service.form_once("StartInstanceRefresh", &parameters).await?;
        let Begun { id } = xml::result(&body)?;
        xml::said(&id).ok_or_else(|| Fault::new(Kind::Garbled, "the refresh that has begun has no id"))
    }

    /// The refreshes of the last six weeks, newest first; at most `most`.
    pub async fn refreshes(&self, most: u32) -> Result<Vec<Refresh>, Fault> {
        let most = most.to_string();
        let parameters = [("AutoScalingGroupName", &*self.name), ("MaxRecords", &*most)];
        let body = self.service.form("DescribeInstanceRefreshes", &parameters).await?;
        let Refreshes { refreshes } = xml::result(&body)?;
        Ok(refreshes.members.into_iter().map(Refresh::from).collect())
    }

    /// Stops the refresh under way; what is replaced stays replaced. Asked once: what is stopped is not under way.
    pub async fn cancel_refresh(&self) -> Result<(), Fault> {
        let parameters = [("AutoScalingGroupName", &*self.name)];
        self.service.form_once("CancelInstanceRefresh", &parameters).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(pace: &Pace) -> Vec<String> {
        pace.parameters().into_iter().map(|(name, value)| format!("{name}={value}")).collect()
    }

    #[test]
    fn a_pace_is_said_as_far_as_it_was_given() {
        let usual = Pace {
            min_healthy: None,
            warm_up: None,
            checkpoints: Vec::new(),
            pause: None,
            skip_matching: true,
        };
        assert_eq!(
            said(&usual),
            [
                "Preferences.SkipMatching=true",
                "Preferences.StandbyInstances=Ignore",
                "Preferences.ScaleInProtectedInstances=Refresh",
            ]
        );
        let full = Pace {
            min_healthy: Some(90),
            warm_up: Some(120),
            checkpoints: vec![10, 100],
            pause: Some(600),
            skip_matching: false,
        };
        assert_eq!(
            said(&full),
            [
                "Preferences.SkipMatching=false",
                "Preferences.StandbyInstances=Ignore",
                "Preferences.ScaleInProtectedInstances=Refresh",
                "Preferences.MinHealthyPercentage=90",
                "Preferences.InstanceWarmup=120",
                "Preferences.CheckpointDelay=600",
                "Preferences.CheckpointPercentages.member.1=10",
                "Preferences.CheckpointPercentages.member.2=100",
            ]
        );
    }

    proptest::proptest! {
        #[test]
        fn no_answer_is_too_odd(body: Vec<u8>) {
            let _read = (xml::result::<Refreshes>(&body).is_ok(), xml::result::<Begun>(&body).is_ok());
        }
    }
}
