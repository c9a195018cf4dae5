//! Mangled names to readable ones, in a finished listing: [`symbols`] collects the names that are worth a try,
//! [`filter`] says what each means, and [`replace`] puts that in their place. Knows nothing of filters or compilers.

mod filter;
mod itanium;
mod replace;
mod symbols;

use crate::domain::listing::Listing;

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
    let mut length = 0;
    for symbol in symbols::collect(listing) {
        // None of what is beyond would be put anywhere.
        if length > replace::MOST_GROWTH {
            break;
        }
        match filter::readable(&symbol) {
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
