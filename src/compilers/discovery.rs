//! The compilers of a machine that nobody configured: what the directories of `PATH` hold under the names that
//! Debian, Ubuntu and the GNU project give to GCC and Clang. Nothing is run; a name and where it leads is enough.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::compilers::instruction_set;
use crate::compilers::properties::{Origin, Properties};

/// What a discovered compiler gives as the file it was defined in.
const NOWHERE: &str = "<discovery>";

/// The drivers that are looked for: name and language.
const DRIVERS: [(&str, &str); 4] = [("gcc", "c"), ("clang", "c"), ("g++", "c++"), ("clang++", "c++")];

/// A compiler driver's file name, taken apart: `aarch64-linux-gnu-g++-12`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct DriverName<'a> {
    whole: &'a str,
    /// `aarch64-linux-gnu`, or empty.
    triple: &'a str,
    tool: &'static str,
    language: &'static str,
    /// `12`, or empty.
    version: &'a str,
}

impl<'a> DriverName<'a> {
    /// Takes a file name apart; `None` if it is not one of a compiler driver. What stands before the driver must be a
    /// target, or wrappers such as `c99-gcc` would pass.
    fn parse(whole: &'a str) -> Option<Self> {
        let (stem, version) =
            whole.rsplit_once('-').filter(|(_, last)| is_version(last)).unwrap_or((whole, ""));
        DRIVERS.into_iter().find_map(|(tool, language)| {
            let triple = match stem.strip_suffix(tool)? {
                "" => "",
                before => {
                    before.strip_suffix('-').filter(|triple| instruction_set::of_target(triple).is_some())?
                }
            };
            Some(Self { whole, triple, tool, language, version })
        })
    }

    fn is_clang(&self) -> bool {
        self.tool.starts_with("clang")
    }

    /// Whether it compiles for the machine it runs on.
    fn is_native(&self, arch: &str) -> bool {
        self.triple.is_empty()
            || self
                .triple
                .strip_prefix(arch)
                .is_some_and(|rest| matches!(rest, "-linux-gnu" | "-pc-linux-gnu"))
    }
}

/// One compiler under all its names.
#[derive(Debug)]
struct Discovered<'a> {
    names: Vec<DriverName<'a>>,
    exe: &'a Path,
    real: PathBuf,
}

/// Finds the compilers in the directories of `search_path`, by language. `arch` is this machine's architecture as
/// target triples call it.
pub fn discover(search_path: &[PathBuf], arch: &str) -> BTreeMap<&'static str, Properties> {
    let files = scan(search_path);
    let origin = Origin { file: Arc::from(Path::new(NOWHERE)), line: 0 };
    let mut found = BTreeMap::<&str, (Vec<&str>, Properties)>::new();
    for compiler in gather(&files, arch) {
        let (ids, properties) = found.entry(compiler.names[0].language).or_default();
        ids.push(compiler.names[0].whole);
        for (key, value) in describe(&compiler, &files, arch) {
            properties.define(&format!("compiler.{}.{key}", compiler.names[0].whole), &value, &origin);
        }
    }
    let list = |(language, (ids, mut properties)): (_, (Vec<&str>, Properties))| {
        properties.define("compilers", &ids.join(":"), &origin);
        (language, properties)
    };
    found.into_iter().map(list).collect()
}

/// Every file name of interest and where it is; of two equal names the one in the earlier directory counts, as for
/// a shell.
fn scan(search_path: &[PathBuf]) -> BTreeMap<String, PathBuf> {
    let mut files = BTreeMap::new();
    for directory in search_path {
        let Ok(entries) = fs::read_dir(directory) else { continue };
        for entry in entries.flatten() {
            if let Ok(name) = entry.file_name().into_string()
                && ["gcc", "g++", "clang", "c++filt", "cxxfilt", "objdump"]
                    .iter()
                    .any(|tool| name.contains(tool))
            {
                files.entry(name).or_insert_with(|| entry.path());
            }
        }
    }
    files
}

