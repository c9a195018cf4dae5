//! Catalogues as operators write them, and what becomes of each word.

use super::*;
use crate::compilers::compiler::{Family, Shown};
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::Instant;

/// A directory with executables `cc` and `c++` in `bin`, and these property files.
fn machine(files: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let bin = directory.path().join("bin");
    fs::create_dir(&bin).unwrap();
    for name in ["cc", "c++", "aarch64-linux-gnu-cc"] {
        fs::write(bin.join(name), "").unwrap();
        fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o700)).unwrap();
    }
    fs::write(bin.join("data"), "").unwrap();
    for (name, contents) in files {
        let contents = contents.replace("$BIN", bin.to_str().unwrap());
        fs::write(directory.path().join(name), contents).unwrap();
    }
    directory
}

fn settings(directory: &Path) -> CatalogueSettings {
    CatalogueSettings {
        files: vec![directory.to_owned()],
        search_path: vec![directory.join("bin")],
        ..CatalogueSettings::default()
    }
}

fn load(files: &[(&str, &str)]) -> (Catalogue, Vec<String>, TempDir) {
    let directory = machine(files);
    let loaded = Catalogue::load(&settings(directory.path())).unwrap();
    let root = directory.path().to_str().unwrap();
    let problems = loaded.problems.iter().map(|problem| problem.to_string().replace(root, "")).collect();
    (loaded.catalogue, problems, directory)
}

fn one(properties: &str) -> (Arc<Compiler>, TempDir) {
    let (catalogue, problems, directory) = load(&[("c++.local.properties", properties)]);
    assert_eq!(problems, [""; 0]);
    (catalogue.compilers(None).next().map(Arc::clone).unwrap(), directory)
}

fn shown(compiler: &Compiler, name: &str) -> Option<Shown> {
    compiler.shown.iter().find(|(key, _)| *key == name).map(|(_, value)| value.clone())
}

fn text(text: &str) -> Shown {
    Shown::Text(Arc::from(text))
}

#[test]
fn a_bare_entry_takes_every_default() {
    let (compiler, directory) = one("compilers=cc");
    assert_eq!(compiler.exe, directory.path().join("bin/cc"));
    assert_eq!((&*compiler.name, compiler.id.as_str(), &*compiler.options), ("cc", "cc", ""));
    assert_eq!((compiler.family, &*compiler.instruction_set), (Family::Gcc, "amd64"));
    assert_eq!(*compiler.version.arguments, [Arc::from("--version")]);
    assert!(compiler.version.pattern.is_none() && compiler.version.explicit.is_none());
    assert!(compiler.intel_asm.is_none() && !compiler.demangles && compiler.needs_multiarch);
    let bin = directory.path().join("bin");
    let beside = ["lib", "lib32", "lib64"].map(|lib| Arc::from(format!("{}/../{lib}", bin.display())));
    assert_eq!(*compiler.ld_path, beside);
    assert_eq!((compiler.aliases.len(), compiler.extra_path.len()), (0, 0));
    for (key, want) in [
        ("group", ""),
        ("compilerType", ""),
        ("demanglerType", "default"),
        ("includeFlag", "-isystem"),
        ("linkFlag", "-l"),
        ("libpathFlag", "-L"),
        ("rpathFlag", "-Wl,-rpath,"),
        ("releaseTrack", "stable"),
        ("semver", ""),
    ] {
        assert_eq!(shown(&compiler, key), Some(text(want)), "{key}");
    }
    assert_eq!(shown(&compiler, "supportsLibraryCodeFilter"), Some(Shown::Flag(true)));
    assert_eq!(shown(&compiler, "hidden"), Some(Shown::Flag(false)));
    assert_eq!(shown(&compiler, "objdumper"), None);
    assert_eq!(shown(&compiler, "libsArr"), Some(Shown::List(vec![])));
}

