//! Looks through the whole table for what would lead requests astray.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::aws::{Clients, Kind, SqsOverseer, TableRow};
use crate::domain::ids::CompilerId;
use crate::operate::routes::row::{Row, Target, key};
use crate::operate::trouble::{Call, Trouble};
use crate::ports::{Color, QueueAddress};
use crate::routing::forwardable;
use crate::routing::queue_url::{Spelling, is_name, name_of};

/// The attributes that routers read; each must be a text.
const READ: [&str; 4] = ["environment", "queueName", "routingType", "targetUrl"];

/// What the table is compared with.
#[derive(Debug, Clone)]
pub struct Grounds {
    /// A queue whose neighbors are those that rows name.
    pub neighbor: QueueAddress,
    /// Whether rows may name no queue at all.
    pub has_default: bool,
    /// The queue that our workers take jobs from.
    pub own: Option<QueueAddress>,
    /// Whether each queue is two, one of each color.
    pub colors: bool,
    /// What this machine has, if that is to be compared, too.
    pub installed: Option<Installed>,
}

/// What one machine has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// Its environment.
    pub environment: Option<String>,
    /// Its compilers.
    pub compilers: BTreeSet<String>,
}

/// Something odd about a row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// The row's key.
    pub key: String,
    /// Whether requests go astray, or are refused, because of it; everything else is only worth knowing.
    pub wrong: bool,
    /// Whether it could not be looked at, so that nobody knows.
    pub unseen: bool,
    /// What.
    pub what: String,
}

/// Looks through these rows, and asks for every queue that they name; one that may not be asked for is a finding. `tell`
/// hears how many queues were asked for.
pub async fn validate(
    clients: &Clients,
    rows: &[TableRow],
    grounds: &Grounds,
    mut tell: impl FnMut(usize),
) -> Result<Vec<Finding>, Trouble> {
    let mut findings = Vec::new();
    let mut queues: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for row in rows {
        findings.extend(form(row, grounds));
        if let Target::Queue(Some(name)) = Row::read(row).target
            && is_name(&name)
        {
            queues.entry(name).or_default().push(&row.key);
        }
    }
    findings.extend(shadows(rows));
    if let Some(installed) = &grounds.installed {
        findings.extend(compare(rows, grounds, installed));
    }
    let (overseer, mut asked) = (SqsOverseer::new(clients), 0);
    for (name, keys) in queues {
        let mut absent = Vec::new();
        for address in addresses(grounds, &name) {
            let thing = format!("queue {}", name_of(&address));
            let call =
                Call { doing: "look for", thing: &thing, action: "sqs:GetQueueUrl", key: "queues.default" };
            match overseer.find(name_of(&address)).await {
                Ok(Some(_)) => {}
                Ok(None) => absent.push(name_of(&address).to_owned()),
                // It is this queue's; anything else would befall the next one too.
                Err(fault) if matches!(fault.kind, Kind::Denied | Kind::Refused) => {
                    findings.push(unseen(&keys, &Trouble::new(&call, clients.region(), fault)));
                }
                Err(fault) => return Err(Trouble::new(&call, clients.region(), fault)),
            }
            asked += 1;
            tell(asked);
        }
        if !absent.is_empty() {
            let what = missing(grounds, &name, &absent);
            findings.extend(keys.into_iter().map(|key| wrong(key, what.clone())));
        }
    }
    findings.sort();
    Ok(findings)
}

/// Why a row may not lead there.
pub(super) fn wrong_target(target: &Target) -> Option<String> {
    match target {
        Target::Queue(Some(name)) if !is_name(name) => Some(format!(
            "{name:?} cannot be a queue: up to 80 letters, digits, hyphens, underscores and points are a name"
        )),
        Target::Url(url) if forwardable(url).is_none() => {
            Some(format!("{url:?} is no http:// or https:// URL of a service"))
        }
        // Routers replace the last segment for projects.
        Target::Url(url) if !url.ends_with("/compile") => Some(format!("{url:?} does not end in /compile")),
        Target::Queue(_) | Target::Url(_) => None,
    }
}

