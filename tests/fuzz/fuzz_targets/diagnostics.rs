//! Any compiler output, with and without a main file: no panic, and one line for each.
#![no_main]

use compilation_worker::text::{ansi, diagnostics, mask};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let tagged = diagnostics::parse(&text, Some("/app/example.cpp"));
    assert_eq!(tagged.len(), diagnostics::parse(&text, None).len());
    assert!(ansi::strip(&text).len() <= text.len());
    assert!(mask::root_dir(&text).len() <= text.len());
});
