//! The languages this worker knows: what it compiles, and the manifests that Compiler Explorer lists as languages.

/// What is known of a language without looking at any compiler.
#[derive(Debug, PartialEq, Eq)]
pub struct Language {
    /// Its name in URLs and file names, such as `c++`.
    pub id: &'static str,
    /// Its name for people.
    pub name: &'static str,
    /// File extensions; the first one names the main file.
    pub extensions: &'static [&'static str],
    /// Which highlighting the site's editor uses.
    pub monaco: &'static str,
    /// Other names for the language.
    pub aliases: &'static [&'static str],
    /// The site's logo file.
    pub logo: Option<&'static str>,
    /// The site's code formatter.
    pub formatter: Option<&'static str>,
    /// What separates groups of digits.
    pub digit_separator: Option<&'static str>,
    /// A few lines to start from.
    pub example: &'static str,
    /// Only describes a project; listed though no compiler has it.
    pub is_manifest: bool,
}

const EXAMPLE: &str = "int twice(int n) {\n    return n + n;\n}\n";

const MANIFEST: Language = Language {
    id: "",
    name: "",
    extensions: &[],
    monaco: "",
    aliases: &[],
    logo: None,
    formatter: None,
    digit_separator: None,
    example: "",
    is_manifest: true,
};

impl Language {
    /// Every language, sorted by identifier.
    pub const ALL: [Self; 6] = [
        Self {
            id: "c",
            name: "C",
            extensions: &[".c", ".h"],
            monaco: "nc",
            logo: Some("c.svg"),
            formatter: Some("clangformat"),
            digit_separator: Some("'"),
            example: EXAMPLE,
            is_manifest: false,
            ..MANIFEST
        },
        Self {
            id: "c++",
            name: "C++",
            extensions: &[".cpp", ".cxx", ".h", ".hpp", ".hxx", ".c", ".cc", ".ixx"],
            monaco: "cppp",
            aliases: &["gcc", "cpp"],
            logo: Some("cpp.svg"),
            formatter: Some("clangformat"),
            digit_separator: Some("'"),
            example: EXAMPLE,
            is_manifest: false,
        },
        Self { id: "cargo", name: "Cargo", extensions: &[".toml"], monaco: "toml", ..MANIFEST },
        Self { id: "cmake", name: "CMake", extensions: &[".txt"], monaco: "cmake", ..MANIFEST },
        Self { id: "makefile", name: "Makefile", extensions: &[".mk"], monaco: "makefile", ..MANIFEST },
        Self { id: "maven", name: "Maven", extensions: &[".xml"], monaco: "xml", ..MANIFEST },
    ];

    /// The languages compilers can be for.
    pub fn compiled() -> impl Iterator<Item = &'static Self> {
        const { &Self::ALL }.iter().filter(|language| !language.is_manifest)
    }

    /// The compiled language with this identifier.
    pub fn find(id: &str) -> Option<&'static Self> {
        Self::compiled().find(|language| language.id == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_main_file_is_named_by_the_first_extension() {
        assert_eq!(Language::find("c++").unwrap().extensions[0], ".cpp");
        assert_eq!(Language::find("c").unwrap().extensions[0], ".c");
    }

    #[test]
    fn only_compiled_languages_have_compilers() {
        assert_eq!(Language::compiled().map(|language| language.id).collect::<Vec<_>>(), ["c", "c++"]);
        assert_eq!(Language::find("cmake"), None);
        assert_eq!(Language::find("C++"), None);
        assert!(Language::ALL.is_sorted_by_key(|language| language.id));
    }
}
