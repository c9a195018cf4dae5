//! What a front end reads before it asks for anything: compilers, languages, libraries, tools, version.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::client::{get, post};
use crate::support::daemon::{Daemon, compile};
use crate::support::obedient::{ID, Obedient, sleep};

/// What a remote host must tell of each compiler (contract: remote compilers), where it applies to all of ours.
const REMOTE: &str = "id exe name version fullVersion alias options versionFlag compilerType intelAsm \
    instructionSet needsMulti supportsDemangle supportsBinary supportsBinaryObject supportsIntel supportsExecute \
    supportsVerboseAsm supportsLibraryCodeFilter supportsMarch supportsTarget supportsTargetIs \
    supportsHyphenTarget supportsCfg supportsIrView supportsAstView supportsPpView supportsOptOutput \
    supportsStackUsageOutput supportsGccDump lang group groupName includeFlag linkFlag rpathFlag libpathFlag \
    libPath ldPath extraPath envVars semver isSemVer libsArr tools possibleOverrides possibleRuntimeTools \
    disabledFilters postProcess unwiseOptions hidden emulated interpreted removeEmptyGccDump";

#[tokio::test]
async fn a_front_end_finds_all_it_needs_of_a_remote() {
    let daemon = Daemon::start(&[]).await;
    for (name, package) in
        [("g++", "g++"), ("clang++", "clang"), ("aarch64-linux-gnu-g++", "g++-aarch64-linux-gnu")]
    {
        let id = daemon.compiler(name, package).await;
        // One compile, so that the compiler has been asked what it can do.
        daemon.compile(&id, &json!({"source": "int x;", "options": {}})).await;
        let reply = daemon.page("/api/compilers/c++?fields=all").await;
        assert_eq!(
            (reply.status, reply.header("content-type")),
            (200, Some("application/json; charset=utf-8"))
        );
        let list = reply.json();
        let compiler =
            list.as_array().unwrap().iter().find(|compiler| compiler["id"] == *id).unwrap().clone();
        let missing: Vec<&str> =
            REMOTE.split_whitespace().filter(|field| compiler.get(field).is_none()).collect();
        assert!(missing.is_empty(), "{id} does not tell {missing:?}");
        assert!(compiler["exe"].as_str().unwrap().starts_with('/'), "{compiler}");
        assert!(compiler["version"].as_str().unwrap().len() > 3, "{compiler}");
        assert_eq!((&compiler["lang"], &compiler["supportsBinary"]), (&json!("c++"), &json!(false)));
        assert_eq!(compiler["supportsIntel"], json!(!name.starts_with("aarch64")), "{id}");
    }
    let names: Vec<Value> = daemon.page("/api/compilers/c++").await.json().as_array().unwrap().clone();
    let listed: Vec<&str> = names.iter().map(|compiler| compiler["name"].as_str().unwrap()).collect();
    assert!(listed.is_sorted_by_key(|name| name.to_lowercase()), "{listed:?}");
    assert!(names.iter().all(|compiler| compiler["lang"] == "c++" && compiler.get("exe").is_none()));
    daemon.stop().await;
}

#[tokio::test]
async fn the_other_lists_answer_as_they_do_elsewhere() {
    let daemon = Daemon::start(&[]).await;
    let languages = daemon.page("/api/languages").await.json();
    let of = |id: &str| languages.as_array().unwrap().iter().find(|language| language["id"] == *id).cloned();
    let cpp = of("c++").unwrap();
    assert_eq!((&cpp["name"], &cpp["monaco"]), (&json!("C++"), &json!("cppp")));
    assert!(cpp["extensions"].as_array().unwrap().contains(&json!(".cpp")), "{cpp}");
    assert!(of("c").is_some() && of("cmake").is_some() && of("rust").is_none(), "{languages}");
    assert_eq!(daemon.page("/api/libraries/c++").await.json(), json!([]));
    assert_eq!(daemon.page("/api/libraries/nosuch").await.json(), json!([]));
    assert!(daemon.page("/api/tools/c++").await.json().as_array().unwrap().is_empty());
    let version = daemon.page("/api/version").await;
    assert_eq!((version.status, version.text()), (200, env!("CARGO_PKG_VERSION")));
    let table = daemon.ask(get("/api/compilers/c++", "Accept: text/plain\r\n")).await;
    assert!(table.text().starts_with("Compiler Name") && table.text().contains(" | "), "{}", table.text());
    assert_eq!(daemon.page("/api/compilers/nosuch").await.json(), json!([]));
    assert_eq!(daemon.ask("OPTIONS /api/compilers HTTP/1.1\r\nHost: test\r\n\r\n").await.status, 200);
    daemon.stop().await;
}

