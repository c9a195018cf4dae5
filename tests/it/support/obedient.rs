//! A compiler that obeys its source: it makes waiting cheap, and a changed compiler easy to have.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

/// How the compiler is called in its catalogue.
pub(crate) const ID: &str = "obedient";

/// A directory with the compiler and its catalogue.
pub(crate) struct Obedient {
    directory: TempDir,
}

impl Obedient {
    /// Writes both. A jail has its own `/tmp`, so they lie in another place that every machine has.
    pub(crate) fn make() -> Self {
        let directory = tempfile::tempdir_in("/var/tmp").unwrap();
        super::daemon::open_to_all(directory.path());
        let made = Self { directory };
        made.rewrite("answer");
        made.list(&[ID]);
        made
    }

    /// Where the compiler and the catalogue are.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// (Re)places the compiler by one whose listings have the label `label`. A source line `// sleep SECONDS` makes it
    /// sleep, `// await NAME` makes it wait for [`Self::release`]; whatever does not concern the source is answered by
    /// the machine's g++.
    pub(crate) fn rewrite(&self, label: &str) {
        let script = format!(
            "#!/bin/sh\n\
             case \"$*\" in *example.cpp*) ;; *) exec /usr/bin/g++ \"$@\" ;; esac\n\
             while [ $# -gt 0 ]; do\n\
               case $1 in -o) out=$2 ;; *example.cpp) source=$1 ;; esac\n\
               shift\n\
             done\n\
             while read -r slashes verb object; do\n\
               case \"$slashes $verb\" in\n\
                 '// sleep') sleep \"$object\" ;;\n\
                 '// await') while [ ! -e \"{directory}/$object\" ]; do sleep 0.02; done ;;\n\
               esac\n\
             done <\"$source\"\n\
             printf '\\t.text\\n\\t.globl\\t{label}\\n{label}:\\n\\tret\\n\\t.data\\n' >\"$out\"\n",
            directory = self.directory.path().display()
        );
        self.replace(&script);
    }

    /// (Re)places the compiler by `script`.
    pub(crate) fn replace(&self, script: &str) {
        let (new, exe) = (self.path("new"), self.path("compiler"));
        fs::write(&new, script).unwrap();
        fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(new, exe).unwrap();
    }

    /// Lets everything go on that awaits `name`.
    pub(crate) fn release(&self, name: &str) {
        fs::write(self.path(name), "").unwrap();
    }

    /// (Re)places the catalogue by one that has the compiler under these names.
    pub(crate) fn list(&self, ids: &[&str]) {
        let exe = self.path("compiler");
        self.catalogue(&format!("compilers={}\nexe={}\n", ids.join(":"), exe.display()));
    }

    /// (Re)places the catalogue.
    pub(crate) fn catalogue(&self, text: &str) {
        fs::write(self.path("c++.local.properties"), text).unwrap();
    }

    /// The flags for a daemon that has this compiler alone.
    pub(crate) fn flags(&self) -> Vec<String> {
        let directory = self.directory.path().display();
        vec![
            format!("--catalogue={directory}"),
            format!("--sandbox-readable={directory}"),
            "--catalogue-discover=false".to_owned(),
        ]
    }

    /// A daemon that has this compiler alone.
    pub(crate) async fn serve(&self, flags: &[&str]) -> super::daemon::Daemon {
        let own = self.flags();
        let all: Vec<&str> = own.iter().map(String::as_str).chain(flags.iter().copied()).collect();
        let daemon = super::daemon::Daemon::start(&all).await;
        // The compiler is asked what it can do, in a slot: tests that count slots want to see their own requests.
        daemon.task_over("warm-up").await;
        daemon
    }
}

/// A request that takes `seconds`; another `number` makes it another request.
pub(crate) fn sleep(seconds: &str, number: usize) -> Value {
    json!({"source": format!("// sleep {seconds}\n// {number}\n"), "options": {}})
}

/// A request that takes until [`Obedient::release`] says `name`; another `number` makes it another request.
pub(crate) fn held(name: &str, number: usize) -> Value {
    json!({"source": format!("// await {name}\n// {number}\n"), "options": {}})
}
