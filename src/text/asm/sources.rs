//! Follows the debug directives: which place in which source the code at a line comes from. Knows nothing of filters.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::domain::listing::Source;
use crate::text::asm::directives::Directive;
use crate::text::asm::lines::{Kind, Line};
use crate::text::{mask, scan};

/// A place in a source file; cheap to copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Index into [`Sources::files`].
    file: usize,
    line: u32,
    column: Option<u32>,
}

/// What a line does to the current source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing.
    None,
    /// The code below comes from here.
    Set(Place),
    /// The code below comes from nowhere, and belongs to no label.
    Clear,
}

#[derive(Debug)]
struct File {
    /// The masked path; `None` for the main file of formats that do not name it.
    path: Option<Arc<str>>,
    main: bool,
}

/// The main file, for directives that name no file.
const MAIN: usize = 0;

/// The files a text names, and how its debug directives refer to them.
#[derive(Debug)]
pub(super) struct Sources<'t> {
    files: Vec<File>,
    by_number: HashMap<u64, usize, RandomState>,
    by_path: HashMap<&'t str, usize, RandomState>,
    /// The number that was looked up last, and its file: most lines stay in one file.
    last: Option<(u64, usize)>,
}

impl<'t> Sources<'t> {
    /// Reads the `.file` directives of all lines. The last one for a number counts, for lines before it too.
    pub(super) fn read(lines: &[Line<'t>]) -> Self {
        let mut named: HashMap<u64, NamedFile<'_>, RandomState> = HashMap::default();
        for line in lines.iter().filter(|line| line.kind == Kind::Directive(Directive::File)) {
            if let Some((number, file)) = NamedFile::read(line.text) {
                named.insert(number, file);
            }
        }
        let mut sources = Self {
            files: vec![File { path: None, main: true }],
            by_number: HashMap::default(),
            by_path: HashMap::default(),
            last: None,
        };
        for (number, file) in named {
            let file = sources.add(&file.path());
            sources.by_number.insert(number, file);
        }
        sources
    }

    fn add(&mut self, path: &str) -> usize {
        let path = mask::root_dir(path);
        self.files.push(File { main: mask::is_main_file(&path), path: Some(Arc::from(path)) });
        self.files.len() - 1
    }

    fn at_path(&mut self, path: &'t str) -> usize {
        if let Some(&file) = self.by_path.get(path) {
            return file;
        }
        let file = self.add(path);
        self.by_path.insert(path, file);
        file
    }

    fn numbered(&mut self, number: u64) -> Option<usize> {
        if let Some((last, file)) = self.last
            && last == number
        {
            return Some(file);
        }
        let file = *self.by_number.get(&number)?;
        self.last = Some((number, file));
        Some(file)
    }

    /// What `line` does to the current source.
    #[inline]
    pub(super) fn effect(&mut self, line: &Line<'t>) -> Effect {
        if line.kind != Kind::Directive(Directive::Source) {
            return Effect::None;
        }
        let mut words = Words { text: line.body(), at: 1 };
        self.read_effect(&mut words).unwrap_or(Effect::None)
    }

    fn read_effect(&mut self, words: &mut Words<'t>) -> Option<Effect> {
        let place = match words.symbol() {
            "loc" => {
                let file = self.numbered(words.spaced_number()?)?;
                let line = words.spaced_number()?;
                words.space()?;
                Place { file, line: scan::narrow(line), column: column(words.plain_number()) }
            }
            "d2line" => Place { file: MAIN, line: scan::narrow(words.spaced_number()?), column: None },
            "cv_loc" => {
                words.spaced_number()?;
                let file = self.numbered(words.spaced_number()?)?;
                let line = words.spaced_number()?;
                Place { file, line: scan::narrow(line), column: column(Some(words.spaced_number()?)) }
            }
            "dbg" => {
                words.space()?;
                words.exactly("line,")?;
                words.skip_space();
                let path = words.quoted()?;
                words.exactly(",")?;
                words.skip_space();
                let line = scan::narrow(words.plain_number()?);
                let file = self.at_path(path);
                Place { file, line, column: None }
            }
            "stabn" => {
                let stab = words.spaced_number()?;
                words.exactly(",0,")?;
                let line = words.plain_number()?;
                words.exactly(",")?;
                match stab {
                    68 => Place { file: MAIN, line: scan::narrow(line), column: None },
                    100 | 132 => return Some(Effect::Clear),
                    _ => return None,
                }
            }
            _ => return None,
        };
        Some(Effect::Set(place))
    }

    /// Whether `place` is in the main file.
    pub(super) fn is_main(&self, place: Place) -> bool {
        self.files[place.file].main
    }

    /// Bytes of the name that [`Self::show`] tells.
    pub(super) fn name_len(&self, place: Place, masked: bool) -> usize {
        let file = &self.files[place.file];
        file.path.as_ref().filter(|_| !(masked && file.main)).map_or(0, |path| path.len())
    }

    /// `place` as clients see it.
    pub(super) fn show(&self, place: Place, masked: bool) -> Source {
        let file = &self.files[place.file];
        let hidden = masked && file.main;
        Source {
            file: file.path.clone().filter(|_| !hidden),
            line: place.line,
            column: place.column,
            main_source: (!masked && file.path.is_some()).then_some(file.main),
        }
    }
}

/// No column, and column 0, are not told.
fn column(number: Option<u64>) -> Option<u32> {
    number.filter(|&column| column != 0).map(scan::narrow)
}

/// A `.file` directive.
#[derive(Debug, Clone, Copy)]
struct NamedFile<'t> {
    /// The only name, or the directory.
    first: &'t str,
    /// The name in the directory.
    second: Option<&'t str>,
}

