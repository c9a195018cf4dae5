//! From a request and a compiler to the one command that answers it. Pure: nothing is run, read or written.

pub mod environment;
pub mod error;
pub mod files;

use std::path::PathBuf;
use std::sync::Arc;

use crate::compilers::capabilities::{Capabilities, VALUE};
use crate::compilers::instruction_set;
use crate::compilers::{Compiler, Family};
use crate::domain::filters::Filters;
use crate::domain::path::JobPath;
use crate::domain::request::{CompileRequest, Override};
use crate::sandbox::WORK_DIR;
use crate::text::arguments;

pub use error::{PlanError, Refusal};

/// Longest argument, override or variable from a client, in bytes (reliability: option floods).
pub const LONGEST_ARGUMENT: usize = 4096;
/// All of a request's arguments, overrides and variables together, in bytes.
pub const MOST_ARGUMENT_BYTES: usize = 64 * 1024;

/// What every plan takes from the daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanSettings {
    /// The variables every compiler gets. `HOME` is the job's directory whatever stands here.
    pub environment: Vec<(String, String)>,
    /// The host's multiarch name (`x86_64-linux-gnu`), for compilers that do not know it themselves.
    pub multiarch: Option<String>,
}

impl Default for PlanSettings {
    fn default() -> Self {
        let path = ("PATH".to_owned(), "/usr/local/bin:/usr/bin:/bin".to_owned());
        Self { environment: vec![path], multiarch: None }
    }
}

/// The command a plan runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The compiler.
    pub program: PathBuf,
    /// Its arguments; the job's directory is called [`WORK_DIR`].
    pub arguments: Vec<String>,
    /// Its whole environment.
    pub environment: Vec<(String, String)>,
}

/// What kind of listing the command writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListingKind {
    /// Assembly.
    Assembly,
    /// LLVM's intermediate representation.
    LlvmIr,
}

/// Everything it takes to answer a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// What is run.
    pub command: Command,
    /// The files that are there before.
    pub files: Vec<(JobPath, String)>,
    /// The main file.
    pub input: JobPath,
    /// The file that holds the listing after.
    pub output: JobPath,
    /// The filters, as far as the compiler supports them.
    pub filters: Filters,
    /// What the code is for.
    pub instruction_set: Arc<str>,
    /// How the listing is read.
    pub listing: ListingKind,
}

/// Plans the answer to `request`.
pub fn plan(
    request: &CompileRequest,
    compiler: &Compiler,
    capabilities: &Capabilities,
    settings: &PlanSettings,
) -> Result<Plan, PlanError> {
    check_arguments(request)?;
    let refused = compiler.option_rules.refused(&request.arguments);
    if !refused.is_empty() {
        let refused = refused.into_iter().map(str::to_owned).collect();
        return Err(Refusal::BadOptions(refused).into());
    }
    let files = files::lay_out(request, compiler.facts.extensions.first().copied().unwrap_or_default())?;
    let filters = supported_filters(request, compiler);
    let arguments = Arguments { request, compiler, capabilities }.assemble(&files, filters);
    Ok(Plan {
        filters,
        instruction_set: target_of(&arguments)
            .map_or_else(|| Arc::clone(&compiler.instruction_set), Arc::from),
        listing: listing_of(&arguments),
        command: Command {
            program: compiler.exe.clone(),
            arguments,
            environment: environment::assemble(request, compiler, settings),
        },
        files: files.files,
        input: files.input,
        output: files.output,
    })
}

/// What the command line is made of.
struct Arguments<'a> {
    request: &'a CompileRequest,
    compiler: &'a Compiler,
    capabilities: &'a Capabilities,
}

