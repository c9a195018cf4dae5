//! The layers together: precedence, mistakes, cross-checks, and what derives from the table.

use std::collections::HashSet;
use std::io::Write as _;
use std::time::Duration;

use clap::{Args as _, Command, FromArgMatches as _};
use proptest::prelude::*;

use super::*;
use crate::domain::limits::Limits;
use crate::sandbox::Mode;

const MACHINE: Machine = Machine { cores: 4, memory: Some(ByteSize(16 << 30)) };

fn flags(words: &[&str]) -> Flags {
    let command = Flags::augment_args(Command::new("test").no_binary_name(true));
    Flags::from_arg_matches(&command.try_get_matches_from(words).unwrap()).unwrap()
}

fn inputs(words: &[&str], variables: &[(&str, &str)]) -> Inputs {
    let environment = variables.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    Inputs { flags: flags(words), environment, machine: MACHINE }
}

fn load_with(file: &str, variables: &[(&str, &str)], words: &[&str]) -> Result<Loaded, ConfigErrors> {
    let mut written = tempfile::NamedTempFile::new().unwrap();
    written.write_all(file.as_bytes()).unwrap();
    let mut inputs = inputs(words, variables);
    inputs.flags.file = Some(written.path().to_owned());
    // Messages name the file; its name is random.
    load(inputs).map_err(|errors| {
        let mut mistakes = errors.mistakes;
        for mistake in &mut mistakes {
            if let Origin::File { path, .. } = &mut mistake.origin {
                *path = "f.toml".into();
            }
        }
        ConfigErrors { mistakes, ..errors }
    })
}

fn mistakes(file: &str, variables: &[(&str, &str)], words: &[&str]) -> Vec<String> {
    load_with(file, variables, words).unwrap_err().mistakes.iter().map(ToString::to_string).collect()
}

fn origin(loaded: &Loaded, path: &str) -> String {
    loaded.settings.iter().find(|setting| setting.key.path() == path).unwrap().origin.to_string()
}

#[test]
fn without_any_configuration_everything_has_a_value() {
    let loaded = load(inputs(&[], &[("PATH", "/bin"), ("HOME", "/root")])).unwrap();
    assert_eq!(loaded.config.http.listen.to_string(), "127.0.0.1:10240");
    assert_eq!(loaded.config.admin.listen.to_string(), "127.0.0.1:10241");
    assert_eq!(
        loaded.config.limits.of_a_job(),
        Limits::default(),
        "the table and the domain disagree on the defaults"
    );
    assert_eq!(loaded.config.engine.slots, 4);
    assert_eq!(origin(&loaded, "engine.slots"), "from 4 cores, 16GiB of memory, limits.memory = 1280MiB");
    assert_eq!(loaded.warnings, Vec::<String>::new());
    assert_eq!(loaded.settings.len(), KEYS.len());
}

#[test]
fn later_layers_win() {
    let file =
        "[http]\nidle = \"61s\"\nbody = \"1MiB\"\n[engine]\nslots = 3\n[catalogue]\npaths = [\"a\", \"b\"]\n";
    let variables = [("COMPILATION_WORKER_HTTP_IDLE", "62s"), ("COMPILATION_WORKER_HTTP_BODY", "2MiB")];
    let loaded = load_with(file, &variables, &["--http-idle", "63s"]).unwrap();
    assert_eq!(loaded.config.http.idle, Duration::from_secs(63));
    assert_eq!(loaded.config.http.body, ByteSize(2 << 20));
    assert_eq!(loaded.config.engine.slots, 3);
    assert_eq!(loaded.config.catalogue.paths, [PathBuf::from("a"), PathBuf::from("b")]);
    assert_eq!(origin(&loaded, "http.idle"), "flag --http-idle");
    assert_eq!(origin(&loaded, "http.body"), "environment COMPILATION_WORKER_HTTP_BODY");
    assert!(origin(&loaded, "engine.slots").ends_with(":5"), "{}", origin(&loaded, "engine.slots"));
    assert_eq!(origin(&loaded, "log.filter"), "default");
}

#[test]
fn the_state_directory_is_what_systemd_says_unless_somebody_knows_better() {
    let variables = [("STATE_DIRECTORY", "/var/lib/worker")];
    let loaded = load(inputs(&[], &variables)).unwrap();
    assert_eq!(loaded.config.instance.state, Some(PathBuf::from("/var/lib/worker")));
    assert_eq!(origin(&loaded, "instance.state"), "environment STATE_DIRECTORY");
    let loaded = load(inputs(&["--instance-state", "/srv"], &variables)).unwrap();
    assert_eq!(loaded.config.instance.state, Some(PathBuf::from("/srv")));
}

