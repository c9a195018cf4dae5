//! Every metric that an alarm, a policy or a dashboard names is published, and every published one is looked at; every
//! saved query asks for what the daemon writes.

use std::collections::{BTreeMap, BTreeSet};

use compilation_worker::operate::fleet::verdict::Counts;
use compilation_worker::telemetry::emf::{DIMENSION, Kind, NAMESPACE, PUBLISHED};
use regex::Regex;
use serde_json::Value as Json;

use crate::infrastructure::math;
use crate::infrastructure::plan::{Plan, example, least};
use crate::tidy::{sources, without_tests};

/// What stands beside the metrics in each event.
const BESIDE: [&str; 6] = ["Fleet", "instance", "version", "phase", "consuming", "uptime_seconds"];

fn published() -> BTreeSet<String> {
    PUBLISHED.iter().map(|metric| metric.name.to_owned()).collect()
}

/// The dashboards' metric rows: namespace, name, and what follows.
fn rows(plan: &Plan) -> Vec<Vec<Json>> {
    let mut rows = Vec::new();
    for dashboard in plan.all("aws_cloudwatch_dashboard.fleet") {
        let body: Json = serde_json::from_str(dashboard["dashboard_body"].as_str().unwrap()).unwrap();
        for widget in body["widgets"].as_array().unwrap().iter().filter(|widget| widget["type"] == "metric") {
            rows.extend(
                widget["properties"]["metrics"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|row| row.as_array().unwrap().clone()),
            );
        }
    }
    rows
}

/// Every metric of ours that is named anywhere in the plan: in objects with a namespace and a name, and in rows.
fn named(plan: &Plan) -> BTreeSet<String> {
    fn search(value: &Json, found: &mut BTreeSet<String>) {
        match value {
            Json::Object(map) => {
                if map.get("namespace").is_some_and(|namespace| namespace == NAMESPACE) {
                    found.insert(map["metric_name"].as_str().unwrap().to_owned());
                }
                map.values().for_each(|value| search(value, found));
            }
            Json::Array(list) => list.iter().for_each(|value| search(value, found)),
            _ => {}
        }
    }
    let mut found = BTreeSet::new();
    plan.resources.values().flatten().for_each(|resource| search(resource, &mut found));
    for row in rows(plan).iter().filter(|row| row[0] == NAMESPACE) {
        found.insert(row[1].as_str().unwrap().to_owned());
        assert_eq!((&row[2], row.len() <= 5), (&Json::from(DIMENSION), true), "{row:?}");
    }
    found
}

#[test]
fn what_is_published_is_looked_at_and_the_reverse() {
    let plan = Plan::of(&example("large"));
    assert_eq!(named(&plan), published());
    assert!(
        plan.one("aws_cloudwatch_metric_alarm.network_throttled")["dimensions"][DIMENSION] == "compilation"
    );
}

/// An expression is one that `CloudWatch` takes, of the `id`s beside it.
fn is_math(expression: &str, ids: &BTreeSet<String>, place: &str) {
    if let Err(wrong) = math::check(expression, ids) {
        panic!("{place}: {expression}: {wrong}");
    }
}

