//! Why a request is not run: what is told as a result, and what is an error of the caller.

use crate::domain::class::{Class, Classify};
use crate::domain::path::PathError;
use crate::engine::plan::files::{MOST_DIRECTORIES, MOST_FILES};
use crate::engine::plan::{LONGEST_ARGUMENT, MOST_ARGUMENT_BYTES};

/// A request that is refused the way the running system refuses it: with status 200 and a result of code -1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The main file is empty.
    #[error("File {0} has no content or file is missing")]
    NoSource(String),
    /// An extra file's name does not stay inside the job's directory.
    #[error("Invalid filename")]
    InvalidFilename,
    /// An extra file has no name.
    #[error("One of more files do not have a filename")]
    NoFilename,
    /// The operator does not allow these arguments.
    #[error("Bad options: {}", .0.join(", "))]
    BadOptions(Vec<String>),
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Told as a result; see [`Refusal`].
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Too many extra files.
    #[error("the request has {0} files, more than the {MOST_FILES} allowed")]
    Files(usize),
    /// The extra files need too many directories.
    #[error("the files lie in more than the {MOST_DIRECTORIES} directories allowed")]
    Directories,
    /// An extra file's name cannot be written.
    #[error("{0}")]
    FileName(PathError),
    /// The name of the output file cannot be used.
    #[error("customOutputFilename: {0}")]
    OutputName(PathError),
    /// Two files want one name.
    #[error("the file name {0:?} is taken twice")]
    DuplicateFile(String),
    /// A name is wanted as a file and as a directory.
    #[error("the file name {0:?} is also that of a directory")]
    FileIsDirectory(String),
    /// An argument, override or variable is too long.
    #[error("an argument has {0} bytes, more than the {LONGEST_ARGUMENT} allowed")]
    LongArgument(usize),
    /// All of them together are.
    #[error("the arguments have {0} bytes in all, more than the {MOST_ARGUMENT_BYTES} allowed")]
    LongArguments(usize),
    /// A zero byte, which no process can be given.
    #[error("the argument {0:?} contains a zero byte")]
    ZeroByte(String),
}

impl Classify for PlanError {
    fn class(&self) -> Class {
        match self {
            Self::Files(_) | Self::Directories | Self::LongArgument(_) | Self::LongArguments(_) => {
                Class::TooLarge
            }
            Self::Refused(_)
            | Self::FileName(_)
            | Self::OutputName(_)
            | Self::DuplicateFile(_)
            | Self::FileIsDirectory(_)
            | Self::ZeroByte(_) => Class::Malformed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_have_the_words_clients_know() {
        let refusals = [
            Refusal::NoSource("example.cpp".to_owned()),
            Refusal::InvalidFilename,
            Refusal::NoFilename,
            Refusal::BadOptions(vec!["-a".to_owned(), "b".to_owned()]),
        ];
        assert_eq!(
            refusals.map(|refusal| PlanError::from(refusal).to_string()),
            [
                "File example.cpp has no content or file is missing",
                "Invalid filename",
                "One of more files do not have a filename",
                "Bad options: -a, b",
            ]
        );
    }

    #[test]
    fn what_exceeds_a_limit_is_too_large_and_names_it() {
        for (error, text) in [
            (PlanError::Files(65), "the request has 65 files, more than the 64 allowed"),
            (PlanError::Directories, "the files lie in more than the 256 directories allowed"),
            (PlanError::LongArgument(5000), "an argument has 5000 bytes, more than the 4096 allowed"),
            (
                PlanError::LongArguments(70_000),
                "the arguments have 70000 bytes in all, more than the 65536 allowed",
            ),
        ] {
            assert_eq!(error.class(), Class::TooLarge);
            assert_eq!(error.to_string(), text);
        }
        for error in [
            PlanError::Refused(Refusal::NoFilename),
            PlanError::FileName(PathError::Empty),
            PlanError::OutputName(PathError::Empty),
            PlanError::DuplicateFile(String::new()),
            PlanError::FileIsDirectory(String::new()),
            PlanError::ZeroByte(String::new()),
        ] {
            assert_eq!(error.class(), Class::Malformed, "{error}");
        }
    }
}
