//! Hides code that is not the user's: the `libraryCode` filter. Knows where code comes from, not what it is.

use crate::domain::listing::Listing;
use crate::text::asm::lines::{self, Line, Mark};
use crate::text::asm::sources::{Effect, Sources};

/// What becomes of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is shown, if no other filter drops it.
    Keep,
    /// It is dropped.
    Drop,
    /// It is dropped, and the label above it too.
    DropWithLabel,
}

/// The filter's memory.
#[derive(Debug)]
pub(super) struct LibraryFilter {
    /// For each line whether the main source comes up from here on before the block ends.
    user_code_ahead: Vec<bool>,
    /// Whether the last used label starts a function of the user's.
    in_user_function: bool,
    /// Whether library code below user code is shown.
    keeps_inline: bool,
    /// Whether the line before was kept, so that library code would now begin.
    may_begin: bool,
    /// How many lines were shown when library code last began below another line than a label. Library code may begin
    /// again and again below the same line, which can be long.
    below: Option<usize>,
}

impl LibraryFilter {
    /// The filter at the first of `lines`.
    pub(super) fn new<'t>(lines: &[Line<'t>], sources: &mut Sources<'t>) -> Self {
        let mut user_code_ahead = vec![false; lines.len() + 1];
        for (index, line) in lines.iter().enumerate().rev() {
            user_code_ahead[index] = !line.marks.has(Mark::EndsBlock)
                && match sources.effect(line) {
                    Effect::Set(place) if sources.is_main(place) => true,
                    _ => user_code_ahead[index + 1],
                };
        }
        Self { user_code_ahead, in_user_function: false, keeps_inline: false, may_begin: true, below: None }
    }

    /// A used label stands on line `index`.
    pub(super) fn enter(&mut self, index: usize) {
        self.in_user_function = self.user_code_ahead[index + 1];
    }

    /// What becomes of the next line, which comes from a library or not, after what `listing` already shows.
    pub(super) fn judge(&mut self, is_library: bool, listing: &Listing) -> Verdict {
        if self.in_user_function || !is_library {
            self.may_begin = true;
            return Verdict::Keep;
        }
        if self.may_begin
            && let Some(last) = listing.last_text()
        {
            self.may_begin = false;
            self.keeps_inline = self.below == Some(listing.len()) || lines::label_start(last).is_none();
            self.below = self.keeps_inline.then(|| listing.len());
            if !self.keeps_inline {
                return Verdict::DropWithLabel;
            }
        }
        if self.keeps_inline { Verdict::Keep } else { Verdict::Drop }
    }
}
