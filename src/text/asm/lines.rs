//! Splits a text into lines and says what kind each is. Looks at one line at a time, and at the few words that count
//! wherever they stand; knows nothing of filters.

use std::sync::LazyLock;

use aho_corasick::packed::{self, Searcher};

use crate::text::asm::directives::{self, Directive, Set};
use crate::text::asm::ptx;
use crate::text::scan::{self, Dollar};

/// One line of the input.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'t> {
    /// The text; a label inside custom asm has lost its indentation.
    pub(super) text: &'t str,
    /// The offset of the first character that is no white space.
    body: u32,
    /// What the line is.
    pub(super) kind: Kind,
    /// Words that count wherever they stand.
    pub(super) marks: Marks,
    /// Whether the name is used somewhere; [`crate::text::asm::labels`] finds out.
    pub(super) used: bool,
    /// Whether the line is known to name no label; [`crate::text::asm::labels`] finds out on its way.
    pub(super) names_none: bool,
}

impl<'t> Line<'t> {
    fn new(text: &'t str, body: usize, kind: Kind, marks: Marks) -> Self {
        // An indentation of four gigabytes is read anew by whoever cares.
        Self { text, body: u32::try_from(body).unwrap_or(0), kind, marks, used: false, names_none: false }
    }

    /// The text from the first character that is no white space.
    pub(super) fn body(&self) -> &'t str {
        &self.text[self.body as usize..]
    }

    /// What a label, assignment or `.set` defines; `None` for other kinds.
    pub(super) fn name(&self) -> Option<&'t str> {
        match self.kind {
            Kind::Label { .. } => label_start(self.text).map(|label| label.name),
            Kind::Assignment { .. } | Kind::Set { .. } => names_in(self.text).map(|(_, name)| name),
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
    /// A label that starts with `$` at column 0, as only MIPS assembly has.
    MipsLabel = 32,
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
    const fn add(&mut self, mark: Mark) {
        self.0 |= mark as u8;
    }

    /// Takes `mark` away.
    const fn remove(&mut self, mark: Mark) {
        self.0 &= !(mark as u8);
    }
}

/// The words to be found anywhere, with what they mean; openings need a second look.
const WORDS: [(&str, Mark); 8] = [
    (".cfi_startproc", Mark::StartsProcedure),
    (".cfi_endproc", Mark::EndsBlock),
    (".data", Mark::EndsBlock),
    (".text", Mark::EndsBlock),
    (".section", Mark::EndsBlock),
    (".inst", Mark::Instruction),
    (".entry", Mark::Opening),
    (".func", Mark::Opening),
];

/// Finds [`WORDS`] many bytes at a time, where the processor can.
static FINDER: LazyLock<Option<Searcher>> =
    LazyLock::new(|| packed::Config::new().builder().extend(WORDS.map(|(word, _)| word)).build());

/// Where a word of [`WORDS`] stands, and which.
#[derive(Debug, Clone, Copy)]
struct Found {
    start: usize,
    word: usize,
}

/// Every word of [`WORDS`] in `text`, in order. No word holds another, so none is missed.
fn find_words(text: &str) -> Vec<Found> {
    if let Some(finder) = FINDER.as_ref() {
        let found = finder.find_iter(text);
        return found.map(|found| Found { start: found.start(), word: found.pattern().as_usize() }).collect();
    }
    let word_at = |start: usize| WORDS.iter().position(|(word, _)| text[start..].starts_with(word));
    memchr::memchr_iter(b'.', text.as_bytes())
        .filter_map(|start| word_at(start).map(|word| Found { start, word }))
        .collect()
}

/// The lines of `text`, classified.
pub(super) fn read(text: &str) -> Vec<Line<'_>> {
    let found = find_words(text);
    let mut words = found.iter().peekable();
    let mut custom_depth = 0_i64;
    let mut lines = Vec::with_capacity(text.len() / 20);
    for line in scan::lines(text) {
        let start = line.as_ptr().addr() - text.as_ptr().addr();
        let mut marks = Marks::default();
        while let Some(found) = words.next_if(|found| found.start < start + line.len()) {
            let (word, meaning) = WORDS[found.word];
            let next = line.as_bytes().get(found.start + word.len() - start);
            let is_part = meaning == Mark::EndsBlock && next.copied().is_some_and(scan::is_word);
            if !is_part {
                marks.add(meaning);
            }
        }
        // Once per line, however many such words it has.
        if marks.has(Mark::Opening) && ptx::opening(line).is_none() {
            marks.remove(Mark::Opening);
        }
        lines.push(read_line(line, marks, &mut custom_depth));
    }
    lines
}

