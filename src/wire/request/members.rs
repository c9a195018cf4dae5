//! The JSON body of a compile, member by member.

use std::fmt;

use super::{Arguments, BYPASS_VALUES, Draft, LONGEST_ARGUMENT, LONGEST_ARGUMENTS, MOST_FILES, RequestError};
use super::{at_most, language, no_nul, wrong};
use crate::domain::request::{BackendOptions, BypassCache, Override, SourceFile};
use crate::wire::json::{Kind, Reader};

/// Most overrides, and most variables of an environment override.
const MOST_OVERRIDES: usize = 64;

/// Reads a whole body.
pub(super) fn read(body: &[u8]) -> Result<Draft, RequestError> {
    let mut reader = Reader::new(body)?;
    let mut draft = Draft::default();
    let (mut options, mut source) = (false, false);
    expect(&mut reader, Kind::Object, "the body", "a JSON object")?;
    reader.object(|reader, name| {
        match name {
            "source" => {
                source = true;
                draft.request.source = string(reader, "source")?;
            }
            "options" => {
                options = true;
                expect(reader, Kind::Object, "options", "an object")?;
                read_options(reader, &mut draft)?;
            }
            _ if null(reader)? => {}
            "lang" => draft.request.language = language(&string(reader, "lang")?)?,
            "bypassCache" => draft.request.bypass_cache = bypass(reader)?,
            "files" => {
                draft.has_files = true;
                draft.request.files = files(reader)?;
            }
            _ => reader.skip()?,
        }
        Ok::<(), RequestError>(())
    })?;
    reader.end()?;
    match (options, source) {
        (false, _) => Err(RequestError::Missing("options")),
        (true, false) => Err(RequestError::Missing("source")),
        (true, true) => Ok(draft),
    }
}

fn read_options(reader: &mut Reader<'_>, draft: &mut Draft) -> Result<(), RequestError> {
    reader.object(|reader, name| {
        if null(reader)? {
            return Ok(());
        }
        match name {
            "userArguments" => draft.arguments = arguments(reader)?,
            "compilerOptions" => {
                expect(reader, Kind::Object, "options.compilerOptions", "an object")?;
                draft.request.backend = backend(reader)?;
            }
            "filters" => {
                expect(reader, Kind::Object, "options.filters", "an object")?;
                reader.object(|reader, name| {
                    let on = truthy(reader)?;
                    let _known = draft.request.filters.set(name, on);
                    Ok::<(), RequestError>(())
                })?;
            }
            "executeParameters" => {
                expect(reader, Kind::Object, "options.executeParameters", "an object")?;
                reader.skip()?;
            }
            "tools" => objects(reader, "options.tools")?,
            "libraries" => objects(reader, "options.libraries")?,
            _ => reader.skip()?,
        }
        Ok(())
    })
}

fn arguments(reader: &mut Reader<'_>) -> Result<Arguments, RequestError> {
    const MEMBER: &str = "options.userArguments";
    const EXPECTED: &str = "a string or an array of strings";
    match reader.kind()? {
        Kind::String => Ok(Arguments::Line(reader.string()?.into_owned())),
        Kind::Array => {
            let mut list = Vec::new();
            reader.array(|reader, index| {
                expect(reader, Kind::String, MEMBER, EXPECTED)?;
                at_most(MEMBER, index, "arguments", LONGEST_ARGUMENTS)?;
                list.push(reader.string()?.into_owned());
                Ok::<(), RequestError>(())
            })?;
            Ok(Arguments::List(list))
        }
        _ => Err(wrong(MEMBER, EXPECTED)),
    }
}

fn backend(reader: &mut Reader<'_>) -> Result<BackendOptions, RequestError> {
    let mut backend = BackendOptions::default();
    reader.object(|reader, name| {
        if null(reader)? {
            return Ok(());
        }
        match name {
            "skipAsm" => backend.skip_asm = truthy(reader)?,
            "skipPopArgs" => backend.skip_popular_arguments = truthy(reader)?,
            "filterAnsi" => backend.filter_ansi = truthy(reader)?,
            "executorRequest" => backend.executor_request = truthy(reader)?,
            "overrides" => backend.overrides = overrides(reader)?,
            "customOutputFilename" => {
                let name = string(reader, "options.compilerOptions.customOutputFilename")?;
                no_nul("options.compilerOptions.customOutputFilename", &name)?;
                backend.output_filename = (!name.is_empty()).then_some(name);
            }
            _ => reader.skip()?,
        }
        Ok::<(), RequestError>(())
    })?;
    Ok(backend)
}

fn overrides(reader: &mut Reader<'_>) -> Result<Vec<Override>, RequestError> {
    const MEMBER: &str = "options.compilerOptions.overrides";
    expect(reader, Kind::Array, MEMBER, "an array")?;
    let mut all = Vec::new();
    reader.array(|reader, index| {
        at_most(MEMBER, index + 1, "entries", MOST_OVERRIDES)?;
        let member = format!("{MEMBER}[{index}]");
        let (mut name, mut value, mut values) = (None, String::new(), Vec::new());
        expect(reader, Kind::Object, &member, "an object")?;
        reader.object(|reader, key| {
            match key {
                "name" => name = Some(argument(reader, Path(&member, "name"))?),
                _ if null(reader)? => {}
                "value" => value = argument(reader, Path(&member, "value"))?,
                "values" => values = variables(reader, &member)?,
                _ => reader.skip()?,
            }
            Ok::<(), RequestError>(())
        })?;
        let name = name.ok_or_else(|| wrong(Path(&member, "name"), "a string"))?;
        all.push(match name.as_str() {
            "env" => Override::Environment(values),
            _ => Override::Value { name, value },
        });
        Ok::<(), RequestError>(())
    })?;
    Ok(all)
}

