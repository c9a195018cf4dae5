//! Hides where a job really ran: the paths that clients see start at the job's directory.

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memmem::Finder;

use crate::text::scan;

/// How the directory of a job begins, in the reference and therefore in what clients send and expect.
const JOB_DIRECTORY: &str = "/compiler-explorer-compiler";
/// What every job calls its directory.
const SHOWN_DIRECTORY: &str = "/app/";

/// Finds [`JOB_DIRECTORY`]: a listing with debug information names hundreds of files.
static JOB_DIRECTORY_FINDER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(JOB_DIRECTORY));

/// `text` with every path into a job directory rewritten to start with `/app/`, and then without a leading `/app/`.
pub fn root_dir(text: &str) -> Cow<'_, str> {
    match shorten(text) {
        Cow::Borrowed(text) => Cow::Borrowed(text.strip_prefix(SHOWN_DIRECTORY).unwrap_or(text)),
        Cow::Owned(text) => Cow::Owned(match text.strip_prefix(SHOWN_DIRECTORY) {
            Some(rest) => rest.to_owned(),
            None => text,
        }),
    }
}

/// Whether a masked path is the user's main file.
pub(super) fn is_main_file(path: &str) -> bool {
    // What `example.` starts must reach the end without a slash, and be something.
    let base = &path[path.rfind('/').map_or(0, |slash| slash + 1)..];
    path == "-"
        || path.contains('<') && ["<stdin>", "<source>"].into_iter().any(|name| path.contains(name))
        || base.find("example.").is_some_and(|at| at + "example.".len() < base.len())
}

fn shorten(text: &str) -> Cow<'_, str> {
    let mut shown = String::new();
    let mut copied = 0;
    for at in JOB_DIRECTORY_FINDER.find_iter(text.as_bytes()) {
        if at < copied {
            // Inside the name of the directory that was rewritten last.
            continue;
        }
        let name = at + JOB_DIRECTORY.len();
        let Some(end) = text[name..].find(ends_component).map(|length| name + length) else { break };
        if !text[end..].starts_with('/') {
            continue;
        }
        shown.push_str(&text[copied..path_start(text, copied, at)]);
        // A second job directory further down the same path takes the place of the first.
        if !(shown.ends_with(SHOWN_DIRECTORY) && path_start(text, copied, at) == copied) {
            shown.push_str(SHOWN_DIRECTORY);
        }
        copied = end + 1;
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    shown.push_str(&text[copied..]);
    Cow::Owned(shown)
}

fn ends_component(character: char) -> bool {
    character == '/' || ends_path(character)
}

/// Paths stand in arguments and messages: these characters end them there.
fn ends_path(character: char) -> bool {
    scan::is_space(character)
        || matches!(character, '"' | '\'' | '=' | ':' | ',' | ';' | '<' | '>' | '(' | ')')
}

/// The first `/` of the path that goes on at `at`, or `floor` if the path began there.
fn path_start(text: &str, floor: usize, at: usize) -> usize {
    let head = &text[floor..at];
    let run = head
        .rfind(ends_path)
        .map_or(0, |found| found + head[found..].chars().next().map_or(0, char::len_utf8));
    if run == 0 && floor > 0 {
        return floor;
    }
    text[floor + run..].find('/').map_or(at, |found| floor + run + found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn job_directories_are_called_app_and_a_leading_app_is_removed() {
        for (text, expected) in [
            ("/tmp/compiler-explorer-compilerXX/example.cpp", "example.cpp"),
            ("-I/tmp/compiler-explorer-compilerXX/inc", "-I/app/inc"),
            ("/app/example.cpp", "example.cpp"),
            ("/app/a/app/b", "a/app/b"),
            ("-I/app/inc", "-I/app/inc"),
            ("/usr/include/x.h", "/usr/include/x.h"),
            ("/a/b/compiler-explorer-compiler12-x.y/sub/a.h:2:5: error", "sub/a.h:2:5: error"),
            ("from /tmp/compiler-explorer-compiler1/a.h:1,", "from /app/a.h:1,"),
            ("-fmap=/tmp/compiler-explorer-compiler1/a", "-fmap=/app/a"),
            ("/tmp/compiler-explorer-compiler1", "/tmp/compiler-explorer-compiler1"),
            ("/t/compiler-explorer-compiler1/x/compiler-explorer-compiler2/y", "y"),
            ("compiler-explorer-compiler1/a", "compiler-explorer-compiler1/a"),
            ("", ""),
        ] {
            assert_eq!(root_dir(text), expected, "{text}");
        }
    }

    #[test]
    fn main_sources() {
        for (path, expected) in [
            ("<stdin>", true),
            ("/a/<source>.c", true),
            ("-", true),
            ("example.cpp", true),
            ("a/myexample.c", true),
            ("example.", false),
            ("example.d/x.h", false),
            ("a.h", false),
            ("--", false),
            ("example.example.", true),
        ] {
            assert_eq!(is_main_file(path), expected, "{path}");
        }
    }

    proptest! {
        #[test]
        fn never_panics_and_never_grows(text in "(/compiler-explorer-compiler|/app/|<source>|example\\.|[a:/ \u{e9}\u{1f600}\0\r\u{1b}\"]){0,12}") {
            prop_assert!(root_dir(&text).len() <= text.len());
        }
    }
}
