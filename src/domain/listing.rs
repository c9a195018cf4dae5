//! A listing as the text engine hands it on: lines with their source and label uses.
//!
//! Texts live in one buffer and label uses in one vector, so that a listing of a million lines costs a few
//! allocations, not a million. Knows nothing of the syntax of what it holds.

use std::num::NonZeroU32;
use std::ops::Range;
use std::sync::Arc;

/// Bytes that the names of files may take in a listing: each line tells its own, and one name can be as long as a text.
/// The lines beyond tell no source.
pub const MOST_FILE_NAMES: usize = 64 * 1024 * 1024;

/// What language a listing is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Syntax {
    /// Assembly, in any dialect.
    #[default]
    Assembly,
    /// LLVM's intermediate representation.
    LlvmIr,
}

/// Where in the user's sources a line comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The file; `None` is the user's main file.
    pub file: Option<Arc<str>>,
    /// 1-based line.
    pub line: u32,
    /// 1-based column, when the compiler gave one.
    pub column: Option<u32>,
    /// Present only when file names are not masked: whether this is the main file.
    pub main_source: Option<bool>,
}

/// A place in a line's text that names a label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelUse {
    /// The name as it stands in the text.
    pub name: String,
    /// The name without its `@suffix`, when it has one.
    pub target: Option<String>,
    /// 1-based first column, in UTF-16 code units.
    pub start: u32,
    /// 1-based column after the last, in UTF-16 code units.
    pub end: u32,
}

/// One line: a view into its [`Listing`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// The text, tabs expanded.
    pub text: &'a str,
    /// Where it comes from, when known.
    pub source: Option<&'a Source>,
    /// The labels it uses.
    pub labels: &'a [LabelUse],
    /// The debug location a line of LLVM IR names, such as `!17`.
    pub scope: Option<&'a str>,
}

/// A source that a [`Listing`] knows, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceId(NonZeroU32);

impl SourceId {
    /// The source with this index; four billion of them share the last number.
    fn new(index: usize) -> Self {
        Self(u32::try_from(index + 1).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MAX))
    }

    const fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

/// A line's text and label uses start where those of the line before end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Item {
    text_end: usize,
    /// Four billion label uses would not fit into memory.
    labels_end: u32,
    source: Option<SourceId>,
}

/// A finished listing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listing {
    texts: String,
    items: Vec<Item>,
    sources: Vec<Source>,
    labels: Vec<LabelUse>,
    /// One entry per item, or empty when no item has a scope.
    scopes: Vec<Option<Box<str>>>,
    /// The language the lines are written in.
    pub syntax: Syntax,
    /// Label names and the 1-based line each is defined on, in the order a client's JSON shows them.
    pub label_definitions: Vec<(String, u32)>,
    /// Input lines minus emitted lines; negative when more went out than came in.
    pub filtered_count: i64,
}

impl Listing {
    /// An empty listing with room for so many lines, and texts of so many bytes together.
    pub fn with_capacity(lines: usize, bytes: usize) -> Self {
        Self { texts: String::with_capacity(bytes), items: Vec::with_capacity(lines), ..Self::default() }
    }

    /// Appends a line.
    pub fn push(&mut self, text: &str, source: Option<Source>, labels: Vec<LabelUse>) {
        let source = source.map(|source| self.add_source(source));
        self.labels.extend(labels);
        self.push_with(source, |texts| texts.push_str(text));
    }

    /// Appends a line, whose text `write` appends to the buffer it is given.
    pub fn push_with(&mut self, source: Option<SourceId>, write: impl FnOnce(&mut String)) {
        write(&mut self.texts);
        self.items.push(Item { text_end: self.texts.len(), labels_end: narrow(self.labels.len()), source });
    }

    /// The number of a source; most lines come from the place of the line before.
    pub fn add_source(&mut self, source: Source) -> SourceId {
        if self.sources.last() != Some(&source) {
            self.sources.push(source);
        }
        SourceId::new(self.sources.len() - 1)
    }

    /// Removes the last line.
    pub fn pop(&mut self) {
        if self.items.pop().is_some() {
            let (text, labels) = self.ends(self.items.len());
            self.texts.truncate(text);
            self.labels.truncate(labels);
            self.scopes.truncate(self.items.len());
        }
    }

    /// Where the text and the label uses end that stand before line `index`.
    fn ends(&self, index: usize) -> (usize, usize) {
        let before = index.checked_sub(1).map(|before| self.items[before]);
        before.map_or((0, 0), |item| (item.text_end, item.labels_end as usize))
    }

    /// Gives the last line a debug location.
    pub fn scope_last(&mut self, scope: &str) {
        if let Some(last) = self.items.len().checked_sub(1) {
            self.scopes.resize(last, None);
            self.scopes.push(Some(Box::from(scope)));
        }
    }

    /// Sets the source of every line that has a debug location.
    pub fn resolve_scopes(&mut self, mut resolve: impl FnMut(&str) -> Option<Source>) {
        for index in 0..self.scopes.len() {
            if let Some(source) = self.scopes[index].as_deref().and_then(&mut resolve) {
                self.items[index].source = Some(self.add_source(source));
            }
        }
    }