fn variables(reader: &mut Reader<'_>, owner: &str) -> Result<Vec<(String, String)>, RequestError> {
    let mut all = Vec::new();
    expect(reader, Kind::Array, Path(owner, "values"), "an array")?;
    reader.array(|reader, index| {
        at_most(Path(owner, "values"), index + 1, "entries", MOST_OVERRIDES)?;
        let member = format!("{owner}.values[{index}]");
        let (mut name, mut value) = (None, None);
        expect(reader, Kind::Object, &member, "an object")?;
        reader.object(|reader, key| {
            match key {
                "name" => name = Some(argument(reader, Path(&member, "name"))?),
                "value" => value = Some(argument(reader, Path(&member, "value"))?),
                _ => reader.skip()?,
            }
            Ok::<(), RequestError>(())
        })?;
        let name = name.ok_or_else(|| wrong(Path(&member, "name"), "a string"))?;
        all.push((name, value.ok_or_else(|| wrong(Path(&member, "value"), "a string"))?));
        Ok::<(), RequestError>(())
    })?;
    Ok(all)
}

fn files(reader: &mut Reader<'_>) -> Result<Vec<SourceFile>, RequestError> {
    expect(reader, Kind::Array, "files", "an array")?;
    let mut all = Vec::new();
    reader.array(|reader, index| {
        at_most("files", index + 1, "entries", MOST_FILES)?;
        let member = format!("files[{index}]");
        let (mut name, mut contents) = (String::new(), None);
        expect(reader, Kind::Object, &member, "an object")?;
        reader.object(|reader, key| {
            match key {
                // A file without a name is the plan's to refuse: it has a result of its own.
                "filename" if null(reader)? => {}
                "filename" => name = argument(reader, Path(&member, "filename"))?,
                "contents" => contents = Some(string(reader, Path(&member, "contents"))?),
                _ => reader.skip()?,
            }
            Ok::<(), RequestError>(())
        })?;
        let contents = contents.ok_or_else(|| wrong(Path(&member, "contents"), "a string"))?;
        all.push(SourceFile { name, contents });
        Ok::<(), RequestError>(())
    })?;
    Ok(all)
}

/// An array of objects that this worker has no use for.
fn objects(reader: &mut Reader<'_>, member: &'static str) -> Result<(), RequestError> {
    expect(reader, Kind::Array, member, "an array of objects")?;
    reader.array(|reader, _| {
        expect(reader, Kind::Object, member, "an array of objects")?;
        Ok(reader.skip()?)
    })
}

fn bypass(reader: &mut Reader<'_>) -> Result<BypassCache, RequestError> {
    let value = match reader.kind()? {
        Kind::Bool => f64::from(u8::from(reader.bool()?)),
        Kind::Number => reader.number()?,
        _ => return Err(wrong("bypassCache", BYPASS_VALUES)),
    };
    match value {
        0.0 => Ok(BypassCache::None),
        1.0 => Ok(BypassCache::Compilation),
        2.0 => Ok(BypassCache::Execution),
        _ => Err(wrong("bypassCache", BYPASS_VALUES)),
    }
}

/// What JavaScript would take for true.
fn truthy(reader: &mut Reader<'_>) -> Result<bool, RequestError> {
    Ok(match reader.kind()? {
        Kind::Null => {
            reader.null()?;
            false
        }
        Kind::Bool => reader.bool()?,
        Kind::Number => reader.number()? != 0.0,
        Kind::String => !reader.string()?.is_empty(),
        Kind::Array | Kind::Object => {
            reader.skip()?;
            true
        }
    })
}

/// Takes a `null`, which everywhere but in the required members means the same as absence.
fn null(reader: &mut Reader<'_>) -> Result<bool, RequestError> {
    let null = reader.kind()? == Kind::Null;
    if null {
        reader.null()?;
    }
    Ok(null)
}

/// A string that will become part of a command line, an environment or a file name.
fn argument(reader: &mut Reader<'_>, member: Path<'_>) -> Result<String, RequestError> {
    let text = string(reader, member)?;
    no_nul(member, &text)?;
    at_most(member, text.len(), "bytes", LONGEST_ARGUMENT)?;
    Ok(text)
}

fn string(reader: &mut Reader<'_>, member: impl fmt::Display) -> Result<String, RequestError> {
    expect(reader, Kind::String, member, "a string")?;
    Ok(reader.string()?.into_owned())
}

fn expect(
    reader: &mut Reader<'_>,
    kind: Kind,
    member: impl fmt::Display,
    expected: &'static str,
) -> Result<(), RequestError> {
    if reader.kind()? == kind { Ok(()) } else { Err(wrong(member, expected)) }
}

/// A member of a member, spelt out only when there is something to complain about.
#[derive(Clone, Copy)]
struct Path<'a>(&'a str, &'static str);

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}