#[test]
fn metric_math_is_valid_and_names_what_is_beside_it() {
    let valid = Regex::new("^[a-z][a-zA-Z0-9_]*$").unwrap();
    for inputs in [least(), example("small"), example("large")] {
        let plan = Plan::of(&inputs);
        for dashboard in plan.all("aws_cloudwatch_dashboard.fleet") {
            let body: Json = serde_json::from_str(dashboard["dashboard_body"].as_str().unwrap()).unwrap();
            for widget in
                body["widgets"].as_array().unwrap().iter().filter(|widget| widget["type"] == "metric")
            {
                let rows = widget["properties"]["metrics"].as_array().unwrap();
                let last = |row: &Json| row.as_array().unwrap().last().unwrap().clone();
                let ids: Vec<_> =
                    rows.iter().filter_map(|row| last(row)["id"].as_str().map(str::to_owned)).collect();
                let unique: BTreeSet<_> = ids.iter().cloned().collect();
                assert_eq!(ids.len(), unique.len(), "{widget}");
                assert!(ids.iter().all(|id| valid.is_match(id)), "{ids:?}");
                for expression in
                    rows.iter().filter_map(|row| last(row)["expression"].as_str().map(str::to_owned))
                {
                    is_math(&expression, &unique, widget["properties"]["title"].as_str().unwrap());
                }
            }
        }
        let queries = |resource: &Json| resource["metric_query"].as_array().cloned().unwrap_or_default();
        let mut alarms = 0;
        for (address, instances) in &plan.resources {
            let Some(name) = address.strip_prefix("aws_cloudwatch_metric_alarm.") else { continue };
            let Some(alarm) = instances.first() else { continue };
            alarms += 1;
            let queries = queries(alarm);
            let ids: BTreeSet<String> =
                queries.iter().map(|query| query["id"].as_str().unwrap().to_owned()).collect();
            assert_eq!(ids.len(), queries.len(), "{name}");
            for expression in queries.iter().filter_map(|query| query["expression"].as_str()) {
                is_math(expression, &ids, name);
            }
            // CloudWatch takes either one metric or queries of which one returns the figure.
            let returning = queries.iter().filter(|query| query["return_data"] == true).count();
            assert_eq!(returning, usize::from(alarm.get("metric_name").is_none()), "{name}");
        }
        assert_eq!(alarms, 12);
        let tracked = &plan.one("aws_autoscaling_policy.backlog")["target_tracking_configuration"][0];
        let metrics = tracked["customized_metric_specification"][0]["metrics"].as_array().unwrap();
        let ids = metrics.iter().map(|metric| metric["id"].as_str().unwrap().to_owned()).collect();
        is_math(metrics.last().unwrap()["expression"].as_str().unwrap(), &ids, "backlog");
        let mut criteria = 0;
        for (name, criterion) in plan.outputs["success_criteria"].as_object().unwrap() {
            let Some(expression) = criterion.get("expression") else { continue };
            let ids = criterion["metrics"].as_object().unwrap().keys().cloned().collect();
            is_math(expression.as_str().unwrap(), &ids, name);
            criteria += 1;
        }
        assert_eq!(criteria, 2);
    }
}

/// Each way of counting what fails: its expression, and what its ids are of.
fn failures(plan: &Plan) -> [(String, BTreeMap<String, String>); 3] {
    let text = |json: &Json| json.as_str().unwrap().to_owned();
    let queries = plan.one("aws_cloudwatch_metric_alarm.error_rate")["metric_query"].as_array().unwrap();
    let figures = queries.iter().filter(|query| query["metric"].is_array());
    let figures = figures.map(|query| (text(&query["id"]), text(&query["metric"][0]["metric_name"])));
    let alarm = queries.iter().find(|query| query["return_data"] == true).unwrap();
    let criterion = &plan.outputs["success_criteria"]["error_rate"];
    let measured = criterion["metrics"].as_object().unwrap().iter();
    let measured =
        measured.map(|(id, what)| (id.clone(), text(what).strip_prefix("Sum of ").unwrap().to_owned()));
    let rows = rows(plan);
    let with = |key: &'static str| rows.iter().filter(move |row| row.last().unwrap()[key].is_string());
    let shown = with("expression").map(|row| text(&row.last().unwrap()["expression"]));
    let drawn = with("id").filter(|row| row[0] == "AWS/ApplicationELB");
    let drawn = drawn.map(|row| (text(&row.last().unwrap()["id"]), text(&row[1])));
    [
        (text(&alarm["expression"]), figures.collect()),
        (text(&criterion["expression"]), measured.collect()),
        (shown.into_iter().find(|shown| shown.contains("answered_5xx")).unwrap(), drawn.collect()),
    ]
}

