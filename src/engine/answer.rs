//! Rendered answers, fresh and remembered.

use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;

use crate::compilers::{Compiler, Toolchain};
use crate::domain::result::{CompileResult, JobStatus};
use crate::engine::cache::Weigh;
use crate::{text, wire};

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

/// An answer as it is remembered, with what it depends on beside the request's bytes.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) body: Bytes,
    pub(super) rendition: Rendition,
    pub(super) status: JobStatus,
    pub(super) compiler: Arc<Compiler>,
    pub(super) toolchain: Toolchain,
}

impl Weigh for Reply {
    fn bytes(&self) -> usize {
        self.body.len()
    }
}

impl Reply {
    /// The answer to whoever asked for this at `asked`, marked as remembered.
    pub(super) fn recalled(&self, asked: Instant) -> Answer {
        recalled(&self.body, self.rendition, self.status, asked)
    }
}

impl Answer {
    /// An answer that was just made.
    pub(super) fn fresh(body: Bytes, status: JobStatus) -> Self {
        Self { body: [body, Bytes::new()], status, cached: false }
    }
}

/// Writes `result`.
pub(super) fn render(result: &CompileResult, rendition: Rendition, filter_ansi: bool) -> Vec<u8> {
    match rendition {
        Rendition::Json => wire::result::json(result),
        Rendition::Text => wire::result::text(result, filter_ansi.then_some(text::ansi::strip)),
    }
}

/// A remembered body, marked as such where its format has room for it; nothing of it is copied.
pub(super) fn recalled(body: &Bytes, rendition: Rendition, status: JobStatus, asked: Instant) -> Answer {
    let body = match rendition {
        Rendition::Text => [body.clone(), Bytes::new()],
        Rendition::Json => {
            let took = asked.elapsed().as_millis();
            let mark = format!(r#","retreivedFromCache":true,"retreivedFromCacheTime":{took}}}"#);
            // The object's closing brace gives way to the mark's.
            [body.slice(..body.len() - 1), Bytes::from(mark)]
        }
    };
    Answer { body, status, cached: true }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_recalled_says_so_in_json_only() {
        let body = Bytes::from_static(br#"{"code":0}"#);
        let json = recalled(&body, Rendition::Json, JobStatus::Ok, Instant::now());
        let marked = br#"{"code":0,"retreivedFromCache":true,"retreivedFromCacheTime":0}"#;
        assert_eq!(json.body.concat(), marked);
        assert!(json.cached);
        let text = recalled(&body, Rendition::Text, JobStatus::Ok, Instant::now());
        assert_eq!(text.body.concat(), body);
    }
}
