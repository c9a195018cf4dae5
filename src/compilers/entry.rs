//! From what holds for one listed compiler to a [`Compiler`], or to the sentence that says why not.

use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use regex::{Regex, RegexBuilder};

use crate::compilers::compiler::{Compiler, Family, Shown, VersionQuery};
use crate::compilers::groups::Listed;
use crate::compilers::instruction_set;
use crate::compilers::language::Language;
use crate::compilers::option_rules::OptionRules;
use crate::compilers::problems::Problems;
use crate::compilers::properties::{Origin, assignment, quote};
use crate::compilers::settings::{Key, Settings};
use crate::compilers::toolchain::Sight;
use crate::domain::ids::{CompilerId, LanguageId};

/// What a broken entry complains of, and where.
type Complaint = (Origin, String);

/// Everything but the listed compiler itself that an entry depends on.
#[derive(Debug)]
pub struct Shop<'s> {
    /// The language the compilers are for.
    pub language: &'static Language,
    /// Its name.
    pub language_id: LanguageId,
    /// Which user arguments its compilers accept.
    pub rules: Arc<OptionRules>,
    /// Where executables without a directory are looked for.
    pub search_path: &'s [PathBuf],
    /// What the jail can read; empty for everything.
    pub readable: &'s [PathBuf],
    /// Texts that many compilers share.
    pub texts: HashMap<Box<str>, Arc<str>>,
    /// Version expressions that many compilers share; `None` for one that cannot be read.
    pub expressions: HashMap<Box<str>, Option<Arc<Regex>>>,
}

