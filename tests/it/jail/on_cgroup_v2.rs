//! Limits on real control groups of version 2, which a machine that mounts version 1 cannot have: a small emulated
//! machine runs the tests that need them. `tests/fixtures/micro-vm.sh` says what it takes.

#![expect(
    clippy::disallowed_methods,
    reason = "the harness starts an emulator, and asks whether it is in CI"
)]

use std::path::Path;
use std::process::Command;

use crate::jail::bed::BINARY;

/// Those whose outcome depends on the groups, by full name.
const TESTS: [&str; 7] = [
    "jail::cannot_fill_the_machine::a_fork_bomb_ends",
    "jail::cannot_fill_the_machine::a_hog_takes_its_idle_parent_along",
    "jail::cannot_fill_the_machine::a_memory_bomb_is_named",
    "jail::cannot_fill_the_machine::a_refused_fork_is_named",
    "jail::cannot_fill_the_machine::a_spinner_with_many_threads_gets_its_share_only",
    "jail::elsewhere::strict_mode_limits_whole_jobs_or_says_why",
    "jail::leaves_nothing::groups_go_with_their_jobs",
];

#[test]
fn limits_hold_there_too() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/micro-vm.sh");
    let output = Command::new(script)
        .arg(Path::new(env!("CARGO_TARGET_TMPDIR")).join("micro-vm"))
        .args([std::env::current_exe().unwrap().as_path(), Path::new(BINARY)])
        .arg("--exact")
        .args(TESTS)
        .output()
        .unwrap();
    let console = String::from_utf8_lossy(&output.stdout);
    // A laptop may lack the emulator; where everything is installed, a skipped proof would be a lost one.
    if output.status.code() == Some(77) && std::env::var_os("CI").is_none() {
        println!("skipped: {console}");
        return;
    }
    let passed = format!("test result: ok. {} passed", TESTS.len());
    assert!(console.contains(&passed), "{console}\n{}", String::from_utf8_lossy(&output.stderr));
}
