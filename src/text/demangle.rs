//! t
/// t
pub fn demangle(_l: &mut crate::domain::listing::Listing) {}
