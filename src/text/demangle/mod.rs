//! Mangled names to readable ones, in a finished listing: [`symbols`] collects the names that are worth a try,
//! [`filter`] says what each means, and [`replace`] puts that in their place. Knows nothing of filters or compilers.

mod filter;
mod itanium;
mod replace;
mod symbols;

use crate::domain::listing::Listing;

/// Steps that reading names may take in a listing, before the rest of them stay as they are: a real name takes a hundred,
/// but one of a hundred bytes may take a million and mean nothing.
const MOST_STEPS: usize = 1 << 26;

/// What became of a listing's names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Demangled {
    /// Names that look mangled and could not be read; they stand in the listing as before.
    pub failed: Vec<String>,
}

/// Replaces the mangled names in `listing` by readable ones.
pub fn demangle(listing: &mut Listing) -> Demangled {
    let mut demangled = Demangled::default();
    let mut names = Vec::new();
    let (mut length, mut steps) = (0, 0);
    for symbol in symbols::collect(listing) {
        // None of what is beyond would be put anywhere.
        if length > replace::MOST_GROWTH || steps > MOST_STEPS {
            break;
        }
        match filter::readable(&symbol, &mut steps) {
            filter::Outcome::Readable(readable) => {
                length += readable.len();
                names.push((symbol, readable));
            }
            filter::Outcome::Unreadable => demangled.failed.push(symbol),
            filter::Outcome::Plain => {}
        }
    }
    apply(listing, &names);
    demangled
}

/// Replaces the first of each pair by the second, wherever it stands in `listing`.
pub fn apply(listing: &mut Listing, names: &[(String, String)]) {
    replace::replace(listing, names);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::listing::Syntax;
    use proptest::prelude::*;

    #[test]
    fn many_names_that_explode_end_soon() {
        let mut listing = Listing::default();
        for index in 1000..9000 {
            let name = format!("_ZN5a{index}cv{}i{}Ev:", "T_I".repeat(30), "E".repeat(30));
            listing.push(&name, None, Vec::new());
        }
        let start = tokio::time::Instant::now();
        let demangled = demangle(&mut listing);
        assert!((1..8000).contains(&demangled.failed.len()), "{}", demangled.failed.len());
        assert!(start.elapsed().as_secs() < 60);
    }

    proptest! {
        #[test]
        fn no_listing_is_too_odd(
            lines in prop::collection::vec(
                "(call|jmp|b|mov|lea|ptr \\[|\\.quad|\\.entry|\\.func \\(|\\.global|offset |_Z1fv|_ZN1AC1Ev|_R|_RNvC1a1f|\
                 _ZN1a17h0123456789abcdefE|@|@PLT|[]\"$.*:,+(= \t\0\r\u{1b}\u{130}\u{e9}\u{1f600}]){0,12}",
                0..6,
            ),
            ir: bool,
        ) {
            let mut listing = Listing::default();
            listing.syntax = if ir { Syntax::LlvmIr } else { Syntax::Assembly };
            for line in &lines {
                listing.push(line, None, Vec::new());
            }
            demangle(&mut listing);
            prop_assert_eq!(listing.len(), lines.len());
        }
    }
}
