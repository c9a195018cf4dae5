//! LLVM's intermediate representation to a listing: hides what the filters name, and resolves debug locations through the
//! metadata. Knows no instructions.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::domain::filters::Filters;
use crate::domain::listing::{Listing, MOST_FILE_NAMES, Source, Syntax};
use crate::text::{mask, scan};

/// Lines shown at most.
const MOST_LINES: usize = 5000;
/// What follows the last line when there were more.
const TRUNCATED: &str = "[truncated; too many lines]";
/// How many scopes a location may lie in: a chain of metadata may be a circle.
const DEEPEST: usize = 256;
/// Bytes of a number, or of a node's name, that mean something: longer ones would be read for every line anew.
const LONGEST_NUMBER: usize = 24;

/// Whether the text is LLVM IR with debug information.
pub fn looks_like(text: &str) -> bool {
    ["@llvm", "!DI", "!dbg"]
        .into_iter()
        .all(|word| memchr::memmem::find(text.as_bytes(), word.as_bytes()).is_some())
}

/// The listing of the IR `text` that `filters` leave.
pub fn process(text: &str, filters: Filters) -> Listing {
    let mut listing = Listing::default();
    listing.syntax = Syntax::LlvmIr;
    let mut nodes = HashMap::default();
    let mut after_blank = true;
    let mut lines = 0;
    for line in scan::lines(text) {
        lines += 1;
        if scan::trim(line).is_empty() {
            if !after_blank && listing.len() <= MOST_LINES {
                listing.push_with(None, |_| {});
            }
            after_blank = true;
            continue;
        }
        if let Some((name, node)) = Node::read(line) {
            nodes.insert(name, node);
        }
        if listing.len() > MOST_LINES || is_hidden(line, filters) {
            continue;
        }
        after_blank = false;
        listing.push_with(None, |texts| texts.push_str(&shorten(line, filters)));
        if let Some(scope) = scope(line) {
            listing.scope_last(scope);
        }
    }
    if listing.len() > MOST_LINES {
        listing.truncate(MOST_LINES);
        listing.push_with(None, |texts| texts.push_str(TRUNCATED));
    }
    listing.filtered_count = lines - i64::try_from(listing.len()).unwrap_or(i64::MAX);
    let mut room = MOST_FILE_NAMES;
    listing.resolve_scopes(|scope| resolve(&nodes, scope, &mut room));
    listing
}

/// Metadata by name.
type Nodes<'t> = HashMap<&'t str, Node<'t>, RandomState>;

/// What one line of metadata says about places.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Node<'t> {
    file_name: Option<&'t str>,
    file: Option<&'t str>,
    scope: Option<&'t str>,
    line: Option<&'t str>,
    column: Option<&'t str>,
}

impl<'t> Node<'t> {
    /// Reads `!1 = !DISomething(key: value, ...)`, and the node's name.
    fn read(line: &'t str) -> Option<(&'t str, Self)> {
        let (name, value) = metadata(line)?;
        let fields = value.strip_prefix("!DI")?;
        let open = fields.find('(')?;
        let fields = &fields[open + 1..];
        let mut node = Self::default();
        let mut rest = fields;
        while let Some((key, value, behind)) = field(rest) {
            let member = match key {
                "filename" => &mut node.file_name,
                _ if value.len() > LONGEST_NUMBER => {
                    rest = behind;
                    continue;
                }
                "file" => &mut node.file,
                "scope" => &mut node.scope,
                "line" => &mut node.line,
                "column" => &mut node.column,
                _ => {
                    rest = behind;
                    continue;
                }
            };
            *member = Some(value);
            rest = behind;
        }
        Some((name, node))
    }
}

/// `!1 = value`, also for distinct nodes: the name and the value.
fn metadata(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once(" = ")?;
    let numbered = name
        .strip_prefix('!')
        .is_some_and(|number| !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit()));
    numbered.then(|| (name, value.strip_prefix("distinct ").unwrap_or(value)))
}

