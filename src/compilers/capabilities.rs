//! What a compiler can do, as far as it has to be asked: which questions, and how its answers are read.
//!
//! Nothing here runs anything. Whoever runs the [`Probe`]s hands the [`Answer`]s to [`Capabilities::read`].

use std::sync::Arc;

use crate::compilers::compiler::{Compiler, Family};
use crate::compilers::help::{self, Options};

/// What a probe asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Question {
    /// Which version it is; if this fails, there is no working compiler.
    Version,
    /// Which options it has.
    Help,
    /// Which standards of the language it knows. GCC's help says so already.
    Standards,
    /// Which targets it was built for. GCC has one.
    Targets,
}

/// One run of the compiler that tells us about it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Probe {
    /// What is asked.
    pub question: Question,
    /// The arguments that ask it.
    pub arguments: Vec<String>,
}

/// What a probe printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What was asked.
    pub question: Question,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// The exit status; -1 if it was killed.
    pub code: i32,
}

/// Why answers do not make a working compiler.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CapabilitiesError {
    /// The version run failed.
    #[error("the compiler returned {code} when asked for its version, and printed {printed:?}")]
    VersionRun {
        /// What it returned.
        code: i32,
        /// The first line it printed.
        printed: String,
    },
    /// It printed nothing that looks like a version.
    #[error("no line the compiler prints when asked for its version matches versionRe")]
    VersionLine,
}

/// A value a client can choose for an override.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct OverrideValue {
    /// What people see.
    pub name: String,
    /// What replaces `<value>`.
    pub value: String,
}

impl OverrideValue {
    /// A value that speaks for itself.
    pub fn plain(value: &str) -> Self {
        Self { name: value.to_owned(), value: value.to_owned() }
    }

    /// A value with a description.
    pub fn described(value: &str, description: &str) -> Self {
        Self { name: format!("{value}: {description}"), value: value.to_owned() }
    }
}

/// Something about a compile that a client may choose by name instead of by option.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct PossibleOverride {
    /// Its name in requests.
    pub name: &'static str,
    /// Its name for people.
    pub display_title: &'static str,
    /// What it is for.
    pub description: &'static str,
    /// The options it stands for, with `<value>` where the value goes.
    pub flags: Vec<String>,
    /// What there is to choose from; empty for any text.
    pub values: Vec<OverrideValue>,
}

/// What stands in an override's flags for the chosen value.
pub const VALUE: &str = "<value>";

/// What a compiler can do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is one independent member of the public API")]
pub struct Capabilities {
    /// Its version, short; `None` if it was not asked.
    pub version: Option<String>,
    /// All it says of its version.
    pub full_version: Option<String>,
    /// The arguments for Intel syntax, not yet split; empty if it has none.
    pub intel_asm: Arc<str>,
    /// Whether it takes `-fverbose-asm`.
    pub verbose_asm: bool,
    /// Arguments that make its diagnostics colored and quiet about crashes.
    pub diagnostics: Vec<&'static str>,
    /// Whether it takes `-march=`.
    pub march: bool,
    /// Whether it takes `--target=`.
    pub target_is: bool,
    /// Whether it takes `--target` and a value.
    pub target: bool,
    /// Whether it takes `-target` and a value.
    pub hyphen_target: bool,
    /// What clients may override.
    pub overrides: Vec<PossibleOverride>,
}

impl Capabilities {
    /// The runs that are needed, and no more: one for the version unless it is configured, one for GCC's options,
    /// targets and standards together, one each for Clang's.
    pub fn probes(compiler: &Compiler) -> Vec<Probe> {
        let probe = |question, arguments: &[&str]| Probe {
            question,
            arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(),
        };
        let language = compiler.facts.id;
        let mut probes = Vec::new();
        if compiler.version.explicit.is_none() {
            let arguments: Vec<&str> =
                compiler.version.arguments.iter().map(|argument| &**argument).collect();
            probes.push(probe(Question::Version, &arguments));
        }
        match compiler.family {
            Family::Gcc => {
                let own_help = format!("--help={language}");
                let arguments = ["-fsyntax-only", "--help=common", "--help=target", &own_help];
                probes.push(probe(Question::Help, &arguments));
            }
            Family::Clang => {
                let wrong = ["-x", language, "-std=", "-fsyntax-only", "-"];
                probes.push(probe(Question::Help, &["--help"]));
                probes.push(probe(Question::Standards, &wrong));
                probes.push(probe(Question::Targets, &["--print-targets"]));
            }
        }
        probes
    }

