//! Bodies as clients send them, whole and broken.

use proptest::prelude::*;

use super::*;
use crate::domain::request::{Override, SourceFile};

fn split(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

fn read(body: &str) -> Result<CompileRequest, RequestError> {
    json(body.as_bytes())?.finish(split)
}

/// A body with `member` put into its options.
fn options(member: &str) -> Result<CompileRequest, RequestError> {
    read(&format!(r#"{{"source":"int x;","options":{{{member}}}}}"#))
}

fn complaint(body: Result<CompileRequest, RequestError>) -> String {
    body.unwrap_err().to_string()
}

#[test]
fn a_whole_request() {
    let request = read(
        r#"{"source":"int f();\u0000","lang":"c++","bypassCache":1,"allowStoreCodeDebug":true,
            "files":[{"filename":"sub/a.h","contents":"\u0000"}],
            "options":{"userArguments":"-O2  -g","tools":[{"id":"x"}],"libraries":[],"executeParameters":{"args":""},
              "filters":{"labels":false,"trim":1,"binary":"","execute":null,"intel":0,"demangle":{},"foo":true},
              "compilerOptions":{"skipAsm":false,"skipPopArgs":true,"filterAnsi":"yes","produceAst":{},
                "customOutputFilename":"out.s",
                "overrides":[{"name":"stdver","value":"c++20"},{"name":"env","values":[{"name":"A","value":"1"}]}]}}}"#,
    )
    .unwrap();
    assert_eq!(request.source, "int f();\0", "NUL is data in a source");
    assert_eq!(request.language.unwrap().as_str(), "c++");
    assert_eq!(request.bypass_cache, BypassCache::Compilation);
    assert_eq!(request.files, [SourceFile { name: "sub/a.h".to_owned(), contents: "\0".to_owned() }]);
    assert_eq!(request.arguments, ["-O2", "-g"]);
    assert_eq!(request.filters, Filters { labels: false, trim: true, intel: false, ..Filters::default() });
    let backend = request.backend;
    assert!(
        !backend.skip_asm
            && backend.skip_popular_arguments
            && backend.filter_ansi
            && !backend.executor_request
    );
    assert_eq!(backend.output_filename.as_deref(), Some("out.s"));
    let value = Override::Value { name: "stdver".to_owned(), value: "c++20".to_owned() };
    assert_eq!(backend.overrides, [value, Override::Environment(vec![("A".to_owned(), "1".to_owned())])]);
}

#[test]
fn little_is_required() {
    let request = read(r#"{"options":{},"source":""}"#).unwrap();
    assert_eq!(request, CompileRequest::default());
    assert_eq!(
        read(r#"{"options":{"filters":null,"userArguments":null},"source":"","files":null,"lang":null}"#)
            .unwrap(),
        request
    );
    assert_eq!(complaint(read(r#"{"source":"x"}"#)), "Missing options property");
    assert_eq!(complaint(read(r#"{"options":{}}"#)), "Missing source property");
    assert_eq!(complaint(read("{}")), "Missing options property");
    assert!(!json(br#"{"options":{},"source":"","files":null}"#).unwrap().has_files);
    assert!(json(br#"{"options":{},"source":"","files":[]}"#).unwrap().has_files);
}

#[test]
fn arguments_come_in_two_shapes() {
    assert_eq!(options(r#""userArguments":["-DA=b c",""]"#).unwrap().arguments, ["-DA=b c", ""]);
    for wrong in ["1", "{}", "[1]", "[null]", "true"] {
        let message = complaint(options(&format!(r#""userArguments":{wrong}"#)));
        assert_eq!(message, "options.userArguments must be a string or an array of strings");
    }
}

#[test]
fn wrong_types_are_named() {
    for (body, message) in [
        ("[1,2]", "the body must be a JSON object"),
        (r#"{"source":1,"options":{}}"#, "source must be a string"),
        (r#"{"source":null,"options":{}}"#, "source must be a string"),
        (r#"{"source":"","options":[]}"#, "options must be an object"),
        (r#"{"source":"","options":null}"#, "options must be an object"),
        (r#"{"source":"","lang":7,"options":{}}"#, "lang must be a string"),
        (r#"{"source":"","bypassCache":3,"options":{}}"#, "bypassCache must be 0, 1, 2 or a boolean"),
        (r#"{"source":"","bypassCache":"1","options":{}}"#, "bypassCache must be 0, 1, 2 or a boolean"),
        (r#"{"source":"","files":{},"options":{}}"#, "files must be an array"),
        (r#"{"source":"","files":["a"],"options":{}}"#, "files[0] must be an object"),
        (r#"{"source":"","files":[{"filename":"a"}],"options":{}}"#, "files[0].contents must be a string"),
        (
            r#"{"source":"","files":[{"filename":1,"contents":""}],"options":{}}"#,
            "files[0].filename must be a string",
        ),
        (r#"{"source":"","options":{"filters":[]}}"#, "options.filters must be an object"),
        (r#"{"source":"","options":{"tools":{}}}"#, "options.tools must be an array of objects"),
        (r#"{"source":"","options":{"libraries":["fmt"]}}"#, "options.libraries must be an array of objects"),
        (r#"{"source":"","options":{"compilerOptions":1}}"#, "options.compilerOptions must be an object"),
        (r#"{"source":"","options":{"executeParameters":1}}"#, "options.executeParameters must be an object"),
        (
            r#"{"source":"","options":{"compilerOptions":{"overrides":[{"name":"arch","value":1}]}}}"#,
            "options.compilerOptions.overrides[0].value must be a string",
        ),
        (
            r#"{"source":"","options":{"compilerOptions":{"overrides":[{"value":"x"}]}}}"#,
            "options.compilerOptions.overrides[0].name must be a string",
        ),
        (
            r#"{"source":"","options":{"compilerOptions":{"overrides":[{"name":"env","values":[{"name":"A"}]}]}}}"#,
            "options.compilerOptions.overrides[0].values[0].value must be a string",
        ),
    ] {
        assert_eq!(complaint(read(body)), message, "{body}");
    }
}

#[test]
fn an_override_without_a_value_is_empty() {
    for text in [r#"{"name":"arch"}"#, r#"{"name":"arch","value":null}"#, r#"{"name":"arch","value":""}"#] {
        let request = options(&format!(r#""compilerOptions":{{"overrides":[{text}]}}"#)).unwrap();
        let empty = Override::Value { name: "arch".to_owned(), value: String::new() };
        assert_eq!(request.backend.overrides, [empty], "{text}");
    }
}

#[test]
fn bypass_values() {
    for (value, want) in [
        ("0", BypassCache::None),
        ("false", BypassCache::None),
        ("1", BypassCache::Compilation),
        ("true", BypassCache::Compilation),
        ("1.0", BypassCache::Compilation),
        ("2", BypassCache::Execution),
    ] {
        let body = format!(r#"{{"source":"","options":{{}},"bypassCache":{value}}}"#);
        assert_eq!(read(&body).unwrap().bypass_cache, want, "{value}");
    }
}

#[test]
fn what_the_system_cannot_take_is_refused() {
    let nul = "must not contain a NUL character";
    assert_eq!(complaint(options(r#""userArguments":"-DX=\u0000""#)), format!("options.userArguments {nul}"));
    assert_eq!(complaint(options(r#""userArguments":["\u0000"]"#)), format!("options.userArguments {nul}"));
    let name = r#"{"source":"","options":{},"files":[{"filename":"a\u0000","contents":""}]}"#;
    assert_eq!(complaint(read(name)), format!("files[0].filename {nul}"));
    let environment =
        r#""compilerOptions":{"overrides":[{"name":"env","values":[{"name":"A","value":"\u0000"}]}]}"#;
    assert_eq!(
        complaint(options(environment)),
        format!("options.compilerOptions.overrides[0].values[0].value {nul}")
    );
    let long = "x".repeat(LONGEST_ARGUMENT);
    assert!(options(&format!(r#""userArguments":"{long}""#)).is_ok());
    assert_eq!(
        complaint(options(&format!(r#""userArguments":"{long}x""#))),
        "options.userArguments has 4097 bytes in one argument, more than the 4096 allowed"
    );
    let many = "-DABCDE ".repeat(10_000);
    assert_eq!(
        complaint(options(&format!(r#""userArguments":"{many}""#))),
        "options.userArguments has 80000 bytes, more than the 65536 allowed"
    );
    let list = vec!["\"\""; 70_000].join(",");
    assert!(
        complaint(options(&format!(r#""userArguments":[{list}]"#))).contains("more than the 65536 allowed")
    );
    let files = vec![r#"{"filename":"a","contents":""}"#; 65].join(",");
    let message = complaint(read(&format!(r#"{{"source":"","options":{{}},"files":[{files}]}}"#)));
    assert_eq!(message, "files has 65 entries, more than the 64 allowed");
}

#[test]
fn duplicates_are_refused_anywhere() {
    for body in [
        r#"{"source":"","source":"","options":{}}"#,
        r#"{"source":"","options":{"filters":{"labels":true,"labels":false}}}"#,
        r#"{"source":"","options":{"unknown":{"a":1,"a":2}}}"#,
        r#"{"source":"","options":{"tools":[{"id":"a","id":"b"}]}}"#,
    ] {
        assert!(complaint(read(body)).contains("occurs twice"), "{body}");
    }
    assert!(complaint(read(r#"{"source":"","options":{}} x"#)).contains("expected nothing more"));
}

#[test]
fn a_json_body_leaves_one_wish_to_the_query() {
    let ask = |query: &str| {
        let draft = json(br#"{"source":"","options":{"userArguments":"-g"}}"#).unwrap().heeding(query);
        let request = draft.finish(split).unwrap();
        assert_eq!(request.arguments, ["-g"]);
        request.backend.filter_ansi
    };
    assert!(ask("options=-O2&filterAnsi=true"));
    for query in ["", "filterAnsi=1", "filterAnsi", "filterAnsi=true&filterAnsi=true", "skipAsm=true"] {
        assert!(!ask(query), "{query}");
    }
    let whole = br#"{"source":"","options":{"compilerOptions":{"filterAnsi":true}}}"#;
    assert!(json(whole).unwrap().heeding("filterAnsi=false").finish(split).unwrap().backend.filter_ansi);
}

#[test]
fn bare_text_takes_its_wishes_from_the_query() {
    let ask = |query: &str| text(b"int x;", query).unwrap().finish(split).unwrap();
    let plain = ask("");
    assert_eq!((plain.source.as_str(), plain.filters), ("int x;", Filters::default()));
    let asked = ask("options=-O2+-g&skipAsm=true&skipPopArgs=1&filterAnsi=true");
    assert_eq!(asked.arguments, ["-O2", "-g"]);
    assert_eq!(ask("options=-DX=5%").arguments, ["-DX=5%"]);
    assert!(asked.backend.skip_asm && !asked.backend.skip_popular_arguments && asked.backend.filter_ansi);
    assert_eq!(ask("filters=labels,trim").filters, Filters { labels: true, trim: true, ..Filters::NONE });
    assert_eq!(
        ask("filters=labels&addFilters=trim,intel&removeFilters=labels,x").filters,
        Filters { trim: true, intel: true, ..Filters::NONE }
    );
    assert_eq!(
        ask("addFilters=trim&removeFilters=intel").filters,
        Filters { trim: true, intel: false, ..Filters::default() }
    );
    assert_eq!(ask("filters=").filters, Filters::default());
    assert_eq!(text(b"", "").unwrap_err(), RequestError::Empty);
    assert_eq!(text(b"a\xff", "").unwrap_err(), RequestError::Encoding(1));
    assert!(
        text(b"x", "options=a&options=b").unwrap_err().to_string().contains("\"options\" is given twice")
    );
}

#[test]
fn the_form_of_the_page_without_scripts() {
    let draft = form(b"source=int+x%3B&compiler=g132&lang=c%2B%2B&userArguments=-O2&labels=true&trim=yes&bypassCache=1&skipAsm=true").unwrap();
    assert_eq!(draft.compiler.as_deref(), Some("g132"));
    assert_eq!(draft.language().unwrap().as_str(), "c++");
    let request = draft.finish(split).unwrap();
    assert_eq!((request.source.as_str(), request.arguments.as_slice()), ("int x;", &["-O2".to_owned()][..]));
    assert_eq!(request.filters, Filters { labels: true, ..Filters::NONE });
    assert_eq!(request.bypass_cache, BypassCache::Compilation);
    assert!(request.backend.skip_asm);
    assert_eq!(form(b"compiler=x").unwrap_err(), RequestError::Missing("source"));
    assert!(form(b"source=x&bypassCache=7").is_err());
}

proptest! {
    #[test]
    fn any_bytes_are_answered(body in proptest::collection::vec(any::<u8>(), 0..200), query in "(\\PC|[\n\0\r\u{1b}]){0,40}") {
        let _answered = (json(&body).is_ok(), form(&body).is_ok(), text(&body, &query).is_ok());
    }

    #[test]
    fn any_json_is_answered(member in "(userArguments|filters|compilerOptions|tools)", value in r#"[\[\]{}:,"a10\\\u{e9}\u{1f600}\u{0}\r\u{1b}]{0,12}"#) {
        let _answered = options(&format!("\"{member}\":{value}")).is_ok();
    }

    #[test]
    fn sources_survive(source in any::<String>()) {
        let body = serde_json::json!({"source": source, "options": {}}).to_string();
        prop_assert_eq!(read(&body).unwrap().source, source);
    }
}
