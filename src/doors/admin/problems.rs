//! What is wrong, in words: what an operator would conclude from the figures.

use super::status::{Level, Now, Problem};
use crate::lifecycle::Phase;

/// Of so many requests one may fail before that is trouble: the error rate that is promised, 0.1 %.
const ONE_OF: u64 = 1000;
/// Messages older than this when they come, in milliseconds, are what the alarm on the queue is about too.
const OLD_MS: f64 = 30_000.0;

impl Now {
    /// Everything that is wrong or worth knowing, the worst first.
    pub(super) fn problems(&self) -> Vec<Problem> {
        let mut found = Vec::new();
        let mut say = |level, text: String| found.push(Problem { level, text });
        self.judge_life(&mut say);
        self.judge_work(&mut say);
        self.judge_fleet(&mut say);
        self.judge_house(&mut say);
        found.sort_by_key(|problem| problem.level);
        found
    }

    fn judge_life(&self, say: &mut impl FnMut(Level, String)) {
        match self.phase {
            Phase::Starting => say(Level::Note, "Starting: it takes no requests yet.".to_owned()),
            Phase::Draining => {
                say(Level::Note, "Draining: it finishes what it has, and takes nothing new.".to_owned());
            }
            Phase::Killing => {
                say(Level::Warning, "Its time to finish is over: what still runs is killed.".to_owned());
            }
            Phase::Serving | Phase::Stopped => {}
        }
        if self.phase == Phase::Serving && !self.paused_by.is_empty() {
            let causes = self.paused_by.join(", ");
            let queue = if self.consuming {
                "a receive under way may still bring something from its queue"
            } else {
                "it takes nothing from its queue"
            };
            say(
                Level::Note,
                format!("Paused ({causes}): {queue}, and it answers what it is sent over HTTP."),
            );
        }
        if let Some(trouble) = &self.trouble {
            say(Level::Trouble, format!("It cannot do its main job: {trouble}."));
        }
        if self.compilers.total == 0 {
            let level = if self.has_fleet { Level::Note } else { Level::Trouble };
            say(level, "There are no compilers here.".to_owned());
        }
    }

    fn judge_work(&self, say: &mut impl FnMut(Level, String)) {
        let (lately, slots) = (&self.lately, &self.slots);
        let all = lately.requests + lately.messages;
        if lately.failed > 0 {
            let level = if lately.failed * ONE_OF > all { Level::Trouble } else { Level::Warning };
            say(
                level,
                format!(
                    "{} of {all} in the last minute failed through our fault.",
                    some(lately.failed, "request")
                ),
            );
        }
        if lately.jail_failures > 0 {
            let jails = some(lately.jail_failures, "jail");
            say(Level::Trouble, format!("{jails} could not be built or watched in the last minute."));
        }
        if lately.refused > 0 {
            let requests = some(lately.refused, "request");
            say(Level::Warning, format!("{requests} of {all} in the last minute found no room (503)."));
        }
        if slots.busy >= slots.total && slots.waiting > 0 {
            let waiting = some(slots.waiting as u64, "request");
            say(Level::Warning, format!("Every slot is busy, and {waiting} must wait."));
        }
    }

    fn judge_fleet(&self, say: &mut impl FnMut(Level, String)) {
        if self.hub.as_ref().is_some_and(|hub| hub.connections == 0) {
            say(
                Level::Trouble,
                "There is no connection to the events hub: results wait here, and none come.".to_owned(),
            );
        }
        if let Some(age) = self.lately.message_age_p95_ms.filter(|age| *age > OLD_MS) {
            let seconds = age / 1e3;
            say(Level::Warning, format!("Messages had been in the queue for {seconds:.0} s when they came."));
        }
        let buried = self.queue.as_ref().and_then(|queue| queue.messages.get("buried").copied());
        if let Some(buried) = buried.filter(|buried| *buried > 0) {
            let messages = some(buried, "message");
            say(Level::Warning, format!("{messages} went to the dead letters since the start."));
        }
    }

    fn judge_house(&self, say: &mut impl FnMut(Level, String)) {
        let (compilers, dropped) = (&self.compilers, self.process.log_dropped_lines);
        let panicked: u64 = self.tasks.values().map(|census| census.panicked).sum();
        if panicked > 0 {
            say(Level::Warning, format!("{} ended by a panic since the start.", some(panicked, "task")));
        }
        if compilers.reload_failures > 0 {
            let reloads = some(compilers.reload_failures, "reload");
            say(Level::Warning, format!("{reloads} of the catalogue failed since the start."));
        }
        if compilers.problems > 0 {
            let lines = some(compilers.problems, "part");
            say(Level::Warning, format!("{lines} of the catalogue could not be used; the log says which."));
        }
        if dropped > 0 {
            say(
                Level::Warning,
                format!("{} dropped: the log's reader is too slow.", some(dropped, "log line")),
            );
        }
    }
}

