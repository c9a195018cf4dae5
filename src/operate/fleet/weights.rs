//! Moving traffic between what served before and the fleet, by the weights of one rule of the balancer.

use jiff::Timestamp;

use crate::aws::{
    Balancer, Clients, Fault, Figures, Forward, Metric, Rule, RuleAddress, Share, Span, Statistics,
    TargetGroup,
};
use crate::operate::{Call, Trouble};

/// Requests that either side must have answered before anything is said of it.
pub const ENOUGH: f64 = 100.0;

/// Which rule, and between whom it shares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sides {
    /// The rule.
    pub rule: RuleAddress,
    /// Name of the fleet's target group.
    pub new: String,
    /// Name or ARN of the other; the one that the rule names, if not given.
    pub old: Option<String>,
}

/// The scales.
#[derive(Debug)]
pub struct Scales {
    balancer: Balancer,
    statistics: Statistics,
    region: String,
    sides: Sides,
}

/// What lies on them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weighed {
    /// The rule.
    pub rule: Rule,
    /// How it shares now.
    pub forward: Forward,
    /// The fleet's target group.
    pub new: TargetGroup,
    /// The other's ARN; none if the rule knows none and none is configured.
    pub old: Option<String>,
    /// Hundredths of the requests that go to the fleet.
    pub percent: u8,
    /// Targets of the fleet that are healthy, of how many.
    pub healthy: (usize, usize),
}

/// How one side does.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Doing {
    /// Requests.
    pub requests: f64,
    /// Of these, answered with a 5xx.
    pub errors: f64,
    /// Seconds within which nineteen of twenty were answered, in the worst minute.
    pub p95: Option<f64>,
}

/// How much worse the fleet may do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Hundredths of requests that may fail beyond those of the other side.
    pub errors: f64,
    /// How many times as long as the other side it may take.
    pub latency: f64,
}

/// What the figures say.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// There are too few of them.
    TooFew,
    /// The fleet does as well as it has to.
    Well,
    /// It does not, and how.
    Worse(String),
}

impl Doing {
    fn error_percent(self) -> f64 {
        if self.requests > 0.0 { 100.0 * self.errors / self.requests } else { 0.0 }
    }
}

/// What the figures of both sides say.
pub fn judge(old: Doing, new: Doing, limits: Limits) -> Verdict {
    if new.requests < ENOUGH {
        return Verdict::TooFew;
    }
    let compared = old.requests >= ENOUGH;
    let (before, after) = (if compared { old.error_percent() } else { 0.0 }, new.error_percent());
    if after > before + limits.errors {
        return Verdict::Worse(format!(
            "{after:.2} % of its requests fail, against {before:.2} % + {:.2} % allowed",
            limits.errors
        ));
    }
    match (old.p95.filter(|_| compared), new.p95) {
        (Some(before), Some(after)) if after > before * limits.latency => Verdict::Worse(format!(
            "its p95 is {after:.3} s, against {before:.3} s x {:.2} allowed",
            limits.latency
        )),
        _ => Verdict::Well,
    }
}

/// Why `percent` is not to be set, if it is not.
pub fn objection(weighed: &Weighed, percent: u8, most: u8) -> Option<String> {
    let Weighed { percent: now, healthy: (healthy, targets), new, .. } = weighed;
    if percent > *now && *healthy == 0 {
        let name = &new.name;
        return Some(format!("none of the {targets} targets of {name} is healthy: nobody would answer"));
    }
    let step = percent.saturating_sub(*now);
    (step > most).then(|| {
        format!(
            "from {now} % to {percent} % is a step of {step}, and {most} is the most without --force: \
             go to {} % first",
            now + most
        )
    })
}

impl Weighed {
    /// How the rule is to share with this many hundredths to the fleet. All else stays.
    pub fn with(&self, percent: u8) -> Result<Forward, String> {
        let Some(old) = &self.old else {
            return Err(
                "the rule names no other target group: say which with --fleet-old-target-group".to_owned()
            );
        };
        let shares = vec![
            Share { group: old.clone(), weight: u32::from(100 - percent) },
            Share { group: self.new.arn.clone(), weight: u32::from(percent) },
        ];
        Ok(Forward { shares, sticky: self.forward.sticky })
    }
}

/// Hundredths of the requests that go to `group`.
fn percent_of(forward: &Forward, group: &str) -> u8 {
    let weight = |share: &Share| u64::from(share.weight);
    let all: u64 = forward.shares.iter().map(weight).sum();
    let own: u64 = forward.shares.iter().filter(|share| share.group == group).map(weight).sum();
    u8::try_from((100 * own + all / 2).checked_div(all).unwrap_or(0)).unwrap_or(100)
}

