//! The first pass: which labels are used. Knows nothing of what is shown.
//!
//! An instruction uses the labels it names. Data uses those it names only if the label it stands under is used itself;
//! such lines are kept by group of labels and read when a label of the group turns out to be used. So each line is read
//! once at most, and debug information, which nothing but itself refers to, never.

use std::ops::Range;

use crate::text::asm::directives::{self, Directive};
use crate::text::asm::label_uses;
use crate::text::asm::lines::{Kind, Line, Lines, Mark};
use crate::text::asm::names::{Name, Names};
use crate::text::asm::opcodes::Machine;
use crate::text::scan::{self, Dollar};

/// A line, group or edge by number. Half the size of a `usize`, because listings are mostly labels, and what is read
/// once costs the memory it passes through.
type Index = u32;

/// Listings of four billion lines share the last number.
fn index(number: usize) -> Index {
    Index::try_from(number).unwrap_or(Index::MAX)
}

/// Labels that stand together, and the data below them.
#[derive(Debug, Clone)]
struct Group {
    /// The lines among which its data stands.
    lines: Range<Index>,
    /// Whether the data has been read.
    read: bool,
}

/// What a label's being used entails.
#[derive(Debug, Clone, Copy)]
struct Edge {
    target: Target,
    /// The label's next edge.
    next: Option<Index>,
}

#[derive(Debug, Clone, Copy)]
enum Target {
    /// The data of a group is used.
    Group(Index),
    /// A label is used.
    Label(Name),
}

/// Which lines name labels that are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Naming {
    /// Names none that count.
    None,
    /// All of them are used.
    Strong,
    /// They are used if a label of the group above is.
    Weak,
}

#[derive(Debug)]
struct Pass<'l, 't> {
    lines: &'l mut [Line<'t>],
    names: &'l Names<'t>,
    dollar: Dollar,
    /// Whether `$` introduces literals, and begins no name.
    literals: bool,
    /// For each name its first edge.
    edges_of: Vec<Option<Index>>,
    edges: Vec<Edge>,
    groups: Vec<Group>,
    used: Used,
    /// Used labels whose edges have not been followed.
    reached: Vec<Name>,
}

/// For each name whether it is used.
#[derive(Debug)]
pub(super) struct Used(Vec<bool>);

impl Used {
    /// Whether `name` is used.
    pub(super) fn has(&self, name: Name) -> bool {
        self.0[name.index()]
    }
}

/// Which names are used. Marks lines that are known to name no label.
pub(super) fn used(lines: &mut Lines<'_>, filter_directives: bool) -> Used {
    let mut pass = Pass::new(lines);
    pass.survey(filter_directives);
    pass.follow();
    pass.used
}

impl<'l, 't> Pass<'l, 't> {
    fn new(lines: &'l mut Lines<'t>) -> Self {
        let names = lines.names.len();
        Self {
            lines: &mut lines.all,
            names: &lines.names,
            dollar: lines.dollar,
            literals: lines.dollar == Dollar::No && !lines.dollar_names,
            edges_of: vec![None; names],
            edges: Vec::with_capacity(names),
            groups: Vec::new(),
            used: Used(vec![false; names]),
            reached: Vec::with_capacity(names),
        }
    }

    /// Collects groups and explicit edges, and reads the lines whose names are used whatever happens.
    fn survey(&mut self, filter_directives: bool) {
        let mut machine = Machine::Gas;
        let mut in_function = false;
        let mut in_group = false;
        let mut group = None;
        let mut alias = None;
        for number in 0..self.lines.len() {
            let line = self.lines[number];
            if line.marks.has(Mark::CustomAsm) {
            } else if line.marks.has(Mark::StartsProcedure) {
                in_function = true;
            } else if line.marks.has(Mark::EndsBlock) {
                in_function = false;
                group = None;
            } else if line.marks.has(Mark::Opening) {
                machine = Machine::Cuda;
            }
            if let (Kind::Label { .. }, Some(label)) = (line.kind, line.name) {
                let current = match group {
                    Some(current) if in_group => current,
                    _ => self.begin_group(number),
                };
                group = Some(current);
                in_group = true;
                self.link(label, Target::Group(current));
                if let Some(alias) = alias {
                    self.link(alias, Target::Label(label));
                }
            } else if in_group {
                in_group = false;
                alias = None;
            }
            match line.kind {
                Kind::Directive(Directive::Global) => {
                    let name = directives::global_name(line.text);
                    if let Some(name) = name.and_then(|name| self.names.find(name)) {
                        self.reach(name);
                    }
                }
                Kind::Set { here: true, .. } => alias = line.name,
                _ => {}
            }
            match (naming(&line, machine, filter_directives), group) {
                // Data in the middle of a function, such as a jump table, counts at once.
                (Naming::Weak, _) if in_function => self.use_words(number),
                (Naming::Weak, Some(group)) => self.groups[group as usize].lines.end = index(number + 1),
                (Naming::Strong, _) => self.use_words(number),
                _ => {}
            }
        }
    }

