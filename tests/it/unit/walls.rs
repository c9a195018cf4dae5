//! What systemd itself says of the unit, without booting it.

use std::collections::BTreeSet;
use std::process::Output;

use serde_json::Value;

use crate::support::daemon::BINARY;
use crate::unit::{Unit, command, text};

/// `systemd-analyze`, which needs no running systemd.
fn analyze(arguments: &[&str]) -> Output {
    let asked = command("systemd-analyze").args(arguments).output();
    asked.unwrap_or_else(|error| panic!("systemd-analyze: {error}; run .ci/setup --tests"))
}

/// The unit as it would be where the program is that was just built.
fn placed() -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let unit = Unit::read().0.replace("/usr/local/bin/compilation-worker", BINARY);
    let path = directory.path().join("compilation-worker.service");
    std::fs::write(&path, unit).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (directory, path)
}

#[test]
fn systemd_understands_every_line() {
    let (_directory, path) = placed();
    let said = analyze(&["verify", "--recursive-errors=yes", &path]);
    let words = String::from_utf8_lossy(&said.stderr);
    assert!(said.status.success() && words.is_empty(), "{words}");
    // It would say so if it did not.
    std::fs::write(&path, Unit::read().0.replace("KillMode=mixed", "KillModes=mixed")).unwrap();
    assert!(!analyze(&["verify", "--recursive-errors=yes", &path]).status.success());
}

#[test]
fn exposure_is_low_and_every_wall_left_out_has_a_reason() {
    let (_directory, path) = placed();
    let judged = analyze(&["security", "--offline=true", "--no-pager", "--threshold=30", &path]);
    let page = String::from_utf8_lossy(&judged.stdout);
    assert!(judged.status.success(), "{page}");
    println!("{}", page.lines().last().unwrap_or_default());

    let listed = analyze(&["security", "--offline=true", "--no-pager", "--json=short", &path]);
    let walls: Vec<Value> = serde_json::from_slice(&listed.stdout).unwrap();
    assert!(walls.len() > 60, "{walls:?}");
    let unit = Unit::read().0;
    let mut left_out = 0;
    for wall in walls.iter().filter(|wall| wall["set"] == false && wall["exposure"].is_string()) {
        // "RestrictNamespaces=~user", "RootDirectory=/RootImage="
        let name = wall["name"].as_str().unwrap().split('=').next().unwrap();
        let is_reasoned = |line: &str| line.starts_with('#') && line.contains(name);
        let is_chosen = |line: &str| line.starts_with(name);
        assert!(unit.lines().any(|line| is_reasoned(line) || is_chosen(line)), "{name} is left out silently");
        left_out += 1;
    }
    assert!((10..40).contains(&left_out), "{left_out} walls are left out");
}

/// The names that a set of the unit's filter stands for.
fn expand(name: &str, into: &mut BTreeSet<String>) {
    let Some(_) = name.strip_prefix('@') else {
        into.insert(name.to_owned());
        return;
    };
    let listed = analyze(&["syscall-filter", "--no-pager", name]);
    assert!(listed.status.success(), "{name}: {}", String::from_utf8_lossy(&listed.stderr));
    let listed = String::from_utf8(listed.stdout).unwrap();
    for member in
        listed.lines().skip(1).map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        expand(member, into);
    }
}

/// Compilers inherit the unit's filter: what their jail allows, the unit must allow.
#[test]
fn jobs_may_call_what_their_jail_allows() {
    let unit = Unit::read();
    let mut allowed = BTreeSet::new();
    for name in unit.all("SystemCallFilter").iter().flat_map(|names| names.split(' ')) {
        expand(name, &mut allowed);
    }
    assert!(allowed.len() > 200, "{allowed:?}");
    let table = text("src/sandbox/jail/syscalls.txt");
    let mut checked = 0;
    for line in table.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (name, rule) = (words[0], words[3]);
        if !rule.starts_with('E') {
            // A call that this systemd has no name for is not refused but unknown, to which compilers have an answer.
            assert!(allowed.contains(name) || is_unnamed(name), "{name} is refused by the unit");
            checked += 1;
        }
    }
    assert!(checked > 150);
    for builder in [
        "clone3",
        "unshare",
        "setns",
        "pivot_root",
        "mount_setattr",
        "move_mount",
        "sethostname",
        "capset",
        "seccomp",
        "landlock_restrict_self",
        "pidfd_send_signal",
        "socketpair",
    ] {
        assert!(allowed.contains(builder), "{builder} is refused by the unit");
    }
    for needless in
        ["bpf", "perf_event_open", "kexec_load", "ptrace", "init_module", "reboot", "settimeofday"]
    {
        assert!(!allowed.contains(needless), "{needless} is allowed by the unit");
    }
}

/// Whether systemd knows no set with this call, the one of all calls included.
fn is_unnamed(name: &str) -> bool {
    let mut known = BTreeSet::new();
    expand("@known", &mut known);
    !known.contains(name)
}

#[test]
fn scripts_are_clean() {
    let scripts = ["init/install.sh", "boot.sh", "image.sh", "steps.sh"];
    let scripts = scripts.map(|name| match name.strip_prefix("init/") {
        Some(_) => crate::unit::path(name),
        None => crate::unit::path("tests/fixtures/machine").join(name),
    });
    let said = command("shellcheck").args(scripts).output();
    let said = said.unwrap_or_else(|error| panic!("shellcheck: {error}; run .ci/setup --tests"));
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stdout));
}
