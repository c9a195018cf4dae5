//! A compiler that does nothing, so that all the rest shows.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use compilation_worker::domain::limits::{Deadline, Limits};
use compilation_worker::domain::path::JobPath;
use compilation_worker::sandbox::{Job, JobFile};
use tempfile::TempDir;

/// What the catalogue calls it.
pub(crate) const ID: &str = "null";

/// Writes a listing of one instruction to the file after `-o`, whatever the source says.
const SOURCE: &str = r#"
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
static const char listing[] = "\t.text\n\t.globl\tf\nf:\n\tret\n";
int main(int count, char **words) {
    for (int at = 1; at + 1 < count; ++at) {
        if (strcmp(words[at], "-o") == 0) {
            int file = open(words[at + 1], O_WRONLY | O_CREAT | O_TRUNC, 0644);
            return write(file, listing, sizeof listing - 1) < 0;
        }
    }
    return 0;
}
"#;

/// A directory with the compiler and its catalogue.
pub(crate) struct Null(TempDir);

impl Null {
    /// Builds both. A jail has its own `/tmp`, so they lie in another place that every machine has.
    pub(crate) fn build() -> Self {
        let null = Self(tempfile::tempdir_in("/var/tmp").unwrap());
        // The jail's users are nobody's: they need the way there.
        std::fs::set_permissions(null.directory(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let source = null.directory().join("null.c");
        std::fs::write(&source, SOURCE).unwrap();
        let mut gcc = Command::new("gcc");
        assert!(
            gcc.args(["-static", "-O1", "-o"]).arg(null.program()).arg(&source).status().unwrap().success()
        );
        let properties =
            format!("compilers={ID}\nexe={}\nexplicitVersion=1\nintelAsm=\n", null.program().display());
        std::fs::write(null.directory().join("c++.local.properties"), properties).unwrap();
        null
    }

    /// Where both are.
    pub(crate) fn directory(&self) -> &Path {
        self.0.path()
    }

    fn program(&self) -> PathBuf {
        self.directory().join("null")
    }

    /// The job that the engine makes of a request, as the jail gets it.
    pub(crate) fn job(&self) -> Job {
        Job {
            program: self.program(),
            arguments: ["-g", "-o", "/app/output.s", "-S", "/app/example.cpp"].map(Into::into).to_vec(),
            environment: vec![("PATH".into(), "/usr/bin".into()), ("HOME".into(), "/app".into())],
            files: vec![JobFile {
                path: JobPath::parse("example.cpp").unwrap(),
                contents: bytes::Bytes::from_static(b"int f();\n"),
            }],
            stdin: bytes::Bytes::new(),
            limits: Limits::default(),
            deadline: Deadline::after(Duration::from_mins(2)),
        }
    }
}
