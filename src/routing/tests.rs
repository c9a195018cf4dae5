//! The router whole, against a store that changes, is slow, fails, hangs and comes back.

use std::sync::Mutex;
use std::sync::atomic::AtomicU32;

use proptest::prelude::*;
use tokio::time::{Instant, sleep, timeout};

use super::*;
use crate::local::routes::LocalRoutes;
use crate::ports::{Keyed, Pending, RouteRow, RouteTarget};

const ROW: Duration = Duration::from_mins(5);
const ABSENCE: Duration = Duration::from_secs(5);
const TICK: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// How a store feels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    Well,
    Slow(Duration),
    Refusing,
    Hanging,
    Panicking,
}

/// A table with moods.
#[derive(Debug)]
struct Moody {
    rows: LocalRoutes,
    mood: Mutex<Mood>,
    looks: AtomicU32,
}

impl Moody {
    fn feel(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    fn put(&self, key: &str, target: RouteTarget) {
        self.rows.put(RouteRow { key: key.to_owned(), target, environment: None });
    }

    fn looks(&self) -> u32 {
        self.looks.load(Ordering::Relaxed)
    }

    async fn answer(&self, what: &str) -> Result<(), LookupError> {
        self.looks.fetch_add(1, Ordering::Relaxed);
        let mood = *self.mood.lock().unwrap();
        match mood {
            Mood::Well => Ok(()),
            Mood::Slow(by) => {
                sleep(by).await;
                Ok(())
            }
            Mood::Refusing => {
                Err(LookupError::Unreachable { what: what.to_owned(), source: "throttled".into() })
            }
            Mood::Hanging => std::future::pending().await,
            Mood::Panicking => panic!("planted"),
        }
    }
}

impl RouteStore for Moody {
    fn all(&self) -> Pending<'_, Result<Vec<Keyed>, LookupError>> {
        Box::pin(async move {
            let rows = self.rows.all().await;
            self.answer("all").await?;
            // As an adapter tells of one that it cannot read.
            rows.map(|rows| {
                rows.into_iter().map(|(key, row)| (key.clone(), row.filter(|_| key != "prod#odd"))).collect()
            })
        })
    }

    fn lookup<'a>(&'a self, key: &'a str) -> Pending<'a, Result<Option<RouteRow>, LookupError>> {
        Box::pin(async move {
            // What was there when the question arrived, as a slow network has it.
            let row = self.rows.lookup(key).await;
            self.answer(key).await?;
            row
        })
    }

    fn active_color(&self) -> Pending<'_, Result<Color, LookupError>> {
        Box::pin(async move {
            self.answer("the color").await?;
            self.rows.active_color().await
        })
    }
}

/// A router of environment `prod` over an empty table.
fn bed(colors: bool) -> (Router, Arc<Moody>) {
    counted(colors, &Arc::default())
}

/// The same, counting in `metrics`.
fn counted(colors: bool, metrics: &Arc<Metrics>) -> (Router, Arc<Moody>) {
    let store =
        Arc::new(Moody { rows: LocalRoutes::new(), mood: Mutex::new(Mood::Well), looks: AtomicU32::new(0) });
    let settings = RouterSettings {
        environment: Some("prod".to_owned()),
        queues: QueueSettings {
            default: Some(QueueAddress::new("https://q/1/default.fifo")),
            own: Some(QueueAddress::new("https://q/1/own.fifo")),
            colors,
        },
        trust: Trust { row: ROW, absence: ABSENCE },
    };
    let router = Router::new(settings, Arc::clone(&store) as _, Lifecycle::new(), Arc::clone(metrics));
    (router, store)
}

fn id(name: &str) -> CompilerId {
    CompilerId::parse(name).unwrap()
}

fn queue(name: &str) -> RouteTarget {
    RouteTarget::Queue(name.to_owned())
}

/// The name of the queue that g132 goes to from a node without it, and how that is known.
async fn ask(router: &Router) -> Result<(String, Origin), RoutingError> {
    let decision = router.decide(&id("g132"), Here::Lacking).await?;
    match decision.destination {
        Destination::Queue(queue) => Ok((queue.name().to_owned(), decision.origin)),
        other => panic!("{other:?}"),
    }
}

