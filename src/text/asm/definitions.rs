//! Which labels a listing defines, and where. Behaves like the JavaScript object that clients were made for.

use crate::text::asm::names::Names;

/// What every JavaScript object has: these count as defined, whatever the listing says.
pub(super) const INHERITED: [&str; 12] = [
    "constructor",
    "toString",
    "toLocaleString",
    "valueOf",
    "hasOwnProperty",
    "isPrototypeOf",
    "propertyIsEnumerable",
    "__proto__",
    "__defineGetter__",
    "__defineSetter__",
    "__lookupGetter__",
    "__lookupSetter__",
];

/// The name that cannot be defined.
const PROTOTYPE: &str = "__proto__";

/// Names with the line each was last defined on.
#[derive(Debug)]
pub(super) struct Definitions<'t> {
    names: Names<'t>,
    /// By the name's number, its place in `entries`.
    places: Vec<Option<usize>>,
    /// In order of definition; `None` where one was taken back.
    entries: Vec<Option<(&'t str, usize)>>,
}

impl<'t> Definitions<'t> {
    /// No definitions.
    pub(super) fn new() -> Self {
        Self { names: Names::new(), places: Vec::new(), entries: Vec::new() }
    }

    /// `name` is defined on `line`; an earlier definition loses its line, but not its place.
    pub(super) fn define(&mut self, name: &'t str, line: usize) {
        if name == PROTOTYPE {
            return;
        }
        let number = self.names.number(name);
        if number == self.places.len() {
            self.places.push(None);
        }
        let place = *self.places[number].get_or_insert_with(|| {
            self.entries.push(None);
            self.entries.len() - 1
        });
        self.entries[place] = Some((name, line));
    }

    /// `name` is not defined any more.
    pub(super) fn remove(&mut self, name: &str) {
        if let Some(place) = self.names.find(name).and_then(|number| self.places[number].take()) {
            self.entries[place] = None;
        }
    }

    /// Whether clients would find `name`.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.names.find(name).is_some_and(|number| self.places[number].is_some()) || INHERITED.contains(&name)
    }

    /// Names and lines in the order in which JavaScript lists an object's members: numbers first, by value.
    pub(super) fn list(self) -> Vec<(String, u32)> {
        let mut list: Vec<_> = self.entries.into_iter().flatten().collect();
        list.sort_by_key(|(name, _)| array_index(name).map_or(u64::MAX, u64::from));
        list.into_iter()
            .map(|(name, line)| (name.to_owned(), u32::try_from(line).unwrap_or(u32::MAX)))
            .collect()
    }
}

/// The number that `name` writes as JavaScript would, if it is one that could index an array.
fn array_index(name: &str) -> Option<u32> {
    let plain = name == "0" || name.starts_with(|first: char| matches!(first, '1'..='9'));
    name.parse().ok().filter(|&number| plain && number < u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_behave_like_an_object() {
        let mut definitions = Definitions::new();
        for (line, name) in ["b", "a", "10", "9", "b", "01", "__proto__", "toString"].into_iter().enumerate()
        {
            definitions.define(name, line);
        }
        assert!(definitions.contains("a") && definitions.contains("10") && !definitions.contains("c"));
        definitions.remove("a");
        assert!(!definitions.contains("a"));
        definitions.define("a", 9);
        definitions.remove("c");
        let list = definitions.list();
        let list: Vec<_> = list.iter().map(|(name, line)| (name.as_str(), *line)).collect();
        assert_eq!(list, [("9", 3), ("10", 2), ("b", 4), ("01", 5), ("toString", 7), ("a", 9)]);
    }

    #[test]
    fn what_every_object_has_counts_as_defined() {
        let definitions = Definitions::new();
        assert!(INHERITED.into_iter().all(|name| definitions.contains(name)));
        assert!(!definitions.contains("tostring"));
        assert!(definitions.list().is_empty());
    }

    #[test]
    fn array_indices() {
        for (name, expected) in
            [("0", Some(0)), ("42", Some(42)), ("01", None), ("+1", None), ("4294967295", None), ("", None)]
        {
            assert_eq!(array_index(name), expected, "{name}");
        }
    }
}
