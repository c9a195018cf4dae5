//! Taking an instance out of service and bringing it back, a step at a time: what is to be done next follows from what
//! is seen, so that whoever was interrupted begins again and goes on.

use jiff::{SignedDuration, Timestamp};

use super::status::SILENT;
use super::{Fleet, Word};
use crate::aws::{Group, Member};
use crate::operate::Trouble;

/// Which way an instance is to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Out of service.
    Out {
        /// The group is to want one instance less, and starts no other.
        decrement: bool,
        /// Even if it is the last that is healthy.
        force: bool,
    },
    /// Back into service.
    Back,
}

/// What is seen of an instance.
#[derive(Debug, Clone, PartialEq)]
pub struct Sight {
    /// The group that it belongs to.
    pub group: Group,
    /// What the group says of it.
    pub member: Member,
    /// How the balancer finds it; `unused` if it does not know it.
    pub target: String,
    /// How many others the balancer finds healthy.
    pub others: usize,
    /// What its daemon last said.
    pub word: Option<Word>,
}

/// What is to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Protect it from scale-in.
    Protect,
    /// Put it into Standby.
    EnterStandby,
    /// Put it back into service.
    ExitStandby,
    /// Let scale-in have it again.
    Unprotect,
    /// Look again: these proofs are missing.
    Wait(Vec<String>),
    /// All is as it should be.
    Done,
    /// It cannot be done.
    Impossible(String),
}

/// What is to be done next. Words of a daemon before `since` prove nothing.
pub fn next(way: Way, sight: &Sight, since: Timestamp) -> Step {
    match way {
        Way::Out { force: false, .. } if is_last(sight) => Step::Impossible(of_the_last(&sight.group)),
        Way::Out { decrement, .. } => out(sight, decrement, since),
        Way::Back => back(sight, since),
    }
}

/// Whether nobody would answer if it left now. One that is not healthy takes nothing away.
fn is_last(sight: &Sight) -> bool {
    sight.member.lifecycle == "InService" && sight.target == "healthy" && sight.others == 0
}

fn of_the_last(group: &Group) -> String {
    let more = group.desired.saturating_add(1);
    let bound = if more > group.max { format!(" --max {more}") } else { String::new() };
    format!(
        "no other is healthy at the balancer, so nobody would answer: wait until another is (`fleet status`), start one \
         with `fleet scale {more}{bound}`, or add --force"
    )
}

fn out(sight: &Sight, decrement: bool, since: Timestamp) -> Step {
    let Sight { group, member, .. } = sight;
    match member.lifecycle.as_str() {
        "InService" if decrement && group.desired <= group.min => Step::Impossible(format!(
            "the group wants {} instances and may not want fewer: leave out --decrement, so that another is started, \
             or lower the bound with `fleet scale {} --min {}`",
            group.desired,
            group.desired,
            group.min.saturating_sub(1)
        )),
        "InService" if !member.protected => Step::Protect,
        "InService" => Step::EnterStandby,
        "EnteringStandby" | "Standby" => {
            let mut missing = Vec::new();
            if member.lifecycle != "Standby" {
                missing.push(format!("its state is {}, not yet Standby", member.lifecycle));
            }
            if sight.target != "unused" {
                missing.push(format!("the balancer still knows it: {}", sight.target));
            }
            missing.extend(unproved(sight, false, since));
            waiting(missing)
        }
        other => Step::Impossible(format!("it is {other}, and only what is in service can be isolated")),
    }
}

fn back(sight: &Sight, since: Timestamp) -> Step {
    let Sight { group, member, .. } = sight;
    match member.lifecycle.as_str() {
        "Standby" if group.desired >= group.max => Step::Impossible(format!(
            "the group wants {} instances and may not want more: raise the bound first with `fleet scale {} --max {}`",
            group.desired,
            group.desired,
            group.max.saturating_add(1)
        )),
        "Standby" => Step::ExitStandby,
        "InService" => {
            let mut missing = Vec::new();
            if sight.target != "healthy" {
                missing.push(format!("the balancer finds it {}, not yet healthy", sight.target));
            }
            missing.extend(unproved(sight, true, since));
            match waiting(missing) {
                Step::Done if member.protected => Step::Unprotect,
                other => other,
            }
        }
        "EnteringStandby" | "Pending" | "Pending:Wait" | "Pending:Proceed" => {
            Step::Wait(vec![format!("its state is {}, not yet InService", member.lifecycle)])
        }
        other => Step::Impossible(format!("it is {other}, and will not come back")),
    }
}

