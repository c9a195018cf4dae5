//! The page over documents of our making: what is odd, what is hostile, what is empty and what is full.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use compilation_worker::doors::admin::status::{Hub, Now, Past, Queue, Request, Status};
use compilation_worker::doors::admin::{self, Controls};
use compilation_worker::doors::health::Health;
use compilation_worker::lifecycle::Phase;
use compilation_worker::telemetry::history::Sample;
use tokio::sync::oneshot;

use crate::support::browser::Browser;
use crate::support::client::{Client, get};
use crate::support::house::vitals;
use crate::support::status::{request, status, well};

const HOSTILE: &str =
    "</td><script>document.title='broken'</script><img src=x onerror=\"document.title='broken'\">";

/// The operator's door, telling what a test puts there.
struct Door {
    address: SocketAddr,
    told: Arc<Mutex<Status>>,
    close: oneshot::Sender<()>,
    thread: std::thread::JoinHandle<()>,
}

impl Door {
    fn open(status: Status) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let told = Arc::new(Mutex::new(status));
        let telling = Arc::clone(&told);
        let controls = Controls {
            health: Health::new(|| vitals(false)),
            metrics: Box::new(String::new),
            status: Box::new(move || telling.lock().unwrap().clone()),
            tasks: Box::new(Vec::new),
            reload: Box::new(|| Box::pin(async { Ok(String::new()) })),
            pause: Box::new(|_| Box::pin(async { Ok(String::new()) })),
            drain: Box::new(|| {}),
            clear_caches: Box::new(|| {}),
        };
        let (close, closing) = oneshot::channel();
        let thread = admin::open(listener, controls, async move { closing.await.unwrap() }).unwrap();
        Self { address, told, close, thread }
    }

    fn tell(&self, status: Status) {
        *self.told.lock().unwrap() = status;
    }

    fn page(&self) -> String {
        format!("http://{}/admin/", self.address)
    }

    fn close(self) {
        self.close.send(()).unwrap();
        self.thread.join().unwrap();
    }
}

/// A quarter of an hour with everything in it, and a hundred requests whose callers mean no good.
fn full(mut now: Now) -> Status {
    let end = now.time.parse::<jiff::Timestamp>().unwrap().as_millisecond();
    let samples = (0..180_u32).map(|number| {
        let mut figures = now.lately.clone();
        figures.seconds = 5.0;
        figures.requests = u64::from(number % 40);
        figures.failed = u64::from(number % 60 == 0);
        let busy = number % 40 > 0;
        figures.request_p50_ms = busy.then_some(f64::from(number) / 7.0 + 0.3);
        figures.request_p95_ms = busy.then_some(f64::from(number) * 3.0 + 20.0);
        figures.request_p99_ms = busy.then_some(20_000.0);
        Sample {
            time_ms: end - 5000 * i64::from(180 - number),
            figures,
            slots_busy: f64::from(number % 3),
            waiting: number as usize % 5,
            connections: 4,
            resident_bytes: 1 << 26,
        }
    });
    let samples = samples.collect();
    let hostile = Request { compiler: Some(HOSTILE.to_owned()), id: Some(HOSTILE.to_owned()), ..request() };
    HOSTILE.clone_into(&mut now.instance);
    HOSTILE.clone_into(&mut now.compilers.named[0].name);
    // Longer than a minute: a figure of two units.
    now.lately.request_p95_ms = Some(65_400.0);
    now.lately.compile_p95_ms = Some(3_700_000.0);
    now.queue = Some(Queue { name: HOSTILE.to_owned(), messages: [("done", 4), ("buried", 0)].into() });
    let (connections, subscriptions, offers, offers_bytes) = (1, 2, 3, 2048);
    now.hub = Some(Hub {
        connections,
        subscriptions,
        offers,
        offers_bytes,
        connections_made: 1,
        results_repeated: 0,
    });
    let long =
        Request { compiler: Some("x".repeat(128)), status: Some(503), job: Some("rejected"), ..request() };
    let recent = [vec![hostile; 50], vec![long; 50]].concat();
    Status::new(now, recent, Past { period_seconds: 5, most: 180, samples })
}

/// Where each part of the page begins, below the problems.
const PLACES: &str = "[...document.querySelectorAll('main > *, figure, svg.plot')]\
                      .map((part) => Math.round(part.getBoundingClientRect().top)).join()";

