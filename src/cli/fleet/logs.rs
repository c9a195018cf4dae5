//! `fleet logs`: what the daemons log.

use std::io::{self, ErrorKind};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use clap::Args;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::aws::Event;
use crate::cli::operator::{self, Ground};
use crate::cli::out::{Streams, escaped};
use crate::cli::patience::{Operator, span};
use crate::cli::table::plain;
use crate::config::flags::OperatorFlags;
use crate::domain::trace::TraceId;
use crate::operate::fleet::events::{Follower, Level, Looked, MOST_PAGES, Wanted};
use crate::telemetry::fields;

/// Which events.
#[derive(Debug, Args)]
pub(super) struct Logs {
    /// Go on until Ctrl-C.
    #[arg(long, short)]
    follow: bool,
    /// From how long ago on.
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = span)]
    since: Duration,
    /// Of this instance alone.
    #[arg(long, value_name = "ID")]
    instance: Option<String>,
    /// Of this request alone, by the X-Request-Id of its reply.
    #[arg(long, value_name = "ID")]
    request: Option<String>,
    /// Of this trace alone, by what follows Root= in a request's X-Amzn-Trace-Id.
    #[arg(long, value_name = "ID", value_parser = trace)]
    trace: Option<String>,
    /// With this text in what they say.
    #[arg(long, value_name = "TEXT")]
    message: Option<String>,
    /// At least this grave: error, warn, info, debug or trace.
    #[arg(long, value_name = "LEVEL", value_parser = level)]
    level: Option<Level>,
    /// Print JSON, an event a line, as it was logged, with its instance.
    #[arg(long)]
    json: bool,
    /// How often to look while following.
    #[arg(long, value_name = "DURATION", default_value = "3s", value_parser = span)]
    every: Duration,
    #[command(flatten)]
    flags: OperatorFlags,
}

pub(super) fn help() -> String {
    operator::help(
        "fleet logs",
        "  compilation-worker fleet logs --follow --level warn\n  \
           compilation-worker fleet logs --since 1d --request 3f1c0f0e-6a0e-4b57-9d0f-2f2f6c1c9a11\n  \
           compilation-worker fleet logs --since 1h --trace 1-67891233-abcdef012345678912345678\n  \
           compilation-worker fleet logs --instance i-0123456789abcdef0 --json | jq -r .message\n\n\
         Following shows each event once; one that comes more than two minutes late is not seen. Ctrl-C ends it. One look \
         reads five hundred pages of up to a megabyte; what it leaves out is told, and following goes on there. Why a \
         daemon does not start is among them; what is no JSON, such as a last word of the C library, stays on the \
         instance: journalctl -u compilation-worker.",
    )
}

/// A trace's id, with or without what the header has before it, as the log has it.
fn trace(text: &str) -> Result<String, String> {
    let id = text.trim().strip_prefix("Root=").unwrap_or(text.trim());
    let odd = || "a trace is 1-, eight hexadecimal digits, - and twenty-four, as in 1-67891233-abcdef012345678912345678";
    TraceId::parse(id).map(|id| id.to_string()).ok_or_else(|| odd().to_owned())
}

fn level(name: &str) -> Result<Level, String> {
    Level::parse(name).ok_or_else(|| "a level is error, warn, info, debug or trace".to_owned())
}

impl Logs {
    pub(super) fn run(self, streams: &mut Streams) -> anyhow::Result<ExitCode> {
        let Self { follow, since, instance, request, trace, message, level, json, every, flags } = self;
        operator::run(flags, streams, async |ground: &Ground, streams: &mut Streams| {
            let ago = SignedDuration::try_from(since).unwrap_or(SignedDuration::MAX);
            let from = Timestamp::now().checked_sub(ago).unwrap_or(Timestamp::UNIX_EPOCH).as_millisecond();
            let wanted = Wanted { from, instance, request, trace, message, level };
            let mut follower = Follower::new(&ground.clients, &ground.config.fleet.log_group, wanted)?;
            let mut operator = Operator::listen()?;
            let mut seen_once = false;
            loop {
                let mut written = Ok(());
                let look = follower.look(|events| {
                    written = write(&events, json, streams);
                    written.is_ok()
                });
                let Some(looked) = operator.unless_enough(look).await else { break };
                match written {
                    // A reader that has gone away, as `head` does, wants no more.
                    Err(error) if error.kind() == ErrorKind::BrokenPipe => break,
                    other => other?,
                }
                match looked {
                    Ok(Looked::Partly) if follow => {
                        seen_once = true;
                        streams
                            .say(format_args!("{MOST_PAGES} pages were read and there are more: going on"));
                    }
                    Ok(Looked::Partly) => bail!(
                        "{MOST_PAGES} pages were read, and there are more, of which nothing is shown\n\
                         fix: ask for less with --since, --instance, --request, --trace or --level, or for all of it \
                         with --follow"
                    ),
                    Ok(Looked::Through | Looked::Enough) => seen_once = true,
                    Err(trouble) if follow && seen_once && trouble.fault.kind.may_pass() => {
                        streams.say(&trouble);
                    }
                    Err(trouble) => return Err(trouble.into()),
                }
                if !follow || !operator.pause(every).await {
                    break;
                }
            }
            Ok(ExitCode::SUCCESS)
        })
    }
}

