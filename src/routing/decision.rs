//! What a row means, and what follows from it at this node. Pure: who reads rows, and when, is told elsewhere.

use std::sync::Arc;

use http::Uri;
use http::uri::Scheme;

use super::queue_url::is_name;
use super::queues::{Queue, Queues};
use crate::ports::{LookupError, RouteRow, RouteTarget};

/// What the table says of one compiler: what is remembered, color aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The key of the row; `None` when there is none.
    pub row: Option<String>,
    /// What it says.
    pub target: Target,
}

/// What a row says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// This queue.
    Queue(Queue),
    /// A queue, but not which.
    DefaultQueue,
    /// This URL.
    Url(Uri),
    /// Nothing: there is no row.
    Absent,
}

/// What this node can do about one compiler now, as its door knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Here {
    /// It has no such compiler.
    Lacking,
    /// It has the compiler, and no slot is free.
    Busy,
    /// It has the compiler and a free slot.
    Free,
}

/// Where one request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// This node compiles it.
    Here,
    /// A queue, whose color is decided when the job is sent.
    Queue(Queue),
    /// Another service, at this URL.
    Url(Uri),
    /// Nowhere: nobody knows such a compiler.
    Nowhere,
}

/// Where one request goes, and what that rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Where to.
    pub destination: Destination,
    /// What the table says.
    pub route: Arc<Route>,
    /// How we know.
    pub origin: Origin,
}

/// How we know what the table says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// It was read for this request.
    Table,
    /// It was read a while ago, and is believed still.
    Memory,
    /// It was read long ago, and the table cannot be read now.
    Stale,
}

impl Route {
    /// What a row, or its absence, says.
    pub(super) fn read(row: Option<RouteRow>, queues: &Queues) -> Result<Self, LookupError> {
        let Some(RouteRow { key, target, .. }) = row else {
            return Ok(Self { row: None, target: Target::Absent });
        };
        let target = match target {
            RouteTarget::Queue(name) if !is_name(&name) => {
                Err(format!("no queue can be called {}", quoted(&name)))
            }
            RouteTarget::Queue(name) if !queues.have_a_place() => Err(format!(
                "nobody knows where queue {name} is; set queues.default or queues.own, it is beside them"
            )),
            RouteTarget::Queue(name) => Ok(Target::Queue(queues.named(&name))),
            RouteTarget::DefaultQueue => Ok(Target::DefaultQueue),
            RouteTarget::Url(url) => forwardable(&url)
                .map(Target::Url)
                .ok_or_else(|| format!("{} is no URL of a service", quoted(&url))),
        };
        match target {
            Ok(target) => Ok(Self { row: Some(key), target }),
            Err(wrong) => Err(LookupError::Malformed { key, wrong }),
        }
    }

    /// Where a request goes that reached a node in this state.
    pub(super) fn destination(&self, queues: &Queues, here: Here) -> Destination {
        match &self.target {
            Target::Queue(queue) => through(queue, here),
            Target::Url(url) => Destination::Url(url.clone()),
            Target::DefaultQueue => match queues.default() {
                Some(queue) => through(queue, here),
                // A row that leaves it to a queue that does not exist says no more than no row.
                None => here_or(here, Destination::Nowhere),
            },
            Target::Absent => {
                let queue = queues.default().cloned();
                here_or(here, queue.map_or(Destination::Nowhere, Destination::Queue))
            }
        }
    }
}

/// A job for our own queue that finds a free slot need not travel.
fn through(queue: &Queue, here: Here) -> Destination {
    if queue.is_own() && here == Here::Free { Destination::Here } else { Destination::Queue(queue.clone()) }
}

/// A node that has the compiler serves it, even if the caller has to wait for a slot.
fn here_or(here: Here, otherwise: Destination) -> Destination {
    if here == Here::Lacking { otherwise } else { Destination::Here }
}

/// A URL that a request can be forwarded to: complete, and without a user's name, which clients of ours do not get.
pub fn forwardable(url: &str) -> Option<Uri> {
    let uri: Uri = url.parse().ok()?;
    let is_http = uri.scheme().is_some_and(|scheme| *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS);
    let has_host =
        uri.authority().is_some_and(|host| !host.host().is_empty() && !host.as_str().contains('@'));
    (is_http && has_host).then_some(uri)
}

