//! Real compilers, asked through the door.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::support::client::{Reply, post};
use crate::support::daemon::Daemon;
use crate::support::members::Members;

/// The compilers that every machine of ours has: name, package, instruction set, and an instruction of it.
const FAMILIES: [(&str, &str, &str, &str); 3] = [
    ("g++", "g++", "amd64", "ret"),
    ("clang++", "clang", "amd64", "ret"),
    ("aarch64-linux-gnu-g++", "g++-aarch64-linux-gnu", "aarch64", "ldp"),
];

/// The members of a successful compile, in order.
const MEMBERS: [&str; 20] = [
    "inputFilename",
    "code",
    "okToCache",
    "timedOut",
    "stdout",
    "stderr",
    "truncated",
    "execTime",
    "processExecutionResultTime",
    "instructionSet",
    "compilationOptions",
    "downloads",
    "tools",
    "asmSize",
    "asm",
    "optOutput",
    "labelDefinitions",
    "parsingTime",
    "filteredCount",
    "popularArguments",
];

const SORTER: &str = "\
#include <algorithm>
#include <vector>
int largest(std::vector<int> values) {
    std::sort(values.begin(), values.end());
    return values.back();
}
";

pub(super) fn texts(lines: &Value) -> Vec<&str> {
    lines.as_array().unwrap().iter().map(|line| line["text"].as_str().unwrap()).collect()
}

fn status(reply: &Reply) -> (u16, Option<&str>) {
    (reply.status, reply.header("x-job-status"))
}

fn with_arguments(source: &str, arguments: &str) -> Value {
    json!({"source": source, "options": {"userArguments": arguments}})
}

#[tokio::test]
async fn every_family_compiles_the_standard_library() {
    let daemon = Daemon::start(&[]).await;
    for (name, package, instruction_set, instruction) in FAMILIES {
        let id = daemon.compiler(name, package).await;
        let reply = daemon.compile(&id, &with_arguments(SORTER, "-O1 -std=c++17")).await;
        assert_eq!(status(&reply), (200, Some("ok")), "{name}: {}", reply.text());
        assert_eq!(reply.header("content-type"), Some("application/json; charset=utf-8"));
        let result = reply.json();
        assert_eq!((&result["code"], &result["stderr"]), (&json!(0), &json!([])), "{name}");
        assert_eq!(result["instructionSet"], instruction_set, "{name}");
        let listing = texts(&result["asm"]);
        let label = "largest(std::vector<int, std::allocator<int>>):";
        let spaced = "largest(std::vector<int, std::allocator<int> >):";
        assert!(listing.iter().any(|line| *line == label || *line == spaced), "{name}: {listing:?}");
        assert!(listing.iter().any(|line| line.trim_start().starts_with(instruction)), "{name}");
        assert!(!listing.iter().any(|line| line.contains(".cfi_")), "{name} shows directives");
        let calls = result["asm"].as_array().unwrap().iter().filter(|item| item["source"]["line"] == 5);
        assert!(calls.count() > 0, "{name}: nothing comes from line 5");
    }
    daemon.stop().await;
}

#[tokio::test]
async fn a_result_has_its_members_in_order_and_of_their_types() {
    let daemon = Daemon::start(&[]).await;
    let id = daemon.compiler("g++", "g++").await;
    let reply = daemon.compile(&id, &with_arguments("int f(int x) { return x + 1; }", "-O2")).await;
    assert_eq!(Members::read(&reply.body).names(), MEMBERS);
    let result = reply.json();
    let whole = ["code", "execTime", "asmSize", "parsingTime", "filteredCount"];
    assert!(whole.iter().all(|name| result[*name].is_u64()), "{result}");
    assert!(result["processExecutionResultTime"].is_number(), "{result}");
    let flags = ["okToCache", "timedOut", "truncated"].map(|name| result[name].as_bool().unwrap());
    assert_eq!(flags, [true, false, false]);
    for name in ["stdout", "stderr", "downloads", "tools", "optOutput"] {
        assert_eq!(result[name], json!([]), "{name}");
    }
    assert_eq!(result["popularArguments"], json!({}));
    assert_eq!(result["inputFilename"], "example.cpp");
    let options = "-g -o output.s -masm=intel -fno-verbose-asm -S -fdiagnostics-color=always -O2 example.cpp";
    assert_eq!(result["compilationOptions"], json!(options.split(' ').collect::<Vec<_>>()));
    assert_eq!(result["labelDefinitions"], json!({"f(int)": 1}));
    assert_eq!(result["asm"][0], json!({"text": "f(int):", "source": null, "labels": []}));
    let lea = json!({"text": "        lea     eax, 1[rdi]", "source": {"file": null, "line": 1, "column": 27}, "labels": []});
    assert_eq!(result["asm"][1]["source"]["file"], lea["source"]["file"]);
    assert_eq!((&result["asm"][1]["text"], &result["asm"][1]["labels"]), (&lea["text"], &lea["labels"]));
    daemon.stop().await;
}

