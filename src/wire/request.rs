//! The bodies a compile can be asked with: JSON, bare source text, and the form of the page without scripts.
//!
//! What comes out is a [`Draft`], because splitting a line of arguments is the text engine's business: the door
//! finishes the draft with it. Every complaint names the member it is about.

mod members;

use std::fmt;

use super::form::{Fields, FormError};
use super::json::JsonError;
use crate::domain::class::{Class, Classify};
use crate::domain::filters::Filters;
use crate::domain::ids::{IdError, LanguageId};
use crate::domain::request::{BackendOptions, BypassCache, CompileRequest};

/// Most extra files of one request.
pub const MOST_FILES: usize = 64;
/// Longest single argument, in bytes.
pub const LONGEST_ARGUMENT: usize = 4096;
/// Longest argument list, in bytes: well below what `execve` takes.
pub const LONGEST_ARGUMENTS: usize = 64 * 1024;
/// The filters a form can switch on: the ones that have a default.
const FORM_FILTERS: [&str; 12] = [
    "binary",
    "binaryObject",
    "commentOnly",
    "debugCalls",
    "demangle",
    "directives",
    "execute",
    "intel",
    "labels",
    "libraryCode",
    "optOutput",
    "trim",
];

/// Why a body is not a compile request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Not JSON we accept.
    #[error(transparent)]
    Json(JsonError),
    /// Not a form we accept.
    #[error("the {what} cannot be read: {source}")]
    Form {
        /// The query string or the body.
        what: &'static str,
        /// Why.
        source: FormError,
    },
    /// A member that must be there is not.
    #[error("Missing {0} property")]
    Missing(&'static str),
    /// A member of the wrong type.
    #[error("{member} must be {expected}")]
    Type {
        /// Which, as a path from the top.
        member: String,
        /// What it should have been.
        expected: &'static str,
    },
    /// A NUL byte where the operating system takes none.
    #[error("{0} must not contain a NUL character")]
    Nul(String),
    /// More of something than we take.
    #[error("{member} has {count} {unit}, more than the {most} allowed")]
    TooMany {
        /// Which member.
        member: String,
        /// How many or how long.
        count: usize,
        /// Of what.
        unit: &'static str,
        /// The limit.
        most: usize,
    },
    /// `lang` is no identifier.
    #[error("lang: {0}")]
    Language(#[source] IdError),
    /// A text body that is not UTF-8.
    #[error("the source is not valid UTF-8 at byte {0}")]
    Encoding(usize),
    /// A text body without any text.
    #[error("the body is empty, it must hold the source")]
    Empty,
}

impl From<JsonError> for RequestError {
    fn from(error: JsonError) -> Self {
        Self::Json(error)
    }
}

impl Classify for RequestError {
    fn class(&self) -> Class {
        Class::Malformed
    }
}

/// The user's arguments, as they came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arguments {
    /// One line, to be split the way a shell would.
    Line(String),
    /// Already a list.
    List(Vec<String>),
}

/// A request whose arguments are not split yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    request: CompileRequest,
    arguments: Arguments,
    /// The compiler a form names in its body.
    pub compiler: Option<String>,
    /// Whether `files` was there at all; project builds insist on it.
    pub has_files: bool,
}

impl Default for Draft {
    fn default() -> Self {
        let arguments = Arguments::Line(String::new());
        Self { request: CompileRequest::default(), arguments, compiler: None, has_files: false }
    }
}

impl Draft {
    /// Where to look for the compiler first.
    pub fn language(&self) -> Option<&LanguageId> {
        self.request.language.as_ref()
    }

    /// Takes `filterAnsi` from the query too: the deployed router looks for it there, whatever the body is.
    #[must_use]
    pub fn heeding(mut self, query: &str) -> Self {
        let asked = query_value(query, "filterAnsi").is_ok_and(|value| value.as_deref() == Some("true"));
        self.request.backend.filter_ansi |= asked;
        self
    }

    /// Splits the arguments and checks what the operating system could not take.
    pub fn finish(self, split: fn(&str) -> Vec<String>) -> Result<CompileRequest, RequestError> {
        const MEMBER: &str = "options.userArguments";
        let arguments = match self.arguments {
            Arguments::Line(line) => {
                at_most(MEMBER, line.len(), "bytes", LONGEST_ARGUMENTS)?;
                split(&line)
            }
            Arguments::List(list) => list,
        };
        for argument in &arguments {
            no_nul(MEMBER, argument)?;
            at_most(MEMBER, argument.len(), "bytes in one argument", LONGEST_ARGUMENT)?;
        }
        // One byte more for each, because that is what `execve` copies.
        at_most(MEMBER, arguments.iter().map(|one| one.len() + 1).sum(), "bytes", LONGEST_ARGUMENTS)?;
        Ok(CompileRequest { arguments, ..self.request })
    }
}

