//! Every name, port, path, time and exit code in `init/` is one of the program's.

use std::time::Duration;

use compilation_worker::config::keys::KEYS;
use compilation_worker::config::{EXIT_CONFIG, EXIT_USAGE, FILE_VARIABLE};
use compilation_worker::domain::limits::Limits;
use compilation_worker::lifecycle::{Ending, KILL_GRACE};
use serde_json::Value;

use crate::support::daemon::program;
use crate::unit::{Unit, path, text};

/// As many slots as the largest machine of a fleet has, and some.
const MOST_SLOTS: u64 = 64;

/// The settings that hold under the unit, with every line of the environment's example in force.
fn settings() -> Vec<Value> {
    let unit = Unit::read();
    let example = text("init/environment");
    let examples = example.lines().filter_map(|line| line.strip_prefix('#')).filter(|line| {
        line.split_once('=')
            .is_some_and(|(name, _)| name.chars().all(|letter| letter.is_ascii_uppercase() || letter == '_'))
    });
    let mut command = program();
    let mut given = 0;
    for (name, value) in
        unit.all("Environment").into_iter().chain(examples).map(|line| line.split_once('=').unwrap())
    {
        let place = if name == FILE_VARIABLE {
            path("init/config.toml").to_str().unwrap().to_owned()
        } else {
            value.to_owned()
        };
        command.env(name, place);
        given += 1;
    }
    assert!(given > 5, "hardly anything is given");
    let told = command.args(["check", "--json"]).output().unwrap();
    let told: Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!(told["mistakes"], serde_json::json!([]), "{told:#}");
    let settings = told["settings"].as_array().unwrap().clone();
    // A name that is none of ours would have been passed over.
    let from_environment =
        settings.iter().filter(|setting| setting["origin"].as_str().unwrap().starts_with("environment"));
    assert_eq!(from_environment.count() + 1, given, "a variable stands for no setting");
    settings
}

fn value(settings: &[Value], key: &str) -> String {
    let found = settings.iter().find(|setting| setting["key"] == key);
    found.unwrap_or_else(|| panic!("no {key}"))["value"].as_str().unwrap().to_owned()
}

fn seconds(settings: &[Value], key: &str) -> u64 {
    value(settings, key).strip_suffix('s').and_then(|number| number.parse().ok()).unwrap()
}

#[test]
fn settings_are_those_of_the_program() {
    let settings = settings();
    for (key, want) in [
        ("http.listen", "0.0.0.0:10240"),
        ("admin.listen", "127.0.0.1:10241"),
        ("http.clear_cache_from", ""),
        ("sandbox.mode", "strict"),
        ("log.format", "json"),
    ] {
        assert_eq!(value(&settings, key), want, "{key}");
    }
    let lines = text("init/config.toml");
    let keys = lines
        .lines()
        .filter_map(|line| line.trim_start_matches("#  ").trim().split_once(" = "))
        .map(|(key, _)| key);
    for key in keys.filter(|key| !key.contains([' ', '#'])) {
        assert!(KEYS.iter().any(|known| known.name == key), "config.toml names {key}");
    }
}

#[test]
fn times_are_those_of_the_program() {
    let (unit, settings) = (Unit::read(), settings());
    assert_eq!(seconds(&settings, "drain.lame_duck"), 20, "decision D22");
    let longest = Duration::from_secs(seconds(&settings, "drain.budget")) + 2 * KILL_GRACE;
    let stop = Duration::from_secs(unit.number("TimeoutStopSec"));
    assert!(stop > longest && stop < longest + Duration::from_secs(10), "{stop:?} {longest:?}");
    // Fed twice in each period, and the heart that it listens to beats four times a second.
    assert_eq!(unit.number("WatchdogSec"), 20);
    assert!(unit.number("TimeoutAbortSec") < unit.number("WatchdogSec"));
    // Starts that fail at once, with a pause between, all fall into the time that they are counted in.
    assert!(
        unit.number("StartLimitBurst") * (unit.number("RestartSec") + 15)
            <= unit.number("StartLimitIntervalSec")
    );
}

