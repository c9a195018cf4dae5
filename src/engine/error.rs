//! Why the engine has no answer.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::class::{Class, Classify};
use crate::engine::flight::LostError;
use crate::engine::plan::PlanError;
use crate::engine::probe::ProbeError;
use crate::engine::slots::SlotError;
use crate::sandbox::{ReadError, RunError};

/// Why there is no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CompileError {
    /// The request cannot be planned.
    #[error(transparent)]
    Plan(Arc<PlanError>),
    /// The compiler did not say what it can do.
    #[error("could not find out what the compiler can do")]
    Probe(#[source] Arc<ProbeError>),
    /// The compiler is not there any more.
    #[error("could not look at the compiler {path}")]
    Toolchain {
        /// Its path.
        path: String,
        /// What the system said.
        #[source]
        source: Arc<std::io::Error>,
    },
    /// No slot.
    #[error(transparent)]
    Slot(#[from] SlotError),
    /// The jail failed.
    #[error("could not run the compiler in the jail")]
    Run(#[source] Arc<RunError>),
    /// The output could not be read back.
    #[error("could not read what the compiler wrote")]
    Read(#[source] Arc<ReadError>),
    /// The task that did the work panicked.
    #[error(transparent)]
    Lost(#[from] LostError),
    /// The process is being stopped and the job never began.
    #[error("the worker is stopping, ask another")]
    Stopped,
    /// The process is being stopped and the job was killed.
    #[error("the worker had to stop before the job's end")]
    Killed,
}

impl CompileError {
    /// Whether only the caller's time ran out: another caller may have more.
    pub(crate) fn is_impatience(&self) -> bool {
        match self {
            Self::Slot(SlotError::Expired { .. }) => true,
            Self::Run(error) => matches!(**error, RunError::NoJail),
            _ => false,
        }
    }

    /// When it is worth trying again, if waiting helps.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Slot(SlotError::Full { retry_after, .. }) => Some(*retry_after),
            _ => None,
        }
    }
}

impl Classify for CompileError {
    fn class(&self) -> Class {
        match self {
            Self::Plan(error) => error.class(),
            Self::Slot(SlotError::Full { .. }) => Class::Busy,
            Self::Slot(SlotError::Expired { .. }) => Class::Expired,
            Self::Probe(error) => error.class(),
            Self::Run(error) => error.class(),
            Self::Stopped => Class::Draining,
            Self::Toolchain { .. } | Self::Read(_) | Self::Lost(_) | Self::Killed => Class::Internal,
        }
    }
}
