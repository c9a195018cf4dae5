//! Today's router in front of our worker: nothing is lost, however early its results come.

use std::time::Duration;

use compilation_worker::local::queue::Depth;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use super::todays_router::TodaysRouter;
use super::yard::Yard;
use crate::support::obedient::{self, Obedient};

const JSON: &str = "application/json";
/// How long anything may take: compiles on two busy cores, unoptimized.
const PATIENCE: Duration = Duration::from_secs(20);

fn source(text: &str) -> Value {
    json!({ "source": text, "options": { "userArguments": "-O1" } })
}

fn is_listing(result: &Value) -> bool {
    result["code"] == 0 && result["asm"].as_array().is_some_and(|lines| !lines.is_empty())
}

#[tokio::test]
async fn its_jobs_share_a_group_and_one_slow_job_holds_up_nobody() {
    const QUICK: usize = 24;
    let (yard, compiler) = (Yard::open().await, Obedient::make());
    let worker = yard.worker(&compiler).await;
    let router = TodaysRouter::open(&yard, Duration::ZERO).await;
    let held = obedient::held("quick", 0);
    let slow = router.compile(obedient::ID, JSON, &held);
    let quick = async {
        worker.running_until("sh", 1).await;
        let begun = Instant::now();
        let jobs = (0..QUICK).map(|number| {
            let (router, body) = (&router, source(&format!("// {number}\n")));
            async move { router.compile(obedient::ID, JSON, &body).await }
        });
        let results = timeout(PATIENCE, join_all(jobs)).await.expect("they wait for the slow one");
        compiler.release("quick");
        (results, begun.elapsed())
    };
    let (slow, (results, elapsed)) = tokio::join!(slow, quick);
    assert!(is_listing(&slow), "{slow}");
    assert!(results.iter().all(is_listing), "{results:?}");
    assert!(elapsed < Duration::from_secs(15), "{QUICK} quick jobs took {elapsed:?}");
    worker.metric_until("queue_messages_total{outcome=\"regrouped\"}", QUICK as u64 + 1).await;
    worker.metric_until("queue_messages_total{outcome=\"done\"}", QUICK as u64 + 1).await;
    assert_eq!(yard.bed().queues().depth(&yard.queue).unwrap(), Depth::default());
}

#[tokio::test]
async fn a_result_that_comes_before_its_waiter_comes_again() {
    let (yard, compiler) = (Yard::open().await, Obedient::make());
    let _worker = yard.worker(&compiler).await;
    let router = TodaysRouter::open(&yard, Duration::from_secs(1)).await;
    let body = source("// remembered\n");
    assert!(is_listing(&router.compile(obedient::ID, JSON, &body).await));
    let dropped = router.dropped();
    let again = join_all((0..20).map(|_| router.compile(obedient::ID, JSON, &body)));
    let again = timeout(PATIENCE, again).await.expect("results were lost");
    assert!(again.iter().all(is_listing), "{again:?}");
    assert!(again.iter().all(|result| result["retreivedFromCache"] == true), "{again:?}");
    let dropped = router.dropped() - dropped;
    assert!(dropped >= 10, "only {dropped} came too early, so nothing is proved");
}

#[tokio::test]
async fn what_is_too_large_goes_through_the_buckets_both_ways() {
    let (yard, compiler) = (Yard::open().await, Obedient::make());
    let _worker = yard.worker(&compiler).await;
    let router = TodaysRouter::open(&yard, Duration::ZERO).await;
    // A listing of a megabyte for a source of half of one.
    compiler.replace(
        "#!/bin/sh\ncase \"$*\" in *example.cpp*) ;; *) exec /usr/bin/g++ \"$@\" ;; esac\n\
         while [ $# -gt 0 ]; do case $1 in -o) out=$2 ;; esac; shift; done\n\
         { printf '\\t.text\\n\\t.globl\\tlast\\n'; yes \"$(printf '\\tnop # \\342\\202\\254')\" | head -n 60000; \
         printf 'last:\\n\\tret\\n'; } >\"$out\"\n",
    );
    let large = source(&format!("// {}\n", "x".repeat(500_000)));
    let result = timeout(PATIENCE, router.compile(obedient::ID, JSON, &large)).await.expect("it was lost");
    assert!(is_listing(&result) && result.to_string().len() > 31_744, "{}", result.to_string().len());
    assert!(result.get("guid").is_none() && result.get("s3Key").is_none());
}

#[tokio::test]
async fn what_it_sends_is_understood_as_it_was_meant() {
    let (yard, compiler) = (Yard::open().await, Obedient::make());
    let _worker = yard.worker(&compiler).await;
    let router = TodaysRouter::open(&yard, Duration::ZERO).await;
    for kind in [JSON, "application/json; charset=utf-8", "Application/JSON;charset=UTF-8"] {
        let result = router.compile(obedient::ID, kind, &source("// options\n")).await;
        let options = result["compilationOptions"].as_array().unwrap();
        assert!(options.contains(&json!("-O1")), "{kind}: {options:?}");
    }
    let result = router.compile(obedient::ID, "text/plain", &json!({ "source": "// text\n" })).await;
    assert!(is_listing(&result), "{result}");
    let result = router.compile("nope", JSON, &source("// nobody's\n")).await;
    assert_eq!(result["code"], -1);
    assert_eq!(result["stderr"][0]["text"], "Compiler with ID nope not found for language undefined");
}

/// The client writes over what the router wrote: its result is then called what nobody asked for. That client waits in
/// vain, as ever, and everybody else is served.
#[tokio::test]
async fn a_client_who_forges_a_name_holds_up_nobody_else() {
    let (yard, compiler) = (Yard::open().await, Obedient::make());
    let _worker = yard.worker(&compiler).await;
    let router = TodaysRouter::open(&yard, Duration::ZERO).await;
    let forged =
        json!({ "source": "// forged\n", "options": {}, "guid": "00000000-0000-4000-8000-000000000000" });
    let forged = join_all((0..10).map(|_| router.compile(obedient::ID, JSON, &forged)));
    let honest = async {
        let begun = Instant::now();
        for number in 0..5 {
            assert!(is_listing(
                &router.compile(obedient::ID, JSON, &source(&format!("// {number}\n"))).await
            ));
        }
        begun.elapsed()
    };
    tokio::select! {
        _ = forged => panic!("a result for nobody"),
        elapsed = honest => assert!(elapsed < Duration::from_secs(15), "{elapsed:?}"),
    }
}
