//! `route`: where a request for a compiler goes, and what that rests on.

use std::fmt;

/// Where requests for one compiler go.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Explanation {
    /// The compiler asked about.
    pub compiler: String,
    /// Whether this machine has it.
    pub installed: bool,
    /// The table that was asked, if one is configured.
    pub table: Option<String>,
    /// The key of the compiler's row.
    pub row: Option<String>,
    /// What the row, or its absence, says.
    pub says: Says,
    /// Whether that was known from before; for what is asked from the shell it never is.
    pub cached: bool,
    /// The queue jobs go to, without color.
    pub queue: Option<String>,
    /// The queue's live color, if it has one.
    pub color: Option<&'static str>,
    /// The queue's address, in that color.
    pub address: Option<String>,
    /// The URL requests are forwarded to.
    pub url: Option<String>,
    /// What becomes of a request while a slot is free.
    pub when_free: Fate,
    /// What becomes of a request while none is.
    pub when_busy: Fate,
}

/// What a routing table says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Says {
    /// A queue.
    Queue,
    /// A queue, but not which.
    DefaultQueue,
    /// A URL.
    Url,
    /// There is no row.
    Nothing,
}

/// What becomes of a request at this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It is compiled here.
    Compiled,
    /// It is put on the queue.
    Queued,
    /// It is forwarded to the URL.
    Forwarded,
    /// It is answered with 404.
    NotFound,
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |f: &mut fmt::Formatter<'_>, name: &str, value: Option<&str>| {
            value.map_or(Ok(()), |value| writeln!(f, "{name:<9} {value}"))
        };
        let installed = if self.installed { "" } else { ", which this machine does not have" };
        line(f, "compiler", Some(&format!("{}{installed}", self.compiler)))?;
        line(f, "table", Some(self.table.as_deref().unwrap_or("none configured")))?;
        line(f, "row", self.row.as_deref().or(self.table.is_some().then_some("none")))?;
        line(f, "says", self.row.is_some().then_some(self.says.words()))?;
        line(f, "url", self.url.as_deref())?;
        line(f, "queue", self.queue.as_deref())?;
        line(f, "color", self.color)?;
        line(f, "address", self.address.as_deref())?;
        let fate = if self.when_free == self.when_busy {
            self.when_free.words().to_owned()
        } else {
            format!("{} while a slot is free, otherwise {}", self.when_free.words(), self.when_busy.words())
        };
        line(f, "so it is", Some(&fate))
    }
}

impl Says {
    const fn words(self) -> &'static str {
        match self {
            Self::Queue => "this queue",
            Self::DefaultQueue => "the default queue",
            Self::Url => "this URL",
            Self::Nothing => "nothing",
        }
    }
}

impl Fate {
    const fn words(self) -> &'static str {
        match self {
            Self::Compiled => "compiled here",
            Self::Queued => "put on the queue",
            Self::Forwarded => "forwarded to the URL",
            Self::NotFound => "not found",
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A compiler that a worker shares with its fleet.
    pub(crate) fn shared() -> Explanation {
        Explanation {
            compiler: "g132".to_owned(),
            installed: true,
            table: Some("CompilerRouting".to_owned()),
            row: Some("prod#g132".to_owned()),
            says: Says::Queue,
            cached: false,
            queue: Some("prod-compilation-queue".to_owned()),
            color: Some("blue"),
            address: Some("https://q/1/prod-compilation-queue-blue.fifo".to_owned()),
            url: None,
            when_free: Fate::Compiled,
            when_busy: Fate::Queued,
        }
    }

    #[test]
    fn people_read_only_what_there_is_to_say() {
        assert_eq!(
            shared().to_string(),
            "compiler  g132\n\
             table     CompilerRouting\n\
             row       prod#g132\n\
             says      this queue\n\
             queue     prod-compilation-queue\n\
             color     blue\n\
             address   https://q/1/prod-compilation-queue-blue.fifo\n\
             so it is  compiled here while a slot is free, otherwise put on the queue\n"
        );
        let nowhere = Explanation {
            installed: false,
            table: None,
            row: None,
            says: Says::Nothing,
            queue: None,
            color: None,
            address: None,
            when_free: Fate::NotFound,
            when_busy: Fate::NotFound,
            ..shared()
        };
        assert_eq!(
            nowhere.to_string(),
            "compiler  g132, which this machine does not have\n\
             table     none configured\n\
             so it is  not found\n"
        );
    }
}