#[tokio::test]
async fn our_environment_may_stand_before_a_path_and_no_other() {
    let obedient = Obedient::make();
    let daemon = obedient.serve(&["--http-environment", "prod"]).await;
    for path in ["/api/version", "/prod/api/version", "/prod/api/compilers/c++"] {
        assert_eq!(daemon.page(path).await.status, 200, "{path}");
    }
    let stranger = daemon.page("/staging/api/version").await;
    assert_eq!(stranger.status, 404);
    assert!(stranger.json()["error"].is_string(), "{}", stranger.text());
    let request = String::from_utf8(compile(ID, &sleep("0", 0))).unwrap();
    for (prefix, status) in [("/prod", 200), ("/staging", 404), ("", 200)] {
        let reply = daemon.ask(request.replacen("/api", &format!("{prefix}/api"), 1)).await;
        assert_eq!(reply.status, status, "{prefix}: {}", reply.text());
    }
    daemon.stop().await;
}

#[tokio::test]
async fn five_thousand_compilers_are_ready_soon_and_listed_whole() {
    let obedient = Obedient::make();
    let ids: Vec<String> = (0..5000).map(|number| format!("c{number}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    obedient.list(&ids);
    let daemon = obedient.serve(&[]).await;
    // Unoptimized and beside other tests; the benchmarks hold the release build to much less.
    assert!(daemon.birth < Duration::from_secs(3), "it took {:?}", daemon.birth);
    let list = daemon.page("/api/compilers/c++").await.json();
    assert_eq!(list.as_array().unwrap().len(), 5000);
    assert_eq!(daemon.metric("catalogue_compilers").await, 5000);
    let reply = daemon.compile("c4999", &sleep("0", 0)).await;
    assert_eq!((reply.status, reply.header("x-job-status")), (200, Some("ok")), "{}", reply.text());
    daemon.stop().await;
}

#[tokio::test]
async fn a_broken_entry_is_skipped_and_named() {
    let obedient = Obedient::make();
    let exe = "/usr/bin/true";
    let mut text = String::new();
    writeln!(text, "compilers=good:gone\nexe={exe}\ncompiler.gone.exe=/usr/bin/no-such-compiler\nnonsense")
        .unwrap();
    obedient.catalogue(&text);
    let daemon = obedient.serve(&[]).await;
    let list = daemon.page("/api/compilers?fields=id").await.json();
    assert_eq!(list, json!([{"id": "good"}]));
    let log = daemon.log();
    assert!(log.contains("c++.local.properties:3") && log.contains("c++.local.properties:4"), "{log}");
    assert!(log.contains("no-such-compiler"), "{log}");
    daemon.stop().await;
}

#[tokio::test]
async fn any_text_is_source_and_forms_are_for_browsers_without_scripts() {
    let daemon = Daemon::start(&[]).await;
    let id = daemon.compiler("g++", "g++").await;
    let source = "int a[3]; int f(){return a[0]&1;}";
    let form = "Content-Type: application/x-www-form-urlencoded\r\nAccept: application/json\r\n";
    let reply = daemon.ask(post(&format!("/api/compiler/{id}/compile"), form, source)).await;
    assert_eq!((reply.status, &reply.json()["code"]), (200, &json!(0)), "{}", reply.text());
    let id = id.replace('+', "%2B");
    let body = format!(
        "source=int+f%28%29%7Breturn+1%3B%7D&compiler={id}&lang=c%2B%2B&userArguments=-O1&demangle=true"
    );
    let reply = daemon.ask(post("/api/noscript/compile", form, &body)).await;
    assert_eq!((reply.status, &reply.json()["code"]), (200, &json!(0)), "{}", reply.text());
    daemon.stop().await;
}

#[tokio::test]
async fn who_accepts_anything_gets_what_the_operator_prefers() {
    let obedient = Obedient::make();
    for (flag, want) in
        [("--http-text-by-default=false", "application/json"), ("--http-text-by-default", "text/plain")]
    {
        let daemon = obedient.serve(&[flag]).await;
        let path = format!("/api/compiler/{ID}/compile");
        for accept in ["", "Accept: */*\r\n"] {
            let reply = daemon.ask(post(&path, accept, "int x;")).await;
            let content_type = reply.header("content-type").unwrap();
            assert!(content_type.starts_with(want), "{flag} {accept:?}: {content_type}");
        }
        let both = "Accept: application/json, text/plain, */*\r\n";
        let reply = daemon.ask(post(&path, both, "int x;")).await;
        assert_eq!(reply.json()["code"], 0);
        daemon.stop().await;
    }
}