    /// What the compiler's answers mean.
    pub fn read(compiler: &Compiler, answers: &[Answer]) -> Result<Self, CapabilitiesError> {
        let text = |question| {
            let mut found = answers.iter().filter(|answer| answer.question == question);
            found.next().map_or_else(String::new, |answer| [&*answer.stdout, &answer.stderr].concat())
        };
        let (version, full_version) = read_version(compiler, answers)?;
        let help = text(Question::Help);
        let options = Options::read(&help);
        let intel_asm = match (&compiler.intel_asm, compiler.family) {
            (Some(configured), _) => Arc::clone(configured),
            (None, Family::Gcc) if has_intel_dialect(&options) => Arc::from(GCC_INTEL),
            (None, _) => Arc::default(),
        };
        let mut capabilities = Self {
            version,
            full_version,
            intel_asm,
            verbose_asm: options.offers("-fverbose-asm"),
            diagnostics: diagnostics(compiler.family, |option| options.offers(option)),
            march: options.offers("-march="),
            target_is: options.offers("--target="),
            target: options.offers_apart("--target"),
            hyphen_target: options.offers_apart("-target"),
            overrides: Vec::new(),
        };
        let (standards, architectures) = match compiler.family {
            Family::Gcc => {
                let choices = options.choices_of("-march=").unwrap_or_default();
                (options.values_of("-std="), choices.into_iter().map(OverrideValue::plain).collect())
            }
            Family::Clang => {
                (help::standards(&text(Question::Standards)), help::targets(&text(Question::Targets)))
            }
        };
        let library = compiler.facts.id == "c++" && options.offers("-stdlib=");
        capabilities.overrides = capabilities.possible_overrides(standards, architectures, library);
        Ok(capabilities)
    }

    /// What a compiler of this kind can do, as a rule: for listings, before the first compile has asked it.
    pub fn expected(compiler: &Compiler) -> Self {
        let is_gcc = compiler.family == Family::Gcc;
        let intel_asm = match &compiler.intel_asm {
            Some(configured) => Arc::clone(configured),
            None if is_gcc && matches!(&*compiler.instruction_set, "amd64" | "x86") => Arc::from(GCC_INTEL),
            None => Arc::default(),
        };
        let mut capabilities = Self {
            version: None,
            full_version: None,
            intel_asm,
            verbose_asm: true,
            diagnostics: diagnostics(compiler.family, |_| true),
            march: is_gcc,
            target_is: !is_gcc,
            target: false,
            hyphen_target: false,
            overrides: Vec::new(),
        };
        capabilities.overrides = capabilities.possible_overrides(Vec::new(), Vec::new(), false);
        capabilities
    }

    /// The override called `name`.
    pub fn find_override(&self, name: &str) -> Option<&PossibleOverride> {
        self.overrides.iter().find(|possible| possible.name == name)
    }

    fn possible_overrides(
        &self,
        standards: Vec<OverrideValue>,
        architectures: Vec<OverrideValue>,
        has_library: bool,
    ) -> Vec<PossibleOverride> {
        let target: &[&str] = match self {
            Self { march: true, .. } => &["-march=<value>"],
            Self { target_is: true, .. } => &["--target=<value>"],
            Self { target: true, .. } => &["--target", VALUE],
            Self { hyphen_target: true, .. } => &["-target", VALUE],
            _ => &[],
        };
        let libraries = ["libstdc++", "libc++"].map(OverrideValue::plain).to_vec();
        let libraries = if has_library { libraries } else { Vec::new() };
        let environment = PossibleOverride {
            name: "env",
            display_title: "Environment variables",
            description: "Variables for the compiler's environment",
            flags: Vec::new(),
            values: Vec::new(),
        };
        let choices = [
            ("arch", "Target architecture", "What the compiler produces code for", target, architectures),
            (
                "stdver",
                "Language standard",
                "Which standard the source follows",
                &["-std=<value>"],
                standards,
            ),
            ("stdlib", "Standard library", "Which standard library is used", &["-stdlib=<value>"], libraries),
        ];
        let choices =
            choices.into_iter().filter(|(.., flags, values)| !flags.is_empty() && !values.is_empty());
        let choices = choices.map(|(name, display_title, description, flags, values)| PossibleOverride {
            name,
            display_title,
            description,
            flags: flags.iter().map(|&flag| flag.to_owned()).collect(),
            values,
        });
        choices.chain([environment]).collect()
    }
}

