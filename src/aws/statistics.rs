//! Figures that CloudWatch has collected.

use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;

use crate::aws::clients::{Clients, Patience};
use crate::aws::fault::{Fault, Kind};
use crate::aws::signed::{Service, Signed};
use crate::aws::xml::{self, List};

/// A month of figures takes a while to collect.
const READ: Patience = Patience { attempt: Duration::from_secs(20), attempts: 4 };
/// Pages that are read; each has up to 100,800 figures.
const MOST_PAGES: usize = 32;

/// The figures of an account and region.
#[derive(Debug)]
pub struct Statistics {
    service: Signed,
}

/// A figure that is collected, and what of it is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metric {
    /// The namespace, such as `AWS/SQS`.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Of what: names with values.
    pub dimensions: Vec<(String, String)>,
    /// `Sum`, `Average`, `Maximum`, `SampleCount`, `p95`.
    pub statistic: String,
}

/// The time that figures are wanted of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// When it begins.
    pub from: Timestamp,
    /// When it ends, itself not included.
    pub to: Timestamp,
    /// Seconds that one figure is for, in whole minutes.
    pub period: u32,
}

/// What was collected of one metric: a figure for each period that has one, oldest first.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Figures(pub Vec<(Timestamp, f64)>);

#[derive(Deserialize)]
struct Results {
    #[serde(rename = "MetricDataResults", default)]
    results: List<RawFigures>,
    #[serde(rename = "NextToken", default)]
    next: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawFigures {
    id: String,
    #[serde(default)]
    status_code: String,
    #[serde(default)]
    timestamps: List<String>,
    #[serde(default)]
    values: List<f64>,
}

impl Metric {
    /// A metric of these dimensions.
    pub fn new(namespace: &str, name: &str, dimensions: &[(&str, &str)], statistic: &str) -> Self {
        let owned = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            dimensions: dimensions.iter().map(owned).collect(),
            statistic: statistic.to_owned(),
        }
    }

    /// As one query of several.
    fn parameters(&self, number: usize, period: u32) -> Vec<(String, String)> {
        let query = format!("MetricDataQueries.member.{number}");
        let metric = format!("{query}.MetricStat.Metric");
        let mut all = vec![
            (format!("{query}.Id"), id(number)),
            (format!("{metric}.Namespace"), self.namespace.clone()),
            (format!("{metric}.MetricName"), self.name.clone()),
            (format!("{query}.MetricStat.Period"), period.to_string()),
            (format!("{query}.MetricStat.Stat"), self.statistic.clone()),
        ];
        for (number, (name, value)) in self.dimensions.iter().enumerate() {
            let dimension = format!("{metric}.Dimensions.member.{}", number + 1);
            all.push((format!("{dimension}.Name"), name.clone()));
            all.push((format!("{dimension}.Value"), value.clone()));
        }
        all
    }
}

/// How the query with this number is called; the service wants a small letter first.
fn id(number: usize) -> String {
    format!("m{number}")
}

impl RawFigures {
    /// Why the service has not collected them, though it answers. On a page that is not the last it tries again.
    fn failure(&self) -> Option<Fault> {
        match &*self.status_code {
            "Forbidden" => Some(Fault::answered(403, Some("Forbidden"), None)),
            "InternalError" => Some(Fault::answered(500, Some("InternalError"), None)),
            _ => None,
        }
    }
}

impl Figures {
    /// All figures together.
    pub fn sum(&self) -> f64 {
        // Not `sum`, whose nothing is -0.
        self.0.iter().fold(0.0, |sum, (_, value)| sum + value)
    }

    /// The newest figure.
    pub fn newest(&self) -> Option<f64> {
        self.0.last().map(|&(_, value)| value)
    }

    /// The largest figure.
    pub fn largest(&self) -> Option<f64> {
        self.0.iter().map(|&(_, value)| value).reduce(f64::max)
    }
}

impl Statistics {
    /// The way to the figures. Asks nothing yet; an error means that there can be no TLS here.
    pub fn new(clients: &Clients) -> Result<Self, Fault> {
        Ok(Self { service: Signed::new(clients, Service::Metrics, READ)? })
    }

