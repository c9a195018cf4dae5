//! Splits a text into lines and says what kind each is. Looks at one line at a time, and at the few words that count
//! wherever they stand; knows nothing of filters.

use crate::text::asm::directives::{self, Directive, Set};
use crate::text::asm::names::{Name, Names};
use crate::text::asm::opcodes::{Machine, Opcode};
use crate::text::asm::ptx;
use crate::text::asm::words::Words;
use crate::text::scan::{self, Dollar};

/// How many bytes a line has at least, on average: shorter ones make the list of lines grow on its way.
const SHORT_LINE: usize = 20;

/// A text's lines, and the names they define.
#[derive(Debug)]
pub(super) struct Lines<'t> {
    /// First to last; of successive blank lines the first alone, because no more is ever shown.
    pub(super) all: Vec<Line<'t>>,
    /// How many the text has.
    pub(super) count: usize,
    /// What labels, assignments and `.set` define, and the words with which PTX opens kernels and functions.
    pub(super) names: Names<'t>,
    /// In MIPS assembly labels may start with `$`; elsewhere it introduces literals.
    pub(super) dollar: Dollar,
    /// Whether a name starts with `$`, MIPS or not.
    pub(super) dollar_names: bool,
}

/// One line of the input.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'t> {
    /// The text; a label inside custom asm has lost its indentation.
    pub(super) text: &'t str,
    /// The offset of the first character that is no white space.
    body: u32,
    /// What the line defines, if it is a label, an assignment, `.set` or an opening.
    pub(super) name: Option<Name>,
    /// What the line is.
    pub(super) kind: Kind,
    /// Words that count wherever they stand.
    pub(super) marks: Marks,
    opcode: Opcode,
    /// Whether the line is known to name no label; [`crate::text::asm::labels`] finds out on its way.
    pub(super) names_none: bool,
}

impl<'t> Line<'t> {
    /// Whether the line holds an instruction of `machine`.
    pub(super) fn has_opcode(&self, machine: Machine) -> bool {
        self.opcode.is_of(machine)
    }

    /// The text from the first character that is no white space.
    pub(super) fn body(&self) -> &'t str {
        &self.text[self.body as usize..]
    }

    /// How the text spells what it defines. Of an opening clients see the word as the label, not the name.
    pub(super) fn name_text(&self) -> Option<&'t str> {
        match self.kind {
            Kind::Label { .. } => label_start(self.text).map(|label| label.name),
            Kind::Assignment { .. } | Kind::Set { .. } => names_in(self.text).map(|(_, name)| name),
            Kind::Opening => ptx::opening(self.text),
            _ => None,
        }
    }
}

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing but white space.
    Blank,
    /// Starts with a label; `whole` if nothing follows the colon.
    Label { whole: bool },
    /// `name = value`; `bare` if the value is nothing or `.`.
    Assignment { bare: bool },
    /// `.set name, value`; `bare` as above, `here` if the value is the current place.
    Set { bare: bool, here: bool },
    /// Opens a kernel or function in PTX.
    Opening,
    /// Any other line whose first character is a dot, by its word.
    Directive(Directive),
    /// Anything else: an instruction, a comment.
    Other,
}

/// What counts whatever else the line is: words anywhere in it, mostly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// `.cfi_startproc`
    StartsProcedure = 1,
    /// `.cfi_endproc`, `.data`, `.text` or `.section`, as a whole word.
    EndsBlock = 2,
    /// `.inst`
    Instruction = 4,
    /// An opening as in [`Kind::Opening`], whatever else the line is.
    Opening = 8,
    /// The bounds of custom asm: such a line has no other meaning for the label pass.
    CustomAsm = 16,
    /// An equals sign: without one, nothing is an assignment.
    Equals = 32,
}

/// The marks of one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Marks(u8);

impl Marks {
    /// Whether `mark` is among them.
    pub(super) const fn has(self, mark: Mark) -> bool {
        self.0 & mark as u8 != 0
    }

