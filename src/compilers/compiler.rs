//! One compiler as the catalogue knows it: what was configured or discovered, before anything is run.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use regex::Regex;

use crate::compilers::language::Language;
use crate::compilers::option_rules::OptionRules;
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
}

impl Compiler {
    /// What the executable is now. One stat; links are followed.
    pub fn toolchain(&self) -> io::Result<Toolchain> {
        let metadata = fs::metadata(&self.exe)?;
        let path = blake3::hash(self.exe.as_os_str().as_encoded_bytes());
        Ok(Toolchain {
            path: *path.as_bytes(),
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        })
    }
}

/// The identity of an executable: it changes when the compiler is replaced, and then so does what it says.
///
/// The path counts too, because `g++` and `gcc` may be one file that looks at what it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Toolchain {
    path: [u8; 32],
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl Toolchain {
    /// The identity as bytes, for a digest.
    pub fn to_bytes(self) -> [u8; 72] {
        let numbers = [self.device, self.inode, self.size].map(u64::to_le_bytes);
        let times = [self.modified.0, self.modified.1].map(i64::to_le_bytes);
        let mut bytes = [0; 72];
        let (path, rest) = bytes.split_at_mut(32);
        path.copy_from_slice(&self.path);
        for (place, number) in rest.chunks_exact_mut(8).zip(numbers.iter().chain(&times)) {
            place.copy_from_slice(number);
        }
        bytes
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::time::{Duration, SystemTime};

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
        }
    }

    #[test]
    fn a_replaced_executable_is_another_toolchain() {
        let directory = tempfile::tempdir().unwrap();
        let exe = directory.path().join("cc");
        fs::write(&exe, "one").unwrap();
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&exe, &link).unwrap();
        let of = |path: &PathBuf| compiler("c", path.to_str().unwrap(), Family::Gcc).toolchain();
        let first = of(&exe).unwrap();
        assert_eq!(of(&exe).unwrap(), first);
        assert_ne!(of(&link).unwrap(), first, "the name counts");
        assert_ne!(of(&link).unwrap().to_bytes(), first.to_bytes());

        let set_time = |time| fs::File::options().write(true).open(&exe).unwrap().set_modified(time);
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        set_time(time).unwrap();
        let dated = of(&exe).unwrap();
        fs::write(&exe, "longer").unwrap();
        set_time(time).unwrap();
        assert_ne!(of(&exe).unwrap(), dated, "the size counts");
        fs::write(&exe, "two").unwrap();
        set_time(time).unwrap();
        assert_eq!(of(&exe).unwrap(), dated);
        set_time(time + Duration::from_nanos(1)).unwrap();
        assert_ne!(of(&exe).unwrap(), dated, "the time counts");
        assert_ne!(of(&exe).unwrap().to_bytes(), dated.to_bytes());
        set_time(time).unwrap();
        let other = directory.path().join("other");
        fs::write(&other, "two").unwrap();
        fs::rename(&other, &exe).unwrap();
        set_time(time).unwrap();
        assert_ne!(of(&exe).unwrap(), dated, "the inode counts");

        fs::remove_file(&exe).unwrap();
        assert!(of(&exe).is_err());
    }
}
