//! One attack: what is sent, and exactly what must come of it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::hostile::census::Census;
use crate::hostile::daemon::{ALL, Daemon, Who};
use crate::hostile::vector;

/// Attacks under way at once: as many as there are slots.
const LANES: usize = 2;

/// One line of a table.
pub(super) struct Case {
    name: &'static str,
    status: &'static str,
    ungrouped: Option<&'static str>,
    on: Option<&'static [Who]>,
    source: String,
    arguments: String,
    files: BTreeMap<String, String>,
    says: Vec<&'static str>,
    either: Vec<&'static str>,
    silent: Vec<&'static str>,
    within: Option<Duration>,
    output: Option<&'static str>,
    environment: Vec<(&'static str, &'static str)>,
}

impl Case {
    /// A source text that must end with `status`.
    pub(super) fn source(name: &'static str, status: &'static str, source: impl Into<String>) -> Self {
        Self {
            name,
            status,
            ungrouped: None,
            on: None,
            source: source.into(),
            arguments: String::new(),
            files: BTreeMap::new(),
            says: Vec::new(),
            either: Vec::new(),
            silent: Vec::new(),
            within: None,
            output: None,
            environment: Vec::new(),
        }
    }

    /// A shell script that takes the compiler's place.
    pub(super) fn script(name: &'static str, status: &'static str, script: &str) -> Self {
        Self::source(name, status, "int x;")
            .arguments("-fplugin=./x.so")
            .file("x.so", vector::plugin())
            .file("x.sh", script)
    }

    /// A C program that a script builds and then becomes.
    pub(super) fn program(name: &'static str, status: &'static str, program: &str) -> Self {
        Self::script(name, status, "gcc -w -O1 -o p p.c -lpthread || exit 99\nexec ./p").file("p.c", program)
    }

    /// On these, instead of one of each family and language in turn.
    pub(super) fn on(mut self, on: &'static [Who]) -> Self {
        self.on = Some(on);
        self
    }

    /// The status where no control group counts for a whole job.
    pub(super) fn ungrouped(mut self, status: &'static str) -> Self {
        self.ungrouped = Some(status);
        self
    }

    pub(super) fn arguments(mut self, arguments: impl Into<String>) -> Self {
        self.arguments = arguments.into();
        self
    }

    pub(super) fn file(mut self, name: &str, contents: impl Into<String>) -> Self {
        self.files.insert(name.to_owned(), contents.into());
        self
    }

    /// What the compiler's streams or the listing must say.
    pub(super) fn says(mut self, words: &'static str) -> Self {
        self.says.push(words);
        self
    }