#[cfg(debug_assertions)]
#[test]
fn a_debug_build_can_be_told_where_to_fail() {
    let armed = |text: &str| load(inputs(&[], &[(FAILPOINT_VARIABLE, text)]));
    assert_eq!(armed("stored=fail").unwrap().failpoint.unwrap().to_string(), "stored=fail@1");
    let mistake = armed("stored=melt").unwrap_err().to_string();
    let expected = "failpoint = stored=melt (environment COMPILATION_WORKER_FAILPOINT): is no fail-point; write one of \
                    received, begun,";
    assert!(mistake.starts_with(expected), "{mistake}");
}

#[test]
fn the_fixed_flags_and_the_rule_both_work() {
    let words =
        "--listen 127.0.0.1:0 --admin-listen [::1]:0 --catalogue a b --catalogue c,d --sandbox strict";
    let loaded = load(inputs(&words.split(' ').collect::<Vec<_>>(), &[])).unwrap();
    assert_eq!(loaded.config.http.listen.port(), 0);
    assert_eq!(loaded.config.admin.listen.to_string(), "[::1]:0");
    assert_eq!(loaded.config.catalogue.paths.len(), 4);
    assert_eq!(loaded.config.sandbox.mode, Mode::Strict);
    let words =
        "--http-listen 127.0.0.1:1 --sandbox-mode none --http-text-by-default --catalogue-discover=true";
    let loaded = load(inputs(&words.split(' ').collect::<Vec<_>>(), &[])).unwrap();
    assert_eq!(loaded.config.http.listen.port(), 1);
    assert!(loaded.config.http.text_by_default && loaded.config.catalogue.discover);
    assert_eq!(loaded.config.sandbox.mode, Mode::None);
}

#[test]
fn all_mistakes_come_at_once_with_their_fix() {
    let file =
        "[http]\nidel = \"75s\"\nbody = 16\n[enigne]\nslots = 1\n[limits]\nwall = { s = 1 }\nmemory = 0x10\n";
    let variables = [
        ("COMPILATION_WORKER_ENGINE_SLOT", "2"),
        ("COMPILATION_WORKER_DRAIN_BUDGET", "60"),
        ("COMPILATION_WORKER_WHATEVER", "1"),
    ];
    let found = mistakes(file, &variables, &["--http-idle", "75", "--listen", "10240"]);
    assert_eq!(
        found,
        [
            "[enigne] (f.toml:4): there is no such setting; did you mean engine?",
            "http.idel = 75s (f.toml:2): there is no such setting; did you mean http.idle?",
            "limits.memory (f.toml:8): cannot be of type integer; write a size such as 512B, 64KiB, 64MiB or 2GiB",
            "limits.wall (f.toml:7): cannot be of type table; write a duration such as 500ms, 30s, 5m or 1h",
            "COMPILATION_WORKER_ENGINE_SLOT (environment COMPILATION_WORKER_ENGINE_SLOT): there is no such setting; did you \
             mean COMPILATION_WORKER_ENGINE_SLOTS?",
            "COMPILATION_WORKER_WHATEVER (environment COMPILATION_WORKER_WHATEVER): there is no such setting; check \
             --reference lists them all",
            "http.listen = 10240 (flag --listen): is not an IP address with a port; write 127.0.0.1:10240, or \
             0.0.0.0:10240 for every interface",
            "http.body = 16 (f.toml:3): a size needs a unit; write 16MiB",
            "http.idle = 75 (flag --http-idle): a duration needs a unit; write 75s",
            "drain.budget = 60 (environment COMPILATION_WORKER_DRAIN_BUDGET): a duration needs a unit; write 60s",
        ]
    );
}