/// Alarm, criterion and dashboard tell of the same failures as `migrate weights --watch`.
#[test]
fn what_fails_is_counted_alike_everywhere() {
    let plan = Plan::of(&example("large"));
    for (expression, of) in failures(&plan) {
        for (requests, answered, failed, balancer_failed) in [
            (1000.0, 1000.0, f64::NAN, f64::NAN),
            (1000.0, 990.0, 10.0, f64::NAN),
            (1000.0, 950.0, 20.0, 30.0),
            (1000.0, 950.0, 20.0, f64::NAN),
            (1000.0, 950.0, 20.0, 5.0),
            (1000.0, 1000.0, f64::NAN, 500.0),
            (900.0, 1000.0, 10.0, 5.0),
        ] {
            let figure = |metric: &str| match metric {
                "RequestCount" => requests,
                "HTTPCode_Target_2XX_Count" => answered - 3.0,
                "HTTPCode_Target_3XX_Count" => 1.0,
                "HTTPCode_Target_4XX_Count" => 2.0,
                "HTTPCode_Target_5XX_Count" => failed,
                "HTTPCode_ELB_5XX_Count" => balancer_failed,
                _ => f64::NAN,
            };
            let figures = of.iter().map(|(id, metric)| (&**id, figure(metric))).collect();
            let told = math::value(&expression, &figures).unwrap();
            let known = |figure: f64| if figure.is_nan() { 0.0 } else { figure };
            let (failed, balancer_failed) = (known(failed), known(balancer_failed));
            let expected = 100.0 * Counts { requests, answered, failed, balancer_failed }.errors() / requests;
            assert!((told - expected).abs() < 1e-9, "{expression}: {told}, and {expected}: {figures:?}");
        }
    }
    // The balancer has no figure of its own 5xx by target group.
    let queries = plan.one("aws_cloudwatch_metric_alarm.error_rate")["metric_query"].as_array().unwrap();
    for metric in queries.iter().filter_map(|query| query["metric"].get(0)) {
        let of_the_balancer = metric["metric_name"] == "HTTPCode_ELB_5XX_Count";
        assert_eq!(metric["dimensions"].get("TargetGroup").is_none(), of_the_balancer, "{metric}");
        assert_eq!(
            (&metric["stat"], &metric["dimensions"]["LoadBalancer"]),
            (&"Sum".into(), &"app/site/0".into())
        );
    }
}

/// What an instance has, rather than does: its samples are not to be added up over time.
#[test]
fn levels_are_not_summed() {
    let levels: Vec<&str> =
        PUBLISHED.iter().filter(|metric| metric.kind == Kind::Level).map(|metric| metric.name).collect();
    assert!(levels.contains(&"slots") && !levels.contains(&"http_requests"), "{levels:?}");
    let plan = Plan::of(&example("large"));
    let mut seen = 0;
    for row in rows(&plan).iter().filter(|row| row[0] == NAMESPACE) {
        if levels.contains(&row[1].as_str().unwrap()) {
            let stat = &row.last().unwrap()["stat"];
            assert!(["Average", "Maximum", "Minimum"].iter().any(|fine| stat == fine), "{row:?}");
            seen += 1;
        }
    }
    assert!(seen > 5, "{seen}");
}

#[test]
fn every_alarm_says_what_it_means_and_where_help_is() {
    // With every alarm that there can be.
    let mut inputs = example("large");
    inputs["cpu_credits"] = "standard".into();
    inputs["instance_types"] = serde_json::json!(["t4g.medium"]);
    let plan = Plan::of(&inputs);
    let mut names = BTreeSet::new();
    for (address, instances) in &plan.resources {
        let Some(_) = address.strip_prefix("aws_cloudwatch_metric_alarm.") else { continue };
        let alarm = &instances[0];
        let (name, about) =
            (alarm["alarm_name"].as_str().unwrap(), alarm["alarm_description"].as_str().unwrap());
        assert!(about.len() <= 1024);
        if about.starts_with("Not for people: ") {
            continue;
        }
        let section = name.strip_prefix("compilation-").unwrap();
        assert!(about.ends_with(&format!(" Runbook: {section}.")), "{about}");
        assert_eq!(alarm["alarm_actions"], alarm["ok_actions"]);
        assert_eq!(alarm["alarm_actions"].as_array().unwrap().len(), 1, "{name}");
        names.insert(section.to_owned());
    }
    let expected = [
        "cpu-credits-charged",
        "cpu-credits-low",
        "cpu-high",
        "dead-letters",
        "error-rate",
        "infra-errors",
        "latency-p95",
        "network-throttled",
        "no-healthy-host",
        "queue-age",
        "unhealthy-hosts",
    ];
    assert_eq!(names, expected.into_iter().map(str::to_owned).collect());
}

