//! Any text on an events socket, as either side hears it, and as a result that another worker made: no panic, and what
//! is passed on is JSON with neither of the two members that are not for clients.
#![no_main]

use compilation_worker::text::ansi;
use compilation_worker::wire::frame::{self, Notice, Request};
use compilation_worker::wire::relayed;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|texts: (&str, &str)| {
    let (text, parked) = texts;
    if let Ok(request) = Request::read(text) {
        assert_eq!(request.text(), text);
    }
    let _read = (Notice::read(text).is_ok(), frame::cancelled(text.as_bytes()));
    for parked in [None, Some(parked.as_bytes())] {
        let Ok(joined) = relayed::join(parked, text.as_bytes()) else { continue };
        let again = relayed::join(None, &joined).expect("what was joined is an object");
        assert_eq!(again, joined);
        let _shown = (relayed::status(&joined), relayed::text(&joined, Some(ansi::strip)).is_ok());
    }
});