    fn begin_group(&mut self, line: usize) -> Index {
        self.groups.push(Group { lines: index(line)..index(line), read: false });
        index(self.groups.len() - 1)
    }

    fn link(&mut self, label: Name, target: Target) {
        let next = self.edges_of[label.index()].replace(index(self.edges.len()));
        self.edges.push(Edge { target, next });
    }

    fn reach(&mut self, name: Name) {
        if !std::mem::replace(&mut self.used.0[name.index()], true) {
            self.reached.push(name);
        }
    }

    /// Marks every label that the line's words name as used.
    fn use_words(&mut self, line: usize) {
        let text = self.lines[line].text;
        let mut words = Words { text, at: 0, dollar: self.dollar, literals: self.literals, is_plain: true };
        let mut names_none = true;
        for word in words.by_ref() {
            if let Some(name) = self.names.find(word) {
                names_none = false;
                self.reach(name);
            }
        }
        // Behind a mnemonic such as `cvtsi2sd`, what follows its letters is a word to whoever reads the shown line.
        self.lines[line].names_none = names_none && words.is_plain && !label_uses::splits_mnemonic(text);
    }

    /// Follows the edges of all used labels.
    fn follow(&mut self) {
        while let Some(label) = self.reached.pop() {
            let mut next = self.edges_of[label.index()];
            while let Some(edge) = next.map(|edge| self.edges[edge as usize]) {
                match edge.target {
                    Target::Label(label) => self.reach(label),
                    Target::Group(group) => self.read_group(group),
                }
                next = edge.next;
            }
        }
    }

    /// Reads the data of a group; what stands in a function has been read before, and tells nothing new.
    fn read_group(&mut self, group: Index) {
        let group = &mut self.groups[group as usize];
        if std::mem::replace(&mut group.read, true) {
            return;
        }
        for line in group.lines.start as usize..group.lines.end as usize {
            if is_data(&self.lines[line]) {
                self.use_words(line);
            }
        }
    }
}

fn naming(line: &Line<'_>, machine: Machine, filter_directives: bool) -> Naming {
    let is_function = match line.kind {
        Kind::Directive(Directive::Type) => directives::defines_function(line.text),
        Kind::Label { .. } => line.text.starts_with('.') && directives::defines_function(line.text),
        _ => false,
    };
    if is_function {
        return Naming::Strong;
    }
    if line.text.is_empty() || line.text.starts_with('.') {
        return Naming::None;
    }
    if !filter_directives || line.has_opcode(machine) {
        return Naming::Strong;
    }
    if is_data(line) { Naming::Weak } else { Naming::None }
}

/// Whether the line is data that counts as such: at column 0 it does not.
fn is_data(line: &Line<'_>) -> bool {
    line.kind == Kind::Directive(Directive::Data) && !line.text.starts_with('.')
}

/// The words of a line that could name a label, wherever they stand.
struct Words<'t> {
    text: &'t str,
    at: usize,
    dollar: Dollar,
    literals: bool,
    /// Whether all words seen so far are words in everyone's eyes: quotes, `@` and `$`, unless it introduces literals,
    /// are part of names to some.
    is_plain: bool,
}

impl<'t> Iterator for Words<'t> {
    type Item = &'t str;

