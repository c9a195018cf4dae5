//! `routes list|set|import|validate`, against an emulator.

use std::fmt::Write as _;
use std::time::SystemTime;

use compilation_worker::aws::{RouteTable, Written};
use compilation_worker::operate::routes::Target;
use serde_json::{Value, json};

use crate::cli::asks::{output, run};
use crate::cli::cloud::{Cloud, TABLE, given};

const URL: &str = "https://gpu.example/api/compiler/nvcc130/compile";

async fn cloud() -> Cloud {
    let cloud = Cloud::start().await;
    cloud.emulator.make_table(TABLE).await;
    cloud
}

/// Every row as `key leads to`.
fn listed(cloud: &Cloud, words: &[&str]) -> Vec<String> {
    let page = cloud.json(&[&["routes", "list"], words].concat());
    let rows = page["rows"].as_array().unwrap().iter();
    let to = |row: &Value| row["url"].as_str().or(row["queue"].as_str()).unwrap_or("-").to_owned();
    rows.map(|row| format!("{} {}", row["key"].as_str().unwrap(), to(row))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_is_set_shown_and_deleted() {
    let cloud = cloud().await;
    let set = ["routes", "set", "g132", "--environment", "prod"];
    let run = |words: &[&str]| cloud.run(&[&set[..], words].concat());
    let (out, err, code) = run(&["--queue", "jobs", "--dry-run"]);
    let shown = "row     prod#g132\nbefore  no row\nafter   queue jobs\nwould be written\n";
    assert_eq!((out.as_str(), err.as_str(), code), (shown, "", 0));
    assert_eq!(listed(&cloud, &[]), [""; 0]);
    assert!(run(&["--queue", "jobs"]).0.ends_with("after   queue jobs\nwritten\n"));
    assert!(run(&["--queue", "jobs"]).0.ends_with("nothing to do\n"));
    let (out, _, _) = run(&["--url", URL]);
    assert_eq!(out, format!("row     prod#g132\nbefore  queue jobs\nafter   {URL}\nwritten\n"));
    cloud.run(&["routes", "set", "clang", "--queue", "jobs"]);
    cloud.run(&["routes", "set", "g131", "--queue", "jobs", "--http-environment", "beta"]);
    assert_eq!(
        listed(&cloud, &[]),
        ["beta#g131 jobs".to_owned(), "clang jobs".to_owned(), format!("prod#g132 {URL}")]
    );
    assert_eq!(listed(&cloud, &["--environment", "beta"]), ["beta#g131 jobs"]);
    assert_eq!(listed(&cloud, &["--filter", "g13?"]).len(), 2);
    let (out, _, _) = cloud.run(&["routes", "list", "--filter", "c*"]);
    assert!(out.lines().nth(1).unwrap().starts_with("(any)        clang     queue jobs  20"), "{out}");
    assert!(run(&["--delete"]).0.ends_with("after   no row\nwritten\n"));
    assert!(run(&["--delete"]).0.ends_with("nothing to do\n"));
    assert_eq!(listed(&cloud, &[]).len(), 2);
}

#[test]
fn what_is_no_route_is_refused_before_anybody_is_asked() {
    for (words, told) in [
        (&["--queue", "a/b"][..], "cannot be a queue"),
        (&["--url", "ftp://x/compile"], "no http://"),
        (&["--url", "https://x/"], "/compile"),
        (&["--queue", "q", "--environment", "a#b"], "cannot be an environment"),
        (&["--queue", "q", "--delete"], "cannot be used with"),
        (&[], "--queue"),
    ] {
        let (out, err, code) = run(&[&["routes", "set", "g132"], words].concat());
        assert_eq!((out.as_str(), code), ("", 64), "{words:?}: {err}");
        assert!(err.contains(told), "{words:?}: {err}");
    }
    assert_eq!(run(&["routes", "set", "a#b", "--queue", "q"]).2, 64);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_operators_do_not_overwrite_each_other() {
    let cloud = cloud().await;
    let table = RouteTable::new(&cloud.emulator.clients(), TABLE.to_owned());
    let texts = |queue: &str| Target::Queue(Some(queue.to_owned())).texts(Some("prod"), SystemTime::now());
    // Both saw no row.
    assert_eq!(table.set("prod#g", &texts("first"), None).await.unwrap(), Written::Done);
    assert_eq!(table.set("prod#g", &texts("second"), None).await.unwrap(), Written::Overtaken);
    // Both saw this one.
    let seen = table.row("prod#g").await.unwrap().unwrap();
    assert_eq!(table.set("prod#g", &texts("third"), Some(&seen)).await.unwrap(), Written::Done);
    assert_eq!(table.set("prod#g", &texts("fourth"), Some(&seen)).await.unwrap(), Written::Overtaken);
    assert_eq!(table.delete(&seen).await.unwrap(), Written::Overtaken);
    assert_eq!(listed(&cloud, &[]), ["prod#g third"]);
    let seen = table.row("prod#g").await.unwrap().unwrap();
    assert_eq!(table.delete(&seen).await.unwrap(), Written::Done);
    assert_eq!(table.set("prod#g", &texts("fifth"), Some(&seen)).await.unwrap(), Written::Overtaken);
    assert_eq!(listed(&cloud, &[]), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_imported_as_planned() {
    let cloud = cloud().await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("routes.csv");
    let mut lines = "compiler,queue,url\n".to_owned();
    for number in 0..120 {
        writeln!(lines, "g{number},jobs,").unwrap();
    }
    writeln!(lines, "nvcc130,,{URL}").unwrap();
    std::fs::write(&file, &lines).unwrap();
    let file = file.to_str().unwrap();
    let import = ["routes", "import", file, "--environment", "prod"];
    let (out, _, code) = cloud.run(&[&import[..], &["--dry-run"]].concat());
    assert_eq!(code, 0);
    assert!(
        out.ends_with("121 to add, 0 to change, 0 to delete, 0 as they should be; nothing was changed\n"),
        "{out}"
    );
    assert_eq!(listed(&cloud, &[]), [""; 0]);
    let (_, err, code) = cloud.run(&import);
    assert!(code == 0 && err.ends_with("121 rows are written to CompilerRouting\n"), "{err}");
    assert_eq!(listed(&cloud, &["--environment", "prod"]).len(), 121);
    let (out, err, code) = cloud.run(&import);
    assert_eq!(
        (out.as_str(), err.as_str(), code),
        ("0 to add, 0 to change, 0 to delete, 121 as they should be\n", "", 0)
    );
    // What is listed is what is imported, from a pipe, too.
    let (page, _, _) = cloud.run(&["routes", "list", "--json"]);
    let (out, _, code) = given(cloud.program().args(["routes", "import", "-"]), &page);
    assert_eq!((out.as_str(), code), ("0 to add, 0 to change, 0 to delete, 121 as they should be\n", 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_mistake_anywhere_and_nothing_is_written() {
    let cloud = cloud().await;
    let import =
        |text: &str| given(cloud.program().args(["routes", "import", "-", "--environment", "prod"]), text);
    let (out, err, code) = import("compiler,queue\ng1,jobs\ng2,a/b\ng3,jobs\ng1,jobs\n");
    assert_eq!((out.as_str(), code), ("", 1), "{err}");
    for told in [
        "2 mistakes, and nothing was written",
        "line 3: \"a/b\" cannot be a queue",
        "line 5: prod#g1 is there already",
    ] {
        assert!(err.contains(told), "{told}: {err}");
    }
    let (_, err, code) = import("[{\"compiler\":\"g1\",\"queue\":\"jobs\"},{\"compiler\":\"g2\"}]");
    assert_eq!(code, 1);
    assert!(err.contains("entry 2: it has neither a queue nor a url"), "{err}");
    assert_eq!(listed(&cloud, &[]), [""; 0]);
    let (_, err, code) = cloud.run(&["routes", "import", "/nowhere/routes.csv"]);
    assert_eq!(code, 1);
    assert!(err.contains("could not read /nowhere/routes.csv"), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_file_does_not_have_is_deleted_on_request_in_its_environments_alone() {
    let cloud = cloud().await;
    for (compiler, environment) in [("old", "prod"), ("old", "beta"), ("kept", "prod")] {
        cloud.run(&["routes", "set", compiler, "--environment", environment, "--queue", "jobs"]);
    }
    let text = |text: &str| json!({ "S": text });
    cloud
        .emulator
        .put_item(
            TABLE,
            json!({ "compilerId": text("prod#kept"), "routingType": text("queue"),
        "queueName": text("jobs"), "ttl": { "N": "7" }, "note": text("ours") }),
        )
        .await;
    let file = "compiler,environment,queue\nkept,prod,other\n";
    let import = |words: &[&str]| given(cloud.program().args(["routes", "import", "-"]).args(words), file);
    let (out, err, code) = import(&["--prune"]);
    assert_eq!(code, 64, "{err}");
    assert!(out.contains("delete  prod#old   queue jobs  no row"), "the plan is shown first: {out}");
    assert!(err.contains("1 rows of table CompilerRouting will be lost"), "{err}");
    assert_eq!(listed(&cloud, &[]), ["beta#old jobs", "prod#kept jobs", "prod#old jobs"], "nothing was done");
    assert_eq!(import(&["--prune", "--yes"]).2, 0);
    assert_eq!(listed(&cloud, &[]), ["beta#old jobs", "prod#kept other"]);
    let table = RouteTable::new(&cloud.emulator.clients(), TABLE.to_owned());
    let row = table.row("prod#kept").await.unwrap().unwrap();
    assert_eq!(
        (row.texts["note"].as_str(), row.others),
        ("ours", vec!["ttl".to_owned()]),
        "what is not ours stays"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_looked_through() {
    let cloud = cloud().await;
    let text = |text: &str| json!({ "S": text });
    let queue = |key: &str, name: &str| json!({ "compilerId": text(key), "routingType": text("queue"), "queueName": text(name) });
    for item in [
        queue("prod#good", "compilation-queue"),
        queue("prod#same", "compilation-queue"),
        queue("same", "compilation-queue"),
    ] {
        cloud.emulator.put_item(TABLE, item).await;
    }
    let validate = ["routes", "validate"];
    let (out, err, code) = cloud.run(&validate);
    assert_eq!((err.as_str(), code), ("3 rows: 0 things are wrong, 1 worth knowing\n", 0), "{out}");
    for item in [
        queue("prod#astray", "nowhere"),
        queue("shadowed", "compilation-queue"),
        json!({ "compilerId": text("prod#shadowed"), "routingType": text("url"), "targetUrl": text(URL) }),
        json!({ "compilerId": text("prod#odd"), "routingType": text("queue"), "queueName": { "N": "7" } }),
        json!({ "compilerId": text("prod#ftp"), "routingType": text("url"), "targetUrl": text("ftp://x/compile") }),
    ] {
        cloud.emulator.put_item(TABLE, item).await;
    }
    let (out, _, code) = cloud.run(&[&validate[..], &["--json"]].concat());
    assert_eq!(code, 1);
    let page: Value = serde_json::from_str(&out).unwrap();
    let findings = page["findings"].as_array().unwrap();
    let wrong = |key: &str, what: &str| {
        let found = findings.iter().filter(|one| one["wrong"] == true && one["key"] == key);
        assert!(found.clone().any(|one| one["what"].as_str().unwrap().contains(what)), "{key} {what}: {out}");
    };
    wrong("prod#astray", "there is no queue nowhere.fifo");
    let shadowed = findings.iter().find(|one| one["key"] == "shadowed").unwrap();
    assert_eq!((&shadowed["wrong"], &shadowed["unseen"]), (&json!(false), &json!(false)), "{out}");
    assert!(shadowed["what"].as_str().unwrap().starts_with("in prod, prod#shadowed goes first"), "{out}");
    wrong("prod#odd", "queueName is no text");
    wrong("prod#ftp", "no http://");
    assert!(findings.iter().all(|one| one["key"] != "prod#good"), "{out}");
    // Our own queue has no colors, and rows that name it lead nowhere once there are some.
    let (out, _, code) =
        cloud.run(&[&validate[..], &["--queues-own", cloud.jobs.as_str(), "--queues-colours"]].concat());
    assert_eq!(code, 1);
    let line = out.lines().find(|line| line.contains("prod#good")).unwrap();
    assert!(line.contains("our own queue compilation-queue.fifo, but queues.colours is on"), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_is_compared_with_the_table() {
    let cloud = cloud().await;
    let directory = tempfile::tempdir().unwrap();
    let properties = "compilers=here:lost\ncompiler.here.exe=/usr/bin/g++\ncompiler.lost.exe=/usr/bin/g++\n";
    std::fs::write(directory.path().join("c++.local.properties"), properties).unwrap();
    for compiler in ["here", "lacking"] {
        cloud.run(&["routes", "set", compiler, "--environment", "prod", "--queue", "compilation-queue"]);
    }
    let mut command = cloud.program();
    command.args(["routes", "validate", "--installed", "--environment", "prod"]);
    command.args(["--queues-own", cloud.jobs.as_str(), "--catalogue-discover=false"]);
    command.arg(format!("--catalogue={}", directory.path().display()));
    let (out, err, code) = output(&mut command);
    assert_eq!(code, 1, "{out}{err}");
    let wrong: Vec<&str> = out.lines().collect();
    assert!(wrong.iter().any(|line| line.contains("prod#lost") && line.contains("has no row")), "{out}{err}");
    assert!(
        wrong.iter().any(|line| line.contains("prod#lacking") && line.contains("not installed here")),
        "{out}"
    );
    assert!(!out.contains("prod#here "), "{out}");
}
