//! What is really active, said plainly.

use serde::Serialize;

/// The walls around every job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Protections {
    /// `jail`, `strict` or `none`.
    pub mode: &'static str,
    /// Whether jobs run as users of their own, or all as the daemon's.
    pub own_users: bool,
    /// The Landlock version; 0 without.
    pub landlock: u32,
    /// System calls within reach; `None` without a filter.
    pub syscalls: Option<usize>,
    /// Who limits memory and processes.
    pub limits: LimitKeeper,
}

/// Who limits memory and processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitKeeper {
    /// Control groups, version 2: the tree as a whole.
    CgroupV2,
    /// Control groups, version 1: the tree as a whole.
    CgroupV1,
    /// Resource limits: each process for itself.
    Rlimits,
}
