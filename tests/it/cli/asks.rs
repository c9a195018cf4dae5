//! `check`, `doctor`, `version` and help: what the program says of itself and of the machine.

use std::process::{Command, Output};

use serde_json::Value;

use crate::support::daemon::{BINARY, program};

/// What one command line prints, says and returns.
pub(crate) fn run(words: &[&str]) -> (String, String, i32) {
    output(program().args(words))
}

pub(super) fn output(command: &mut Command) -> (String, String, i32) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(stdout), text(stderr), status.code().unwrap())
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text:?}"))
}

#[test]
fn check_shows_every_value_and_where_it_is_from() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("worker.toml");
    std::fs::write(&file, "[http]\nidle = \"90s\"\n[engine]\nslots = 3\n").unwrap();
    let command = || {
        let mut command = program();
        command.args(["check", "--engine-slots", "1", "--config"]).arg(&file);
        command.env("COMPILATION_WORKER_LIMITS_WALL", "7s");
        command
    };
    let (out, err, code) = output(&mut command());
    assert_eq!((err.as_str(), code), ("", 0));
    let line = |key: &str| {
        out.lines()
            .find(|line| line.starts_with(&format!("{key} = ")))
            .unwrap_or_else(|| panic!("no {key} in {out}"))
    };
    assert!(
        line("http.idle").starts_with("http.idle = 90s ") && line("http.idle").contains("worker.toml"),
        "{out}"
    );
    assert!(line("engine.slots").ends_with("(flag --engine-slots)"), "{out}");
    assert!(line("limits.wall").contains("COMPILATION_WORKER_LIMITS_WALL"), "{out}");
    assert!(line("http.body").ends_with("(default)"), "{out}");
    let (out, _, code) = output(command().arg("--json"));
    let page = json(&out);
    let settings = page["settings"].as_array().unwrap();
    let slots = settings.iter().find(|setting| setting["key"] == "engine.slots").unwrap();
    assert_eq!((&slots["value"], code), (&Value::from("1"), 0));
    assert_eq!(page["mistakes"], Value::Array(Vec::new()));
}

#[test]
fn all_mistakes_are_told_at_once_each_with_its_fix() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("worker.toml");
    std::fs::write(&file, "[http]\nidel = \"90s\"\nbody = 16\n[nonsense]\nx = 1\n").unwrap();
    let mut command = program();
    command.args(["check", "--engine-slots", "many", "--limits-memory", "3 parsecs", "--config"]).arg(&file);
    command.env("COMPILATION_WORKER_LIMITS_WALL", "7").env("COMPILATION_WORKER_LIMITS_WALLS", "7s");
    let (out, err, code) = output(&mut command);
    assert_eq!((out.as_str(), code), ("", 78), "{err}");
    for word in ["http.idel", "http.idle", "http.body", "nonsense", "engine.slots", "many", "limits.memory"] {
        assert!(err.contains(word), "{word} is not told: {err}");
    }
    assert!(
        err.contains("3 parsecs") && err.contains("7s") && err.contains("COMPILATION_WORKER_LIMITS_WALLS"),
        "{err}"
    );
    assert!(err.lines().filter(|line| line.starts_with("configuration: ")).count() >= 7, "{err}");
    let (out, err, code) = output(command.arg("--json"));
    assert_eq!((err.as_str(), code), ("", 78));
    let mistakes = json(&out)["mistakes"].as_array().unwrap().clone();
    assert!(mistakes.len() >= 7, "{out}");
    for mistake in mistakes {
        for member in ["key", "origin", "wrong", "fix"] {
            assert!(mistake[member].as_str().is_some_and(|text| !text.is_empty()), "{mistake}");
        }
    }
}

#[test]
fn a_command_line_alone_to_blame_exits_with_64() {
    for words in [
        &["serve", "--engine-slots", "0"][..],
        &["serve", "--limits-wall", "20"],
        &["serve", "--lisen", "127.0.0.1:0"],
        &["check", "--sandbox", "maybe"],
        &["compile"],
        &["frobnicate"],
        &[],
    ] {
        let (out, err, code) = run(words);
        assert_eq!((out.as_str(), code), ("", 64), "{words:?}: {err}");
        assert!(!err.is_empty(), "{words:?} is refused without a word");
    }
    let (_, err, code) = run(&["serve", "--config", "/nowhere/worker.toml"]);
    assert_ne!(code, 0);
    assert!(err.contains("/nowhere/worker.toml"), "{err}");
}

