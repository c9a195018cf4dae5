//! The names of all tests, read off the sources, so that a table cannot name one that is not there.

use std::collections::BTreeSet;

use crate::tidy::sources;

/// Every test's name, as the runner tells it; without those that macros make.
pub(super) fn tests() -> BTreeSet<String> {
    sources().iter().flat_map(|(path, text)| in_file(path, text)).collect()
}

/// Those of `named` that do not exist.
pub(super) fn missing<'a>(named: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let tests = tests();
    named.into_iter().filter(|name| !tests.contains(*name)).collect()
}

fn in_file(path: &str, text: &str) -> Vec<String> {
    let Some(module) = module(path) else { return Vec::new() };
    // What comes behind this line is in a module of its own.
    let own = text.find("\n#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    let marks = text.match_indices("#[test]").chain(text.match_indices("#[tokio::test"));
    let named = marks.filter_map(|(at, _)| {
        let (_, rest) = text[at..].split_once("fn ")?;
        let name = rest.split('(').next().unwrap_or_default();
        Some(if at > own { format!("{module}::tests::{name}") } else { format!("{module}::{name}") })
    });
    named.collect()
}

/// The module of a source file, as its tests are called: those of the black-box tests begin at their folder.
fn module(path: &str) -> Option<String> {
    let path = path.strip_prefix("src/").or_else(|| path.strip_prefix("tests/it/"))?;
    let path = path.strip_suffix(".rs")?;
    let path = path.strip_suffix("/mod").unwrap_or(path);
    Some(path.replace('/', "::"))
}

#[test]
fn tests_are_found_by_their_names() {
    let tests = tests();
    for name in [
        "interop::sources::tests_are_found_by_their_names",
        "queue::drains::an_idle_worker_ends_with_its_last_poll",
        "fleet::one_process_can_be_the_whole_fleet",
        "wire::relayed::tests::any_text_is_answered",
        "wire::envelope::tests::any_text_is_answered",
        "routing::tests::ten_thousand_callers_are_one_look",
    ] {
        assert!(tests.contains(name), "{name}");
    }
    assert!(tests.len() > 500, "{}", tests.len());
    assert_eq!(
        missing(["routing::tests::nothing_of_the_kind", "tidy::planted_untidiness_is_found"]),
        ["routing::tests::nothing_of_the_kind"]
    );
}