/// Reads the JSON body of a compile.
pub fn json(body: &[u8]) -> Result<Draft, RequestError> {
    members::read(body)
}

/// Reads a body that is nothing but source; all else stands in the query.
pub fn text(body: &[u8], query: &str) -> Result<Draft, RequestError> {
    let text = utf8(body)?;
    let query = Fields::parse(query.as_bytes());
    let query = query.map_err(|source| RequestError::Form { what: "query string", source })?;
    source(text.to_owned(), &query)
}

/// The body as text.
pub(super) fn utf8(body: &[u8]) -> Result<&str, RequestError> {
    std::str::from_utf8(body).map_err(|error| RequestError::Encoding(error.valid_up_to()))
}

/// Bare source, and what the query says of it.
pub(super) fn source(source: String, query: &Fields<'_>) -> Result<Draft, RequestError> {
    if source.is_empty() {
        return Err(RequestError::Empty);
    }
    let named = query.find("filters").is_some_and(|names| !names.is_empty());
    let mut filters = if named { Filters::NONE } else { Filters::default() };
    let mut switch = |parameter: &str, on: bool| {
        for name in query.find(parameter).unwrap_or_default().split(',') {
            let _known = filters.set(name, on);
        }
    };
    switch("filters", true);
    switch("addFilters", true);
    switch("removeFilters", false);
    let backend = BackendOptions {
        skip_asm: query.is_true("skipAsm"),
        skip_popular_arguments: query.is_true("skipPopArgs"),
        filter_ansi: query.is_true("filterAnsi"),
        ..BackendOptions::default()
    };
    let request = CompileRequest { source, filters, backend, ..CompileRequest::default() };
    let arguments = Arguments::Line(query.find("options").unwrap_or_default().to_owned());
    Ok(Draft { request, arguments, ..Draft::default() })
}

/// Reads the form of the page without scripts.
pub fn form(body: &[u8]) -> Result<Draft, RequestError> {
    let form = Fields::parse(body).map_err(|source| RequestError::Form { what: "form", source })?;
    let mut filters = Filters::NONE;
    for name in FORM_FILTERS {
        filters.set(name, form.is_true(name));
    }
    let request = CompileRequest {
        source: form.find("source").ok_or(RequestError::Missing("source"))?.to_owned(),
        language: form.find("lang").map(language).transpose()?.flatten(),
        bypass_cache: match form.find("bypassCache") {
            None | Some("" | "0" | "false") => BypassCache::None,
            Some("1" | "true") => BypassCache::Compilation,
            Some("2") => BypassCache::Execution,
            Some(_) => return Err(wrong("bypassCache", BYPASS_VALUES)),
        },
        filters,
        backend: BackendOptions {
            skip_asm: form.is_true("skipAsm"),
            filter_ansi: form.is_true("filterAnsi"),
            ..BackendOptions::default()
        },
        ..CompileRequest::default()
    };
    let arguments = Arguments::Line(form.find("userArguments").unwrap_or_default().to_owned());
    Ok(Draft { request, arguments, compiler: form.find("compiler").map(str::to_owned), has_files: false })
}

/// The value of one parameter of a query string.
pub fn query_value(query: &str, name: &str) -> Result<Option<String>, RequestError> {
    let fields = Fields::parse(query.as_bytes());
    let fields = fields.map_err(|source| RequestError::Form { what: "query string", source })?;
    Ok(fields.find(name).map(str::to_owned))
}

const BYPASS_VALUES: &str = "0, 1, 2 or a boolean";

/// An empty language is none.
fn language(text: &str) -> Result<Option<LanguageId>, RequestError> {
    if text.is_empty() {
        return Ok(None);
    }
    LanguageId::parse(text).map(Some).map_err(RequestError::Language)
}

fn wrong(member: impl fmt::Display, expected: &'static str) -> RequestError {
    RequestError::Type { member: member.to_string(), expected }
}

fn no_nul(member: impl fmt::Display, text: &str) -> Result<(), RequestError> {
    if text.contains('\0') { Err(RequestError::Nul(member.to_string())) } else { Ok(()) }
}

fn at_most(
    member: impl fmt::Display,
    count: usize,
    unit: &'static str,
    most: usize,
) -> Result<(), RequestError> {
    if count <= most {
        Ok(())
    } else {
        Err(RequestError::TooMany { member: member.to_string(), count, unit, most })
    }
}

#[cfg(test)]
mod tests;