/// Gathers the names that lead to one file, the best name first.
fn gather<'a>(files: &'a BTreeMap<String, PathBuf>, arch: &str) -> Vec<Discovered<'a>> {
    let mut gathered = BTreeMap::<(&str, PathBuf), Vec<DriverName<'a>>>::new();
    for (name, path) in files {
        let Some(driver) = DriverName::parse(name) else { continue };
        let Ok(real) = fs::canonicalize(path) else { continue };
        // A link to ccache or distcc says nothing about the compiler behind it.
        let is_driver = real.file_name().and_then(|real| DriverName::parse(real.to_str()?)).is_some();
        if is_driver && real.is_file() {
            gathered.entry((driver.language, real)).or_default().push(driver);
        }
    }
    let mut compilers = Vec::new();
    for ((_, real), mut names) in gathered {
        names.sort_by_key(|name| {
            let spelled_out = !name.triple.is_empty() && name.is_native(arch);
            (name.version.is_empty(), spelled_out, name.whole)
        });
        compilers.push(Discovered { exe: &files[names[0].whole], names, real });
    }
    compilers.sort_by_key(|compiler| compiler.names[0].whole);
    compilers
}

/// The properties of one compiler.
fn describe(
    compiler: &Discovered<'_>,
    files: &BTreeMap<String, PathBuf>,
    arch: &str,
) -> Vec<(&'static str, String)> {
    let name = compiler.names[0];
    let target = if name.triple.is_empty() { arch } else { name.triple };
    let instruction_set = instruction_set::of_target(target).unwrap_or(instruction_set::DEFAULT);
    let aliases: Vec<&str> = compiler.names[1..].iter().map(|name| name.whole).collect();
    let real = compiler.real.file_name().and_then(|real| DriverName::parse(real.to_str()?));
    let version = match name.version {
        "" => real.map_or("", |real| real.version),
        version => version,
    };
    let base_name = format!("{} {}", label(&name, instruction_set, arch), name.tool);
    let mut properties = vec![
        ("exe", compiler.exe.to_string_lossy().into_owned()),
        ("alias", aliases.join(":")),
        ("instructionSet", instruction_set.to_owned()),
        ("needsMulti", "false".to_owned()),
        ("demangler", demangler(compiler, files, arch)),
    ];
    if version.is_empty() {
        properties.push(("name", base_name));
    } else {
        properties.extend([
            ("baseName", base_name),
            ("semver", version.to_owned()),
            ("isSemVer", "true".to_owned()),
        ]);
    }
    if name.is_clang() {
        properties.push(("compilerType", "clang".to_owned()));
        if matches!(instruction_set, "amd64" | "x86") {
            properties.push(("intelAsm", "-mllvm --x86-asm-syntax=intel".to_owned()));
        }
    }
    if let Some((objdumper, kind)) = objdumper(&name, files, arch) {
        properties.extend([("objdumper", objdumper), ("objdumperType", kind.to_owned())]);
    }
    properties
}

/// How the target is called in a compiler's name. What is not a plain Linux target shows its triple.
fn label<'a>(name: &DriverName<'a>, instruction_set: &'a str, arch: &str) -> &'a str {
    match instruction_set {
        _ if !name.is_native(arch) && !name.triple.ends_with("-linux-gnu") => name.triple,
        "amd64" => "x86-64",
        "aarch64" => "AArch64",
        other => other,
    }
}