#[tokio::test]
async fn whatever_it_is_told_it_keeps_its_shape_and_runs_nothing() {
    let door = Door::open(status(well()));
    let Some(mut browser) = Browser::start().await else { return };
    for (width, scheme) in [(800, "dark"), (1280, "light"), (1600, "dark")] {
        door.tell(status(well()));
        browser.go(&door.page(), width, scheme).await;
        browser.until("document.body?.dataset.state === 'serving'").await;
        assert_eq!(browser.text("uptime").await, "1 h 2 min");
        assert_eq!(browser.text("requests").await, "0.00 /s");
        assert_eq!(browser.text("queue-more").await, "no queue is ours");
        assert_eq!(browser.text("recent-empty").await, "None yet.");
        let places = browser.ask(PLACES).await;
        door.tell(full(well()));
        browser.ask("read()").await;
        assert_eq!(browser.text("instance").await, HOSTILE);
        assert_eq!(browser.text("request-time").await, "1 min 5 s");
        assert_eq!(browser.text("compile-time").await, "1 h 1 min");
        assert_eq!(browser.ask(PLACES).await, places, "something jumps at {width}");
        let fits = "document.documentElement.scrollWidth <= innerWidth";
        assert_eq!(browser.ask(fits).await, true, "it is wider than {width}");
        let drawn = "[...document.querySelectorAll('svg.plot')].map((plot) => plot.querySelectorAll('.series[d]').length)\
                     .join()";
        assert_eq!(browser.ask(drawn).await, "3,3,3,2");
        let ground = browser.ask("getComputedStyle(document.body).backgroundColor").await;
        assert_eq!(ground, if scheme == "dark" { "rgb(14, 19, 25)" } else { "rgb(244, 246, 248)" });
    }
    let cells = "[...document.querySelectorAll('#recent tr:first-child td')].map((cell) => cell.textContent)";
    let cells = browser.ask(cells).await;
    assert_eq!((&cells[0], &cells[3], &cells[9]), (&"03:04:05.000".into(), &HOSTILE.into(), &HOSTILE.into()));
    for nothing in ["main img", "main script", "td *", "h1 img"] {
        let found = browser.ask(&format!("document.querySelectorAll(\"{nothing}\").length")).await;
        assert_eq!(found, 0, "{nothing}");
    }
    let title = browser.ask("document.title").await;
    assert!(title.as_str().unwrap().starts_with("serving · "), "{title}");

    browser.ask("plots[0].svg.dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowLeft' }))").await;
    let told = browser.ask("plots[0].svg.getAttribute('aria-label')").await;
    assert_eq!(told, "Requests per second: all 3.60, no room 0.00, failed 0.00");
    let captioned = "[...document.querySelectorAll('table')].every((table) => table.caption?.textContent)";
    assert_eq!(browser.ask(captioned).await, true);
    assert_eq!(browser.ask("document.querySelector('[aria-live]')").await, serde_json::Value::Null);

    let mut ill = well();
    ill.trouble = Some("a job is stuck since 99 s".to_owned());
    ill.slots.waiting = 3;
    ill.slots.busy = 2;
    door.tell(status(ill.clone()));
    browser.ask("read()").await;
    assert_eq!(browser.text("state").await, "trouble");
    let classes = "[...document.querySelectorAll('#problems li')].map((item) => item.className).join()";
    assert_eq!(browser.ask(classes).await, "trouble,warning");
    let mut paused = well();
    paused.paused_by = vec!["operator"];
    door.tell(status(paused));
    browser.ask("read()").await;
    assert_eq!(browser.text("state").await, "paused");
    ill.phase = Phase::Draining;
    door.tell(status(ill));
    browser.ask("read()").await;
    assert_eq!(browser.text("state").await, "draining");

    assert_eq!(browser.complaints, Vec::<String>::new());
    // What would run if it came to stand in the page is stopped by the policy, and told of.
    browser
        .ask("document.body.append(Object.assign(document.createElement('script'), { text: 'broken = 1' }))")
        .await;
    assert_eq!(browser.ask("typeof broken").await, "undefined");
    browser.until("true").await;
    assert!(
        browser.complaints.iter().any(|one| one.contains("Content Security Policy")),
        "{:?}",
        browser.complaints
    );
    browser.close().await;
    door.close();
}

#[tokio::test]
async fn it_lets_in_nothing_from_elsewhere() {
    let door = Door::open(status(well()));
    let mut client = Client::connect(door.address).await;
    let mut policies = Vec::new();
    for path in ["/admin/", "/admin"] {
        let page = client.ask(get(path, "")).await;
        assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(page.header("x-frame-options"), Some("DENY"));
        assert_eq!(page.header("cache-control"), Some("no-store"));
        let policy = page.header("content-security-policy").unwrap().to_owned();
        let nonce = policy.split("script-src 'nonce-").nth(1).unwrap().split('\'').next().unwrap();
        let rest = policy.replace(nonce, "N");
        assert_eq!(
            rest,
            "default-src 'none'; script-src 'nonce-N'; style-src 'nonce-N'; connect-src 'self'; img-src data:; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        );
        let text = page.text();
        assert_eq!(text.matches(&format!("nonce=\"{nonce}\"")).count(), 2);
        assert_eq!(text.matches("<script").count() + text.matches("<style").count(), 2);
        for banned in [
            "innerHTML",
            "outerHTML",
            "insertAdjacent",
            "document.write",
            "eval(",
            "style=",
            "onclick",
            "https:",
        ] {
            assert!(!text.contains(banned), "{banned}");
        }
        let foreign = text.replace("http://www.w3.org/2000/svg", "").replace("http://ADDRESS/", "");
        assert!(!foreign.contains("//www") && !foreign.contains("http:"), "it names another place");
        assert!(text.len() < 64 * 1024, "{} bytes", text.len());
        policies.push(policy);
    }
    assert_ne!(policies[0], policies[1], "the number can be guessed");
    let told = client.ask(get("/admin/status", "")).await;
    assert_eq!(told.header("content-type"), Some("application/json; charset=utf-8"));
    assert_eq!(told.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(told.header("cross-origin-resource-policy"), Some("same-origin"));
    let told = told.json();
    for (member, value) in
        [("state", "serving"), ("phase", "serving"), ("version", "1.2.3"), ("instance", "i-0123")]
    {
        assert_eq!(told[member], value, "{member}");
    }
    assert_eq!((&told["slots"]["busy"], &told["queue"]), (&1.into(), &serde_json::Value::Null));
    door.close();
}