fn read_line<'t>(text: &'t str, mut marks: Marks, custom_depth: &mut i64) -> Line<'t> {
    let body = scan::skip_space(text, 0);
    let Some(&first) = text.as_bytes().get(body) else {
        return Line::new(text, body, Kind::Blank, marks);
    };
    if first == b'#' {
        let change = custom_asm(&text[body..]);
        if change != 0 {
            *custom_depth += change;
            marks.add(Mark::CustomAsm);
        }
    }
    if first == b'$' && body == 0 && is_mips_label(text) {
        marks.add(Mark::MipsLabel);
    }
    let loses_indentation = *custom_depth > 0 && body > 0 && is_indented_label(text, body);
    let (text, body) = if loses_indentation { (&text[body..], 0) } else { (text, body) };
    Line::new(text, body, classify(text, body, marks), marks)
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

fn classify(text: &str, body: usize, marks: Marks) -> Kind {
    if let Some(label) = label_start(text) {
        return Kind::Label { whole: label.end == text.len() };
    }
    if let Some((kind, _)) = names_at(text, body) {
        return kind;
    }
    if marks.has(Mark::Opening) {
        return Kind::Opening;
    }
    if text.as_bytes()[body] == b'.' {
        return Kind::Directive(directives::classify(text, body));
    }
    Kind::Other
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
        let bare = matches!(scan::trim(&text[equals + 1..]), "" | ".");
        return Some((Kind::Assignment { bare }, &text[start..end]));
    }
    if &bytes[start..end] != b".set" {
        return None;
    }
    let set = Set::read(text)?;
    Some((Kind::Set { bare: matches!(set.value, "" | "."), here: set.is_here() }, set.name))
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
pub(in crate::text) fn label_start(text: &str) -> Option<LabelStart<'_>> {
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
    // Most lines are told apart here: the character before `proc` takes 1 to 3 bytes.
    let first = *text.as_bytes().first()?;
    if first < 0x80 && text.as_bytes().get(1).is_none_or(|second| second | 0x20 != b'p') {
        return None;
    }
    let width = if first < 0x80 { 1 } else { text.chars().next().map_or(1, char::len_utf8) };
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
        let line = read(text)[0];
        (line.kind, line.name().unwrap_or_default())
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
            ("\t.set a, b", (Kind::Set { bare: false, here: false }, "a")),
            ("\t.set a, .", (Kind::Set { bare: true, here: true }, "a")),
            ("\t.set a, .+0", (Kind::Set { bare: false, here: true }, "a")),
            ("\t.set noat", (Kind::Directive(Directive::Set), "")),
            (".entry f(", (Kind::Opening, "")),
            ("\t.long x", (Kind::Directive(Directive::Data), "")),
            ("\tmov a, b", (Kind::Other, "")),
            ("# c", (Kind::Other, "")),
        ] {
            assert_eq!(kind(text), expected, "{text}");
        }
    }

    #[test]
    fn marks_are_whole_words_anywhere() {
        for (text, mark, expected) in [
            ("\t.cfi_startproc", Mark::StartsProcedure, true),
            ("\t.cfi_endproc", Mark::EndsBlock, true),
            (" # .data", Mark::EndsBlock, true),
            ("x.text y", Mark::EndsBlock, true),
            (".section\t.rodata", Mark::EndsBlock, true),
            (".data.rel.ro", Mark::EndsBlock, true),
            (".data1", Mark::EndsBlock, false),
            (".texture .text", Mark::EndsBlock, true),
            (".rodata", Mark::EndsBlock, false),
            (".inst.n 1", Mark::Instruction, true),
            ("x: .func f(", Mark::Opening, true),
            (".func f", Mark::Opening, false),
            (" #APP", Mark::CustomAsm, true),
            ("# End ASM", Mark::CustomAsm, true),
            ("#  APP", Mark::CustomAsm, false),
            ("$L1: x", Mark::MipsLabel, true),
            ("$:", Mark::MipsLabel, false),
            (" $L1:", Mark::MipsLabel, false),
        ] {
            assert_eq!(read(text)[0].marks.has(mark), expected, "{text}");
        }
        let lines = read("a\n.text\nb\n.inst\n.data");
        assert_eq!(lines.iter().map(|line| line.marks.0).collect::<Vec<_>>(), [0, 2, 0, 4, 2]);
    }

    #[test]
    fn inside_custom_asm_an_indented_label_loses_its_indentation() {
        let text = "  a:\n#APP\n  b:\n\t$c: x\n  1:\n  # Begin ASM\n#NO_APP\n  d:\n# End ASM\n  e:\n#NO_APP\n#APP\n  f:";
        let texts: Vec<_> = read(text).iter().map(|line| line.text).collect();
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
