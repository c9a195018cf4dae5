//! The second pass: decides line by line what is shown, and with which source. Knows which labels are used from the
//! first.

use crate::domain::filters::Filters;
use crate::domain::listing::{Listing, MOST_FILE_NAMES, SourceId};
use crate::text::asm::definitions::Definitions;
use crate::text::asm::directives::Directive;
use crate::text::asm::labels::Used;
use crate::text::asm::library::{LibraryFilter, Verdict};
use crate::text::asm::lines::{self, Kind, Line, Lines, Mark};
use crate::text::asm::names::Names;
use crate::text::asm::opcodes::Machine;
use crate::text::asm::sources::{Effect, Place, Sources};
use crate::text::asm::{label_uses, layout, ptx};
use crate::text::scan;

/// What is known at a line from the lines before it.
#[derive(Debug)]
struct Pass<'l, 't> {
    filters: Filters,
    names: &'l Names<'t>,
    used: &'l Used,
    sources: Sources<'t>,
    library: Option<LibraryFilter>,
    /// Where the code at this line comes from.
    place: Option<Place>,
    /// How many bytes the names of files may still take.
    room: usize,
    /// The last place that was shown, and the listing's number for it.
    shown: Option<(Place, SourceId)>,
    /// Whether code of the main file came up since the last end of a block.
    own_source: bool,
    /// Whether the code at this line stands under a label that is used.
    under_label: bool,
    machine: Machine,
    /// Whether the parameters of a PTX kernel or function are being listed.
    in_parameters: bool,
    definitions: Definitions<'t>,
    listing: Listing,
    /// For each shown line whether its text may name labels.
    names_labels: Vec<bool>,
}

/// Bytes of text for which each line of the input makes room: half of the lines are shown, or fewer.
const SHOWN: usize = 20;

/// The listing of `lines` that `filters` leave.
pub(super) fn build(lines: Lines<'_>, used: &Used, filters: Filters) -> Listing {
    let Lines { all: lines, count, names, .. } = lines;
    let mut sources = Sources::read(&lines);
    let mut pass = Pass {
        filters,
        names: &names,
        used,
        library: filters.library_code.then(|| LibraryFilter::new(&lines, &mut sources)),
        sources,
        place: None,
        room: MOST_FILE_NAMES,
        shown: None,
        own_source: false,
        under_label: false,
        machine: Machine::Gas,
        in_parameters: false,
        definitions: Definitions::new(names.len()),
        listing: Listing::with_capacity(lines.len() / 2, SHOWN * lines.len()),
        names_labels: Vec::new(),
    };
    for (index, line) in lines.iter().enumerate() {
        if line.kind == Kind::Blank {
            pass.blank();
        } else {
            pass.line(index, line);
        }
    }
    // What is left to do can take as much memory as the lines do.
    drop(lines);
    pass.finish(count)
}

