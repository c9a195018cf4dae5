//! What holds for one compiler: its own properties over its groups', over its language's, over everybody's.
//!
//! The chain is not walked per key: each level copies the table of the level outside it and overwrites what it sets
//! itself. A catalogue of thousands of compilers is then read in one pass over its properties.

use std::collections::HashMap;

use crate::compilers::problems::Problems;
use crate::compilers::properties::{Properties, Property, Value, assignment};

macro_rules! keys {
    ($($variant:ident = $name:literal),* $(,)?) => {
        /// A property that means something for a compiler.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[expect(missing_docs, reason = "each is the property of the same name")]
        pub enum Key { $($variant),* }

        impl Key {
            /// Every property.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The property called `name`.
            pub fn find(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// The property's name.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }
        }
    };
}

keys! {
    Compilers = "compilers",
    Exe = "exe",
    Name = "name",
    BaseOptions = "baseOptions",
    Options = "options",
    CompilerType = "compilerType",
    GroupName = "groupName",
    BaseName = "baseName",
    CompilerCategories = "compilerCategories",
    IsSemVer = "isSemVer",
    Semver = "semver",
    IsNightly = "isNightly",
    ReleaseTrack = "releaseTrack",
    Alias = "alias",
    Hidden = "hidden",
    Notification = "notification",
    VersionFlag = "versionFlag",
    VersionRe = "versionRe",
    ExplicitVersion = "explicitVersion",
    InstructionSet = "instructionSet",
    IntelAsm = "intelAsm",
    SupportsLibraryCodeFilter = "supportsLibraryCodeFilter",
    SupportsAsmDocs = "supportsAsmDocs",
    DebugPatched = "debugPatched",
    Interpreted = "interpreted",
    Emulated = "emulated",
    Demangler = "demangler",
    DemanglerType = "demanglerType",
    DemanglerArgs = "demanglerArgs",
    Objdumper = "objdumper",
    ObjdumperType = "objdumperType",
    ObjdumperArgs = "objdumperArgs",
    LlvmObjdumper = "llvmObjdumper",
    LlvmDisassembler = "llvmDisassembler",
    NeedsMulti = "needsMulti",
    IncludeFlag = "includeFlag",
    LinkFlag = "linkFlag",
    LibpathFlag = "libpathFlag",
    RpathFlag = "rpathFlag",
    LibPath = "libPath",
    LdPath = "ldPath",
    ExtraPath = "extraPath",
    IncludePath = "includePath",
    EnvVars = "envVars",
    PostProcess = "postProcess",
    UnwiseOptions = "unwiseOptions",
    SupportsLibraries = "supportsLibraries",
    LicenseLink = "licenseLink",
    LicenseName = "licenseName",
    LicensePreamble = "licensePreamble",
    Adarts = "adarts",
    Nvdisasm = "nvdisasm",
    Ptxas = "ptxas",
}

/// The properties of one level: what it sets itself, and what it has from outside.
#[derive(Debug, Clone, Copy)]
pub struct Settings<'a>([Option<&'a Property>; Key::ALL.len()]);

impl<'a> Settings<'a> {
    /// A level at which nothing is set.
    pub const NONE: Self = Self([None; Key::ALL.len()]);

    /// This level, with the properties that `base` has under their plain names laid over it.
    #[must_use]
    pub fn under(mut self, base: &'a Properties) -> Self {
        for key in Key::ALL {
            if let Some(property) = base.find(key.name()) {
                self.0[*key as usize] = Some(property);
            }
        }
        self
    }

    /// This level, with `own` laid over it.
    #[must_use]
    pub fn with(mut self, own: &[(Key, &'a Property)]) -> Self {
        for (key, property) in own {
            self.0[*key as usize] = Some(property);
        }
        self
    }

    /// The property, if any level sets it.
    pub fn find(&self, key: Key) -> Option<&'a Property> {
        self.0[key as usize]
    }

    /// The property's text; empty when no level sets it.
    pub fn text(&self, key: Key) -> &'a str {
        self.find(key).map_or("", |property| &property.text)
    }

    /// The property's text cut at `separator`, without empty parts.
    pub fn list(&self, key: Key, separator: char) -> impl Iterator<Item = &'a str> + use<'a> {
        self.text(key).split(separator).filter(|part| !part.is_empty())
    }

    /// The property as a switch. A value that is neither on nor off is reported, and `default` stands.
    pub fn switch(&self, key: Key, default: bool, problems: &mut Problems) -> bool {
        let Some(property) = self.find(key) else { return default };
        match property.value {
            Value::Flag(on) => on,
            Value::Number(number) => number != 0.0,
            Value::Text if property.text.is_empty() => false,
            Value::Text => {
                problems.note(
                    &property.origin,
                    format!(
                        "{} is no switch; write `true` or `false`",
                        assignment(key.name(), &property.text)
                    ),
                );
                default
            }
        }
    }
}

