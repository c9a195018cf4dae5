//! What `routes` shows to people.

use std::fmt::Write as _;

use crate::cli::table::{Table, plain, shown};
use crate::operate::routes::{Changed, Finding, Plan, Row};

/// Steps of a plan that are listed one by one.
const LISTED: usize = 200;

pub(super) fn rows(rows: &[Row]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&["environment", "compiler", "leads to", "written"]);
    for row in rows {
        table.row([
            row.environment.clone().unwrap_or_else(|| "(any)".to_owned()),
            row.compiler.clone(),
            row.target.to_string(),
            row.updated.clone().unwrap_or_else(|| "-".to_owned()),
        ]);
    }
    table.render()
}

pub(super) fn changed(changed: &Changed, dry_run: bool) -> String {
    let told = match (changed.change, dry_run, changed.overtaken) {
        (false, ..) => "nothing to do",
        (true, true, _) => "would be written",
        (true, false, false) => "written",
        (true, false, true) => "not written",
    };
    let (before, after) = (leads(changed.before.as_ref()), leads(changed.after.as_ref()));
    format!("row     {}\nbefore  {before}\nafter   {after}\n{told}\n", shown(&changed.key))
}

fn leads(row: Option<&Row>) -> String {
    row.map_or_else(|| "no row".to_owned(), |row| shown(&row.target.to_string()))
}

pub(super) fn plan(plan: &Plan, dry_run: bool) -> String {
    let mut table = Table::new(&["step", "row", "before", "after"]);
    for step in plan.steps.iter().take(LISTED) {
        let cells = [leads(step.before.as_ref()), leads(step.after.as_ref())];
        let [before, after] = cells;
        table.row([step.word().to_owned(), step.key.clone(), before, after]);
    }
    let mut page = if table.is_empty() { String::new() } else { table.render() };
    if plan.steps.len() > LISTED {
        // Writing to a String cannot fail.
        let _infallible =
            writeln!(page, "and {} more; --json lists them all", plan.steps.len() - LISTED).is_err();
    }
    let [add, change, delete] = ["add", "change", "delete"].map(|word| plan.count(word));
    let would = if dry_run { "; nothing was changed" } else { "" };
    let _infallible = writeln!(
        page,
        "{add} to add, {change} to change, {delete} to delete, {} as they should be{would}",
        plan.same
    )
    .is_err();
    page
}

pub(super) fn findings(findings: &[Finding]) -> String {
    if findings.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&["", "row", "what"]);
    for finding in findings {
        table.row([kind(finding), &finding.key, ""]);
    }
    let widest = |cell: fn(&Finding) -> usize| findings.iter().map(cell).max().unwrap_or(0);
    // Two columns, each with its gap.
    let at =
        widest(|finding| kind(finding).len()) + widest(|finding| shown(&finding.key).chars().count()) + 4;
    // What is wrong may be long, and is the point: it is not cut.
    let mut page = String::new();
    for (line, finding) in table.render().lines().skip(1).zip(findings) {
        let _infallible = writeln!(page, "{line:<at$}{}", plain(&finding.what)).is_err();
    }
    page
}

/// What a finding is, in a word.
const fn kind(finding: &Finding) -> &'static str {
    match (finding.wrong, finding.unseen) {
        (true, _) => "WRONG",
        (false, true) => "unseen",
        (false, false) => "note",
    }
}
