//! No jail: development only.

/// A directory of this machine that is removed when dropped.
#[derive(Debug)]
pub(super) struct TempDirectory(String);

impl TempDirectory {
    pub(super) fn path(&self) -> &str {
        &self.0
    }
}
