//! The whole, on a machine that `init/install.sh` has prepared: systemd starts the daemon, believes it ready when it is,
//! starts it again when it dies or hangs, and stops it without losing an answer. The test that every machine image must
//! pass, passes there.
//!
//! `tests/fixtures/machine` has the machine: `image.sh` makes its disk (`.ci/setup --tests` calls it), `boot.sh` boots
//! it, emulated, and `steps.sh` runs there.

use std::process::Stdio;

use serde_json::Value;

use crate::support::daemon::BINARY;
use crate::unit::{command, path};

/// What must be seen, in this order.
const STEPS: [&str; 18] = [
    "started on boot",
    "unit is clean",
    "user is unprivileged",
    "apparmor knows it",
    "jails have groups",
    "doctor looks at the units group",
    "compile is jailed",
    "out of memory is a result",
    "reload reads the catalogue",
    "killed it is restarted",
    "without its helper it is restarted",
    "wedged it is restarted",
    "stop drains",
    "image passes its test",
    "log file is json",
    "configuration error is 78",
    "active means ready",
    "blind to results it does not serve",
];

#[test]
#[expect(clippy::disallowed_methods, reason = "the harness asks whether it is in CI")]
fn everything_that_the_unit_promises() {
    let (machine, image) = (path("tests/fixtures/machine"), path("target/machine"));
    // A laptop may lack the image; where everything is installed, a skipped proof would be a lost one.
    let system = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let has_packages = cfg!(target_arch = "x86_64") && system.lines().any(|line| line == "ID=debian");
    let must_be_there = has_packages && std::env::var_os("CI").is_some();
    if !must_be_there && !image.join("root.ext4").exists() {
        println!("skipped: no image; on Debian for x86-64, run .ci/setup --tests as root");
        return;
    }
    let mut boot = command(machine.join("boot.sh").to_str().unwrap());
    boot.arg(image)
        .arg(BINARY)
        .arg(path("init"))
        .arg(machine.join("steps.sh"))
        .arg(path("packer/self-test.sh"));
    let output = boot.stdin(Stdio::null()).output().unwrap();
    let console = String::from_utf8_lossy(&output.stdout).replace('\r', "");
    println!("{console}");
    let complaint = String::from_utf8_lossy(&output.stderr);
    let seen: Vec<&str> = console
        .lines()
        .filter_map(|line| line.split_once("ok: "))
        .filter_map(|(_, told)| told.split(" (").next())
        .collect();
    assert_eq!(seen, STEPS, "{complaint}");
    let lines: Vec<&str> = console.lines().filter_map(|line| line.strip_prefix("log: ")).collect();
    assert!(lines.len() > 20, "{lines:?}");
    for line in lines {
        let told: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}"));
        assert!(["timestamp", "level", "message"].iter().all(|member| told[member].is_string()), "{line}");
    }
    assert!(console.lines().any(|line| line == "end"), "{complaint}");
}
