//! Any symbol: no panic, and no text without bound.
#![no_main]

use compilation_worker::domain::listing::Listing;
use compilation_worker::text::demangle;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let symbol: String = data.iter().map(|&byte| if byte.is_ascii_alphanumeric() { char::from(byte) } else { '_' }).collect();
    let mut listing = Listing::default();
    listing.push(&format!("\tcall\t_Z{symbol}"), None, Vec::new());
    demangle::demangle(&mut listing);
    assert_eq!(listing.len(), 1);
});
