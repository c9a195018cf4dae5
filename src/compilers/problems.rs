//! What is wrong with a catalogue, line by line: told, counted, never fatal.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::compilers::properties::Origin;

/// Problems kept of one load; the rest are only counted. A file of garbage must not become a gigabyte of complaints.
pub const MOST_PROBLEMS: usize = 1_000;

/// One broken line or entry: where it is, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub file: Arc<Path>,
    /// The 1-based line; 0 when the whole file is meant.
    pub line: u32,
    /// Names the key, the value and the fix.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.line, self.message)
    }
}

/// The problems of one load, bounded.
#[derive(Debug, Default)]
pub struct Problems {
    kept: Vec<Problem>,
    left_out: usize,
}

impl Problems {
    /// Notes a problem with what stands at `origin`.
    pub fn note(&mut self, origin: &Origin, message: impl Into<String>) {
        if self.kept.len() < MOST_PROBLEMS {
            self.kept.push(Problem {
                file: Arc::clone(&origin.file),
                line: origin.line,
                message: message.into(),
            });
        } else {
            self.left_out += 1;
        }
    }

    /// All that were kept, and a last one that counts the others.
    pub fn into_vec(mut self) -> Vec<Problem> {
        if self.left_out > 0
            && let Some(last) = self.kept.last()
        {
            let message =
                format!("{} more problems are left out; mend the first {MOST_PROBLEMS}", self.left_out);
            self.kept.push(Problem { file: Arc::clone(&last.file), line: 0, message });
        }
        self.kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(count: u32) -> Vec<Problem> {
        let mut problems = Problems::default();
        for line in 1..=count {
            problems.note(&Origin { file: Arc::from(Path::new("/c/c++.x.properties")), line }, "no");
        }
        problems.into_vec()
    }

    #[test]
    fn a_flood_is_counted_not_kept() {
        assert_eq!(noted(1_000).len(), 1_000);
        let flood = noted(1_003);
        assert_eq!(flood.len(), 1_001);
        assert!(flood[1_000].message.starts_with("3 more problems are left out"));
        assert_eq!(noted(0), []);
    }

    #[test]
    fn a_problem_is_shown_as_editors_like_it() {
        assert_eq!(noted(1)[0].to_string(), "/c/c++.x.properties:1: no");
    }
}
