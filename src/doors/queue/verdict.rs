//! What is to become of a message, and what became of it.

use std::time::Duration;

use crate::domain::ids::RequestId;
use crate::domain::result::JobStatus;
use crate::domain::trace::Traced;
use crate::engine::Work;

/// What is to become of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is done: to be deleted.
    Done(JobStatus),
    /// Its result was offered until the deadline, and nobody took it: to be deleted.
    Unclaimed(JobStatus),
    /// It went back under a group of its own: this copy is to be deleted.
    Regrouped,
    /// Others may have it after this time.
    Back(Duration),
    /// No worker can do it: to be put aside, for the reason given.
    Buried(String),
    /// Another may have it already.
    Lost,
}

/// What became of a message: the closing event, as others count it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// Its name, if it had one.
    pub id: Option<RequestId>,
    /// What the queue calls the message.
    pub message: String,
    /// How often it has been received, this time included.
    pub receives: u32,
    /// Its place in the trace that it is part of.
    pub traced: Option<Traced>,
    /// The compiler, as its sender called it, where the message could be read.
    pub compiler: Option<String>,
    /// In one word: `done`, `unclaimed`, `regrouped`, `back`, `buried`, `lost`.
    pub outcome: &'static str,
    /// Whether we could not do our part, so that another is to try or nobody is.
    pub failed: bool,
    /// How the job ended, where it did.
    pub job: Option<JobStatus>,
    /// Whether the answer was remembered.
    pub cached: bool,
    /// When the job was in its slot, if it had one.
    pub work: Option<Work>,
    /// How long the message had been in the queue when it was received.
    pub queued: Duration,
    /// From the receive to the end.
    pub duration: Duration,
}

impl Verdict {
    /// The word for it.
    pub(super) const fn as_str(&self) -> &'static str {
        match self {
            Self::Done(_) => "done",
            Self::Unclaimed(_) => "unclaimed",
            Self::Regrouped => "regrouped",
            Self::Back(_) => "back",
            Self::Buried(_) => "buried",
            Self::Lost => "lost",
        }
    }

    /// Whether it tells of a failure of ours. What goes back at once was not begun.
    pub(super) const fn is_failure(&self) -> bool {
        match self {
            Self::Back(after) => !after.is_zero(),
            Self::Buried(_) => true,
            Self::Done(_) | Self::Unclaimed(_) | Self::Regrouped | Self::Lost => false,
        }
    }

    /// How the job ended, if it did.
    pub(super) const fn job(&self) -> Option<JobStatus> {
        match self {
            Self::Done(status) | Self::Unclaimed(status) => Some(*status),
            Self::Buried(_) => Some(JobStatus::Rejected),
            Self::Regrouped | Self::Back(_) | Self::Lost => None,
        }
    }
}
