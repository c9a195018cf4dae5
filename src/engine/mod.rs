//! Turns a request into an answer. (Replaced on merge by the real engine; only what the doors name stands here.)

use bytes::Bytes;

use crate::domain::result::JobStatus;

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rendition {
    /// Compiler Explorer's JSON.
    Json,
    /// The listing as text, between comments.
    Text,
}

/// A rendered answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The body, in two pieces to be sent one after the other; the second may be empty.
    pub body: [Bytes; 2],
    /// How the job ended.
    pub status: JobStatus,
    /// Whether it was remembered.
    pub cached: bool,
}
