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
    /// Of these, answered with a 5xx, or given to a target that did not take the connection.
    pub errors: f64,
    /// Seconds within which nineteen of twenty were answered.
    pub p95: Option<f64>,
    /// The newest minute that anything is known of.
    pub newest: Option<Timestamp>,
}

/// How much worse the fleet may do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Hundredths of requests that may fail beyond those of the other side; above 0.
    pub errors: f64,
    /// How many times as long as the other side it may take.
    pub latency: f64,
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

    const LIMITS: Limits = Limits { errors: 0.1, latency: 1.25 };

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