/// How figures name the balancer of a listener: `app/NAME/ID`.
fn balancer_of(listener: &str) -> Option<String> {
    let path = listener.rsplit_once(":listener/")?.1;
    let parts: Vec<&str> = path.split('/').collect();
    (parts.len() == 4).then(|| parts[..3].join("/"))
}

impl Scales {
    /// Asks nothing yet; an error means that there can be no TLS here.
    pub fn new(clients: &Clients, sides: Sides) -> Result<Self, Fault> {
        Ok(Self {
            balancer: Balancer::new(clients)?,
            statistics: Statistics::new(clients)?,
            region: clients.region().to_owned(),
            sides,
        })
    }

    /// What lies on them now.
    pub async fn weigh(&self) -> anyhow::Result<Weighed> {
        let RuleAddress { listener, priority } = &self.sides.rule;
        let rule = self.balancer.rule(&self.sides.rule).await;
        let rule = rule.map_err(|fault| {
            let thing = format!("listener {listener}");
            let action = "elasticloadbalancing:DescribeRules";
            self.trouble("read the rules of", &thing, action, "fleet.listener", fault)
        })?;
        let Some(rule) = rule else {
            anyhow::bail!(
                "listener {listener} has no rule of priority {priority}\n\
                 fix: name the one that has the compile paths with --fleet-rule-priority (fleet.rule_priority)"
            );
        };
        let Some(forward) = rule.forward.clone() else {
            anyhow::bail!(
                "the rule of priority {priority} does more than forward requests: change it where it is made"
            );
        };
        let new = self.group(&self.sides.new, "fleet.target_group").await?;
        let other = forward.shares.iter().map(|share| &share.group).find(|&group| *group != new.arn);
        let old = match (&self.sides.old, other) {
            (Some(name), _) => Some(self.group(name, "fleet.old_target_group").await?.arn),
            (None, other) => other.cloned(),
        };
        if let Some(third) =
            forward.shares.iter().find(|share| share.group != new.arn && Some(&share.group) != old.as_ref())
        {
            anyhow::bail!("the rule also forwards to {}, which is neither side", third.group);
        }
        let health = self.balancer.health(&new).await.map_err(|fault| {
            let thing = format!("target group {}", new.name);
            let action = "elasticloadbalancing:DescribeTargetHealth";
            self.trouble("read the health of", &thing, action, "fleet.target_group", fault)
        })?;
        let healthy = health.iter().filter(|target| target.state == "healthy").count();
        let percent = percent_of(&forward, &new.arn);
        Ok(Weighed { rule, percent, forward, new, old, healthy: (healthy, health.len()) })
    }

    /// Makes the rule share so.
    pub async fn set(&self, rule: &Rule, forward: &Forward) -> Result<(), Trouble> {
        self.balancer.share(rule, forward).await.map_err(|fault| {
            let RuleAddress { listener, priority } = &self.sides.rule;
            let thing = format!("rule {priority} of listener {listener}");
            self.trouble("change", &thing, "elasticloadbalancing:ModifyRule", "fleet.listener", fault)
        })
    }

    /// How both sides did in this time, the old one first.
    pub async fn doing(
        &self,
        weighed: &Weighed,
        from: Timestamp,
        to: Timestamp,
    ) -> anyhow::Result<[Doing; 2]> {
        let listener = &self.sides.rule.listener;
        let Some(balancer) = balancer_of(listener) else {
            anyhow::bail!("{listener} is no ARN of a listener of an application load balancer");
        };
        let groups = [weighed.old.clone().unwrap_or_default(), weighed.new.arn.clone()];
        let metric = |group: &String, name, statistic| {
            let group = group.rsplit(':').next().unwrap_or(group);
            let dimensions = [("LoadBalancer", &*balancer), ("TargetGroup", group)];
            Metric::new("AWS/ApplicationELB", name, &dimensions, statistic)
        };
        let of = |group: &String| {
            [
                metric(group, "RequestCount", "Sum"),
                metric(group, "HTTPCode_Target_5XX_Count", "Sum"),
                metric(group, "TargetResponseTime", "p95"),
            ]
        };
        let metrics: Vec<Metric> = groups.iter().flat_map(of).collect();
        let read = self.statistics.read(&metrics, Span { from, to, period: 60 }).await;
        let read = read.map_err(|fault| {
            self.trouble(
                "read the figures of",
                "both target groups",
                "cloudwatch:GetMetricData",
                "fleet.listener",
                fault,
            )
        })?;
        let doing = |figures: &[Figures]| Doing {
            requests: figures.first().map_or(0.0, Figures::sum),
            errors: figures.get(1).map_or(0.0, Figures::sum),
            p95: figures.get(2).and_then(Figures::largest),
        };
        let (old, new) = read.split_at(read.len() / 2);
        Ok([doing(old), doing(new)])
    }

