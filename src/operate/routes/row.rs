//! One row: what it says, and how it is written.

use std::collections::BTreeMap;
use std::fmt;
use std::time::SystemTime;

use serde::Serialize;

use crate::aws::TableRow;

/// A row as routers understand it, with what about it is odd.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Its key.
    pub key: String,
    /// The environment in the key.
    pub environment: Option<String>,
    /// The compiler in the key.
    pub compiler: String,
    /// Where to.
    #[serde(flatten)]
    pub target: Target,
    /// When it was last written, as it says.
    pub updated: Option<String>,
}

/// Where requests for a compiler go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// This queue, by its name without color; nothing means the default one.
    Queue(Option<String>),
    /// This URL.
    Url(String),
}

/// The key of a compiler's row.
pub fn key(environment: Option<&str>, compiler: &str) -> String {
    match environment {
        Some(environment) => format!("{environment}#{compiler}"),
        None => compiler.to_owned(),
    }
}

impl Row {
    /// Reads a row as routers do: an empty text is none, and whatever is not `url` is a queue.
    pub fn read(row: &TableRow) -> Self {
        let text = |name: &str| row.texts.get(name).filter(|text| !text.is_empty()).cloned();
        let is_url = row.texts.get("routingType").is_some_and(|kind| kind == "url");
        let target = match (is_url, text("targetUrl")) {
            (true, Some(url)) => Target::Url(url),
            (true, None) => Target::Queue(None),
            (false, _) => Target::Queue(text("queueName")),
        };
        let (environment, compiler) = match row.key.split_once('#') {
            Some((environment, compiler)) => (Some(environment.to_owned()), compiler.to_owned()),
            None => (None, row.key.clone()),
        };
        Self { key: row.key.clone(), environment, compiler, target, updated: text("lastUpdated") }
    }
}

impl Target {
    /// The attributes of a row that leads there, apart from its key, as deployed tools write them.
    pub fn texts(&self, environment: Option<&str>, now: SystemTime) -> BTreeMap<String, String> {
        let (kind, queue, url) = match self {
            Self::Queue(name) => ("queue", name.as_deref().unwrap_or_default(), ""),
            Self::Url(url) => ("url", "", url.as_str()),
        };
        // As JavaScript writes times, to the millisecond.
        let now = jiff::Timestamp::try_from(now)
            .map(|now| now.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())
            .unwrap_or_default();
        [
            ("routingType", kind),
            ("queueName", queue),
            ("targetUrl", url),
            ("environment", environment.unwrap_or_default()),
            ("lastUpdated", &now),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Queue(Some(name)) => write!(f, "queue {name}"),
            Self::Queue(None) => f.write_str("the default queue"),
            Self::Url(url) => f.write_str(url),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let now = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
        for target in [
            Target::Queue(Some("prod-compilation-queue".to_owned())),
            Target::Queue(None),
            Target::Url("https://gpu.example/api/compiler/nvcc130/compile".to_owned()),
        ] {
            for environment in [Some("prod"), None] {
                let key = key(environment, "g132");
                let row = Row::read(&TableRow::over(None, &key, &target.texts(environment, now)));
                assert_eq!((&row.target, row.compiler.as_str()), (&target, "g132"));
                assert_eq!(row.environment.as_deref(), environment);
                assert_eq!(row.updated.as_deref(), Some("2023-11-14T22:13:20.000Z"));
            }
        }
    }

    #[test]
    fn people_read_where_it_leads() {
        assert_eq!(Target::Queue(Some("q".to_owned())).to_string(), "queue q");
        assert_eq!(Target::Queue(None).to_string(), "the default queue");
        let json = serde_json::to_value(Row {
            key: "a".to_owned(),
            environment: None,
            compiler: "a".to_owned(),
            target: Target::Url("u".to_owned()),
            updated: None,
        });
        assert_eq!(json.unwrap()["url"], "u");
    }
}