fn waiting(missing: Vec<String>) -> Step {
    if missing.is_empty() { Step::Done } else { Step::Wait(missing) }
}

/// What is missing of the proof that the daemon takes jobs, or takes none.
fn unproved(sight: &Sight, consuming: bool, since: Timestamp) -> Option<String> {
    let wanted = if consuming { "takes jobs" } else { "takes no more jobs" };
    match &sight.word {
        None => Some(format!("its daemon has not said that it {wanted}: it never said anything")),
        Some(word) if word.at < since => {
            Some(format!("its daemon has not said that it {wanted}: it was last heard {}", word.at))
        }
        Some(word) if word.consuming != Some(consuming) => {
            Some(format!("its daemon does not say that it {wanted}"))
        }
        Some(_) => None,
    }
}

/// From when on words prove something, if the state was found as it is: those that a daemon in trouble said long ago
/// do not.
pub fn recent(now: Timestamp) -> Timestamp {
    let silent = SignedDuration::from_secs(i64::try_from(SILENT).unwrap_or(i64::MAX));
    now.checked_sub(silent).unwrap_or(now)
}

impl Fleet {
    /// Looks at an instance; `None` if it is not of this fleet.
    pub async fn sight(&self, instance: &str) -> Result<Option<Sight>, Trouble> {
        let group = self.group().await?;
        let Some(member) = group.members.iter().find(|member| member.id == instance).cloned() else {
            return Ok(None);
        };
        let health = async {
            let targets = self.target_group().await?;
            self.health(&targets).await
        };
        let (health, word) = futures_util::try_join!(health, self.word(instance))?;
        let (own, others): (Vec<_>, Vec<_>) = health.into_iter().partition(|target| target.id == instance);
        let others = others.iter().filter(|target| target.state == "healthy").count();
        let target = own.into_iter().next().map_or_else(|| "unused".to_owned(), |target| target.state);
        Ok(Some(Sight { group, member, target, others, word }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sight(lifecycle: &str, protected: bool, target: &str, consuming: Option<bool>) -> Sight {
        let member = Member {
            id: "i-1".to_owned(),
            zone: String::new(),
            kind: String::new(),
            lifecycle: lifecycle.to_owned(),
            healthy: true,
            protected,
        };
        let word = Word {
            at: Timestamp::from_second(1000).unwrap(),
            version: None,
            phase: None,
            consuming,
            slots: None,
            busy: None,
            waiting: None,
        };
        Sight {
            group: Group { min: 2, desired: 3, max: 4, members: vec![member.clone()], suspended: Vec::new() },
            member,
            target: target.to_owned(),
            others: 1,
            word: Some(word),
        }
    }

    #[test]
    fn the_largest_bound_is_one_too() {
        let mut full = sight("Standby", false, "unused", Some(false));
        (full.group.desired, full.group.max) = (u32::MAX, u32::MAX);
        assert!(matches!(next(Way::Back, &full, Timestamp::UNIX_EPOCH), Step::Impossible(_)));
    }

    const OUT: Way = Way::Out { decrement: false, force: false };

    #[test]
    fn each_step_follows_from_what_is_seen() {
        let since = Timestamp::from_second(900).unwrap();
        for (way, lifecycle, protected, target, consuming, expected) in [
            (OUT, "InService", false, "healthy", Some(true), Step::Protect),
            (OUT, "InService", true, "healthy", Some(true), Step::EnterStandby),
            (OUT, "Standby", true, "unused", Some(false), Step::Done),
            (OUT, "Standby", false, "unused", Some(false), Step::Done),
            (Way::Back, "Standby", true, "unused", Some(false), Step::ExitStandby),
            (Way::Back, "InService", true, "healthy", Some(true), Step::Unprotect),
            (Way::Back, "InService", false, "healthy", Some(true), Step::Done),
        ] {
            let seen = sight(lifecycle, protected, target, consuming);
            assert_eq!(next(way, &seen, since), expected, "{way:?} {lifecycle} {target}");
        }
    }

    #[test]
    fn every_missing_proof_is_named() {
        let since = Timestamp::from_second(900).unwrap();
        for (way, lifecycle, target, consuming, expected) in [
            (
                OUT,
                "EnteringStandby",
                "draining",
                Some(true),
                vec!["EnteringStandby", "draining", "no more jobs"],
            ),
            (OUT, "Standby", "draining", Some(false), vec!["draining"]),
            (OUT, "Standby", "unused", Some(true), vec!["no more jobs"]),
            (OUT, "Standby", "unused", None, vec!["no more jobs"]),
            (Way::Back, "Pending", "unused", Some(false), vec!["Pending"]),
            (Way::Back, "InService", "initial", Some(false), vec!["initial", "takes jobs"]),
        ] {
            let Step::Wait(missing) = next(way, &sight(lifecycle, true, target, consuming), since) else {
                panic!("{way:?} {lifecycle} does not wait");
            };
            assert_eq!(missing.len(), expected.len(), "{missing:?}");
            assert!(missing.iter().zip(expected).all(|(told, word)| told.contains(word)), "{missing:?}");
        }
        let later = Timestamp::from_second(1001).unwrap();
        let old = next(OUT, &sight("Standby", true, "unused", Some(false)), later);
        assert!(matches!(old, Step::Wait(missing) if missing[0].contains("last heard")));
        let silent = Sight { word: None, ..sight("Standby", true, "unused", None) };
        assert!(matches!(next(OUT, &silent, since), Step::Wait(missing) if missing[0].contains("never")));
    }

    #[test]
    fn bounds_are_seen_before_the_service_refuses() {
        let since = Timestamp::from_second(900).unwrap();
        let mut low = sight("InService", false, "healthy", Some(true));
        low.group.desired = 2;
        let told = next(Way::Out { decrement: true, force: false }, &low, since);
        assert!(matches!(told, Step::Impossible(why) if why.contains("fleet scale 2 --min 1")));
        assert_eq!(next(OUT, &low, since), Step::Protect, "capacity stays");
        let mut full = sight("Standby", true, "unused", Some(false));
        full.group.desired = 4;
        let told = next(Way::Back, &full, since);
        assert!(matches!(told, Step::Impossible(why) if why.contains("fleet scale 4 --max 5")));
        for way in [OUT, Way::Back] {
            let gone = next(way, &sight("Terminating:Wait", true, "draining", None), since);
            assert!(matches!(gone, Step::Impossible(why) if why.contains("Terminating:Wait")), "{way:?}");
        }
    }
    #[test]
    fn the_last_that_is_healthy_stays_unless_it_is_forced_out() {
        let since = Timestamp::from_second(900).unwrap();
        let last = |lifecycle: &str, protected, target: &str| Sight {
            others: 0,
            ..sight(lifecycle, protected, target, Some(true))
        };
        for protected in [false, true] {
            let told = next(OUT, &last("InService", protected, "healthy"), since);
            assert!(
                matches!(told, Step::Impossible(why) if why.contains("`fleet scale 4`") && why.contains("--force"))
            );
        }
        let mut full = last("InService", false, "healthy");
        full.group.max = 3;
        let told = next(OUT, &full, since);
        assert!(matches!(told, Step::Impossible(why) if why.contains("`fleet scale 4 --max 4`")));
        let forced = Way::Out { decrement: false, force: true };
        assert_eq!(next(forced, &full, since), Step::Protect);
        // One that answers nobody takes nothing away, and one that has left already has done so.
        assert_eq!(next(OUT, &last("InService", false, "unhealthy"), since), Step::Protect);
        let left = next(OUT, &last("Standby", true, "unused"), since);
        assert!(matches!(left, Step::Wait(_)), "{left:?}");
    }
}