/// Whether an environment can be called this: it is a segment of paths, and a part of keys.
pub(super) fn is_environment(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=64).contains(&name.len()) && name.bytes().all(allowed) && name != "api"
}

fn wrong(key: &str, what: String) -> Finding {
    Finding { key: key.to_owned(), wrong: true, unseen: false, what }
}

fn odd(key: &str, what: String) -> Finding {
    Finding { key: key.to_owned(), wrong: false, unseen: false, what }
}

/// A queue that could not be asked for, told once for all rows that lead there.
fn unseen(keys: &[&str], trouble: &Trouble) -> Finding {
    let others = match keys.len() {
        1 => String::new(),
        all => format!(" (and {} other rows lead there)", all - 1),
    };
    let what = trouble.to_string().replace("\nfix: ", "; fix: ");
    let key = keys.first().copied().unwrap_or_default().to_owned();
    Finding { key, wrong: false, unseen: true, what: format!("{what}{others}") }
}

/// What is wrong with a row taken alone.
fn form(row: &TableRow, grounds: &Grounds) -> Vec<Finding> {
    let mut found = Vec::new();
    let key = row.key.as_str();
    let read = Row::read(row);
    for name in READ.iter().filter(|name| row.others.iter().any(|other| other == *name)) {
        found.push(wrong(key, format!("{name} is no text: routers cannot read the row")));
    }
    if CompilerId::parse(&read.compiler).is_err() || read.compiler.contains('#') {
        found.push(wrong(key, format!("no request asks for a compiler {:?}", read.compiler)));
    }
    if read.environment.as_deref().is_some_and(|name| !is_environment(name)) {
        found.push(wrong(key, "what stands before # is no environment".to_owned()));
    }
    let text = |name: &str| row.texts.get(name).map(String::as_str).filter(|text| !text.is_empty());
    match text("routingType") {
        Some("queue" | "url") => {}
        Some(kind) => {
            found.push(wrong(key, format!("routingType is {kind:?}: routers take it for a queue")));
        }
        None => found.push(odd(key, "it has no routingType: routers take it for a queue".to_owned())),
    }
    let is_url = text("routingType") == Some("url");
    match &read.target {
        Target::Queue(None) if is_url => {
            found.push(wrong(key, "it has no targetUrl: routers take the default queue".to_owned()));
        }
        Target::Queue(None) if grounds.has_default => {
            found.push(odd(key, "it names no queue: routers take the default one".to_owned()));
        }
        Target::Queue(None) => {
            found.push(wrong(key, "it names no queue, and no default queue is configured".to_owned()));
        }
        target => found.extend(wrong_target(target).map(|what| wrong(key, what))),
    }
    if text("queueName").is_some() && text("targetUrl").is_some() {
        let other = if is_url { "queueName" } else { "targetUrl" };
        found.push(odd(key, format!("it has both, and {other} counts for nothing")));
    }
    if let Some(told) = text("environment")
        && read.environment.as_deref().is_some_and(|environment| environment != told)
    {
        found.push(wrong(key, format!("its key and its environment {told:?} do not agree")));
    }
    found
}

/// Rows without an environment beside rows of the same compiler with one. A router asks for its environment's row first
/// (contract-cloud 2.2), so each has its meaning; whoever changes one of them should know of the other.
fn shadows(rows: &[TableRow]) -> Vec<Finding> {
    let all: Vec<Row> = rows.iter().map(Row::read).collect();
    let bare: BTreeMap<&str, &Row> =
        all.iter().filter(|row| row.environment.is_none()).map(|row| (row.compiler.as_str(), row)).collect();
    let beside = |row: &Row| {
        let bare = bare.get(row.compiler.as_str())?;
        let environment = row.environment.as_deref()?;
        let to = if bare.target == row.target {
            "the same".to_owned()
        } else {
            format!("{} instead of {}", row.target, bare.target)
        };
        let first = format!("in {environment}, {} goes first, and leads to {to}", row.key);
        Some(odd(&bare.key, format!("{first}; elsewhere this one counts")))
    };
    all.iter().filter_map(beside).collect()
}