impl Shop<'_> {
    /// Makes the compiler, or says what is wrong with it.
    pub fn make(&mut self, listed: &Listed<'_>, problems: &mut Problems) -> Result<Compiler, Complaint> {
        let settings = &listed.settings;
        let listed_id = listed.id;
        let id = CompilerId::parse(listed_id)
            .map_err(|error| (listed.origin.clone(), format!("{error}; rename {}", quote(listed_id))))?;
        let exe = self.find_exe(listed)?;
        let family = family_of(listed)?;
        let instruction_set = instruction_set_of(listed, &exe)?;
        let version = self.version_query(listed)?;
        let directory = exe.parent().map(|parent| parent.to_string_lossy().into_owned()).unwrap_or_default();
        let options = [settings.text(Key::BaseOptions), settings.text(Key::Options)].join(" ");
        let intel_asm = settings.text(Key::IntelAsm);
        let is_numbered = settings.switch(Key::IsSemVer, false, problems);
        let mut shown = self.shown(listed, &directory, problems);
        shown.push((Key::IsSemVer.name(), Shown::Flag(is_numbered)));
        Ok(Compiler {
            id,
            language: self.language_id.clone(),
            facts: self.language,
            name: self.share(&name_of(listed, is_numbered)),
            family,
            instruction_set: self.share(instruction_set),
            options: self.share(options.trim()),
            aliases: settings.list(Key::Alias, ':').map(Arc::from).collect(),
            version,
            intel_asm: (!intel_asm.is_empty()).then(|| self.share(intel_asm)),
            demangles: !settings.text(Key::Demangler).is_empty(),
            needs_multiarch: settings.switch(Key::NeedsMulti, true, problems),
            ld_path: self.ld_path(settings, &directory),
            extra_path: self.paths(settings, (Key::ExtraPath, ':'), &directory),
            option_rules: Arc::clone(&self.rules),
            shown,
            exe,
            sight: Sight::default(),
        })
    }

    /// The executable: `exe`, else the identifier; a bare name is looked for as a shell would.
    fn find_exe(&self, listed: &Listed<'_>) -> Result<PathBuf, Complaint> {
        let property = listed.settings.find(Key::Exe);
        let origin = property.map_or(listed.origin, |property| &property.origin);
        let text = property.map_or(listed.id, |property| &property.text);
        let complain = |problem: &str| (origin.clone(), broken(listed, Key::Exe, text, problem));
        let exe = if text.starts_with('/') {
            let exe = PathBuf::from(text);
            if !is_executable(&exe) {
                return Err(complain("which is not an executable file; install it or correct `exe`"));
            }
            exe
        } else if text.is_empty() || text.contains('/') {
            return Err(complain("which is neither absolute nor a bare name; write its absolute path"));
        } else {
            let mut candidates = self.search_path.iter().map(|directory| directory.join(text));
            candidates.find(|candidate| is_executable(candidate)).ok_or_else(|| {
                complain("which is in no directory of PATH; install it or write its absolute path")
            })?
        };
        if !self.readable.is_empty() && !self.readable.iter().any(|directory| exe.starts_with(directory)) {
            return Err(complain("which the jail cannot read; add its directory to the readable paths"));
        }
        Ok(exe)
    }

    fn version_query(&mut self, listed: &Listed<'_>) -> Result<VersionQuery, Complaint> {
        let settings = &listed.settings;
        let mut arguments: Vec<_> =
            settings.list(Key::VersionFlag, '|').map(|argument| self.share(argument)).collect();
        if arguments.is_empty() {
            arguments.push(self.share("--version"));
        }
        let pattern = match settings.find(Key::VersionRe).filter(|property| !property.text.is_empty()) {
            None => None,
            Some(property) => {
                let text = property.text.as_str();
                let known = self.expressions.entry(Box::from(text)).or_insert_with(|| {
                    RegexBuilder::new(text).case_insensitive(true).build().ok().map(Arc::new)
                });
                let pattern = known.clone().ok_or_else(|| {
                    let problem = "which is not an expression we can search for; rewrite it without \
                                   lookaround and backreferences";
                    (property.origin.clone(), broken(listed, Key::VersionRe, text, problem))
                })?;
                Some(pattern)
            }
        };
        let explicit = settings.text(Key::ExplicitVersion);
        let explicit = (!explicit.is_empty()).then(|| self.share(explicit));
        Ok(VersionQuery { arguments, pattern, explicit })
    }

    /// `ldPath`, else what lies beside the executable's directory. Where that is the system's own, the dynamic
    /// loader looks there anyway, and naming it would cost every process a few failed opens.
    fn ld_path(&mut self, settings: &Settings<'_>, directory: &str) -> Vec<Arc<str>> {
        if settings.find(Key::LdPath).is_some() {
            return self.paths(settings, (Key::LdPath, '|'), directory);
        }
        if matches!(directory, "/bin" | "/usr/bin") {
            return Vec::new();
        }
        ["lib", "lib32", "lib64"].map(|lib| self.share(&format!("{directory}/../{lib}"))).to_vec()
    }

    fn paths(
        &mut self,
        settings: &Settings<'_>,
        (key, separator): (Key, char),
        directory: &str,
    ) -> Vec<Arc<str>> {
        let paths = settings.list(key, separator);
        paths.map(|path| self.share(&path.replace("${exePath}", directory))).collect()
    }

    /// What listings show of an entry, though nothing here acts on it.
    fn shown(
        &mut self,
        listed: &Listed<'_>,
        directory: &str,
        problems: &mut Problems,
    ) -> Vec<(&'static str, Shown)> {
        const DEFAULTS: [(Key, &str); 5] = [
            (Key::DemanglerType, "default"),
            (Key::IncludeFlag, "-isystem"),
            (Key::LinkFlag, "-l"),
            (Key::LibpathFlag, "-L"),
            (Key::RpathFlag, "-Wl,-rpath,"),
        ];
        const TEXTS: [Key; 16] = [
            Key::CompilerType,
            Key::GroupName,
            Key::BaseName,
            Key::Semver,
            Key::Notification,
            Key::VersionRe,
            Key::ExplicitVersion,
            Key::Demangler,
            Key::Objdumper,
            Key::ObjdumperType,
            Key::LlvmObjdumper,
            Key::LlvmDisassembler,
            Key::IncludePath,
            Key::Adarts,
            Key::Nvdisasm,
            Key::Ptxas,
        ];
        const ALWAYS: [Key; 4] = [Key::CompilerType, Key::GroupName, Key::BaseName, Key::Semver];
        const LICENSE: [(Key, &str); 3] =
            [(Key::LicenseLink, "link"), (Key::LicenseName, "name"), (Key::LicensePreamble, "preamble")];
        const LISTS: [(Key, char); 7] = [
            (Key::CompilerCategories, ':'),
            (Key::DemanglerArgs, '|'),
            (Key::ObjdumperArgs, '|'),
            (Key::PostProcess, '|'),
            (Key::UnwiseOptions, '|'),
            (Key::SupportsLibraries, ':'),
            (Key::LibPath, ':'),
        ];
        let settings = &listed.settings;
        let mut shown = vec![("group", Shown::Text(self.share(listed.group)))];
        for (key, default) in DEFAULTS {
            let text = settings.find(key).map_or(default, |property| &property.text);
            shown.push((key.name(), Shown::Text(self.share(text))));
        }
        for key in TEXTS {
            let text = settings.text(key).replace("${exePath}", directory);
            if ALWAYS.contains(&key) || !text.is_empty() {
                shown.push((key.name(), Shown::Text(self.share(&text))));
            }
        }
        for (key, separator) in LISTS {
            let name = if key == Key::SupportsLibraries { "libsArr" } else { key.name() };
            shown.push((name, Shown::List(self.paths(settings, (key, separator), directory))));
        }
        let variables = settings.list(Key::EnvVars, ':').filter_map(|variable| variable.split_once('='));
        let variables = variables.map(|(name, value)| (self.share(name), self.share(value))).collect();
        shown.push((Key::EnvVars.name(), Shown::Pairs(variables)));
        let license = LICENSE.map(|(key, name)| (name, self.share(settings.text(key))));
        if license.iter().any(|(_, text)| !text.is_empty()) {
            shown.push(("license", Shown::Record(license.into_iter().collect())));
        }
        let mut switch =
            |key: Key, default| (key.name(), Shown::Flag(settings.switch(key, default, problems)));
        let is_nightly = switch(Key::IsNightly, false);
        let track = release_track(settings, is_nightly.1 == Shown::Flag(true));
        shown.extend([
            is_nightly,
            switch(Key::Hidden, false),
            switch(Key::Interpreted, false),
            switch(Key::Emulated, false),
            switch(Key::DebugPatched, false),
            switch(Key::SupportsAsmDocs, true),
            switch(Key::SupportsLibraryCodeFilter, true),
        ]);
        let track = track.unwrap_or_else(|(origin, message)| {
            problems.note(&origin, message);
            "stable"
        });
        shown.push((Key::ReleaseTrack.name(), Shown::Text(self.share(track))));
        shown
    }

    fn share(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.texts.get(text) {
            return Arc::clone(known);
        }
        let shared = Arc::<str>::from(text);
        self.texts.insert(Box::from(text), Arc::clone(&shared));
        shared
    }
}

