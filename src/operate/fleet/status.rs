//! A fleet at a glance, and what is wrong with it.

use std::collections::BTreeMap;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::{Fleet, Word, seconds_since};
use crate::aws::{Activity, Figures, Group, Member, Metric, Refresh, Span, TargetHealth};
use crate::operate::Trouble;

/// Seconds after which a daemon has missed three of its words, and so has something to explain.
pub const SILENT: u64 = 180;
/// Instances asked about at once.
const AT_ONCE: usize = 8;
/// Failures that are told, newest first, and for how long: seconds.
const FAILURES: (usize, u64) = (3, 3600);
/// How far back a queue's figures are looked for: they come each minute, some minutes late.
const FIGURES: SignedDuration = SignedDuration::from_mins(10);

/// A fleet at one moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    /// When.
    pub at: String,
    /// What is wrong, the worst first.
    pub wrong: Vec<String>,
    /// What could not be seen, and why.
    pub unseen: Vec<String>,
    /// The Auto Scaling group.
    pub group: GroupState,
    /// Its instances.
    pub instances: Vec<Instance>,
    /// The queue.
    pub queue: Queue,
    /// The queue of dead letters.
    pub dead_letters: Queue,
    /// All together.
    pub totals: Totals,
}

/// An Auto Scaling group at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupState {
    /// Its name.
    pub name: String,
    /// Fewest instances.
    pub min: u32,
    /// Instances wanted.
    pub desired: u32,
    /// Most instances.
    pub max: u32,
    /// Processes that are suspended.
    pub suspended: Vec<String>,
    /// What goes on.
    pub under_way: Vec<Told>,
    /// What failed in the last hour.
    pub failed: Vec<Told>,
    /// How far a refresh is, if there is one under way: its status and hundredths.
    pub refresh: Option<(String, u8)>,
}

/// An activity, as it is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Told {
    /// What.
    pub what: String,
    /// How it stands.
    pub status: String,
    /// Why, or what it waits for.
    pub message: Option<String>,
    /// In hundredths.
    pub progress: u8,
}

/// An instance at one moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Instance {
    /// Its id.
    pub id: String,
    /// Its availability zone.
    pub zone: String,
    /// Its type.
    pub kind: String,
    /// Where it is in its life.
    pub lifecycle: String,
    /// Whether the group takes it for healthy.
    pub healthy: bool,
    /// Whether the group leaves it alone when it scales in.
    pub protected: bool,
    /// How the balancer finds it; `unused` if it does not know it, `unseen` if that is not known.
    pub target: String,
    /// Why.
    pub target_reason: Option<String>,
    /// The daemon's version.
    pub version: Option<String>,
    /// Where the daemon is in its life.
    pub phase: Option<String>,
    /// Whether it takes jobs from its queue.
    pub consuming: Option<bool>,
    /// Compiles that it may do at once.
    pub slots: Option<f64>,
    /// Of these, how many it did.
    pub busy: Option<f64>,
    /// Requests that waited for a slot.
    pub waiting: Option<f64>,
    /// Seconds since the daemon said so; nothing if it never said anything.
    pub word_age: Option<u64>,
}

/// A queue in its newest figures.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Queue {
    /// Its name.
    pub name: String,
    /// Messages that wait.
    pub waiting: Option<f64>,
    /// Seconds that the oldest has waited.
    pub oldest_seconds: Option<f64>,
}

/// A fleet's totals.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Totals {
    /// Instances in any state.
    pub instances: usize,
    /// In service.
    pub in_service: usize,
    /// Those that the balancer finds healthy.
    pub healthy: usize,
    /// Compiles at once, of the instances in service whose word is not too old.
    pub slots: f64,
    /// Of these, how many are done.
    pub busy: f64,
    /// Instances of each version.
    pub versions: BTreeMap<String, usize>,
}