    async fn group(&self, name: &str, key: &'static str) -> Result<TargetGroup, Trouble> {
        self.balancer.existing(name).await.map_err(|fault| {
            let thing = format!("target group {name}");
            self.trouble("find", &thing, "elasticloadbalancing:DescribeTargetGroups", key, fault)
        })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn weighed(old: u32, new: u32, healthy: usize) -> Weighed {
        let share = |group: &str, weight| Share { group: group.to_owned(), weight };
        let forward = Forward { shares: vec![share("old", old), share("new", new)], sticky: Some(60) };
        Weighed {
            rule: Rule { arn: "rule".to_owned(), forward: Some(forward.clone()), paths: Vec::new() },
            percent: percent_of(&forward, "new"),
            forward,
            new: TargetGroup { arn: "new".to_owned(), name: "fleet".to_owned(), balancers: Vec::new() },
            old: Some("old".to_owned()),
            healthy: (healthy, 3),
        }
    }

    #[test]
    fn weights_are_hundredths_whatever_their_scale() {
        for (old, new, percent) in
            [(100, 0, 0), (0, 100, 100), (999, 1, 0), (3, 1, 25), (0, 0, 0), (1, 2, 67)]
        {
            assert_eq!(weighed(old, new, 1).percent, percent, "{old} {new}");
        }
        let changed = weighed(90, 10, 1).with(50).unwrap();
        assert_eq!(changed.sticky, Some(60));
        assert_eq!(changed.shares.iter().map(|share| share.weight).collect::<Vec<_>>(), [50, 50]);
        assert!(Weighed { old: None, ..weighed(0, 1, 1) }.with(50).unwrap_err().contains("old-target-group"));
    }

    #[test]
    fn steps_up_are_bounded_and_steps_down_are_not() {
        for (now, to, healthy, objected) in [
            (10, 50, 1, None),
            (10, 51, 1, Some("go to 50 % first")),
            (10, 20, 0, Some("none of the 3 targets of fleet is healthy")),
            (100, 0, 0, None),
            (50, 50, 0, None),
        ] {
            let told = objection(&weighed(100 - now, now, healthy), u8::try_from(to).unwrap(), 40);
            match objected {
                None => assert_eq!(told, None),
                Some(words) => assert!(told.as_ref().is_some_and(|told| told.contains(words)), "{told:?}"),
            }
        }
    }

    #[test]
    fn the_new_side_is_measured_by_the_old() {
        let doing = |requests, errors, p95| Doing { requests, errors, p95 };
        let limits = Limits { errors: 0.1, latency: 1.5 };
        let fine = doing(1000.0, 1.0, Some(0.5));
        for (old, new, worse) in [
            (fine, doing(99.0, 99.0, None), None),
            (fine, fine, Some("")),
            (fine, doing(1000.0, 3.0, Some(0.5)), Some("fail")),
            (fine, doing(1000.0, 2.0, Some(0.5)), Some("")),
            (fine, doing(1000.0, 0.0, Some(0.76)), Some("p95")),
            (fine, doing(1000.0, 0.0, None), Some("")),
            (doing(10.0, 10.0, Some(9.0)), doing(1000.0, 2.0, Some(0.1)), Some("fail")),
            (doing(10.0, 0.0, Some(0.1)), doing(1000.0, 0.0, Some(9.0)), Some("")),
        ] {
            match (judge(old, new, limits), worse) {
                (Verdict::TooFew, None) | (Verdict::Well, Some("")) => {}
                (Verdict::Worse(why), Some(word)) if !word.is_empty() && why.contains(word) => {}
                (verdict, _) => panic!("{new:?}: {verdict:?}"),
            }
        }
    }

    #[test]
    fn figures_name_the_balancer_of_a_listener() {
        let arn =
            "arn:aws:elasticloadbalancing:us-east-1:1:listener/app/main/50dc6c495c0c9188/f2f7dc8efc522ab2";
        assert_eq!(balancer_of(arn).as_deref(), Some("app/main/50dc6c495c0c9188"));
        for odd in ["", "arn", "arn:x:listener/app", "arn:x:listener/app/a/b/c/d"] {
            assert_eq!(balancer_of(odd), None, "{odd}");
        }
    }
}
