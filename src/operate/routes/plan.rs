//! What an import would do to the table, and doing it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, SystemTime};

use futures_util::{StreamExt as _, stream};
use serde::Serialize;
use tokio::time::sleep;

use crate::aws::{Fault, Kind, RouteTable, TableRow, Written};
use crate::operate::routes::import::Entry;
use crate::operate::routes::row::Row;
use crate::operate::routes::trouble;
use crate::operate::trouble::Trouble;

/// Rows that are written at once: each takes a call of its own, as it expects something of its own.
const AT_ONCE: usize = 8;
/// How often what the table had no room for is written again.
const TRIES: u32 = 8;
/// First and longest pause before that.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    /// Every row that is written or deleted, by key.
    pub steps: Vec<Step>,
    /// How many rows are as they should be already.
    pub same: usize,
    writes: Vec<Write>,
}

/// A row as it was seen, and what is to be made of it.
#[derive(Debug, Clone, PartialEq)]
struct Write {
    key: String,
    seen: Option<TableRow>,
    /// The attributes that are set; none for a row that is deleted.
    texts: Option<BTreeMap<String, String>>,
}

/// What became of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Applied {
    /// Rows that were written or deleted.
    pub done: usize,
    /// Rows that somebody else changed meanwhile, by key: they are as they left them.
    pub overtaken: Vec<String>,
}

/// One row's change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Its key.
    pub key: String,
    /// As it is.
    pub before: Option<Row>,
    /// As it will be.
    pub after: Option<Row>,
}

impl Step {
    /// In one word: `add`, `change`, `delete`.
    pub const fn word(&self) -> &'static str {
        match (&self.before, &self.after) {
            (None, _) => "add",
            (Some(_), Some(_)) => "change",
            (Some(_), None) => "delete",
        }
    }
}

impl Plan {
    /// How many steps of this word there are.
    pub fn count(&self, word: &str) -> usize {
        self.steps.iter().filter(|step| step.word() == word).count()
    }
}

/// What brings the table to say what the file says. With `prune`, rows that the file does not name are deleted, but only
/// those of environments that it names.
pub fn plan(rows: &[TableRow], entries: &[Entry], prune: bool, now: SystemTime) -> Plan {
    let there: HashMap<&str, &TableRow> = rows.iter().map(|row| (row.key.as_str(), row)).collect();
    let mut plan = Plan::default();
    for entry in entries {
        let texts = entry.target.texts(entry.environment.as_deref(), now);
        let before = there.get(entry.key.as_str()).copied();
        let is_same = before.is_some_and(|row| {
            texts.iter().all(|(name, text)| name == "lastUpdated" || row.texts.get(name) == Some(text))
        });
        if is_same {
            plan.same += 1;
            continue;
        }
        let after = TableRow::over(before, &entry.key, &texts);
        plan.steps.push(Step {
            key: entry.key.clone(),
            before: before.map(Row::read),
            after: Some(Row::read(&after)),
        });
        plan.writes.push(Write { key: entry.key.clone(), seen: before.cloned(), texts: Some(texts) });
    }
    if prune {
        let named: BTreeSet<&str> = entries.iter().map(|entry| entry.key.as_str()).collect();
        let environments: BTreeSet<Option<&str>> =
            entries.iter().map(|entry| entry.environment.as_deref()).collect();
        for row in rows.iter().filter(|row| !named.contains(row.key.as_str())) {
            let before = Row::read(row);
            if environments.contains(&before.environment.as_deref()) {
                plan.writes.push(Write { key: row.key.clone(), seen: Some(row.clone()), texts: None });
                plan.steps.push(Step { key: row.key.clone(), before: Some(before), after: None });
            }
        }
    }
    plan.steps.sort_by(|a, b| a.key.cmp(&b.key));
    plan
}