/// What was asked together.
#[derive(Debug)]
struct Asked {
    group: Group,
    activities: Vec<Activity>,
    refresh: Option<Refresh>,
    /// Nothing if it could not be seen, as below.
    health: Option<Vec<TargetHealth>>,
    words: Option<Vec<Option<Word>>>,
    figures: Vec<Figures>,
    unseen: Vec<String>,
}

/// How targets are called that could not be seen.
const UNSEEN: &str = "unseen";

impl Fleet {
    /// The fleet at a glance. Without the group there is nothing to show; of the rest, what can be seen.
    pub async fn status(&self, now: Timestamp) -> Result<Status, Trouble> {
        let group = self.group().await?;
        let health = async {
            let targets = self.target_group().await?;
            self.health(&targets).await
        };
        let words = stream::iter(group.members.clone())
            .map(|member| async move { self.word(&member.id).await })
            .buffered(AT_ONCE)
            .try_collect::<Vec<_>>();
        let metrics = self.queue_metrics();
        let span = Span { from: now.checked_sub(FIGURES).unwrap_or(now), to: now, period: 60 };
        let (activities, refresh, health, words, figures) = futures_util::join!(
            self.activities(),
            self.newest_refresh(),
            health,
            words,
            self.figures(&metrics, span)
        );
        let mut unseen = Vec::new();
        let asked = Asked {
            group,
            health: seen(health, &mut unseen),
            words: seen(words, &mut unseen),
            activities: seen(activities, &mut unseen).unwrap_or_default(),
            refresh: seen(refresh, &mut unseen).flatten(),
            figures: seen(figures, &mut unseen).unwrap_or_default(),
            unseen,
        };
        Ok(self.judge(asked, now))
    }

    fn queue_metrics(&self) -> [Metric; 3] {
        let figure = |queue: &str, name| Metric::new("AWS/SQS", name, &[("QueueName", queue)], "Maximum");
        [
            figure(&self.names.queue, "ApproximateNumberOfMessagesVisible"),
            figure(&self.names.queue, "ApproximateAgeOfOldestMessage"),
            figure(&self.names.dead_letters, "ApproximateNumberOfMessagesVisible"),
        ]
    }

    fn judge(&self, asked: Asked, now: Timestamp) -> Status {
        let Asked { group, activities, refresh, health, words, figures, unseen } = asked;
        let heard = words.is_some();
        let newest = |at: usize| figures.get(at).and_then(Figures::newest);
        let mut words = words.into_iter().flatten();
        let instances: Vec<Instance> = group
            .members
            .into_iter()
            .map(|member| instance(member, health.as_deref(), words.next().flatten().as_ref(), now))
            .collect();
        let mut status = Status {
            at: now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            wrong: Vec::new(),
            unseen,
            group: GroupState {
                name: self.names.group.clone(),
                min: group.min,
                desired: group.desired,
                max: group.max,
                suspended: group.suspended,
                under_way: activities.iter().filter(|activity| activity.is_under_way()).map(told).collect(),
                failed: activities
                    .iter()
                    .filter(|activity| failed(activity, now))
                    .map(told)
                    .take(FAILURES.0)
                    .collect(),
                refresh: refresh
                    .filter(Refresh::is_under_way)
                    .map(|refresh| (refresh.status, refresh.percent)),
            },
            totals: totals(&instances),
            instances,
            queue: Queue { name: self.names.queue.clone(), waiting: newest(0), oldest_seconds: newest(1) },
            dead_letters: Queue {
                name: self.names.dead_letters.clone(),
                waiting: newest(2),
                oldest_seconds: None,
            },
        };
        status.wrong = wrong(&status, heard);
        status
    }
}

fn told(activity: &Activity) -> Told {
    Told {
        what: activity.description.clone(),
        status: activity.status.clone(),
        message: activity.message.clone(),
        progress: activity.progress,
    }
}

fn failed(activity: &Activity, now: Timestamp) -> bool {
    activity.status == "Failed" && activity.begun.is_some_and(|begun| seconds_since(begun, now) <= FAILURES.1)
}

/// What could be seen; notes down what could not.
fn seen<T>(asked: Result<T, Trouble>, unseen: &mut Vec<String>) -> Option<T> {
    asked.map_err(|trouble| unseen.push(trouble.to_string())).ok()
}