fn broken(listed: &Listed<'_>, key: Key, text: &str, problem: &str) -> String {
    format!("the compiler {} has {}, {problem}", quote(listed.id), assignment(key.name(), text))
}

fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// `name`, else `baseName semver` for those that are numbered, else the identifier.
fn name_of(listed: &Listed<'_>, is_numbered: bool) -> String {
    let settings = &listed.settings;
    let [name, base, semver] = [Key::Name, Key::BaseName, Key::Semver].map(|key| settings.text(key));
    if !name.is_empty() {
        name.to_owned()
    } else if !base.is_empty() && is_numbered {
        format!("{base} {semver}")
    } else {
        listed.id.to_owned()
    }
}

fn family_of(listed: &Listed<'_>) -> Result<Family, Complaint> {
    match listed.settings.find(Key::CompilerType) {
        None => Ok(Family::Gcc),
        Some(property) => match property.text.as_str() {
            "" | "default" | "gcc" => Ok(Family::Gcc),
            "clang" => Ok(Family::Clang),
            other => {
                let problem = "which is not supported; only GCC (empty) and `clang` are";
                Err((property.origin.clone(), broken(listed, Key::CompilerType, other, problem)))
            }
        },
    }
}

fn instruction_set_of(listed: &Listed<'_>, exe: &Path) -> Result<&'static str, Complaint> {
    match listed.settings.find(Key::InstructionSet).filter(|property| !property.text.is_empty()) {
        None => {
            let inferred = exe.to_str().and_then(instruction_set::of_path);
            Ok(inferred.unwrap_or(instruction_set::DEFAULT))
        }
        Some(property) => instruction_set::find(&property.text).ok_or_else(|| {
            let problem = "which is unknown; write one such as `amd64` or `aarch64`";
            (property.origin.clone(), broken(listed, Key::InstructionSet, &property.text, problem))
        }),
    }
}

fn release_track(settings: &Settings<'_>, is_nightly: bool) -> Result<&'static str, Complaint> {
    const TRACKS: [&str; 4] = ["stable", "nightly", "prerelease", "experimental"];
    match settings.find(Key::ReleaseTrack).filter(|property| !property.text.is_empty()) {
        None => Ok(if is_nightly { "nightly" } else { "stable" }),
        Some(property) => TRACKS.into_iter().find(|track| *track == property.text).ok_or_else(|| {
            let assignment = assignment(Key::ReleaseTrack.name(), &property.text);
            (property.origin.clone(), format!("{assignment} is unknown; write one of {}", TRACKS.join(", ")))
        }),
    }
}
