//! What the doors need of the house behind them. The engine is the one answer in production; tests have another.

use std::future::Future;
use std::time::Duration;

use crate::domain::class::Class;
use crate::domain::ids::LanguageId;
use crate::domain::limits::Deadline;
use crate::domain::request::CompileRequest;
use crate::engine::{Answer, Rendition, Terms, Waited};

/// Where compiles are made and compilers are known.
pub trait Workshop: Clone + Send + Sync + Unpin + 'static {
    /// A compiler that was found.
    type Compiler: Send;
    /// The digest of a request.
    type Key: Send + Sync;

    /// Looks for a compiler: in `language` first, then anywhere.
    fn find(&self, language: Option<&LanguageId>, id: &str) -> Option<Self::Compiler>;

    /// The digest of everything that makes a request what it is.
    fn key(&self, parts: &[&[u8]]) -> Self::Key;

    /// The remembered answer to a byte-identical request.
    fn recall(&self, key: &Self::Key) -> impl Future<Output = Option<Answer>> + Send;

    /// Whether every slot is taken.
    fn is_busy(&self) -> bool;

    /// Waits for a free slot, in line with the jobs that do, and says how many are free. It takes none.
    fn room(&self) -> impl Future<Output = usize> + Send;

    /// Compiles. Dropping the future cancels.
    fn compile(&self, job: Job<Self>) -> impl Future<Output = Result<Answer, Failure>> + Send;

    /// Splits a line of arguments the way a shell would.
    fn split(line: &str) -> Vec<String>;

    /// Writes a listing: a table for [`Rendition::Text`], where there is one, else JSON. `fields` as in the query.
    fn list(
        &self,
        listing: Listing<'_>,
        fields: Option<&str>,
        rendition: Rendition,
    ) -> Result<Vec<u8>, Failure>;

    /// Forgets every remembered answer.
    fn clear_caches(&self);
}

/// One compile, ready to be made.
#[derive(Debug)]
pub struct Job<W: Workshop> {
    /// Under which the answer is remembered.
    pub key: W::Key,
    /// With what.
    pub compiler: W::Compiler,
    /// What.
    pub request: CompileRequest,
    /// How the answer is written.
    pub rendition: Rendition,
    /// Until when the caller waits.
    pub deadline: Deadline,
    /// Where to note how long it waited for a slot.
    pub waited: Waited,
    /// How it is treated.
    pub terms: Terms,
}

/// Why there is no answer, in the words a caller may read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What kind of failure it is.
    pub class: Class,
    /// What happened; the whole chain of causes.
    pub message: String,
    /// When it is worth trying again, if waiting helps.
    pub retry_after: Option<Duration>,
}

/// What can be listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listing<'a> {
    /// The compilers of a language, or all.
    Compilers(Option<&'a str>),
    /// The languages.
    Languages,
    /// The libraries of a language, or of all.
    Libraries(Option<&'a str>),
    /// The tools of a language.
    Tools(&'a str),
}