/// The properties that belong to single compilers or groups, by their owner.
#[derive(Debug, Default)]
pub struct Owned<'a> {
    compilers: HashMap<&'a str, Vec<(Key, &'a Property)>>,
    groups: HashMap<&'a str, Vec<(Key, &'a Property)>>,
}

impl<'a> Owned<'a> {
    /// Sorts the properties of a language by the compiler or group they belong to. An identifier may hold dots;
    /// the property's name is what stands after the last one.
    pub fn sort(language: &'a Properties) -> Self {
        let mut owned = Self::default();
        for (key, property) in language.iter() {
            let (owners, rest) = if let Some(rest) = key.strip_prefix("compiler.") {
                (&mut owned.compilers, rest)
            } else if let Some(rest) = key.strip_prefix("group.") {
                (&mut owned.groups, rest)
            } else {
                continue;
            };
            if let Some((owner, name)) = rest.rsplit_once('.')
                && let Some(key) = Key::find(name)
            {
                owners.entry(owner).or_default().push((key, property));
            }
        }
        owned
    }

    /// What the compiler `id` sets itself.
    pub fn compiler(&self, id: &str) -> &[(Key, &'a Property)] {
        self.compilers.get(id).map_or(&[], Vec::as_slice)
    }

    /// What the group `name` sets itself; `None` if there is no such group.
    pub fn group(&self, name: &str) -> Option<&[(Key, &'a Property)]> {
        self.groups.get(name).map(Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use std::sync::Arc;

    fn properties(contents: &str) -> Properties {
        let mut properties = Properties::default();
        properties.lay(&Arc::from(Path::new("f")), contents.as_bytes(), &mut Problems::default());
        properties
    }

    #[test]
    fn every_key_is_found_by_its_name() {
        for (index, key) in Key::ALL.iter().enumerate() {
            assert_eq!(Key::find(key.name()), Some(*key));
            assert_eq!(*key as usize, index);
        }
        assert_eq!(Key::find("Exe"), None);
    }

    #[test]
    fn the_innermost_level_wins() {
        let everybody = properties("exe=a\nname=a\noptions=a\nsemver=a");
        let language = properties(
            "name=b\noptions=b\nsemver=b\ngroup.g.options=c\ngroup.g.semver=c\ncompiler.x.y.semver=d\ncompiler.bare=no\n",
        );
        let owned = Owned::sort(&language);
        let settings = Settings::NONE
            .under(&everybody)
            .under(&language)
            .with(owned.group("g").unwrap())
            .with(owned.compiler("x.y"));
        let keys = [Key::Exe, Key::Name, Key::Options, Key::Semver, Key::Alias];
        assert_eq!(keys.map(|key| settings.text(key)), ["a", "b", "c", "d", ""]);
        assert_eq!(owned.group("h"), None);
        assert_eq!(owned.compiler("g"), []);
    }

    #[test]
    fn a_list_has_no_empty_parts() {
        let base = properties("alias=:a::b:\nversionFlag=-v|--x y");
        let settings = Settings::NONE.under(&base);
        assert_eq!(settings.list(Key::Alias, ':').collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(settings.list(Key::VersionFlag, '|').collect::<Vec<_>>(), ["-v", "--x y"]);
        assert_eq!(settings.list(Key::Options, '|').count(), 0);
    }

    #[test]
    fn a_switch_is_on_off_or_a_mistake() {
        for (text, default, want) in [
            ("true", false, true),
            ("yes", false, true),
            ("1", false, true),
            ("false", true, false),
            ("no", true, false),
            ("0", true, false),
            ("", true, false),
        ] {
            let base = properties(&format!("hidden={text}"));
            let mut problems = Problems::default();
            assert_eq!(
                Settings::NONE.under(&base).switch(Key::Hidden, default, &mut problems),
                want,
                "{text}"
            );
            assert_eq!(problems.into_vec(), []);
        }
        let base = properties("\nhidden=maybe");
        for default in [true, false] {
            let mut problems = Problems::default();
            assert_eq!(Settings::NONE.under(&base).switch(Key::Hidden, default, &mut problems), default);
            assert_eq!(
                problems.into_vec()[0].to_string(),
                "f:2: `hidden=maybe` is no switch; write `true` or `false`"
            );
            assert_eq!(Settings::NONE.switch(Key::Hidden, default, &mut Problems::default()), default);
        }
    }
}
