//! Replies, byte for byte.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::domain::result::{Edit, JobStatus, Severity};

fn line(text: &str) -> OutputLine {
    OutputLine { text: text.to_owned(), tag: None }
}

fn listing(texts: &[&str]) -> Asm {
    let mut listing = Listing::default();
    for text in texts {
        listing.push(text, None, Vec::new());
    }
    Asm::Listing(listing)
}

fn result(asm: Asm) -> CompileResult {
    CompileResult {
        status: JobStatus::Ok,
        code: 0,
        ok_to_cache: true,
        timed_out: false,
        truncated: false,
        input_filename: "example.cpp".to_owned(),
        stdout: Vec::new(),
        stderr: Vec::new(),
        exec_time: Duration::from_micros(12_999),
        tagging_time: Duration::from_micros(250),
        instruction_set: Arc::from("amd64"),
        compilation_options: vec!["-g".to_owned(), "-o".to_owned(), "output.s".to_owned()],
        asm_size: Some(42),
        asm,
        parsing_time: Duration::from_millis(3),
        language_id: None,
        directory: None,
        skip_popular_arguments: false,
    }
}

fn names(json: &[u8]) -> Vec<String> {
    let text = std::str::from_utf8(json).unwrap();
    let object: serde_json::Map<String, Value> = serde_json::from_str(text).unwrap();
    let mut names: Vec<String> = object.keys().cloned().collect();
    names.sort_by_key(|name| text.find(&format!("\"{name}\":")));
    names
}

#[test]
fn the_whole_shape() {
    let mut asm = Listing::default();
    asm.push("main:", None, Vec::new());
    let source = Source { file: None, line: 3, column: Some(9), main_source: None };
    let label = LabelUse { name: "helper(int)".to_owned(), target: None, start: 17, end: 28 };
    asm.push("        call    helper(int)", Some(source), vec![label]);
    let source =
        Source { file: Some(Arc::from("/usr/x.h")), line: 4, column: Some(2), main_source: Some(false) };
    let label = LabelUse { name: "f@PLT".to_owned(), target: Some("f".to_owned()), start: 1, end: 6 };
    asm.push("\tjmp\tf@PLT", Some(source), vec![label]);
    asm.label_definitions = vec![("main".to_owned(), 1), ("a\"b".to_owned(), 2)];
    asm.filtered_count = -7;
    let mut whole = result(Asm::Listing(asm));
    let tag = Tag {
        line: 2,
        column: 12,
        text: "error: no".to_owned(),
        severity: Severity::Error,
        file: "example.cpp".to_owned(),
        fixes: vec![Fix {
            title: "mend".to_owned(),
            edits: vec![Edit { line: 1, column: 2, end_line: 3, end_column: 4, text: "x".to_owned() }],
        }],
    };
    whole.stderr = vec![OutputLine { text: "\u{1b}[01mno".to_owned(), tag: Some(tag) }, line("")];
    whole.code = 1;
    let want = concat!(
        r#"{"inputFilename":"example.cpp","code":1,"okToCache":true,"timedOut":false,"stdout":[],"#,
        r#""stderr":[{"text":"\u001b[01mno","tag":{"line":2,"column":12,"text":"error: no","severity":3,"#,
        r#""file":"example.cpp","fixes":[{"title":"mend","edits":[{"line":1,"column":2,"endline":3,"endcolumn":4,"#,
        r#""text":"x"}]}]}},{"text":""}],"truncated":false,"execTime":12,"processExecutionResultTime":0.25,"#,
        r#""instructionSet":"amd64","compilationOptions":["-g","-o","output.s"],"downloads":[],"tools":[],"#,
        r#""asmSize":42,"asm":[{"text":"main:","source":null,"labels":[]},"#,
        r#"{"text":"        call    helper(int)","source":{"file":null,"line":3,"column":9},"#,
        r#""labels":[{"name":"helper(int)","range":{"startCol":17,"endCol":28}}]},"#,
        r#"{"text":"\tjmp\tf@PLT","source":{"file":"/usr/x.h","line":4,"mainsource":false,"column":2},"#,
        r#""labels":[{"name":"f@PLT","range":{"startCol":1,"endCol":6},"target":"f"}]}],"#,
        r#""optOutput":[],"labelDefinitions":{"main":1,"a\"b":2},"parsingTime":3,"filteredCount":-7,"#,
        r#""popularArguments":{}}"#,
    );
    assert_eq!(String::from_utf8(json(&whole)).unwrap(), want);
}