#[test]
fn a_broken_file_is_told_by_its_line_and_the_rest_is_still_checked() {
    let found = mistakes("[http]\nidle = \"75s\nbody = 1\n[http]\n", &[], &["--engine-slots", "many"]);
    assert!(found[0].starts_with("file (f.toml:2): is not TOML: "), "{found:?}");
    let last = found.last().unwrap();
    assert_eq!(
        last,
        "engine.slots = many (flag --engine-slots): is not a whole number that fits; write digits only, such as 4"
    );
    let missing = load(inputs(&["--config", "/nowhere/x.toml"], &[])).unwrap_err();
    assert!(
        missing
            .to_string()
            .starts_with("config = /nowhere/x.toml (flag --config): could not read the file: ")
    );
    assert_eq!(missing.exit_code(), EXIT_USAGE);
    let missing = load(inputs(&[], &[(FILE_VARIABLE, "/nowhere/x.toml")])).unwrap_err();
    assert_eq!(missing.exit_code(), EXIT_CONFIG);
}

#[test]
fn all_of_a_fleet_is_named_after_it() {
    let fleet = |words: &[&str]| load(inputs(words, &[])).unwrap().config.fleet;
    let usual = fleet(&[]);
    let [group, target_group] = ["compilation-asg", "compilation-instances"];
    assert_eq!((usual.group.as_str(), usual.target_group.as_str()), (group, target_group));
    assert_eq!(usual.metrics_group, "/compilation-worker/compilation/metrics");
    let other = fleet(&["--fleet-name", "staging", "--fleet-target-group", "mine"]);
    assert_eq!((other.group.as_str(), other.target_group.as_str()), ("staging-asg", "mine"));
    assert_eq!(other.log_group, "/compilation-worker/staging/daemon");
}

