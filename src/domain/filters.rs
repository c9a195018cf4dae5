//! The switches that decide what of a listing is shown.

/// What the text engine shows and hides, and a few wishes that steer the compile itself.
///
/// Names and defaults are Compiler Explorer's (contract: default filters of the generic compiler class).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "each is one independent switch of the public API")]
pub struct Filters {
    /// Link, then disassemble the result.
    pub binary: bool,
    /// Assemble, then disassemble the object.
    pub binary_object: bool,
    /// Drop lines that hold only a comment.
    pub comment_only: bool,
    /// Replace mangled names by readable ones.
    pub demangle: bool,
    /// Drop assembler directives.
    pub directives: bool,
    /// Keep the real file names in `source` members instead of a null for the main file.
    pub dont_mask_filenames: bool,
    /// Run the program too.
    pub execute: bool,
    /// Ask the compiler for Intel syntax.
    pub intel: bool,
    /// Drop labels nobody uses.
    pub labels: bool,
    /// Drop code that comes from library headers.
    pub library_code: bool,
    /// Ask for the optimiser's remarks.
    pub opt_output: bool,
    /// Squeeze white space.
    pub trim: bool,
    /// Drop debug intrinsics from LLVM IR.
    pub debug_calls: bool,
    /// Verbose demangling, where a demangler has it.
    pub verbose_demangling: bool,
}

impl Default for Filters {
    /// The site's defaults: `demangle`, `intel`, `commentOnly`, `directives`, `labels`.
    fn default() -> Self {
        Self { comment_only: true, demangle: true, directives: true, intel: true, labels: true, ..Self::NONE }
    }
}

impl Filters {
    /// Every switch off.
    pub const NONE: Self = Self {
        binary: false,
        binary_object: false,
        comment_only: false,
        demangle: false,
        directives: false,
        dont_mask_filenames: false,
        execute: false,
        intel: false,
        labels: false,
        library_code: false,
        opt_output: false,
        trim: false,
        debug_calls: false,
        verbose_demangling: false,
    };

    /// Every name the API knows, in alphabetical order.
    pub const NAMES: [&'static str; 14] = [
        "binary",
        "binaryObject",
        "commentOnly",
        "debugCalls",
        "demangle",
        "directives",
        "dontMaskFilenames",
        "execute",
        "intel",
        "labels",
        "libraryCode",
        "optOutput",
        "trim",
        "verboseDemangling",
    ];

    /// Sets the switch with the API's name `name`; false if there is no such switch.
    pub fn set(&mut self, name: &str, on: bool) -> bool {
        let switch = match name {
            "binary" => &mut self.binary,
            "binaryObject" => &mut self.binary_object,
            "commentOnly" => &mut self.comment_only,
            "debugCalls" => &mut self.debug_calls,
            "demangle" => &mut self.demangle,
            "directives" => &mut self.directives,
            "dontMaskFilenames" => &mut self.dont_mask_filenames,
            "execute" => &mut self.execute,
            "intel" => &mut self.intel,
            "labels" => &mut self.labels,
            "libraryCode" => &mut self.library_code,
            "optOutput" => &mut self.opt_output,
            "trim" => &mut self.trim,
            "verboseDemangling" => &mut self.verbose_demangling,
            _ => return false,
        };
        *switch = on;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_sets_exactly_one_switch() {
        let mut seen = std::collections::HashSet::new();
        for name in Filters::NAMES {
            let mut filters = Filters::NONE;
            assert!(filters.set(name, true), "{name}");
            assert_ne!(filters, Filters::NONE, "{name}");
            assert!(seen.insert(filters), "{name} sets a switch that another name sets");
            assert!(filters.set(name, false));
            assert_eq!(filters, Filters::NONE);
        }
        assert!(!Filters::NONE.clone().set("Labels", true));
    }

    #[test]
    fn site_defaults() {
        let mut named = Filters::NONE;
        for name in ["demangle", "intel", "commentOnly", "directives", "labels"] {
            named.set(name, true);
        }
        assert_eq!(named, Filters::default());
    }
}
