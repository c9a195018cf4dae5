//! What a directive's word says, for lines whose first character that is no white space is a dot.
//!
//! Words are recognized by prefix, as clients have come to expect: `.zerofill` is data because of `.zero`.

use crate::text::scan::{self, Dollar};

/// What a directive does, as far as a listing cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Directive {
    /// Emits data.
    Data,
    /// Names a source file.
    File,
    /// May change the current source.
    Source,
    /// `.set name, value`.
    Set,
    /// `.type` or `.proc`: may define a function.
    Type,
    /// Makes a symbol visible outside.
    Global,
    /// Anything else.
    Other,
}

/// What the directive whose dot stands at `dot` does.
pub(super) fn classify(line: &str, dot: usize) -> Directive {
    let word = &line.as_bytes()[dot + 1..];
    let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| word.starts_with(prefix.as_bytes()));
    let data = |prefixes: &[&str]| if starts(prefixes) { Directive::Data } else { Directive::Other };
    match word.first() {
        Some(b'l') if starts(&["loc"]) => Directive::Source,
        Some(b'l') => data(&["long"]),
        Some(b'a') => data(&["ascii", "asciz"]),
        Some(b'b') => data(&["byte", "base64"]),
        Some(b'1' | b'2' | b'4' | b'8') => data(&["1byte", "2byte", "4byte", "8byte"]),
        Some(b'd') if starts(&["d2line", "dbg"]) => Directive::Source,
        Some(b'd') => data(&["dc", "ds", "double", "dword"]),
        Some(b'f') if starts(&["file"]) => Directive::File,
        Some(b'f') => data(&["fill", "float"]),
        Some(b'h') => data(&["half", "hword"]),
        Some(b'i') => data(&["int"]),
        Some(b'o') => data(&["octa"]),
        Some(b'q') => data(&["quad"]),
        Some(b's') if starts(&["set"]) => Directive::Set,
        Some(b's') if starts(&["stabn"]) => Directive::Source,
        Some(b's') => data(&["short", "single", "skip", "space", "string"]),
        Some(b'v') => data(&["value"]),
        Some(b'w') if starts(&["weak"]) => Directive::Global,
        Some(b'w') => data(&["word"]),
        Some(b'x') => data(&["xword"]),
        Some(b'z') => data(&["zero"]),
        // `global_name` looks closer.
        Some(b'g' | b'G' | b'e') => Directive::Global,
        Some(b't') if starts(&["type"]) => Directive::Type,
        Some(b'p') if starts(&["proc"]) => Directive::Type,
        Some(b'c') if starts(&["cv_loc"]) => Directive::Source,
        Some(b'c') if starts(&["cv_file"]) => Directive::File,
        _ => Directive::Other,
    }
}

/// The symbol that a [`Directive::Global`] line makes visible.
pub(super) fn global_name(line: &str) -> Option<&str> {
    let dot = scan::skip_space(line, 0);
    let word = line.get(dot + 1..)?;
    let rest = ["globl", "global", "GLB", "export", "weakext", "weak"]
        .into_iter()
        .find_map(|prefix| word.strip_prefix(prefix))?;
    let start = scan::skip_space(rest, 0);
    scan::symbol_end(rest.as_bytes(), start, Dollar::No).map(|end| &rest[start..end])
}

/// Whether a [`Directive::Type`] line defines a function: `.type ..., @function` (or `%`, `#`) at the line's end, or
/// `.proc name:`.
pub(super) fn defines_function(line: &str) -> bool {
    let dot = scan::skip_space(line, 0);
    let Some(word) = line.get(dot + 1..) else { return false };
    if let Some(rest) = word.strip_prefix("proc") {
        let name = scan::skip_space(rest, 0);
        return name > 0
            && scan::symbol_end(rest.as_bytes(), name, Dollar::No)
                .is_some_and(|end| rest.as_bytes().get(end) == Some(&b':'));
    }
    word.strip_prefix("type")
        .and_then(|rest| rest.strip_suffix("function"))
        .and_then(|rest| rest.strip_suffix(['@', '%', '#']))
        .is_some_and(|rest| rest.trim_end_matches(scan::is_space).ends_with(','))
}

/// A `.set name, value` line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Set<'t> {
    /// What is set.
    pub(super) name: &'t str,
    /// To what, without white space before it.
    pub(super) value: &'t str,
}