/// The demangler that belongs to a compiler. One is always named: if the machine has none, ours needs none.
fn demangler(compiler: &Discovered<'_>, files: &BTreeMap<String, PathBuf>, arch: &str) -> String {
    let name = compiler.names[0];
    let beside = compiler.real.with_file_name("llvm-cxxfilt");
    if name.is_clang() && beside.is_file() {
        return beside.to_string_lossy().into_owned();
    }
    let candidates = if name.is_clang() {
        vec![format!("llvm-cxxfilt-{}", name.version), "llvm-cxxfilt".to_owned(), "c++filt".to_owned()]
    } else if name.is_native(arch) {
        vec!["c++filt".to_owned()]
    } else {
        vec![format!("{}-c++filt", name.triple), "c++filt".to_owned()]
    };
    let found = candidates.iter().find_map(|candidate| files.get(candidate));
    found.map_or_else(|| "c++filt".to_owned(), |path| path.to_string_lossy().into_owned())
}

/// The disassembler for a compiler's objects, and its type.
fn objdumper(
    name: &DriverName<'_>,
    files: &BTreeMap<String, PathBuf>,
    arch: &str,
) -> Option<(String, &'static str)> {
    let gnu = if name.is_native(arch) { "objdump".to_owned() } else { format!("{}-objdump", name.triple) };
    let llvm = [format!("llvm-objdump-{}", name.version), "llvm-objdump".to_owned()];
    let found = |name: &String| files.get(name).map(|path| path.to_string_lossy().into_owned());
    let gnu = found(&gnu).map(|path| (path, "binutils"));
    gnu.or_else(|| llvm.iter().find_map(found).map(|path| (path, "llvm")))
}