/// The beginning of a text that somebody else wrote, for a message; a row may hold 400 KB.
fn quoted(text: &str) -> String {
    const SHOWN: usize = 100;
    let shown: String = text.chars().take(SHOWN).collect();
    let rest = if shown.len() < text.len() { "…" } else { "" };
    format!("{shown:?}{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::QueueAddress;
    use crate::routing::QueueSettings;

    const OWN: &str = "https://q/1/own.fifo";
    const DEFAULT: &str = "https://q/1/default.fifo";

    fn queues(default: Option<&str>) -> Queues {
        let own = Some(QueueAddress::new(OWN));
        Queues::new(QueueSettings { default: default.map(QueueAddress::new), own, colors: false })
    }

    fn row(target: RouteTarget) -> RouteRow {
        RouteRow { key: "prod#g132".to_owned(), target, environment: None }
    }

    fn queue(name: &str) -> RouteTarget {
        RouteTarget::Queue(name.to_owned())
    }

    fn url(url: &str) -> RouteTarget {
        RouteTarget::Url(url.to_owned())
    }

    /// Where a request goes from a node that lacks the compiler, is busy, and is free.
    fn destinations(row: Option<RouteRow>, default: Option<&str>) -> [String; 3] {
        let queues = queues(default);
        let route = Route::read(row, &queues).unwrap();
        [Here::Lacking, Here::Busy, Here::Free].map(|here| match route.destination(&queues, here) {
            Destination::Here => "here".to_owned(),
            Destination::Queue(queue) => format!("queue {}", queue.name()),
            Destination::Url(url) => url.to_string(),
            Destination::Nowhere => "nowhere".to_owned(),
        })
    }

    #[test]
    fn every_row_at_every_node() {
        let gpu = "https://gpu.example/api/compiler/nvcc130/compile";
        for (row, default, expected) in [
            (Some(row(queue("own"))), None, ["queue own", "queue own", "here"]),
            (Some(row(queue("own"))), Some(DEFAULT), ["queue own", "queue own", "here"]),
            (Some(row(queue("other"))), Some(DEFAULT), ["queue other"; 3]),
            (Some(row(url(gpu))), Some(DEFAULT), [gpu; 3]),
            (Some(row(RouteTarget::DefaultQueue)), Some(DEFAULT), ["queue default.fifo"; 3]),
            (Some(row(RouteTarget::DefaultQueue)), Some(OWN), ["queue own.fifo", "queue own.fifo", "here"]),
            (Some(row(RouteTarget::DefaultQueue)), None, ["nowhere", "here", "here"]),
            (None, None, ["nowhere", "here", "here"]),
            (None, Some(DEFAULT), ["queue default.fifo", "here", "here"]),
            (None, Some(OWN), ["queue own.fifo", "here", "here"]),
        ] {
            assert_eq!(destinations(row.clone(), default), expected, "{row:?} {default:?}");
        }
    }

    #[test]
    fn a_queue_needs_another_beside_it() {
        let nowhere = Queues::new(QueueSettings::default());
        let read = |target| Route::read(Some(row(target)), &nowhere);
        let error = read(queue("jobs")).unwrap_err().to_string();
        assert!(
            error.ends_with(
                "nobody knows where queue jobs is; set queues.default or queues.own, it is beside them"
            ),
            "{error}"
        );
        assert!(read(url("https://gpu.example/compile")).is_ok());
        assert_eq!(
            read(RouteTarget::DefaultQueue).unwrap().destination(&nowhere, Here::Free),
            Destination::Here
        );
    }

    #[test]
    fn a_row_that_makes_no_sense_is_an_error_and_no_destination() {
        for (target, wrong) in [
            (queue("../2/secret"), "no queue can be called \"../2/secret\""),
            (queue("https://elsewhere/1/q"), "no queue can be called"),
            (queue(&"x".repeat(81)), "no queue can be called"),
            (queue(&"é".repeat(200_000)), "éé\"…"),
            (url("gpu.example/compile"), "is no URL of a service"),
            (url("/api/compiler/x/compile"), "is no URL of a service"),
            (url("ftp://gpu.example/compile"), "is no URL of a service"),
            (url("file:///etc/passwd"), "is no URL of a service"),
            (url("https://user:word@gpu.example/compile"), "is no URL of a service"),
            (url("https:///compile"), "is no URL of a service"),
            (url("https://gpu.example/a b"), "is no URL of a service"),
            (url(""), "is no URL of a service"),
        ] {
            let error = Route::read(Some(row(target.clone())), &queues(Some(DEFAULT))).unwrap_err();
            assert!(error.to_string().contains(wrong), "{target:?}: {error}");
            assert!(error.to_string().len() < 300, "{error}");
            assert!(matches!(error, LookupError::Malformed { key, .. } if key == "prod#g132"), "{target:?}");
        }
    }
}
