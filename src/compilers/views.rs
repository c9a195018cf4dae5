//! The listings that clients and remote front ends read: compilers and languages, as JSON and as text tables.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::ser::{Serialize, SerializeMap as _, Serializer};

use crate::compilers::capabilities::{Capabilities, PossibleOverride};
use crate::compilers::catalogue::{Catalogue, Listed};
use crate::compilers::compiler::{Compiler, Shown};
use crate::compilers::language::Language;

/// The members a compiler shows when none are asked for.
const COMPILER_FIELDS: [&str; 8] =
    ["id", "name", "lang", "compilerType", "semver", "extensions", "monaco", "instructionSet"];
/// The members a language shows when none are asked for.
const LANGUAGE_FIELDS: [&str; 4] = ["id", "name", "extensions", "monaco"];

/// What no compiler does here yet, whatever its properties say. Clients then do not ask for it.
const UNSUPPORTED: [&str; 26] = [
    "supportsBinary",
    "supportsBinaryObject",
    "supportsExecute",
    "supportsVerboseDemangling",
    "supportsDeviceAsmView",
    "supportsGccDump",
    "supportsFiltersInBinary",
    "supportsOptOutput",
    "supportsStackUsageOutput",
    "supportsPpView",
    "supportsAstView",
    "supportsIrView",
    "supportsIrViewOptToggleOption",
    "supportsClangirView",
    "supportsRustMirView",
    "supportsRustMacroExpView",
    "supportsRustHirView",
    "supportsHaskellCoreView",
    "supportsHaskellStgView",
    "supportsHaskellCmmView",
    "supportsLeanCView",
    "supportsClojureMacroExpView",
    "supportsYulView",
    "supportsCfg",
    "supportsGnatDebugViews",
    "removeEmptyGccDump",
];

/// Which members a listing shows (the `fields` parameter).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fields {
    /// None were named.
    Default,
    /// `all`.
    All,
    /// These, as far as they exist.
    Named(BTreeSet<String>),
}

impl Fields {
    /// Reads the parameter as it stands in the query.
    pub fn parse(fields: Option<&str>) -> Self {
        match fields {
            None | Some("") => Self::Default,
            Some("all") => Self::All,
            Some(names) => Self::Named(names.split(',').map(|name| name.trim().to_owned()).collect()),
        }
    }

    fn shows(&self, name: &str, defaults: &[&str]) -> bool {
        match self {
            Self::Default => defaults.contains(&name),
            Self::All => true,
            Self::Named(names) => names.contains(name),
        }
    }
}

/// The value of a listed member.
#[derive(Debug, serde::Serialize)]
#[serde(untagged)]
enum Member<'a> {
    Nothing,
    Flag(bool),
    Text(&'a str),
    Owned(String),
    Texts(&'a [&'a str]),
    Shared(&'a [Arc<str>]),
    Shown(&'a Shown),
    Overrides(&'a [PossibleOverride]),
}

/// One object of a listing, cut down to the members asked for.
struct Selection<'a> {
    members: Vec<(&'static str, Member<'a>)>,
    fields: &'a Fields,
    defaults: &'a [&'a str],
}

impl Serialize for Selection<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, member) in &self.members {
            if self.fields.shows(name, self.defaults) {
                map.serialize_entry(name, member)?;
            }
        }
        map.end()
    }
}

/// The compilers of `language`, or all, as a JSON array. `known` tells what a compiler has been found to do; of one
/// that was not asked yet, what its kind is expected to do is shown.
pub fn compilers(
    catalogue: &Catalogue,
    language: Option<&str>,
    fields: &Fields,
    known: impl Fn(&Arc<Compiler>) -> Option<Arc<Capabilities>>,
) -> Result<Vec<u8>, serde_json::Error> {
    let mut json = vec![b'['];
    for compiler in catalogue.compilers(language) {
        separate(&mut json);
        let capabilities = known(compiler).unwrap_or_else(|| Arc::new(Capabilities::expected(compiler)));
        let members = compiler_members(compiler, &capabilities);
        serde_json::to_writer(&mut json, &Selection { members, fields, defaults: &COMPILER_FIELDS })?;
    }
    json.push(b']');
    Ok(json)
}

/// The languages that have compilers, and the manifests, as a JSON array.
pub fn languages(catalogue: &Catalogue, fields: &Fields) -> Result<Vec<u8>, serde_json::Error> {
    let mut json = vec![b'['];
    for listed in listed_languages(catalogue) {
        separate(&mut json);
        let members = language_members(&listed);
        serde_json::to_writer(&mut json, &Selection { members, fields, defaults: &LANGUAGE_FIELDS })?;
    }
    json.push(b']');
    Ok(json)
}

