//! Moving traffic between what served before and the fleet, by the weights of the balancer's rules.
//!
//! A listener has several rules of the fleet where its paths do not fit into one. All that share between both sides are
//! moved together; whatever else leads to the fleet is named, and left as it is.

use jiff::{SignedDuration, Timestamp};

use crate::aws::{
    Balancer, Clients, Fault, Figures, Forward, Metric, Rule, Share, Span, Statistics, TargetGroup,
};
use crate::operate::fleet::verdict::{Counts, Doing};
use crate::operate::{Call, Trouble};

/// Longest period that `CloudWatch` makes one figure of, in seconds.
const LONGEST_PERIOD: u32 = 86_400;
/// Age of a minute's beginning from which its counts are taken for whole. Those of one minute come up to two minutes after
/// its end, and not all at once: what has been asked and not answered cannot be told from them before.
const SETTLED: SignedDuration = SignedDuration::from_mins(3);

/// What is counted of a target group, each as CloudWatch calls it, in the order of [`Counts`].
///
/// `RequestCount` has every request that a target was chosen for, whether that target took the connection or not, so that
/// `TargetConnectionErrorCount` would count some twice.
const COUNTED: [&str; 5] = [
    "RequestCount",
    "HTTPCode_Target_2XX_Count",
    "HTTPCode_Target_3XX_Count",
    "HTTPCode_Target_4XX_Count",
    "HTTPCode_Target_5XX_Count",
];
/// What the balancer answered with a 5xx by itself. It does not say for which target group.
const OF_THE_BALANCER: &str = "HTTPCode_ELB_5XX_Count";

/// Where the rules are, and between whom they share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sides {
    /// The listener's ARN.
    pub listener: String,
    /// Priority of the rule that is taken over by force where none names the fleet.
    pub priority: u64,
    /// Name of the fleet's target group.
    pub new: String,
    /// Name or ARN of the other; the one that the rules name, if not given.
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
    /// The rules that are moved, in the order in which they are asked.
    pub parts: Vec<Part>,
    /// The rules that lead to the fleet and are not moved.
    pub left: Vec<Left>,
    /// The fleet's target group.
    pub new: TargetGroup,
    /// The other's ARN; none if no rule names one and none is configured.
    pub old: Option<String>,
    /// Targets of the fleet that are healthy, of how many; or why that is not known.
    pub health: Result<(usize, usize), Trouble>,
}

/// A rule that is moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The rule.
    pub rule: Rule,
    /// How it shares now.
    pub forward: Forward,
    /// Hundredths of its requests that go to the fleet.
    pub percent: u8,
}

/// A rule that leads to the fleet and is not moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// What it is called: `rule 70`.
    pub name: String,
    /// Why not.
    pub why: String,
}

/// A rule, how it shares, and how it is to share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The rule.
    pub rule: Rule,
    /// How it shares before.
    pub from: Forward,
    /// How it shares afterwards.
    pub to: Forward,
}

/// What a rule is called in messages.
pub fn name(rule: &Rule) -> String {
    rule.priority.map_or_else(|| "the default rule".to_owned(), |priority| format!("rule {priority}"))
}

/// Why `percent` is not to be set, if it is not.
pub fn objection(weighed: &Weighed, percent: u8, most: u8) -> Option<String> {
    let Weighed { health, new: TargetGroup { name: fleet, .. }, left, .. } = weighed;
    let (lowest, _) = weighed.percents();
    if percent <= lowest {
        return None;
    }
    match health {
        Ok((0, targets)) => {
            return Some(format!("none of the {targets} targets of {fleet} is healthy: nobody would answer"));
        }
        Ok(_) => {}
        Err(trouble) => return Some(format!("whether anybody would answer is not known: {trouble}")),
    }
    if let Some(Left { name, why }) = left.first() {
        return Some(format!("{name} leads to the fleet too, and would not be moved: {why}"));
    }
    let step = percent - lowest;
    (step > most).then(|| {
        format!(
            "from {lowest} % to {percent} % is a step of {step}, and {most} is the most without --force: \
             go to {} % first",
            lowest + most
        )
    })
}

