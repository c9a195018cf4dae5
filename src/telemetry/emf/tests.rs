//! The table against the registry, and events against the limits of the format.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;
use crate::domain::result::JobStatus;
use crate::telemetry::metrics::{Lookup, Metrics};

fn about() -> About {
    About {
        fleet: "compilation".to_owned(),
        group: "/compilation-worker/compilation/metrics".to_owned(),
        instance: "i-0123456789abcdef0".to_owned(),
        version: "0.1.0",
        phase: "serving",
        consuming: true,
        uptime_seconds: 61,
        timestamp: 1_700_000_000_000,
    }
}

fn reading(page: &str) -> Reading {
    Reading::of(&Samples::read(page))
}

fn event(now: &Reading, since: &Reading) -> Json {
    let line = now.event(since, &about());
    assert_eq!(line.iter().position(|byte| *byte == b'\n'), Some(line.len() - 1), "one line");
    assert!(!String::from_utf8_lossy(&line).contains(":-0"), "nothing that is counted is below zero");
    serde_json::from_slice(&line).unwrap()
}

#[test]
fn every_metric_comes_from_a_series_of_the_registry() {
    let metrics = Metrics::new();
    // A family is on the page once it has a member.
    metrics.count_reply("compile", 200, Duration::ZERO);
    metrics.count_job(JobStatus::Ok);
    metrics.count_lookup("replies", Lookup::Hit);
    metrics.count_jail_failure("mount");
    metrics.count_message("buried", Duration::ZERO);
    metrics.count_exceeded("pps", 0);
    metrics.count_comparison("different", [], Some([Duration::ZERO; 2]));
    let page = metrics.render();
    let kind = |family: &str| {
        let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
        types.into_iter().find(|(name, _)| *name == family).map(|(_, kind)| kind)
    };
    let mut names = HashSet::new();
    for Published { name, unit, kind: made, series, .. } in PUBLISHED {
        assert!(names.insert(*name), "{name} is there twice");
        let fits = match made {
            Kind::Rise => {
                kind(series.trim_end_matches("_total")) == Some("counter") || kind(series) == Some("gauge")
            }
            Kind::Level => kind(series) == Some("gauge"),
            Kind::Spread => kind(series) == Some("histogram"),
        };
        assert!(fits, "{name}: {series} is no such series");
        assert_eq!(*unit == Unit::Seconds, name.ends_with("_seconds"), "{name}");
        assert_eq!(*unit == Unit::Bytes, name.contains("bytes"), "{name}");
    }
    for beside in ["_aws", "Fleet", "instance", "version", "phase", "consuming", "uptime_seconds"] {
        assert!(!names.contains(beside), "{beside} would be there twice");
    }
}

#[test]
fn an_event_tells_what_came_since_the_last() {
    let metrics = Metrics::new();
    let page = || reading(&metrics.render());
    let started = page();
    metrics.count_reply("compile", 200, Duration::from_millis(30));
    metrics.count_reply("compile", 502, Duration::from_secs(3));
    metrics.count_reply("healthcheck", 503, Duration::from_millis(1));
    metrics.count_job(JobStatus::Ok);
    metrics.count_job(JobStatus::InfraError);
    metrics.count_lookup("replies", Lookup::Hit);
    metrics.count_lookup("outputs", Lookup::Miss);
    metrics.http_received.inc_by(1000);
    metrics.slots.set(4);
    metrics.saturation.set(150.0);
    let first = page();
    let told = event(&first, &started);
    for (name, expected) in [
        ("http_requests", 2.0),
        ("http_errors", 1.0),
        ("compile_jobs", 2.0),
        ("infra_errors", 1.0),
        ("cache_hits", 1.0),
        ("cache_misses", 1.0),
        ("bytes_in", 1000.0),
        ("bytes_out", 0.0),
        ("slots", 4.0),
        ("saturation", 150.0),
        ("jail_failures", 0.0),
    ] {
        assert_eq!(told[name], json!(expected), "{name}");
    }
    let spread = &told["http_request_duration_seconds"];
    assert_eq!((&spread["Values"], &spread["Counts"]), (&json!([0.05, 3.0]), &json!([1.0, 1.0])), "{spread}");
    assert_eq!(
        (&spread["Min"], &spread["Max"], &spread["Count"], &spread["Sum"]),
        (&json!(0.05), &json!(3.0), &json!(2.0), &json!(3.03))
    );
    metrics.count_reply("compile", 200, Duration::from_mins(2));
    let told = event(&page(), &first);
    assert_eq!((&told["http_requests"], &told["http_errors"]), (&json!(1.0), &json!(0.0)));
    let spread = &told["http_request_duration_seconds"];
    assert_eq!(spread["Values"], json!([120.0]), "twice the last bound: {spread}");
    assert_eq!(told.get("compilation_duration_seconds"), None, "nothing was compiled");
    assert_eq!(told.get("ena_allowance_exceeded"), None, "no such driver");
    assert_eq!(told.get("shadow_compared"), None, "nobody was asked for a second opinion");
    metrics.count_exceeded("pps", 0);
    for verdict in ["same", "different", "failed"] {
        metrics.count_comparison(verdict, [], Some([Duration::ZERO; 2]));
    }
    let told = event(&page(), &first);
    assert_eq!(told["ena_allowance_exceeded"], json!(0.0));
    assert_eq!((&told["shadow_compared"], &told["shadow_mismatched"]), (&json!(2.0), &json!(1.0)));
}

