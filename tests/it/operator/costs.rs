//! `cost`: measured figures times named prices.

use serde_json::Value;

use super::cloud::{Cloud, metric, refusal};

const PRICES: [&str; 8] = [
    "--price-hour",
    "t4g.medium=0.04",
    "--lambda-request",
    "0.0000002",
    "--lambda-gb-second",
    "0.00001",
    "--lambda-memory-mb",
    "512",
];

async fn measured() -> Cloud {
    let cloud = Cloud::start().await;
    // Three hours, of which one instance ran for half of the last.
    let instances = [2.0, 3.0, 2.0].map(|count| [count; 60]).concat();
    let instances =
        instances.iter().zip(0..).map(|(&count, minute)| if minute < 30 { count + 1.0 } else { count });
    let (group, fleet) = ([("AutoScalingGroupName", "compilation-asg")], [("Fleet", "compilation")]);
    let own = |name| metric("CompilationWorker", name, &fleet, "Sum");
    cloud.world().figures = [
        (metric("AWS/AutoScaling", "GroupTotalInstances", &group, "Average"), instances.collect()),
        (own("http_requests"), vec![100_000.0, 400_000.0]),
        (own("http_request_duration_seconds"), vec![50_000.0, 200_000.0]),
    ]
    .into();
    // The minute may turn between question and answer, and figures of one that has only begun are not asked for.
    cloud.world().figures_ago = 2;
    cloud
}

#[tokio::test(flavor = "multi_thread")]
async fn the_arithmetic_is_shown() {
    let cloud = measured().await;
    let run = cloud.run(&[&["cost", "--since", "4h"], &PRICES[..]].concat()).await;
    assert_eq!((run.err.as_str(), run.code), ("", Some(0)), "{run:?}");
    let lines: Vec<&str> = run.out.lines().collect();
    assert!(lines[0].ends_with("figures of 3.00 of 4.00 hours, in periods of 60 s"), "{lines:?}");
    assert_eq!(
        lines[1..],
        [
            "instances  7.50 instance-hours x 0.040000 USD = 0.30 USD",
            "lambda     500000 requests x 0.0000002 USD = 0.10 USD",
            "           250000 s x 512 MB / 1024 = 125000 GB-s x 0.00001 USD = 1.25 USD",
            "           together 1.35 USD",
            "so         the instances cost 1.05 USD less than Lambda would have",
        ]
    );
    let run = cloud.run(&[&["cost", "--json"], &PRICES[..]].concat()).await;
    let page: Value = serde_json::from_str(&run.out).unwrap();
    assert!((page["lambda"]["together"].as_f64().unwrap() - 1.35).abs() < 1e-9, "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_guessed() {
    let cloud = measured().await;
    let run = cloud.run(&["cost"]).await;
    assert_eq!((run.out.as_str(), run.code), ("", Some(1)));
    assert!(run.err.contains("fix: add --price-hour t4g.medium=USD\n"), "{run:?}");
    let run = cloud.run(&["cost", "--lambda-request", "0.1", "--price-hour", "t4g.medium=1"]).await;
    assert!(run.err.contains("fix: add --lambda-gb-second USD --lambda-memory-mb N\n"), "{run:?}");
    let run = cloud.run(&["cost", "--since", "4h", "--price-hour", "t4g.medium=0.04"]).await;
    assert!(run.code == Some(0) && run.out.contains("= 0.30 USD\nlambda     not compared"), "{run:?}");
    for odd in [&["--price-hour", "t4g.medium=cheap"][..], &["--since", "59s"]] {
        let run = cloud.run(&[&["cost"], odd].concat()).await;
        assert_eq!(run.code, Some(64), "{run:?}");
    }
    cloud.world().trouble("GetMetricData", refusal(403, "AccessDenied", "no"), 1);
    let run = cloud.run(&[&["cost"], &PRICES[..]].concat()).await;
    assert!(run.err.contains("cloudwatch:GetMetricData"), "{run:?}");
    cloud.world().figures.clear();
    let run = cloud.run(&[&["cost"], &PRICES[..]].concat()).await;
    assert!(run.code == Some(1) && run.err.contains("there are no figures of instances"), "{run:?}");
}