fn known(name: &str, origin: Origin) -> (String, Origin) {
    (name.to_owned(), origin)
}

#[tokio::test(start_paused = true)]
async fn a_warm_router_looks_no_more() {
    let (router, store) = bed(false);
    let names = ["g132", "prod#g132", "staging#g132", "staging#other", "odd", "prod#odd"];
    for (key, name) in names.into_iter().zip(["old", "a", "b", "c", "d", "e"]) {
        store.put(key, queue(name));
    }
    store.feel(Mood::Refusing);
    assert!(router.warm_up().await.is_err());
    store.feel(Mood::Well);
    assert_eq!(
        router.warm_up().await.unwrap(),
        1,
        "other environments are none of ours, and what cannot be read is left"
    );
    let looks = store.looks();
    assert_eq!(ask(&router).await.unwrap(), known("a", Origin::Memory));
    assert_eq!(store.looks(), looks);
    // What was read one by one is younger.
    router.clear();
    store.put("prod#g132", queue("new"));
    assert_eq!(ask(&router).await.unwrap(), known("new", Origin::Table));
    store.put("prod#g132", queue("newer"));
    router.warm_up().await.unwrap();
    assert_eq!(ask(&router).await.unwrap(), known("new", Origin::Memory));
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_callers_are_one_look() {
    let (router, store) = bed(false);
    store.put("prod#g132", queue("a"));
    store.feel(Mood::Slow(SECOND));
    let router = Arc::new(router);
    let callers: Vec<_> = (0..10_000)
        .map(|_| {
            let router = Arc::clone(&router);
            Lifecycle::new().spawn("caller", async move { ask(&router).await.unwrap().0 })
        })
        .collect();
    for caller in callers {
        assert_eq!(caller.await.unwrap(), "a");
    }
    assert_eq!(store.looks(), 1);
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_callers_of_a_failing_table_are_one_look_too() {
    let (router, store) = bed(false);
    store.feel(Mood::Refusing);
    let router = Arc::new(router);
    let callers: Vec<_> = (0..10_000)
        .map(|_| {
            let router = Arc::clone(&router);
            Lifecycle::new().spawn("caller", async move { ask(&router).await.unwrap_err().class() })
        })
        .collect();
    for caller in callers {
        assert_eq!(caller.await.unwrap(), Class::Upstream);
    }
    assert_eq!(store.looks(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_leaves_does_not_take_the_look_along() {
    let (router, store) = bed(false);
    store.put("prod#g132", queue("a"));
    store.feel(Mood::Slow(SECOND));
    assert!(timeout(SECOND / 2, ask(&router)).await.is_err());
    let begun = Instant::now();
    assert_eq!(ask(&router).await.unwrap(), known("a", Origin::Memory));
    assert_eq!((store.looks(), begun.elapsed() <= SECOND / 2 + TICK), (1, true));
}

#[tokio::test(start_paused = true)]
async fn a_row_is_believed_for_its_time_and_not_longer() {
    for (after, expected) in [(ROW * 79 / 100, known("a", Origin::Memory)), (ROW, known("b", Origin::Table))]
    {
        let (router, store) = bed(false);
        store.put("prod#g132", queue("a"));
        assert_eq!(ask(&router).await.unwrap(), known("a", Origin::Table));
        store.put("prod#g132", queue("b"));
        sleep(after).await;
        assert_eq!(ask(&router).await.unwrap(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_asked_for_all_the_time_never_waits() {
    let (router, store) = bed(false);
    store.put("prod#g132", queue("a"));
    store.feel(Mood::Slow(SECOND / 10));
    ask(&router).await.unwrap();
    let begun = Instant::now();
    for _ in 0..3600 {
        sleep(SECOND).await;
        let asked = Instant::now();
        assert_eq!(ask(&router).await.unwrap(), known("a", Origin::Memory));
        assert_eq!(asked.elapsed(), Duration::ZERO);
    }
    // A row is looked at again at three quarters of its time, and its time is four fifths of `ROW` at least.
    let (fewest, most) =
        (begun.elapsed().div_duration_f64(ROW), begun.elapsed().div_duration_f64(ROW * 3 / 5));
    assert!((fewest..=most + 1.0).contains(&f64::from(store.looks())), "{} looks", store.looks());
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_bridged_by_what_was_known() {
    let (router, store) = bed(false);
    store.put("prod#g132", queue("a"));
    ask(&router).await.unwrap();
    store.feel(Mood::Refusing);
    store.put("prod#g132", queue("b"));
    sleep(ROW).await;
    let before = store.looks();
    for _ in 0..600 {
        assert_eq!(ask(&router).await.unwrap(), known("a", Origin::Stale));
        sleep(SECOND / 10).await;
    }
    assert!((20..=61).contains(&(store.looks() - before)), "{} looks in a minute", store.looks() - before);
    store.feel(Mood::Well);
    let healed = Instant::now();
    while ask(&router).await.unwrap().0 != "b" {
        sleep(SECOND / 10).await;
        assert!(healed.elapsed() < SECOND * 5, "the table is back and nobody noticed");
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_leaves_a_row_that_is_still_good_alone() {
    let (router, store) = bed(false);
    store.put("prod#g132", queue("a"));
    ask(&router).await.unwrap();
    store.feel(Mood::Refusing);
    // Ripe in any case, and not old in any.
    sleep(ROW * 76 / 100).await;
    for _ in 0..100 {
        assert_eq!(ask(&router).await.unwrap(), known("a", Origin::Memory));
        sleep(SECOND / 10).await;
    }
    assert!((2..=11).contains(&store.looks()), "{} looks in ten seconds", store.looks());
}

#[tokio::test(start_paused = true)]
async fn a_table_that_hangs_holds_nobody_up_who_can_be_helped() {
    let (router, store) = bed(false);
    store.put("prod#g132", queue("a"));
    ask(&router).await.unwrap();
    store.feel(Mood::Hanging);
    store.put("prod#g132", queue("b"));
    sleep(ROW).await;
    let hung = Instant::now();
    while hung.elapsed() < SECOND * 60 {
        let asked = Instant::now();
        assert_eq!(ask(&router).await.unwrap(), known("a", Origin::Stale));
        let most = if hung.elapsed() < SECOND * 3 { SECOND / 4 + TICK } else { Duration::ZERO };
        assert!(asked.elapsed() <= most, "{:?} after {:?}", asked.elapsed(), hung.elapsed());
        sleep(SECOND / 10).await;
    }
    let asked = Instant::now();
    assert!(router.decide(&id("clang"), Here::Free).await.is_err(), "nothing is known of it");
    assert!(asked.elapsed() <= SECOND * 2 + TICK, "{:?}", asked.elapsed());
    store.feel(Mood::Well);
    let healed = Instant::now();
    while ask(&router).await.unwrap().0 != "b" {
        sleep(SECOND / 10).await;
        assert!(healed.elapsed() < SECOND * 5, "the table is back and nobody noticed");
    }
}

#[tokio::test(start_paused = true)]
async fn absence_is_believed_for_a_moment_and_never_stands_in() {
    let (router, store) = bed(false);
    assert_eq!(ask(&router).await.unwrap(), known("default.fifo", Origin::Table));
    store.put("prod#g132", queue("a"));
    sleep(ABSENCE / 2).await;
    assert_eq!(ask(&router).await.unwrap(), known("default.fifo", Origin::Memory));
    sleep(ABSENCE / 2).await;
    assert_eq!(ask(&router).await.unwrap(), known("a", Origin::Table));

    let (router, store) = bed(false);
    ask(&router).await.unwrap();
    store.feel(Mood::Refusing);
    sleep(ABSENCE).await;
    let error = ask(&router).await.unwrap_err();
    assert_eq!(error.to_string(), "could not find out where g132 is served");
    assert!(error.retry_after() >= SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_row_does_not_come_back_in_an_outage() {
    let (router, store) = bed(false);
    store.put("prod#g132", queue("a"));
    ask(&router).await.unwrap();
    store.rows.remove("prod#g132");
    sleep(ROW).await;
    assert_eq!(ask(&router).await.unwrap(), known("default.fifo", Origin::Table));
    store.feel(Mood::Refusing);
    sleep(ROW).await;
    assert!(ask(&router).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_row_older_than_environments_is_found() {
    let (router, store) = bed(false);
    store.put("g132", queue("bare"));
    assert_eq!(ask(&router).await.unwrap().0, "bare");
    store.put("prod#g132", queue("ours"));
    router.clear();
    assert_eq!(ask(&router).await.unwrap().0, "ours");
}

#[tokio::test(start_paused = true)]
async fn clearing_reads_everything_anew() {
    let (router, store) = bed(true);
    router.clear();
    store.put("prod#g132", queue("a"));
    let send = async || {
        let decision = router.decide(&id("g132"), Here::Lacking).await.unwrap();
        let Destination::Queue(queue) = decision.destination else { panic!("{decision:?}") };
        router.address(&queue).await.unwrap().to_string()
    };
    assert_eq!((send().await.as_str(), store.looks()), ("https://q/1/a-blue.fifo", 2));
    assert_eq!((send().await.as_str(), store.looks()), ("https://q/1/a-blue.fifo", 2));
    store.rows.activate(Color::Green);
    store.put("prod#g132", queue("b"));
    router.clear();
    assert_eq!((send().await.as_str(), store.looks()), ("https://q/1/b-green.fifo", 4));
    store.feel(Mood::Refusing);
    router.clear();
    assert_eq!(send().await.as_str(), "https://q/1/b-green.fifo", "what was known still stands in");
    assert_eq!(store.looks(), 6);
}

#[tokio::test(start_paused = true)]
async fn what_was_asked_before_the_clearing_is_not_believed_after_it() {
    let (router, store) = bed(false);
    store.put("prod#g132", queue("a"));
    store.feel(Mood::Slow(SECOND));
    assert!(timeout(SECOND / 2, ask(&router)).await.is_err());
    store.put("prod#g132", queue("b"));
    router.clear();
    assert_eq!(ask(&router).await.unwrap(), known("b", Origin::Table));
}

#[tokio::test(start_paused = true)]
async fn a_bad_row_is_an_error_for_its_compiler_alone() {
    let (router, store) = bed(false);
    store.put("prod#g132", queue("https://elsewhere/1/q"));
    store.put("g132", queue("a"));
    store.put("prod#clang", queue("b"));
    let error = ask(&router).await.unwrap_err();
    assert!(
        std::error::Error::source(&error).unwrap().to_string().contains("the row prod#g132 is malformed")
    );
    assert!(router.decide(&id("clang"), Here::Lacking).await.is_ok());
    store.put("prod#g132", queue("a"));
    sleep(SECOND * 2).await;
    assert_eq!(ask(&router).await.unwrap(), known("a", Origin::Table));
    store.put("prod#g132", RouteTarget::Url("gopher://x".to_owned()));
    router.clear();
    assert_eq!(ask(&router).await.unwrap(), known("a", Origin::Stale));
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_store_is_an_error_and_leaves_no_lock() {
    let (router, store) = bed(false);
    store.put("prod#g132", queue("a"));
    store.feel(Mood::Panicking);
    assert!(ask(&router).await.is_err());
    store.feel(Mood::Well);
    assert_eq!(ask(&router).await.unwrap(), known("a", Origin::Table));
}

#[tokio::test(start_paused = true)]
async fn looks_and_hits_are_counted() {
    let metrics = Arc::new(Metrics::new());
    let (router, store) = counted(false, &metrics);
    let decide = async |name| router.decide(&id(name), Here::Free).await.is_ok();
    store.put("prod#there", queue("a"));
    store.put("prod#bad", queue(""));
    assert!(decide("there").await && decide("there").await && decide("missing").await);
    assert!(!decide("bad").await);
    store.feel(Mood::Refusing);
    router.clear();
    assert!(decide("there").await && !decide("missing").await);
    store.feel(Mood::Hanging);
    assert!(!decide("new").await);
    let page = metrics.render();
    for line in [
        r#"routing_lookups_total{outcome="found"} 1"#,
        r#"routing_lookups_total{outcome="absent"} 1"#,
        r#"routing_lookups_total{outcome="malformed"} 1"#,
        r#"routing_lookups_total{outcome="unreachable"} 3"#,
        r#"ce_cache_get_total{result="hit",name="routing",type="memory"} 1"#,
        r#"ce_cache_get_total{result="miss",name="routing",type="memory"} 5"#,
        "routing_stale_total 1",
    ] {
        assert!(page.lines().any(|have| have == line), "no {line} in\n{page}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_color_is_that_of_the_send_however_warm_the_route() {
    let (router, store) = bed(true);
    store.put("prod#g132", queue("prod"));
    let decision = router.decide(&id("g132"), Here::Lacking).await.unwrap();
    let Destination::Queue(queue) = decision.destination else { panic!("not a queue") };
    let there = async || router.address(&queue).await.unwrap().to_string();
    assert_eq!(there().await, "https://q/1/prod-blue.fifo");
    store.rows.activate(Color::Green);
    sleep(SECOND * 10).await;
    assert_eq!((there().await.as_str(), store.looks()), ("https://q/1/prod-blue.fifo", 2));
    sleep(SECOND * 20).await;
    assert_eq!((there().await.as_str(), store.looks()), ("https://q/1/prod-green.fifo", 3));
    store.feel(Mood::Refusing);
    sleep(SECOND * 3600).await;
    assert_eq!(there().await, "https://q/1/prod-green.fifo");
}

#[tokio::test(start_paused = true)]
async fn a_color_that_was_never_known_is_not_guessed() {
    let (router, store) = bed(true);
    store.put("prod#g132", queue("prod"));
    let decision = router.decide(&id("g132"), Here::Lacking).await.unwrap();
    let Destination::Queue(queue) = decision.destination else { panic!("not a queue") };
    store.feel(Mood::Refusing);
    let error = router.address(&queue).await.unwrap_err();
    assert_eq!(error.to_string(), "could not find out which color is live");
    let (single, untouched) = bed(false);
    assert_eq!(single.address(&queue).await.unwrap().as_str(), "https://q/1/prod.fifo");
    assert_eq!(untouched.looks(), 0, "without colors nobody asks for one");
}

/// What can happen to a table and its router.
#[derive(Debug, Clone)]
enum Event {
    Put(bool),
    Remove,
    Feel(Mood),
    Pass(Duration),
    Clear,
    Ask,
}

fn event() -> impl Strategy<Value = Event> {
    let mood = prop_oneof![
        2 => Just(Mood::Well),
        1 => Just(Mood::Slow(SECOND / 2)),
        2 => Just(Mood::Refusing),
        1 => Just(Mood::Hanging),
    ];
    prop_oneof![
        2 => any::<bool>().prop_map(Event::Put),
        1 => Just(Event::Remove),
        2 => mood.prop_map(Event::Feel),
        3 => (1..20_000_u64).prop_map(|millis| Event::Pass(Duration::from_millis(millis))),
        1 => Just(Event::Pass(ROW)),
        1 => Just(Event::Clear),
        6 => Just(Event::Ask),
    ]
}

/// Plays `events`, and fails if an answer is the default queue although no look within the trust in an absence, and
/// the time a look may take, can have found the row missing.
async fn play(events: Vec<Event>) {
    let (router, store) = bed(false);
    let mut is_there = false;
    let mut missing = Instant::now();
    for event in events {
        match event {
            Event::Put(one) => {
                store.put("prod#g132", queue(if one { "one" } else { "two" }));
                is_there = true;
            }
            Event::Remove => {
                store.rows.remove("prod#g132");
                is_there = false;
            }
            Event::Feel(mood) => store.feel(mood),
            Event::Pass(time) => sleep(time).await,
            Event::Clear => router.clear(),
            Event::Ask => {
                if let Ok((name, _)) = ask(&router).await
                    && name == "default.fifo"
                {
                    assert!(missing.elapsed() <= ABSENCE + SECOND * 2, "a row became the default queue");
                }
            }
        }
        let mood = *store.mood.lock().unwrap();
        if !is_there && !matches!(mood, Mood::Refusing | Mood::Hanging) {
            missing = Instant::now();
        }
    }
    // Whatever happened, a table that is well is believed again.
    store.feel(Mood::Well);
    store.put("prod#g132", queue("end"));
    sleep(SECOND * 5).await;
    router.clear();
    assert_eq!(ask(&router).await.unwrap(), known("end", Origin::Table));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn no_outage_turns_a_compiler_into_the_default(events in prop::collection::vec(event(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(play(events));
    }
}
