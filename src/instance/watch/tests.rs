//! What leads to what, on a paused clock and with a service that says what the test wants.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use tokio::time::sleep;

use super::*;
use crate::lifecycle::{Ending, Phase};

/// A service that says what it is told to.
#[derive(Clone, Default)]
struct Fake(Arc<Told>);

#[derive(Default)]
struct Told {
    says: Mutex<HashMap<Item, String>>,
    /// 0: it answers; 1: it refuses; 2: it says nothing, ever.
    mood: AtomicU32,
    looks: AtomicUsize,
}

impl Fake {
    fn say(&self, item: Item, text: &str) {
        self.0.says.lock().unwrap().insert(item, text.to_owned());
    }

    fn fall_silent(&self, item: Item) {
        self.0.says.lock().unwrap().remove(&item);
    }

    fn be(&self, mood: u32) {
        self.0.mood.store(mood, Ordering::SeqCst);
    }
}

impl Source for Fake {
    async fn look(&self, item: Item) -> Result<Option<String>, MetadataError> {
        self.0.looks.fetch_add(1, Ordering::SeqCst);
        match self.0.mood.load(Ordering::SeqCst) {
            0 => Ok(self.0.says.lock().unwrap().get(&item).cloned()),
            1 => Err(MetadataError::Unreachable("refused".to_owned())),
            _ => std::future::pending().await,
        }
    }
}

struct Bed {
    says: Fake,
    life: Lifecycle,
    pause: Pause,
    knowledge: Knowledge,
}

impl Bed {
    fn new() -> Self {
        Self {
            says: Fake::default(),
            life: Lifecycle::new(),
            pause: Pause::new(),
            knowledge: Knowledge::default(),
        }
    }

    /// A life that serves, after the first look.
    async fn serving(says: &[(Item, &str)], drain_on_rebalance: bool) -> Self {
        let bed = Self::new();
        bed.says.say(Item::Instance, "i-1");
        for (item, text) in says {
            bed.says.say(*item, text);
        }
        let mut watch = bed.watch(drain_on_rebalance);
        watch.begin(true).await;
        bed.life.begin_serving();
        let _watch = bed.life.accompany("instance watch", watch.serve());
        bed
    }

    fn watch(&self, drain_on_rebalance: bool) -> Watch<Fake> {
        let (life, pause, knowledge) = (self.life.clone(), self.pause.clone(), self.knowledge.clone());
        Watch::new(self.says.clone(), drain_on_rebalance, life, pause, knowledge)
    }

    /// Long enough for a look.
    async fn look(&self) {
        sleep(EVERY + Duration::from_millis(1)).await;
    }
}

/// A spot notice so many seconds before the act.
fn spot(action: &str, seconds: i64) -> String {
    let at = Timestamp::now() + jiff::SignedDuration::from_secs(seconds);
    serde_json::json!({ "action": action, "time": at.to_string() }).to_string()
}

#[tokio::test(start_paused = true)]
async fn the_group_pauses_resumes_and_ends() {
    let bed = Bed::serving(&[(Item::Target, "InService")], false).await;
    assert_eq!(bed.knowledge.instance().as_deref(), Some("i-1"));
    bed.says.say(Item::Target, "Standby");
    bed.look().await;
    assert_eq!((bed.pause.causes(), bed.life.phase()), (vec![Cause::Group], Phase::Serving));
    // Not told for a while, or told something else: nothing has changed.
    bed.says.fall_silent(Item::Target);
    bed.look().await;
    bed.says.say(Item::Target, "Whatever");
    bed.look().await;
    assert!(bed.pause.is_on());
    bed.says.say(Item::Target, "InService");
    bed.look().await;
    assert!(!bed.pause.is_on() && !bed.knowledge.is_ending());
    bed.says.say(Item::Target, "Terminated");
    bed.look().await;
    assert_eq!(bed.life.phase(), Phase::Draining);
    assert!(bed.knowledge.is_ending() && bed.knowledge.is_ended_by_group());
}

