//! What today's router answers when something fails, and what ours does, row by row (contract-cloud 1.7; decision D26).

use std::collections::BTreeSet;
use std::time::Duration;

use axum::Router as Routes;
use axum::response::IntoResponse as _;
use futures_util::future::join_all;
use http::StatusCode;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::sources;
use super::todays_worker::TodaysWorker;
use super::yard::{TABLE, Yard};
use crate::support::bed::{Call, Fault, queue_row, url_row};
use crate::support::client::{Client, Reply, get, post};
use crate::support::daemon::Daemon;

/// Seconds from a request's arrival to its answer: 55 outside of this test.
const BUDGET: &str = "3";
/// How long all rows together may take.
const PATIENCE: Duration = Duration::from_secs(25);
const JSON: &str = "Content-Type: application/json\r\nAccept: application/json\r\n";
const WHOLE: &str = r#"{"source":"int x;","options":{}}"#;

/// One row.
struct Row {
    /// When.
    when: &'static str,
    /// Status and words of today's router.
    today: (u16, &'static str),
    /// Who says what is ours.
    by: &'static str,
    /// Our status.
    ours: u16,
    /// Our words.
    body: Body,
    /// How a test comes to see it.
    seen: Seen,
}

/// What the body looks like, and what its text begins with.
#[derive(Debug, Clone, Copy)]
enum Body {
    /// The compile API's: `{"error":true,"message":…}`.
    Compile(&'static str),
    /// All others': `{"error":…}`.
    Plain(&'static str),
    /// A result with code -1, and this on its standard error.
    Failed(&'static str),
    /// A result.
    Listing,
    /// Exactly what the other service said.
    Passed(&'static str),
}

/// How a row is shown.
#[derive(Clone, Copy)]
enum Seen {
    /// By asking this router this.
    Asking(Place, fn() -> Vec<u8>),
    /// By another test.
    Elsewhere(&'static str),
}

/// A router with a fault of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The overflow bucket refuses, the results bucket is away; all else is well.
    Usual,
    /// Nobody listens where the hub should be.
    Hubless,
    /// The table cannot be read.
    Tableless,
    /// The live color cannot be read.
    Colorless,
    /// Nobody has configured a table or a queue.
    Queueless,
    /// The results bucket gives anything but results.
    Torn,
}

const PLACES: [Place; 6] =
    [Place::Usual, Place::Hubless, Place::Tableless, Place::Colorless, Place::Queueless, Place::Torn];

const ROWS: &[Row] = &[
    Row {
        when: "subscribe failed: the socket is down",
        today: (500, "Failed to setup result subscription: "),
        by: "D26: wait within the budget, then 503",
        ours: 503,
        body: Body::Compile("Failed to setup result subscription: "),
        seen: Seen::Asking(Place::Hubless, || compile("far", WHOLE)),
    },
    Row {
        when: "the same, but the compiler is behind a URL, which needs no socket",
        today: (500, "Failed to setup result subscription: "),
        by: "D15",
        ours: 418,
        body: Body::Passed("short and stout"),
        seen: Seen::Asking(Place::Hubless, || compile("teapot", WHOLE)),
    },
    Row {
        when: "the queue did not take the job",
        today: (500, "Failed to queue compilation request: "),
        by: "D17: told without the queue's URL",
        ours: 503,
        body: Body::Compile("Failed to queue compilation request: "),
        seen: Seen::Asking(Place::Usual, || compile("refused", WHOLE)),
    },
    Row {
        when: "the queue does not exist",
        today: (500, "Failed to queue compilation request: "),
        by: "D17",
        ours: 503,
        body: Body::Compile("Failed to queue compilation request: "),
        seen: Seen::Asking(Place::Usual, || compile("lost", WHOLE)),
    },
    Row {
        when: "the overflow bucket did not take the job",
        today: (500, "Failed to queue compilation request: "),
        by: "D10, D17",
        ours: 503,
        body: Body::Compile("Failed to queue compilation request: "),
        seen: Seen::Asking(Place::Usual, || compile("far", large(300_000))),
    },
    Row {
        when: "no queue URL",
        today: (500, "Failed to queue compilation request: "),
        by: "D14: without a row, a compiler and a queue, 404",
        ours: 404,
        body: Body::Compile("Not Found: there is no compiler \"far\""),
        seen: Seen::Asking(Place::Queueless, || compile("far", WHOLE)),
    },
    Row {
        when: "no result in time",
        today: (408, "Compilation timeout: No response received within "),
        by: "D3: counted from arrival",
        ours: 408,
        body: Body::Compile("Compilation timeout: No response received within "),
        seen: Seen::Asking(Place::Usual, || compile("unserved", WHOLE)),
    },
    Row {
        when: "any other failure while waiting: what lies in the bucket is no result",
        today: (500, "Failed to complete compilation: "),
        by: "D26",
        ours: 502,
        body: Body::Compile("An internal error has occurred while retrieving the compilation result"),
        seen: Seen::Asking(Place::Torn, || compile("far", r#"{"source":"lines 1000","options":{}}"#)),
    },
    Row {
        when: "the URL cannot be reached",
        today: (502, "Failed to forward request: "),
        by: "D15",
        ours: 502,
        body: Body::Compile("Failed to forward request: the service cannot be reached"),
        seen: Seen::Asking(Place::Usual, || compile("gone", WHOLE)),
    },
    Row {
        when: "the URL does not answer in time",
        today: (502, "Failed to forward request: Request timeout to "),
        by: "D15, D17: told without the URL",
        ours: 502,
        body: Body::Compile("Failed to forward request: the service did not answer in time"),
        seen: Seen::Asking(Place::Usual, || compile("silent", WHOLE)),
    },
    Row {
        when: "the URL answered with any status",
        today: (418, "as upstream"),
        by: "D15",
        ours: 418,
        body: Body::Passed("short and stout"),
        seen: Seen::Asking(Place::Usual, || compile("teapot", WHOLE)),
    },
    Row {
        when: "the table cannot be read, and nothing is known from before",
        today: (200, "the default queue, whose workers may not have the compiler"),
        by: "D14",
        ours: 503,
        body: Body::Compile("could not find out where far is served"),
        seen: Seen::Asking(Place::Tableless, || compile("far", WHOLE)),
    },
    Row {
        when: "the row makes no sense",
        today: (500, "Internal server error: "),
        by: "D14",
        ours: 503,
        body: Body::Compile("could not find out where odd is served"),
        seen: Seen::Asking(Place::Usual, || compile("odd", WHOLE)),
    },
    Row {
        when: "the live color cannot be read, and is not known from before",
        today: (200, "the blue queue, which may have no workers"),
        by: "D13, D14",
        ours: 503,
        body: Body::Compile("could not find out which color is live"),
        seen: Seen::Asking(Place::Colorless, || compile("far", WHOLE)),
    },
    Row {
        when: "anything unforeseen",
        today: (500, "Internal server error: "),
        by: "D26: and not a word of what it was",
        ours: 500,
        body: Body::Failed("Internal Compiler Explorer error: internal error, request "),
        seen: Seen::Elsewhere("http::statuses::a_panic_costs_one_request"),
    },
    Row {
        when: "malformed JSON",
        today: (502, "Internal server error"),
        by: "D26",
        ours: 400,
        body: Body::Compile("invalid JSON at byte 10: "),
        seen: Seen::Asking(Place::Usual, || compile("far", r#"{"source":"#)),
    },
    Row {
        when: "a body that is too large, for a queue",
        today: (502, "Internal server error"),
        by: "D17",
        ours: 413,
        body: Body::Compile("the request body is larger than the 1048576 bytes allowed"),
        seen: Seen::Asking(Place::Usual, || compile("far", large(2 << 20))),
    },
    Row {
        when: "a body that is too large, for a URL",
        today: (502, "Internal server error"),
        by: "D15, D17",
        ours: 413,
        body: Body::Compile("the request body is larger than the 1048576 bytes allowed"),
        seen: Seen::Asking(Place::Usual, || compile("teapot", large(2 << 20))),
    },
    Row {
        when: "a charset that nobody knows",
        today: (502, "Internal server error"),
        by: "D17",
        ours: 415,
        body: Body::Compile("the charset \"utf-7\" is not accepted"),
        seen: Seen::Asking(Place::Usual, || {
            post(&path("far"), "Content-Type: application/json; charset=utf-7\r\n", WHOLE)
        }),
    },
    Row {
        when: "a form of more than 1000 fields",
        today: (502, "Internal server error"),
        by: "D18: what is no JSON is a source",
        ours: 200,
        body: Body::Listing,
        seen: Seen::Asking(Place::Usual, || {
            let form = "Content-Type: application/x-www-form-urlencoded\r\nAccept: application/json\r\n";
            post(&path("far"), form, "a=b&".repeat(1001))
        }),
    },
    Row {
        when: "bad percent-encoding",
        today: (502, "Internal server error"),
        by: "D17, D26: such a path leads nowhere",
        ours: 404,
        body: Body::Plain("Not Found"),
        seen: Seen::Asking(Place::Usual, || post("/api/compiler/%f/compile", JSON, WHOLE)),
    },
    Row {
        when: "no route",
        today: (404, "HTML"),
        by: "D26",
        ours: 404,
        body: Body::Plain("Not Found"),
        seen: Seen::Asking(Place::Usual, || post("/api/compiler/far", JSON, WHOLE)),
    },
    Row {
        when: "another environment's prefix",
        today: (200, "the prefix is not looked at"),
        by: "D1",
        ours: 404,
        body: Body::Plain("Not Found: that is not this worker's environment"),
        seen: Seen::Asking(Place::Usual, || post("/staging/api/compiler/far/compile", JSON, WHOLE)),
    },
    Row {
        when: "the wrong method",
        today: (404, "HTML"),
        by: "D17",
        ours: 405,
        body: Body::Compile("method not allowed"),
        seen: Seen::Asking(Place::Usual, || get(&path("far"), "").into_bytes()),
    },
    Row {
        when: "the worker does not have the compiler",
        today: (200, "Compiler with ID nope not found for language undefined"),
        by: "D16: what a worker says is passed on",
        ours: 200,
        body: Body::Failed("Compiler with ID nope not found for language undefined"),
        seen: Seen::Asking(Place::Usual, || compile("nope", WHOLE)),
    },
    Row {
        when: "our worker was sent what is no job of its own",
        today: (200, "the error as a result of code -1"),
        by: "D16",
        ours: 200,
        body: Body::Failed("the error"),
        seen: Seen::Elsewhere("queue::refuses::what_is_wrong_with_a_job_is_its_result"),
    },
    Row {
        when: "the job is not what a worker takes",
        today: (200, "the error as a result of code -1"),
        by: "D17, D26: told here and now, as the native service does",
        ours: 400,
        body: Body::Compile("options.userArguments must be a string or an array of strings"),
        seen: Seen::Asking(Place::Usual, || compile("far", r#"{"source":"","options":{"userArguments":5}}"#)),
    },
    Row {
        when: "the result cannot be fetched",
        today: (200, "An internal error has occurred while retrieving the compilation result"),
        by: "D26: no failure of ours is a result",
        ours: 502,
        body: Body::Compile("An internal error has occurred while retrieving the compilation result"),
        seen: Seen::Asking(Place::Usual, || compile("far", r#"{"source":"lines 1000","options":{}}"#)),
    },
];

fn path(compiler: &str) -> String {
    format!("/prod/api/compiler/{compiler}/compile")
}

fn compile(compiler: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    post(&path(compiler), JSON, body)
}

/// A whole request of at least so many bytes.
fn large(bytes: usize) -> String {
    json!({ "source": "x".repeat(bytes), "options": {} }).to_string()
}

/// What fails, for everybody who asks for it.
fn fault(call: &Call) -> Fault {
    let down = Fault::Refuse(500, "InternalError", "We encountered an internal error");
    match (call.verb.as_str(), call.what.as_str()) {
        ("GetItem", "Unreadable") => Fault::THROTTLED,
        // A queue, and a parameter.
        (_, what) if what.contains("/refused") => down,
        ("PUT", what) if what.starts_with("temp-storage/") => down,
        ("GET", what) if what.starts_with("away/") => down,
        ("GET", what) if what.starts_with("torn/") => Fault::Garbage(200),
        _ => Fault::None,
    }
}

/// A service that answers some, and others not.
async fn service(tasks: &mut JoinSet<()>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = async |uri: http::Uri| {
        if uri.path().starts_with("/silent") {
            sleep(PATIENCE).await;
        }
        (StatusCode::IM_A_TEAPOT, "short and stout").into_response()
    };
    tasks.spawn(async move { axum::serve(listener, Routes::new().fallback(answer)).await.unwrap() });
    format!("http://{address}")
}

impl Place {
    async fn router(self, yard: &Yard) -> Daemon {
        let table = format!("--routing-table={TABLE}");
        let queue = format!("--queues-default={}", yard.queue);
        let own: &[&str] = match self {
            Self::Usual => &[&table, &queue, "--storage-results-bucket=away"],
            Self::Hubless => &[&table, &queue, "--events-url=ws://127.0.0.1:1"],
            Self::Tableless => &["--routing-table=Unreadable", &queue],
            Self::Colorless => &[&table, &queue, "--queues-colours", "--aws-color-parameter=/refused"],
            Self::Queueless => &[],
            Self::Torn => &[&table, &queue, "--storage-results-bucket=torn"],
        };
        // Without a fleet, a worker without compilers is refused.
        let compilers = format!("--catalogue-discover={}", self == Self::Queueless);
        let budget = format!("--engine-request-budget={BUDGET}s");
        let all = [
            compilers.as_str(),
            "--http-body=1MiB",
            "--engine-queue-wait=1s",
            "--limits-wall=1s",
            budget.as_str(),
        ];
        let flags = all.iter().chain(own).map(|flag| (*flag).to_owned()).collect();
        yard.fleet.start(flags, None).await
    }
}

impl Row {
    /// Asks, if this row is for asking, and says what is wrong with the answer.
    async fn complaint(&self, routers: &[Daemon]) -> Option<String> {
        let Seen::Asking(place, request) = self.seen else { return None };
        let router = &routers[PLACES.iter().position(|known| *known == place).unwrap()];
        let mut client = Client::connect(router.http).await;
        // A body that is refused at once is not read to its end.
        let _refused_halfway = client.try_send(request()).await.is_err();
        let reply = client.reply().await;
        let wrong = self.wrong(&reply)?;
        Some(format!("{}: {wrong}: {} {}", self.when, reply.status, String::from_utf8_lossy(&reply.body)))
    }

    fn wrong(&self, reply: &Reply) -> Option<&'static str> {
        if reply.status != self.ours {
            return Some("another status");
        }
        if reply.header("access-control-allow-origin") != Some("*") || reply.header("x-request-id").is_none()
        {
            return Some("a header is missing");
        }
        if reply.header("retry-after").is_some() != (self.ours == 503) {
            return Some("Retry-After is for those who should come again");
        }
        if ["fifo", "127.0.0.1", "storage", "away", "torn"].iter().any(|secret| reply.text().contains(secret))
        {
            return Some("it tells what is not the client's to know");
        }
        if let Body::Passed(body) = self.body {
            return (reply.text() != body).then_some("not what the service said");
        }
        if reply.header("content-type") != Some("application/json; charset=utf-8") {
            return Some("not JSON");
        }
        let told = reply.json();
        let (text, begins) = match self.body {
            Body::Compile(begins) if told["error"] == true => (&told["message"], begins),
            Body::Plain(begins) => (&told["error"], begins),
            Body::Failed(begins) if told["code"] == -1 => (&told["stderr"][0]["text"], begins),
            Body::Listing => return (told["code"] != 0).then_some("no listing"),
            _ => return Some("another shape"),
        };
        let fits = text.as_str().is_some_and(|text| text.starts_with(begins));
        (!fits).then_some("another text")
    }
}

#[tokio::test]
async fn every_row_has_its_status_its_shape_and_its_words() {
    let yard = Yard::open().await;
    let mut tasks = JoinSet::new();
    let service = service(&mut tasks).await;
    for queue in ["refused.fifo", "unserved.fifo"] {
        yard.bed().queue(queue);
    }
    for (compiler, row) in [
        ("refused", queue_row("refused")),
        ("lost", queue_row("lost")),
        ("unserved", queue_row("unserved")),
        ("gone", url_row("http://127.0.0.1:1/compile")),
        ("silent", url_row(&format!("{service}/silent/compile"))),
        ("teapot", url_row(&format!("{service}/compile"))),
        ("odd", json!({ "queueName": { "N": "7" } })),
    ] {
        yard.bed().route(TABLE, &format!("prod#{compiler}"), row);
    }
    yard.bed().faults(fault);
    let routers = join_all(PLACES.map(|place| place.router(&yard))).await;
    let worker = TodaysWorker::open(&yard, 0).await;
    let asking = worker.during(join_all(ROWS.iter().map(|row| row.complaint(&routers))));
    let complaints: Vec<String> =
        timeout(PATIENCE, asking).await.expect("not answered").into_iter().flatten().collect();
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn every_row_is_shown() {
    let elsewhere = ROWS.iter().filter_map(|row| match row.seen {
        Seen::Elsewhere(test) => Some(test),
        Seen::Asking(..) => None,
    });
    assert_eq!(sources::missing(elsewhere), Vec::<&str>::new());
    for Row { when, by, .. } in ROWS {
        assert!(by.starts_with('D'), "{when} is decided by nobody");
    }
    let todays: BTreeSet<u16> = ROWS.iter().map(|row| row.today.0).collect();
    assert_eq!(todays.into_iter().collect::<Vec<_>>(), [200, 404, 408, 418, 500, 502]);
}
