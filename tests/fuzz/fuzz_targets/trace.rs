//! Any text as a trace's header: no panic, and what is read is written as what is read.
#![no_main]

use compilation_worker::domain::trace::TraceContext;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some(context) = std::str::from_utf8(data).ok().and_then(TraceContext::parse) else { return };
    let text = context.to_string();
    assert!(text.len() <= 100);
    assert_eq!(TraceContext::parse(&text), Some(context));
});
