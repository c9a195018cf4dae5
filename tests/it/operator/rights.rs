//! The table of rights says what is asked for. That nothing else is, every run of a command here checks.

use std::collections::BTreeSet;

use compilation_worker::operate::permissions;

use super::SOON;
use super::cloud::Cloud;
use crate::cli::asks::run;

/// The commands that this folder is about.
const OWN: [&str; 8] = [
    "fleet status",
    "fleet scale",
    "fleet isolate",
    "fleet rejoin",
    "fleet logs",
    "fleet refresh",
    "migrate weights",
    "cost",
];

#[tokio::test(flavor = "multi_thread")]
async fn every_right_in_the_table_is_used() {
    let cloud = Cloud::start().await;
    for command in OWN {
        let lines: &[&[&str]] = match command {
            "fleet scale" => &[&["2"]],
            "fleet isolate" | "fleet rejoin" => &[&["i-1"]],
            "fleet refresh" => &[&["--yes"], &["--cancel"]],
            "migrate weights" => &[&["0", "--watch", "100ms"]],
            _ => &[&[]],
        };
        let before = cloud.world().asked.len();
        for words in lines {
            let takes_every = !matches!(command, "fleet status" | "cost");
            let soon = if takes_every { &SOON[..] } else { &[] };
            let refresh = if words.first() == Some(&"--cancel") {
                vec![("InProgress", 1)]
            } else {
                vec![("Successful", 100)]
            };
            cloud.world().refresh = refresh;
            let own: Vec<&str> = command.split(' ').collect();
            let _done = cloud.run(&[&own, *words, soon].concat()).await;
        }
        let world = cloud.world();
        let asked: BTreeSet<&str> = world.asked[before..].iter().map(|(action, _)| action.as_str()).collect();
        let listed: BTreeSet<&str> = permissions::of(command).iter().copied().collect();
        assert_eq!(asked, listed, "{command}");
    }
}

#[test]
fn help_teaches_with_examples_and_rights() {
    for command in OWN {
        let words: Vec<&str> = command.split(' ').chain(["--help"]).collect();
        let (out, err, code) = run(&words);
        assert_eq!((err.as_str(), code), ("", 0), "{command}");
        assert!(out.contains(&format!("compilation-worker {command}")), "no example of {command}");
        let listed = permissions::of(command);
        assert!(!listed.is_empty() && listed.iter().all(|action| out.contains(action)), "{command}: {out}");
    }
}