/// The compilers of `language`, or all, as a table.
pub fn compilers_text(catalogue: &Catalogue, language: Option<&str>) -> String {
    let rows = catalogue.compilers(language).map(|compiler| (compiler.id.as_str(), &*compiler.name));
    table("Compiler Name", &rows.collect::<Vec<_>>())
}

/// The languages as a table.
pub fn languages_text(catalogue: &Catalogue) -> String {
    let rows = listed_languages(catalogue).map(|listed| (listed.language.id, listed.language.name));
    table("Id", &rows.collect::<Vec<_>>())
}

fn separate(json: &mut Vec<u8>) {
    if json.len() > 1 {
        json.push(b',');
    }
}

/// Two columns; the first is as wide as the longest identifier.
fn table(heading: &str, rows: &[(&str, &str)]) -> String {
    let width = rows.iter().map(|(id, _)| id.chars().count()).max().unwrap_or(0);
    let mut text = format!("{heading:<width$} | Name\n");
    let rows: Vec<String> = rows.iter().map(|(id, name)| format!("{id:<width$} | {name}")).collect();
    text.push_str(&rows.join("\n"));
    text
}

fn listed_languages(catalogue: &Catalogue) -> impl Iterator<Item = Listed<'_>> {
    let manifests = const { &Language::ALL }.iter().filter(|language| language.is_manifest);
    catalogue.languages().chain(manifests.map(|language| Listed { language, default_compiler: None }))
}

fn language_members(listed: &Listed<'_>) -> Vec<(&'static str, Member<'static>)> {
    let language = listed.language;
    let optional = |text: Option<&'static str>| text.map_or(Member::Nothing, Member::Text);
    let mut members = vec![
        ("id", Member::Text(language.id)),
        ("name", Member::Text(language.name)),
        ("extensions", Member::Texts(language.extensions)),
        ("monaco", Member::Text(language.monaco)),
        ("alias", Member::Texts(language.aliases)),
        ("formatter", optional(language.formatter)),
        ("supportsExecute", Member::Flag(false)),
        ("logoFilename", optional(language.logo)),
        ("logoFilenameDark", Member::Nothing),
        ("example", Member::Text(language.example)),
        ("previewFilter", Member::Nothing),
        ("monacoDisassembly", Member::Nothing),
        ("digitSeparator", optional(language.digit_separator)),
    ];
    if let Some(compiler) = listed.default_compiler {
        members.push(("defaultCompiler", Member::Owned(compiler.to_owned())));
    }
    members.push(("defaultLibs", Member::Text("")));
    members
}

fn compiler_members<'a>(
    compiler: &'a Compiler,
    capabilities: &'a Capabilities,
) -> Vec<(&'static str, Member<'a>)> {
    let mut members = vec![
        ("id", Member::Text(compiler.id.as_str())),
        ("exe", Member::Owned(compiler.exe.to_string_lossy().into_owned())),
        ("name", Member::Text(&compiler.name)),
        ("lang", Member::Text(compiler.language.as_str())),
        ("extensions", Member::Texts(compiler.facts.extensions)),
        ("monaco", Member::Text(compiler.facts.monaco)),
        ("alias", Member::Shared(&compiler.aliases)),
        ("options", Member::Owned(options(compiler, capabilities))),
        ("versionFlag", Member::Shared(&compiler.version.arguments)),
        ("intelAsm", Member::Text(&capabilities.intel_asm)),
        ("instructionSet", Member::Text(&compiler.instruction_set)),
        ("needsMulti", Member::Flag(compiler.needs_multiarch)),
        ("supportsDemangle", Member::Flag(compiler.demangles)),
        ("supportsIntel", Member::Flag(!capabilities.intel_asm.is_empty())),
        ("supportsVerboseAsm", Member::Flag(capabilities.verbose_asm)),
        ("supportsMarch", Member::Flag(capabilities.march)),
        ("supportsTarget", Member::Flag(capabilities.target)),
        ("supportsTargetIs", Member::Flag(capabilities.target_is)),
        ("supportsHyphenTarget", Member::Flag(capabilities.hyphen_target)),
        ("ldPath", Member::Shared(&compiler.ld_path)),
        ("extraPath", Member::Shared(&compiler.extra_path)),
        ("tools", Member::Texts(&[])),
        ("possibleOverrides", Member::Overrides(&capabilities.overrides)),
        ("possibleRuntimeTools", Member::Texts(&[])),
        ("disabledFilters", Member::Texts(&[])),
    ];
    let version = [("version", &capabilities.version), ("fullVersion", &capabilities.full_version)];
    members.extend(
        version.into_iter().filter_map(|(name, version)| Some((name, Member::Text(version.as_deref()?)))),
    );
    members.extend(UNSUPPORTED.map(|name| (name, Member::Flag(false))));
    members.extend(compiler.shown.iter().map(|(name, shown)| (*name, Member::Shown(shown))));
    members
}

