//! The black-box and contract tests, in one binary.