impl Arguments<'_> {
    /// The arguments in the order that results show: ours, the operator's, the overrides, the user's, the input.
    fn assemble(&self, files: &files::JobFiles, filters: Filters) -> Vec<String> {
        let mut all = vec!["-g".to_owned(), "-o".to_owned(), format!("{WORK_DIR}/{}", files.output)];
        if filters.intel {
            all.extend(self.capabilities.intel_asm.split(' ').map(str::to_owned));
        }
        if self.capabilities.verbose_asm {
            let verbose = if filters.comment_only { "-fno-verbose-asm" } else { "-fverbose-asm" };
            all.push(verbose.to_owned());
        }
        all.push("-S".to_owned());
        all.extend(arguments::split(&self.compiler.options));
        all.extend(self.capabilities.diagnostics.iter().map(|&argument| argument.to_owned()));
        all.extend(self.overrides());
        all.extend(self.request.arguments.iter().cloned());
        all.extend(self.libcxx(&all));
        all.push(format!("{WORK_DIR}/{}", files.input));
        all.retain(|argument| !argument.is_empty());
        all
    }

    /// Where Clang keeps what its libc++ has for this machine alone, for a cross compile that would not look there.
    fn libcxx(&self, arguments: &[String]) -> Option<String> {
        let crosses = || target_of(arguments).is_some_and(|target| target != &*self.compiler.instruction_set);
        let libcxx = || arguments.iter().any(|argument| argument == "-stdlib=libc++");
        let wanted = self.compiler.family == Family::Clang && libcxx() && crosses();
        let directory = self.compiler.exe.parent().filter(|_| wanted)?.display();
        Some(format!("-I{directory}/../include/x86_64-unknown-linux-gnu/c++/v1/"))
    }

    /// The flags of those overrides that the compiler has, in the client's order.
    fn overrides(&self) -> impl Iterator<Item = String> {
        let chosen = values(self.request).filter(|(_, value)| !value.is_empty());
        chosen.flat_map(|(name, value)| {
            let flags = self.capabilities.find_override(name).map_or(&[][..], |possible| &possible.flags);
            flags.iter().map(move |flag| flag.replace(VALUE, value))
        })
    }
}

/// The names and values of the overrides that are not variables.
fn values(request: &CompileRequest) -> impl Iterator<Item = (&str, &str)> {
    request.backend.overrides.iter().filter_map(|chosen| match chosen {
        Override::Value { name, value } => Some((name.as_str(), value.as_str())),
        Override::Environment(_) => None,
    })
}

/// Nothing a client sends as an argument or a variable may be more than a process can be given.
fn check_arguments(request: &CompileRequest) -> Result<(), PlanError> {
    let values = values(request).map(|(_, value)| value);
    let variables =
        environment::overridden(request).flat_map(|(name, value)| [name.as_str(), value.as_str()]);
    let mut total = 0;
    for argument in request.arguments.iter().map(String::as_str).chain(values).chain(variables) {
        if argument.len() > LONGEST_ARGUMENT {
            return Err(PlanError::LongArgument(argument.len()));
        }
        if argument.contains('\0') {
            return Err(PlanError::ZeroByte(argument.to_owned()));
        }
        total += argument.len();
    }
    if total > MOST_ARGUMENT_BYTES {
        return Err(PlanError::LongArguments(total));
    }
    Ok(())
}

/// The request's filters without those that no compiler here supports, and with what its arguments imply.
fn supported_filters(request: &CompileRequest, compiler: &Compiler) -> Filters {
    let demangle = request.filters.demangle && compiler.demangles;
    let mut filters = Filters { binary: false, binary_object: false, demangle, ..request.filters };
    // The output is not assembly then, and must come through as it is.
    if request.arguments.iter().any(|argument| argument == "-E") {
        filters = Filters::NONE;
    }
    if !request.files.is_empty() {
        filters.dont_mask_filenames = true;
    }
    filters
}

/// The instruction set that the arguments ask for; the last target counts, as for the compilers.
fn target_of(arguments: &[String]) -> Option<&'static str> {
    let joined = arguments.iter().map(|argument| argument.strip_prefix("--target="));
    let apart = arguments.windows(2).map(|pair| match pair {
        [flag, value] if flag == "-target" || flag == "--target" => Some(value.as_str()),
        _ => None,
    });
    let mut last = None;
    for (joined, apart) in joined.zip(apart.chain([None])) {
        last = joined.or(apart).or(last);
    }
    last.and_then(instruction_set::of_target)
}

fn listing_of(arguments: &[String]) -> ListingKind {
    if arguments.iter().any(|argument| argument == "-emit-llvm" || argument == "-mlir-to-llvmir") {
        ListingKind::LlvmIr
    } else {
        ListingKind::Assembly
    }
}

#[cfg(test)]
mod tests;