#[test]
fn an_event_says_where_it_belongs() {
    let told = event(&reading("slots 4\n"), &Reading::default());
    let aws = &told["_aws"];
    assert_eq!(aws["Timestamp"], json!(1_700_000_000_000_i64));
    assert_eq!(aws["LogGroupName"], "/compilation-worker/compilation/metrics");
    assert_eq!(aws["LogStreamName"], "i-0123456789abcdef0");
    let directives = aws["CloudWatchMetrics"].as_array().unwrap();
    assert_eq!(directives.len(), 1);
    assert_eq!(directives[0]["Namespace"], "CompilationWorker");
    assert_eq!(directives[0]["Dimensions"], json!([["Fleet"]]));
    let slots = directives[0]["Metrics"].as_array().unwrap().iter().find(|metric| metric["Name"] == "slots");
    assert_eq!(slots.unwrap(), &json!({ "Name": "slots", "Unit": "Count", "StorageResolution": 60 }));
    for (property, value) in [
        ("Fleet", json!("compilation")),
        ("instance", json!("i-0123456789abcdef0")),
        ("version", json!("0.1.0")),
        ("phase", json!("serving")),
        ("consuming", json!(true)),
        ("uptime_seconds", json!(61)),
    ] {
        assert_eq!(told[property], value, "{property}");
    }
}

/// Everything wrong with an event, going by the specification.
fn breaches(line: &[u8]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut demand = |holds: bool, what: &str| wrong.extend((!holds).then(|| what.to_owned()));
    demand(line.len() <= LARGEST_EVENT, "its size");
    let event: Json = serde_json::from_slice(line).unwrap();
    let aws = &event["_aws"];
    let text =
        |value: &Json, most: usize| value.as_str().is_some_and(|text| (1..=most).contains(&text.len()));
    demand(aws["Timestamp"].is_i64() || aws["Timestamp"].is_u64(), "its time");
    demand(text(&aws["LogGroupName"], 512) && text(&aws["LogStreamName"], 512), "its group or stream");
    demand(!aws["LogStreamName"].as_str().unwrap_or_default().contains([':', '*']), "its stream's letters");
    let fleet = event["Fleet"].as_str().unwrap_or_default();
    demand(text(&event["Fleet"], 1024) && fleet.is_ascii() && !fleet.starts_with(':'), "its dimension");
    let metrics = aws["CloudWatchMetrics"][0]["Metrics"].as_array().unwrap();
    demand(metrics.len() <= 100, "how many metrics");
    for metric in metrics {
        let target = &event[metric["Name"].as_str().unwrap()];
        let numbers = |name: &str| {
            let all = target[name].as_array().into_iter().flatten().map(Json::as_f64);
            all.collect::<Option<Vec<f64>>>().unwrap_or_default()
        };
        let (values, counts) = (numbers("Values"), numbers("Counts"));
        let member = |name: &str| target[name].as_f64().filter(|number| number.is_finite());
        let (min, max) = (member("Min").unwrap_or(f64::NAN), member("Max").unwrap_or(f64::NAN));
        let is_spread = (1..=100).contains(&values.len())
            && values.len() == counts.len()
            && values.iter().all(|value| (min..=max).contains(value))
            && counts.iter().all(|count| *count > 0.0)
            && member("Sum").and(member("Count")).is_some();
        demand(target.is_number() || is_spread, &format!("the target {target} of {metric}"));
        demand(target.as_f64().is_none_or(f64::is_finite), "a number that is none");
    }
    wrong
}