    /// Words of which they must say one.
    pub(super) fn says_one_of<const N: usize>(mut self, words: [&'static str; N]) -> Self {
        self.either.extend(words);
        self
    }

    /// What they must not say.
    pub(super) fn silent(mut self, words: &'static str) -> Self {
        self.silent.push(words);
        self
    }

    /// The longest time the jail may have taken.
    pub(super) fn within(mut self, time: Duration) -> Self {
        self.within = Some(time);
        self
    }

    /// What the output file is called.
    pub(super) fn output(mut self, name: &'static str) -> Self {
        self.output = Some(name);
        self
    }

    /// Sets a variable for the compiler.
    pub(super) fn variable(mut self, name: &'static str, value: &'static str) -> Self {
        self.environment.push((name, value));
        self
    }

    fn body(&self, daemon: &Daemon) -> Value {
        let fill = |text: &str| {
            text.replace("@PORT@", &daemon.http.port().to_string())
                .replace("@PID@", &daemon.process().to_string())
                .replace("@CREDENTIALS@", daemon.secrets.credentials().to_str().unwrap())
                .replace("@CONFIGURATION@", daemon.secrets.configuration().to_str().unwrap())
                .replace("@SOCKET@", daemon.secrets.socket_path().to_str().unwrap())
        };
        let files: Vec<Value> = self
            .files
            .iter()
            .map(|(name, contents)| json!({"filename": name, "contents": fill(contents)}))
            .collect();
        let mut backend = json!({});
        if let Some(name) = self.output {
            backend["customOutputFilename"] = name.into();
        }
        if !self.environment.is_empty() {
            let values = self.environment.iter().map(|(name, value)| json!({"name": name, "value": value}));
            backend["overrides"] = json!([{"name": "env", "values": values.collect::<Vec<_>>()}]);
        }
        json!({
            "source": fill(&self.source),
            "options": {"userArguments": fill(&self.arguments), "compilerOptions": backend},
            "files": files,
            "bypassCache": 1,
        })
    }

    /// Everything that is wrong with what comes of it.
    #[expect(clippy::print_stdout, reason = "the harness tells how long each attack took")]
    async fn complaints(&self, daemon: &Daemon, who: Who) -> Vec<String> {
        let begun = Instant::now();
        let reply = daemon.compile(who, &self.body(daemon)).await;
        let took = begun.elapsed();
        println!("{} on {who:?}: {took:?}", self.name);
        let mut complaints = Vec::new();
        let want = self.ungrouped.filter(|_| !daemon.grouped).unwrap_or(self.status);
        let status = reply.header("x-job-status").unwrap_or("none");
        let told = if reply.status == 200 { told(&reply.json()) } else { reply.text().to_owned() };
        if reply.status != 200 || status != want {
            complaints.push(format!("{} {status}, not 200 {want}", reply.status));
        }
        let missing = self.says.iter().filter(|words| !told.contains(**words));
        complaints.extend(missing.map(|words| format!("does not say {words:?}")));
        if !self.either.is_empty() && !self.either.iter().any(|words| told.contains(words)) {
            complaints.push(format!("says none of {:?}", self.either));
        }
        let excess = self.silent.iter().filter(|words| told.contains(**words));
        complaints.extend(excess.map(|words| format!("says {words:?}")));
        if self.within.is_some_and(|most| took > most) {
            complaints.push(format!("took {took:?}"));
        }
        if !complaints.is_empty() {
            let shown: String = told.chars().take(1500).collect();
            complaints.push(format!("after {took:?}:\n{shown}"));
        }
        complaints.extend(daemon.ordinary_job(who).await.err());
        if !daemon.healthy().await {
            complaints.push("unhealthy".to_owned());
        }
        complaints
    }
}

/// The streams and the listing of a result, as plain lines.
pub(super) fn told(result: &Value) -> String {
    let lines = |member: &str| -> Vec<String> {
        let items = result[member].as_array().map(Vec::as_slice).unwrap_or_default();
        items.iter().filter_map(|line| Some(line["text"].as_str()?.to_owned())).collect()
    };
    ["stdout", "stderr", "asm"].map(lines).concat().join("\n")
}

/// Runs a whole table, each attack on one compiler of each family and language in turn, and then asks what is left.
pub(super) async fn run(daemon: &Daemon, table: Vec<Case>) {
    run_on(daemon, table, &[&[Who::Gcc, Who::Clangxx], &[Who::Gxx, Who::Clang]]).await;
}

/// The same with each attack on every compiler.
pub(super) async fn run_on_all(daemon: &Daemon, table: Vec<Case>) {
    run_on(daemon, table, &[ALL]).await;
}

#[expect(clippy::print_stdout, reason = "the harness tells how much it tried")]
async fn run_on(daemon: &Daemon, table: Vec<Case>, turns: &[&[Who]]) {
    let before: Census = daemon.at_rest().await;
    let attacks: Vec<(&Case, Who)> = table
        .iter()
        .zip(turns.iter().cycle())
        .flat_map(|(case, turn)| case.on.unwrap_or(turn).iter().map(move |who| (case, *who)))
        .collect();
    let wrong = RefCell::new(Vec::new());
    let lane = |first: usize| {
        let (attacks, wrong) = (&attacks, &wrong);
        async move {
            for (case, who) in attacks.iter().skip(first).step_by(LANES) {
                for complaint in case.complaints(daemon, *who).await {
                    wrong.borrow_mut().push(format!("{} on {who:?}: {complaint}", case.name));
                }
            }
        }
    };
    tokio::join!(lane(0), lane(1));
    let mut wrong = wrong.into_inner();
    wrong.extend(daemon.is_back_at(&before).await.err());
    assert!(wrong.is_empty(), "{} of {} attacks:\n{}", wrong.len(), attacks.len(), wrong.join("\n"));
    println!("{} sub-cases", attacks.len());
}