#[tokio::test(start_paused = true)]
async fn the_operators_pause_is_not_the_groups_to_end() {
    let bed = Bed::serving(&[(Item::Target, "Standby")], false).await;
    assert!(bed.pause.is_on(), "known before anything was taken");
    bed.pause.set(Cause::Operator, true);
    bed.says.say(Item::Target, "InService");
    bed.look().await;
    assert_eq!(bed.pause.causes(), [Cause::Operator]);
}

#[tokio::test(start_paused = true)]
async fn a_spot_notice_drains_within_the_time_it_leaves() {
    for (action, left, least, most) in
        [("terminate", 120, 103, 105), ("stop", 60, 43, 45), ("terminate", 20, 9, 10), ("stop", -5, 0, 0)]
    {
        let bed = Bed::serving(&[], false).await;
        let (kill, begun) = (bed.life.kill_token(), Instant::now());
        let work = bed.life.spawn("work", async move {
            kill.cancelled().await;
            begun.elapsed()
        });
        bed.says.say(Item::Spot, &spot(action, left));
        let draining = async {
            bed.life.draining().await;
            let since = begun.elapsed();
            (since, bed.life.shut_down(Duration::from_mins(10)).await)
        };
        let (noticed, ending) = draining.await;
        assert_eq!(ending, Ending::Killed);
        let took = work.await.unwrap().saturating_sub(noticed);
        let range = Duration::from_secs(least)..=Duration::from_millis(most * 1000 + 50);
        assert!(noticed <= EVERY && range.contains(&took), "{action} in {left} s: {noticed:?}, {took:?}");
        assert!(bed.knowledge.is_ending() && !bed.knowledge.is_ended_by_group());
    }
}