impl Weighed {
    /// The smallest and the largest share that the fleet has of a rule.
    pub fn percents(&self) -> (u8, u8) {
        let all = self.parts.iter().map(|part| part.percent);
        (all.clone().min().unwrap_or(0), all.max().unwrap_or(0))
    }

    /// Hundredths of the requests that go to the fleet where a rule shares so.
    pub fn percent(&self, forward: &Forward) -> u8 {
        percent_of(forward, &self.new.arn)
    }

    /// A step of each rule to this many hundredths to the fleet. All else of it stays.
    pub fn with(&self, percent: u8) -> Result<Vec<Step>, String> {
        let Some(old) = &self.old else {
            return Err("no rule names another target group than the fleet's: say which with \
                        --fleet-old-target-group"
                .to_owned());
        };
        let share = |group: &String, weight: u8| Share { group: group.clone(), weight: weight.into() };
        let shares = [share(old, 100 - percent), share(&self.new.arn, percent)];
        let step = |Part { rule, forward, .. }: &Part| Step {
            rule: rule.clone(),
            from: forward.clone(),
            to: Forward { shares: shares.to_vec(), sticky: forward.sticky },
        };
        Ok(self.parts.iter().map(step).collect())
    }
}

/// Hundredths of the requests that go to `group`.
fn percent_of(forward: &Forward, group: &str) -> u8 {
    let weight = |share: &Share| u64::from(share.weight);
    let all: u64 = forward.shares.iter().map(weight).sum();
    let own: u64 = forward.shares.iter().filter(|share| share.group == group).map(weight).sum();
    u8::try_from((100 * own + all / 2).checked_div(all).unwrap_or(0)).unwrap_or(100)
}

/// The target groups other than `new` that these rules share with, each once.
fn others<'a>(rules: &'a [Rule], new: &str) -> Vec<&'a str> {
    let shares = rules.iter().filter(|rule| rule.priority.is_some()).filter_map(|rule| rule.forward.as_ref());
    let mut all: Vec<&str> = shares.flat_map(|forward| &forward.shares).map(|share| &*share.group).collect();
    all.retain(|group| *group != new);
    all.sort_unstable();
    all.dedup();
    all
}

/// A rule that leads to the fleet, or is to: whether it is moved. `named` says that the operator has said what `old` is.
fn part(rule: Rule, new: &str, old: Option<&str>, named: bool) -> Result<Part, Left> {
    let left = |rule: &Rule, why: String| Left { name: name(rule), why };
    let changed_there = "it is changed where it is made";
    if rule.priority.is_none() {
        return Err(left(&rule, changed_there.to_owned()));
    }
    let Some(forward) = rule.forward.clone() else {
        return Err(left(&rule, format!("it does more than forward requests; {changed_there}")));
    };
    let known = |share: &&Share| share.group == new || Some(&*share.group) == old;
    if let Some(third) = forward.shares.iter().find(|share| !known(share)) {
        return Err(left(&rule, format!("it also forwards to {}, which is neither side", third.group)));
    }
    // Who else could serve its paths is not to be guessed from other rules.
    if old.is_some() && !named && forward.shares.iter().all(|share| share.group == new) {
        let why = "it names no other target group; --fleet-old-target-group says which it is to have";
        return Err(left(&rule, why.to_owned()));
    }
    let percent = percent_of(&forward, new);
    Ok(Part { rule, forward, percent })
}

/// How figures name the balancer of a listener: `app/NAME/ID`.
fn balancer_of(listener: &str) -> Option<String> {
    let path = listener.rsplit_once(":listener/")?.1;
    let parts: Vec<&str> = path.split('/').collect();
    (parts.len() == 4).then(|| parts[..3].join("/"))
}

