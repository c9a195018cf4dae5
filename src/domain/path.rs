//! Names of files in a job's directory: checked once, so that no later step can be led outside.

use std::fmt;
use std::path::Path;

/// Longest component of a name, in bytes: what Linux file systems take.
pub const LONGEST_COMPONENT: usize = 255;
/// Longest whole name, in bytes. Far below `PATH_MAX`, because the job directory stands before it.
pub const LONGEST_PATH: usize = 1024;
/// Deepest nesting of directories.
pub const DEEPEST_PATH: usize = 16;

/// Why a name cannot be that of a job's file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// No name at all.
    #[error("the file name is empty")]
    Empty,
    /// It names the job directory itself or something outside of it.
    #[error("the file name {0:?} does not stay inside the job's directory")]
    Outside(String),
    /// It cannot exist on a file system, or would corrupt a log.
    #[error("the file name {0:?} contains a control character")]
    Control(String),
    /// A component is too long.
    #[error("a part of the file name has {0} bytes, more than the {LONGEST_COMPONENT} allowed")]
    LongComponent(usize),
    /// The whole is too long.
    #[error("the file name has {0} bytes, more than the {LONGEST_PATH} allowed")]
    Long(usize),
    /// Too many directories.
    #[error("the file name is {0} directories deep, more than the {DEEPEST_PATH} allowed")]
    Deep(usize),
}

/// A normalised relative name, strictly inside the job's directory: no empty, `.` or `..` components.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobPath(String);

impl JobPath {
    /// Normalises a name as a client sent it. An absolute name is taken as relative to the job's directory, as
    /// the running system does; `..` may not lead outside.
    pub fn parse(name: &str) -> Result<Self, PathError> {
        if name.is_empty() {
            return Err(PathError::Empty);
        }
        if name.len() > LONGEST_PATH {
            return Err(PathError::Long(name.len()));
        }
        if name.chars().any(char::is_control) {
            return Err(PathError::Control(name.to_owned()));
        }
        let mut parts: Vec<&str> = Vec::new();
        for part in name.split('/') {
            match part {
                "" | "." => {}
                ".." => {
                    if parts.pop().is_none() {
                        return Err(PathError::Outside(name.to_owned()));
                    }
                }
                _ if part.len() > LONGEST_COMPONENT => return Err(PathError::LongComponent(part.len())),
                _ => parts.push(part),
            }
        }
        if parts.is_empty() || name.ends_with('/') {
            return Err(PathError::Outside(name.to_owned()));
        }
        if parts.len() > DEEPEST_PATH {
            return Err(PathError::Deep(parts.len() - 1));
        }
        Ok(Self(parts.join("/")))
    }

    /// The normalised name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The normalised name, as a relative path.
    pub fn as_path(&self) -> &Path {
        Path::new(&self.0)
    }
}

impl fmt::Display for JobPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_normalised_or_refused() {
        for (name, want) in [
            ("a.h", "a.h"),
            ("sub/a.h", "sub/a.h"),
            ("/abs.h", "abs.h"),
            ("./a//b/./c", "a/b/c"),
            ("a/../b", "b"),
            ("-o", "-o"),
            ("@f", "@f"),
        ] {
            assert_eq!(JobPath::parse(name).map(|p| p.as_str().to_owned()), Ok(want.to_owned()), "{name}");
        }
        for name in ["..", "../x", "a/../../b", ".", "/", "a/", "a/..", "./"] {
            assert_eq!(JobPath::parse(name), Err(PathError::Outside(name.to_owned())), "{name}");
        }
        assert_eq!(JobPath::parse(""), Err(PathError::Empty));
        assert!(matches!(JobPath::parse("a\0b"), Err(PathError::Control(_))));
        assert!(matches!(JobPath::parse("a\u{1b}[31m"), Err(PathError::Control(_))));
        assert_eq!(JobPath::parse(&"x".repeat(256)), Err(PathError::LongComponent(256)));
        assert_eq!(JobPath::parse(&"x/".repeat(600)), Err(PathError::Long(1200)));
        assert_eq!(JobPath::parse(&format!("{}x", "d/".repeat(20))), Err(PathError::Deep(20)));
    }

    proptest! {
        #[test]
        fn whatever_passes_stays_inside(name in "[a./\\\\\u{e9}\u{1f600}\u{202e}\0\r\u{1b}-]{0,40}") {
            if let Ok(path) = JobPath::parse(&name) {
                prop_assert!(!path.as_str().starts_with('/'));
                prop_assert!(path.as_str().split('/').all(|part| !part.is_empty() && part != "." && part != ".."));
                prop_assert_eq!(JobPath::parse(path.as_str()), Ok(path.clone()));
            }
        }
    }
}