#[tokio::test(start_paused = true)]
async fn a_notice_without_a_readable_time_leaves_two_minutes_from_its_first_sight() {
    let bed = Bed::serving(&[(Item::Spot, r#"{"action":"terminate","time":"soon"}"#)], false).await;
    let kill = bed.life.kill_token();
    let _work = bed.life.spawn("work", async move { kill.cancelled().await });
    let begun = Instant::now();
    assert_eq!(bed.life.shut_down(Duration::from_mins(10)).await, Ending::Killed);
    assert_eq!(begun.elapsed().as_secs(), 105);
}

#[tokio::test(start_paused = true)]
async fn a_notice_that_comes_while_we_drain_leaves_less_time() {
    let bed = Bed::serving(&[(Item::Target, "Terminated")], false).await;
    let kill = bed.life.kill_token();
    let _work = bed.life.spawn("work", async move { kill.cancelled().await });
    let (life, says, begun) = (bed.life.clone(), bed.says.clone(), Instant::now());
    let _notice = life.accompany("notice", async move {
        sleep(Duration::from_secs(9)).await;
        says.say(Item::Spot, &spot("terminate", 60));
    });
    assert_eq!(bed.life.shut_down(Duration::from_mins(10)).await, Ending::Killed);
    let took = begun.elapsed().as_secs();
    assert!((52..=56).contains(&took), "{took}");
}

#[tokio::test(start_paused = true)]
async fn what_others_only_recommend_is_heeded_if_the_owner_wants() {
    for wanted in [false, true] {
        let bed = Bed::serving(&[], wanted).await;
        bed.says.say(Item::Rebalance, r#"{"noticeTime":"2026-01-01T12:00:00Z"}"#);
        bed.look().await;
        let phase = if wanted { Phase::Draining } else { Phase::Serving };
        assert_eq!((bed.life.phase(), bed.knowledge.is_ending()), (phase, wanted));
    }
}

#[tokio::test(start_paused = true)]
async fn hibernation_and_nonsense_change_nothing() {
    let bed = Bed::serving(&[], true).await;
    for text in [spot("hibernate", 0), "<html>".to_owned(), String::new()] {
        for item in Item::ALL {
            bed.says.say(item, &text);
        }
        bed.look().await;
        assert_eq!((bed.life.phase(), bed.pause.is_on()), (Phase::Serving, false), "{text}");
    }
    assert_eq!(bed.knowledge.instance().as_deref(), Some("i-1"), "nonsense is no name");
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_away_or_hangs_delays_no_start_and_loses_nothing() {
    for mood in [1, 2] {
        let bed = Bed::new();
        bed.says.be(mood);
        let (mut watch, begun) = (bed.watch(true), Instant::now());
        watch.begin(true).await;
        assert!(begun.elapsed() <= FIRST, "{:?}", begun.elapsed());
        assert!(watch.heard.away);
        assert_eq!(bed.pause.causes(), [Cause::Metadata], "nobody knows whether it was set aside");
        // It comes back, says that we are set aside, and is gone again: we stay so.
        bed.says.be(0);
        bed.says.say(Item::Target, "Standby");
        watch.look().await;
        bed.says.be(1);
        watch.look().await;
        assert_eq!(bed.pause.causes(), [Cause::Group]);
        assert!(watch.heard.away && bed.life.phase() == Phase::Starting);
    }
}

#[tokio::test(start_paused = true)]
async fn where_no_queue_is_ours_nothing_is_kept_shut() {
    let bed = Bed::new();
    bed.says.be(1);
    bed.watch(false).begin(false).await;
    assert!(!bed.pause.is_on());
}

#[tokio::test(start_paused = true)]
async fn a_silent_service_keeps_the_queue_shut_for_half_a_minute_and_can_still_set_us_aside() {
    for mood in [1, 2] {
        let bed = Bed::new();
        bed.says.be(mood);
        let (begun, mut watch) = (Instant::now(), bed.watch(false));
        watch.begin(true).await;
        let _watch = bed.life.accompany("instance watch", watch.serve());
        // An operator may pause it meanwhile, and go on; that is another matter.
        bed.pause.set(Cause::Operator, true);
        bed.pause.set(Cause::Operator, false);
        bed.pause.over().await;
        assert_eq!(begun.elapsed().as_secs(), HOLD.as_secs());
        bed.says.be(0);
        bed.says.say(Item::Target, "Standby");
        if mood == 1 {
            bed.look().await;
            assert_eq!(bed.pause.causes(), [Cause::Group]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_word_about_the_group_opens_the_queue() {
    // An instance of no group is told nothing, and that is a word too.
    for (target, causes) in
        [(Some("InService"), vec![]), (None, vec![]), (Some("Standby"), vec![Cause::Group])]
    {
        let bed = Bed::new();
        bed.says.be(1);
        let mut watch = bed.watch(false);
        watch.begin(true).await;
        assert_eq!(bed.pause.causes(), [Cause::Metadata]);
        bed.says.be(0);
        if let Some(target) = target {
            bed.says.say(Item::Target, target);
        }
        let _watch = bed.life.accompany("instance watch", watch.serve());
        bed.look().await;
        assert_eq!(bed.pause.causes(), causes);
        sleep(HOLD).await;
        assert_eq!(bed.pause.causes(), causes, "and the half minute is nothing to it any more");
    }
}

#[tokio::test(start_paused = true)]
async fn an_hour_is_some_two_thousand_small_questions() {
    let bed = Bed::serving(&[(Item::Target, "InService")], false).await;
    sleep(Duration::from_hours(1)).await;
    let looks = bed.says.0.looks.load(Ordering::SeqCst);
    // Three of them every five seconds, and two once.
    assert!((2155..=2170).contains(&looks), "{looks}");
}

#[test]
fn at_least_half_of_the_time_left_is_for_work() {
    for (left, expected) in [(120, 105), (30, 15), (10, 5), (0, 0)] {
        assert_eq!(usable(Duration::from_secs(left)), Duration::from_secs(expected));
    }
}

proptest! {
    /// Whatever the service says, in whatever order: only a real notice begins the drain, and nothing panics.
    #[test]
    fn nothing_it_says_harms(texts in prop::collection::vec(("\\PC{0,40}", 0_usize..5), 0..8)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let bed = Bed::serving(&[], true).await;
            for (text, item) in &texts {
                bed.says.say(Item::ALL[*item], text);
                bed.look().await;
            }
            let real = texts.iter().any(|(text, _)| {
                notice::target(text).is_some() || notice::rebalance(text) || notice::interruption(text).is_some()
            });
            prop_assert!(real || (bed.life.phase() == Phase::Serving && !bed.pause.is_on()));
            Ok::<(), TestCaseError>(())
        })?;
    }
}
