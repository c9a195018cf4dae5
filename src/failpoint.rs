//! Fail-points: named places on a job's way where a process can be made to die, to hang or to fail, so that tests can
//! show what is lost there: nothing.
//!
//! ```text
//! COMPILATION_WORKER_FAILPOINT=published=die@3     kill -9 of itself when the third result has been sent
//! COMPILATION_WORKER_FAILPOINT=deleting=hang       30 s of silence while the first deletion is under way
//! COMPILATION_WORKER_FAILPOINT=stored=fail         an error in place of the first stored result
//! ```
//!
//! Only builds with debug assertions have them. In a release binary nothing happens in [`reach`] and [`amid`], the
//! variable has no meaning, and the program refuses to start if it is set, as with any setting that it does not know.

#[cfg(debug_assertions)]
use std::cmp::Ordering::{Equal, Greater, Less};
use std::fmt;
use std::future::Future;
use std::str::FromStr;
#[cfg(debug_assertions)]
use std::sync::OnceLock;
#[cfg(debug_assertions)]
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::{Signal, getpid, kill_process};
use tokio::time::{sleep, timeout};

/// How long one hangs: longer than any call's patience, shorter than the usual job's time.
const HANG: Duration = Duration::from_secs(30);
/// How long something goes on before it counts as under way: enough to send a message over loopback and be answered.
const UNDER_WAY: Duration = Duration::from_millis(20);

/// Where: nine places, in the order in which a job passes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// The message is here, and nothing has been noted.
    Received,
    /// The job is noted as begun.
    Begun,
    /// A jail stands for it, and it is not in it yet.
    Launching,
    /// The compiler runs.
    Compiling,
    /// The compiler has ended, and nobody has looked at what it wrote.
    Compiled,
    /// The result is stored, and nobody knows.
    Stored,
    /// The result is sent, and nobody has looked whether its receipt is here.
    Published,
    /// The message has served its purpose, and the queue does not know.
    Acknowledged,
    /// Its deletion is sent, and nobody has looked at the answer.
    Deleting,
}

/// What happens there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// The process dies by SIGKILL, with all it has in its hands.
    Die,
    /// Whoever gets there stops for 30 s, and then goes on.
    Hang,
    /// Whoever gets there is told that it failed.
    Fail,
}

/// What shall happen where: once, the so-manieth time that somebody gets there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Where.
    pub point: Point,
    /// What.
    pub act: Act,
    /// When, counted from one.
    pub turn: u32,
}

/// A failure that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("failed at the fail-point {}, as it was told to", .0.as_str())]
pub struct Planted(Point);

/// A plan that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("write one of {}, then =die, =hang or =fail, and @N for the Nth time", Point::ALL.map(Point::as_str).join(", "))]
pub struct PlanError;

/// How it goes on for one who has got to a point.
#[cfg(debug_assertions)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Passage {
    Free,
    Due(Act),
    Closed,
}

/// A plan, and how often its point has been reached.
#[cfg(debug_assertions)]
#[derive(Debug)]
struct Armed {
    plan: Plan,
    reached: AtomicU32,
}

/// The one plan of this process.
#[cfg(debug_assertions)]
static ARMED: OnceLock<Armed> = OnceLock::new();

/// Arms this process, once and for all.
#[cfg(debug_assertions)]
pub fn arm(plan: Plan) {
    let _armed_before = ARMED.set(Armed::new(plan)).is_err();
}

/// Somebody gets to `point`.
pub async fn reach(point: Point) -> Result<(), Planted> {
    match due(point).await {
        None => Ok(()),
        Some(act) => act.happen(point).await,
    }
}

/// Does `work`, and gets to `point` when it is under way, or done so fast that nobody has heard of it yet.
pub async fn amid<F: Future + Unpin>(point: Point, mut work: F) -> Result<F::Output, Planted> {
    let Some(act) = due(point).await else { return Ok(work.await) };
    let done = timeout(UNDER_WAY, &mut work).await;
    act.happen(point).await?;
    match done {
        Ok(output) => Ok(output),
        Err(_) => Ok(work.await),
    }
}

/// What happens to whoever gets to `point` now. While the process is dying, nobody passes who comes late.
#[cfg(debug_assertions)]
async fn due(point: Point) -> Option<Act> {
    match ARMED.get().map_or(Passage::Free, |armed| armed.passage(point)) {
        Passage::Free => None,
        Passage::Due(act) => Some(act),
        Passage::Closed => std::future::pending().await,
    }
}

#[cfg(not(debug_assertions))]
fn due(_point: Point) -> std::future::Ready<Option<Act>> {
    std::future::ready(None)
}

#[cfg(debug_assertions)]
impl Armed {
    const fn new(plan: Plan) -> Self {
        Self { plan, reached: AtomicU32::new(0) }
    }

    fn passage(&self, point: Point) -> Passage {
        let Plan { point: armed, act, turn } = self.plan;
        if point != armed {
            return Passage::Free;
        }
        match (self.reached.fetch_add(1, Ordering::Relaxed) + 1).cmp(&turn) {
            Equal => Passage::Due(act),
            Greater if act == Act::Die => Passage::Closed,
            Less | Greater => Passage::Free,
        }
    }
}