impl<'t> Pass<'_, 't> {
    /// Of successive blank lines one is shown, and none at the top.
    fn blank(&mut self) {
        if self.listing.last_text().is_some_and(|last| !last.is_empty()) {
            self.listing.push_with(None, |_| {});
            self.names_labels.push(false);
        }
    }

    fn line(&mut self, index: usize, line: &Line<'t>) {
        self.follow(line);
        let shown = self.in_shown_code()
            && !(self.filters.comment_only && self.is_comment(line))
            && self.label(index, line)
            && self.directive(line);
        if shown {
            self.show(line);
        }
    }

    /// Updates the current source.
    fn follow(&mut self, line: &Line<'t>) {
        match self.sources.effect(line) {
            Effect::None => {}
            Effect::Set(place) => {
                self.place = Some(place);
                self.own_source |= self.sources.is_main(place);
            }
            Effect::Clear => {
                self.place = None;
                self.under_label = false;
            }
        }
        let ends_block =
            line.marks.has(Mark::EndsBlock) || (self.machine == Machine::Cuda && line.text.contains('}'));
        if ends_block {
            self.place = None;
            self.under_label = false;
            self.own_source = false;
        }
    }

    /// Whether the `libraryCode` filter lets the line through.
    fn in_shown_code(&mut self) -> bool {
        let Some(library) = &mut self.library else { return true };
        let is_library = !self.own_source && self.place.is_some_and(|place| !self.sources.is_main(place));
        match library.judge(is_library, &self.listing) {
            Verdict::Keep => true,
            Verdict::Drop => false,
            Verdict::DropWithLabel => {
                let label = self.listing.last_text().and_then(lines::label_start);
                if let Some(name) = label.and_then(|label| self.names.find(label.name)) {
                    self.definitions.remove(name);
                }
                self.listing.pop();
                self.names_labels.pop();
                false
            }
        }
    }

    fn is_comment(&self, line: &Line<'_>) -> bool {
        matches!(line.kind, Kind::Other | Kind::Opening) && is_comment(line.body(), self.machine)
    }

    /// Notes what the line defines; false if it defines nothing but an unused label, and is to be dropped for that.
    fn label(&mut self, index: usize, line: &Line<'t>) -> bool {
        let may_be_unused = match line.kind {
            Kind::Label { whole } => whole,
            Kind::Assignment { bare } | Kind::Set { bare, .. } => bare,
            Kind::Opening => {
                self.machine = Machine::Cuda;
                self.in_parameters = true;
                false
            }
            _ => return true,
        };
        if may_be_unused && !line.name.is_some_and(|name| self.used.has(name)) {
            if self.filters.labels {
                self.under_label = false;
            }
            return !self.filters.labels;
        }
        if let (Some(name), Some(text)) = (line.name, line.name_text()) {
            self.definitions.define(name, text, self.listing.len() + 1);
        }
        if !matches!(line.kind, Kind::Set { .. }) {
            self.under_label = true;
            if let (Some(library), Machine::Gas) = (&mut self.library, self.machine) {
                library.enter(index);
            }
        }
        true
    }

    /// Whether the `directives` filter lets the line through.
    fn directive(&mut self, line: &Line<'_>) -> bool {
        if self.in_parameters {
            self.in_parameters = !ptx::closes(line.text);
            return true;
        }
        match line.kind {
            Kind::Directive(_) if !self.filters.directives || line.marks.has(Mark::Instruction) => true,
            Kind::Directive(directive) => directive == Directive::Data && self.under_label,
            _ => true,
        }
    }

    fn show(&mut self, line: &Line<'_>) {
        let place = self.place.filter(|_| line.has_opcode(self.machine));
        let source = place.and_then(|place| self.source(place));
        let trim = self.filters.trim;
        self.listing.push_with(source, |texts| {
            if trim {
                let mut expanded = String::new();
                layout::expand_tabs(line.text, &mut expanded);
                layout::squeeze(&expanded, texts);
            } else {
                layout::expand_tabs(line.text, texts);
            }
        });
        self.names_labels.push(!line.names_none && matches!(line.kind, Kind::Directive(_) | Kind::Other));
    }

    /// The listing's number for `place`; `None` where its file's name would be too much.
    fn source(&mut self, place: Place) -> Option<SourceId> {
        let masked = !self.filters.dont_mask_filenames;
        self.room = self.room.checked_sub(self.sources.name_len(place, masked))?;
        match self.shown {
            Some((shown, source)) if shown == place => Some(source),
            _ => {
                let source = self.sources.show(place, masked);
                let source = self.listing.add_source(source);
                self.shown = Some((place, source));
                Some(source)
            }
        }
    }

    fn finish(self, input_lines: usize) -> Listing {
        let Self { mut listing, names, definitions, names_labels, .. } = self;
        let is_defined = |name: &str| names.find(name).is_some_and(|name| definitions.contains(name));
        listing.link(|index, text, uses| {
            if names_labels[index] {
                label_uses::find(text, is_defined, uses);
            }
        });
        listing.filtered_count = signed(input_lines) - signed(listing.len());
        listing.label_definitions = definitions.list();
        listing
    }
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Whether a line that starts with `body` behind its indentation holds nothing but a comment.
fn is_comment(body: &str, machine: Machine) -> bool {
    let gas = machine == Machine::Gas;
    match body.as_bytes() {
        [b'/', b'*', rest @ ..] => rest.ends_with(b"*/") && scan::is_one_line(body),
        [b'#', ..] | [b'/', b'/', ..] => scan::is_one_line(body),
        [b'@', ..] => gas && scan::is_one_line(body),
        [b';', ..] if !gas => scan::is_one_line(body),
        [b';', b';', ..] => {
            let mut rest = body[scan::skip_space(body, 2)..].chars();
            rest.next().is_some_and(|first| first != '#') && scan::is_one_line(rest.as_str())
        }
        // What stands right behind the semicolon may be anything.
        [b';', ..] => {
            let mut rest = body[1..].chars();
            rest.next().is_none() || scan::is_one_line(rest.as_str()) || scan::trim(&body[1..]).is_empty()
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments() {
        for (text, gas, cuda) in [
            ("# c", true, true),
            ("@ c", true, false),
            ("// c", true, true),
            ("/ c", false, false),
            ("/* c */", true, true),
            ("/* c */ x", false, false),
            ("/*/", false, false),
            (";", true, true),
            ("; \t", true, true),
            ("; c", true, true),
            (";;", false, true),
            (";; ", false, true),
            (";; # c", false, true),
            (";;c", true, true),
            (";;;", true, true),
            ("mov # c", false, false),
            ("# c\r", false, false),
            ("; c\u{2028}", false, false),
            (";\r", true, false),
            (";\r c", true, false),
            (";\u{2029}c", true, false),
            (";\r c\r", false, false),
            ("; \r\r", true, false),
            (";;\r c", true, false),
            (";;c\r", false, false),
            ("/* c\r */", false, false),
        ] {
            assert_eq!(is_comment(text, Machine::Gas), gas, "{text}");
            assert_eq!(is_comment(text, Machine::Cuda), cuda, "{text} in CUDA");
        }
    }
}