#[tokio::test]
async fn text_is_the_same_result_without_the_braces() {
    let daemon = Daemon::start(&[]).await;
    let id = daemon.compiler("g++", "g++").await;
    let path = format!("/api/compiler/{id}/compile?options=-O2%20-Wall");
    for source in ["int f(int x) { int y; return x; }", "int f( { }"] {
        let text = daemon.ask(post(&path, "Accept: text/plain\r\n", source)).await;
        assert_eq!(text.header("content-type"), Some("text/plain; charset=utf-8"));
        let json = daemon.ask(post(&path, "Accept: application/json\r\n", source)).await.json();
        let mut want = "# Compilation provided by Compiler Explorer at https://godbolt.org/\n".to_owned();
        want.push_str(&texts(&json["asm"]).join("\n"));
        if json["code"] != 0 {
            write!(want, "\n# Compiler exited with result code {}", json["code"]).unwrap();
        }
        assert!(texts(&json["stderr"]).len() > 1, "{json}");
        write!(want, "\nStandard error:\n{}\n", texts(&json["stderr"]).join("\n")).unwrap();
        assert_eq!(text.text(), want);
        assert!(want.contains('\u{1b}'), "no colour, so taking it out would prove nothing");
        let plain =
            daemon.ask(post(&format!("{path}&filterAnsi=true"), "Accept: text/plain\r\n", source)).await;
        assert!(!plain.text().contains('\u{1b}') && plain.text().contains("\n<source>:1:"));
    }
    daemon.stop().await;
}

#[tokio::test]
async fn preprocessed_text_comes_through_as_it_is() {
    let daemon = Daemon::start(&[]).await;
    for (name, package, ..) in FAMILIES {
        let id = daemon.compiler(name, package).await;
        let source = "#define ANSWER 42\n// gone\nint f() { return ANSWER; }\n";
        let result = daemon.compile(&id, &with_arguments(source, "-E")).await.json();
        let lines = texts(&result["asm"]);
        assert!(lines.contains(&"int f() { return 42; }"), "{name}: {lines:?}");
        assert!(lines.iter().any(|line| line.starts_with("# 1 ")), "{name}: {lines:?}");
        assert_eq!(result["code"], 0);
    }
    daemon.stop().await;
}

#[tokio::test]
async fn several_files_make_one_program() {
    let daemon = Daemon::start(&[]).await;
    let id = daemon.compiler("g++", "g++").await;
    let request = json!({
        "source": "#include \"sub/deep/a.h\"\nint f() { return twice(21); }\n",
        "files": [{"filename": "sub/deep/a.h", "contents": "inline int twice(int x) { return x * 2; }\n"}],
        "options": {"userArguments": ["-O0"]},
    });
    let result = daemon.compile(&id, &request).await.json();
    assert_eq!(result["code"], 0, "{result}");
    let sources: Vec<(&Value, &Value)> = result["asm"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|item| !item["source"].is_null())
        .map(|item| (&item["source"]["file"], &item["source"]["mainsource"]))
        .collect();
    assert!(sources.contains(&(&json!("example.cpp"), &json!(true))), "{sources:?}");
    assert!(sources.contains(&(&json!("sub/deep/a.h"), &json!(false))), "{sources:?}");
    daemon.stop().await;
}

#[tokio::test]
async fn the_environment_of_a_compiler_can_be_added_to() {
    let daemon = Daemon::start(&[]).await;
    let id = daemon.compiler("g++", "g++").await;
    let request = |name: &str, value: &str| {
        let overrides = json!([{"name": "env", "values": [{"name": name, "value": value}]}]);
        json!({
            "source": "#include <hidden.h>\nint f() { return HIDDEN; }\n",
            "files": [{"filename": "inc/hidden.h", "contents": "#define HIDDEN 7\n"}],
            "options": {"compilerOptions": {"overrides": overrides}},
        })
    };
    let found = daemon.compile(&id, &request("cplus_include_path ", "/app/inc")).await.json();
    assert_eq!(found["code"], 0, "{found}");
    let other = daemon.compile(&id, &request("OTHER", "/app/inc")).await.json();
    assert_eq!(other["code"], 1, "{other}");
    let request = json!({
        "source": "int f;",
        "options": {"compilerOptions": {"overrides": [{"name": "env", "values": [
            {"name": "LD_PRELOAD", "value": "/app/nothing.so"},
            {"name": "1BAD", "value": "x"},
        ]}]}},
    });
    let preload = daemon.compile(&id, &request).await.json();
    assert_eq!((&preload["code"], &preload["stderr"]), (&json!(0), &json!([])), "the loader spoke of it");
    daemon.stop().await;
}

#[tokio::test]
async fn the_output_may_have_another_name_and_the_listing_may_be_left_out() {
    let daemon = Daemon::start(&[]).await;
    let id = daemon.compiler("g++", "g++").await;
    let request =
        |options: Value| json!({"source": "int f() { return 1; }", "options": {"compilerOptions": options}});
    let named = daemon.compile(&id, &request(json!({"customOutputFilename": "mine.asm"}))).await.json();
    assert_eq!(texts(&named["asm"])[0], "f():", "{named}");
    assert_eq!(named["compilationOptions"][2], "mine.asm");
    for escape in ["../mine.asm", "/etc/mine.asm", "a/../../mine.asm"] {
        let reply = daemon.compile(&id, &request(json!({"customOutputFilename": escape}))).await;
        let confined =
            reply.status == 200 && !reply.json()["compilationOptions"][2].as_str().unwrap().contains("..");
        let refused = reply.status == 400 && reply.text().contains("customOutputFilename");
        assert!(confined || refused, "{escape}: {} {}", reply.status, reply.text());
    }
    let skipped = daemon.compile(&id, &request(json!({"skipAsm": true, "skipPopArgs": true}))).await;
    let members = Members::read(&skipped.body);
    let skipped = skipped.json();
    assert_eq!((&skipped["code"], &skipped["asm"]), (&json!(0), &json!([])));
    for absent in ["labelDefinitions", "popularArguments"] {
        assert!(!members.names().contains(&absent), "{absent}");
    }
    daemon.stop().await;
}