impl<'t> Set<'t> {
    /// Reads a [`Directive::Set`] line.
    pub(super) fn read(line: &'t str) -> Option<Self> {
        let dot = scan::skip_space(line, 0);
        let word = dot + ".set".len();
        let start = scan::skip_space(line, word);
        let end = scan::symbol_end(line.as_bytes(), start, Dollar::No)?;
        let comma = scan::skip_space(line, end);
        let is_set = start > word && line.as_bytes().get(comma) == Some(&b',');
        is_set.then(|| Self { name: &line[start..end], value: &line[scan::skip_space(line, comma + 1)..] })
    }

    /// Whether the name stands for the place where the next label will be: `.`, or `. + 0`.
    pub(super) fn is_here(&self) -> bool {
        let Some(rest) = self.value.strip_prefix('.') else { return false };
        let rest = rest.trim_start_matches(scan::is_space);
        rest.is_empty() || rest.strip_prefix('+').is_some_and(|zero| scan::trim(zero) == "0")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_directives_are_known_by_prefix() {
        for word in "ascii asciz base64 byte 1byte 2byte 4byte 8byte dc dc.a dc.b dc.x dcb dcb.s ds ds.p double dword fill \
             float half hword int long octa quad short single skip space string string8 string16 string32 string64 value \
             word xword zero zerofill intel_syntax"
            .split_whitespace()
        {
            assert_eq!(classify(&format!("  .{word} 1"), 2), Directive::Data, "{word}");
        }
        for word in "text data section p2align size uleb128 cfi_startproc ident 3byte inst Long  ".split(' ')
        {
            assert_eq!(classify(&format!(".{word} 1"), 0), Directive::Other, "{word}");
        }
    }

    #[test]
    fn the_other_words() {
        for (line, expected) in [
            (".loc 1 2", Directive::Source),
            (".d2line 1", Directive::Source),
            (".cv_loc 1", Directive::Source),
            (".dbg line", Directive::Source),
            (".stabn 68", Directive::Source),
            (".file 1", Directive::File),
            (".cv_file 1", Directive::File),
            (".set a, b", Directive::Set),
            (".type a", Directive::Type),
            (".proc a:", Directive::Type),
            (".globl a", Directive::Global),
            (".GLB a", Directive::Global),
            (".weakext a", Directive::Global),
            (".", Directive::Other),
        ] {
            assert_eq!(classify(line, 0), expected, "{line}");
        }
    }

    #[test]
    fn symbols_made_visible() {
        for (line, expected) in [
            ("\t.globl\tmain", Some("main")),
            (".global _Z1fv # c", Some("_Z1fv")),
            (".GLB a.b", Some("a.b")),
            (" .export \"a.b\"", Some("\"a.b\"")),
            (".weak x", Some("x")),
            (".weakext y, z", Some("y")),
            (".weakz", Some("z")),
            (".globl 1x", None),
            (".globl", None),
            (".globl $x", None),
        ] {
            assert_eq!(global_name(line), expected, "{line}");
        }
    }

    #[test]
    fn function_definitions() {
        for (line, expected) in [
            ("\t.type\tmain, @function", true),
            ("\t.type\tmain,%function", true),
            ("\t.type\tmain, #function", true),
            ("\t.type\tmain, @function ", false),
            ("\t.type\tmain, @object", false),
            ("\t.type\tmain @function", false),
            (".proc main: x", true),
            (".proc\t1:", false),
            (".procmain:", false),
        ] {
            assert_eq!(defines_function(line), expected, "{line}");
        }
    }

    #[test]
    fn set() {
        let set = |line| Set::read(line).map(|set| (set.name, set.value, set.is_here()));
        for (line, expected) in [
            ("\t.set\ta,b", Some(("a", "b", false))),
            (".set a , .", Some(("a", ".", true))),
            (".set a, . + 0", Some(("a", ". + 0", true))),
            (".set a, .+0", Some(("a", ".+0", true))),
            (".set a, . + 1", Some(("a", ". + 1", false))),
            (".set a, .b", Some(("a", ".b", false))),
            (".set a,", Some(("a", "", false))),
            (".set \"a.b\", c", Some(("\"a.b\"", "c", false))),
            (".set noreorder", None),
            (".seta, b", None),
            (".set 1, b", None),
        ] {
            assert_eq!(set(line), expected, "{line}");
        }
    }
}