    /// Adds `mark`.
    pub(super) const fn add(&mut self, mark: Mark) {
        self.0 |= mark as u8;
    }

    /// Takes `mark` away.
    pub(super) const fn remove(&mut self, mark: Mark) {
        self.0 &= !(mark as u8);
    }
}

/// The lines of `text`, classified.
pub(super) fn read(text: &str) -> Lines<'_> {
    let likely_lines = text.len() / SHORT_LINE;
    // Nearly every name is a label, and a set that grows reads all its names again.
    let colons = memchr::memchr_iter(b':', text.as_bytes()).count();
    let mut reader = Reader {
        words: Words::new(text),
        names: Names::with_capacity(colons.min(likely_lines)),
        custom_depth: 0,
        dollar: Dollar::No,
        dollar_names: false,
    };
    let mut lines = Vec::with_capacity(likely_lines);
    let (mut count, mut after_blank) = (0, false);
    for line in scan::lines(text) {
        let line = reader.line(line);
        let blank = line.kind == Kind::Blank;
        if !(blank && after_blank) {
            lines.push(line);
        }
        after_blank = blank;
        count += 1;
    }
    Lines { all: lines, count, names: reader.names, dollar: reader.dollar, dollar_names: reader.dollar_names }
}

/// What is known at a line from the lines before it.
struct Reader<'t> {
    words: Words<'t>,
    names: Names<'t>,
    custom_depth: i64,
    dollar: Dollar,
    dollar_names: bool,
}

impl<'t> Reader<'t> {
    /// Reads the next line.
    fn line(&mut self, mut text: &'t str) -> Line<'t> {
        let mut marks = self.words.marks(text);
        let mut body = scan::skip_space(text, 0);
        match text.as_bytes().get(body) {
            Some(b'#') => {
                let change = custom_asm(&text[body..]);
                if change != 0 {
                    self.custom_depth += change;
                    marks.add(Mark::CustomAsm);
                }
            }
            Some(b'$') if body == 0 && is_mips_label(text) => self.dollar = Dollar::Start,
            _ => {}
        }
        if self.custom_depth > 0 && is_indented_label(text, body) {
            text = &text[body..];
            body = 0;
        }
        let (kind, name) = classify(text, body, marks);
        let name = name.map(|name| {
            self.dollar_names |= name.starts_with('$');
            self.names.number(name)
        });
        let opcode = Opcode::read(text, body, kind, marks);
        // An indentation of four gigabytes is read anew by whoever cares.
        let body = u32::try_from(body).unwrap_or(0);
        Line { text, body, name, kind, marks, opcode, names_none: false }
    }
}

/// By how much a trimmed line changes the depth of custom asm.
fn custom_asm(line: &str) -> i64 {
    if line.starts_with("#APP") || line.starts_with("# Begin ASM") {
        1
    } else if line.starts_with("#NO_APP") || line.starts_with("# End ASM") {
        -1
    } else {
        0
    }
}

/// Whether symbol characters and a colon follow the `$` that starts the line.
fn is_mips_label(text: &str) -> bool {
    let end = scan::skip_while(text.as_bytes(), 1, scan::in_symbol);
    end > 1 && text.as_bytes().get(end) == Some(&b':')
}

/// Whether a symbol and a colon stand at `body`. Numeric labels keep their indentation.
fn is_indented_label(text: &str, body: usize) -> bool {
    scan::symbol_end(text.as_bytes(), body, Dollar::Start)
        .is_some_and(|end| text.as_bytes().get(end) == Some(&b':'))
}

/// What a line is, and what it defines.
fn classify(text: &str, body: usize, marks: Marks) -> (Kind, Option<&str>) {
    let Some(&first) = text.as_bytes().get(body) else { return (Kind::Blank, None) };
    if let Some(label) = label_start(text) {
        return (Kind::Label { whole: label.end == text.len() }, Some(label.name));
    }
    if (marks.has(Mark::Equals) || text[body..].starts_with(".set"))
        && let Some((kind, name)) = names_at(text, body)
    {
        return (kind, Some(name));
    }
    if marks.has(Mark::Opening) {
        return (Kind::Opening, ptx::opening(text));
    }
    if first == b'.' {
        return (Kind::Directive(directives::classify(text, body)), None);
    }
    (Kind::Other, None)
}

/// The assignment or `.set` that `text` is, and the name it gives a value to.
pub(super) fn names_in(text: &str) -> Option<(Kind, &str)> {
    names_at(text, scan::skip_space(text, 0))
}

fn names_at(text: &str, start: usize) -> Option<(Kind, &str)> {
    let bytes = text.as_bytes();
    let end = scan::symbol_end(bytes, start, Dollar::Start)?;
    let equals = scan::skip_space(text, end);
    if bytes.get(equals) == Some(&b'=') {
        let bare = is_bare(&text[scan::skip_space(text, equals + 1)..]);
        return Some((Kind::Assignment { bare }, &text[start..end]));
    }
    if &bytes[start..end] != b".set" {
        return None;
    }
    let set = Set::read(text)?;
    Some((Kind::Set { bare: is_bare(set.value), here: set.is_here() }, set.name))
}

/// Whether a value is nothing or `.`, and the line ends with it in everyone's eyes.
fn is_bare(value: &str) -> bool {
    matches!(scan::trim(value), "" | ".") && scan::is_one_line(value)
}

/// The label that starts a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::text) struct LabelStart<'t> {
    /// The label; quotes are part of it.
    pub(in crate::text) name: &'t str,
    /// The offset behind the colon.
    pub(in crate::text) end: usize,
}

