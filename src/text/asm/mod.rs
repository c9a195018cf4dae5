//! Compiler output in any GAS dialect to a listing: one file per pass.
//!
//! [`comments`] deletes block comments, [`lines`] splits and classifies once for all, [`labels`] finds out which labels
//! are used, [`filter`] decides line by line what is shown, [`label_uses`] finds the labels that shown lines name. Along the way
//! [`sources`] follows the debug directives, [`library`] hides code that is not the user's, and [`layout`] expands tabs
//! and squeezes white space. None of them knows an instruction set: a line is what its first characters say.

mod comments;
mod definitions;
mod directives;
mod filter;
mod label_uses;
mod labels;
mod layout;
mod library;
mod lines;
mod names;
mod opcodes;
mod ptx;
mod sources;
mod words;

use crate::domain::filters::Filters;
use crate::domain::listing::Listing;

pub(super) use lines::label_start;

/// The listing of the assembly `text` that `filters` leave.
pub fn process(text: &str, filters: Filters) -> Listing {
    let text = if filters.comment_only { comments::without_blocks(text) } else { text.into() };
    let mut lines = lines::read(&text);
    let used = labels::used(&mut lines, filters.directives);
    filter::build(lines, &used, filters)
}

#[cfg(test)]
mod tests;
