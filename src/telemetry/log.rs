//! Logs: one line per event on standard error, JSON for machines, colour for a terminal.
//!
//! A log line must never hold up a request, whatever reads our standard error. Lines are formatted where they happen,
//! appended to a bounded buffer, and written in batches by one thread ([`Log::pump`]). A reader too slow for that
//! loses lines, and is told how many. Until the pump runs, as in short commands, each line is written at once.

use std::io::{self, IsTerminal, Write};
use std::panic::PanicHookInfo;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{fmt, mem, panic};

use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt as format};

use crate::telemetry::fields;

/// Bytes of lines that may wait for the pump: a second of the heaviest load we know (40,000 lines of 250 bytes)
/// would be 10 MB, and the pump takes them in milliseconds, so this much waiting means that the reader has stopped.
const BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// How long the pump rests after a batch. Waking it for every line would cost as much as writing the line.
const REST: Duration = Duration::from_millis(5);

/// How long the end waits for the pump to write what is left, before it leaves a stuck reader to itself.
const LAST_FLUSH: Duration = Duration::from_secs(1);

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// Pretty on a terminal, otherwise JSON.
    #[default]
    Auto,
    /// One JSON object per line.
    Json,
    /// For people.
    Pretty,
}

/// What to log and how.
#[derive(Debug, Clone)]
pub struct LogSettings {
    /// How lines look.
    pub format: Format,
    /// A level, or a list such as `info,hyper=warn`.
    pub filter: String,
}

/// Why logging could not start.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter makes no sense.
    #[error("could not read the log filter {filter:?}; write a level such as info, or info,hyper=warn")]
    Filter {
        /// As given.
        filter: String,
        /// What is wrong with it.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    /// Something else already takes the events.
    #[error("could not start logging twice in one process")]
    Twice(#[source] tracing_subscriber::util::TryInitError),
}

/// The live log. Dropping it writes what still waits.
#[derive(Debug)]
pub struct Log(Arc<Spool>);

/// Where formatted lines wait.
#[derive(Debug)]
struct Spool {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
    /// Told when the pump has ended.
    pump_ended: Condvar,
    /// Taken before `waiting` by whoever writes, so that batches keep their order.
    out: Mutex<Out>,
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: Vec<u8>,
    /// Lines dropped and not yet owned up to.
    unreported: u64,
    pumped: bool,
    /// The pump sleeps until somebody wakes it.
    asleep: bool,
    closed: bool,
}

struct Out(Box<dyn Write + Send>);

/// The promise that somebody pumps; its drop, run or not, takes it back.
struct Pump(Arc<Spool>);

/// What the formatter writes one event to.
#[derive(Debug, Clone)]
struct Line(Arc<Spool>);

/// Starts logging to standard error for the whole process, panics included.
pub fn start(settings: &LogSettings) -> Result<Log, LogError> {
    let filter = parse_filter(&settings.filter)?;
    let spool = Spool::new(Box::new(io::stderr()));
    let line = Line(Arc::clone(&spool));
    let layer = if settings.format.is_json(io::stderr().is_terminal()) {
        format::layer().json().flatten_event(true).with_span_list(false).with_writer(line).boxed()
    } else {
        format::layer().with_ansi(io::stderr().is_terminal()).with_writer(line).boxed()
    };
    tracing_subscriber::registry().with(layer.with_filter(filter)).try_init().map_err(LogError::Twice)?;
    panic::set_hook(Box::new(log_panic));
    Ok(Log(spool))
}

/// The line by which a process that has no log yet, or none any more, says why it ends: as the log would, in JSON.
pub fn last_line(message: &str) -> String {
    let (timestamp, message) = (jiff::Timestamp::now(), serde_json::Value::from(message));
    let target = env!("CARGO_CRATE_NAME");
    format!(r#"{{"timestamp":"{timestamp:.6}","level":"ERROR","message":{message},"target":"{target}"}}"#)
}

/// Checks a filter without starting anything.
pub fn parse_filter(filter: &str) -> Result<Targets, LogError> {
    filter.parse().map_err(|source| LogError::Filter { filter: filter.to_owned(), source })
}

impl Log {
    /// The pump, to be run on a thread of its own; it ends when the log is dropped.
    pub fn pump(&self) -> impl FnOnce() + Send + 'static {
        let pump = Pump(Arc::clone(&self.0));
        pump.0.waiting().pumped = true;
        move || pump.0.pump()
    }

    /// Lines lost so far.
    pub fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let mut waiting = self.0.waiting();
        waiting.closed = true;
        self.0.arrived.notify_all();
        let ended = self.0.pump_ended.wait_timeout_while(waiting, LAST_FLUSH, |waiting| waiting.pumped);
        let (waiting, _) = ended.unwrap_or_else(PoisonError::into_inner);
        let stuck = waiting.pumped;
        drop(waiting);
        if !stuck {
            self.0.flush();
        }
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        self.0.waiting().pumped = false;
        self.0.pump_ended.notify_all();
    }
}

