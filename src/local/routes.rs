//! The routing table in this process: a map that tests and a laptop's configuration fill.

use std::collections::BTreeMap;
use std::sync::Mutex;

use crate::local::lock;
use crate::ports::{Color, Keyed, LookupError, Pending, RouteRow, RouteStore};

/// A routing table.
#[derive(Debug)]
pub struct LocalRoutes {
    rows: Mutex<BTreeMap<String, RouteRow>>,
    color: Mutex<Color>,
}

impl Default for LocalRoutes {
    fn default() -> Self {
        Self::new()
    }
}

impl LocalRoutes {
    /// An empty table, blue.
    pub fn new() -> Self {
        Self { rows: Mutex::default(), color: Mutex::new(Color::Blue) }
    }

    /// Puts a row under its key, in place of an old one.
    pub fn put(&self, row: RouteRow) {
        lock(&self.rows).insert(row.key.clone(), row);
    }

    /// Removes the row under this key; false if there was none.
    pub fn remove(&self, key: &str) -> bool {
        lock(&self.rows).remove(key).is_some()
    }

    /// Makes a color the live one.
    pub fn activate(&self, color: Color) {
        *lock(&self.color) = color;
    }
}

impl RouteStore for LocalRoutes {
    fn lookup<'a>(&'a self, key: &'a str) -> Pending<'a, Result<Option<RouteRow>, LookupError>> {
        Box::pin(async move { Ok(lock(&self.rows).get(key).cloned()) })
    }

    fn all(&self) -> Pending<'_, Result<Vec<Keyed>, LookupError>> {
        Box::pin(async move {
            let rows = lock(&self.rows);
            Ok(rows.iter().map(|(key, row)| (key.clone(), Some(row.clone()))).collect())
        })
    }

    fn active_color(&self) -> Pending<'_, Result<Color, LookupError>> {
        Box::pin(async move { Ok(*lock(&self.color)) })
    }
}
