//! The loop over a scripted collector, on a paused clock.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::*;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::samples::Samples;

const EVERY: Duration = Duration::from_mins(1);

/// What becomes of one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Read,
    Refused,
    /// Read after so many seconds.
    ReadAfter(u64),
    /// Thrown away after so many seconds.
    LostAfter(u64),
}

/// Who reads events, each with the time at which it was made.
#[derive(Debug, Clone, Default)]
struct Inbox(Arc<Mutex<Vec<(u64, Value)>>>);

impl Inbox {
    /// A way here on which each event has its fate, and all further ones are read.
    fn way(&self, fates: Vec<Fate>, begun: Instant) -> Deliver {
        let (inbox, next) = (self.clone(), AtomicU64::new(0));
        Box::new(move |event| {
            let (inbox, made) = (inbox.clone(), begun.elapsed().as_secs());
            let number = usize::try_from(next.fetch_add(1, Ordering::Relaxed)).unwrap();
            let fate = fates.get(number).copied().unwrap_or(Fate::Read);
            Box::pin(async move {
                let (wait, read) = match fate {
                    Fate::Read => (0, true),
                    Fate::Refused => (0, false),
                    Fate::ReadAfter(seconds) => (seconds, true),
                    Fate::LostAfter(seconds) => (seconds, false),
                };
                sleep(Duration::from_secs(wait)).await;
                if !read {
                    return Err(io::ErrorKind::ConnectionReset.into());
                }
                inbox.0.lock().unwrap().push((made, serde_json::from_slice(&event).unwrap()));
                Ok(())
            })
        })
    }

    /// When the events that were read were made, in seconds.
    fn times(&self) -> Vec<u64> {
        self.0.lock().unwrap().iter().map(|(made, _)| *made).collect()
    }

    /// How many replies they tell of, all together, in numbers and in values.
    fn told(&self) -> (f64, f64) {
        let all = self.0.lock().unwrap();
        let number = |event: &Value| event["http_requests"].as_f64().unwrap();
        let values =
            |event: &Value| event["http_request_duration_seconds"]["Count"].as_f64().unwrap_or_default();
        (all.iter().map(|(_, event)| number(event)).sum(), all.iter().map(|(_, event)| values(event)).sum())
    }
}

fn measure(metrics: &Arc<Metrics>) -> Measure {
    let metrics = Arc::clone(metrics);
    Arc::new(move || Moment {
        reading: Reading::of(&Samples::read(&metrics.render())),
        about: About {
            fleet: "f".to_owned(),
            group: "g".to_owned(),
            instance: "i".to_owned(),
            version: "1",
            phase: "serving",
            consuming: true,
            uptime_seconds: 1,
            timestamp: 1,
        },
    })
}

/// Publishes for so many seconds while a request is answered in each, then ends; says what was counted, how long the end
/// took, and what was read.
async fn publish(fates: Vec<Fate>, seconds: u64) -> (f64, Duration, Inbox) {
    let (metrics, inbox, begun) = (Arc::new(Metrics::new()), Inbox::default(), Instant::now());
    let (end, ending) = oneshot::channel::<()>();
    let way = inbox.way(fates, begun);
    let publisher = run(EVERY, measure(&metrics), way, async move { drop(ending.await) });
    let work = async {
        // In the middle of each second, so that nothing happens at the moment of an event.
        sleep(Duration::from_millis(500)).await;
        for _ in 0..seconds {
            metrics.count_reply("compile", 200, Duration::from_millis(30));
            sleep(Duration::from_secs(1)).await;
        }
        drop(end);
        Instant::now()
    };
    let ((), ended) = tokio::join!(publisher, work);
    (f64::from(u32::try_from(seconds).unwrap()), ended.elapsed(), inbox)
}

#[tokio::test(start_paused = true)]
async fn an_event_a_period_and_one_at_the_end() {
    let (count, took, inbox) = publish(Vec::new(), 150).await;
    assert_eq!(inbox.times(), [60, 120, 150]);
    assert_eq!((inbox.told(), took), ((count, count), Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn what_was_refused_comes_later_and_is_tried_more_and_more_rarely() {
    let (count, _, inbox) = publish(vec![Fate::Refused; 9], 400).await;
    // 60, 61, 63, 67, 75, 91, 123, and then a minute apart.
    assert_eq!(inbox.times(), [303, 363, 400]);
    assert_eq!(inbox.told(), (count, count));
}

#[tokio::test(start_paused = true)]
async fn what_is_in_doubt_is_waited_for_and_not_told_twice() {
    for (fate, times) in
        [(Fate::ReadAfter(500), vec![60, 560, 620, 650]), (Fate::LostAfter(500), vec![561, 621, 650])]
    {
        let (count, _, inbox) = publish(vec![fate], 650).await;
        assert_eq!((inbox.told(), inbox.times()), ((count, count), times), "{fate:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_waits_for_what_is_under_way_but_not_long() {
    let (count, took, inbox) = publish(vec![Fate::ReadAfter(11)], 70).await;
    assert_eq!((inbox.told(), took.as_millis()), ((count, count), 500));
    let (count, took, inbox) = publish(vec![Fate::LostAfter(11)], 70).await;
    assert_eq!((inbox.told(), took.as_millis()), ((count, count), 500));
    let (_, took, inbox) = publish(vec![Fate::ReadAfter(1000)], 70).await;
    assert_eq!((inbox.told(), took), ((0.0, 0.0), LAST_WORDS));
}

#[tokio::test(start_paused = true)]
async fn a_measure_that_fails_is_taken_again() {
    let metrics = Arc::new(Metrics::new());
    metrics.count_reply("compile", 200, Duration::ZERO);
    let (inner, taken) = (measure(&metrics), AtomicU64::new(0));
    let measure: Measure = Arc::new(move || {
        assert!(taken.fetch_add(1, Ordering::Relaxed) > 0, "planted");
        inner()
    });
    let inbox = Inbox::default();
    let way = inbox.way(Vec::new(), Instant::now());
    run(EVERY, measure, way, sleep(Duration::from_secs(130))).await;
    assert_eq!((inbox.times(), inbox.told()), (vec![120, 130], (1.0, 1.0)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn whatever_happens_on_the_way_all_is_told_once(
        fates in proptest::collection::vec(prop_oneof![
            Just(Fate::Read), Just(Fate::Refused), (0..200_u64).prop_map(Fate::ReadAfter), (0..200_u64).prop_map(Fate::LostAfter),
        ], 0..8),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        // Long enough for every fate to be over.
        let (count, _, inbox) = runtime.block_on(publish(fates, 1800));
        prop_assert_eq!(inbox.told(), (count, count));
    }
}