fn is_version(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_digit())
        && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// Makes files (`name`) and links (`name -> target`) below `root`.
    fn make(root: &Path, files: &[&str]) {
        for file in files {
            let (name, target) = file.split_once(" -> ").map_or((*file, None), |(a, b)| (a, Some(b)));
            let path = root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            match target {
                Some(target) => symlink(target, path).unwrap(),
                None => fs::write(path, "").unwrap(),
            }
        }
    }

    /// `id = property, ...` of each compiler of `language`, sorted as listed.
    fn found(root: &Path, language: &str, property: &str) -> Vec<String> {
        let path = [root.join("usr/local/bin"), root.join("nowhere"), root.join("usr/bin"), root.join("bin")];
        let found = discover(&path, "x86_64");
        let Some(properties) = found.get(language) else { return Vec::new() };
        let ids = properties.find("compilers").unwrap().text.split(':');
        ids.map(|id| {
            let text = properties.find(&format!("compiler.{id}.{property}")).map(|found| found.text.as_str());
            let text = text.unwrap_or("-").replace(root.to_str().unwrap(), "");
            format!("{id} = {text}")
        })
        .collect()
    }

    fn debian(root: &Path) {
        make(
            root,
            &[
                "usr/bin/x86_64-linux-gnu-g++-12",
                "usr/bin/x86_64-linux-gnu-gcc-12",
                "usr/bin/x86_64-linux-gnu-g++-11",
                "usr/bin/g++-12 -> x86_64-linux-gnu-g++-12",
                "usr/bin/gcc-12 -> x86_64-linux-gnu-gcc-12",
                "usr/bin/g++-11 -> x86_64-linux-gnu-g++-11",
                "usr/bin/g++ -> g++-12",
                "usr/bin/gcc -> gcc-12",
                "usr/bin/x86_64-linux-gnu-g++ -> g++-12",
                "usr/bin/aarch64-linux-gnu-g++-12",
                "usr/bin/aarch64-linux-gnu-g++ -> aarch64-linux-gnu-g++-12",
                "usr/bin/i686-w64-mingw32-g++",
                "usr/lib/llvm-14/bin/clang",
                "usr/lib/llvm-14/bin/clang++ -> clang",
                "usr/lib/llvm-14/bin/llvm-cxxfilt",
                "usr/bin/clang-14 -> ../lib/llvm-14/bin/clang",
                "usr/bin/clang++-14 -> ../lib/llvm-14/bin/clang++",
                "usr/lib/llvm-16/bin/clang",
                "usr/bin/clang++-16 -> ../lib/llvm-16/bin/clang",
                "usr/bin/clang++ -> clang++-16",
                "usr/bin/c++filt",
                "usr/bin/aarch64-linux-gnu-c++filt",
                "usr/bin/llvm-cxxfilt-16",
                "usr/bin/objdump",
                "usr/bin/aarch64-linux-gnu-objdump",
                "usr/bin/llvm-objdump",
                // What is not a compiler.
                "usr/bin/gcc-ar-12",
                "usr/bin/x86_64-linux-gnu-gcc-nm",
                "usr/bin/clang-cpp-14",
                "usr/bin/clang-format",
                "usr/bin/c89-gcc",
                "usr/bin/c99-gcc",
                "usr/bin/g++-mapper-server",
                "usr/bin/gcc-12.2-extra",
                "usr/bin/gcc-99 -> nowhere",
                "usr/bin/ccache",
                "usr/local/bin/gcc-11 -> ../../bin/ccache",
                "usr/bin/gcc-13/file",
                "bin -> usr/bin",
            ],
        );
    }

    #[test]
    fn every_compiler_is_found_once_under_its_most_specific_name() {
        let root = tempfile::tempdir().unwrap();
        debian(root.path());
        assert_eq!(
            found(root.path(), "c++", "alias"),
            [
                "aarch64-linux-gnu-g++-12 = aarch64-linux-gnu-g++",
                "clang++-14 = ",
                "clang++-16 = clang++",
                "g++-11 = x86_64-linux-gnu-g++-11",
                "g++-12 = x86_64-linux-gnu-g++-12:g++:x86_64-linux-gnu-g++",
                "i686-w64-mingw32-g++ = ",
            ]
        );
        assert_eq!(found(root.path(), "c", "alias"), ["clang-14 = ", "gcc-12 = x86_64-linux-gnu-gcc-12:gcc"]);
        assert_eq!(found(root.path(), "c", "exe")[1], "gcc-12 = /usr/bin/gcc-12");
    }

    #[test]
    fn a_compiler_is_described_by_its_name() {
        let root = tempfile::tempdir().unwrap();
        debian(root.path());
        let column = |property| {
            let rows = found(root.path(), "c++", property);
            rows.iter().map(|row| row.split_once(" = ").unwrap().1.to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(column("instructionSet"), ["aarch64", "amd64", "amd64", "amd64", "amd64", "x86"]);
        assert_eq!(
            column("baseName"),
            ["AArch64 g++", "x86-64 clang++", "x86-64 clang++", "x86-64 g++", "x86-64 g++", "-"]
        );
        assert_eq!(column("name"), ["-", "-", "-", "-", "-", "i686-w64-mingw32 g++"]);
        assert_eq!(column("semver"), ["12", "14", "16", "11", "12", "-"]);
        assert_eq!(column("isSemVer"), ["true", "true", "true", "true", "true", "-"]);
        assert_eq!(column("compilerType"), ["-", "clang", "clang", "-", "-", "-"]);
        let intel = "-mllvm --x86-asm-syntax=intel";
        assert_eq!(column("intelAsm"), ["-", intel, intel, "-", "-", "-"]);
        assert_eq!(
            column("demangler"),
            [
                "/usr/bin/aarch64-linux-gnu-c++filt",
                "/usr/lib/llvm-14/bin/llvm-cxxfilt",
                "/usr/bin/llvm-cxxfilt-16",
                "/usr/bin/c++filt",
                "/usr/bin/c++filt",
                "/usr/bin/c++filt",
            ]
        );
        let native = "/usr/bin/objdump";
        assert_eq!(
            column("objdumper"),
            ["/usr/bin/aarch64-linux-gnu-objdump", native, native, native, native, "/usr/bin/llvm-objdump"]
        );
        assert_eq!(column("objdumperType")[4..], ["binutils", "llvm"]);
        assert_eq!(column("needsMulti")[0], "false");
    }

    #[test]
    fn an_earlier_directory_hides_the_names_it_has() {
        let root = tempfile::tempdir().unwrap();
        debian(root.path());
        make(root.path(), &["usr/local/bin/g++"]);
        assert_eq!(
            found(root.path(), "c++", "exe")[3..],
            [
                "g++ = /usr/local/bin/g++",
                "g++-11 = /usr/bin/g++-11",
                "g++-12 = /usr/bin/g++-12",
                "i686-w64-mingw32-g++ = /usr/bin/i686-w64-mingw32-g++",
            ]
        );
        assert_eq!(
            found(root.path(), "c++", "alias")[5],
            "g++-12 = x86_64-linux-gnu-g++-12:x86_64-linux-gnu-g++"
        );
    }

    #[test]
    fn the_version_may_stand_in_the_real_name_only() {
        let root = tempfile::tempdir().unwrap();
        make(root.path(), &["opt/bin/g++-13.2", "usr/bin/g++ -> ../../opt/bin/g++-13.2"]);
        assert_eq!(found(root.path(), "c++", "semver"), ["g++ = 13.2"]);
        assert_eq!(found(root.path(), "c++", "demangler"), ["g++ = c++filt"]);
        assert_eq!(found(root.path(), "c++", "objdumper"), ["g++ = -"]);
    }

    #[test]
    fn on_another_machine_other_compilers_are_native() {
        let root = tempfile::tempdir().unwrap();
        make(root.path(), &["aarch64-linux-gnu-g++-12", "g++-12 -> aarch64-linux-gnu-g++-12", "clang"]);
        let found = discover(&[root.path().to_owned()], "aarch64");
        let text = |language: &str, key| found[language].find(key).map(|property| property.text.as_str());
        assert_eq!(text("c++", "compilers"), Some("g++-12"));
        assert_eq!(text("c++", "compiler.g++-12.baseName"), Some("AArch64 g++"));
        assert_eq!(text("c", "compiler.clang.instructionSet"), Some("aarch64"));
        assert_eq!(text("c", "compiler.clang.intelAsm"), None);
    }

    #[test]
    fn a_bare_machine_has_none() {
        let root = tempfile::tempdir().unwrap();
        assert!(discover(&[root.path().to_owned()], "x86_64").is_empty());
    }

    #[test]
    fn a_driver_name_is_taken_apart() {
        let parts = |name| {
            DriverName::parse(name)
                .map(|driver| (driver.triple, driver.tool, driver.language, driver.version))
        };
        for (name, want) in [
            ("gcc", Some(("", "gcc", "c", ""))),
            ("g++-4.9", Some(("", "g++", "c++", "4.9"))),
            ("clang++-16", Some(("", "clang++", "c++", "16"))),
            ("clang", Some(("", "clang", "c", ""))),
            ("arm-none-eabi-gcc", Some(("arm-none-eabi", "gcc", "c", ""))),
            ("avr-g++-14.1.0", Some(("avr", "g++", "c++", "14.1.0"))),
            ("aarch64-linux-gnu-clang++", Some(("aarch64-linux-gnu", "clang++", "c++", ""))),
            ("x86_64gcc", None),
            ("-gcc", None),
            ("c99-gcc", None),
            ("afl-clang", None),
            ("gcc-", None),
            ("gcc-.5", None),
            ("gcc-12a", None),
            ("gcc-ar", None),
            ("12", None),
        ] {
            assert_eq!(parts(name), want, "{name}");
        }
    }

    #[test]
    fn native_is_what_this_machine_runs() {
        let native = |name| DriverName::parse(name).unwrap().is_native("x86_64");
        assert!(native("g++") && native("x86_64-linux-gnu-g++") && native("x86_64-pc-linux-gnu-g++"));
        assert!(!native("x86_64-w64-mingw32-g++") && !native("aarch64-linux-gnu-g++"));
        assert!(!native("x86_64-linux-gnux32-g++"));
    }
}
