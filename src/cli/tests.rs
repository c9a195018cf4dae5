//! Command lines in, streams and exit codes out, with stand-ins for the engine.

use std::io::{self, Cursor, Write as _};
use std::sync::{Arc, Mutex};

use clap::CommandFactory as _;

use super::*;

#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl io::Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Paper {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

const ROLES: Roles = Roles {
    serve: |loaded, announce| {
        anyhow::ensure!(announce == Announce::Addresses, "serve was not told to announce");
        Ok(ExitCode::from(u8::try_from(loaded.config.engine.slots)?))
    },
    hub: |loaded, announce| {
        anyhow::ensure!(announce == Announce::Addresses, "the hub was not told to announce");
        Ok(ExitCode::from(u8::try_from(loaded.config.hub.connections)?))
    },
    compile: |_, job| {
        anyhow::ensure!(job.compiler.as_deref() != Some("nope"), "there is no compiler nope");
        Ok(Compiled {
            data: format!("{}|{}|{}", job.source, job.arguments.join(" "), job.json).into_bytes(),
            said: format!("labels: {}", job.filters.labels),
            success: !job.source.contains("error"),
        })
    },
    route: |_, compiler| {
        anyhow::ensure!(compiler == "g132", "could not find out where {compiler} is served");
        Ok(route::tests::shared())
    },
    installed: |_| Ok(["g132".to_owned()].into()),
    examine: |_| {
        let fix = Some("mend it".to_owned());
        vec![Finding { name: "kernel".to_owned(), verdict: Verdict::Fail, detail: "too old".to_owned(), fix }]
    },
    filter: |text, filters| {
        let mut listing = Listing::default();
        let kept = text.lines().filter(|line| !(filters.directives && line.starts_with('.')));
        kept.for_each(|line| listing.push(line, None, Vec::new()));
        listing
    },
    render: |listing, _| format!("{{\"lines\":{}}}", listing.len()).into_bytes(),
};

/// What a command line prints, says and returns, given this on standard input.
fn run_with(words: &[&str], input: &str) -> (String, String, ExitCode) {
    let (out, err) = (Paper::default(), Paper::default());
    let mut streams = Streams {
        input: Box::new(Cursor::new(input.to_owned())),
        out: Box::new(out.clone()),
        err: Box::new(err.clone()),
        at_terminal: true,
        interactive: false,
    };
    let words = ["compilation-worker"].iter().chain(words).map(OsString::from);
    let code = run(words, &ROLES, &mut streams);
    (out.text(), err.text(), code)
}

#[test]
fn claps_own_checks_hold() {
    Cli::command().debug_assert();
}

#[test]
fn help_is_data_and_teaches() {
    let (out, err, code) = run_with(&["--help"], "");
    assert!(out.contains("compilation-worker doctor") && err.is_empty(), "{out}{err}");
    assert_eq!(code, ExitCode::SUCCESS);
    let (short, _, _) = run_with(&["serve", "-h"], "");
    assert!(
        short.contains("--listen") && short.contains("--announce") && !short.contains("--http-idle"),
        "{short}"
    );
    let (long, _, _) = run_with(&["serve", "--help"], "");
    assert!(long.contains("--http-idle") && long.contains("COMPILATION_WORKER_HTTP_IDLE"), "{long}");
    for command in ["hub", "check", "doctor", "compile", "route", "asm", "version"] {
        assert_eq!(run_with(&[command, "--help"], "").2, ExitCode::SUCCESS, "{command}");
    }
}

#[test]
fn the_hub_has_its_own_short_flags_and_no_others() {
    for flag in ["--connections", "--hub-connections"] {
        let (out, err, code) = run_with(&["hub", "--announce", "--listen", "127.0.0.1:0", flag, "7"], "");
        assert_eq!((out.as_str(), err.as_str(), code), ("", "", ExitCode::from(7)));
    }
    let (help, _, _) = run_with(&["hub", "-h"], "");
    assert!(help.contains("--listen") && help.contains("--message") && !help.contains("--http"), "{help}");
    assert_eq!(run_with(&["hub", "--engine-slots", "1"], "").2, ExitCode::from(EXIT_USAGE));
}