#[test]
fn values_that_contradict_each_other_are_told_in_sentences() {
    for (words, expected) in [
        ("--http-idle 60s", "http.idle = 60s (flag --http-idle): must exceed http.balancer_idle = 60s; "),
        (
            "--limits-wall 41s",
            "engine.request_budget = 55s (default): is less than engine.queue_wait + limits.wall = 56s; ",
        ),
        ("--engine-request-budget 60s", "must stay below http.balancer_idle = 60s; "),
        (
            "--drain-budget 20s",
            "drain.budget = 20s (flag --drain-budget): must exceed drain.lame_duck + limits.wall = 20s; ",
        ),
        ("--drain-lame-duck 40s", "drain.budget = 60s (default): must exceed"),
        ("--admin-listen 127.0.0.1:10240", "is the address of http.listen too; give it a port of its own"),
        (
            "--catalogue-discover=false",
            "catalogue.discover = false (flag --catalogue-discover): leaves nothing",
        ),
        ("--engine-slots 0", "engine.slots = 0 (flag --engine-slots): nothing would ever compile; "),
        ("--http-connections 0", "http.connections = 0"),
        ("--http-connections 1000001", "is more than the 1000000 allowed; lower it"),
        (
            "--engine-slots 1025",
            "engine.slots = 1025 (flag --engine-slots): is more than the 1024 allowed; lower it",
        ),
        ("--engine-queue-length 100001", "engine.queue_length = 100001"),
        (
            "--http-body 17MiB",
            "http.body = 17MiB (flag --http-body): is more than the 16MiB allowed; lower it",
        ),
        ("--http-head-deadline 0s", "http.head_deadline = 0s"),
        ("--http-body-deadline 0s", "http.body_deadline = 0s"),
        ("--http-write-deadline 0s", "http.write_deadline = 0s"),
        (
            "--limits-wall 0s",
            "limits.wall = 0s (flag --limits-wall): leaves no time at all; write a duration above zero",
        ),
        ("--hub-connections 0", "hub.connections = 0 (flag --hub-connections): nobody could connect"),
        ("--hub-connections 1000001", "is more than the 1000000 allowed; lower it"),
        ("--hub-subscriptions 0", "hub.subscriptions = 0"),
        (
            "--hub-frame 255B",
            "hub.frame = 255B (flag --hub-frame): is less than the 256B that a subscription",
        ),
        ("--hub-message 17MiB", "hub.message = 17MiB (flag --hub-message): is more than the 16MiB allowed"),
        ("--limits-pids 0", "limits.pids = 0"),
        ("--limits-cpu-millis 0", "limits.cpu_millis = 0"),
        (
            "--limits-memory 32MiB",
            "limits.memory = 32MiB (flag --limits-memory): is less than limits.output or",
        ),
        (
            "--sandbox-readable /opt rel",
            "sandbox.readable = /opt,rel (flag --sandbox-readable): rel is not an absolute",
        ),
        ("--catalogue-search-path bin", "bin is not an absolute path; begin it with /"),
        (
            "--sandbox-cgroup-parent rel",
            "sandbox.cgroup_parent = rel (flag --sandbox-cgroup-parent): is not an absolute",
        ),
        (
            "--http-environment a/b",
            "http.environment = a/b (flag --http-environment): a/b cannot be a first path segment; ",
        ),
        (
            "--routing-ttl 0s",
            "routing.ttl = 0s (flag --routing-ttl): leaves no time at all; write a duration above zero",
        ),
        ("--routing-negative-ttl 0s", "routing.negative_ttl = 0s"),
        (
            "--queues-own jobs --queues-colours",
            "queues.colours = true (flag --queues-colours): nobody tells which color is live, as routing.table",
        ),
        (
            "--queues-own https://q/1/jobs",
            "events.url =  (default): is empty, and results of jobs from a queue elsewhere would reach nobody; name the",
        ),
        (
            "--events-url http://h",
            "events.url = http://h (flag --events-url): is not the URL of an events hub",
        ),
        (
            "--queues-own jobs --queues-default https://q/1/jobs --events-url ws://h",
            "queues.own = jobs (flag --queues-own): is not where the other queues are",
        ),
        (
            "--queues-default a/",
            "queues.default = a/ (flag --queues-default): does not end in the name of a queue",
        ),
        (
            "--queues-visibility 900ms",
            "queues.visibility = 900ms (flag --queues-visibility): is not from 1s to 43200s; write",
        ),
        ("--queues-visibility 13h", "queues.visibility = 13h"),
        (
            "--fleet-name a/b",
            "fleet.name = a/b (flag --fleet-name): is not 1 to 64 letters, digits, dots, dashes and underscores; write",
        ),
        (
            "--fleet-metrics-group a:b",
            "fleet.metrics_group = a:b (flag --fleet-metrics-group): is no name of a log group; write a name such as",
        ),
        (
            "--metrics-emf tcp://192.0.2.1:25888",
            "metrics.emf = tcp://192.0.2.1:25888 (flag --metrics-emf): is not on this machine; write stdout, or tcp://",
        ),
        ("--metrics-emf udp", "metrics.emf = udp (flag --metrics-emf): is neither stdout nor an address"),
        (
            "--metrics-every 99ms",
            "metrics.every = 99ms (flag --metrics-every): is not from 100ms to 900s; write a duration such as 60s",
        ),
        ("--metrics-every 16m", "metrics.every = 16m (flag --metrics-every): is not"),
        (
            "--instance-metadata https://169.254.169.254",
            "instance.metadata = https://169.254.169.254 (flag --instance-metadata): is not the URL of an instance",
        ),
        ("--instance-metadata http://h/latest", "instance.metadata = http://h/latest"),
        (
            "--instance-hook-timeout 29s",
            "instance.hook_timeout = 29s (flag --instance-hook-timeout): is not from 30s to 7200s; write the",
        ),
        (
            "--instance-lifecycle-hook drain",
            "instance.lifecycle_hook = drain (flag --instance-lifecycle-hook): needs instance.watch, which tells when",
        ),
        (
            "--instance-protect-while-busy",
            "needs instance.watch, which tells which instance this is; set instance",
        ),
        ("--instance-drain-on-rebalance", "needs instance.watch, which hears of recommendations; set"),
        ("--instance-state state", "instance.state = state (flag --instance-state): is not an absolute path"),
        ("--log-filter x=loud", "log.filter = x=loud (flag --log-filter): is no filter; "),
        (
            "--sandbox jial",
            "sandbox.mode = jial (flag --sandbox): is not one of the choices; write jail, strict or none",
        ),
    ] {
        let found = load(inputs(&words.split(' ').collect::<Vec<_>>(), &[])).unwrap_err();
        let text = found.to_string();
        assert!(text.contains(expected), "{words}: {text}");
    }
}

#[test]
fn a_table_whose_rows_name_urls_alone_needs_no_queue() {
    let loaded = load(inputs(&["--routing-table", "T"], &[])).unwrap();
    assert_eq!(loaded.config.routing.table.as_deref(), Some("T"));
}

#[test]
fn groups_of_logs_are_named_after_the_fleet() {
    let fleet =
        load(inputs(&["--fleet-name", "east", "--fleet-log-group", "/own"], &[])).unwrap().config.fleet;
    assert_eq!(
        (fleet.log_group.as_str(), fleet.metrics_group.as_str()),
        ("/own", "/compilation-worker/east/metrics")
    );
}

