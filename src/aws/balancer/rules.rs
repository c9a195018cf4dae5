//! A listener's rules, and how they share requests among target groups.

use serde::Deserialize;

use crate::aws::fault::{Fault, Kind};
use crate::aws::xml::{self, List};

use super::Balancer;

/// Pages of a listener's rules that are read; a page has up to 400, and a listener by default at most 100.
const MOST_PAGES: usize = 8;

/// A rule of a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its ARN.
    pub arn: String,
    /// Its priority, which is its own within the listener; the default rule has none.
    pub priority: Option<u64>,
    /// What it does with requests, if that is to forward them and nothing else.
    pub forward: Option<Forward>,
    /// Every target group that it names, whatever else it does.
    pub groups: Vec<String>,
    /// The paths that it is for, as far as it goes by paths.
    pub paths: Vec<String>,
}

/// Requests are shared among target groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forward {
    /// By whom and how much.
    pub shares: Vec<Share>,
    /// Seconds that a client stays with the target group it came to first, if it does.
    pub sticky: Option<u32>,
}

/// One target group's share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// The target group's ARN.
    pub group: String,
    /// Its weight, 0 to 999, which counts in relation to the others'.
    pub weight: u32,
}

#[derive(Deserialize)]
struct Rules {
    #[serde(rename = "Rules", default)]
    rules: List<RawRule>,
    #[serde(rename = "NextMarker", default)]
    next: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawRule {
    rule_arn: String,
    #[serde(default)]
    priority: String,
    #[serde(default)]
    actions: List<RawAction>,
    #[serde(default)]
    conditions: List<RawCondition>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawAction {
    #[serde(default)]
    r#type: String,
    #[serde(default)]
    target_group_arn: String,
    forward_config: Option<RawForward>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawForward {
    #[serde(default)]
    target_groups: List<RawShare>,
    target_group_stickiness_config: Option<RawStickiness>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawShare {
    target_group_arn: String,
    #[serde(default)]
    weight: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawStickiness {
    #[serde(default)]
    enabled: String,
    #[serde(default)]
    duration_seconds: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawCondition {
    #[serde(default)]
    field: String,
    #[serde(default)]
    values: List<String>,
    path_pattern_config: Option<RawPaths>,
}

#[derive(Deserialize)]
struct RawPaths {
    #[serde(rename = "Values", default)]
    values: List<String>,
}

impl From<RawRule> for Rule {
    fn from(raw: RawRule) -> Self {
        let paths = raw.conditions.members.into_iter().filter(|condition| condition.field == "path-pattern");
        let paths = paths.flat_map(|condition| {
            let own = condition.path_pattern_config.map(|paths| paths.values.members);
            own.filter(|own| !own.is_empty()).unwrap_or(condition.values.members)
        });
        Self {
            arn: raw.rule_arn,
            priority: raw.priority.trim().parse().ok(),
            paths: paths.collect(),
            groups: raw.actions.members.iter().flat_map(groups).collect(),
            forward: forward(raw.actions.members),
        }
    }
}

/// The target groups that an action names.
fn groups(action: &RawAction) -> Vec<String> {
    let shares = action.forward_config.iter().flat_map(|config| &config.target_groups.members);
    let shares: Vec<String> = shares.map(|share| share.target_group_arn.clone()).collect();
    if shares.is_empty() { xml::said(&action.target_group_arn).into_iter().collect() } else { shares }
}

/// The sharing that these actions are, if they are nothing else.
fn forward(actions: Vec<RawAction>) -> Option<Forward> {
    let [action] = <[RawAction; 1]>::try_from(actions).ok()?;
    if action.r#type != "forward" {
        return None;
    }
    let Some(config) = action.forward_config.filter(|config| !config.target_groups.members.is_empty()) else {
        let group = xml::said(&action.target_group_arn)?;
        return Some(Forward { shares: vec![Share { group, weight: 1 }], sticky: None });
    };
    let share = |raw: RawShare| {
        // A single group may come without a weight.
        Share { group: raw.target_group_arn, weight: raw.weight.trim().parse().unwrap_or(1) }
    };
    let sticky = config.target_group_stickiness_config.filter(|sticky| sticky.enabled == "true");
    Some(Forward {
        shares: config.target_groups.members.into_iter().map(share).collect(),
        sticky: sticky.and_then(|sticky| sticky.duration_seconds.trim().parse().ok()),
    })
}

impl Forward {
    /// As the one action of a rule.
    fn parameters(&self) -> Vec<(String, String)> {
        const CONFIG: &str = "Actions.member.1.ForwardConfig";
        let mut all = vec![("Actions.member.1.Type".to_owned(), "forward".to_owned())];
        for (share, number) in self.shares.iter().zip(1..) {
            let _: u32 = number;
            let group = format!("{CONFIG}.TargetGroups.member.{number}");
            all.push((format!("{group}.TargetGroupArn"), share.group.clone()));
            all.push((format!("{group}.Weight"), share.weight.to_string()));
        }
        let sticky = format!("{CONFIG}.TargetGroupStickinessConfig");
        all.push((format!("{sticky}.Enabled"), self.sticky.is_some().to_string()));
        all.extend(self.sticky.map(|seconds| (format!("{sticky}.DurationSeconds"), seconds.to_string())));
        all
    }
}

impl Balancer {
    /// Every rule of a listener, in the order in which they are asked.
    pub async fn rules(&self, listener: &str) -> Result<Vec<Rule>, Fault> {
        let (mut all, mut marker) = (Vec::new(), String::new());
        for _ in 0..MOST_PAGES {
            let mut parameters = vec![("ListenerArn", listener)];
            if !marker.is_empty() {
                parameters.push(("Marker", &marker));
            }
            let body = self.service.form("DescribeRules", &parameters).await?;
            let Rules { rules, next } = xml::result(&body)?;
            all.extend(rules.members.into_iter().map(Rule::from));
            if next.is_empty() {
                all.sort_by_key(|rule| (rule.priority.is_none(), rule.priority));
                return Ok(all);
            }
            marker = next;
        }
        Err(Fault::new(Kind::Garbled, "the listener's rules have no end"))
    }

    /// Makes a rule share requests so. What it is for stays as it is.
    pub async fn share(&self, rule: &Rule, forward: &Forward) -> Result<(), Fault> {
        let actions = forward.parameters();
        let mut parameters = vec![("RuleArn", &*rule.arn)];
        parameters.extend(actions.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        self.service.form("ModifyRule", &parameters).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(actions: &str) -> Rule {
        let body = format!(
            "<R><DescribeRulesResult><Rules><member><RuleArn>arn:rule</RuleArn><Priority>70</Priority>\
             <Conditions><member><Field>path-pattern</Field><Values><member>/a</member></Values>\
             <PathPatternConfig><Values><member>/a</member></Values></PathPatternConfig></member></Conditions>\
             <Actions>{actions}</Actions></member></Rules></DescribeRulesResult></R>"
        );
        let Rules { rules, .. } = xml::result(body.as_bytes()).unwrap();
        rules.members.into_iter().map(Rule::from).next().unwrap()
    }

    #[test]
    fn shares_are_read_in_both_forms() {
        let share = |group: &str, weight| Share { group: group.to_owned(), weight };
        let weighted = "<member><Type>forward</Type><Order>1</Order><ForwardConfig><TargetGroups>\
            <member><TargetGroupArn>old</TargetGroupArn><Weight>90</Weight></member>\
            <member><TargetGroupArn>new</TargetGroupArn><Weight>10</Weight></member></TargetGroups>\
            <TargetGroupStickinessConfig><Enabled>true</Enabled><DurationSeconds>60</DurationSeconds>\
            </TargetGroupStickinessConfig></ForwardConfig></member>";
        let plain = "<member><Type>forward</Type><TargetGroupArn>old</TargetGroupArn></member>";
        let fixed = "<member><Type>fixed-response</Type></member>";
        for (actions, expected) in [
            (
                weighted.to_owned(),
                Some(Forward { shares: vec![share("old", 90), share("new", 10)], sticky: Some(60) }),
            ),
            (plain.to_owned(), Some(Forward { shares: vec![share("old", 1)], sticky: None })),
            (fixed.to_owned(), None),
            (format!("<member><Type>authenticate-oidc</Type></member>{plain}"), None),
        ] {
            let rule = rule(&actions);
            assert_eq!(rule.forward, expected, "{actions}");
            assert_eq!((rule.priority, &*rule.paths), (Some(70), &["/a".to_owned()][..]));
        }
        let twofold = rule(&format!("<member><Type>authenticate-oidc</Type></member>{plain}"));
        assert_eq!(
            (twofold.groups, rule(weighted).groups),
            (vec!["old".into()], vec!["old".into(), "new".into()])
        );
        assert_eq!(rule(fixed).groups, [""; 0]);
    }

    #[test]
    fn shares_are_said_in_full() {
        let share = |group: &str, weight| Share { group: group.to_owned(), weight };
        let forward = Forward { shares: vec![share("old", 50), share("new", 50)], sticky: Some(60) };
        let said: Vec<String> =
            forward.parameters().into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        let at = "Actions.member.1.ForwardConfig";
        assert_eq!(
            said,
            [
                "Actions.member.1.Type=forward".to_owned(),
                format!("{at}.TargetGroups.member.1.TargetGroupArn=old"),
                format!("{at}.TargetGroups.member.1.Weight=50"),
                format!("{at}.TargetGroups.member.2.TargetGroupArn=new"),
                format!("{at}.TargetGroups.member.2.Weight=50"),
                format!("{at}.TargetGroupStickinessConfig.Enabled=true"),
                format!("{at}.TargetGroupStickinessConfig.DurationSeconds=60"),
            ]
        );
    }

    proptest::proptest! {
        #[test]
        fn no_answer_is_too_odd(body: Vec<u8>) {
            let _read = xml::result::<Rules>(&body).is_ok();
        }
    }
}
