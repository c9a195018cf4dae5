//! No jail, no service: and the refusal says what is missing and what to do.

use std::path::PathBuf;

use compilation_worker::sandbox::{LaunchError, Mode, Sandbox, Settings};

use crate::jail::bed::settings;

#[test]
fn settings_that_make_no_sense_are_named() {
    let refused = |settings: Settings| Sandbox::launch(settings).unwrap_err();
    assert!(matches!(refused(settings(0)), LaunchError::Slots(0)));
    for path in ["/tmp/compilers", "/app", "usr", "/", "/proc/1", "/usr/../tmp"] {
        let wrong = Settings { readable: vec![PathBuf::from(path)], ..settings(1) };
        assert!(matches!(refused(wrong), LaunchError::Covered(_)), "{path}");
    }
}

#[test]
fn a_helper_that_is_not_one_is_named() {
    let wrong = Settings { helper: "/usr/bin/true".into(), ..settings(1) };
    let error = Sandbox::launch(wrong).unwrap_err();
    assert!(matches!(error, LaunchError::Helper { .. }), "{error}");
}

#[test]
fn without_a_jail_only_on_demand() {
    let bed = crate::jail::bed::Bed::with(Settings { mode: Mode::None, ..settings(1) });
    let mut job = crate::jail::bed::script("pwd; cat /app/x; echo made > /app/out");
    job.files = vec![crate::jail::bed::file("x", "file\n")];
    let finished = bed.run(job);
    let directory = finished.workspace.directory().to_owned();
    assert!(directory.contains("/compiler-explorer-compiler"), "{directory}");
    assert_eq!(crate::jail::bed::stdout(&finished), format!("{directory}\nfile\n"));
    assert_eq!(bed.read(&finished, "out").as_deref(), Some("made\n"));
    drop(finished);
    assert!(!std::path::Path::new(&directory).exists());
}
