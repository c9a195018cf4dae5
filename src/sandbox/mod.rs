//! Starts one untrusted program at a time, and guarantees that it and all it starts end.

mod bare;
mod capture;
mod cgroup;
mod handle;
mod ids;
mod jail;
mod launch;
pub mod probe;
mod protections;
mod run;
mod spec;
mod standing;
mod told;
mod workspace;

pub use cgroup::NoCgroups;
pub use handle::{Berth, Sandbox};
pub use jail::helper::main as helper_main;
pub use jail::protocol::Step;
pub use launch::{HELPER_COMMAND, LaunchError, Launched};
pub use protections::{LimitKeeper, Protections};
pub use run::RunError;
pub use spec::{Captured, Finished, Job, JobFile, Mode, Settings, UnknownMode, Usage, WORK_DIR};
pub use workspace::{ReadError, Workspace};

/// Takes a result whose failure changes nothing: what was wanted is so already, or nobody is left to be told.
fn never_mind<T, E>(_: Result<T, E>) {}