fn instance(
    member: Member,
    health: Option<&[TargetHealth]>,
    word: Option<&Word>,
    now: Timestamp,
) -> Instance {
    let target = health.and_then(|targets| targets.iter().find(|target| target.id == member.id));
    let unknown = if health.is_some() { "unused" } else { UNSEEN };
    Instance {
        id: member.id,
        zone: member.zone,
        kind: member.kind,
        lifecycle: member.lifecycle,
        healthy: member.healthy,
        protected: member.protected,
        target: target.map_or(unknown, |target| &target.state).to_owned(),
        target_reason: target.and_then(|target| target.reason.clone()),
        version: word.and_then(|word| word.version.clone()),
        phase: word.and_then(|word| word.phase.clone()),
        consuming: word.and_then(|word| word.consuming),
        slots: word.and_then(|word| word.slots),
        busy: word.and_then(|word| word.busy),
        waiting: word.and_then(|word| word.waiting),
        word_age: word.map(|word| seconds_since(word.at, now)),
    }
}

impl Instance {
    /// Whether it serves, as far as the group is concerned.
    pub fn is_in_service(&self) -> bool {
        self.lifecycle == "InService"
    }

    /// Whether what the daemon said of itself still holds.
    pub fn is_heard(&self) -> bool {
        self.word_age.is_some_and(|age| age <= SILENT)
    }
}

fn totals(instances: &[Instance]) -> Totals {
    let mut totals = Totals { instances: instances.len(), ..Totals::default() };
    for instance in instances {
        totals.in_service += usize::from(instance.is_in_service());
        totals.healthy += usize::from(instance.target == "healthy");
        if instance.is_in_service() && instance.is_heard() {
            totals.slots += instance.slots.unwrap_or(0.0);
            totals.busy += instance.busy.unwrap_or(0.0);
        }
        if let Some(version) = instance.version.clone().filter(|_| instance.is_heard()) {
            *totals.versions.entry(version).or_default() += 1;
        }
    }
    totals
}

/// What is wrong, the worst first. `heard` says whether the daemons' words could be read.
fn wrong(status: &Status, heard: bool) -> Vec<String> {
    let mut found = Vec::new();
    let Status { group, instances, totals, .. } = status;
    if totals.healthy == 0 && !instances.iter().any(|instance| instance.target == UNSEEN) {
        found.push("no instance is healthy at the balancer: nothing is served".to_owned());
    }
    if totals.in_service < usize::try_from(group.desired).unwrap_or(usize::MAX) {
        found.push(format!(
            "{} instances are in service, and {} are wanted",
            totals.in_service, group.desired
        ));
    }
    for instance in instances {
        found.extend(wrong_with(instance, heard));
    }
    if totals.versions.len() > 1 {
        let count = |(version, count): (&String, &usize)| format!("{version} on {count}");
        let versions: Vec<String> = totals.versions.iter().map(count).collect();
        found.push(format!("versions are mixed: {}", versions.join(", ")));
    }
    if let Some(letters) = status.dead_letters.waiting.filter(|&letters| letters > 0.0) {
        found.push(format!("{letters} dead letters: `queue peek --dead-letters` shows them"));
    }
    if !group.suspended.is_empty() {
        found.push(format!("processes of the group are suspended: {}", group.suspended.join(", ")));
    }
    for Told { what, message, .. } in &group.failed {
        let why = message.as_ref().map_or_else(String::new, |why| format!(": {why}"));
        found.push(format!("failed in the last hour: {what}{why}"));
    }
    found
}