#[test]
fn exits_are_those_of_the_program() {
    let unit = Unit::read();
    assert_eq!(unit.one("RestartPreventExitStatus"), format!("{EXIT_USAGE} {EXIT_CONFIG}"));
    assert_eq!(unit.one("Restart"), "on-failure");
    // Killed work is a failure: the helper's death ends the daemon in this way, and it must be started again.
    assert!(unit.all("SuccessExitStatus").is_empty());
    let page = text("init/README.md");
    for code in [Ending::Clean.exit_code(), Ending::Killed.exit_code(), EXIT_CONFIG] {
        assert!(page.contains(&format!("\n| {code}")), "the README does not know exit {code}");
    }
}

#[test]
fn room_is_enough_for_the_limits() {
    let unit = Unit::read();
    let limits = Limits::default();
    assert!(unit.number("TasksMax") > MOST_SLOTS * (limits.pids + 3));
    let connections = KEYS.iter().find(|key| key.path() == "http.connections").unwrap();
    let connections: u64 = connections.default.parse().unwrap();
    assert!(unit.number("LimitNOFILE") > 2 * connections + MOST_SLOTS * 30);
}

#[test]
fn names_and_places_are_the_same_everywhere() {
    let unit = Unit::read();
    let name = "compilation-worker";
    let binary = format!("/usr/local/bin/{name}");
    assert_eq!(unit.one("ExecStart"), format!("{binary} serve"));
    for key in ["User", "Group", "StateDirectory", "SyslogIdentifier"] {
        assert_eq!(unit.one(key), name, "{key}");
    }
    assert!(unit.all("Environment").contains(&format!("{FILE_VARIABLE}=/etc/{name}/config.toml").as_str()));
    assert_eq!(unit.one("EnvironmentFile"), format!("/etc/{name}/environment"));
    for (file, words) in [
        ("init/sysusers.d/compilation-worker.conf", format!("u {name} ")),
        (
            "init/apparmor/compilation-worker",
            format!("profile {name} {binary} flags=(unconfined) {{\n  userns,\n"),
        ),
        ("init/rsyslog.d/30-compilation-worker.conf", format!("if $programname == \"{name}\"")),
        ("init/rsyslog.d/30-compilation-worker.conf", format!("file=\"/var/log/{name}/worker.log\"")),
        ("init/logrotate.d/compilation-worker", format!("/var/log/{name}/worker.log {{")),
        ("init/sysctl.d/60-compilation-worker.conf", "net.ipv4.ip_local_reserved_ports = 25888".to_owned()),
    ] {
        assert!(text(file).contains(&words), "{file} does not say {words}");
    }
}

/// Where a key of the kernel is misspelt, systemd says so in a log that nobody reads.
#[test]
fn the_kernel_knows_its_settings() {
    let settings = text("init/sysctl.d/60-compilation-worker.conf");
    let mut reasoned = false;
    let mut count = 0;
    for line in settings.lines() {
        if let Some((key, _)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) {
            let file = format!("/proc/sys/{}", key.replace('.', "/"));
            assert!(std::path::Path::new(&file).exists(), "there is no {file}");
            assert!(reasoned, "{key} has no reason");
            count += 1;
        } else {
            reasoned = line.starts_with('#');
        }
    }
    assert!(count >= 8, "{count}");
}

#[test]
fn everything_in_the_directory_is_installed() {
    let script = text("init/install.sh").replace("$name", "compilation-worker");
    let root = path("init");
    let mut directories = vec![root.clone()];
    let mut files = 0;
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let place = entry.unwrap().path();
            if place.is_dir() {
                directories.push(place);
                continue;
            }
            let name = place.strip_prefix(&root).unwrap().to_str().unwrap();
            let is_for_people = ["install.sh", "README.md"].contains(&name);
            assert!(
                is_for_people || script.contains(&format!("\"$here/{name}\"")),
                "{name} is not installed"
            );
            files += 1;
        }
    }
    assert!(files >= 11, "{files}");
}
