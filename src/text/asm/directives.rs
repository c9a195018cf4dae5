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
    let data = |is_data| if is_data { Directive::Data } else { Directive::Other };
    match word.first() {
        Some(b'l') if starts(word, b"loc") => Directive::Source,
        Some(b'l') => data(starts(word, b"long")),
        Some(b'a') => data(starts(word, b"ascii") || starts(word, b"asciz")),
        Some(b'b') => data(starts(word, b"byte") || starts(word, b"base64")),
        Some(b'1' | b'2' | b'4' | b'8') => data(
            starts(word, b"1byte")
                || starts(word, b"2byte")
                || starts(word, b"4byte")
                || starts(word, b"8byte"),
        ),
        Some(b'd') if starts(word, b"d2line") || starts(word, b"dbg") => Directive::Source,
        Some(b'd') => data(
            starts(word, b"dc") || starts(word, b"ds") || starts(word, b"double") || starts(word, b"dword"),
        ),
        Some(b'f') if starts(word, b"file") => Directive::File,
        Some(b'f') => data(starts(word, b"fill") || starts(word, b"float")),
        Some(b'h') => data(starts(word, b"half") || starts(word, b"hword")),
        Some(b'i') => data(starts(word, b"int")),
        Some(b'o') => data(starts(word, b"octa")),
        Some(b'q') => data(starts(word, b"quad")),
        Some(b's') if starts(word, b"set") => Directive::Set,
        Some(b's') if starts(word, b"stabn") => Directive::Source,
        Some(b's') => data(
            starts(word, b"short")
                || starts(word, b"single")
                || starts(word, b"skip")
                || starts(word, b"space")
                || starts(word, b"string"),
        ),
        Some(b'v') => data(starts(word, b"value")),
        Some(b'w') if starts(word, b"weak") => Directive::Global,
        Some(b'w') => data(starts(word, b"word")),
        Some(b'x') => data(starts(word, b"xword")),
        Some(b'z') => data(starts(word, b"zero")),
        // `global_name` looks closer.
        Some(b'g' | b'G' | b'e') => Directive::Global,
        Some(b't') if starts(word, b"type") => Directive::Type,
        Some(b'p') if starts(word, b"proc") => Directive::Type,
        Some(b'c') if starts(word, b"cv_loc") => Directive::Source,
        Some(b'c') if starts(word, b"cv_file") => Directive::File,
        _ => Directive::Other,
    }
}

/// Compares with a number, not in a loop: every line of a listing passes here.
fn starts<const LENGTH: usize>(word: &[u8], prefix: &[u8; LENGTH]) -> bool {
    word.first_chunk() == Some(prefix)
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