#[test]
fn a_full_entry_keeps_what_it_says() {
    let (compiler, directory) = one("compilers=&gcc86\ngroup.gcc86.compilers=g1\n\
         group.gcc86.instructionSet=x86\ngroup.gcc86.baseName=x86 gcc\ngroup.gcc86.isSemVer=true\n\
         compiler.g1.exe=$BIN/c++\ncompiler.g1.semver=12.10\ncompiler.g1.alias=old:older\n\
         compiler.g1.compilerType=clang\ncompiler.g1.intelAsm=-mllvm --x86-asm-syntax=intel\n\
         compiler.g1.versionFlag=-x|--v\ncompiler.g1.versionRe=CLANG .*\ncompiler.g1.explicitVersion=9\n\
         baseOptions=-a\noptions=-b \"c d\"\ndemangler=/d\ndemanglerArgs=-n|-x\nneedsMulti=false\n\
         ldPath=${exePath}/l|/m\nextraPath=/e:${exePath}\nincludePath=${exePath}/i\nisNightly=yes\n\
         supportsLibraries=fmt:boost\nlibPath=/a:/b\nhidden=true");
    let bin = directory.path().join("bin");
    let bin = bin.to_str().unwrap();
    assert_eq!((&*compiler.name, &*compiler.options), ("x86 gcc 12.10", "-a -b \"c d\""));
    assert_eq!((compiler.family, &*compiler.instruction_set), (Family::Clang, "x86"));
    assert_eq!(compiler.aliases, ["old", "older"].map(Arc::from));
    assert_eq!(*compiler.version.arguments, ["-x", "--v"].map(Arc::from));
    assert!(compiler.version.pattern.as_ref().unwrap().is_match("Debian clang 14"));
    assert_eq!(compiler.version.explicit.as_deref(), Some("9"));
    assert_eq!(compiler.intel_asm.as_deref(), Some("-mllvm --x86-asm-syntax=intel"));
    assert!(compiler.demangles && !compiler.needs_multiarch);
    assert_eq!(compiler.ld_path, [format!("{bin}/l"), "/m".to_owned()].map(Arc::from));
    assert_eq!(compiler.extra_path, ["/e", bin].map(Arc::from));
    assert_eq!(shown(&compiler, "group"), Some(text("gcc86")));
    assert_eq!(shown(&compiler, "includePath"), Some(text(&format!("{bin}/i"))));
    assert_eq!(shown(&compiler, "releaseTrack"), Some(text("nightly")));
    let list = |parts: [&str; 2]| Some(Shown::List(parts.map(Arc::from).to_vec()));
    assert_eq!(shown(&compiler, "demanglerArgs"), list(["-n", "-x"]));
    assert_eq!(shown(&compiler, "libsArr"), list(["fmt", "boost"]));
    assert_eq!(shown(&compiler, "libPath"), list(["/a", "/b"]));
    assert_eq!(shown(&compiler, "hidden"), Some(Shown::Flag(true)));
}

#[test]
fn a_compiler_for_this_machine_is_the_first_choice() {
    let (native, foreign) =
        if std::env::consts::ARCH == "aarch64" { ("aarch64", "amd64") } else { ("amd64", "aarch64") };
    let chosen = |properties: &str| {
        let (catalogue, problems, _directory) = load(&[("c++.local.properties", properties)]);
        assert_eq!(problems, [""; 0]);
        catalogue.languages().next().unwrap().default_compiler.unwrap().to_owned()
    };
    let both = "compilers=a:b\nexe=cc\ncompiler.a.name=a\ncompiler.b.name=b\n";
    let kind = |id, set| format!("compiler.{id}.instructionSet={set}\n");
    assert_eq!(chosen(&(both.to_owned() + &kind("a", foreign) + &kind("b", native))), "b");
    assert_eq!(chosen(&(both.to_owned() + &kind("a", foreign) + &kind("b", foreign))), "a");
}

#[test]
fn a_name_is_configured_or_numbered_or_the_identifier() {
    for (properties, want) in [
        ("compiler.cc.name=N\nbaseName=B\nisSemVer=true\nsemver=1", "N"),
        ("baseName=B\nisSemVer=true\nsemver=1", "B 1"),
        ("baseName=B\nsemver=1", "cc"),
        ("isSemVer=true\nsemver=1", "cc"),
    ] {
        let (compiler, _directory) = one(&format!("compilers=cc\n{properties}"));
        assert_eq!(&*compiler.name, want, "{properties}");
    }
}

#[test]
fn the_instruction_set_is_configured_or_inferred_from_the_path() {
    let (compiler, _directory) = one("compilers=aarch64-linux-gnu-cc");
    assert_eq!(&*compiler.instruction_set, "aarch64");
    let (compiler, _directory) = one("compilers=aarch64-linux-gnu-cc\ninstructionSet=arm32");
    assert_eq!(&*compiler.instruction_set, "arm32");
}

#[test]
fn a_language_key_falls_back_to_compiler_explorer() {
    let (catalogue, problems, _directory) = load(&[
        ("compiler-explorer.local.properties", "options=-all\nsemver=7\noptionsForbiddenRe=^-bad\n"),
        ("c.local.properties", "compilers=cc\n"),
        ("c++.local.properties", "compilers=c++\noptions=-own\n"),
    ]);
    assert_eq!(problems, [""; 0]);
    let options = |id| catalogue.find(None, id).unwrap().options.to_string();
    assert_eq!((options("cc"), options("c++")), ("-all".to_owned(), "-own".to_owned()));
    assert_eq!(shown(&catalogue.find(None, "c++").unwrap(), "semver"), Some(text("7")));
    let rules = &catalogue.find(None, "cc").unwrap().option_rules;
    assert_eq!(rules.refused(&["-bad".to_owned(), "-x-bad".to_owned()]), ["-bad"]);
}