impl<'t> NamedFile<'t> {
    fn read(line: &'t str) -> Option<(u64, Self)> {
        let mut words = Words { text: line, at: scan::skip_space(line, 0) + 1 };
        let directive = words.symbol();
        if !matches!(directive, "file" | "cv_file") {
            return None;
        }
        let number = words.spaced_number()?;
        words.space()?;
        let first = words.quoted()?;
        // CodeView's second string is a checksum.
        let second = (directive == "file").then(|| words.space().and_then(|()| words.quoted())).flatten();
        Some((number, Self { first, second }))
    }

    fn path(&self) -> String {
        match self.second {
            Some(name) if name.starts_with('/') => name.to_owned(),
            Some(name) => format!("{}/{name}", self.first),
            None => self.first.to_owned(),
        }
    }
}

/// The pieces of a directive, read from left to right.
struct Words<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Words<'t> {
    fn symbol(&mut self) -> &'t str {
        let start = self.at;
        self.at = scan::skip_while(self.text.as_bytes(), start, scan::in_symbol);
        &self.text[start..self.at]
    }

    fn skip_space(&mut self) {
        self.at = scan::skip_space(self.text, self.at);
    }

    fn space(&mut self) -> Option<()> {
        let start = self.at;
        self.skip_space();
        (self.at > start).then_some(())
    }

    fn plain_number(&mut self) -> Option<u64> {
        let (number, end) = scan::number(self.text.as_bytes(), self.at)?;
        self.at = end;
        Some(number)
    }

    fn spaced_number(&mut self) -> Option<u64> {
        self.space()?;
        self.plain_number()
    }

    fn exactly(&mut self, word: &str) -> Option<()> {
        self.text[self.at..].starts_with(word).then(|| self.at += word.len())
    }

    /// A string in double quotes, of one character at least; nothing escapes a quote.
    fn quoted(&mut self) -> Option<&'t str> {
        let rest = self.text[self.at..].strip_prefix('"')?;
        let end = memchr::memchr(b'"', rest.as_bytes()).filter(|&end| end > 0)?;
        self.at += end + 2;
        Some(&rest[..end])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::asm::lines;

    const FILES: &str = "\t.file 1 \"/app/example.cpp\"\n.file 2 \"/usr/include\" \"x.h\"\n.file 3 \"/a\" \"/b/y.h\"\n\
        .cv_file 4 \"z.h\" \"00ff\"\n.file \"/app/example.cpp\"\n.file 5 \"old\"\n.file 5 \"/tmp/compiler-explorer-compilerX\" \"a.h\"\n";

    /// File, line, column, and whether it is the main file.
    type Place = (Option<String>, u32, Option<u32>, Option<bool>);

    /// What the last line does after [`FILES`]: file, line, column.
    fn effect(line: &str, masked: bool) -> Option<Place> {
        let text = format!("{FILES}{line}");
        let lines = lines::read(&text).all;
        let mut sources = Sources::read(&lines);
        match sources.effect(lines.last().unwrap()) {
            Effect::Set(place) => {
                let source = sources.show(place, masked);
                let file = source.file.map(|file| file.to_string());
                Some((file, source.line, source.column, source.main_source))
            }
            Effect::Clear => Some((Some("clear".to_owned()), 0, None, None)),
            Effect::None => None,
        }
    }

    #[test]
    fn source_directives() {
        let at = |file: &str, line, column| Some((Some(file.to_owned()), line, column, None));
        let main = |line, column| Some((None, line, column, None));
        for (sentence, line, expected) in [
            ("the main file is null", ".loc 1 7 9", main(7, Some(9))),
            ("indentation and tabs", "\t.loc\t1\t7\t9 is_stmt 1", main(7, Some(9))),
            ("a column of 0 is omitted", ".loc 1 7 0", main(7, None)),
            ("a missing column is omitted", ".loc 1 7 view", main(7, None)),
            ("white space is needed behind the line", ".loc 1 7", None),
            ("and is enough", ".loc 1 7 ", main(7, None)),
            ("unknown file numbers are ignored", ".loc 9 7 9", None),
            ("b is joined to a", ".loc 2 1 1", at("/usr/include/x.h", 1, Some(1))),
            ("b counts alone if it starts with a slash", ".loc 3 1 1", at("/b/y.h", 1, Some(1))),
            ("cv_file ignores b", ".cv_loc 0 4 5 6", at("z.h", 5, Some(6))),
            ("later lines overwrite, and paths are masked", ".loc 5 1 1", at("a.h", 1, Some(1))),
            ("d2line", ".d2line 3,4", main(3, None)),
            ("cv_loc needs its column", ".cv_loc 0 4 5", None),
            ("dbg", "\t.dbg line, \"x.c\", 12", at("x.c", 12, None)),
            ("dbg main file", ".dbg\tline,\"./example.c\",12", main(12, None)),
            ("dbg end", ".dbg line", None),
            ("stabn 68", "\t.stabn 68,0,5,.LM0-f", main(5, None)),
            ("stabn 100", "\t.stabn 100,0,5,x", at("clear", 0, None)),
            ("stabn 132", "\t.stabn 132,0,5,x", at("clear", 0, None)),
            ("stabn other", "\t.stabn 192,0,5,x", None),
            ("words are whole", ".locx 1 7 9", None),
            ("large numbers saturate", ".loc 1 99999999999 1", main(u32::MAX, Some(1))),
        ] {
            assert_eq!(effect(line, true), expected, "{sentence}");
        }
    }

    #[test]
    fn without_masking_the_path_and_whether_it_is_the_main_file_are_told() {
        let expected = |file: &str, main| Some((Some(file.to_owned()), 7, Some(9), Some(main)));
        assert_eq!(effect(".loc 1 7 9", false), expected("example.cpp", true));
        assert_eq!(effect(".loc 2 7 9", false), expected("/usr/include/x.h", false));
        assert_eq!(effect(".d2line 7", false), Some((None, 7, None, None)));
    }
}