/// Where jobs for the queue `name` go, in every color there is.
fn addresses(grounds: &Grounds, name: &str) -> Vec<QueueAddress> {
    let spelling = Spelling::of(&grounds.neighbor);
    let mut all: Vec<QueueAddress> = if grounds.colors {
        Color::ALL.iter().map(|color| spelling.address(name, Some(*color))).collect()
    } else {
        vec![spelling.address(name, None)]
    };
    all.dedup();
    all
}

/// Whether jobs for the queue `name` come to our workers, in one of its colors.
fn is_own(grounds: &Grounds, name: &str) -> bool {
    let Some(own) = &grounds.own else { return false };
    addresses(grounds, name).iter().any(|address| name_of(address) == name_of(own))
}

fn missing(grounds: &Grounds, name: &str, absent: &[String]) -> String {
    let plain = Spelling::of(&grounds.neighbor).address(name, None);
    match &grounds.own {
        Some(own) if grounds.colors && name_of(&plain) == name_of(own) => format!(
            "it names our own queue {}, but queues.colours is on: jobs go to {}, and there is no such queue",
            name_of(own),
            absent.join(" or ")
        ),
        _ => format!("there is no queue {}", absent.join(" and no queue ")),
    }
}

/// What this machine has and the table does not know, and what the table sends here in vain.
fn compare(rows: &[TableRow], grounds: &Grounds, installed: &Installed) -> Vec<Finding> {
    let all: BTreeMap<&str, Row> = rows.iter().map(|row| (row.key.as_str(), Row::read(row))).collect();
    let environment = installed.environment.as_deref();
    let ours = |compiler: &str| {
        let own = key(environment, compiler);
        all.get(own.as_str()).or_else(|| all.get(compiler))
    };
    let mut found = Vec::new();
    for compiler in &installed.compilers {
        if ours(compiler).is_none() {
            let what = "it is installed here, and has no row: only requests that reach this machine find it";
            found.push(wrong(&key(environment, compiler), what.to_owned()));
        }
    }
    for row in all.values() {
        let holds = ours(&row.compiler).is_some_and(|ours| ours.key == row.key);
        if let Target::Queue(Some(name)) = &row.target
            && holds
            && is_own(grounds, name)
            && !installed.compilers.contains(&row.compiler)
        {
            let what = format!("it leads to our own queue {name}, and the compiler is not installed here");
            found.push(wrong(&row.key, what));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn grounds() -> Grounds {
        Grounds {
            neighbor: QueueAddress::new("https://q/1/jobs.fifo"),
            has_default: true,
            own: Some(QueueAddress::new("https://q/1/jobs.fifo")),
            colors: false,
            installed: None,
        }
    }

    fn raw(key: &str, texts: &[(&str, &str)]) -> TableRow {
        let texts = texts.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        TableRow::over(None, key, &texts)
    }

    fn row(key: &str, target: &Target) -> TableRow {
        let environment = key.split_once('#').map(|(environment, _)| environment);
        TableRow::over(None, key, &target.texts(environment, SystemTime::UNIX_EPOCH))
    }

    fn queue(name: &str) -> Target {
        Target::Queue(Some(name.to_owned()))
    }

    #[test]
    fn a_good_row_is_not_remarked_upon() {
        for target in
            [queue("prod-compilation-queue"), Target::Url("https://gpu.example/x/compile".to_owned())]
        {
            assert_eq!(form(&row("prod#g132", &target), &grounds()), []);
        }
    }

    #[test]
    fn each_malformed_row_is_told() {
        let url = ("routingType", "url");
        let kind = ("routingType", "queue");
        for (key, texts, is_wrong, what) in [
            ("prod#g", vec![url], true, "no targetUrl"),
            ("prod#g", vec![url, ("targetUrl", "ftp://x/compile")], true, "no http://"),
            ("prod#g", vec![url, ("targetUrl", "https://x/")], true, "does not end in /compile"),
            ("prod#g", vec![kind], false, "the default one"),
            ("prod#g", vec![kind, ("queueName", "a/b")], true, "cannot be a queue"),
            ("prod#g", vec![("routingType", "lambda"), ("queueName", "q")], true, "\"lambda\""),
            ("prod#g", vec![("queueName", "q")], false, "no routingType"),
            ("prod#g", vec![kind, ("queueName", "q"), ("environment", "beta")], true, "do not agree"),
            ("prod#g", vec![kind, ("queueName", "q"), ("targetUrl", "https://x/compile")], false, "both"),
            ("prod#", vec![kind, ("queueName", "q")], true, "no request"),
            ("prod#a#b", vec![kind, ("queueName", "q")], true, "no request"),
            ("a/b#g", vec![kind, ("queueName", "q")], true, "no environment"),
        ] {
            let found = form(&raw(key, &texts), &grounds());
            assert!(
                matches!(&found[..], [one] if one.wrong == is_wrong && one.what.contains(what)),
                "{key} {texts:?}: {found:?}"
            );
        }
        let none = Grounds { has_default: false, ..grounds() };
        assert!(form(&raw("g", &[kind]), &none)[0].wrong);
    }

    #[test]
    fn a_row_for_all_environments_beside_one_of_an_environment_is_explained() {
        let rows = [
            row("g", &queue("a")),
            row("prod#g", &queue("b")),
            row("beta#g", &queue("a")),
            row("h", &queue("a")),
        ];
        let told: Vec<(String, bool, String)> =
            shadows(&rows).into_iter().map(|found| (found.key, found.wrong, found.what)).collect();
        let first =
            "in prod, prod#g goes first, and leads to queue b instead of queue a; elsewhere this one counts";
        let second = "in beta, beta#g goes first, and leads to the same; elsewhere this one counts";
        assert_eq!(told, [("g".into(), false, first.into()), ("g".into(), false, second.into())]);
    }

    #[test]
    fn a_machine_and_its_rows_are_compared_both_ways() {
        let rows = [
            row("prod#here", &queue("jobs")),
            row("prod#lacking", &queue("jobs")),
            row("prod#elsewhere", &queue("gpu")),
            row("bare", &queue("jobs")),
            row("beta#theirs", &queue("jobs")),
            row("hidden", &queue("jobs")),
            row("prod#hidden", &queue("gpu")),
        ];
        let compilers = ["here", "bare", "new"].map(ToOwned::to_owned).into();
        let installed = Installed { environment: Some("prod".to_owned()), compilers };
        let found = compare(&rows, &grounds(), &installed);
        let told: Vec<String> = found.iter().map(|one| one.key.clone()).collect();
        assert_eq!(told, ["prod#new", "prod#lacking"], "{found:?}");
    }

    #[test]
    fn colors_double_every_queue_but_those_that_say_one() {
        let colored = Grounds { colors: true, ..grounds() };
        let names = |name| {
            let all = addresses(&colored, name);
            all.iter().map(|address| name_of(address).to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(names("jobs"), ["jobs-blue.fifo", "jobs-green.fifo"]);
        assert_eq!(names("jobs-green"), ["jobs-green.fifo"]);
        let told = missing(&colored, "jobs", &names("jobs"));
        assert!(told.contains("our own queue jobs.fifo, but queues.colours is on"), "{told}");
        assert_eq!(missing(&grounds(), "x", &["x.fifo".to_owned()]), "there is no queue x.fifo");
    }

    proptest::proptest! {
        #[test]
        fn no_row_is_too_odd(key in ".{1,20}", name in "routingType|queueName|targetUrl|environment", text in ".*") {
            let rows = [raw(&key, &[(&name, &text)]), raw("prod#g", &[])];
            let _found = (form(&rows[0], &grounds()), shadows(&rows));
        }
    }
}
