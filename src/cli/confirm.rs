//! Before something is destroyed: what will be lost is told, and its name is asked for.

use anyhow::{Context as _, bail};
use clap::Args;

use crate::cli::Misuse;
use crate::cli::out::Streams;

/// Longest answer that is read, in bytes; names are shorter.
const LONGEST_ANSWER: usize = 1024;

/// What every command takes that changes something.
#[derive(Debug, Clone, Copy, Args)]
pub struct Change {
    /// Say what would be done, and change nothing.
    #[arg(long)]
    pub dry_run: bool,
}

/// What every command takes that destroys something.
#[derive(Debug, Clone, Copy, Args)]
pub struct Destruction {
    /// Say what would be done, and change nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Do it without asking; needed where nobody can be asked.
    #[arg(long)]
    pub yes: bool,
}

impl Destruction {
    /// Goes on only if the operator wants it. `lost` is what will be lost, as a whole sentence; `name` is what has to be
    /// typed, and names the thing.
    pub fn confirm(self, streams: &mut Streams, lost: &str, name: &str) -> anyhow::Result<()> {
        if self.yes {
            return Ok(());
        }
        if !streams.interactive {
            let fix = "nobody can be asked, as standard input is no terminal: add --yes if you want it";
            return Err(Misuse(format!("{lost}\n{fix}, or --dry-run to see what it would do")).into());
        }
        streams.say(lost);
        streams.prompt(format_args!("type {name} to go on: "));
        let answer = line(streams).context("could not read the answer")?;
        if answer.trim() != name {
            bail!("nothing was done: {:?} is not {name:?}", answer.trim());
        }
        Ok(())
    }
}

/// One line of standard input, without reading beyond it.
fn line(streams: &mut Streams) -> std::io::Result<String> {
    let (mut line, mut byte) = (Vec::new(), [0]);
    while line.len() < LONGEST_ANSWER && streams.input.read(&mut byte)? == 1 && byte != *b"\n" {
        line.extend(byte);
    }
    Ok(String::from_utf8_lossy(&line).into_owned())
}

#[cfg(test)]
mod tests {
    use std::io::{self, Cursor};

    use super::*;

    fn asked(yes: bool, interactive: bool, answer: &'static str) -> anyhow::Result<()> {
        let mut streams = Streams {
            input: Box::new(Cursor::new(answer)),
            out: Box::new(io::sink()),
            err: Box::new(io::sink()),
            at_terminal: interactive,
            interactive,
        };
        let destruction = Destruction { dry_run: false, yes };
        destruction.confirm(&mut streams, "All messages of jobs.fifo will be lost.", "jobs.fifo")
    }

    #[test]
    fn only_the_name_or_yes_goes_on() {
        asked(true, false, "").unwrap();
        asked(false, true, "jobs.fifo\nmore").unwrap();
        asked(false, true, "  jobs.fifo \r\n").unwrap();
        for answer in ["", "\n", "y\n", "yes\n", "jobs\n", "JOBS.FIFO\n", "jobs.fif"] {
            let error = asked(false, true, answer).unwrap_err().to_string();
            assert!(error.starts_with("nothing was done: "), "{answer}: {error}");
        }
    }

    #[test]
    fn where_nobody_can_be_asked_it_is_a_bad_command_line() {
        let error = asked(false, false, "jobs.fifo\n").unwrap_err();
        let Misuse(told) = error.downcast_ref().unwrap();
        assert!(told.contains("All messages of jobs.fifo") && told.contains("--yes"), "{told}");
    }
}
