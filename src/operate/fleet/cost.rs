//! What a fleet costs, and what Lambda would have cost for the same requests: figures that were measured, times prices
//! that the operator names.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::Fleet;
use crate::aws::{Figures, Metric, Span};
use crate::operate::Trouble;

/// How long `CloudWatch` keeps figures of a period: seconds of age, and of the period.
const KEPT: [(i64, u32); 2] = [(15 * 86_400, 60), (63 * 86_400, 300)];
/// Period of what is older, in seconds; after 455 days nothing is left.
const LONGEST_PERIOD: u32 = 3600;

/// Prices, in dollars.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Prices {
    /// Of an hour of an instance, by type.
    pub hour: BTreeMap<String, f64>,
    /// Of a gigabyte of memory for a second.
    pub lambda_gb_second: Option<f64>,
    /// Of a request.
    pub lambda_request: Option<f64>,
    /// Megabytes of memory that the function has.
    pub lambda_memory_mb: Option<f64>,
}

/// What was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Measured {
    /// From when, on the edge of a period.
    pub from: String,
    /// To when, likewise.
    pub to: String,
    /// Seconds of each period that there is a figure of, the finest that is kept for so long.
    pub period_seconds: u32,
    /// Hours that all instances ran, together.
    pub instance_hours: f64,
    /// Hours of the time of which there are figures of instances.
    pub hours_with_figures: f64,
    /// Hours of the time.
    pub hours: f64,
    /// Instances of each type now.
    pub kinds: BTreeMap<String, usize>,
    /// Requests that were answered.
    pub requests: f64,
    /// Seconds that they took, together.
    pub request_seconds: f64,
}

/// What it costs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bill {
    /// What it rests on.
    pub measured: Measured,
    /// Price of an average instance's hour.
    pub price_hour: f64,
    /// The instances.
    pub instances: f64,
    /// Lambda for the same requests; nothing if none of its prices is known.
    pub lambda: Option<Lambda>,
}

/// What Lambda would have cost.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Lambda {
    /// The part by requests.
    pub requests: f64,
    /// Gigabyte-seconds that would have been counted.
    pub gb_seconds: f64,
    /// The part by time.
    pub time: f64,
    /// Both.
    pub together: f64,
}

/// Why there is no bill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unbilled {
    /// Prices are missing: the flags that would name them.
    Prices(Vec<String>),
    /// Nothing was measured of this.
    Figures(&'static str),
}

/// The arithmetic. Instances of several types are counted in the proportion of today.
pub fn bill(measured: Measured, prices: &Prices) -> Result<Bill, Unbilled> {
    let mut missing: Vec<String> = Vec::new();
    let mut price = |price: Option<f64>, flag: &str| {
        price.unwrap_or_else(|| {
            missing.push(flag.to_owned());
            0.0
        })
    };
    let all: usize = measured.kinds.values().sum();
    let mut hour = 0.0;
    for (kind, &count) in &measured.kinds {
        let own = price(prices.hour.get(kind).copied(), &format!("--price-hour {kind}=USD"));
        hour += own * share(count, all);
    }
    let Prices { lambda_request, lambda_gb_second, lambda_memory_mb, .. } = *prices;
    let mut lambda = None;
    // One of its prices says that it is asked for, and then the others are needed too.
    if lambda_request.or(lambda_gb_second).or(lambda_memory_mb).is_some() {
        let request = price(lambda_request, "--lambda-request USD");
        let gb_second = price(lambda_gb_second, "--lambda-gb-second USD");
        let memory = price(lambda_memory_mb, "--lambda-memory-mb N");
        let gb_seconds = measured.request_seconds * memory / 1024.0;
        let (requests, time) = (measured.requests * request, gb_seconds * gb_second);
        lambda = Some(Lambda { requests, gb_seconds, time, together: requests + time });
    }
    if !missing.is_empty() {
        return Err(Unbilled::Prices(missing));
    }
    if measured.kinds.is_empty() || measured.hours_with_figures <= 0.0 {
        return Err(Unbilled::Figures("instances"));
    }
    Ok(Bill { price_hour: hour, instances: measured.instance_hours * hour, lambda, measured })
}

#[expect(clippy::cast_precision_loss, reason = "a fleet has fewer instances than a double has digits")]
fn share(count: usize, all: usize) -> f64 {
    count as f64 / all.max(1) as f64
}

impl Fleet {
    /// What was measured between these moments, in whole periods.
    pub async fn measure(&self, from: Timestamp, to: Timestamp) -> Result<Measured, Trouble> {
        let own = [("Fleet", &*self.names().fleet)];
        let metrics = [
            Metric::new(
                "AWS/AutoScaling",
                "GroupTotalInstances",
                &[("AutoScalingGroupName", &*self.names().group)],
                "Average",
            ),
            Metric::new("CompilationWorker", "http_requests", &own, "Sum"),
            Metric::new("CompilationWorker", "http_request_duration_seconds", &own, "Sum"),
        ];
        let span = whole_periods(from, to);
        let figures = self.figures(&metrics, span).await?;
        let mut kinds = BTreeMap::new();
        for member in self.group().await?.members {
            *kinds.entry(member.kind).or_default() += 1;
        }
        Ok(measured(&figures, kinds, span))
    }
}