/// `1 request`, `2 requests`
fn some(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::doors::admin::status::{Compilers, Hub, Process, Queue, Slots, Status};
    use crate::lifecycle::Census;
    use crate::telemetry::history::{History, Levels};
    use crate::telemetry::recent::Recent;

    fn well() -> Now {
        let (recent, now) = (Recent::default(), tokio::time::Instant::now());
        Now {
            version: "0.1.0",
            instance: "here".to_owned(),
            time: String::new(),
            uptime_seconds: 7,
            phase: Phase::Serving,
            consuming: true,
            paused_by: Vec::new(),
            trouble: None,
            has_fleet: false,
            slots: Slots { total: 2, busy: 2, waiting: 0, wait_limit: 64, oldest_job_seconds: None },
            lately: History::new(now).lately(Levels::default(), &recent, now),
            http_connections: 1,
            process: Process { resident_bytes: 1, threads: 1, log_dropped_lines: 0 },
            caches: BTreeMap::new(),
            compilers: Compilers { total: 1, problems: 0, reload_failures: 0, named: Vec::new() },
            queue: None,
            hub: None,
            routing: BTreeMap::new(),
            tasks: BTreeMap::new(),
        }
    }

    fn told(change: impl FnOnce(&mut Now)) -> Vec<(Level, String)> {
        let mut now = well();
        change(&mut now);
        now.problems().into_iter().map(|problem| (problem.level, problem.text)).collect()
    }

    #[test]
    fn each_trouble_has_its_words() {
        type Change = fn(&mut Now);
        let cases: [(Change, Level, &str); 17] = [
            (
                |now| (now.consuming, now.paused_by) = (false, vec!["standby"]),
                Level::Note,
                "Paused (standby): it takes nothing",
            ),
            (
                |now| now.paused_by = vec!["standby"],
                Level::Note,
                "Paused (standby): a receive under way may still bring",
            ),
            (|now| now.phase = Phase::Draining, Level::Note, "Draining: it finishes"),
            (|now| now.phase = Phase::Killing, Level::Warning, "is killed"),
            (
                |now| now.trouble = Some("a job is stuck".to_owned()),
                Level::Trouble,
                "main job: a job is stuck.",
            ),
            (|now| now.compilers.total = 0, Level::Trouble, "no compilers"),
            (|now| (now.compilers.total, now.has_fleet) = (0, true), Level::Note, "no compilers"),
            (
                |now| (now.lately.failed, now.lately.requests) = (2, 1999),
                Level::Trouble,
                "2 requests of 1999 in",
            ),
            (
                |now| (now.lately.failed, now.lately.messages) = (1, 1000),
                Level::Warning,
                "1 request of 1000 in",
            ),
            (|now| now.lately.jail_failures = 1, Level::Trouble, "1 jail could"),
            (
                |now| now.lately.refused = 3,
                Level::Warning,
                "3 requests of 0 in the last minute found no room",
            ),
            (|now| now.slots.waiting = 1, Level::Warning, "Every slot is busy, and 1 request must wait."),
            (|now| now.lately.message_age_p95_ms = Some(31_000.0), Level::Warning, "in the queue for 31 s"),
            (|now| now.process.log_dropped_lines = 9, Level::Warning, "9 log lines dropped"),
            (|now| now.compilers.reload_failures = 1, Level::Warning, "1 reload of"),
            (|now| now.compilers.problems = 4, Level::Warning, "4 parts of"),
            (
                |now| {
                    now.tasks.insert("x", Census { alive: 0, started: 1, panicked: 1 });
                },
                Level::Warning,
                "1 task ended by a panic",
            ),
        ];
        for (change, level, words) in cases {
            let told = told(change);
            assert!(told.len() == 1 && told[0].0 == level && told[0].1.contains(words), "{words}: {told:?}");
        }
        assert_eq!(told(|_| {}), []);
        assert_eq!(told(|now| now.lately.message_age_p95_ms = Some(29_000.0)), []);
    }

    #[test]
    fn the_fleet_has_its_own() {
        let hub = |connections| Hub {
            connections,
            subscriptions: 0,
            offers: 0,
            offers_bytes: 0,
            connections_made: 0,
            results_repeated: 0,
        };
        assert_eq!(told(|now| now.hub = Some(hub(1))), []);
        assert_eq!(told(|now| now.hub = Some(hub(0)))[0].0, Level::Trouble);
        let queue = |buried| Queue { name: "q".to_owned(), messages: BTreeMap::from([("buried", buried)]) };
        assert_eq!(told(|now| now.queue = Some(queue(0))), []);
        assert!(told(|now| now.queue = Some(queue(2)))[0].1.starts_with("2 messages went to the dead"));
    }

    #[test]
    fn the_worst_comes_first_and_names_the_state() {
        let mut now = well();
        now.process.log_dropped_lines = 1;
        let past = || crate::doors::admin::status::Past { period_seconds: 5, most: 1, samples: Vec::new() };
        assert_eq!(Status::new(now.clone(), Vec::new(), past()).state, "serving");
        now.paused_by = vec!["operator", "standby"];
        assert_eq!(Status::new(now.clone(), Vec::new(), past()).state, "paused");
        now.lately.jail_failures = 1;
        let status = Status::new(now.clone(), Vec::new(), past());
        assert_eq!((status.state, status.problems[0].level), ("trouble", Level::Trouble));
        now.phase = Phase::Draining;
        assert_eq!(Status::new(now, Vec::new(), past()).state, "draining");
    }
}
