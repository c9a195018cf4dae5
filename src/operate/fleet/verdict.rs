//! Whether the fleet does worse than what served before, and how sure that is.
//!
//! Failures are taken to come one by one, each by itself. Of such counts the square roots have one spread, half, whatever
//! the count; so how far two of them are apart says how likely it is that chance alone did it.

use jiff::Timestamp;

/// Spreads between what failed and what may fail beyond which it is no chance: once in a thousand looks. A watch takes
/// dozens.
const NO_CHANCE: f64 = 3.09;
/// Spreads below which a count is 19 times in 20.
const SURE: f64 = 1.645;
/// Requests that one side must have answered before its p95 says anything: fifty of them are above it then.
const TIMED: f64 = 1000.0;

/// How one side does.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Doing {
    /// Requests.
    pub requests: f64,
    /// Of these, failed: see [`Counts::errors`].
    pub errors: f64,
    /// Seconds within which nineteen of twenty were answered.
    pub p95: Option<f64>,
    /// The newest minute that anything is known of.
    pub newest: Option<Timestamp>,
}

/// What a balancer counts of a target group's requests.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Counts {
    /// Requests that a target was chosen for.
    pub requests: f64,
    /// Of these, answered by the target with anything but a 5xx.
    pub answered: f64,
    /// Answered by the target with a 5xx.
    pub failed: f64,
    /// Answered by the balancer itself with a 5xx, for whichever target group.
    pub balancer_failed: f64,
}

impl Counts {
    /// Requests that failed: what a target answered with a 5xx, and what it took and did not answer (it died, hung, or
    /// did not take the connection), for which the balancer answers 502 or 504. What a client did not wait for is not
    /// answered by the target either, but is no failure and no 5xx of the balancer's: so it counts as far as there
    /// are those.
    pub fn errors(self) -> f64 {
        let unanswered = (self.requests - self.answered - self.failed).max(0.0);
        self.failed + unanswered.min(self.balancer_failed)
    }
}

/// How much worse the fleet may do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Hundredths of requests that may fail beyond those of the other side; above 0.
    pub errors: f64,
    /// How many times as long as the other side it may take.
    pub latency: f64,
    /// Seconds that its p95 may be, whatever the other side's is.
    pub ceiling: Option<f64>,
}

/// What the figures say, and why.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// Nothing yet: there are too few of them.
    Open(String),
    /// The fleet does as well as it has to.
    Well(String),
    /// It does not.
    Worse(String),
}

impl Doing {
    fn error_percent(self) -> f64 {
        if self.requests > 0.0 { 100.0 * self.errors / self.requests } else { 0.0 }
    }
}

/// What the figures of both sides say.
pub fn judge(old: Doing, new: Doing, limits: Limits) -> Verdict {
    // A side of which three failures would be expected at the limit has a rate of its own; below, none is taken for it.
    let compared = old.requests >= (300.0 / limits.errors).max(TIMED);
    let before = if compared { old.error_percent() } else { 0.0 };
    let allowed = before + limits.errors;
    let may_fail = new.requests * allowed / 100.0;
    if 2.0 * (new.errors.sqrt() - may_fail.sqrt()) > NO_CHANCE {
        return Verdict::Worse(format!(
            "{:.2} % of its requests fail, against {before:.2} % + {:.2} % allowed; by chance that is seen once in \
             a thousand looks",
            new.error_percent(),
            limits.errors
        ));
    }
    if let Some((p95, ceiling)) = new.p95.zip(limits.ceiling)
        && new.requests >= TIMED
        && p95 > ceiling
    {
        return Verdict::Worse(format!("its p95 is {p95:.3} s, and {ceiling:.3} s is the ceiling"));
    }
    let timed = if old.requests >= TIMED && new.requests >= TIMED { old.p95.zip(new.p95) } else { None };
    let latency = match timed {
        Some((old, new)) if new > old * limits.latency => {
            return Verdict::Worse(format!(
                "its p95 is {new:.3} s, against {old:.3} s x {:.2} allowed",
                limits.latency
            ));
        }
        Some((old, new)) => format!("its p95 is {new:.3} s, against {old:.3} s"),
        None => "its p95 was not compared, as one side answered fewer than 1000 requests".to_owned(),
    };
    let at_most = at_most(new.errors);
    if at_most > may_fail {
        return Verdict::Open(format!(
            "{:.0} of {:.0} requests failed, and {allowed:.2} % may: that is known 19 times in 20 after {:.0} \
             requests, if no more fail",
            new.errors,
            new.requests,
            (100.0 * at_most / allowed).ceil()
        ));
    }
    Verdict::Well(format!(
        "19 times in 20 at most {:.2} % of its requests fail, and {allowed:.2} % may; {latency}",
        100.0 * at_most / new.requests
    ))
}