/// Carries a plan out, additions and changes first; a row that is no longer as it was seen stays as it is. If it fails on
/// its way, what is written stays: the same import brings the rest. `tell` hears how many rows are done.
pub async fn apply(
    table: &RouteTable,
    region: &str,
    plan: &Plan,
    mut tell: impl FnMut(usize),
) -> Result<Applied, Trouble> {
    let mut applied = Applied::default();
    for deletes in [false, true] {
        let writes = plan.writes.iter().filter(|write| write.texts.is_none() == deletes);
        let mut writes = stream::iter(writes.map(|write| patiently(table, write))).buffer_unordered(AT_ONCE);
        while let Some(written) = writes.next().await {
            match written {
                Ok((_, Written::Done)) => applied.done += 1,
                Ok((key, Written::Overtaken)) => applied.overtaken.push(key.to_owned()),
                Err((action, fault)) => {
                    let done = applied.done;
                    let doing = format!("write all rows ({done} of {} are written) to", plan.steps.len());
                    return Err(trouble(table, region, &doing, action, fault));
                }
            }
            tell(applied.done);
        }
    }
    applied.overtaken.sort();
    Ok(applied)
}

/// Writes a row, and again, ever more slowly, for as long as the table has no room.
async fn patiently<'a>(
    table: &RouteTable,
    write: &'a Write,
) -> Result<(&'a str, Written), (&'static str, Fault)> {
    let mut pause = PAUSE.0;
    for _ in 1..TRIES {
        match once(table, write).await {
            Err((_, fault)) if fault.kind == Kind::Throttled => {
                sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
                pause = PAUSE.1.min(pause * 2);
            }
            other => return other,
        }
    }
    once(table, write).await
}

async fn once<'a>(table: &RouteTable, write: &'a Write) -> Result<(&'a str, Written), (&'static str, Fault)> {
    let Write { key, seen, texts } = write;
    let (action, written) = match (texts, seen) {
        (Some(texts), seen) => ("dynamodb:UpdateItem", table.set(key, texts, seen.as_ref()).await),
        (None, Some(seen)) => ("dynamodb:DeleteItem", table.delete(seen).await),
        (None, None) => return Ok((key, Written::Done)),
    };
    let written = written.map_err(|fault| (action, fault))?;
    if written == Written::Done {
        return Ok((key, written));
    }
    // Of a call that was repeated because its answer was lost, the first did it.
    let now = table.row(key).await.map_err(|fault| ("dynamodb:GetItem", fault))?;
    let ours = match (&now, texts) {
        (Some(now), Some(texts)) => texts.iter().all(|(name, text)| now.texts.get(name) == Some(text)),
        (None, None) => true,
        _ => false,
    };
    Ok((key, if ours { Written::Done } else { Written::Overtaken }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operate::routes::row::Target;

    fn entry(environment: Option<&str>, compiler: &str, queue: &str) -> Entry {
        Entry {
            key: crate::operate::routes::key(environment, compiler),
            environment: environment.map(ToOwned::to_owned),
            target: Target::Queue(Some(queue.to_owned())),
        }
    }

    fn row(entry: &Entry) -> TableRow {
        let texts = entry.target.texts(entry.environment.as_deref(), SystemTime::UNIX_EPOCH);
        TableRow::over(None, &entry.key, &texts)
    }

    fn words(plan: &Plan) -> Vec<String> {
        plan.steps.iter().map(|step| format!("{} {}", step.word(), step.key)).collect()
    }

    #[test]
    fn only_what_differs_is_written_and_only_on_request_deleted() {
        let prod = |compiler, queue| entry(Some("prod"), compiler, queue);
        let rows = [
            row(&prod("same", "q")),
            row(&prod("other", "q")),
            row(&prod("gone", "q")),
            row(&entry(Some("beta"), "gone", "q")),
            row(&entry(None, "bare", "q")),
        ];
        let file = [prod("same", "q"), prod("other", "new"), prod("fresh", "q")];
        let plan = |prune| super::plan(&rows, &file, prune, SystemTime::now());
        assert_eq!(words(&plan(false)), ["add prod#fresh", "change prod#other"]);
        assert_eq!(plan(false).same, 1);
        assert_eq!(words(&plan(true)), ["add prod#fresh", "delete prod#gone", "change prod#other"]);
        assert_eq!((plan(true).count("delete"), plan(true).count("add")), (1, 1));
    }
}