#[test]
fn what_is_unwise_is_a_warning() {
    let warnings = |words: &str| load(inputs(&words.split(' ').collect::<Vec<_>>(), &[])).unwrap().warnings;
    let crowded = warnings("--engine-slots 16");
    assert_eq!(crowded.len(), 2, "{crowded:?}");
    assert!(crowded[0].contains("engine.slots = 16 jobs of limits.memory = 1280MiB"), "{crowded:?}");
    assert!(crowded[1].contains("more than this machine's 4 cores"), "{crowded:?}");
    assert!(warnings("--sandbox none")[0].contains("for development only"));
    let open = warnings("--listen 0.0.0.0:10240");
    assert!(open.len() == 1 && open[0].contains("holds 10.0.0.0/8, and behind a balancer"), "{open:?}");
    assert_eq!(warnings("--listen 0.0.0.0:10240 --http-clear-cache-from="), Vec::<String>::new());
    assert_eq!(warnings("--listen [::1]:10240"), Vec::<String>::new());
    assert_eq!(warnings("--engine-slots auto"), Vec::<String>::new());
}

#[test]
fn the_table_is_sound() {
    let mut names = HashSet::new();
    for key in KEYS {
        assert!(names.insert(key.variable()), "{} shares its variable with another key", key.path());
        assert!(names.insert(key.flag()), "{} shares its flag with another key", key.path());
        assert!(key.help.ends_with('.') && key.help.len() > 15, "{} has no help worth the name", key.path());
        assert!(!key.section.contains('_'), "a variable could not be told from another section's");
        assert_eq!(Key::find(&key.path()), Some(key));
    }
    for name in ["listen", "catalogue", "sandbox", "admin-listen"] {
        assert!(names.contains(name), "others script against --{name}");
    }
    Flags::augment_args(Command::new("test")).debug_assert();
    flags::HubFlags::augment_args(Command::new("test")).debug_assert();
}

#[test]
fn what_is_shown_can_be_given_again() {
    let loaded = load(inputs(&["--http-environment", "prod", "--catalogue", "a", "b"], &[])).unwrap();
    let words: Vec<String> =
        loaded.settings.iter().map(|setting| format!("--{}={}", setting.key.flag(), setting.value)).collect();
    let again = load(inputs(&words.iter().map(String::as_str).collect::<Vec<_>>(), &[])).unwrap();
    assert_eq!(again.config, loaded.config);
    let page = show(&loaded.settings);
    assert!(page.contains("http.environment = prod"), "{page}");
    assert!(page.lines().all(|line| line.contains(" = ") && line.ends_with(')')), "{page}");
}

#[test]
fn the_reference_names_every_key() {
    let page = reference();
    for key in KEYS {
        assert!(page.contains(&format!("| `{}` |", key.path())), "{}", key.path());
    }
}

proptest! {
    #[test]
    fn no_file_and_no_value_panics(text in "(\\PC|[\n\0\r\u{1b}])*", section in "[a-z]{1,8}", name in "[a-z_]{1,8}", value in "(\\PC|[\n\0\r\u{1b}])*") {
        let mut layers = Layers::default();
        layers.file("f".as_ref(), &text);
        layers.file("f".as_ref(), &format!("[{section}]\n{name} = {value}\n[http]\nlisten = {text:?}\n"));
        layers.environment(vec![(format!("{VARIABLE_PREFIX}{name}").into(), value.into())]);
        prop_assert!(layers.mistakes.iter().all(|mistake| !mistake.fix.is_empty()));
    }
}

#[test]
fn traces_need_a_collector_that_can_be_asked() {
    let loaded =
        load_with("", &[], &["--trace-url", "http://127.0.0.1:4318/", "--trace-share", "0.5%"]).unwrap();
    assert_eq!(loaded.config.trace.url.as_deref(), Some("http://127.0.0.1:4318/"));
    assert_eq!(loaded.config.trace.share.millionths(), 5_000);
    for url in ["127.0.0.1:4318", "grpc://127.0.0.1:4317", "http://", "http://h/?key=1"] {
        let found = mistakes("", &[("COMPILATION_WORKER_TRACE_URL", url)], &[]);
        let wrong =
            "is not the http:// or https:// URL of a collector; write one such as http://127.0.0.1:4318";
        let expected = format!("trace.url = {url} (environment COMPILATION_WORKER_TRACE_URL): {wrong}");
        assert_eq!(found, [expected]);
    }
    assert!(load_with("", &[], &["--trace-share", "101%"]).is_err());
}