    /// Keeps the first `lines` lines.
    pub fn truncate(&mut self, lines: usize) {
        while self.items.len() > lines {
            self.pop();
        }
    }

    /// Replaces the label uses of every line by what `find` appends for its index and text.
    pub fn link(&mut self, mut find: impl FnMut(usize, &str, &mut Vec<LabelUse>)) {
        self.labels.clear();
        let mut start = 0;
        for (index, item) in self.items.iter_mut().enumerate() {
            find(index, &self.texts[start..item.text_end], &mut self.labels);
            item.labels_end = narrow(self.labels.len());
            start = item.text_end;
        }
    }

    /// Rewrites every text: `rewrite` appends the new text to the buffer, and may change the line's label uses.
    pub fn rewrite(&mut self, mut rewrite: impl FnMut(&str, &mut [LabelUse], &mut String)) {
        let mut texts = String::with_capacity(self.texts.len());
        let (mut start, mut first_label) = (0, 0);
        for item in &mut self.items {
            let labels_end = item.labels_end as usize;
            rewrite(&self.texts[start..item.text_end], &mut self.labels[first_label..labels_end], &mut texts);
            (start, first_label) = (item.text_end, labels_end);
            item.text_end = texts.len();
        }
        self.texts = texts;
    }

    /// The lines, first to last.
    pub fn lines(&self) -> impl ExactSizeIterator<Item = Line<'_>> {
        self.items.iter().enumerate().map(|(index, item)| Line {
            text: &self.texts[self.text(index)],
            source: item.source.map(|source| &self.sources[source.index()]),
            labels: &self.labels[self.ends(index).1..item.labels_end as usize],
            scope: self.scopes.get(index).and_then(Option::as_deref),
        })
    }

    /// Where the text of line `index` stands.
    fn text(&self, index: usize) -> Range<usize> {
        self.ends(index).0..self.items[index].text_end
    }

    /// The text of the last line.
    pub fn last_text(&self) -> Option<&str> {
        let last = self.items.len().checked_sub(1)?;
        Some(&self.texts[self.text(last)])
    }

    /// Bytes of all texts together.
    pub fn text_len(&self) -> usize {
        self.texts.len()
    }

    /// How many lines there are.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

fn narrow(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(line: u32) -> Source {
        Source { file: None, line, column: None, main_source: None }
    }

    fn label(name: &str) -> LabelUse {
        LabelUse { name: name.to_owned(), target: None, start: 1, end: 2 }
    }

    #[test]
    fn what_goes_in_comes_out() {
        let mut listing = Listing::default();
        listing.push("a", Some(source(1)), vec![label("x"), label("y")]);
        listing.push("", None, Vec::new());
        listing.push("b", Some(source(1)), vec![label("z")]);
        listing.scope_last("!7");
        let lines: Vec<_> = listing.lines().collect();
        assert_eq!(lines.iter().map(|line| line.text).collect::<Vec<_>>(), ["a", "", "b"]);
        assert_eq!(lines[0].labels, [label("x"), label("y")]);
        assert_eq!(lines[1].labels, []);
        assert_eq!(lines[2].labels, [label("z")]);
        assert_eq!(lines[0].source, Some(&source(1)));
        assert_eq!(lines[1].source, None);
        assert_eq!(lines.iter().map(|line| line.scope).collect::<Vec<_>>(), [None, None, Some("!7")]);
        assert_eq!((listing.len(), listing.is_empty(), listing.last_text()), (3, false, Some("b")));
    }

    #[test]
    fn a_popped_line_takes_its_text_and_labels_along() {
        let mut listing = Listing::default();
        listing.push("a", None, vec![label("x")]);
        listing.push("b", None, vec![label("y")]);
        listing.scope_last("!1");
        listing.pop();
        listing.push("c", None, vec![label("z")]);
        let lines: Vec<_> =
            listing.lines().map(|line| (line.text, line.labels[0].name.as_str(), line.scope)).collect();
        assert_eq!(lines, [("a", "x", None), ("c", "z", None)]);
        listing.truncate(1);
        assert_eq!(listing.len(), 1);
        listing.pop();
        listing.pop();
        assert!(listing.is_empty());
    }

    #[test]
    fn rewriting_and_linking_reach_every_line() {
        let mut listing = Listing::default();
        listing.push("one", None, vec![label("x")]);
        listing.push("two", None, Vec::new());
        listing.rewrite(|text, labels, out| {
            for label in labels {
                label.end = 9;
            }
            out.push_str(text);
            out.push('!');
        });
        assert_eq!(listing.lines().map(|line| line.text).collect::<Vec<_>>(), ["one!", "two!"]);
        assert_eq!(listing.lines().next().unwrap().labels[0].end, 9);
        listing.link(|index, text, labels| labels.extend((0..index).map(|_| label(text))));
        assert_eq!(listing.lines().map(|line| line.labels.len()).collect::<Vec<_>>(), [0, 1]);
        listing.scope_last("!3");
        listing.resolve_scopes(|scope| (scope == "!3").then(|| source(3)));
        assert_eq!(listing.lines().map(|line| line.source).collect::<Vec<_>>(), [None, Some(&source(3))]);
    }
}
