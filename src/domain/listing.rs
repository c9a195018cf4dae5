//! An assembly listing as the text engine hands it on: lines with their source and label uses.
//!
//! Texts live in one buffer, so that a listing of a million lines costs a few allocations, not a million.

use std::ops::Range;
use std::sync::Arc;

/// Where in the user's sources a line of assembly comes from.
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
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Item {
    text: Range<usize>,
    source: Option<Source>,
    labels: Vec<LabelUse>,
}

/// A finished listing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listing {
    texts: String,
    items: Vec<Item>,
    /// Label names and the 1-based line each is defined on, in order of first definition.
    pub label_definitions: Vec<(String, u32)>,
    /// Input lines minus emitted lines; negative when more went out than came in.
    pub filtered_count: i64,
}

impl Listing {
    /// Appends a line.
    pub fn push(&mut self, text: &str, source: Option<Source>, labels: Vec<LabelUse>) {
        let start = self.texts.len();
        self.texts.push_str(text);
        self.items.push(Item { text: start..self.texts.len(), source, labels });
    }

    /// The lines, first to last.
    pub fn lines(&self) -> impl ExactSizeIterator<Item = Line<'_>> {
        self.items.iter().map(|item| Line {
            text: &self.texts[item.text.clone()],
            source: item.source.as_ref(),
            labels: &item.labels,
        })
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
