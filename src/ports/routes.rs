//! Which queue or URL serves a compiler.

use std::fmt;

use crate::domain::class::{Class, Classify};
use crate::ports::{Cause, Pending};

/// Where requests for one compiler go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteRow {
    /// The row's key: `<environment>#<compiler>`, or the bare compiler.
    pub key: String,
    /// Where to.
    pub target: RouteTarget,
    /// The environment that owns the row.
    pub environment: Option<String>,
}

/// Where to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteTarget {
    /// This queue, by its name without color.
    Queue(String),
    /// The environment's default queue: the row names neither queue nor URL.
    DefaultQueue,
    /// This URL, complete.
    Url(String),
}

/// A key, and the row under it if it is one.
pub type Keyed = (String, Option<RouteRow>);

/// Which half of a blue/green deployment is live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Color {
    /// Also what a missing or unknown value means.
    Blue,
    /// The other.
    Green,
}

impl Color {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Blue, Self::Green];

    /// The name shown to people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Blue => "blue",
            Self::Green => "green",
        }
    }
}

/// The routing table, read only. It caches nothing: that is the router's trade.
pub trait RouteStore: Send + Sync + fmt::Debug {
    /// The row under exactly this key; `None` when there is none, which is not the same as a lookup that failed.
    fn lookup<'a>(&'a self, key: &'a str) -> Pending<'a, Result<Option<RouteRow>, LookupError>>;

    /// All keys, each with its row if it is one. It reads the whole table, and is for the start alone.
    fn all(&self) -> Pending<'_, Result<Vec<Keyed>, LookupError>>;

    /// The live color.
    fn active_color(&self) -> Pending<'_, Result<Color, LookupError>>;
}

/// Why a route is not known.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    /// The store did not answer, or said "later".
    #[error("could not look up {what}")]
    Unreachable {
        /// The key, or the active color.
        what: String,
        /// What the adapter knows.
        #[source]
        source: Cause,
    },
    /// The store holds something that is no row.
    #[error("the row {key} is malformed: {wrong}")]
    Malformed {
        /// Its key.
        key: String,
        /// What is wrong.
        wrong: String,
    },
}

impl Classify for LookupError {
    fn class(&self) -> Class {
        match self {
            Self::Unreachable { .. } | Self::Malformed { .. } => Class::Upstream,
        }
    }
}
