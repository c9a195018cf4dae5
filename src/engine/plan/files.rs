//! The files of a job: every name checked before the first one is written.

use std::collections::HashSet;

use crate::domain::path::{JobPath, PathError};
use crate::domain::request::CompileRequest;
use crate::engine::plan::error::{PlanError, Refusal};

/// Extra files of one request.
pub const MOST_FILES: usize = 64;
/// Directories they lie in, so that files and directories fit the inodes of a job's directory.
pub const MOST_DIRECTORIES: usize = 256;

/// What a job starts with, and where its output will be.
#[derive(Debug)]
pub struct JobFiles {
    /// Every file and its contents, the main one first.
    pub files: Vec<(JobPath, String)>,
    /// The main file.
    pub input: JobPath,
    /// The output file.
    pub output: JobPath,
}

/// Lays out the files of `request`; its main file's extension is `extension`.
pub fn lay_out(request: &CompileRequest, extension: &str) -> Result<JobFiles, PlanError> {
    if request.files.len() > MOST_FILES {
        return Err(PlanError::Files(request.files.len()));
    }
    let input = JobPath::parse(&format!("example{extension}")).map_err(PlanError::FileName)?;
    let output = match request.backend.output_filename.as_deref() {
        None | Some("") => JobPath::parse("output.s"),
        Some(name) => JobPath::parse(name),
    };
    let output = output.map_err(PlanError::OutputName)?;
    if request.source.is_empty() {
        return Err(Refusal::NoSource(input.to_string()).into());
    }
    let mut files = Vec::with_capacity(1 + request.files.len());
    files.push((input.clone(), request.source.clone()));
    for file in &request.files {
        let path = JobPath::parse(&file.name).map_err(|error| match error {
            PathError::Empty => Refusal::NoFilename.into(),
            PathError::Outside(_) => Refusal::InvalidFilename.into(),
            unwritable => PlanError::FileName(unwritable),
        })?;
        files.push((path, file.contents.clone()));
    }
    check_names(files.iter().map(|(path, _)| path).chain([&output]))?;
    Ok(JobFiles { files, input, output })
}