/// Names in a query of Logs Insights that are not its own words.
fn fields(query: &str) -> Vec<String> {
    let without_texts = Regex::new("'[^']*'").unwrap().replace_all(query, "").into_owned();
    let word = Regex::new(r"`([^`]+)`|@?[A-Za-z_][A-Za-z0-9_]*").unwrap();
    let aliases: Vec<String> =
        Regex::new(r"\bas (\w+)").unwrap().captures_iter(query).map(|found| found[1].to_owned()).collect();
    let own = [
        "and",
        "as",
        "asc",
        "by",
        "count",
        "desc",
        "fields",
        "filter",
        "in",
        "ispresent",
        "latest",
        "limit",
        "max",
        "pct",
        "sort",
        "stats",
        "sum",
    ];
    word.captures_iter(&without_texts)
        .map(|found| found.get(1).map_or_else(|| found[0].to_owned(), |quoted| quoted.as_str().to_owned()))
        .filter(|name| !name.starts_with('@') && !own.contains(&name.as_str()) && !aliases.contains(name))
        .collect()
}

/// The arguments of every event that is logged in a source.
fn events(text: &str) -> Vec<&str> {
    let arguments = |(at, _): (usize, &str)| {
        let line = text[at..].lines().next()?;
        let rest = &text[at + line.find("!(")? + 2..];
        let mut depth = 1;
        let end = rest.find(|letter| {
            depth += i32::from(letter == '(') - i32::from(letter == ')');
            depth == 0
        });
        Some(&rest[..end?])
    };
    text.match_indices("tracing::").filter_map(arguments).collect()
}

/// Everything in an event that could be the name of a field.
fn words(event: &str) -> impl Iterator<Item = &str> {
    event
        .split(|letter: char| !letter.is_alphanumeric() && !['_', '.'].contains(&letter))
        .filter(|word| !word.is_empty())
}

#[test]
fn saved_queries_ask_for_what_is_written() {
    let plan = Plan::of(&least());
    let sources = sources();
    let code =
        sources.iter().filter(|(path, _)| path.starts_with("src/")).map(|(_, text)| without_tests(text));
    let events: Vec<&str> = code.flat_map(events).collect();
    // Level and message are the formatter's.
    let written: BTreeSet<&str> =
        events.iter().flat_map(|event| words(event)).chain(["level", "message"]).collect();
    assert!(written.contains("request.id") && !written.contains("listener"), "{written:?}");
    let queries = plan.all("aws_cloudwatch_query_definition.saved");
    assert_eq!(queries.len(), 9);
    let quotation = Regex::new("'([a-z ]+)'").unwrap();
    for query in queries {
        let text = query["query_string"].as_str().unwrap();
        let asked = fields(text);
        assert!(!asked.is_empty(), "{text}");
        let of_metrics =
            query["log_group_names"] == serde_json::json!(["/compilation-worker/compilation/metrics"]);
        for field in asked {
            let known = if of_metrics {
                published().contains(&field) || BESIDE.contains(&field.as_str())
            } else {
                written.contains(&*field)
            };
            assert!(known, "nobody writes {field}: {text}");
        }
        for said in quotation.captures_iter(text).map(|found| found[1].to_owned()) {
            let quoted = format!("\"{said}\"");
            let is_said = events.iter().any(|event| event.contains(&quoted)) || said == "compilation";
            assert!(is_said, "nobody says {said}: {text}");
        }
    }
}