    fn next(&mut self) -> Option<&'t str> {
        let bytes = self.text.as_bytes();
        while let Some(&byte) = bytes.get(self.at) {
            let start = self.at;
            if scan::starts_symbol(byte) {
                self.at = scan::skip_while(bytes, start + 1, scan::in_symbol);
                return Some(&self.text[start..self.at]);
            }
            if matches!(byte, b'"' | b'$' | b'@') {
                self.is_plain &= byte == b'$' && self.literals;
                if let Some(end) = scan::symbol_end(bytes, start, self.dollar) {
                    self.at = end;
                    return Some(&self.text[start..end]);
                }
            }
            self.at += 1;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::asm::lines;

    /// The names of the lines that define a used name, in order.
    fn used(text: &str, filter_directives: bool) -> Vec<&str> {
        let mut lines = lines::read(text);
        let used = super::used(&mut lines, filter_directives);
        let is_used = |line: &&Line<'_>| line.name.is_some_and(|name| used.has(name));
        lines.all.iter().filter(is_used).filter_map(Line::name_text).collect()
    }

    #[test]
    fn used_labels() {
        for (sentence, text, expected) in [
            ("an instruction uses what it names", "a:\nb:\n jmp b", &["b"][..]),
            ("anywhere in its text, comments included", "a:\n nop # a", &["a"]),
            ("any word character may precede", "a:\n mov 1a", &["a"]),
            ("words are whole to the right", "a:\n jmp ab", &[]),
            (".globl", " .globl a\na:\n", &["a"]),
            (".weak", "a:\n.weak a", &["a"]),
            ("a function definition", " .type a, @function\na:", &["a"]),
            (".type of an object", " .type a, @object\na:", &[]),
            (".proc", ".proc a: x", &["a"]),
            ("a directive's words do not count", "a:\n .size a, 1", &[]),
            ("data under an unused label", "a:\n .long b\nb:", &[]),
            ("data under a used label", "a:\n .long b\nb:\n jmp a", &["a", "b"]),
            ("every label of the group", "a:\nc:\n .long b\nb:\n jmp c", &["c", "b"]),
            ("all data of the group", "a:\n .long 1\n .long b\nb:\n jmp a", &["a", "b"]),
            ("the group stays through other lines", "a:\n nop\n .align 4\n .long b\nb:\n jmp a", &["a", "b"]),
            ("a new label begins a new group", "a:\n .long 1\nc:\n .long b\nb:\n jmp a", &["a"]),
            ("the end of a block empties it", "a:\n .text\n .long b\nb:\n jmp a", &["a"]),
            ("data at column 0 is not read", "a:\n.long b\nb:\n jmp a", &["a"]),
            ("data in a function", "x:\n .cfi_startproc\n .long b\n .cfi_endproc\nb:", &["b"]),
            ("data behind a function", "x:\n .cfi_startproc\n .cfi_endproc\n .long b\nb:", &[]),
            ("a chain", "a:\n .long b\nb:\n .long c\nc:\n .long d\nd:\n jmp a", &["a", "b", "c", "d"]),
            (
                "a label twice has the data of both",
                "a:\n .long b\na:\n .long c\nb:\nc:\n jmp a",
                &["a", "a", "b", "c"],
            ),
            ("an alias makes its label used", " .set x, .\na:\n jmp x", &["x", "a"]),
            ("+ 0", " .set x, .+0\na:\n jmp x", &["x", "a"]),
            (
                "all labels of the group below the alias",
                " .set x, .\na:\nb:\n nop\nc:\n jmp x",
                &["x", "a", "b"],
            ),
            ("other lines before the label do not matter", " .set x, .\n nop\na:\n jmp x", &["x", "a"]),
            ("no weak edge to the alias", " .set x, .\na:\n jmp a", &["a"]),
            ("an instruction in a comment line is none", "a:\n# a\n;a", &[]),
            ("quoted", "\"a\":\n call \"a\"", &["\"a\""]),
            ("CUDA predicates", ".entry f(\n @%p bra a;\na:", &["a"]),
            ("not in other text", " @%p bra a;\na:", &[]),
        ] {
            assert_eq!(used(text, true), expected, "{sentence}");
        }
    }

    #[test]
    fn mips_labels_start_with_dollar() {
        assert_eq!(used("$L1:\n b $L1\n.set x, 1\n j x", true), ["$L1", "x"]);
        assert_eq!(used("L1:\n b $L1", true), ["L1"]);
        assert_eq!(used("$L2:\nL1:\n b $L1", true), Vec::<&str>::new());
        assert_eq!(used("#APP\n  $L3:\n#NO_APP\n\tb\t$L3", true), Vec::<&str>::new(), "indented in the file");
    }

    #[test]
    fn with_directives_shown_labels_use_themselves_unless_they_start_with_a_dot() {
        assert_eq!(used("main:\n.L1:\n .long .L2\n.L2:\n.L3:", false), ["main", ".L2"]);
    }

    #[test]
    fn the_bounds_of_custom_asm_have_no_other_meaning() {
        assert_eq!(used("a:\n#APP .text\n .long b\nb:\n jmp a", true), ["a", "b"]);
        assert_eq!(used("a:\n#app .text\n .long b\nb:\n jmp a", true), ["a"]);
    }
}
