//! The page of metrics read back: what every rendering but Prometheus' own is made from.
//!
//! The registry shows its values to its encoder alone, so whoever wants them as numbers reads the page. It is our own
//! encoder's, which writes one sample a line; reading it costs less than writing it.

/// One sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The series' name, suffix included: `http_requests_total`.
    pub series: String,
    labels: Vec<(String, String)>,
    /// The value.
    pub value: f64,
}

/// Every sample of a page, in its order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Samples(Vec<Sample>);

impl Sample {
    /// The value of a label; empty if it has none.
    pub fn label(&self, name: &str) -> &str {
        self.labels.iter().find(|(label, _)| label == name).map_or("", |(_, value)| value)
    }
}

impl Samples {
    /// Reads a page. What is no sample is passed over.
    pub fn read(page: &str) -> Self {
        let samples = page.lines().filter(|line| !line.starts_with('#'));
        Self(samples.filter_map(sample).collect())
    }

    /// The samples of one series.
    pub fn of<'a>(&'a self, series: &'a str) -> impl Iterator<Item = &'a Sample> {
        self.0.iter().filter(move |sample| sample.series == series)
    }
}

/// `series value`, or `series{label="value",...} value`.
fn sample(line: &str) -> Option<Sample> {
    let end = line.find(['{', ' '])?;
    let (series, mut rest) = line.split_at(end);
    let mut labels = Vec::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        while !rest.starts_with('}') {
            let (name, after) = rest.trim_start_matches(',').split_once("=\"")?;
            let (value, after) = quoted(after)?;
            labels.push((name.to_owned(), value));
            rest = after;
        }
        rest = &rest[1..];
    }
    // What may follow the value, a time or an exemplar, is not ours to read.
    let value = rest.split_whitespace().next()?.parse().ok()?;
    Some(Sample { series: series.to_owned(), labels, value })
}

/// The text up to its closing quote, and what follows that.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match letters.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::domain::ids::LanguageId;
    use crate::telemetry::metrics::Metrics;

    #[test]
    fn samples_are_read() {
        let page = "# HELP x_total Of something\n# TYPE x counter\nx_total 7\n\
                    y{a=\"b\",c=\"\\\"d,e}\\\\\\n\"} 0.5 1700000000\nz_bucket{le=\"+Inf\"} 3\nnone\nbad{a=\"b} 1\n# EOF\n";
        let samples = Samples::read(page);
        let all: Vec<(&str, f64)> =
            samples.0.iter().map(|sample| (sample.series.as_str(), sample.value)).collect();
        assert_eq!(all, [("x_total", 7.0), ("y", 0.5), ("z_bucket", 3.0)]);
        let y = samples.of("y").next().unwrap();
        assert_eq!((y.label("a"), y.label("c"), y.label("d")), ("b", "\"d,e}\\\n", ""));
        assert_eq!(samples.of("x").count(), 0);
    }

    #[test]
    fn every_line_of_our_own_page_is_a_sample_or_a_comment() {
        let metrics = Metrics::new();
        metrics.count_compilation(&LanguageId::parse("c++").unwrap());
        metrics.count_reply("compile", 200, Duration::from_millis(2));
        metrics.count_message("done", Duration::from_millis(3));
        let page = metrics.render();
        let lines = page.lines().filter(|line| !line.starts_with('#')).count();
        let samples = Samples::read(&page);
        assert_eq!(samples.0.len(), lines);
        let count = samples.of("queue_messages_age_seconds_count").next().unwrap();
        assert!((count.value - 1.0).abs() < f64::EPSILON);
    }

    proptest! {
        #[test]
        fn no_page_panics(page in "(\\PC|[\n\0\r\u{1b}])*") {
            let read = Samples::read(&page);
            prop_assert!(read.0.len() <= page.lines().count());
        }

        #[test]
        fn what_is_written_reads_the_same(
            series in "[a-z_]{1,9}",
            labels in proptest::collection::vec(("[a-z_]{1,9}", "\\PC{0,9}"), 0..4),
            value in -1e300..1e300,
        ) {
            let escaped = |value: &String| value.replace('\\', "\\\\").replace('"', "\\\"");
            let written: Vec<String> =
                labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
            let line = if labels.is_empty() { format!("{series} {value}") } else {
                format!("{series}{{{}}} {value}", written.join(","))
            };
            prop_assert_eq!(sample(&line), Some(Sample { series, labels, value }));
        }
    }
}