    /// What was collected of each of these metrics, in their order.
    pub async fn read(&self, metrics: &[Metric], span: Span) -> Result<Vec<Figures>, Fault> {
        let (from, to) = (xml::write_moment(span.from), xml::write_moment(span.to));
        let queries =
            metrics.iter().zip(1..).flat_map(|(metric, number)| metric.parameters(number, span.period));
        let queries: Vec<(String, String)> = queries.collect();
        let mut all = vec![Figures::default(); metrics.len()];
        let mut token = String::new();
        for _ in 0..MOST_PAGES {
            let mut parameters =
                vec![("StartTime", &*from), ("EndTime", &*to), ("ScanBy", "TimestampAscending")];
            parameters.extend(queries.iter().map(|(name, value)| (name.as_str(), value.as_str())));
            if !token.is_empty() {
                parameters.push(("NextToken", &token));
            }
            let body = self.service.form("GetMetricData", &parameters).await?;
            let Results { results, next } = xml::result(&body)?;
            let failed = results.members.iter().find_map(RawFigures::failure);
            collect(&mut all, results.members);
            if next.is_empty() {
                return failed.map_or_else(|| Ok(sorted(all)), Err);
            }
            token = next;
        }
        Err(Fault::new(Kind::Garbled, "the figures have no end"))
    }
}

fn collect(all: &mut [Figures], page: Vec<RawFigures>) {
    for raw in page {
        let place = (1..=all.len()).find(|&number| id(number) == raw.id);
        let Some(series) = place.and_then(|number| all.get_mut(number - 1)) else { continue };
        let times = raw.timestamps.members.iter().map(|time| xml::moment(time));
        series.0.extend(times.zip(raw.values.members).filter_map(|(time, value)| Some((time?, value))));
    }
}

fn sorted(mut all: Vec<Figures>) -> Vec<Figures> {
    for series in &mut all {
        series.0.sort_by_key(|&(time, _)| time);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_find_their_metric_and_their_order() {
        let body = b"<R><GetMetricDataResult><MetricDataResults>
          <member><Id>m2</Id><Label>x</Label><StatusCode>Complete</StatusCode>
            <Timestamps><member>2026-11-28T10:01:00Z</member><member>2026-11-28T10:00:00Z</member></Timestamps>
            <Values><member>2.5</member><member>1.0</member></Values></member>
          <member><Id>m1</Id><Timestamps/><Values/></member>
          <member><Id>m3</Id><Values><member>1</member></Values></member>
          </MetricDataResults><NextToken>more</NextToken></GetMetricDataResult></R>";
        let Results { results, next } = xml::result(body).unwrap();
        let mut all = vec![Figures::default(); 2];
        collect(&mut all, results.members);
        let all = sorted(all);
        assert_eq!((all[0].0.len(), all[0].newest(), next.as_str()), (0, None, "more"));
        assert_eq!((all[1].sum(), all[1].newest(), all[1].largest()), (3.5, Some(2.5), Some(2.5)));
    }

    #[test]
    fn figures_that_were_not_collected_are_no_zeros() {
        for (status, expected) in [
            ("Complete", None),
            ("PartialData", None),
            ("InternalError", Some(Kind::Broken)),
            ("Forbidden", Some(Kind::Denied)),
        ] {
            let body = format!(
                "<R><GetMetricDataResult><MetricDataResults><member><Id>m1</Id><StatusCode>{status}</StatusCode>\
                 <Timestamps/><Values/></member></MetricDataResults></GetMetricDataResult></R>"
            );
            let Results { results, .. } = xml::result(body.as_bytes()).unwrap();
            assert_eq!(results.members[0].failure().map(|fault| fault.kind), expected, "{status}");
        }
    }

    #[test]
    fn a_query_is_said_in_full() {
        let metric = Metric::new("AWS/SQS", "Age", &[("QueueName", "q.fifo")], "Maximum");
        let said: Vec<String> =
            metric.parameters(2, 60).into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        let query = "MetricDataQueries.member.2";
        assert_eq!(
            said,
            [
                format!("{query}.Id=m2"),
                format!("{query}.MetricStat.Metric.Namespace=AWS/SQS"),
                format!("{query}.MetricStat.Metric.MetricName=Age"),
                format!("{query}.MetricStat.Period=60"),
                format!("{query}.MetricStat.Stat=Maximum"),
                format!("{query}.MetricStat.Metric.Dimensions.member.1.Name=QueueName"),
                format!("{query}.MetricStat.Metric.Dimensions.member.1.Value=q.fifo"),
            ]
        );
    }

    proptest::proptest! {
        #[test]
        fn no_answer_is_too_odd(body: Vec<u8>) {
            let _read = xml::result::<Results>(&body).is_ok();
        }
    }
}