/// The options as a remote sees them: the configured ones, and those the probe appended.
fn options(compiler: &Compiler, capabilities: &Capabilities) -> String {
    let configured = Some(&*compiler.options).filter(|options| !options.is_empty());
    let all: Vec<&str> = configured.into_iter().chain(capabilities.diagnostics.iter().copied()).collect();
    all.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compilers::catalogue::CatalogueSettings;
    use serde_json::{Value, json};
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    /// What a remote host must tell of a compiler (contract: remote compilers), where it applies to all of ours.
    const REMOTE: &str = "id exe name baseName alias options versionFlag compilerType compilerCategories \
        debugPatched demanglerType demanglerArgs objdumperArgs intelAsm supportsAsmDocs instructionSet needsMulti \
        supportsDeviceAsmView supportsDemangle supportsVerboseDemangling supportsBinary supportsBinaryObject \
        supportsIntel emulated interpreted supportsExecute supportsGccDump supportsFiltersInBinary \
        supportsOptOutput supportsVerboseAsm supportsStackUsageOutput supportsPpView supportsAstView \
        supportsIrView supportsIrViewOptToggleOption supportsClangirView supportsRustMirView \
        supportsRustMacroExpView supportsRustHirView supportsHaskellCoreView supportsHaskellStgView \
        supportsHaskellCmmView supportsLeanCView supportsClojureMacroExpView supportsYulView supportsCfg \
        supportsGnatDebugViews supportsLibraryCodeFilter supportsMarch supportsTarget supportsTargetIs \
        supportsHyphenTarget postProcess lang group groupName includeFlag linkFlag rpathFlag libpathFlag libPath \
        ldPath extraPath envVars isSemVer semver isNightly releaseTrack libsArr tools unwiseOptions hidden \
        possibleOverrides possibleRuntimeTools disabledFilters removeEmptyGccDump extensions monaco";

    fn catalogue() -> Catalogue {
        let directory = tempfile::tempdir().unwrap();
        let exe = directory.path().join("cc");
        fs::write(&exe, "").unwrap();
        fs::set_permissions(&exe, fs::Permissions::from_mode(0o700)).unwrap();
        let file = directory.path().join("c++.properties");
        let text = format!(
            "compilers=g132:a-compiler-long:k\nexe={}\ncompiler.g132.name=x86-64 gcc 13.2\n\
             compiler.g132.semver=13.2\ncompiler.a-compiler-long.name=other\ncompiler.k.compilerType=clang\n\
             compiler.k.options=-O1\ncompiler.k.notification=old\ncompiler.k.envVars=A=b:no:C=d=e\n\
             compiler.k.licenseName=MIT\ncompiler.k.demangler=/d\nsupportsBinary=true\nsupportsExecute=true\n\
             compiler.k.instructionSet=aarch64\n",
            exe.display()
        );
        fs::write(&file, text).unwrap();
        let settings = CatalogueSettings { files: vec![file], ..CatalogueSettings::default() };
        Catalogue::load(&settings).unwrap().catalogue
    }

    fn listed(fields: Option<&str>) -> Value {
        let json = compilers(&catalogue(), None, &Fields::parse(fields), |_| None).unwrap();
        serde_json::from_slice(&json).unwrap()
    }

    #[test]
    fn by_default_a_compiler_shows_eight_members() {
        let extensions = [".cpp", ".cxx", ".h", ".hpp", ".hxx", ".c", ".cc", ".ixx"];
        let rows = listed(None);
        assert_eq!(rows.as_array().unwrap().len(), 3);
        assert_eq!(
            rows[2],
            json!({
                "id": "g132", "name": "x86-64 gcc 13.2", "lang": "c++", "compilerType": "", "semver": "13.2",
                "extensions": extensions, "monaco": "cppp", "instructionSet": "amd64",
            })
        );
        assert_eq!(listed(Some("")), rows);
    }

    #[test]
    fn fields_select_members_that_exist() {
        assert_eq!(listed(Some("id, semver,nope"))[2], json!({"id": "g132", "semver": "13.2"}));
        assert_eq!(listed(Some("notification"))[0], json!({"notification": "old"}));
        assert_eq!(listed(Some("notification"))[1], json!({}));
    }

    #[test]
    fn all_fields_are_what_a_remote_needs() {
        let rows = listed(Some("all"));
        for row in rows.as_array().unwrap() {
            let row = row.as_object().unwrap();
            for name in REMOTE.split_whitespace() {
                assert!(row.contains_key(name), "{name} is missing");
            }
            for name in UNSUPPORTED {
                assert_eq!(row[name], json!(false), "{name}");
            }
            for name in ["version", "fullVersion", "remote", "objdumper"] {
                assert!(!row.contains_key(name), "{name}");
            }
        }
        let (clang, gcc) = (&rows[0], &rows[2]);
        assert_eq!((&gcc["intelAsm"], &gcc["supportsIntel"]), (&json!("-masm=intel"), &json!(true)));
        assert_eq!(gcc["options"], "-fdiagnostics-color=always");
        assert_eq!((&gcc["supportsMarch"], &gcc["supportsTargetIs"]), (&json!(true), &json!(false)));
        assert_eq!((&gcc["supportsDemangle"], &clang["supportsDemangle"]), (&json!(false), &json!(true)));
        assert_eq!((&clang["intelAsm"], &clang["supportsIntel"]), (&json!(""), &json!(false)));
        assert_eq!(clang["options"], "-O1 -fcolor-diagnostics -fno-crash-diagnostics");
        assert_eq!((&clang["supportsMarch"], &clang["supportsTargetIs"]), (&json!(false), &json!(true)));
        assert_eq!(clang["license"], json!({"link": "", "name": "MIT", "preamble": ""}));
        assert_eq!(clang["envVars"], json!([["A", "b"], ["C", "d=e"]]));
        assert_eq!(gcc.get("license"), None);
        assert_eq!(gcc["possibleOverrides"][0]["name"], "env");
        assert_eq!((&gcc["tools"], &gcc["needsMulti"]), (&json!([]), &json!(true)));
        assert_eq!(gcc["supportsVerboseAsm"], json!(true));
    }

    #[test]
    fn no_member_stands_twice() {
        let catalogue = catalogue();
        for compiler in catalogue.compilers(None) {
            let capabilities = Capabilities::expected(compiler);
            let members = compiler_members(compiler, &capabilities);
            let names: BTreeSet<&str> = members.iter().map(|(name, _)| *name).collect();
            assert_eq!(names.len(), members.len());
        }
    }

    #[test]
    fn what_is_known_of_a_compiler_replaces_what_is_expected() {
        let known = Capabilities {
            version: Some("13".to_owned()),
            full_version: Some("13\nall".to_owned()),
            target: true,
            hyphen_target: true,
            ..Capabilities::default()
        };
        let known = Arc::new(known);
        let fields = Fields::parse(Some(
            "version,fullVersion,supportsIntel,supportsTarget,supportsHyphenTarget,supportsVerboseAsm",
        ));
        let json = compilers(&catalogue(), Some("c++"), &fields, |_| Some(Arc::clone(&known))).unwrap();
        let rows: Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(
            rows[1],
            json!({
                "version": "13", "fullVersion": "13\nall", "supportsIntel": false, "supportsTarget": true,
                "supportsHyphenTarget": true, "supportsVerboseAsm": false,
            })
        );
        assert_eq!(compilers(&catalogue(), Some("c"), &fields, |_| None).unwrap(), b"[]");
    }

    #[test]
    fn languages_with_a_compiler_and_manifests_are_listed() {
        let rows = |fields| -> Value {
            let json = languages(&catalogue(), &Fields::parse(fields)).unwrap();
            serde_json::from_slice(&json).unwrap()
        };
        let ids: Vec<_> = rows(Some("id")).as_array().unwrap().iter().map(|row| row["id"].clone()).collect();
        assert_eq!(ids, ["c++", "cargo", "cmake", "makefile", "maven"]);
        assert_eq!(
            rows(None)[2],
            json!({"id": "cmake", "name": "CMake", "extensions": [".txt"], "monaco": "cmake"})
        );
        let all = rows(Some("all"));
        let chosen = catalogue().languages().next().unwrap().default_compiler.map(str::to_owned);
        assert_eq!(
            (&all[0]["defaultCompiler"], all[1].get("defaultCompiler")),
            (&json!(chosen.unwrap()), None)
        );
        assert_eq!(all[0]["supportsExecute"], json!(false));
        assert_eq!((&all[0]["digitSeparator"], &all[1]["formatter"]), (&json!("'"), &Value::Null));
    }

    #[test]
    fn tables_are_padded() {
        let catalogue = catalogue();
        assert_eq!(
            compilers_text(&catalogue, Some("c++")),
            "Compiler Name   | Name\n\
             k               | k\n\
             a-compiler-long | other\n\
             g132            | x86-64 gcc 13.2"
        );
        assert_eq!(
            languages_text(&catalogue),
            "Id       | Name\nc++      | C++\ncargo    | Cargo\ncmake    | CMake\nmakefile | Makefile\nmaven    | Maven"
        );
        assert_eq!(compilers_text(&Catalogue::default(), None), "Compiler Name | Name\n");
    }
}