fn wrong_with(instance: &Instance, heard: bool) -> Option<String> {
    let Instance { id, lifecycle, target, .. } = instance;
    if !instance.healthy {
        return Some(format!("{id} is unhealthy to its group, which will replace it"));
    }
    if lifecycle == "Standby" {
        let but = if instance.is_heard() && instance.consuming == Some(true) {
            ", but still takes jobs"
        } else {
            ""
        };
        return Some(format!("{id} is isolated{but}: `fleet rejoin {id}` brings it back"));
    }
    // Instances that come or go are no trouble by themselves.
    if !instance.is_in_service() {
        return None;
    }
    if !["healthy", UNSEEN].contains(&target.as_str()) {
        let why = instance.target_reason.as_ref().map_or_else(String::new, |why| format!(" ({why})"));
        return Some(format!("{id} is {target} at the balancer{why}"));
    }
    match instance.word_age {
        None if heard => return Some(format!("{id} has never said anything of itself")),
        Some(age) if age > SILENT => return Some(format!("{id} was last heard {age} seconds ago")),
        None | Some(_) => {}
    }
    (instance.consuming == Some(false)).then(|| format!("{id} is in service, but takes no jobs"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(id: &str) -> Instance {
        Instance {
            id: id.to_owned(),
            zone: "us-east-1a".to_owned(),
            kind: "t4g.medium".to_owned(),
            lifecycle: "InService".to_owned(),
            healthy: true,
            protected: false,
            target: "healthy".to_owned(),
            target_reason: None,
            version: Some("0.1.0".to_owned()),
            phase: Some("serving".to_owned()),
            consuming: Some(true),
            slots: Some(2.0),
            busy: Some(1.0),
            waiting: Some(0.0),
            word_age: Some(30),
        }
    }

    fn status(instances: Vec<Instance>) -> Status {
        let queue = Queue { name: "q".to_owned(), waiting: None, oldest_seconds: None };
        let mut status = Status {
            at: String::new(),
            wrong: Vec::new(),
            unseen: Vec::new(),
            group: GroupState {
                name: "g".to_owned(),
                min: 1,
                desired: 1,
                max: 3,
                suspended: Vec::new(),
                under_way: Vec::new(),
                failed: Vec::new(),
                refresh: None,
            },
            totals: totals(&instances),
            instances,
            queue: queue.clone(),
            dead_letters: queue,
        };
        status.wrong = wrong(&status, true);
        status
    }

    #[test]
    fn nothing_is_wrong_with_a_fleet_that_serves() {
        let fine = status(vec![member("i-1"), Instance { lifecycle: "Pending".to_owned(), ..member("i-2") }]);
        assert_eq!(fine.wrong, [""; 0]);
        assert_eq!((fine.totals.in_service, fine.totals.slots, fine.totals.busy), (1, 2.0, 1.0));
    }

    #[test]
    fn each_trouble_is_told() {
        for (odd, expected) in [
            (Instance { healthy: false, ..member("i-1") }, "i-1 is unhealthy to its group"),
            (Instance { lifecycle: "Standby".to_owned(), ..member("i-1") }, "isolated, but still takes jobs"),
            (
                Instance { lifecycle: "Standby".to_owned(), consuming: Some(false), ..member("i-1") },
                "i-1 is isolated: `fleet rejoin i-1`",
            ),
            (
                Instance {
                    target: "unhealthy".to_owned(),
                    target_reason: Some("Target.Timeout".to_owned()),
                    ..member("i-1")
                },
                "i-1 is unhealthy at the balancer (Target.Timeout)",
            ),
            (Instance { word_age: None, ..member("i-1") }, "i-1 has never said anything"),
            (Instance { word_age: Some(181), ..member("i-1") }, "i-1 was last heard 181 seconds ago"),
            (Instance { consuming: Some(false), ..member("i-1") }, "in service, but takes no jobs"),
            (
                Instance { version: Some("0.2.0".to_owned()), ..member("i-1") },
                "mixed: 0.1.0 on 1, 0.2.0 on 1",
            ),
        ] {
            let found = status(vec![odd, member("i-2")]).wrong;
            assert!(found.len() == 1 && found[0].contains(expected), "{expected}: {found:?}");
        }
        let found = status(Vec::new()).wrong;
        assert!(found[0].contains("nothing is served") && found[1].contains("0 instances"), "{found:?}");
    }
}