/// The whole periods between these moments, as fine as they are still kept: a period that had only begun would count an
/// instance for time in which it was not looked at.
fn whole_periods(from: Timestamp, to: Timestamp) -> Span {
    let age = to.as_second() - from.as_second();
    let period = KEPT.iter().find(|(kept, _)| age < *kept).map_or(LONGEST_PERIOD, |&(_, period)| period);
    let edge = |at: Timestamp| {
        let second = at.as_second();
        Timestamp::from_second(second - second.rem_euclid(i64::from(period))).unwrap_or(at)
    };
    Span { from: edge(from), to: edge(to), period }
}

fn measured(figures: &[Figures], kinds: BTreeMap<String, usize>, span: Span) -> Measured {
    let Span { from, to, period } = span;
    // Of a service that did not keep to the edges, too.
    let within = |at: usize| {
        let all = figures.get(at).into_iter().flat_map(|figures| &figures.0);
        all.filter(|(time, _)| (from..to).contains(time)).map(|&(_, value)| value)
    };
    let sum = |at: usize| within(at).fold(0.0, |sum, value| sum + value);
    let hours = |periods: i64| f64::from(u32::try_from(periods).unwrap_or(0)) * f64::from(period) / 3600.0;
    let periods = (to.as_second() - from.as_second()) / i64::from(period);
    Measured {
        from: from.strftime("%Y-%m-%dT%H:%MZ").to_string(),
        to: to.strftime("%Y-%m-%dT%H:%MZ").to_string(),
        period_seconds: period,
        instance_hours: sum(0) * f64::from(period) / 3600.0,
        hours_with_figures: hours(i64::try_from(within(0).count()).unwrap_or(0)),
        hours: hours(periods),
        kinds,
        requests: sum(1),
        request_seconds: sum(2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn week() -> Measured {
        Measured {
            from: String::new(),
            to: String::new(),
            period_seconds: 60,
            instance_hours: 504.0,
            hours_with_figures: 168.0,
            hours: 168.0,
            kinds: [("a".to_owned(), 2), ("b".to_owned(), 1)].into(),
            requests: 1_000_000.0,
            request_seconds: 500_000.0,
        }
    }

    fn prices() -> Prices {
        Prices {
            hour: [("a".to_owned(), 0.03), ("b".to_owned(), 0.06)].into(),
            lambda_gb_second: Some(0.00001),
            lambda_request: Some(0.000_000_2),
            lambda_memory_mb: Some(512.0),
        }
    }

    #[test]
    fn the_arithmetic_is_right() {
        let bill = bill(week(), &prices()).unwrap();
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-9, "{a} is not {b}");
        near(bill.price_hour, 0.04);
        near(bill.instances, 20.16);
        let lambda = bill.lambda.unwrap();
        near(lambda.requests, 0.2);
        near(lambda.gb_seconds, 250_000.0);
        near(lambda.together, 2.7);
        let alone = Prices { hour: prices().hour, ..Prices::default() };
        let bill = super::bill(week(), &alone).unwrap();
        assert_eq!(bill.lambda, None);
        near(bill.instances, 20.16);
    }

    #[test]
    fn what_is_missing_is_named() {
        let some = Prices { lambda_request: Some(0.1), ..Prices::default() };
        for (prices, flags) in [
            (Prices::default(), "--price-hour a=USD, --price-hour b=USD"),
            (some, "--price-hour a=USD, --price-hour b=USD, --lambda-gb-second USD, --lambda-memory-mb N"),
        ] {
            let Err(Unbilled::Prices(missing)) = bill(week(), &prices) else { panic!("billed") };
            assert_eq!(missing.join(", "), flags);
        }
        let unmeasured = Measured { hours_with_figures: 0.0, ..week() };
        assert_eq!(bill(unmeasured, &prices()), Err(Unbilled::Figures("instances")));
    }

    #[test]
    fn hours_are_counted_from_averages_of_whole_periods() {
        let at = |minute: i64| Timestamp::from_second(minute * 60).unwrap();
        let figures = |from: i64, values: &[f64]| {
            Figures(values.iter().zip(from..).map(|(&value, minute)| (at(minute), value)).collect())
        };
        // An instance that came half an hour ago has cost half an hour, and not two begun ones.
        let half = [0.0; 20].into_iter().chain([2.0; 20]).collect::<Vec<_>>();
        let all = [figures(100, &half), figures(139, &[100.0, 50.0]), figures(140, &[7.5])];
        let span = whole_periods(at(110), Timestamp::from_second(140 * 60 + 59).unwrap());
        let measured = measured(&all, BTreeMap::new(), span);
        assert_eq!((measured.hours, measured.hours_with_figures), (0.5, 0.5));
        assert!((measured.instance_hours - 2.0 / 3.0).abs() < 1e-9, "{measured:?}");
        assert_eq!(
            (measured.requests, measured.request_seconds),
            (100.0, 0.0),
            "what is not over does not count"
        );
    }

    #[test]
    fn periods_are_as_fine_as_they_are_kept() {
        let now = Timestamp::from_second(1_700_000_123).unwrap();
        for (days, period) in [(1, 60), (14, 60), (15, 300), (62, 300), (63, 3600), (400, 3600)] {
            let span = whole_periods(Timestamp::from_second(now.as_second() - days * 86_400).unwrap(), now);
            assert_eq!(span.period, period, "{days} days");
            for edge in [span.from, span.to] {
                assert_eq!(edge.as_second() % i64::from(period), 0, "{days} days");
            }
            assert!(span.to <= now && now.as_second() - span.to.as_second() < i64::from(period));
        }
    }
}