const GCC_INTEL: &str = "-masm=intel";

/// GCC of other machines has no `-masm`, or one without Intel's dialect. Old ones do not list the dialects.
fn has_intel_dialect(options: &Options<'_>) -> bool {
    options.offers("-masm=")
        && options.choices_of("-masm=").is_none_or(|dialects| dialects.contains(&"intel"))
}

fn diagnostics(family: Family, offers: impl Fn(&str) -> bool) -> Vec<&'static str> {
    let wanted: &[(&str, &'static str)] = match family {
        Family::Gcc => &[("-fdiagnostics-color", "-fdiagnostics-color=always")],
        Family::Clang => &[
            ("-fcolor-diagnostics", "-fcolor-diagnostics"),
            ("-fno-crash-diagnostics", "-fno-crash-diagnostics"),
        ],
    };
    wanted.iter().filter(|(option, _)| offers(option)).map(|(_, argument)| *argument).collect()
}

/// The short and the full version. The short one is the part of the first line that matches.
fn read_version(
    compiler: &Compiler,
    answers: &[Answer],
) -> Result<(Option<String>, Option<String>), CapabilitiesError> {
    if let Some(explicit) = &compiler.version.explicit {
        return Ok((Some(explicit.to_string()), Some(explicit.to_string())));
    }
    let Some(answer) = answers.iter().find(|answer| answer.question == Question::Version) else {
        return Err(CapabilitiesError::VersionLine);
    };
    let full = [&*answer.stdout, &answer.stderr].concat();
    let mut lines = full.lines().filter(|line| !line.trim().is_empty());
    if answer.code != 0 {
        let printed = lines.next().unwrap_or_default().chars().take(200).collect();
        return Err(CapabilitiesError::VersionRun { code: answer.code, printed });
    }
    let version = match &compiler.version.pattern {
        None => lines.next(),
        Some(pattern) => lines.find_map(|line| pattern.find(line)).map(|found| found.as_str()),
    };
    let version = version.ok_or(CapabilitiesError::VersionLine)?.to_owned();
    Ok((Some(version), Some(full)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compilers::compiler::VersionQuery;
    use crate::compilers::compiler::tests::compiler;
    use regex::Regex;

    fn answer(question: Question, stdout: &str) -> Answer {
        Answer { question, stdout: stdout.to_owned(), stderr: String::new(), code: 0 }
    }

    fn asked(compiler: &Compiler) -> Vec<String> {
        Capabilities::probes(compiler).iter().map(|probe| probe.arguments.join(" ")).collect()
    }

    fn names(capabilities: &Capabilities) -> Vec<String> {
        let overrides = capabilities.overrides.iter();
        overrides
            .map(|possible| {
                format!("{} {} {}", possible.name, possible.flags.join(" "), possible.values.len())
            })
            .collect()
    }

    const GCC_HELP: &str = "  -march=   CPU\n  -masm=   dialect\n  -fverbose-asm x\n  -fdiagnostics-color=[a|b] x\n\
        \x20 -std=c++17 x\n  -std=c++20 x\n  Known assembler dialects (for use with the -masm= option):\n    att intel\n\n\
        \x20 Known valid arguments for -march= option:\n    i386 x86-64\n";

    #[test]
    fn only_what_is_needed_is_asked() {
        let gcc = compiler("c++", "/g++", Family::Gcc);
        assert_eq!(asked(&gcc), ["--version", "-fsyntax-only --help=common --help=target --help=c++"]);
        let clang = compiler("c", "/clang", Family::Clang);
        assert_eq!(asked(&clang), ["--version", "--help", "-x c -std= -fsyntax-only -", "--print-targets"]);
        let mut known = compiler("c", "/gcc", Family::Gcc);
        known.version.explicit = Some(Arc::from("9.9"));
        assert_eq!(asked(&known), ["-fsyntax-only --help=common --help=target --help=c"]);
        let mut odd = compiler("c", "/gcc", Family::Gcc);
        odd.version.arguments = ["-v", "-x y"].map(Arc::from).to_vec();
        assert_eq!(Capabilities::probes(&odd)[0].arguments, ["-v", "-x y"]);
    }

    #[test]
    fn gcc_answers() {
        let gcc = compiler("c++", "/g++", Family::Gcc);
        let answers = [answer(Question::Version, "g++ 12\nCopyright\n"), answer(Question::Help, GCC_HELP)];
        let found = Capabilities::read(&gcc, &answers).unwrap();
        assert_eq!(found.version.as_deref(), Some("g++ 12"));
        assert_eq!(found.full_version.as_deref(), Some("g++ 12\nCopyright\n"));
        assert_eq!((&*found.intel_asm, found.verbose_asm, found.march), ("-masm=intel", true, true));
        assert!(!found.target_is && !found.target && !found.hyphen_target);
        assert_eq!(found.diagnostics, ["-fdiagnostics-color=always"]);
        assert_eq!(names(&found), ["arch -march=<value> 2", "stdver -std=<value> 2", "env  0"]);
        assert_eq!(found.find_override("arch").unwrap().values[1].value, "x86-64");
        assert_eq!(found.find_override("edition"), None);
    }

    #[test]
    fn gcc_without_intel_syntax() {
        let gcc = compiler("c", "/gcc", Family::Gcc);
        let read = |help: &str| {
            let answers = [answer(Question::Version, "x"), answer(Question::Help, help)];
            Capabilities::read(&gcc, &answers).unwrap().intel_asm.to_string()
        };
        assert_eq!(read("  -march= x"), "");
        assert_eq!(read("  -masm= x"), "-masm=intel", "an old one does not list dialects");
        assert_eq!(read("  -masm= x\n  Known dialects (for use with the -masm= option):\n    att gas\n"), "");
        assert_eq!(read("  Known dialects (for use with the -masm= option):\n    intel\n"), "");
    }

    #[test]
    fn an_old_gcc_gets_no_option_it_lacks() {
        let gcc = compiler("c", "/gcc", Family::Gcc);
        let answers = [answer(Question::Version, "x"), answer(Question::Help, "  -O x")];
        let found = Capabilities::read(&gcc, &answers).unwrap();
        assert!(!found.verbose_asm && !found.march && found.diagnostics.is_empty());
        assert_eq!(names(&found), ["env  0"]);
    }

    #[test]
    fn clang_answers() {
        let mut clang = compiler("c++", "/clang++", Family::Clang);
        clang.intel_asm = Some(Arc::from("-mllvm --x86-asm-syntax=intel"));
        let help =
            "  -fcolor-diagnostics x\n  -fno-crash-diagnostics x\n  -fverbose-asm x\n  -stdlib=<value> x\n";
        let with = |target: &str| {
            let answers = [
                answer(Question::Version, "clang version 14\n"),
                answer(Question::Help, &format!("{help}  {target} x")),
                answer(Question::Standards, "note: use 'c++11' for 'C++11' standard"),
                answer(Question::Targets, "  Registered Targets:\n    arm - ARM\n"),
            ];
            Capabilities::read(&clang, &answers).unwrap()
        };
        let found = with("--target=<value>");
        assert_eq!(&*found.intel_asm, "-mllvm --x86-asm-syntax=intel");
        assert_eq!(found.diagnostics, ["-fcolor-diagnostics", "-fno-crash-diagnostics"]);
        assert!(
            found.target_is && found.verbose_asm && !found.target && !found.march && !found.hyphen_target
        );
        assert_eq!(
            names(&found),
            ["arch --target=<value> 1", "stdver -std=<value> 1", "stdlib -stdlib=<value> 2", "env  0"]
        );
        assert_eq!(names(&with("--target <value>"))[0], "arch --target <value> 1");
        assert_eq!(names(&with("-target <value>"))[0], "arch -target <value> 1");
        assert_eq!(names(&with("-nothing"))[0], "stdver -std=<value> 1");
        clang.intel_asm = None;
        assert_eq!(
            Capabilities::read(&clang, &[answer(Question::Version, "x")]).unwrap().intel_asm,
            Arc::default()
        );
    }

    #[test]
    fn the_standard_library_is_cplusplus_only() {
        let clang = compiler("c", "/clang", Family::Clang);
        let answers = [answer(Question::Version, "x"), answer(Question::Help, "  -stdlib=<value> x")];
        assert_eq!(names(&Capabilities::read(&clang, &answers).unwrap()), ["env  0"]);
    }

    #[test]
    fn the_version_is_the_first_matching_line_of_stdout_and_stderr() {
        let versioned = |pattern: Option<&str>, stdout: &str, stderr: &str| {
            let mut gcc = compiler("c", "/gcc", Family::Gcc);
            gcc.version = VersionQuery {
                pattern: pattern.map(|pattern| Arc::new(Regex::new(pattern).unwrap())),
                ..gcc.version
            };
            let answer = Answer { stderr: stderr.to_owned(), ..answer(Question::Version, stdout) };
            Capabilities::read(&gcc, &[answer]).map(|found| found.version.unwrap())
        };
        assert_eq!(versioned(None, "\none\ntwo", "").as_deref(), Ok("one"));
        assert_eq!(versioned(None, "", "three\n").as_deref(), Ok("three"));
        assert_eq!(versioned(Some("t.*"), "one\nXtwo\n", "three").as_deref(), Ok("two"));
        assert_eq!(versioned(Some("^th.*"), "one\ntwo\n", "three").as_deref(), Ok("three"));
        assert_eq!(versioned(Some("nope"), "one", ""), Err(CapabilitiesError::VersionLine));
        assert_eq!(versioned(None, " \n", ""), Err(CapabilitiesError::VersionLine));
    }

    #[test]
    fn a_failing_version_run_is_no_compiler_unless_the_version_is_configured() {
        let mut gcc = compiler("c", "/gcc", Family::Gcc);
        let failed = Answer { code: 127, ..answer(Question::Version, "no such file\nx") };
        let error = Capabilities::read(&gcc, std::slice::from_ref(&failed)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the compiler returned 127 when asked for its version, and printed \"no such file\""
        );
        assert_eq!(Capabilities::read(&gcc, &[]), Err(CapabilitiesError::VersionLine));
        gcc.version.explicit = Some(Arc::from("9.9"));
        let found = Capabilities::read(&gcc, &[failed]).unwrap();
        assert_eq!((found.version.as_deref(), found.full_version.as_deref()), (Some("9.9"), Some("9.9")));
    }

    #[test]
    fn what_is_expected_before_anybody_asked() {
        let gcc = Capabilities::expected(&compiler("c", "/gcc", Family::Gcc));
        assert_eq!(
            (&*gcc.intel_asm, gcc.verbose_asm, gcc.march, gcc.target_is),
            ("-masm=intel", true, true, false)
        );
        assert_eq!((gcc.version, gcc.full_version), (None, None));
        let mut other = compiler("c", "/gcc", Family::Gcc);
        other.instruction_set = Arc::from("aarch64");
        assert_eq!(&*Capabilities::expected(&other).intel_asm, "");
        other.intel_asm = Some(Arc::from("-x"));
        assert_eq!(&*Capabilities::expected(&other).intel_asm, "-x");
        let clang = Capabilities::expected(&compiler("c", "/clang", Family::Clang));
        assert_eq!((&*clang.intel_asm, clang.march, clang.target_is), ("", false, true));
        assert_eq!(clang.diagnostics, ["-fcolor-diagnostics", "-fno-crash-diagnostics"]);
        assert_eq!(names(&clang), ["env  0"]);
    }
}
