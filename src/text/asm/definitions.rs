//! Which labels a listing defines, and where. Behaves like the JavaScript object that clients were made for.

use crate::text::asm::names::Name;

/// The name that cannot be defined.
const PROTOTYPE: &str = "__proto__";

/// Names with the line each was last defined on.
#[derive(Debug)]
pub(super) struct Definitions<'t> {
    /// For each name its place in `entries`.
    places: Vec<Option<usize>>,
    /// In order of definition; `None` where one was taken back.
    entries: Vec<Option<(&'t str, usize)>>,
}

impl<'t> Definitions<'t> {
    /// No definition of any of `names` names.
    pub(super) fn new(names: usize) -> Self {
        Self { places: vec![None; names], entries: Vec::new() }
    }

    /// `name`, which reads `text`, is defined on `line`; an earlier definition loses its line, but not its place.
    pub(super) fn define(&mut self, name: Name, text: &'t str, line: usize) {
        if text == PROTOTYPE {
            return;
        }
        let entry = Some((text, line));
        if let Some(place) = self.places[name.index()] {
            self.entries[place] = entry;
        } else {
            self.places[name.index()] = Some(self.entries.len());
            self.entries.push(entry);
        }
    }

    /// `name` is not defined any more.
    pub(super) fn remove(&mut self, name: Name) {
        if let Some(place) = self.places[name.index()].take() {
            self.entries[place] = None;
        }
    }

    /// Whether clients would find `name`.
    pub(super) fn contains(&self, name: Name) -> bool {
        name.is_inherited() || self.places[name.index()].is_some()
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
    use crate::text::asm::names::Names;

    #[test]
    fn definitions_behave_like_an_object() {
        let mut names = Names::with_capacity(9);
        let mut definitions = Definitions::new(99);
        for (line, text) in ["b", "a", "10", "9", "b", "01", "__proto__", "toString"].into_iter().enumerate()
        {
            definitions.define(names.number(text), text, line);
        }
        let mut number = |text| names.number(text);
        assert!(definitions.contains(number("a")) && definitions.contains(number("10")));
        assert!(!definitions.contains(number("c")) && !definitions.contains(number("tostring")));
        assert!(definitions.contains(number("__proto__")) && definitions.contains(number("valueOf")));
        definitions.remove(number("a"));
        assert!(!definitions.contains(number("a")));
        definitions.define(number("a"), "a", 9);
        definitions.remove(number("c"));
        let list = definitions.list();
        let list: Vec<_> = list.iter().map(|(name, line)| (name.as_str(), *line)).collect();
        assert_eq!(list, [("9", 3), ("10", 2), ("b", 4), ("01", 5), ("toString", 7), ("a", 9)]);
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
