//! Starts one untrusted program at a time, and guarantees that it and all it starts end.

mod bare;
mod capture;
mod cgroup;
mod jail;
mod launch;
mod protections;
mod run;
mod spec;
mod standing;
mod workspace;

pub use jail::helper::main as helper_main;
pub use jail::protocol::Step;
pub use launch::{HELPER_COMMAND, LaunchError, Launched, Sandbox};
pub use protections::Protections;
pub use run::RunError;
pub use spec::{Captured, Finished, Job, JobFile, Mode, Settings, UnknownMode, Usage, WORK_DIR};
pub use workspace::{ReadError, Workspace};
