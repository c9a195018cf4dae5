//! One compile request, complete: nothing in it is left for the plan to guess.

use crate::domain::filters::Filters;
use crate::domain::ids::LanguageId;

/// The project build systems that clients may name (contract-cloud 1.1).
pub const BUILD_SYSTEMS: [&str; 4] = ["cmake", "cargo", "maven", "make"];

/// Which remembered results a request refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum BypassCache {
    /// Refuses none.
    #[default]
    None,
    /// Refuses compile results, and so execution results too (wire value 1).
    Compilation,
    /// Refuses execution results only (wire value 2).
    Execution,
}

/// One extra file of a multi-file request. The name is as the client sent it: unchecked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SourceFile {
    /// Name relative to the main file.
    pub name: String,
    /// Contents, as UTF-8.
    pub contents: String,
}

/// An override the client chose: a value for one of the compiler's `possibleOverrides`, or environment variables.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Override {
    /// A named override, such as `edition`, and its value.
    Value {
        /// One of `stdlib gcclib toolchain arch edition stdver action full_output d8-flags`.
        name: String,
        /// What replaces `<value>` in the override's flags.
        value: String,
    },
    /// Variables for the compiler's environment, name first.
    Environment(Vec<(String, String)>),
}

/// The "backend options" that this worker acts on (the wire calls them `options.compilerOptions`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is one independent switch of the public API")]
pub struct BackendOptions {
    /// Compile, but return no listing.
    pub skip_asm: bool,
    /// Leave `popularArguments` out of the result.
    pub skip_popular_arguments: bool,
    /// Strip ANSI codes in the plain-text rendering.
    pub filter_ansi: bool,
    /// Build and run; the reply is the execution result.
    pub executor_request: bool,
    /// Compiler overrides, in the client's order.
    pub overrides: Vec<Override>,
    /// Another name for the output file; confined to the job directory.
    pub output_filename: Option<String>,
}

/// What a client asks of one compiler.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct CompileRequest {
    /// The main file's text.
    pub source: String,
    /// Where to look for the compiler first.
    pub language: Option<LanguageId>,
    /// Remembered results refused.
    pub bypass_cache: BypassCache,
    /// Files beside the main one.
    pub files: Vec<SourceFile>,
    /// The user's arguments, already split.
    pub arguments: Vec<String>,
    /// The filters, already merged over the defaults.
    pub filters: Filters,
    /// Backend options.
    pub backend: BackendOptions,
}