/// The one period that a time is, in whole minutes.
fn period_of(from: Timestamp, to: Timestamp) -> u32 {
    let minutes = (to.as_second() - from.as_second()).max(1) / 60 + 1;
    u32::try_from(60 * minutes).unwrap_or(LONGEST_PERIOD).min(LONGEST_PERIOD)
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

    /// What lies on them now. By `force`, the rule at the configured priority counts where none names the fleet.
    pub async fn weigh(&self, force: bool) -> anyhow::Result<Weighed> {
        let new = self.group(&self.sides.new, "fleet.target_group").await?;
        let rules = self.rules(&new, force).await?;
        let old = match &self.sides.old {
            Some(name) => Some(self.group(name, "fleet.old_target_group").await?.arn),
            None => match others(&rules, &new.arn)[..] {
                [] => None,
                [one] => Some(one.to_owned()),
                ref many => anyhow::bail!(
                    "the rules of the fleet share with several target groups: {}\n\
                     fix: name one with --fleet-old-target-group (fleet.old_target_group); rules with another are left \
                     as they are then",
                    many.join(", ")
                ),
            },
        };
        let (mut parts, mut left) = (Vec::new(), Vec::new());
        for rule in rules {
            match part(rule, &new.arn, old.as_deref(), self.sides.old.is_some()) {
                Ok(part) => parts.push(part),
                Err(one) => left.push(one),
            }
        }
        if parts.is_empty() {
            let left: Vec<String> = left.iter().map(|Left { name, why }| format!("{name}: {why}")).collect();
            anyhow::bail!("no rule of the fleet can be moved: {}", left.join("; "));
        }
        // Whoever takes the fleet's share away needs nothing of this.
        let health = self.health(&new).await;
        Ok(Weighed { parts, left, new, old, health })
    }

    /// Targets of a group that are healthy, of how many.
    pub async fn health(&self, group: &TargetGroup) -> Result<(usize, usize), Trouble> {
        let targets = self.balancer.health(group).await.map_err(|fault| {
            let thing = format!("target group {}", group.name);
            let action = "elasticloadbalancing:DescribeTargetHealth";
            self.trouble("read the health of", &thing, action, "fleet.target_group", fault)
        })?;
        Ok((targets.iter().filter(|target| target.state == "healthy").count(), targets.len()))
    }

    /// The rules that lead to the fleet; by `force`, the one that is to where none does.
    async fn rules(&self, new: &TargetGroup, force: bool) -> anyhow::Result<Vec<Rule>> {
        let Sides { listener, priority, .. } = &self.sides;
        let rules = self.balancer.rules(listener).await.map_err(|fault| {
            let thing = format!("listener {listener}");
            let action = "elasticloadbalancing:DescribeRules";
            self.trouble("read the rules of", &thing, action, "fleet.listener", fault)
        })?;
        let (ours, theirs): (Vec<Rule>, Vec<Rule>) =
            rules.into_iter().partition(|rule| rule.groups.contains(&new.arn));
        if !ours.is_empty() {
            return Ok(ours);
        }
        let name = &new.name;
        match theirs.into_iter().find(|rule| rule.priority == Some(*priority)) {
            Some(rule) if force => Ok(vec![rule]),
            Some(rule) => anyhow::bail!(
                "no rule of listener {listener} forwards to target group {name}, and that of priority {priority} is \
                 somebody else's ({})\n\
                 fix: let Terraform make the fleet's rules, or take that one over with --force",
                rule.paths.join(" ")
            ),
            None => anyhow::bail!(
                "listener {listener} has no rule that forwards to target group {name}, and no rule of priority \
                 {priority}\n\
                 fix: let Terraform make the fleet's rules, or name the right listener with --fleet-listener \
                 (fleet.listener), or with --force the rule to take over with --fleet-rule-priority (fleet.rule_priority)"
            ),
        }
    }

    /// Makes a rule share so.
    pub async fn set(&self, rule: &Rule, forward: &Forward) -> Result<(), Trouble> {
        self.balancer.share(rule, forward).await.map_err(|fault| {
            let thing = format!("{} of listener {}", name(rule), self.sides.listener);
            self.trouble("change", &thing, "elasticloadbalancing:ModifyRule", "fleet.listener", fault)
        })
    }

    /// How both sides did in this time, the old one first. Minutes whose counts may not be whole yet are left out.
    pub async fn doing(
        &self,
        weighed: &Weighed,
        from: Timestamp,
        to: Timestamp,
    ) -> anyhow::Result<[Doing; 2]> {
        let listener = &self.sides.listener;
        let Some(balancer) = balancer_of(listener) else {
            anyhow::bail!("{listener} is no ARN of a listener of an application load balancer");
        };
        let groups = [weighed.old.clone().unwrap_or_default(), weighed.new.arn.clone()];
        let metric = |group: &String, name, statistic| {
            let group = group.rsplit(':').next().unwrap_or(group);
            let dimensions = [("LoadBalancer", &*balancer), ("TargetGroup", group)];
            Metric::new("AWS/ApplicationELB", name, &dimensions, statistic)
        };
        let mut counts: Vec<Metric> =
            groups.iter().flat_map(|group| COUNTED.map(|name| metric(group, name, "Sum"))).collect();
        let whole = [("LoadBalancer", &*balancer)];
        counts.push(Metric::new("AWS/ApplicationELB", OF_THE_BALANCER, &whole, "Sum"));
        let mut counts = self.figures(&counts, Span { from, to, period: 60 }).await?;
        let settled = to.checked_sub(SETTLED).unwrap_or(to);
        for figures in &mut counts {
            figures.0.retain(|(minute, _)| *minute <= settled);
        }
        // Of all this time at once: the p95 of a single minute is that of its few requests.
        let times: Vec<Metric> =
            groups.iter().map(|group| metric(group, "TargetResponseTime", "p95")).collect();
        let times = self.figures(&times, Span { from, to, period: period_of(from, to) }).await?;
        let doing = |side: usize| {
            let sum = |at: usize| counts.get(at).map_or(0.0, Figures::sum);
            let [requests, ok, moved, refused, failed] =
                std::array::from_fn(|at| sum(COUNTED.len() * side + at));
            let balancer_failed = sum(COUNTED.len() * groups.len());
            Doing {
                requests,
                errors: Counts { requests, answered: ok + moved + refused, failed, balancer_failed }.errors(),
                p95: times.get(side).and_then(Figures::largest),
                newest: counts.get(COUNTED.len() * side).and_then(|figures| Some(figures.0.last()?.0)),
            }
        };
        Ok([doing(0), doing(1)])
    }

    async fn figures(&self, metrics: &[Metric], span: Span) -> Result<Vec<Figures>, Trouble> {
        self.statistics.read(metrics, span).await.map_err(|fault| {
            let action = "cloudwatch:GetMetricData";
            self.trouble("read the figures of", "both target groups", action, "fleet.listener", fault)
        })
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
    use crate::aws::Kind;

    fn rule(priority: Option<u64>, shares: &[(&str, u32)]) -> Rule {
        let share = |&(group, weight): &(&str, u32)| Share { group: group.to_owned(), weight };
        Rule {
            arn: format!("rule/{priority:?}"),
            priority,
            groups: shares.iter().map(|(group, _)| (*group).to_owned()).collect(),
            forward: Some(Forward { shares: shares.iter().map(share).collect(), sticky: Some(60) }),
            paths: vec!["/a".to_owned()],
        }
    }

    fn weighed(shares: &[[u32; 2]], healthy: usize) -> Weighed {
        let rule = |(&[old, new], priority): (&[u32; 2], u64)| {
            part(rule(Some(priority), &[("old", old), ("new", new)]), "new", Some("old"), false).unwrap()
        };
        Weighed {
            parts: shares.iter().zip(70..).map(rule).collect(),
            left: Vec::new(),
            new: TargetGroup { arn: "new".to_owned(), name: "fleet".to_owned(), balancers: Vec::new() },
            old: Some("old".to_owned()),
            health: Ok((healthy, 3)),
        }
    }

    #[test]
    fn weights_are_hundredths_whatever_their_scale() {
        for (shares, percent) in
            [([100, 0], 0), ([0, 100], 100), ([999, 1], 0), ([3, 1], 25), ([0, 0], 0), ([1, 2], 67)]
        {
            assert_eq!(weighed(&[shares], 1).percents(), (percent, percent), "{shares:?}");
        }
        let weighed = weighed(&[[90, 10], [1, 0]], 1);
        assert_eq!(weighed.percents(), (0, 10));
        let changed = weighed.with(50).unwrap();
        assert_eq!(changed.len(), 2, "every rule");
        for Step { to, .. } in changed {
            assert_eq!(to.sticky, Some(60));
            assert_eq!(to.shares.iter().map(|share| share.weight).collect::<Vec<_>>(), [50, 50]);
        }
        assert!(Weighed { old: None, ..weighed }.with(50).unwrap_err().contains("old-target-group"));
    }

    #[test]
    fn steps_up_are_bounded_and_steps_down_are_not() {
        for (shares, to, healthy, objected) in [
            (&[[90, 10]][..], 50, 1, None),
            (&[[90, 10]], 51, 1, Some("go to 50 % first")),
            (&[[90, 10]], 20, 0, Some("none of the 3 targets of fleet is healthy")),
            (&[[0, 100]], 0, 0, None),
            (&[[50, 50]], 50, 0, None),
            // The furthest step counts.
            (&[[90, 10], [100, 0]], 50, 1, Some("from 0 % to 50 % is a step of 50")),
            (&[[90, 10], [100, 0]], 40, 1, None),
        ] {
            let told = objection(&weighed(shares, healthy), to, 40);
            match objected {
                None => assert_eq!(told, None),
                Some(words) => assert!(told.as_ref().is_some_and(|told| told.contains(words)), "{told:?}"),
            }
        }
        let fault = Fault { kind: Kind::Denied, detail: "no".to_owned(), code: None };
        let call = Call { doing: "read", thing: "it", action: "a:B", key: "fleet.target_group" };
        let unseen = Err(Trouble::new(&call, "us-east-1", fault));
        let unseen = Weighed { health: unseen, ..weighed(&[[90, 10]], 1) };
        assert!(objection(&unseen, 20, 40).unwrap().contains("allow these credentials a:B on it"));
        assert_eq!(objection(&unseen, 0, 40), None);
        let left = vec![Left { name: "rule 9".to_owned(), why: "odd".to_owned() }];
        let weighed = Weighed { left, ..weighed(&[[90, 10]], 1) };
        assert!(objection(&weighed, 20, 40).unwrap().contains("rule 9 leads to the fleet too"));
        assert_eq!(objection(&weighed, 0, 40), None, "back is always open");
    }

    #[test]
    fn only_rules_between_both_sides_are_moved() {
        let odd = Rule { forward: None, ..rule(Some(3), &[("new", 1)]) };
        for (rule, old, named, why) in [
            (rule(Some(1), &[("old", 9), ("new", 1)]), Some("old"), false, ""),
            (rule(Some(1), &[("new", 1)]), None, false, ""),
            (rule(Some(1), &[("new", 1)]), Some("old"), true, ""),
            (rule(Some(1), &[("old", 1)]), Some("old"), false, ""),
            (rule(Some(1), &[("new", 1)]), Some("old"), false, "names no other target group"),
            (rule(Some(1), &[("old", 1), ("new", 1), ("x", 1)]), Some("old"), true, "also forwards to x"),
            (rule(None, &[("old", 1), ("new", 1)]), Some("old"), true, "changed where it is made"),
            (odd, Some("old"), true, "does more than forward"),
        ] {
            match part(rule.clone(), "new", old, named) {
                Ok(_) => assert_eq!(why, "", "{rule:?}"),
                Err(left) => assert!(!why.is_empty() && left.why.contains(why), "{left:?}"),
            }
        }
        let rules = [
            rule(Some(1), &[("old", 9), ("new", 1)]),
            rule(Some(2), &[("new", 1), ("a", 1)]),
            rule(None, &[("b", 1)]),
        ];
        assert_eq!(others(&rules, "new"), ["a", "old"]);
    }

    #[test]
    fn a_time_is_one_period_of_whole_minutes() {
        let at = |second| Timestamp::from_second(second).unwrap();
        for (to, period) in [(0, 60), (59, 60), (60, 120), (1799, 1800), (200_000, 86_400)] {
            assert_eq!(period_of(at(0), at(to)), period, "{to}");
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
