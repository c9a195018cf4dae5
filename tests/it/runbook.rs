//! The runbook tells the truth: every alarm has its section, and every command in it exists with these flags.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::support::daemon::program;

/// What each alarm's section begins with (issue: "every alarm with its first three commands").
const FIRST_COMMANDS: usize = 3;

fn file(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// Everything in a text that is a command line of ours: in blocks, and between back quotes.
fn commands(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim).filter(|line| line.starts_with("compilation-worker "));
    let quoted = text.split('`').skip(1).step_by(2).filter(|text| text.starts_with("compilation-worker "));
    lines.chain(quoted).map(str::to_owned).collect()
}

/// The sections about alarms, by name.
fn sections(runbook: &str) -> BTreeMap<&str, &str> {
    let alarms = runbook.split("\n## ").find(|chapter| chapter.starts_with("Alarms\n")).unwrap();
    alarms.split("\n### ").skip(1).map(|section| section.split_once('\n').unwrap()).collect()
}

/// What `--help` says of the command that a line calls, and its flags.
fn help(line: &str) -> (Vec<&str>, String) {
    let words: Vec<&str> = line.split_whitespace().skip(1).collect();
    let command = words.iter().take_while(|word| word.chars().all(|letter| letter.is_ascii_lowercase()));
    // `fleet scale 10` and `migrate weights 0`: a command has two words at most.
    let command: Vec<&str> = command.take(2).copied().collect();
    let output = program().args(&command).arg("--help").output().unwrap();
    assert!(output.status.success(), "{line}: there is no such command");
    let flags =
        words.iter().filter(|word| word.starts_with("--")).map(|word| word.split('=').next().unwrap());
    (flags.collect(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn every_command_exists_with_its_flags() {
    let mut seen = 0;
    for path in
        ["terraform/RUNBOOK.md", "terraform/README.md", "README.md", "init/README.md", "packer/README.md"]
    {
        for line in commands(&file(path)) {
            let (flags, help) = help(&line);
            for flag in flags {
                let known = help.split(|letter: char| letter.is_whitespace() || "[]=,<>".contains(letter));
                assert!(
                    known.into_iter().any(|word| word == flag),
                    "{path}: {line}: --help does not know {flag}"
                );
            }
            seen += 1;
        }
    }
    assert!(seen > 40, "only {seen} commands were found");
}

#[test]
fn every_alarm_has_a_section_that_begins_with_three_commands() {
    let (runbook, alarms) = (file("terraform/RUNBOOK.md"), file("terraform/alarms.tf"));
    let sections = sections(&runbook);
    let named: BTreeSet<&str> =
        alarms.split("Runbook: ").skip(1).map(|rest| rest.split(['.', '"']).next().unwrap()).collect();
    let alarms = alarms.matches("resource \"aws_cloudwatch_metric_alarm\"").count();
    assert!(named.len() == alarms && alarms > 8, "{alarms} alarms name {named:?}");
    assert_eq!(sections.keys().copied().collect::<BTreeSet<_>>(), named);
    for (name, section) in sections {
        let block = section.split("```sh\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        assert_eq!(block.lines().count(), FIRST_COMMANDS, "{name}");
        assert_eq!(commands(block).len(), FIRST_COMMANDS, "{name}: {block}");
    }
}
