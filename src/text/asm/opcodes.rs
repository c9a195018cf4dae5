//! Whether a line holds an instruction. Knows none: an instruction is a word that is nothing else.

use memchr::memmem;

use crate::text::asm::lines::{self, Kind, Mark, Marks};
use crate::text::scan::{self, Dollar};

/// Whose assembly a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Machine {
    /// An assembler in the GAS tradition.
    Gas,
    /// PTX or SASS, where predicates stand before instructions.
    Cuda,
}

/// On which machines a line has an opcode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opcode {
    /// On none.
    None,
    /// On both.
    Any,
    /// On one.
    Of(Machine),
}

impl Opcode {
    /// What the line `text` has that is of `kind` and starts at `body`.
    pub(super) fn read(text: &str, body: usize, kind: Kind, marks: Marks) -> Self {
        let code = match kind {
            Kind::Directive(_) if !marks.has(Mark::Instruction) => return Self::None,
            Kind::Blank | Kind::Label { whole: true } => return Self::None,
            Kind::Label { whole: false } => &text[lines::label_start(text).map_or(0, |label| label.end)..],
            _ => &text[body..],
        };
        if marks.has(Mark::Instruction) && memmem::find(without_comment(code).as_bytes(), b".inst").is_some()
        {
            return Self::Any;
        }
        match kind {
            Kind::Assignment { .. } | Kind::Set { .. } | Kind::Directive(_) => Self::None,
            Kind::Label { .. } if lines::names_in(code).is_some() => Self::None,
            _ => Self::starting(code),
        }
    }

    /// What `code` starts with.
    fn starting(code: &str) -> Self {
        let bytes = code.as_bytes();
        let first = scan::skip_space(code, 0);
        match bytes.get(first) {
            Some(letter) if letter.is_ascii_alphabetic() => Self::Any,
            Some(b'@' | b'|') => Self::Of(Machine::Cuda),
            // As LLVM writes them: `%name = opcode`.
            Some(b'%') => {
                let opcode = result_end(code, first + 1).map(|end| scan::skip_space(code, end));
                let is_word = opcode.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_alphabetic);
                if is_word { Self::Of(Machine::Gas) } else { Self::None }
            }
            _ => Self::None,
        }
    }

    /// Whether the line holds an instruction of `machine`.
    pub(super) fn is_of(self, machine: Machine) -> bool {
        match self {
            Self::None => false,
            Self::Any => true,
            Self::Of(one) => one == machine,
        }
    }
}

/// What stands before the first `#` or `;`.
pub(super) fn without_comment(text: &str) -> &str {
    &text[..memchr::memchr2(b'#', b';', text.as_bytes()).unwrap_or(text.len())]
}

/// Where `name =` at `at` ends.
fn result_end(code: &str, at: usize) -> Option<usize> {
    let bytes = code.as_bytes();
    if bytes.get(at) == Some(&b'"') {
        return None;
    }
    let equals = scan::skip_space(code, scan::symbol_end(bytes, at, Dollar::Start)?);
    (bytes.get(equals) == Some(&b'=')).then_some(equals + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_an_opcode() {
        for (sentence, text, gas, cuda) in [
            ("a letter after blanks", "\tret", true, true),
            ("behind a label start", "1:\tcall f", true, true),
            ("a label alone", "main:", false, false),
            ("cut at the first #", "  # mov", false, false),
            ("cut at the first ;", "a: ; mov", false, false),
            ("a directive", "\t.long 1", false, false),
            (".inst", "\t.inst 0xd503201f", true, true),
            (".inst.n", "\t.inst.n 0xbf00", true, true),
            (".inst in a comment", "\t.long 1 # .inst", false, false),
            (".inst behind a label", "x: .inst 1", true, true),
            ("an assignment", "x = y", false, false),
            ("an assignment behind a label", "a: x = y", false, false),
            (".set behind a label", "a: .set x, y", false, false),
            (".set", "\t.set x, y", false, false),
            ("LLVM style", "  %1x = add i32", false, false),
            ("LLVM style with a name", "  %x.1 = add i32", true, false),
            ("LLVM style without opcode", "  %x = 1", false, false),
            ("a predicate", "\t@%p1 bra L", false, true),
            ("a vector bar", " || add", false, true),
            ("a number", "  1", false, false),
        ] {
            let line = lines::read(text).all[0];
            assert_eq!(line.has_opcode(Machine::Gas), gas, "{sentence}");
            assert_eq!(line.has_opcode(Machine::Cuda), cuda, "{sentence} in CUDA");
        }
    }
}