#[test]
fn broken_entries_are_reported_by_file_and_line_and_skipped() {
    let (catalogue, problems, _directory) = load(&[
        (
            "c++.local.properties",
            "compilers=cc:gone:dir:data:rel:none:iset:kind:re:far@80/x:&g\n\
             compiler.gone.exe=/nowhere/g++\n\
             compiler.dir.exe=/tmp\n\
             compiler.data.exe=$BIN/data\n\
             compiler.rel.exe=bin/cc\n\
             exe=cc\n\
             compiler.iset.instructionSet=x86_64\n\
             compiler.kind.compilerType=nvcc\n\
             compiler.re.versionRe=(\n\
             compiler.none.exe=missing\n\
             compiler.cc.releaseTrack=weekly\n\
             compiler.cc.hidden=perhaps\n\
             what is this\n",
        ),
        ("rust.local.properties", "x=1\ncompilers=r1:r2\n"),
        ("ada.local.properties", "compilers=\n"),
        ("execution.local.properties", "sandboxType=none\n"),
    ]);
    assert_eq!(catalogue.compilers(None).map(|compiler| compiler.id.as_str()).collect::<Vec<_>>(), ["cc"]);
    let tail: Vec<&str> = problems
        .iter()
        .map(|problem| problem.strip_prefix("/c++.local.properties:").unwrap_or(problem))
        .collect();
    assert_eq!(
        tail,
        [
            "13: `what is this` has no `=`; write `key=value`",
            "/rust.local.properties:2: the language `rust` is not supported; its compilers are left out",
            "1: the remote compiler `far@80/x` is not supported; remove it from the list",
            "1: there is no group `g`; define `group.g.compilers` or remove `&g`",
            "12: `hidden=perhaps` is no switch; write `true` or `false`",
            "11: `releaseTrack=weekly` is unknown; write one of stable, nightly, prerelease, experimental",
            "2: the compiler `gone` has `exe=/nowhere/g++`, which is not an executable file; install it or correct `exe`",
            "3: the compiler `dir` has `exe=/tmp`, which is not an executable file; install it or correct `exe`",
            "4: the compiler `data` has `exe=/bin/data`, which is not an executable file; install it or correct `exe`",
            "5: the compiler `rel` has `exe=bin/cc`, which is neither absolute nor a bare name; write its absolute path",
            "10: the compiler `none` has `exe=missing`, which is in no directory of PATH; install it or write its absolute path",
            "7: the compiler `iset` has `instructionSet=x86_64`, which is unknown; write one such as `amd64` or `aarch64`",
            "8: the compiler `kind` has `compilerType=nvcc`, which is not supported; only GCC (empty) and `clang` are",
            "9: the compiler `re` has `versionRe=(`, which is not an expression we can search for; rewrite it without lookaround and backreferences",
        ]
    );
}

#[test]
fn an_executable_outside_what_the_jail_reads_is_left_out() {
    let directory = machine(&[("c.local.properties", "compilers=cc")]);
    let mut settings = settings(directory.path());
    settings.readable = vec![PathBuf::from("/usr"), directory.path().join("bin")];
    assert_eq!(Catalogue::load(&settings).unwrap().catalogue.len(), 1);
    settings.readable.pop();
    let loaded = Catalogue::load(&settings).unwrap();
    assert!(loaded.catalogue.is_empty());
    assert!(loaded.problems[0].message.contains("which the jail cannot read; add its directory"));
}

#[test]
fn a_compiler_is_found_by_language_then_anywhere() {
    let (catalogue, problems, _directory) = load(&[
        (
            "c.local.properties",
            "compilers=a:b\nexe=cc\ncompiler.a.name=ca\ncompiler.a.alias=z:b\ncompiler.b.alias=z",
        ),
        ("c++.local.properties", "compilers=a:d\nexe=cc\ncompiler.a.name=cxxa\ncompiler.d.alias=b:only"),
    ]);
    assert_eq!(problems, [""; 0]);
    let find = |language: &str, id| {
        let language = LanguageId::parse(language).ok();
        let found = catalogue.find(language.as_ref(), id);
        found.map(|compiler| format!("{} {}", compiler.language, compiler.id))
    };
    for (language, id, want) in [
        ("c", "a", Some("c a")),
        ("c++", "a", Some("c++ a")),
        ("", "a", Some("c a")),
        ("fortran", "a", Some("c a")),
        ("c", "b", Some("c b")),
        ("c", "z", Some("c a")),
        ("c++", "b", Some("c++ d")),
        ("", "b", Some("c b")),
        ("c", "d", Some("c++ d")),
        ("c", "only", Some("c++ d")),
        ("c++", "z", Some("c a")),
        ("c", "nope", None),
        ("c", "", None),
    ] {
        assert_eq!(find(language, id).as_deref(), want, "{language} {id}");
    }
}