impl Act {
    async fn happen(self, point: Point) -> Result<(), Planted> {
        match self {
            Self::Die => {
                // Nothing can refuse a process its own end; should it, hanging is next to death.
                let _dead = kill_process(getpid(), Signal::KILL).is_ok();
                std::future::pending().await
            }
            Self::Hang => {
                sleep(HANG).await;
                Ok(())
            }
            Self::Fail => Err(Planted(point)),
        }
    }
}

impl Point {
    /// Every point, in the order in which a job passes them.
    pub const ALL: [Self; 9] = [
        Self::Received,
        Self::Begun,
        Self::Launching,
        Self::Compiling,
        Self::Compiled,
        Self::Stored,
        Self::Published,
        Self::Acknowledged,
        Self::Deleting,
    ];

    /// The name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Begun => "begun",
            Self::Launching => "launching",
            Self::Compiling => "compiling",
            Self::Compiled => "compiled",
            Self::Stored => "stored",
            Self::Published => "published",
            Self::Acknowledged => "acknowledged",
            Self::Deleting => "deleting",
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let act = match self.act {
            Act::Die => "die",
            Act::Hang => "hang",
            Act::Fail => "fail",
        };
        write!(f, "{}={act}@{}", self.point.as_str(), self.turn)
    }
}

impl FromStr for Plan {
    type Err = PlanError;

    fn from_str(text: &str) -> Result<Self, PlanError> {
        let (point, rest) = text.split_once('=').ok_or(PlanError)?;
        let (act, turn) = rest.split_once('@').unwrap_or((rest, "1"));
        let act = match act {
            "die" => Act::Die,
            "hang" => Act::Hang,
            "fail" => Act::Fail,
            _ => return Err(PlanError),
        };
        let point = Point::ALL.into_iter().find(|known| known.as_str() == point).ok_or(PlanError)?;
        let turn = turn.parse().ok().filter(|turn| *turn > 0).ok_or(PlanError)?;
        Ok(Self { point, act, turn })
    }
}

#[cfg(all(test, debug_assertions))]
mod tests {
    use std::pin::pin;

    use tokio::time::Instant;

    use super::*;

    #[test]
    fn plans_are_read_as_they_are_shown() {
        for point in Point::ALL {
            for (act, word) in [(Act::Die, "die"), (Act::Hang, "hang"), (Act::Fail, "fail")] {
                let plan = Plan { point, act, turn: 3 };
                assert_eq!(plan.to_string().parse(), Ok(plan));
                let first = format!("{}={word}", point.as_str());
                assert_eq!(first.parse(), Ok(Plan { turn: 1, ..plan }));
            }
        }
        for odd in [
            "",
            "received",
            "received=",
            "received=explode",
            "nowhere=die",
            "received=die@0",
            "received=die@x",
        ] {
            assert_eq!(odd.parse::<Plan>(), Err(PlanError), "{odd}");
        }
    }

    #[test]
    fn it_happens_once_and_nowhere_else() {
        let armed = Armed::new("begun=fail@2".parse().unwrap());
        assert_eq!(armed.passage(Point::Received), Passage::Free);
        let passages = [(); 4].map(|()| armed.passage(Point::Begun));
        assert_eq!(passages, [Passage::Free, Passage::Due(Act::Fail), Passage::Free, Passage::Free]);
    }

    #[test]
    fn nobody_passes_a_dying_process_by() {
        let armed = Armed::new("begun=die".parse().unwrap());
        let passages = [(); 3].map(|()| armed.passage(Point::Begun));
        assert_eq!(passages, [Passage::Due(Act::Die), Passage::Closed, Passage::Closed]);
        assert_eq!(armed.passage(Point::Stored), Passage::Free);
    }

    #[tokio::test(start_paused = true)]
    async fn a_hang_ends_and_a_failure_says_whose_it_is() {
        let begun = Instant::now();
        assert_eq!(Act::Hang.happen(Point::Stored).await, Ok(()));
        assert!((HANG..HANG + UNDER_WAY).contains(&begun.elapsed()), "{:?}", begun.elapsed());
        let planted = Act::Fail.happen(Point::Stored).await.unwrap_err();
        assert_eq!(planted.to_string(), "failed at the fail-point stored, as it was told to");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_under_way_goes_on_after_a_hang() {
        arm("deleting=hang".parse().unwrap());
        let begun = Instant::now();
        let work = async {
            sleep(2 * UNDER_WAY).await;
            7
        };
        assert_eq!(amid(Point::Deleting, pin!(work)).await, Ok(7));
        // Timers may be a millisecond late.
        assert!((UNDER_WAY + HANG..UNDER_WAY * 2 + HANG).contains(&begun.elapsed()), "{:?}", begun.elapsed());
        assert_eq!(amid(Point::Deleting, pin!(async { 8 })).await, Ok(8), "it happens once");
        assert_eq!(reach(Point::Begun).await, Ok(()));
    }
}