/// The label at column 0, if there is one: letters, digits and `_ $ . @`, or a quoted run of them, and a colon. One
/// character plus `proc` and blanks may stand before it.
#[inline]
pub(in crate::text) fn label_start(text: &str) -> Option<LabelStart<'_>> {
    // Most lines are told apart here.
    let (&first, rest) = text.as_bytes().split_first()?;
    let may_be_proc = first >= 0x80 || rest.first().is_some_and(|second| second | 0x20 == b'p');
    if !may_be_proc && !scan::in_label(first) && first != b'"' {
        return None;
    }
    after_proc(text).and_then(|at| label_at(text, at)).or_else(|| label_at(text, 0))
}

fn label_at(text: &str, start: usize) -> Option<LabelStart<'_>> {
    let bytes = text.as_bytes();
    let quoted = usize::from(bytes.get(start) == Some(&b'"'));
    let word_end = scan::skip_while(bytes, start + quoted, scan::in_label);
    if word_end == start + quoted || (quoted == 1 && bytes.get(word_end) != Some(&b'"')) {
        return None;
    }
    let end = word_end + quoted;
    (bytes.get(end) == Some(&b':')).then(|| LabelStart { name: &text[start..end], end: end + 1 })
}

/// The offset behind one character, `proc` and blanks.
fn after_proc(text: &str) -> Option<usize> {
    let width = text.chars().next().map_or(1, char::len_utf8);
    let word = text.as_bytes().get(width..width + 4)?;
    let blanks = width + 4;
    // Beyond the basic plane a character is two UTF-16 units, and the pattern wants one.
    if width > 3 || !word.eq_ignore_ascii_case(b"proc") {
        return None;
    }
    let end = scan::skip_space(text, blanks);
    (end > blanks).then_some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_starts() {
        for (sentence, text, expected) in [
            ("a symbol and a colon", "main:", Some(("main", 5))),
            ("at column 0", " main:", None),
            ("letters, digits, _ $ . @", "a1_$.@b: x", Some(("a1_$.@b", 8))),
            ("digits alone", "1:\tcall", Some(("1", 2))),
            ("a quoted run", "\"a.b@c\":", Some(("\"a.b@c\"", 8))),
            ("no blanks in quotes", "\"a b\":", None),
            ("proc with one character before", ".proc  f:", Some(("f", 9))),
            ("case-insensitive", "xPROC\tf:", Some(("f", 8))),
            ("any character before proc", "\u{e9}proc f:", Some(("f", 9))),
            ("of the basic plane", "\u{20ac}proc f:", Some(("f", 10))),
            ("none beyond the basic plane", "\u{1f600}proc f:", None),
            ("blanks are needed behind proc", ".procf:", Some((".procf", 7))),
            ("no blank before the colon", "main :", None),
            ("something is needed", ":", None),
            ("empty quotes", "\"\":", None),
            ("not ASCII", "\u{e9}:", None),
        ] {
            assert_eq!(label_start(text).map(|label| (label.name, label.end)), expected, "{sentence}");
        }
    }

    fn kind(text: &str) -> (Kind, &str) {
        let lines = read(text);
        let line = lines.all[0];
        let name = line.name_text().unwrap_or_default();
        assert_eq!(line.name, lines.names.find(name), "{text}");
        (line.kind, name)
    }

    #[test]
    fn kinds() {
        for (text, expected) in [
            ("  \t", (Kind::Blank, "")),
            ("x:", (Kind::Label { whole: true }, "x")),
            ("x: # c", (Kind::Label { whole: false }, "x")),
            ("x: ", (Kind::Label { whole: false }, "x")),
            (" $x=1", (Kind::Assignment { bare: false }, "$x")),
            (".x = .", (Kind::Assignment { bare: true }, ".x")),
            ("x =", (Kind::Assignment { bare: true }, "x")),
            ("x = \r", (Kind::Assignment { bare: true }, "x")),
            ("x = .\r", (Kind::Assignment { bare: false }, "x")),
            ("x = . \u{2028}", (Kind::Assignment { bare: false }, "x")),
            ("\t.set a, b", (Kind::Set { bare: false, here: false }, "a")),
            ("\t.set a, .", (Kind::Set { bare: true, here: true }, "a")),
            ("\t.set a, .\r", (Kind::Set { bare: false, here: true }, "a")),
            ("\t.set a, .+0", (Kind::Set { bare: false, here: true }, "a")),
            ("\t.set noat", (Kind::Directive(Directive::Set), "")),
            (".entry f(", (Kind::Opening, "entry")),
            ("\t.long x", (Kind::Directive(Directive::Data), "")),
            ("\tmov a, b", (Kind::Other, "")),
            ("# c", (Kind::Other, "")),
        ] {
            assert_eq!(kind(text), expected, "{text}");
        }
    }

    #[test]
    fn successive_blank_lines_take_no_memory() {
        let lines = read("\n \n\t\nx:\n\n\ny:\n");
        let texts: Vec<_> = lines.all.iter().map(|line| line.text).collect();
        assert_eq!((texts, lines.count), (vec!["", "x:", "", "y:"], 7));
    }

    #[test]
    fn the_bounds_of_custom_asm_and_mips_labels() {
        for (text, expected) in [(" #APP", true), ("# End ASM", true), ("#  APP", false), ("APP", false)] {
            assert_eq!(read(text).all[0].marks.has(Mark::CustomAsm), expected, "{text}");
        }
        for (text, expected) in [("$L1: x", Dollar::Start), ("$:", Dollar::No), (" $L1:", Dollar::No)] {
            assert_eq!(read(text).dollar, expected, "{text}");
        }
    }

    #[test]
    fn inside_custom_asm_an_indented_label_loses_its_indentation() {
        let text = "  a:\n#APP\n  b:\n\t$c: x\n  1:\n  # Begin ASM\n#NO_APP\n  d:\n# End ASM\n  e:\n#NO_APP\n#APP\n  f:";
        let texts: Vec<_> = read(text).all.iter().map(|line| line.text).collect();
        assert_eq!(
            texts,
            [
                "  a:",
                "#APP",
                "b:",
                "$c: x",
                "  1:",
                "  # Begin ASM",
                "#NO_APP",
                "d:",
                "# End ASM",
                "  e:",
                "#NO_APP",
                "#APP",
                "  f:"
            ]
        );
    }
}
