//! The way back of a step of weights: only of rules that still stand as they were left, and never to a larger share.

use crate::aws::Forward;
use crate::operate::fleet::weights::{Left, Scales, Step, Weighed, name};

/// What became of the way back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Returned {
    /// The steps that were taken back.
    pub back: Vec<Step>,
    /// The rules that were left as they are.
    pub left: Vec<Left>,
    /// The rules that could not be changed.
    pub failed: Vec<Left>,
}

impl Step {
    /// Whether there is anything to change.
    pub fn changes(&self) -> bool {
        !alike(&self.from, &self.to)
    }
}

/// Whether both share alike; the order in which target groups are named says nothing.
fn alike(one: &Forward, other: &Forward) -> bool {
    let sorted = |forward: &Forward| {
        let mut shares: Vec<_> =
            forward.shares.iter().map(|share| (share.group.clone(), share.weight)).collect();
        shares.sort_unstable();
        shares
    };
    one.sticky == other.sticky && sorted(one) == sorted(other)
}

/// Why a step is not taken back, if it is not, now that the rules stand so.
fn hindrance(step: &Step, now: &Weighed) -> Option<String> {
    let Some(part) = now.parts.iter().find(|part| part.rule.arn == step.rule.arn) else {
        return Some("it does not share between both sides any more".to_owned());
    };
    let (before, percent) = (now.percent(&step.from), part.percent);
    if !alike(&part.forward, &step.to) {
        Some(format!("somebody has changed it meanwhile, and it stands at {percent} %"))
    } else if before == percent {
        Some(format!("it stood at {percent} % already, and what it had before is not known"))
    } else if before > percent {
        Some(format!("it had {before} %, and has less now"))
    } else {
        None
    }
}

impl Scales {
    /// Looks how the rules stand, and takes back what went up and nobody else has changed.
    pub async fn take_back(&self, steps: &[Step], force: bool) -> anyhow::Result<Returned> {
        let now = self.weigh(force).await?;
        let mut returned = Returned::default();
        for step in steps {
            let told = |why: String| Left { name: name(&step.rule), why };
            if let Some(why) = hindrance(step, &now) {
                returned.left.push(told(why));
            } else if let Err(trouble) = self.set(&step.rule, &step.from).await {
                returned.failed.push(told(trouble.to_string()));
            } else {
                returned.back.push(step.clone());
            }
        }
        Ok(returned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::{Rule, Share, TargetGroup};
    use crate::operate::fleet::weights::Part;

    fn forward(old: u32, new: u32) -> Forward {
        let share = |group: &str, weight| Share { group: group.to_owned(), weight };
        Forward { shares: vec![share("old", old), share("new", new)], sticky: None }
    }

    fn rule(arn: &str) -> Rule {
        Rule { arn: arn.to_owned(), priority: Some(7), forward: None, groups: Vec::new(), paths: Vec::new() }
    }

    #[test]
    fn the_way_back_leads_down_and_over_nobodys_work() {
        let now = |arn, forward, percent| Weighed {
            parts: vec![Part { rule: rule(arn), forward, percent }],
            left: Vec::new(),
            new: TargetGroup { arn: "new".to_owned(), name: "fleet".to_owned(), balancers: Vec::new() },
            old: Some("old".to_owned()),
            health: Ok((1, 1)),
        };
        let up = Step { rule: rule("a"), from: forward(90, 10), to: forward(50, 50) };
        let mut turned = forward(50, 50);
        turned.shares.reverse();
        let sticky = Forward { sticky: Some(60), ..forward(50, 50) };
        for (step, now, why) in [
            (&up, now("a", forward(50, 50), 50), None),
            (&up, now("a", turned, 50), None),
            (
                &up,
                now("a", forward(80, 20), 20),
                Some("somebody has changed it meanwhile, and it stands at 20 %"),
            ),
            (&up, now("a", sticky, 50), Some("somebody has changed it")),
            (&up, now("b", forward(50, 50), 50), Some("any more")),
            (
                &Step { from: forward(10, 90), ..up.clone() },
                now("a", forward(50, 50), 50),
                Some("it had 90 %, and has less now"),
            ),
            (
                &Step { from: forward(1, 1), ..up.clone() },
                now("a", forward(50, 50), 50),
                Some("it stood at 50 % already"),
            ),
        ] {
            let told = hindrance(step, &now);
            assert_eq!(told.is_some(), why.is_some(), "{told:?}");
            assert!(told.unwrap_or_default().contains(why.unwrap_or_default()), "{why:?}");
        }
        assert!(up.changes() && !Step { from: up.to.clone(), ..up }.changes());
    }
}
