//! Any argument line: no panic, and what is single-quoted comes back as it was.
#![no_main]

use compilation_worker::text::arguments;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let words = arguments::split(&text);
    let quoted: Vec<_> = words.iter().map(|word| format!("'{}'", word.replace('\'', "'\\''"))).collect();
    assert_eq!(arguments::split(&quoted.join(" ")), words);
});