fn write(events: &[Event], json: bool, streams: &mut Streams) -> io::Result<()> {
    for event in events {
        let mut line = if json { machine(event) } else { person(event) };
        line.push('\n');
        streams.out.write_all(line.as_bytes())?;
    }
    streams.out.flush()
}

/// An event for programs: as it was logged, with where and when.
fn machine(event: &Event) -> String {
    let said = serde_json::from_str::<Value>(&event.message).ok().filter(Value::is_object);
    let mut said = said.unwrap_or_else(|| json!({ "message": event.message }));
    said["instance"] = json!(event.stream);
    if said.get("timestamp").is_none() {
        said["timestamp"] = json!(moment(event));
    }
    escaped(said.to_string())
}

/// An event for people: when, where, how grave, what, and the rest of its fields.
fn person(event: &Event) -> String {
    let Event { stream, message, .. } = event;
    let Some(Value::Object(said)) = serde_json::from_str::<Value>(message).ok() else {
        return plain(&format!("{} {stream} {message}", moment(event)));
    };
    let text = |name: &str| said.get(name).and_then(Value::as_str).unwrap_or_default();
    let mut line = format!("{} {stream} {:<5} {}", moment(event), text("level"), text("message"));
    let span = said.get("span").and_then(Value::as_object);
    let own = said
        .iter()
        .filter(|(name, _)| !["level", "message", "timestamp", "target", "span"].contains(&name.as_str()));
    let inherited = span.into_iter().flatten().filter(|(name, _)| {
        [fields::REQUEST_ID, fields::TRACE_ID].contains(&name.as_str()) && !said.contains_key(*name)
    });
    for (name, value) in own.chain(inherited) {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        line.extend([" ", name, "=", &value]);
    }
    plain(&line)
}

fn moment(event: &Event) -> String {
    let at = Timestamp::from_millisecond(event.timestamp).unwrap_or(Timestamp::UNIX_EPOCH);
    at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(message: &str) -> Event {
        Event {
            stream: "i-1".to_owned(),
            timestamp: 1_700_000_000_123,
            message: message.to_owned(),
            ..Event::default()
        }
    }

    #[test]
    fn a_trace_is_read_as_the_header_has_it() {
        let id = "1-67891233-abcdef012345678912345678";
        assert_eq!(trace(&id.to_ascii_uppercase()).as_deref(), Ok(id));
        for text in [id, &format!("Root={id}"), &format!(" {id}\n")] {
            assert_eq!(trace(text).as_deref(), Ok(id), "{text}");
        }
        for odd in [
            "",
            "1",
            "1-2-3",
            &id[2..],
            &format!("{id}0"),
            &id.replace('a', "g"),
            &format!("Root={id};Sampled=1"),
        ] {
            assert!(trace(odd).unwrap_err().contains("1-67891233-"), "{odd}");
        }
    }

    #[test]
    fn people_and_programs_read_what_was_logged() {
        let logged = r#"{"timestamp":"t","level":"WARN","message":"slow\u001b[2J","waited_ms":3,"target":"x","span":{"request.id":"r-1","name":"call"}}"#;
        assert_eq!(
            person(&event(logged)),
            "2023-11-14T22:13:20.123Z i-1 WARN  slow [2J waited_ms=3 request.id=r-1"
        );
        assert_eq!(person(&event("dying\n")), "2023-11-14T22:13:20.123Z i-1 dying ");
        let read: Value = serde_json::from_str(&machine(&event(logged))).unwrap();
        assert_eq!((&read["instance"], &read["timestamp"]), (&json!("i-1"), &json!("t")));
        let read: Value = serde_json::from_str(&machine(&event("[1]"))).unwrap();
        assert_eq!(
            (&read["message"], &read["timestamp"]),
            (&json!("[1]"), &json!("2023-11-14T22:13:20.123Z"))
        );
    }

    proptest::proptest! {
        #[test]
        fn no_event_is_too_odd(message: String, timestamp: i64) {
            let event = Event { timestamp, message, ..Event::default() };
            assert!(!person(&event).contains(char::is_control));
            serde_json::from_str::<Value>(&machine(&event)).unwrap();
        }
    }
}