#[test]
fn what_does_not_apply_is_absent() {
    let mut skipped = result(Asm::Skipped);
    skipped.skip_popular_arguments = true;
    skipped.asm_size = None;
    let names = names(&json(&skipped));
    for absent in [
        "asmSize",
        "labelDefinitions",
        "parsingTime",
        "filteredCount",
        "popularArguments",
        "dirPath",
        "languageId",
    ] {
        assert!(!names.iter().any(|name| name == absent), "{absent}");
    }
    let value: Value = serde_json::from_slice(&json(&skipped)).unwrap();
    assert_eq!(value["asm"], json!([]));

    let value: Value =
        serde_json::from_slice(&json(&result(Asm::Raw("<Compilation failed>".to_owned())))).unwrap();
    assert_eq!(value["asm"], json!([{"text": "<Compilation failed>"}]));
    assert_eq!(value.get("labelDefinitions"), None);

    let value: Value =
        serde_json::from_slice(&json(&result(Asm::Remark("<No output file>".to_owned())))).unwrap();
    assert_eq!(value["asm"], json!([{"text": "<No output file>", "source": null, "labels": []}]));
    assert_eq!((&value["labelDefinitions"], &value["filteredCount"]), (&json!({}), &json!(0)));
}

#[test]
fn ir_has_scopes_and_no_labels() {
    let mut listing = Listing::default();
    listing.syntax = Syntax::LlvmIr;
    listing.push("define i32 @f() {", None, Vec::new());
    let source = Source { file: None, line: 3, column: Some(5), main_source: None };
    listing.push("  ret i32 1, !dbg !7", Some(source), Vec::new());
    listing.scope_last("!7");
    let value: Value = serde_json::from_slice(&json(&result(Asm::Listing(listing)))).unwrap();
    let place = json!({"file": null, "line": 3, "column": 5});
    let items = json!([
        {"text": "define i32 @f() {"},
        {"text": "  ret i32 1, !dbg !7", "source": place, "scope": "!7"},
    ]);
    assert_eq!(value["asm"], items);
}

#[test]
fn extra_members_have_their_place() {
    let mut odd = result(Asm::Raw(String::new()));
    odd.directory = Some("/app".to_owned());
    odd.language_id = Some("llvm-ir");
    let names = names(&json(&odd));
    assert_eq!(names[..2], ["dirPath", "inputFilename"]);
    assert_eq!(names[names.len() - 2..], ["languageId", "popularArguments"]);
}

/// Appendix B.1 of the contract; what it has of execution comes with execution.
#[test]
fn golden_texts() {
    fn strip(text: &str) -> Cow<'_, str> {
        Cow::Owned(text.replace("\u{1b}[31m", "").replace("\u{1b}[0m", ""))
    }
    let check = |result: &CompileResult, strip: Option<Strip>, want: &str| {
        assert_eq!(String::from_utf8(text(result, strip)).unwrap(), format!("{BANNER}\n{want}"));
    };
    check(&result(listing(&["a:", "  ret"])), None, "a:\n  ret\n");
    let mut failed = result(Asm::Skipped);
    failed.code = 1;
    failed.stderr = vec![line("a.c:1: boom")];
    check(&failed, None, "\n# Compiler exited with result code 1\nStandard error:\na.c:1: boom\n");
    let mut colored = result(listing(&["\u{1b}[31mred\u{1b}[0m"]));
    colored.stdout = vec![line("o1"), line("o2")];
    colored.stderr = vec![line("e1")];
    check(&colored, Some(strip), "red\nStandard out:\no1\no2\nStandard error:\ne1\n");
    check(&colored, None, "\u{1b}[31mred\u{1b}[0m\nStandard out:\no1\no2\nStandard error:\ne1\n");
    check(&result(listing(&[""])), None, "\n");
    check(&result(Asm::Remark("<No output file>".to_owned())), None, "<No output file>\n");
}

#[test]
fn refusals() {
    let text = |json: Vec<u8>| String::from_utf8(json).unwrap();
    assert_eq!(text(refusal("a \"b\"")), r#"{"code":-1,"stdout":[],"stderr":[{"text":"a \"b\""}]}"#);
    assert_eq!(
        text(internal_error("x")),
        r#"{"code":-1,"stdout":[],"stderr":[{"text":"Internal Compiler Explorer error: x"}]}"#
    );
}

proptest! {
    #[test]
    fn strings_are_escaped_as_serde_json_does(text in any::<String>()) {
        let mut out = Vec::new();
        string(&mut out, &text);
        prop_assert_eq!(String::from_utf8(out).unwrap(), serde_json::to_string(&text).unwrap());
    }

    #[test]
    fn numbers(value in any::<i64>()) {
        let mut out = Vec::new();
        number(&mut out, value);
        prop_assert_eq!(String::from_utf8(out).unwrap(), value.to_string());
    }
}
