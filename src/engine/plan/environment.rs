//! The compiler's environment: an allow-list, what the compiler needs to find its parts, what the user overrides.

use std::sync::Arc;

use crate::compilers::Compiler;
use crate::domain::request::{CompileRequest, Override};
use crate::engine::plan::PlanSettings;
use crate::sandbox::WORK_DIR;

const PATH: &str = "PATH";
const LIBRARY_PATH: &str = "LD_LIBRARY_PATH";
/// What the user may not set: code that is loaded into the compiler.
const FORBIDDEN: &str = "LD_PRELOAD";

/// Variables by name, each once, in the order they came.
#[derive(Debug, Default)]
struct Variables(Vec<(String, String)>);

impl Variables {
    fn set(&mut self, name: &str, value: String) {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => *known = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }

    /// The value of `name`; empty if it is not set.
    fn text(&self, name: &str) -> String {
        self.0.iter().find(|(known, _)| known == name).map_or_else(String::new, |(_, value)| value.clone())
    }
}

/// The whole environment; nothing of the daemon's own is in it but what `settings` lists.
pub fn assemble(
    request: &CompileRequest,
    compiler: &Compiler,
    settings: &PlanSettings,
) -> Vec<(String, String)> {
    let mut variables = Variables::default();
    for (name, value) in &settings.environment {
        variables.set(name, value.clone());
    }
    let path = join(&compiler.extra_path, &[Arc::from(variables.text(PATH))]);
    let library_path = join(&[Arc::from(variables.text(LIBRARY_PATH))], &compiler.ld_path);
    for (name, value) in [(PATH, path), (LIBRARY_PATH, library_path)] {
        if !value.is_empty() {
            variables.set(name, value);
        }
    }
    if let Some(multiarch) = settings.multiarch.as_deref().filter(|_| compiler.needs_multiarch) {
        variables.set("LIBRARY_PATH", format!("/usr/lib/{multiarch}"));
        for name in ["C_INCLUDE_PATH", "CPLUS_INCLUDE_PATH"] {
            variables.set(name, format!("/usr/include/{multiarch}"));
        }
    }
    variables.set("HOME", WORK_DIR.to_owned());
    for (name, value) in overridden(request) {
        let name = name.trim().to_uppercase();
        if is_allowed(&name) {
            variables.set(&name, value.clone());
        }
    }
    variables.0
}

/// The variables the user asks for, as they came.
pub fn overridden(request: &CompileRequest) -> impl Iterator<Item = &(String, String)> {
    let overrides = request.backend.overrides.iter();
    overrides.flat_map(|chosen| match chosen {
        Override::Environment(variables) => variables.as_slice(),
        Override::Value { .. } => &[],
    })
}

/// Two search paths, one after the other, without empty parts: those would mean the working directory.
fn join(first: &[Arc<str>], second: &[Arc<str>]) -> String {
    let parts = first.iter().chain(second).map(|part| &**part);
    parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join(":")
}