#[test]
fn planted_breaches_are_found() {
    let sound = reading("slots 4\n").event(&Reading::default(), &about());
    assert_eq!(breaches(&sound), Vec::<String>::new());
    let text = String::from_utf8(sound).unwrap();
    for (from, to) in [
        ("\"slots\":4.0", "\"slots\":null"),
        (
            "\"slots\":4.0",
            "\"slots\":{\"Values\":[1,3],\"Counts\":[1,1],\"Min\":1,\"Max\":2,\"Sum\":3,\"Count\":2}",
        ),
        (
            "\"slots\":4.0",
            "\"slots\":{\"Values\":[1],\"Counts\":[1,1],\"Min\":1,\"Max\":2,\"Sum\":3,\"Count\":2}",
        ),
        ("i-0123456789abcdef0\",", "i:1\","),
        ("\"Fleet\":\"compilation\"", "\"Fleet\":\"\""),
    ] {
        let broken = text.replacen(from, to, 1);
        assert_ne!(broken, text, "{from}");
        assert_eq!(breaches(broken.as_bytes()).len(), 1, "{broken}");
    }
}

/// A page whose series are those of the table, with any values at all.
fn pages() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        any::<f64>(),
        Just(f64::NAN),
        Just(f64::INFINITY),
        (0..u32::MAX).prop_map(f64::from),
        0.0..1e6,
    ];
    let bound = prop_oneof![(0.0..1e9).boxed(), any::<f64>().boxed()];
    let buckets = vec((bound, value.clone()), 0..120);
    vec((value, buckets), PUBLISHED.len()).prop_map(|drawn| {
        let mut page = String::new();
        for (Published { series, kind, .. }, (value, buckets)) in PUBLISHED.iter().zip(drawn) {
            if *kind == Kind::Spread {
                for (bound, count) in buckets {
                    writeln!(page, "{series}_bucket{{le=\"{bound:e}\"}} {count:e}").unwrap();
                }
                writeln!(page, "{series}_sum {value:e}").unwrap();
            } else {
                writeln!(page, "{series} {value:e}").unwrap();
            }
        }
        page
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn no_page_makes_an_event_that_breaks_the_limits(
        before in pages(), now in pages(), fleet in "\\PC{0,40}", group in "\\PC*", instance in "\\PC{0,2000}",
    ) {
        let about = About { fleet, group: group.repeat(50), instance, ..about() };
        let line = reading(&now).event(&reading(&before), &about);
        prop_assert_eq!(breaches(&line), Vec::<String>::new(), "{}", String::from_utf8_lossy(&line));
    }

    #[test]
    fn events_add_up_to_what_was_counted(steps in vec((0..5_u64, 0..5_u64, 0..70_000_u64), 1..20)) {
        let metrics = Metrics::new();
        let (mut since, mut told) = (Reading::default(), (0.0, 0.0, 0.0));
        let mut counted = (0_u32, 0.0);
        for (replies, bytes, millis) in steps {
            let took = Duration::from_millis(millis);
            for _ in 0..replies {
                metrics.count_reply("compile", 200, took);
                counted = (counted.0 + 1, counted.1 + took.as_secs_f64());
            }
            metrics.http_sent.inc_by(bytes);
            let now = reading(&metrics.render());
            let event = event(&now, &since);
            let spread = &event["http_request_duration_seconds"];
            told.0 += event["http_requests"].as_f64().unwrap();
            told.1 += spread["Count"].as_f64().unwrap_or_default();
            told.2 += spread["Sum"].as_f64().unwrap_or_default();
            since = now;
        }
        let count = f64::from(counted.0);
        prop_assert_eq!((told.0, told.1), (count, count));
        prop_assert!((told.2 - counted.1).abs() < 1e-6);
    }
}
