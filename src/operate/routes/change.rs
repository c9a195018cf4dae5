//! One row set or deleted, unless another operator was there first.

use std::time::SystemTime;

use crate::aws::{RouteTable, TableRow, Written};
use crate::operate::routes::row::{Row, Target};
use crate::operate::routes::trouble;
use crate::operate::trouble::Trouble;

/// A row before and after.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Changed {
    /// Its key.
    pub key: String,
    /// As it was.
    pub before: Option<Row>,
    /// As it is now, or would be.
    pub after: Option<Row>,
    /// Whether anything had to be written: a row that leads there already is left alone.
    pub change: bool,
    /// Whether it changed while we looked; then nothing was written.
    pub overtaken: bool,
}

/// Sets the row under `key` to lead to `target`, or deletes it if that is nothing. A dry run only says what would be.
pub async fn set(
    table: &RouteTable,
    region: &str,
    key: &str,
    target: Option<&Target>,
    dry_run: bool,
) -> Result<Changed, Trouble> {
    let seen = table.row(key).await;
    let seen = seen.map_err(|fault| trouble(table, region, "read a row of", "dynamodb:GetItem", fault))?;
    let before = seen.as_ref().map(Row::read);
    let environment = key.split_once('#').map(|(environment, _)| environment);
    let texts = target.map(|target| target.texts(environment, SystemTime::now()));
    let after = texts.as_ref().map(|texts| Row::read(&TableRow::over(seen.as_ref(), key, texts)));
    // A row of the wrong form says the same as a good one, and is written anew.
    let same = |seen: &TableRow| {
        let texts = texts.as_ref();
        texts.is_some_and(|texts| {
            texts.iter().all(|(name, text)| name == "lastUpdated" || seen.texts.get(name) == Some(text))
        })
    };
    let change = match (&seen, &texts) {
        (None, None) => false,
        (Some(seen), Some(_)) => !same(seen),
        _ => true,
    };
    let mut changed = Changed { key: key.to_owned(), before, after, change, overtaken: false };
    if !change || dry_run {
        return Ok(changed);
    }
    let written = match (&texts, &seen) {
        (Some(texts), seen) => table
            .set(key, texts, seen.as_ref())
            .await
            .map_err(|fault| trouble(table, region, "write a row of", "dynamodb:UpdateItem", fault))?,
        (None, Some(seen)) => table
            .delete(seen)
            .await
            .map_err(|fault| trouble(table, region, "delete a row of", "dynamodb:DeleteItem", fault))?,
        (None, None) => Written::Done,
    };
    changed.overtaken = written == Written::Overtaken;
    Ok(changed)
}