#[test]
fn listings_are_sorted_by_name() {
    let (catalogue, _, _directory) = load(&[
        (
            "c.local.properties",
            "compilers=a:b:c\nexe=cc\ncompiler.a.name=y\ncompiler.b.name=X\ncompiler.c.name=x",
        ),
        ("c++.local.properties", "compilers=e:d\nexe=cc\nname=x\ndefaultCompiler=e\n"),
    ]);
    let ids = |language| catalogue.compilers(language).map(|found| found.id.as_str()).collect::<String>();
    assert_eq!((ids(None), ids(Some("c")), ids(Some("rust"))), ("bcdea".into(), "bca".into(), String::new()));
    let languages: Vec<_> =
        catalogue.languages().map(|listed| (listed.language.id, listed.default_compiler.unwrap())).collect();
    assert_eq!(languages, [("c", "b"), ("c++", "e")]);
    assert_eq!(catalogue.len(), 5);
}

#[test]
fn only_languages_with_a_compiler_are_listed_and_the_default_exists() {
    let (catalogue, _, _directory) =
        load(&[("c++.local.properties", "compilers=cc\ndefaultCompiler=gone\n")]);
    let languages: Vec<_> =
        catalogue.languages().map(|listed| (listed.language.id, listed.default_compiler.unwrap())).collect();
    assert_eq!(languages, [("c++", "cc")]);
}

#[test]
fn what_is_configured_goes_before_what_is_discovered() {
    let directory = machine(&[("c++.local.properties", "compilers=g++-7\nexe=c++\noptions=-mine")]);
    let bin = directory.path().join("bin");
    for name in ["g++-7", "gcc-7"] {
        fs::copy(bin.join("cc"), bin.join(name)).unwrap();
    }
    std::os::unix::fs::symlink("g++-7", bin.join("g++")).unwrap();
    let mut settings = settings(directory.path());
    settings.discover = true;
    let loaded = Catalogue::load(&settings).unwrap();
    assert_eq!(loaded.problems, []);
    let ids = loaded.catalogue.compilers(None).map(|compiler| compiler.id.as_str()).collect::<Vec<_>>();
    assert_eq!(ids, ["g++-7", "gcc-7"]);
    assert_eq!(&*loaded.catalogue.find(None, "g++-7").unwrap().options, "-mine");
    assert!(loaded.catalogue.find(None, "g++").is_none());

    settings.files.clear();
    let loaded = Catalogue::load(&settings).unwrap();
    let found = loaded.catalogue.find(None, "g++").unwrap();
    assert_eq!((found.exe.clone(), found.demangles), (bin.join("g++-7"), true));
    settings.discover = false;
    assert!(Catalogue::load(&settings).unwrap().catalogue.is_empty());
}

#[test]
fn a_missing_path_fails_the_load() {
    let settings =
        CatalogueSettings { files: vec![PathBuf::from("/nowhere/at/all")], ..CatalogueSettings::default() };
    assert!(matches!(Catalogue::load(&settings), Err(LoadError::Path { .. })));
}

/// A file of so many groups of a hundred compilers, and how long it takes to load.
fn load_of(groups: usize) -> (Loaded, Duration) {
    let mut text = "supportsBinary=true\noptions=-O0\nneedsMulti=false\ncompilers=".to_owned();
    text.push_str(&(0..groups).map(|group| format!("&g{group}")).collect::<Vec<_>>().join(":"));
    for group in 0..groups {
        let ids = (0..100).map(|index| format!("c{group}x{index}")).collect::<Vec<_>>().join(":");
        write!(text, "\ngroup.g{group}.compilers={ids}\ngroup.g{group}.isSemVer=true\n").unwrap();
        write!(text, "group.g{group}.baseName=x86-64 gcc {group}\ngroup.g{group}.demangler=/d\n").unwrap();
        for index in 0..100 {
            let key = format!("compiler.c{group}x{index}");
            writeln!(text, "{key}.exe=$BIN/cc\n{key}.semver={index}.1\n{key}.alias=o{group}x{index}")
                .unwrap();
        }
    }
    let directory = machine(&[("c++.local.properties", &text)]);
    let start = Instant::now();
    let loaded = Catalogue::load(&settings(directory.path())).unwrap();
    (loaded, start.elapsed())
}

#[test]
fn five_thousand_compilers_take_no_longer_each_than_five_hundred() {
    let few = (0..3).map(|_| load_of(5).1).min().unwrap();
    let (loaded, many) = load_of(50);
    assert_eq!(loaded.problems, []);
    assert_eq!(loaded.catalogue.len(), 5_000);
    assert!(loaded.catalogue.find(None, "o49x99").is_some());
    // Ten times as many; what grew with the square of them would take a hundred times as long.
    assert!(many < 50 * few, "{many:?} for ten times what takes {few:?}");
}
