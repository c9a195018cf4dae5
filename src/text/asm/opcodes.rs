//! Whether a line holds an instruction. Knows none: an instruction is a word that is nothing else.

use memchr::memmem;

use crate::text::asm::lines::{self, Kind, Line, Mark};
use crate::text::scan::{self, Dollar};

/// Whose assembly a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Machine {
    /// An assembler in the GAS tradition.
    Gas,
    /// PTX or SASS, where predicates stand before instructions.
    Cuda,
}

/// Whether `line` has an opcode.
pub(super) fn has_opcode(line: &Line<'_>, machine: Machine) -> bool {
    let code = match line.kind {
        Kind::Blank | Kind::Label { whole: true } => return false,
        Kind::Label { whole: false } => {
            &line.text[lines::label_start(line.text).map_or(0, |label| label.end)..]
        }
        _ => line.text,
    };
    if line.marks.has(Mark::Instruction) && memmem::find(without_comment(code).as_bytes(), b".inst").is_some()
    {
        return true;
    }
    match line.kind {
        Kind::Assignment { .. } | Kind::Set { .. } | Kind::Directive(_) => false,
        Kind::Label { .. } => lines::names_in(code).is_none() && starts_instruction(code, machine),
        _ => starts_instruction(line.body(), machine),
    }
}

/// What stands before the first `#` or `;`.
pub(super) fn without_comment(text: &str) -> &str {
    &text[..memchr::memchr2(b'#', b';', text.as_bytes()).unwrap_or(text.len())]
}

fn starts_instruction(code: &str, machine: Machine) -> bool {
    let bytes = code.as_bytes();
    let first = scan::skip_space(code, 0);
    match bytes.get(first) {
        Some(letter) if letter.is_ascii_alphabetic() => true,
        Some(b'@' | b'|') => machine == Machine::Cuda,
        // As LLVM writes them: `%name = opcode`.
        Some(b'%') if machine == Machine::Gas => result_end(code, first + 1)
            .is_some_and(|end| bytes.get(scan::skip_space(code, end)).is_some_and(u8::is_ascii_alphabetic)),
        _ => false,
    }
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
            let lines = lines::read(text);
            assert_eq!(has_opcode(&lines[0], Machine::Gas), gas, "{sentence}");
            assert_eq!(has_opcode(&lines[0], Machine::Cuda), cuda, "{sentence} in CUDA");
        }
    }
}