/// Whoever collects a daemon's log reads JSON, line by line; what keeps it from starting is among it.
#[test]
fn a_refusal_to_start_is_a_line_of_the_log() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (words, expected, exit) in [
        (&["serve", "--config", "/nowhere/worker.toml"][..], "/nowhere/worker.toml", 64),
        (
            &["serve", "--http-idle", "soon", "--engine-slots", "many"],
            "configuration: engine.slots = many",
            64,
        ),
        (&["serve", "--listen", &address, "--sandbox", "none"], "error: could not listen on", 1),
        (&["hub", "--listen", &address], "error: could not listen on", 1),
    ] {
        let (out, err, code) = run(words);
        assert_eq!((out.as_str(), code), ("", exit), "{words:?}: {err}");
        let lines: Vec<_> = err.lines().map(json).collect();
        let told = lines
            .iter()
            .filter(|line| line["level"] == "ERROR")
            .map(|line| line["message"].as_str().unwrap());
        assert_eq!(told.filter(|message| message.contains(expected)).count(), 1, "{words:?}: {err}");
        let (_, err, _) = run(&[words, &["--log-format", "pretty"]].concat());
        assert!(
            err.lines().any(|line| line.contains(expected) && !line.starts_with('{')),
            "{words:?}: {err}"
        );
    }
}

#[test]
fn the_doctor_says_which_control_group_it_has_looked_at() {
    let words = ["doctor", "--json", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
    let detail = |words: &[&str]| {
        let (out, _, _) = run(words);
        let findings = json(&out)["findings"].as_array().unwrap().clone();
        findings.into_iter().find(|finding| finding["name"] == "cgroups").unwrap()["detail"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert!(detail(&words).starts_with("this process's own: "));
    let other = [&words[..], &["--sandbox-cgroup-parent", "/nowhere"]].concat();
    assert!(detail(&other).starts_with("sandbox.cgroup_parent: "));
}

/// The machine is one that has no control groups to give: to a strict jail that is a failure, to another it is not.
#[test]
#[expect(clippy::disallowed_methods, reason = "the black-box tests start the program")]
fn the_doctor_knows_what_a_strict_jail_needs() {
    let without_cgroups = "mount -t tmpfs none /sys/fs/cgroup && exec \"$@\"";
    for (mode, expected) in [("jail", "warn"), ("strict", "fail")] {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", without_cgroups, "sh", BINARY]);
        command.args(["doctor", "--json", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
        let (out, err, code) = output(command.args(["--sandbox", mode]));
        let findings = json(&out)["findings"].as_array().unwrap().clone();
        let found = findings.iter().find(|finding| finding["name"] == "cgroups").unwrap();
        assert_eq!(found["verdict"], expected, "{err}{found}");
        assert!(mode != "strict" || code == 1, "{out}");
    }
}

#[test]
fn the_doctor_looks_at_everything_that_serving_needs() {
    let words = ["doctor", "--json", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
    let (out, err, code) = run(&words);
    assert_eq!((err.as_str(), code), ("", 0), "{out}");
    let findings = json(&out)["findings"].as_array().unwrap().clone();
    let names: Vec<&str> = findings.iter().map(|finding| finding["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"machine") && names.contains(&"compilers") && names.len() > 6, "{names:?}");
    for finding in &findings {
        assert!(matches!(finding["verdict"].as_str(), Some("ok" | "warn" | "fail")), "{finding}");
        assert!(!finding["detail"].as_str().unwrap().is_empty(), "{finding}");
        assert!(finding["verdict"] == "ok" || finding["fix"].is_string(), "no fix: {finding}");
    }
    let (text, _, code) = run(&[&words[..1], &words[2..]].concat());
    assert_eq!(code, 0);
    assert!(names.iter().all(|name| text.contains(name)), "{text}");
}

#[test]
fn the_doctor_fails_for_a_machine_without_compilers_and_says_what_to_do() {
    let none = [
        "doctor",
        "--listen",
        "127.0.0.1:0",
        "--admin-listen",
        "127.0.0.1:0",
        "--catalogue-search-path",
        "/nowhere",
    ];
    let (out, _, code) = run(&none);
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("FAIL  compilers: none found\n") && out.contains("apt-get install"), "{out}");
}

#[test]
fn help_of_every_command_is_data() {
    for command in ["serve", "hub", "check", "doctor", "compile", "asm", "version"] {
        let (out, err, code) = run(&[command, "--help"]);
        assert_eq!((err.as_str(), code), ("", 0), "{command}");
        assert!(out.contains("Usage: compilation-worker") && out.contains(command), "{out}");
    }
    let (out, _, code) = run(&["--help"]);
    assert_eq!(code, 0);
    for command in ["serve", "hub", "check", "doctor", "compile", "asm", "version"] {
        assert!(out.lines().any(|line| line.trim_start().starts_with(command)), "{command} is not in {out}");
    }
    assert_eq!(run(&["version"]).0, format!("compilation-worker {}\n", env!("CARGO_PKG_VERSION")));
    assert_eq!(run(&["--version"]).2, 0);
}
