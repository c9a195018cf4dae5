//! What an import would do to the table, and doing it.

use std::collections::{BTreeSet, HashMap};
use std::time::SystemTime;

use serde::Serialize;

use crate::aws::{LARGEST_WRITE, RouteTable, TableRow};
use crate::operate::routes::import::Entry;
use crate::operate::routes::row::Row;
use crate::operate::routes::trouble;
use crate::operate::trouble::Trouble;

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    /// Every row that is written or deleted, by key.
    pub steps: Vec<Step>,
    /// How many rows are as they should be already.
    pub same: usize,
    put: Vec<TableRow>,
    delete: Vec<String>,
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
        plan.put.push(after);
    }
    if prune {
        let named: BTreeSet<&str> = entries.iter().map(|entry| entry.key.as_str()).collect();
        let environments: BTreeSet<Option<&str>> =
            entries.iter().map(|entry| entry.environment.as_deref()).collect();
        for row in rows.iter().filter(|row| !named.contains(row.key.as_str())) {
            let before = Row::read(row);
            if environments.contains(&before.environment.as_deref()) {
                plan.delete.push(row.key.clone());
                plan.steps.push(Step { key: row.key.clone(), before: Some(before), after: None });
            }
        }
    }
    plan.steps.sort_by(|a, b| a.key.cmp(&b.key));
    plan
}

/// Carries a plan out, additions and changes first. If it fails on its way, what is written stays: the same import brings
/// the rest. `tell` hears how many rows are done.
pub async fn apply(
    table: &RouteTable,
    region: &str,
    plan: &Plan,
    mut tell: impl FnMut(usize),
) -> Result<(), Trouble> {
    let failed = |done: usize, fault| {
        let doing = format!("write all rows ({done} of {} are written) to", plan.steps.len());
        trouble(table, region, &doing, "dynamodb:BatchWriteItem", fault)
    };
    let mut done = 0;
    for batch in plan.put.chunks(LARGEST_WRITE) {
        table.write(batch, &[]).await.map_err(|fault| failed(done, fault))?;
        done += batch.len();
        tell(done);
    }
    for batch in plan.delete.chunks(LARGEST_WRITE) {
        let keys: Vec<&str> = batch.iter().map(String::as_str).collect();
        table.write(&[], &keys).await.map_err(|fault| failed(done, fault))?;
        done += batch.len();
        tell(done);
    }
    Ok(())
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