/// The next `key: value` of a node, and what stands behind it. Strings lose their quotes.
fn field(text: &str) -> Option<(&str, &str, &str)> {
    let colon = text.find(": ")?;
    let key = &text[..colon];
    let key = &key[key.trim_end_matches(|character: char| character.is_ascii_alphanumeric()).len()..];
    let value = &text[colon + 2..];
    let length = match value.as_bytes().first()? {
        b'"' => {
            let end = 1 + value[1..].find('"')?;
            return Some((key, &value[1..end], &value[end + 1..]));
        }
        _ => value.find([',', ')']).unwrap_or(value.len()),
    };
    Some((key, &value[..length], &value[length..]))
}

/// The debug location a line names, such as `!17` in `!dbg !17`.
fn scope(line: &str) -> Option<&str> {
    let start = line.find("!dbg !")? + "!dbg ".len();
    let end = scan::skip_while(line.as_bytes(), start + 1, |byte| byte.is_ascii_digit());
    (end > start + 1).then(|| &line[start..end])
}

/// The place a scope stands for. `room` is how many bytes the names of files may still take.
fn resolve(nodes: &Nodes<'_>, scope: &str, room: &mut usize) -> Option<Source> {
    let line = nearest(nodes, scope, |node| node.line)?.parse().ok()?;
    let column = nearest(nodes, scope, |node| node.column).and_then(|column| column.parse().ok());
    let name = file_name(nodes, scope);
    *room = room.checked_sub(name.map_or(0, str::len))?;
    // The main file is told by no name.
    let file = name.map(mask::root_dir).filter(|name| !mask::is_main_file(name)).map(Arc::from);
    Some(Source { file, line, column, main_source: None })
}

/// What the nearest enclosing scope says.
fn nearest<'t>(nodes: &Nodes<'t>, scope: &str, said: fn(&Node<'t>) -> Option<&'t str>) -> Option<&'t str> {
    let mut node = nodes.get(scope)?;
    for _ in 0..DEEPEST {
        if let Some(said) = said(node) {
            return Some(said);
        }
        node = nodes.get(node.scope?)?;
    }
    None
}

/// The name of the file a scope lies in.
fn file_name<'t>(nodes: &Nodes<'t>, scope: &str) -> Option<&'t str> {
    let mut node = nodes.get(scope)?;
    for _ in 0..DEEPEST {
        if let Some(name) = node.file_name {
            return Some(name);
        }
        node = nodes.get(node.file.or(node.scope)?)?;
    }
    None
}

/// Whether the filters hide the whole line.
fn is_hidden(line: &str, filters: Filters) -> bool {
    let body = line.trim_start_matches(scan::is_space);
    (filters.comment_only && body.starts_with(';'))
        || (filters.debug_calls && is_debug_record(body))
        || (filters.directives && is_directive(line))
}

fn is_debug_record(body: &str) -> bool {
    let call = ["tail ", "musttail ", "notail "]
        .into_iter()
        .find_map(|kind| body.strip_prefix(kind))
        .unwrap_or(body);
    call.starts_with("call void @llvm.dbg.") || body.starts_with("#dbg_")
}

/// Metadata definitions and what describes the module.
fn is_directive(line: &str) -> bool {
    let described = ["source_filename = ", "target datalayout = ", "target triple = "];
    described.into_iter().any(|word| line.starts_with(word))
        || metadata(line).is_some_and(|(_, value)| value.starts_with("!DI") || value.starts_with("!{"))
        || is_named_metadata(line)
}

/// `!llvm.module.flags = !{...}`
fn is_named_metadata(line: &str) -> bool {
    let Some((name, value)) = line.split_once(" = ") else { return false };
    name.strip_prefix('!').is_some_and(|name| {
        !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'.' | b'_' | b'-'))
    }) && value.strip_prefix("distinct ").unwrap_or(value).starts_with("!{")
}