/// Capital letters and underscores, after the first also digits.
fn is_allowed(name: &str) -> bool {
    let is_first = |byte: u8| byte.is_ascii_uppercase() || byte == b'_';
    name != FORBIDDEN
        && name.bytes().next().is_some_and(is_first)
        && name.bytes().all(|byte| is_first(byte) || byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compilers::Family;
    use crate::compilers::compiler::tests::compiler;

    fn plain() -> Compiler {
        compiler("c++", "/usr/bin/g++", Family::Gcc)
    }

    fn with(variables: &[(&str, &str)]) -> CompileRequest {
        let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let mut request = CompileRequest::default();
        request.backend.overrides = vec![Override::Environment(variables.iter().map(pair).collect())];
        request
    }

    fn lines(request: &CompileRequest, compiler: &Compiler, settings: &PlanSettings) -> Vec<String> {
        let environment = assemble(request, compiler, settings);
        environment.into_iter().map(|(name, value)| format!("{name}={value}")).collect()
    }

    fn paths(paths: &[&str]) -> Vec<Arc<str>> {
        paths.iter().map(|path| Arc::from(*path)).collect()
    }

    #[test]
    fn only_the_allow_list_and_home_are_passed() {
        let settings = PlanSettings::default();
        let default = ["PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/app"];
        assert_eq!(lines(&CompileRequest::default(), &plain(), &settings), default);
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let environment = vec![pair("HOME", "/root"), pair("LANG", "C"), pair("PATH", ""), pair("LANG", "D")];
        let settings = PlanSettings { environment, ..settings };
        assert_eq!(lines(&CompileRequest::default(), &plain(), &settings), ["HOME=/app", "LANG=D", "PATH="]);
    }

    #[test]
    fn path_is_prefixed_by_extra_path_and_ld_library_path_is_followed_by_ld_path() {
        let mut gcc = plain();
        gcc.extra_path = paths(&["/e", "", "/f"]);
        gcc.ld_path = paths(&["/l", "/m"]);
        let mut settings = PlanSettings::default();
        let request = CompileRequest::default();
        assert_eq!(
            lines(&request, &gcc, &settings),
            ["PATH=/e:/f:/usr/local/bin:/usr/bin:/bin", "LD_LIBRARY_PATH=/l:/m", "HOME=/app"]
        );
        settings.environment = vec![("LD_LIBRARY_PATH".to_owned(), "/own".to_owned())];
        assert_eq!(
            lines(&request, &gcc, &settings),
            ["LD_LIBRARY_PATH=/own:/l:/m", "PATH=/e:/f", "HOME=/app"]
        );
    }

    #[test]
    fn needs_multi_names_the_hosts_headers_and_libraries() {
        let mut gcc = plain();
        let settings = PlanSettings { environment: vec![], multiarch: Some("x86_64-linux-gnu".to_owned()) };
        let request = CompileRequest::default();
        assert_eq!(lines(&request, &gcc, &settings), ["HOME=/app"]);
        gcc.needs_multiarch = true;
        assert_eq!(
            lines(&request, &gcc, &settings),
            [
                "LIBRARY_PATH=/usr/lib/x86_64-linux-gnu",
                "C_INCLUDE_PATH=/usr/include/x86_64-linux-gnu",
                "CPLUS_INCLUDE_PATH=/usr/include/x86_64-linux-gnu",
                "HOME=/app",
            ]
        );
        assert_eq!(lines(&request, &gcc, &PlanSettings { multiarch: None, ..settings }), ["HOME=/app"]);
    }

    #[test]
    fn override_names_are_trimmed_upper_cased_and_checked() {
        let settings = PlanSettings { environment: vec![], multiarch: None };
        for (name, passed) in [
            ("A", Some("A")),
            (" lang_2 ", Some("LANG_2")),
            ("_", Some("_")),
            ("_1", Some("_1")),
            ("A1_B", Some("A1_B")),
            ("LD_PRELOAD2", Some("LD_PRELOAD2")),
            ("LD_PRELOAD", None),
            (" ld_preload", None),
            ("1A", None),
            ("", None),
            (" ", None),
            ("A-B", None),
            ("A B", None),
            ("A=B", None),
            ("\u{e4}", None),
            ("A\0", None),
        ] {
            let want = passed.map(|name| format!("{name}=v"));
            let lines = lines(&with(&[(name, "v")]), &plain(), &settings);
            assert_eq!(lines[0], "HOME=/app");
            assert_eq!(lines.get(1), want.as_ref(), "{name:?}");
        }
    }

    #[test]
    fn an_override_replaces_what_is_there() {
        let lines =
            lines(&with(&[("path", "/x"), ("B", ""), ("B", "2")]), &plain(), &PlanSettings::default());
        assert_eq!(lines, ["PATH=/x", "HOME=/app", "B=2"]);
    }
}
