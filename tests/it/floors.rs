//! The floors: a module may name only modules on lower floors. This table is the diagram.
//!
//! The sources are read as text, so a path put together by a macro would pass. That is the price of simplicity.

use crate::tidy::{sources, without_tests};

/// Modules and their floors, a longer path winning over a shorter one. Within one entry everything may know
/// everything; entries on the same floor do not know each other.
const FLOORS: [(&str, u32); 29] = [
    ("domain", 0),
    // Names only, so that everybody can use the same.
    ("telemetry::fields", 0),
    ("text", 1),
    ("wire", 1),
    ("ports", 1),
    ("lifecycle", 1),
    ("notify", 1),
    ("telemetry", 1),
    ("trust", 1),
    ("failpoint", 1),
    ("sandbox", 2),
    ("local", 2),
    ("events", 2),
    ("aws", 2),
    ("publish", 2),
    ("compilers", 2),
    ("engine", 3),
    ("instance", 3),
    ("relay", 3),
    ("routing", 3),
    // What the doors share lies beneath them; they do not know each other.
    ("doors", 4),
    // Knows how routing spells a queue's address.
    ("operate", 4),
    ("doors::http", 5),
    ("doors::queue", 5),
    ("doors::admin", 5),
    ("config", 6),
    // The commands are told what to do by whoever puts the program together.
    ("cli", 7),
    ("app", 8),
    ("main", 9),
];

/// The entry a module path belongs to.
fn entry(path: &str) -> Option<(&'static str, u32)> {
    let within =
        |name: &str| path == name || path.strip_prefix(name).is_some_and(|rest| rest.starts_with("::"));
    FLOORS.into_iter().filter(|(name, _)| within(name)).max_by_key(|(name, _)| name.len())
}

/// The module path of a source file: `src/sandbox/jail/sys.rs` is `sandbox::jail::sys`.
fn module(path: &str) -> Option<String> {
    let path = path.strip_prefix("src/")?.strip_suffix(".rs")?;
    Some(path.strip_suffix("/mod").unwrap_or(path).replace('/', "::"))
}

/// Every path into the crate that a text names, with its line. Comments may speak of anything.
fn named(text: &str) -> Vec<(usize, String)> {
    let code: Vec<&str> = text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect();
    let code = code.join("\n");
    let mut found = Vec::new();
    for prefix in ["crate::", "compilation_worker::"] {
        for (at, _) in code.match_indices(prefix) {
            if !code[..at].ends_with(|letter: char| letter.is_alphanumeric() || letter == '_') {
                let mut paths = Vec::new();
                tree(&code[at + prefix.len()..], "", &mut paths);
                let line = code[..at].matches('\n').count() + 1;
                found.extend(paths.into_iter().map(|path| (line, path)));
            }
        }
    }
    found
}

/// Spells out `a::{b, c::d}` as `a::b` and `a::c::d`, and returns what follows it.
fn tree<'a>(text: &'a str, stem: &str, paths: &mut Vec<String>) -> &'a str {
    let mut rest = text.trim_start();
    if let Some(group) = rest.strip_prefix('{') {
        rest = group;
        loop {
            rest = tree(rest, stem, paths).trim_start();
            match rest.strip_prefix(',') {
                Some(more) if !more.trim_start().starts_with('}') => rest = more,
                _ => return rest.trim_start_matches([',', ' ', '\n']).strip_prefix('}').unwrap_or_default(),
            }
        }
    }
    let end = rest.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(rest.len());
    let path = if stem.is_empty() { rest[..end].to_owned() } else { format!("{stem}::{}", &rest[..end]) };
    if let Some(deeper) = rest[end..].strip_prefix("::") {
        return tree(deeper, &path, paths);
    }
    paths.extend(Some(path).filter(|path| !path.is_empty()));
    &rest[end..]
}

/// Everything in one file that looks up, or sideways.
fn breaches(path: &str, text: &str) -> Vec<String> {
    let Some(module) = module(path) else { return Vec::new() };
    if module == "lib" {
        return Vec::new();
    }
    let Some((home, floor)) = entry(&module) else {
        return vec![format!("{path}: {module} has no floor in the table")];
    };
    let mut found = Vec::new();
    for (line, target) in named(without_tests(text)) {
        match entry(&target) {
            None => found.push(format!("{path}:{line}: {target} has no floor in the table")),
            Some((other, _)) if other == home => {}
            Some((other, at)) if at >= floor => {
                found.push(format!(
                    "{path}:{line}: {home} (floor {floor}) must not know {other} (floor {at})"
                ));
            }
            Some(_) => {}
        }
    }
    found
}

#[test]
fn nobody_looks_up_or_sideways() {
    let found: Vec<String> = sources().iter().flat_map(|(path, text)| breaches(path, text)).collect();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn planted_breaches_are_found() {
    for (path, text, expected) in [
        (
            "src/local/queue.rs",
            "use crate::engine::Engine;",
            "src/local/queue.rs:1: local (floor 2) must not know engine (floor 3)",
        ),
        (
            "src/local/mod.rs",
            "\npub use crate::sandbox::Sandbox;",
            "src/local/mod.rs:2: local (floor 2) must not know sandbox",
        ),
        ("src/local/queue.rs", "use crate::local::lock;", ""),
        ("src/local/queue.rs", "use crate::ports::Ask;", ""),
        ("src/local/queue.rs", "// see crate::engine", ""),
        ("src/local/queue.rs", "use crate::{domain, doors::http};", "must not know doors::http"),
        (
            "src/doors/http/mod.rs",
            "use crate::doors::{http, admin};",
            "doors::http (floor 5) must not know doors::admin",
        ),
        ("src/doors/http/mod.rs", "use crate::doors::layers;", ""),
        ("src/doors/layers.rs", "use crate::doors::http;", "doors (floor 4) must not know doors::http"),
        ("src/doors/mod.rs", "use crate::engine::{Engine, plan};", ""),
        ("src/lifecycle.rs", "use crate::telemetry::fields;", ""),
        (
            "src/lifecycle.rs",
            "use crate::telemetry::{fields, metrics};",
            "lifecycle (floor 1) must not know telemetry",
        ),
        (
            "src/domain/ids.rs",
            "let x = crate::text::asm::process(y);",
            "domain (floor 0) must not know text (floor 1)",
        ),
        ("src/main.rs", "compilation_worker::cli::run(); my_crate::x();", ""),
        ("src/odd.rs", "", "odd has no floor"),
        ("src/app.rs", "use crate::odd;", "src/app.rs:1: odd has no floor"),
        ("src/local/a.rs", "x\n\n#[cfg(test)]\nmod tests {\n use crate::engine::Engine;\n}\n", ""),
        ("tests/it/a.rs", "use compilation_worker::engine::Engine;", ""),
    ] {
        let found = breaches(path, text).join("\n");
        assert_eq!(found.is_empty(), expected.is_empty(), "{path}: {text}: {found}");
        assert!(found.contains(expected), "{path}: {text}: {found}");
    }
}

#[test]
fn the_table_has_no_doubles() {
    for (index, (name, _)) in FLOORS.iter().enumerate() {
        assert!(FLOORS[index + 1..].iter().all(|(other, _)| other != name), "{name} is there twice");
    }
}
