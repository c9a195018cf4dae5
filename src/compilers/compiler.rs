//! One compiler as the catalogue knows it: what was configured or discovered, before anything is run.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use regex::Regex;
use tokio::time::Instant;

use crate::compilers::language::Language;
use crate::compilers::option_rules::OptionRules;
use crate::compilers::toolchain::{Sight, Toolchain};
use crate::domain::ids::{CompilerId, LanguageId};

/// Whose command line a compiler understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// GCC, and whatever imitates it: Compiler Explorer's default class.
    Gcc,
    /// Clang.
    Clang,
}

/// How a compiler is asked for its version.
#[derive(Debug, Clone)]
pub struct VersionQuery {
    /// The arguments.
    pub arguments: Vec<Arc<str>>,
    /// What the version looks like; `None` takes the first line.
    pub pattern: Option<Arc<Regex>>,
    /// The version as configured; the compiler is then not asked.
    pub explicit: Option<Arc<str>>,
}

/// A value that is only shown in listings.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(untagged)]
pub enum Shown {
    /// A text.
    Text(Arc<str>),
    /// A list of texts.
    List(Vec<Arc<str>>),
    /// A switch.
    Flag(bool),
    /// Names and values, as pairs.
    Pairs(Vec<(Arc<str>, Arc<str>)>),
    /// Names and values, as an object.
    Record(BTreeMap<&'static str, Arc<str>>),
}

/// One compiler.
#[derive(Debug)]
pub struct Compiler {
    /// Its name in URLs.
    pub id: CompilerId,
    /// The language it is listed under.
    pub language: LanguageId,
    /// What is known of that language.
    pub facts: &'static Language,
    /// Its name for people.
    pub name: Arc<str>,
    /// The executable, absolute.
    pub exe: PathBuf,
    /// Whose command line it understands.
    pub family: Family,
    /// What it produces unless told otherwise.
    pub instruction_set: Arc<str>,
    /// Options that every compile gets, before the user's, not yet split.
    pub options: Arc<str>,
    /// Other names it answers to.
    pub aliases: Vec<Arc<str>>,
    /// How to ask for its version.
    pub version: VersionQuery,
    /// The configured arguments for Intel syntax, not yet split; `None` leaves it to the probe.
    pub intel_asm: Option<Arc<str>>,
    /// Whether names in its listings are demangled.
    pub demangles: bool,
    /// Whether it needs to be told where the host's multiarch headers and libraries are.
    pub needs_multiarch: bool,
    /// Where its own shared libraries are.
    pub ld_path: Vec<Arc<str>>,
    /// Directories that go before `PATH`.
    pub extra_path: Vec<Arc<str>>,
    /// Which user arguments are allowed.
    pub option_rules: Arc<OptionRules>,
    /// What listings show besides, by the member's name.
    pub shown: Vec<(&'static str, Shown)>,
    pub(super) sight: Sight,
}

impl Compiler {
    /// What the executable is now; links are followed. Never waits for a file system longer than two seconds.
    pub async fn toolchain(&self) -> io::Result<Toolchain> {
        self.sight.toolchain(&self.exe).await
    }

    /// What the executable was at some moment after `since`; as patient as [`Self::toolchain`].
    pub async fn toolchain_since(&self, since: Instant) -> io::Result<Toolchain> {
        self.sight.toolchain_since(&self.exe, since).await
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A compiler with nothing configured.
    pub(crate) fn compiler(language: &str, exe: &str, family: Family) -> Compiler {
        let facts = Language::find(language).unwrap();
        Compiler {
            id: CompilerId::parse("x").unwrap(),
            language: LanguageId::parse(language).unwrap(),
            facts,
            name: Arc::from("X"),
            exe: PathBuf::from(exe),
            family,
            instruction_set: Arc::from("amd64"),
            options: Arc::from(""),
            aliases: Vec::new(),
            version: VersionQuery { arguments: vec![Arc::from("--version")], pattern: None, explicit: None },
            intel_asm: None,
            demangles: true,
            needs_multiarch: false,
            ld_path: Vec::new(),
            extra_path: Vec::new(),
            option_rules: Arc::default(),
            shown: Vec::new(),
            sight: Sight::default(),
        }
    }
}