#[test]
fn a_bad_command_line_exits_with_64_and_keeps_data_clean() {
    for words in [&["serve", "--nonsense"][..], &["nonsense"], &[], &["compile"], &["serve", "--slots", "1"]]
    {
        let (out, err, code) = run_with(words, "");
        assert_eq!((out.as_str(), code), ("", ExitCode::from(64)), "{words:?}");
        assert!(!err.is_empty());
    }
    let (_, err, _) = run_with(&["serve", "--lisen", "x"], "");
    assert!(err.contains("--listen"), "a near miss is met with a suggestion: {err}");
}

#[test]
fn serve_gets_its_configuration_and_its_exit_code_counts() {
    let (out, err, code) = run_with(&["serve", "--announce", "--engine-slots", "3"], "");
    assert_eq!((out.as_str(), code), ("", ExitCode::from(3)), "{err}");
    let (_, err, code) = run_with(&["serve"], "");
    assert_eq!((err.as_str(), code), ("error: serve was not told to announce\n", ExitCode::FAILURE));
    let (_, err, code) = run_with(&["serve", "--http-idle", "1", "--engine-slots", "x"], "");
    assert_eq!(code, ExitCode::from(64));
    assert_eq!(err.lines().filter(|line| line.starts_with("configuration: ")).count(), 2, "{err}");
}

#[test]
fn why_a_daemon_does_not_start_is_told_as_its_log_would_be() {
    for (command, flag, key) in
        [("serve", "--drain-budget", "drain.budget"), ("hub", "--message", "hub.message")]
    {
        let (_, err, code) = run_with(&[command, "--log-format", "json", flag, "1"], "");
        let line: serde_json::Value = serde_json::from_str(&err).unwrap();
        assert_eq!((line["level"].as_str(), code), (Some("ERROR"), ExitCode::from(64)));
        assert!(
            line["message"].as_str().unwrap().starts_with(&format!("configuration: {key} = 1 ")),
            "{line}"
        );
        assert!(line["timestamp"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok(), "{line}");
    }
    let (_, err, code) = run_with(&["serve", "--log-format", "json"], "");
    let line: serde_json::Value = serde_json::from_str(&err).unwrap();
    assert_eq!(
        (line["message"].as_str(), code),
        (Some("error: serve was not told to announce"), ExitCode::FAILURE)
    );
    // A format that cannot be read is as if none were given, and this is a terminal.
    for words in
        [&["serve", "--log-format", "yaml"][..], &["serve", "--http-idle", "1", "--log-format", "pretty"]]
    {
        let (_, err, code) = run_with(words, "");
        assert!(err.starts_with("configuration: ") && code == ExitCode::from(64), "{err}");
    }
    // Other commands speak to people.
    let (_, err, _) = run_with(&["check", "--log-format", "json", "--http-idle", "1"], "");
    assert!(err.starts_with("configuration: http.idle"), "{err}");
}

#[test]
fn check_shows_values_with_their_origin() {
    let (out, _, code) = run_with(&["check", "--http-idle", "80s"], "");
    assert_eq!(code, ExitCode::SUCCESS);
    assert!(
        out.lines().any(|line| line.starts_with("http.idle = 80s ") && line.ends_with("(flag --http-idle)")),
        "{out}"
    );
    let (out, _, _) = run_with(&["check", "--json", "--http-idle", "80s"], "");
    let page: serde_json::Value = serde_json::from_str(&out).unwrap();
    let settings = page["settings"].as_array().unwrap();
    assert!(settings.contains(&json!({"key": "http.idle", "value": "80s", "origin": "flag --http-idle"})));
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"[http]\nidle = 75\n").unwrap();
    let (out, _, code) = run_with(&["check", "--json", "--config", file.path().to_str().unwrap()], "");
    assert_eq!(code, ExitCode::from(78));
    let page: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(page["mistakes"][0]["fix"], "write 75s");
    assert!(run_with(&["check", "--reference"], "").0.contains("| `engine.slots` | `auto` |"));
}

