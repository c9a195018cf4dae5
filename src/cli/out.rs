//! Where commands read and write: data on standard output, everything else on standard error.

use std::fmt::{self, Write as _};
use std::io::{self, IsTerminal as _, Read, Write};

/// The three streams of a command. Tests give it buffers.
pub struct Streams {
    /// Standard input.
    pub input: Box<dyn Read>,
    /// Standard output.
    pub out: Box<dyn Write>,
    /// Standard error.
    pub err: Box<dyn Write>,
    /// Whether standard error is a terminal.
    pub at_terminal: bool,
    /// Whether somebody can be asked: standard input and standard error are a terminal.
    pub interactive: bool,
}

impl Streams {
    /// The process's own.
    pub fn of_the_process() -> Self {
        Self {
            at_terminal: io::stderr().is_terminal(),
            interactive: io::stdin().is_terminal() && io::stderr().is_terminal(),
            input: Box::new(io::stdin()),
            out: Box::new(io::stdout()),
            err: Box::new(io::stderr()),
        }
    }

    /// Writes data. A reader that has gone away, as `head` does, wants no more and is no failure.
    pub fn data(&mut self, bytes: &[u8]) -> io::Result<()> {
        let written = self.out.write_all(bytes).and_then(|()| self.out.flush());
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other,
        }
    }

    /// Tells the person at the terminal something, a line at a time.
    pub fn say(&mut self, text: impl fmt::Display) {
        // Nobody is left to tell if standard error itself fails.
        let _lost = writeln!(self.err, "{text}").is_err();
    }

    /// Asks for something; the answer is typed on the same line.
    pub fn prompt(&mut self, text: impl fmt::Display) {
        let _lost = write!(self.err, "{text}").and_then(|()| self.err.flush()).is_err();
    }
}

/// JSON as a terminal may get it. JSON itself lets U+007F to U+009F stand, and some terminals obey them.
pub fn escaped(json: String) -> String {
    let obeyed = |letter: char| letter.is_control() && letter != '\n';
    if !json.contains(obeyed) {
        return json;
    }
    let mut safe = String::with_capacity(json.len() + 16);
    for letter in json.chars() {
        if obeyed(letter) {
            let _infallible = write!(safe, "\\u{:04x}", u32::from(letter)).is_err();
        } else {
            safe.push(letter);
        }
    }
    safe
}

impl fmt::Debug for Streams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streams").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct Broken(io::ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_terminal_obeys_nothing_in_json() {
        let told = serde_json::json!({ "source": "a\u{9b}2J\u{7f}\u{1b}c\n", "fine": "é" });
        for json in [told.to_string(), format!("{told:#}")] {
            let safe = escaped(json);
            assert!(safe.chars().all(|letter| !letter.is_control() || letter == '\n'), "{safe:?}");
            assert_eq!(serde_json::from_str::<serde_json::Value>(&safe).unwrap(), told);
        }
    }

    #[test]
    fn a_reader_that_went_away_is_no_failure_and_a_full_disk_is() {
        let streams = |kind| Streams {
            input: Box::new(io::empty()),
            out: Box::new(Broken(kind)),
            err: Box::new(Broken(kind)),
            at_terminal: true,
            interactive: false,
        };
        let mut gone = streams(io::ErrorKind::BrokenPipe);
        gone.data(b"x").unwrap();
        gone.say("nobody hears this");
        assert!(streams(io::ErrorKind::StorageFull).data(b"x").is_err());
    }

    proptest! {
        #[test]
        fn escaped_json_means_the_same(text: String, odd in "[\u{7f}-\u{9f}\0\r\n\u{1b}\u{e9}\u{1f600}\"\\\\]{0,20}") {
            let told = serde_json::json!({ "text": text, "odd": odd });
            let safe = escaped(format!("{told:#}"));
            prop_assert!(!safe.contains(|letter: char| letter.is_control() && letter != '\n'));
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&safe).unwrap(), told);
        }
    }
}
