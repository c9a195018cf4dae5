//! Figures that other services publish of themselves in CloudWatch.

use std::time::{Duration, SystemTime};

use serde::Deserialize;

use crate::aws::clients::{Clients, Patience};
use crate::aws::fault::{Fault, Kind};
use crate::aws::signed::{Service, Signed};

/// Reading twice is reading once, and an operator waits.
const READ: Patience = Patience { attempt: Duration::from_secs(5), attempts: 3 };

/// CloudWatch's metrics.
#[derive(Debug)]
pub struct CloudMetrics {
    service: Signed,
}

/// Which series.
#[derive(Debug, Clone, Copy)]
pub struct Series<'a> {
    /// Such as `AWS/SQS`.
    pub namespace: &'a str,
    /// Such as `ApproximateAgeOfOldestMessage`.
    pub metric: &'a str,
    /// Its dimensions, each with its value.
    pub dimensions: &'a [(&'a str, &'a str)],
    /// `Maximum`, `Average`, `Sum`, `Minimum` or `SampleCount`.
    pub statistic: &'a str,
}

/// One figure of a series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Where its period begins.
    pub at: SystemTime,
    /// The statistic over the period.
    pub value: f64,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "GetMetricStatisticsResult", default)]
    result: Statistics,
}

#[derive(Deserialize, Default)]
struct Statistics {
    #[serde(rename = "Datapoints", default)]
    points: Datapoints,
}

#[derive(Deserialize, Default)]
struct Datapoints {
    #[serde(rename = "member", default)]
    members: Vec<Datapoint>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Datapoint {
    timestamp: String,
    maximum: Option<f64>,
    average: Option<f64>,
    sum: Option<f64>,
    minimum: Option<f64>,
    sample_count: Option<f64>,
}

impl CloudMetrics {
    /// Asks nothing yet; an error means that there can be no TLS here.
    pub fn new(clients: &Clients) -> Result<Self, Fault> {
        Ok(Self { service: Signed::new(clients, Service::Metrics, READ)? })
    }

    /// The points of a series from `from` to `to`, one for each `period` (whole minutes), the oldest first. A service
    /// that published nothing then has none.
    pub async fn points(
        &self,
        series: &Series<'_>,
        from: SystemTime,
        to: SystemTime,
        period: Duration,
    ) -> Result<Vec<Point>, Fault> {
        let (from, to, period) = (written(from)?, written(to)?, period.as_secs().to_string());
        let mut parameters = vec![
            ("Namespace".to_owned(), series.namespace),
            ("MetricName".to_owned(), series.metric),
            ("StartTime".to_owned(), &from),
            ("EndTime".to_owned(), &to),
            ("Period".to_owned(), &period),
            ("Statistics.member.1".to_owned(), series.statistic),
        ];
        for (index, (name, value)) in series.dimensions.iter().enumerate() {
            parameters.push((format!("Dimensions.member.{}.Name", index + 1), name));
            parameters.push((format!("Dimensions.member.{}.Value", index + 1), value));
        }
        let parameters: Vec<(&str, &str)> =
            parameters.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        read(&self.service.form("GetMetricStatistics", &parameters).await?)
    }
}

fn read(answer: &[u8]) -> Result<Vec<Point>, Fault> {
    let garbled = |wrong: &str| Fault::new(Kind::Garbled, wrong);
    let answer: Answer = quick_xml::de::from_reader(answer).map_err(|error| garbled(&error.to_string()))?;
    let mut points = Vec::new();
    for point in answer.result.points.members {
        let at: jiff::Timestamp = point.timestamp.parse().map_err(|_| garbled("a point has no time"))?;
        let Datapoint { maximum, average, sum, minimum, sample_count, .. } = point;
        let value = maximum.or(average).or(sum).or(minimum).or(sample_count);
        points.push(Point { at: at.into(), value: value.ok_or_else(|| garbled("a point has no value"))? });
    }
    points.sort_by_key(|point| point.at);
    Ok(points)
}

/// A time as the service takes it, in whole seconds.
fn written(time: SystemTime) -> Result<String, Fault> {
    let time =
        jiff::Timestamp::try_from(time).map_err(|error| Fault::new(Kind::Refused, &error.to_string()))?;
    Ok(time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_come_in_the_order_of_time() {
        let answer = "<GetMetricStatisticsResponse xmlns=\"http://monitoring.amazonaws.com/doc/2010-08-01/\">\
            <GetMetricStatisticsResult><Label>ApproximateAgeOfOldestMessage</Label><Datapoints>\
            <member><Timestamp>2026-11-28T19:05:00Z</Timestamp><Maximum>41.0</Maximum><Unit>Seconds</Unit></member>\
            <member><Timestamp>2026-11-28T19:04:00Z</Timestamp><Maximum>7</Maximum><Unit>Seconds</Unit></member>\
            </Datapoints></GetMetricStatisticsResult><ResponseMetadata/></GetMetricStatisticsResponse>";
        let points = read(answer.as_bytes()).unwrap();
        assert_eq!(points.iter().map(|point| point.value).collect::<Vec<_>>(), [7.0, 41.0]);
        assert_eq!(points[1].at.duration_since(points[0].at).unwrap(), Duration::from_mins(1));
        let none = "<GetMetricStatisticsResponse><GetMetricStatisticsResult><Datapoints/></GetMetricStatisticsResult></GetMetricStatisticsResponse>";
        assert_eq!(read(none.as_bytes()).unwrap(), []);
        assert_eq!(read(b"<html>").unwrap_err().kind, Kind::Garbled);
        let timeless = answer.replace("2026-11-28T19:05:00Z", "noon");
        assert_eq!(read(timeless.as_bytes()).unwrap_err().kind, Kind::Garbled);
    }

    #[test]
    fn times_are_written_in_whole_seconds() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_999);
        assert_eq!(written(time).unwrap(), "2023-11-14T22:13:20Z");
    }

    proptest::proptest! {
        #[test]
        fn no_answer_is_too_odd(body: Vec<u8>) {
            let _points = read(&body);
        }
    }
}
