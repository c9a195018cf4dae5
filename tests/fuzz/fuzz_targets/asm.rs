//! Any text through any filters: no panic, and every column lies in its line.
#![no_main]

use compilation_worker::domain::filters::Filters;
use compilation_worker::text::{asm, demangle, llvm_ir};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((&switches, text)) = data.split_first() else { return };
    let text = String::from_utf8_lossy(text);
    let mut filters = Filters::NONE;
    let names = ["labels", "directives", "commentOnly", "libraryCode", "trim", "dontMaskFilenames", "debugCalls"];
    for (bit, name) in names.into_iter().enumerate() {
        filters.set(name, switches & (1 << bit) != 0);
    }
    let mut listing = asm::process(&text, filters);
    for line in listing.lines() {
        let units = line.text.encode_utf16().count();
        assert!(line.labels.iter().all(|label| 1 <= label.start && label.start < label.end && label.end as usize <= units + 1));
    }
    assert!(listing.label_definitions.iter().all(|(_, line)| *line as usize <= listing.len()));
    demangle::demangle(&mut listing);
    llvm_ir::process(&text, filters);
});