/// No name twice, and none that is both a file and a directory.
fn check_names<'a>(paths: impl Iterator<Item = &'a JobPath> + Clone) -> Result<(), PlanError> {
    let mut names = HashSet::new();
    for path in paths.clone() {
        if !names.insert(path.as_str()) {
            return Err(PlanError::DuplicateFile(path.to_string()));
        }
    }
    let mut directories = HashSet::new();
    for path in paths {
        let path = path.as_str();
        directories.extend(path.match_indices('/').map(|(end, _)| &path[..end]));
    }
    if let Some(both) = directories.intersection(&names).min() {
        return Err(PlanError::FileIsDirectory((*both).to_owned()));
    }
    if directories.len() > MOST_DIRECTORIES {
        return Err(PlanError::Directories);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::request::SourceFile;

    fn request(names: &[&str]) -> CompileRequest {
        let file = |name: &&str| SourceFile { name: (*name).to_owned(), contents: format!("in {name}") };
        CompileRequest {
            source: "int x;".to_owned(),
            files: names.iter().map(file).collect(),
            ..CompileRequest::default()
        }
    }

    fn named(names: &[&str]) -> Result<Vec<String>, PlanError> {
        let laid_out = lay_out(&request(names), ".cpp")?;
        Ok(laid_out.files.iter().map(|(path, _)| path.to_string()).collect())
    }

    #[test]
    fn the_main_file_is_example_and_the_first_extension_and_the_output_is_output_s() {
        let laid_out = lay_out(&request(&["sub/a.h"]), ".c").unwrap();
        assert_eq!((laid_out.input.as_str(), laid_out.output.as_str()), ("example.c", "output.s"));
        let written: Vec<_> =
            laid_out.files.iter().map(|(path, contents)| (path.as_str(), contents.as_str())).collect();
        assert_eq!(written, [("example.c", "int x;"), ("sub/a.h", "in sub/a.h")]);
    }

    #[test]
    fn hostile_names_are_only_names() {
        let names = ["-o", "@f", "/abs.h", "a/../b", "\u{202e}x", "e\u{301}", "\u{e9}", "A", "a/b"];
        assert_eq!(
            named(&names).unwrap()[1..],
            ["-o", "@f", "abs.h", "b", "\u{202e}x", "e\u{301}", "\u{e9}", "A", "a/b"]
        );
    }

    #[test]
    fn an_empty_source_is_refused() {
        let empty = CompileRequest::default();
        let refusal = Refusal::NoSource("example.cpp".to_owned());
        assert_eq!(lay_out(&empty, ".cpp").unwrap_err(), PlanError::Refused(refusal));
    }

    #[test]
    fn a_name_that_leads_outside_is_an_invalid_filename() {
        for name in ["../x", "a/../../b", ".", "..", "a/", "/"] {
            assert_eq!(named(&["ok", name]), Err(Refusal::InvalidFilename.into()), "{name}");
        }
        assert_eq!(named(&[""]), Err(Refusal::NoFilename.into()));
    }

    #[test]
    fn a_name_that_cannot_be_written_is_malformed() {
        for name in ["a\0b", "a\nb", "\u{1b}[2J"] {
            assert_eq!(named(&[name]), Err(PlanError::FileName(PathError::Control(name.to_owned()))));
        }
        assert_eq!(named(&[&"x".repeat(256)]), Err(PlanError::FileName(PathError::LongComponent(256))));
    }

    #[test]
    fn a_name_is_taken_once() {
        for (names, twice) in [
            (vec!["a", "b", "a"], "a"),
            (vec!["a", "./a"], "a"),
            (vec!["example.cpp"], "example.cpp"),
            (vec!["output.s"], "output.s"),
        ] {
            assert_eq!(named(&names), Err(PlanError::DuplicateFile(twice.to_owned())), "{names:?}");
        }
        for names in [vec!["a", "a/b"], vec!["a/b/c", "a"], vec!["x/y", "a/b/c", "a"]] {
            assert_eq!(named(&names), Err(PlanError::FileIsDirectory("a".to_owned())), "{names:?}");
        }
        assert_eq!(named(&["output.s/a"]), Err(PlanError::FileIsDirectory("output.s".to_owned())));
        assert!(named(&["a/b", "a/c", "ab", "a.b/c"]).is_ok());
    }

    #[test]
    fn the_output_may_be_called_otherwise_inside_the_directory() {
        let output = |name: &str, files: &[&str]| {
            let mut request = request(files);
            request.backend.output_filename = Some(name.to_owned());
            lay_out(&request, ".cpp").map(|laid_out| laid_out.output.to_string())
        };
        assert_eq!(output("out/x.s", &["output.s"]), Ok("out/x.s".to_owned()));
        assert_eq!(output("", &[]), Ok("output.s".to_owned()));
        assert_eq!(output("-o", &[]), Ok("-o".to_owned()));
        let outside = PathError::Outside("../x".to_owned());
        assert_eq!(output("../x", &[]), Err(PlanError::OutputName(outside)));
        assert_eq!(output("example.cpp", &[]), Err(PlanError::DuplicateFile("example.cpp".to_owned())));
        assert_eq!(output("a", &["a/b"]), Err(PlanError::FileIsDirectory("a".to_owned())));
    }

    #[test]
    fn files_and_directories_are_limited() {
        let many = |count: usize| {
            let names: Vec<String> = (0..count).map(|index| format!("f{index}")).collect();
            named(&names.iter().map(String::as_str).collect::<Vec<_>>()).map(|files| files.len())
        };
        assert_eq!(many(64), Ok(65));
        assert_eq!(many(65), Err(PlanError::Files(65)));
        let wide = |extra: usize| {
            let names: Vec<String> = (0..32)
                .map(|index| format!("{}f", format!("d{index}/").repeat(8)))
                .chain((0..extra).map(|index| format!("e{index}/f")))
                .collect();
            named(&names.iter().map(String::as_str).collect::<Vec<_>>()).map(|files| files.len())
        };
        assert_eq!(wide(0), Ok(33));
        assert_eq!(wide(1), Err(PlanError::Directories));
    }
}