impl Format {
    /// Whether lines are JSON for this kind of reader.
    pub const fn is_json(self, at_terminal: bool) -> bool {
        match self {
            Self::Auto => !at_terminal,
            Self::Json => true,
            Self::Pretty => false,
        }
    }
}

impl FromStr for Format {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "json" => Ok(Self::Json),
            "pretty" => Ok(Self::Pretty),
            _ => Err("a log format is auto, json or pretty"),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Json => "json",
            Self::Pretty => "pretty",
        })
    }
}

impl Spool {
    fn new(out: Box<dyn Write + Send>) -> Arc<Self> {
        Arc::new(Self {
            waiting: Mutex::default(),
            arrived: Condvar::new(),
            pump_ended: Condvar::new(),
            out: Mutex::new(Out(out)),
            dropped: AtomicU64::new(0),
        })
    }

    fn add(&self, line: &[u8]) {
        let mut waiting = self.waiting();
        if waiting.lines.len() + line.len() > BUFFER_BYTES {
            waiting.unreported += 1;
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        waiting.lines.extend_from_slice(line);
        let (pumped, asleep) = (waiting.pumped, mem::take(&mut waiting.asleep));
        drop(waiting);
        if asleep {
            self.arrived.notify_one();
        } else if !pumped {
            self.flush();
        }
    }

    fn pump(&self) {
        let mut closed = false;
        while !closed {
            let mut waiting = self.waiting();
            waiting.asleep = waiting.lines.is_empty();
            let idle = |waiting: &mut Waiting| waiting.lines.is_empty() && !waiting.closed;
            let mut waiting = self.arrived.wait_while(waiting, idle).unwrap_or_else(PoisonError::into_inner);
            waiting.asleep = false;
            drop(waiting);
            self.flush();
            let rested = self.arrived.wait_timeout_while(self.waiting(), REST, |waiting| !waiting.closed);
            closed = rested.unwrap_or_else(PoisonError::into_inner).0.closed;
        }
        self.flush();
    }

    fn flush(&self) {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        let mut waiting = self.waiting();
        let lines = mem::take(&mut waiting.lines);
        let unreported = mem::take(&mut waiting.unreported);
        drop(waiting);
        // Nobody is left to tell if standard error itself fails.
        let _lost = out.0.write_all(&lines).is_err();
        if unreported > 0 {
            let _lost =
                writeln!(out.0, "{{\"level\":\"WARN\",\"message\":\"{unreported} log lines were dropped\"}}")
                    .is_err();
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Out {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Out")
    }
}

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.add(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Line {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

fn log_panic(info: &PanicHookInfo<'_>) {
    let message = info.payload_as_str().unwrap_or("no message");
    let location = info.location().map(ToString::to_string).unwrap_or_default();
    tracing::error!(
        { fields::PANIC_MESSAGE } = message,
        { fields::PANIC_LOCATION } = location,
        { fields::THREAD_NAME } = std::thread::current().name(),
        "panic"
    );
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A reader that takes nothing until told to.
    struct Stuck(mpsc::Receiver<()>, Paper);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.recv().unwrap();
            self.1.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn events(line: &Line, json: bool) {
        let layer = if json {
            format::layer().json().flatten_event(true).with_span_list(false).with_writer(line.clone()).boxed()
        } else {
            format::layer().with_ansi(false).with_writer(line.clone()).boxed()
        };
        let filter = parse_filter("info,compilation_worker::text=debug").unwrap();
        let subscriber = tracing_subscriber::registry().with(layer.with_filter(filter));
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!({ fields::REQUEST_ID } = "r-1", { fields::WAITED_MS } = 3, "compiled");
            tracing::debug!("too fine");
        });
    }

    #[test]
    fn without_a_pump_lines_are_written_at_once() {
        let paper = Paper::default();
        let line = Line(Spool::new(Box::new(paper.clone())));
        events(&line, true);
        let text = String::from_utf8(paper.0.lock().unwrap().clone()).unwrap();
        let event: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(event["request.id"], "r-1");
        assert_eq!(event["waited_ms"], 3);
        assert_eq!(event["message"], "compiled");
        assert_eq!(event["level"], "INFO");
        paper.0.lock().unwrap().clear();
        events(&line, false);
        let text = String::from_utf8(paper.0.lock().unwrap().clone()).unwrap();
        assert!(text.contains("compiled request.id=\"r-1\" waited_ms=3"), "{text}");
    }

    #[test]
    fn the_pump_keeps_order_and_writes_everything_before_the_end() {
        let paper = Paper::default();
        let log = Log(Spool::new(Box::new(paper.clone())));
        let pump = thread::Builder::new().spawn(log.pump()).unwrap();
        for number in 0..1000 {
            log.0.add(format!("{number}\n").as_bytes());
        }
        drop(log);
        pump.join().unwrap();
        let text = String::from_utf8(paper.0.lock().unwrap().clone()).unwrap();
        assert!(text.lines().map(|line| line.parse::<u32>().unwrap()).eq(0..1000), "{text}");
    }

    #[test]
    fn a_reader_that_stops_loses_lines_and_holds_nobody() {
        let (open, gate) = mpsc::channel();
        let paper = Paper::default();
        let log = Log(Spool::new(Box::new(Stuck(gate, paper.clone()))));
        let pump = thread::Builder::new().spawn(log.pump()).unwrap();
        let line = [b'x'; 1024];
        // The pump may have taken a first batch out before it got stuck, so twice the buffer must overflow it.
        for _ in 0..3 * BUFFER_BYTES / line.len() {
            log.0.add(&line);
        }
        assert!(log.dropped() > 0);
        let dropped = log.dropped();
        for _ in 0..1000 {
            open.send(()).unwrap();
        }
        drop(log);
        pump.join().unwrap();
        let text = String::from_utf8(paper.0.lock().unwrap().clone()).unwrap();
        // Lines may be missing in several places; each place says how many.
        let said = text.match_indices(" log lines were dropped").map(|(end, _)| {
            let number = text[..end].rsplit('"').next().unwrap();
            number.parse::<u64>().unwrap()
        });
        assert_eq!(said.sum::<u64>(), dropped);
    }

    #[test]
    fn a_reader_that_is_stuck_for_ever_does_not_hold_the_end() {
        let (open, gate) = mpsc::channel();
        let paper = Paper::default();
        let log = Log(Spool::new(Box::new(Stuck(gate, paper.clone()))));
        let pump = thread::Builder::new().spawn(log.pump()).unwrap();
        log.0.add(b"first\n");
        let begun = tokio::time::Instant::now();
        drop(log);
        assert!(begun.elapsed() < 10 * LAST_FLUSH, "waited {:?}", begun.elapsed());
        assert_eq!(*paper.0.lock().unwrap(), b"");
        open.send(()).unwrap();
        pump.join().unwrap();
        assert_eq!(*paper.0.lock().unwrap(), b"first\n");
    }

    #[test]
    fn a_pump_that_never_runs_loses_nothing() {
        let paper = Paper::default();
        let log = Log(Spool::new(Box::new(paper.clone())));
        drop(log.pump());
        log.0.add(b"first\n");
        assert_eq!(*paper.0.lock().unwrap(), b"first\n");
    }

    #[test]
    fn filters_are_checked() {
        assert!(parse_filter("info").is_ok());
        assert!(parse_filter("warn,hyper=debug").is_ok());
        let error = parse_filter("info,hyper=loud").unwrap_err().to_string();
        assert!(error.contains("info,hyper=loud") && error.contains("write a level"), "{error}");
        assert_eq!("json".parse(), Ok(Format::Json));
        assert!("yaml".parse::<Format>().is_err());
        for (format, json) in [(Format::Auto, true), (Format::Json, true), (Format::Pretty, false)] {
            assert_eq!(format.is_json(false), json, "{format} into a file");
            assert_eq!(format.to_string().parse(), Ok(format));
        }
    }
}