/// The line without what the filters take from it.
fn shorten(line: &str, filters: Filters) -> String {
    let mut line = line.to_owned();
    if filters.debug_calls
        && let Some(start) = line.find("!dbg !")
    {
        let end = scan::skip_while(line.as_bytes(), start + "!dbg !".len(), |byte| byte.is_ascii_digit());
        let before = line[..start].trim_end_matches(' ');
        let start = before.strip_suffix(',').unwrap_or(before).len();
        line.replace_range(start..end, "");
    }
    if filters.comment_only
        && let Some(semicolon) = comment_start(&line)
    {
        line.truncate(line[..semicolon].trim_end_matches(scan::is_space).len());
    }
    line
}

/// Where the comment at the end of a line starts: the first `;` outside strings.
fn comment_start(line: &str) -> Option<usize> {
    let mut in_string = false;
    line.bytes().position(|byte| {
        in_string ^= byte == b'"';
        byte == b';' && !in_string
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const IR: &str = r#"; ModuleID = '/app/example.cpp'
source_filename = "/app/example.cpp"
target triple = "x86_64-pc-linux-gnu"


@s = constant [2 x i8] c";\00" ; a string
; Function Attrs: noinline
define i32 @_Z1fi(i32 %0) #0 !dbg !10 {
  call void @llvm.dbg.declare(metadata ptr %2, metadata !15, metadata !DIExpression()), !dbg !16
    #dbg_value(i32 %0, !15, !DIExpression(), !16)
  %3 = add i32 %0, 1, !dbg !17
  ret i32 %3, !dbg !18
}

!llvm.dbg.cu = !{!0}
!0 = distinct !DICompileUnit(language: DW_LANG_C_plus_plus_14, file: !1, producer: "x: y")
!1 = !DIFile(filename: "/app/example.cpp", directory: "/app")
!2 = !DIFile(filename: "x.h", directory: "/usr")
!3 = !{i32 7, !"Dwarf Version", i32 5}
!10 = distinct !DISubprogram(name: "f", linkageName: "_Z1fi", scope: !1, file: !1, line: 1, type: !11)
!16 = !DILocation(line: 1, column: 11, scope: !10)
!17 = !DILocation(line: 2, column: 14, scope: !10)
!18 = !DILocation(line: 9, column: 3, scope: !19)
!19 = distinct !DILexicalBlock(scope: !10, file: !2, line: 8)
"#;

    fn shown(filters: Filters) -> Vec<String> {
        process(IR, filters).lines().map(|line| line.text.to_owned()).collect()
    }

    #[test]
    fn nothing_is_hidden_without_filters_but_runs_of_blanks() {
        let all = shown(Filters::NONE);
        assert_eq!(all.len(), IR.lines().count() - 1);
        assert_eq!(
            all[2..5],
            ["target triple = \"x86_64-pc-linux-gnu\"", "", "@s = constant [2 x i8] c\";\\00\" ; a string"]
        );
    }

    #[test]
    fn filters() {
        let directives = shown(Filters { directives: true, ..Filters::NONE });
        assert!(!directives.iter().any(|line| line.starts_with('!')
            || line.contains("target ")
            || line.contains("source_filename")));
        assert_eq!(directives[0], "; ModuleID = '/app/example.cpp'", "a comment");
        assert!(directives.iter().any(|line| line.contains("!dbg !17")));
        let comments = shown(Filters { comment_only: true, ..Filters::NONE });
        assert!(comments.contains(&"@s = constant [2 x i8] c\";\\00\"".to_owned()));
        assert!(!comments.iter().any(|line| line.starts_with(';')));
        let calls = shown(Filters { debug_calls: true, ..Filters::NONE });
        assert!(calls.contains(&"  %3 = add i32 %0, 1".to_owned()));
        assert!(calls.contains(&"define i32 @_Z1fi(i32 %0) #0 {".to_owned()));
        assert!(!calls.iter().any(|line| line.contains("llvm.dbg.declare") || line.contains("#dbg_")));
    }

    #[test]
    fn scopes_are_kept_and_resolved() {
        let listing = process(IR, Filters { debug_calls: true, ..Filters::NONE });
        let places: Vec<_> = listing
            .lines()
            .filter_map(|line| {
                let source = line.source?;
                Some((line.scope?, source.file.as_deref(), source.line, source.column))
            })
            .collect();
        assert_eq!(
            places,
            [("!10", None, 1, None), ("!17", None, 2, Some(14)), ("!18", Some("x.h"), 9, Some(3))]
        );
        assert_eq!(listing.syntax, Syntax::LlvmIr);
        assert_eq!(listing.label_definitions, []);
    }

    #[test]
    fn file_names_are_masked() {
        for (name, expected) in [
            ("/app/example.cpp", None),
            ("/tmp/compiler-explorer-compilerXX/example.cpp", None),
            ("/app/sub/a.h", Some("sub/a.h")),
            ("/tmp/compiler-explorer-compilerXX/a.h", Some("a.h")),
            ("/usr/include/x.h", Some("/usr/include/x.h")),
        ] {
            let text =
                format!("x, !dbg !1\n!1 = !DIX(line: 1, file: !2)\n!2 = !DIFile(filename: \"{name}\")");
            let listing = process(&text, Filters::NONE);
            let source = listing.lines().next().unwrap().source.unwrap();
            assert_eq!(source.file.as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn what_is_not_shown_is_counted() {
        for (text, filters, expected) in [
            ("", Filters::NONE, 0),
            ("x\ny\n", Filters::NONE, 0),
            ("\nx\n\n\ny\n", Filters::NONE, 2),
            ("; c\nx\n", Filters { comment_only: true, ..Filters::NONE }, 1),
            (&"x\n".repeat(9000), Filters::NONE, 3999),
        ] {
            assert_eq!(process(text, filters).filtered_count, expected);
        }
    }

    #[test]
    fn circles_in_the_metadata_end() {
        let text = "x, !dbg !1\n!1 = !DIX(scope: !2)\n!2 = !DIX(scope: !1)";
        assert!(process(text, Filters::NONE).lines().next().unwrap().source.is_none());
    }

    #[test]
    fn long_names_in_the_metadata_are_not_followed_from_every_line() {
        let long = "1".repeat(1 << 20);
        let lines = "x, !dbg !1\n".repeat(5000);
        let start = tokio::time::Instant::now();
        for metadata in [
            format!("!1 = !DIX(line: 1, file: !2)\n!2 = !DIFile(filename: \"{long}\")"),
            format!("!1 = !DIX(scope: !{long})\n!{long} = !DIX(scope: !{long})"),
            format!("!1 = !DIX(line: {}1)", long.replace('1', "0")),
        ] {
            let listing = process(&format!("{lines}{metadata}"), Filters::NONE);
            let names = listing.lines().filter_map(|line| line.source?.file.as_deref());
            assert!(names.map(str::len).sum::<usize>() <= 64 << 20);
        }
        assert!(start.elapsed().as_secs() < 30);
    }

    #[test]
    fn a_key_may_follow_a_letter_of_several_bytes() {
        let text = "x, !dbg !1\n!1 = !DIX(\u{e9}line: 4)";
        let listing = process(text, Filters::NONE);
        assert_eq!(listing.lines().next().unwrap().source.map(|source| source.line), Some(4));
    }

    #[test]
    fn five_thousand_lines_are_shown() {
        let lines = |count| process(&"x\n".repeat(count), Filters::NONE);
        assert_eq!(lines(5000).len(), 5000);
        assert_eq!(lines(5001).len(), 5001);
        assert_eq!(lines(9000).len(), 5001);
        assert_eq!(lines(9000).last_text(), Some(TRUNCATED));
    }

    #[test]
    fn debug_information_gives_ir_away() {
        assert!(looks_like(IR));
        assert!(!looks_like("define i32 @llvm.x !dbg !1"));
    }

    proptest! {
        #[test]
        fn never_panics(text in "(!dbg !1|!1 = |!DI|X\\(|scope: !1|line: 4|\"|;|, |\\)|distinct |filename: \"|file: !1|#dbg_|[a\n\u{e9}\u{1f600}\0\r\u{1b}]){0,30}", on: bool) {
            let filters = Filters { directives: on, comment_only: !on, debug_calls: on, ..Filters::NONE };
            prop_assert!(process(&text, filters).len() <= text.lines().count());
        }
    }
}