#[test]
fn doctor_fails_when_something_does() {
    let free = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
    let (out, _, code) = run_with(&[&["doctor"][..], &free].concat(), "");
    assert_eq!(code, ExitCode::FAILURE);
    assert!(out.ends_with("FAIL  kernel: too old\n      fix: mend it\n"), "{out}");
    assert!(out.contains("ok    http.listen: 127.0.0.1:0 is free\n"), "{out}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (out, _, _) =
        run_with(&["doctor", "--json", "--listen", &address, "--admin-listen", "127.0.0.1:0"], "");
    let page: serde_json::Value = serde_json::from_str(&out).unwrap();
    let finding =
        page["findings"].as_array().unwrap().iter().find(|finding| finding["name"] == "http.listen").unwrap();
    assert_eq!(finding["verdict"], "fail", "{finding}");
}

#[test]
fn compile_reads_runs_and_reports() {
    let (out, err, code) =
        run_with(&["compile", "-", "--filters", "labels", "--json", "--", "-O2", "--x"], "int x;");
    assert_eq!(
        (out.as_str(), err.as_str(), code),
        ("int x;|-O2 --x|true", "labels: true\n", ExitCode::SUCCESS)
    );
    assert_eq!(run_with(&["compile", "-"], "error").2, ExitCode::FAILURE);
    let (_, err, code) = run_with(&["compile", "--compiler", "nope", "-"], "");
    assert_eq!((err.as_str(), code), ("error: there is no compiler nope\n", ExitCode::FAILURE));
    let (_, err, _) = run_with(&["compile", "/nowhere/x.cpp"], "");
    assert!(err.starts_with("error: could not read /nowhere/x.cpp: "), "{err}");
}

#[test]
fn route_explains_and_a_table_that_is_away_is_a_failure() {
    let (out, err, code) = run_with(&["route", "--catalogue", "/etc/x", "g132"], "");
    assert!(out.starts_with("compiler  g132\n") && err.is_empty(), "{out}{err}");
    assert_eq!(code, ExitCode::SUCCESS);
    let page: serde_json::Value =
        serde_json::from_str(&run_with(&["route", "g132", "--json"], "").0).unwrap();
    assert_eq!(page["row"], "prod#g132");
    assert_eq!((&page["says"], &page["when_busy"]), (&json!("queue"), &json!("queued")));
    assert_eq!((&page["url"], &page["cached"]), (&json!(null), &json!(false)));
    let (out, err, code) = run_with(&["route", "clang"], "");
    assert_eq!((out.as_str(), err.as_str()), ("", "error: could not find out where clang is served\n"));
    assert_eq!(code, ExitCode::FAILURE);
}

#[test]
fn asm_filters_a_stream_or_a_file() {
    assert_eq!(run_with(&["asm", "--filters", "directives"], ".text\nret\n").0, "ret\n");
    assert_eq!(run_with(&["asm", "--filters", "", "-"], ".text\nret\n").0, ".text\nret\n");
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"a\xff\n.b\n").unwrap();
    assert_eq!(run_with(&["asm", "--json", file.path().to_str().unwrap()], "").0, "{\"lines\":1}\n");
    let (_, err, code) = run_with(&["asm", "--filters", "lables"], "");
    assert_eq!(code, ExitCode::from(64));
    assert!(
        err.contains("did you mean labels?") && err.contains("filters are binary, binaryObject, commentOnly"),
        "{err}"
    );
}

#[test]
fn version_names_the_package() {
    assert_eq!(run_with(&["version"], "").0, format!("compilation-worker {}\n", env!("CARGO_PKG_VERSION")));
    let page: serde_json::Value = serde_json::from_str(&run_with(&["version", "--json"], "").0).unwrap();
    assert_eq!(page["version"], env!("CARGO_PKG_VERSION"));
}
