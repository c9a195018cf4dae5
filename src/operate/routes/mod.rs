//! The routing table, as its operator sees it (contract-cloud 2): listed, changed row by row or from a file, and looked
//! through for what would lead requests astray.

mod change;
mod import;
mod plan;
mod row;
mod validate;

pub use change::{Changed, set};
pub use import::{Entry, ImportError, Mistake, check, read_csv, read_json};
pub use plan::{Applied, Plan, Step, apply, plan};
pub use row::{Row, Target, key};
pub use validate::{Finding, Grounds, Installed, validate};

use crate::aws::{Fault, RouteTable, TableRow};
use crate::operate::trouble::{Call, Trouble};

/// Every row of the table, by key. `tell` hears how many there are so far.
pub async fn rows(
    table: &RouteTable,
    region: &str,
    tell: impl FnMut(usize),
) -> Result<Vec<TableRow>, Trouble> {
    let mut rows = table
        .rows(tell)
        .await
        .map_err(|fault| trouble(table, region, "read the rows of", "dynamodb:Scan", fault))?;
    rows.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(rows)
}

/// What a failed call on the table means.
fn trouble(table: &RouteTable, region: &str, doing: &str, action: &'static str, fault: Fault) -> Trouble {
    let thing = format!("table {}", table.name());
    Trouble::new(&Call { doing, thing: &thing, action, key: "routing.table" }, region, fault)
}