/// What of so many failures is the rule at most, 19 times in 20: 3.3 where none was seen.
fn at_most(errors: f64) -> f64 {
    let root = (errors + 1.0).sqrt() + SURE / 2.0;
    root * root
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { errors: 0.1, latency: 1.25, ceiling: None };

    fn doing(requests: f64, errors: f64, p95: Option<f64>) -> Doing {
        Doing { requests, errors, p95, newest: None }
    }

    /// Chances of so many events or more where `mean` are expected, summed one by one.
    fn chance_of_at_least(events: u32, mean: f64) -> f64 {
        let (mut term, mut below) = ((-mean).exp(), 0.0);
        for event in 0..events {
            below += term;
            term *= mean / f64::from(event + 1);
        }
        1.0 - below
    }

    #[test]
    fn square_roots_say_what_the_chances_are() {
        for errors in [0_u32, 1, 5, 20, 100] {
            let missed = 1.0 - chance_of_at_least(errors + 1, at_most(f64::from(errors)));
            assert!((0.03..=0.05).contains(&missed), "{errors}: {missed}");
        }
        for mean in [0.1_f64, 1.0, 3.0, 10.0, 100.0] {
            let noticed =
                (0_u32..1000).find(|&n| 2.0 * (f64::from(n).sqrt() - mean.sqrt()) > NO_CHANCE).unwrap();
            let chance = chance_of_at_least(noticed, mean);
            assert!(chance < 0.001, "{noticed} of {mean}: {chance}");
        }
    }

    #[test]
    fn the_new_side_is_measured_by_the_old() {
        let fine = doing(20_000.0, 20.0, Some(0.5));
        for (old, new, expected) in [
            (fine, fine, "well"),
            (fine, doing(20_000.0, 24.0, Some(0.6)), "well"),
            (fine, doing(20_000.0, 40.0, Some(0.5)), "open"),
            (fine, doing(20_000.0, 80.0, Some(0.5)), "0.40 % of its requests fail, against 0.10 % + 0.10 %"),
            (fine, doing(20_000.0, 20.0, Some(0.63)), "its p95 is 0.630 s, against 0.500 s x 1.25"),
            (fine, doing(20_000.0, 20.0, None), "well"),
            // One failure says nothing, however few the requests; a handful at once says all.
            (fine, doing(10.0, 1.0, None), "open"),
            (fine, doing(1000.0, 1.0, Some(0.5)), "open"),
            (fine, doing(50.0, 5.0, None), "10.00 % of its requests fail"),
            (fine, doing(0.0, 0.0, None), "open"),
            (fine, doing(900.0, 0.0, Some(9.0)), "open"),
            (fine, doing(3000.0, 0.0, Some(9.0)), "its p95"),
            // What hardly serves any more is no measure, and its absence none for failures.
            (doing(10.0, 10.0, Some(9.0)), doing(20_000.0, 60.0, Some(0.1)), "0.30 % of its requests fail"),
            (doing(10.0, 0.0, Some(0.1)), doing(4000.0, 0.0, Some(9.0)), "well"),
            (Doing::default(), doing(3323.0, 0.0, Some(9.0)), "well"),
            (Doing::default(), doing(3300.0, 0.0, Some(9.0)), "open"),
        ] {
            match judge(old, new, LIMITS) {
                Verdict::Open(_) if expected == "open" => {}
                Verdict::Well(_) if expected == "well" => {}
                Verdict::Worse(why) if why.contains(expected) => {}
                verdict => panic!("{new:?}: {verdict:?}"),
            }
        }
    }

    #[test]
    fn what_nobody_answered_fails_and_whom_nobody_waited_for_does_not() {
        for (requests, answered, failed, balancer_failed, errors) in [
            (1000.0, 1000.0, 0.0, 0.0, 0.0),
            (1000.0, 990.0, 10.0, 0.0, 10.0),
            // The worker died, and the balancer said so.
            (1000.0, 950.0, 20.0, 30.0, 50.0),
            // The clients left.
            (1000.0, 950.0, 20.0, 0.0, 20.0),
            (1000.0, 950.0, 20.0, 5.0, 25.0),
            // Another target group's worker died.
            (1000.0, 1000.0, 0.0, 500.0, 0.0),
            // Answers are counted, and their requests not yet.
            (900.0, 1000.0, 10.0, 5.0, 10.0),
        ] {
            let counts = Counts { requests, answered, failed, balancer_failed };
            assert!((counts.errors() - errors).abs() < 1e-9, "{counts:?}: {}", counts.errors());
        }
    }

    #[test]
    fn a_ceiling_needs_no_other_side() {
        let limits = Limits { ceiling: Some(2.0), ..LIMITS };
        for (requests, p95, worse) in
            [(4000.0, 2.1, true), (4000.0, 2.0, false), (999.0, 9.0, false), (4000.0, 1.0, false)]
        {
            let verdict = judge(Doing::default(), doing(requests, 0.0, Some(p95)), limits);
            assert_eq!(matches!(verdict, Verdict::Worse(_)), worse, "{verdict:?}");
        }
    }

    #[test]
    fn how_sure_it_is_is_said() {
        let Verdict::Open(why) = judge(Doing::default(), doing(1200.0, 1.0, None), LIMITS) else {
            panic!("judged")
        };
        assert!(why.starts_with("1 of 1200 requests failed, and 0.10 % may: "), "{why}");
        assert!(why.contains("after 5003 requests, if no more fail"), "{why}");
        let Verdict::Well(why) = judge(Doing::default(), doing(10_000.0, 1.0, None), LIMITS) else {
            panic!("not judged")
        };
        assert!(
            why.starts_with("19 times in 20 at most 0.05 % of its requests fail, and 0.10 % may"),
            "{why}"
        );
        assert!(why.ends_with("one side answered fewer than 1000 requests"), "{why}");
    }
}
