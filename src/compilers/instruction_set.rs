//! The instruction sets Compiler Explorer has names for, and how a target's name leads to one.

/// What a compiler is taken to produce when nothing says otherwise.
pub const DEFAULT: &str = "amd64";

/// An instruction set, and the first parts of the target triples that mean it. Targets are matched as prefixes,
/// so that `mips` covers `mipsel` and `arm` covers `armv7l`; the first row that fits wins.
const KNOWN: [(&str, &[&str]); 39] = [
    ("aarch64", &["aarch64", "arm64"]),
    ("amd64", &["x86_64", "amd64"]),
    ("arm32", &["arm", "thumb"]),
    ("avr", &["avr"]),
    ("c6x", &["c6x", "tic6x"]),
    ("ebpf", &["bpf"]),
    ("hexagon", &["hexagon"]),
    ("kvx", &["kvx"]),
    ("loongarch", &["loongarch"]),
    ("m68k", &["m68k"]),
    ("mips", &["mips"]),
    ("mrisc32", &["mrisc32"]),
    ("msp430", &["msp430"]),
    ("powerpc", &["powerpc", "ppc"]),
    ("ptx", &["nvptx"]),
    ("riscv32", &["riscv32", "rv32"]),
    ("riscv64", &["riscv64", "rv64"]),
    ("s390x", &["s390x"]),
    ("sh", &["sh4", "sh-", "superh"]),
    ("sparc", &["sparc"]),
    ("spirv", &["spirv"]),
    ("vax", &["vax"]),
    ("wasm32", &["wasm32"]),
    ("wasm64", &["wasm64"]),
    ("x86", &["i386", "i486", "i586", "i686"]),
    ("xtensa", &["xtensa"]),
    ("z80", &["z80"]),
    ("6502", &["6502"]),
    ("65c816", &["65c816"]),
    ("amdgcn", &["amdgcn"]),
    ("beam", &[]),
    ("core", &[]),
    ("dex", &[]),
    ("evm", &[]),
    ("java", &[]),
    ("llvm", &[]),
    ("python", &[]),
    ("sass", &[]),
    ("wdc65c816", &[]),
];

/// The known name equal to `id`.
pub fn find(id: &str) -> Option<&'static str> {
    KNOWN.iter().map(|(name, _)| *name).find(|name| *name == id)
}

/// What the target `target` (`aarch64-linux-gnu`, `rv64gc`) is for.
pub fn of_target(target: &str) -> Option<&'static str> {
    let means = |prefixes: &[&str]| prefixes.iter().any(|prefix| target.starts_with(prefix));
    KNOWN.iter().find(|(_, prefixes)| means(prefixes)).map(|(name, _)| *name)
}

/// What a compiler at `exe` is for: the part of its file name before a `-`, if that is a target, else of the
/// directories it lies in, innermost first.
pub fn of_path(exe: &str) -> Option<&'static str> {
    exe.rsplit('/').filter(|part| part.contains('-')).find_map(of_target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_leads_to_an_instruction_set() {
        for (target, want) in [
            ("aarch64-linux-gnu", Some("aarch64")),
            ("arm64-apple-macos", Some("aarch64")),
            ("x86_64-pc-linux-gnu", Some("amd64")),
            ("i686-w64-mingw32", Some("x86")),
            ("armv7a-linux-gnueabihf", Some("arm32")),
            ("mipsel-linux-gnu", Some("mips")),
            ("riscv64-linux-gnu", Some("riscv64")),
            ("rv32imac", Some("riscv32")),
            ("powerpc64le-linux-gnu", Some("powerpc")),
            ("skylake", None),
            ("native", None),
            ("", None),
        ] {
            assert_eq!(of_target(target), want, "{target}");
        }
    }

    #[test]
    fn a_path_leads_to_an_instruction_set() {
        for (exe, want) in [
            ("/usr/bin/aarch64-linux-gnu-g++-12", Some("aarch64")),
            ("/opt/arm64/gcc-8.2.0/aarch64-unknown-linux-gnu/bin/g++", Some("aarch64")),
            ("/opt/compiler-explorer/gcc-13.2.0/bin/g++", None),
            ("/usr/bin/g++", None),
            ("/home/arm/bin/g++", None),
        ] {
            assert_eq!(of_path(exe), want, "{exe}");
        }
    }

    #[test]
    fn identifiers_are_known_or_not() {
        assert_eq!(find("amd64"), Some("amd64"));
        assert_eq!(find("llvm"), Some("llvm"));
        assert_eq!(find("x86_64"), None);
        assert_eq!(find(""), None);
    }
}
