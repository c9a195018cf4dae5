//! What `c++filt -n` 2.40 makes of names, in its own words, and a comparison with the one on this machine.

use std::io::Write;
use std::process::{Command, Stdio};

use proptest::prelude::*;

fn demangle(name: &str) -> Option<String> {
    super::demangle(name, &mut 0)
}

const NAMES: &[(&str, &str)] = &[
    ("_Z3Valm", "Val(unsigned long)"),
    ("_ZN3ValILi3EE1fEv", "Val<3>::f()"),
    ("_ZN3ValIXadL_Z4cfunEEE1fEv", "Val<&cfun>::f()"),
    ("_ZN3ValILDn0EE1fEv", "Val<(decltype(nullptr))0>::f()"),
    ("_ZNK2V2cvPT_I1PEEv", "V2::operator P*<P>() const"),
    ("_Z2fpPDoFvicEM2V1KFidE", "fp(void (*)(int, char) noexcept, int (V1::*)(double) const)"),
    ("_ZN2ArILi3EE1fERA3_i", "Ar<3>::f(int (&) [3])"),
    ("_Z3sumIJidlEEDTfrplfp_EDpT_", "decltype (({parm#1}+...)) sum<int, double, long>(int, double, long)"),
    ("_ZlsRSoRK1A", "operator<<(std::basic_ostream<char, std::char_traits<char> >&, A const&)"),
    ("_Zli3_kmy", "operator\"\" _km(unsigned long long)"),
    ("_ZZ4mainENKUlT_E_clIiEEDaS_", "auto main::{lambda(auto:1)#1}::operator()<int>(int) const"),
    ("_ZZ1fvE1x_0", "f()::x"),
    ("_ZGVZ1fvE1x", "guard variable for f()::x"),
    ("_ZTCN1AE0_1B", "construction vtable for B-in-A"),
    ("_ZThn8_N1AD0Ev", "non-virtual thunk to A::~A()"),
    ("_ZTv0_n24_N1AD1Ev", "virtual thunk to A::~A()"),
    ("_ZTch0_h16_N1A1fEv", "covariant return thunk to A::f()"),
    ("_ZN12_GLOBAL__N_13fooEv", "(anonymous namespace)::foo()"),
    ("_Z1fILb1EEvv", "void f<true>()"),
    ("_Z1fDv4_f", "f(float __vector(4))"),
    ("_Z1fB5cxx11v", "f[abi:cxx11]()"),
    ("_ZNSsC1Ev", "std::basic_string<char, std::char_traits<char>, std::allocator<char> >::basic_string()"),
    ("_ZNSt6vectorIiSaIiEE9push_backEOi", "std::vector<int, std::allocator<int> >::push_back(int&&)"),
    ("_Z1fPFPFvvEiE", "f(void (*(*)(int))())"),
    ("_Z1fRA2_A3_i", "f(int (&) [2][3])"),
    ("_Z1fU3AS1Pi", "f(int* AS1)"),
    ("_ZN1AdlEPv", "A::operator delete(void*)"),
    ("_ZN1AnaEm", "A::operator new[](unsigned long)"),
    ("_ZN1AssERKS_", "A::operator<=>(A const&)"),
    ("_Z1fIJiEEvDpRT_", "void f<int>(int&)"),
    ("_ZN1XIJiEE1fEv", "X<int>::f()"),
    ("_GLOBAL__I_main", "global constructors keyed to main"),
    ("_GLOBAL__I__Z3foov", "global constructors keyed to foo()"),
    ("_Z1fz", "f(...)"),
    ("_Z1fiz", "f(int, ...)"),
    ("_Z1fDn", "f(decltype(nullptr))"),
    ("_ZNKRSt8optionalIiE5valueEv", "std::optional<int>::value() const &"),
    ("_ZNO1A1fEv", "A::f() &&"),
    ("_Z3fooIiEDTcl3barfp_EET_", "decltype (bar({parm#1})) foo<int>(int)"),
    ("_Z3fooIiEDTsz3barEv", "decltype (sizeof bar) foo<int>()"),
    ("_Z1fILf3f800000EEvv", "void f<(float)[3f800000]>()"),
    ("_Z3foov.isra.0.cold", "foo() [clone .isra.0] [clone .cold]"),
    ("_Z3foov.constprop.12", "foo() [clone .constprop.12]"),
    ("_Z3foov.llvm.12345", "foo() [clone .llvm.12345]"),
    ("_ZN1AC1Ei.cold", "A::A(int) [clone .cold]"),
    ("_ZTA1X", "template parameter object for X"),
    ("_ZTWN1A1xE", "TLS wrapper function for A::x"),
    ("_ZTH1x", "TLS init function for x"),
    (
        "_ZNSt3__112basic_stringIcNS_11char_traitsIcEENS_9allocatorIcEEE6appendEPKc",
        "std::__1::basic_string<char, std::__1::char_traits<char>, std::__1::allocator<char> >::append(char const*)",
    ),
    ("_Z1fPVKi", "f(int const volatile*)"),
    ("_ZN1fUt_C2Ev", "f::{unnamed type#1}::f()"),
    ("_ZZ1fvEN1AC2Ev", "f()::A::A()"),
    ("_Z1fILin3EEvv", "void f<-3>()"),
    ("_ZDC1a1bE", "[a, b]"),
    ("_Zrs1AS_", "operator>>(A, A)"),
    ("_ZN1AIiEC1IfEET_", "A<int>::A<float>(float)"),
    ("_ZN1AcvT_IiEEv", "A::operator int<int>()"),
];

/// What neither demangler can read.
const UNREADABLE: &[&str] = &[
    "_ZNK2V2cvP1AIT_EEv",
    "_Z1fIXgtT_Li3EEEvv",
    "_GLOBAL__sub_I_main",
    "_Z1fIXneT_LNS_1EE0EEEvv",
    "_ZGR1x_",
    "_Z1fIiXstT_EEvv",
    "_ZN4llvm3foo",
    "_ZNSt",
    "_Z",
    "_Z1fS_",
    "_Z1fIT_Evv",
    "_Z1fIXspT_EEvv",
    "___Z3foov_block_invoke",
    "__Z3foov",
];

#[test]
fn names() {
    for (name, expected) in NAMES {
        assert_eq!(demangle(name).as_deref(), Some(*expected), "{name}");
    }
    for name in UNREADABLE {
        assert_eq!(demangle(name), None, "{name}");
    }
}

/// What `program` prints for `input`; `None` if there is no such program.
#[expect(clippy::disallowed_methods, reason = "a test compares with the binutils on this machine")]
fn run(program: &str, arguments: &[&str], input: String) -> Option<String> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let mut stdin = child.stdin.take()?;
    // From a thread of its own, because the program answers before it has read everything.
    #[expect(clippy::disallowed_methods, reason = "a test's thread ends with it")]
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().ok()?;
    writer.join().ok()?.ok()?;
    String::from_utf8(output.stdout).ok()
}

#[test]
fn every_symbol_of_the_standard_library_reads_as_cxxfilt_reads_it() {
    let symbols = ["/usr/lib/x86_64-linux-gnu/libstdc++.so.6", "/usr/lib/aarch64-linux-gnu/libstdc++.so.6"]
        .into_iter()
        .filter_map(|library| run("nm", &["-D", library], String::new()))
        .collect::<String>();
    let names: Vec<&str> = symbols
        .lines()
        .filter_map(|line| line.split_whitespace().last()?.split('@').next())
        .filter(|name| name.starts_with("_Z"))
        .collect();
    let Some(expected) = run("c++filt", &["-n"], names.join("\n")).filter(|_| !names.is_empty()) else {
        println!("skipped: binutils or libstdc++ are not installed");
        return;
    };
    assert_eq!(names.len(), expected.lines().count());
    for (name, expected) in names.iter().zip(expected.lines()) {
        assert_eq!(demangle(name).as_deref().unwrap_or(name), expected, "{name}");
    }
}

#[test]
fn hostile_names_end_soon() {
    let pointers = format!("_Z1fP{}i", "P".repeat(5000));
    let doubling = (0..60).map(|index| format!("1AIS{index}_S{index}_E")).collect::<Vec<_>>().concat();
    let chain = (0..30).map(|index| format!("PS{index}_")).collect::<Vec<_>>().concat();
    // A wide pattern whose pack is empty, four levels of sixteen deep.
    let wide = (0..4).map(|level| format!("1AI{}E", format!("S{}_", 2 * level + 2).repeat(16)));
    let wide = format!("_Z1fIJEEvDpFvT_{}E{}", "i".repeat(8000), wide.collect::<Vec<_>>().concat());
    for name in [
        pointers,
        wide,
        format!("_Z1fI{doubling}Evv"),
        format!("_Z1fPi{chain}"),
        format!("_Z1fN{}", "cvT_I".repeat(200)),
        format!("_Z1fIX{}", "nt".repeat(5000)),
        format!("_Z{}", "Z".repeat(5000)),
        format!("_ZN{}", "1aI".repeat(5000)),
        "_Z1fIXfp18446744073709551614_EEvv".to_owned(),
        "_Z1fUlT18446744073709551614_E_".to_owned(),
        "_Z1fUlvE18446744073709551614_".to_owned(),
    ] {
        let start = tokio::time::Instant::now();
        let text = demangle(&name);
        assert!(text.is_none_or(|text| text.len() <= super::LONGEST_TEXT));
        assert!(start.elapsed().as_secs() < 5, "{}", &name[..20]);
    }
}

proptest! {
    #[test]
    fn never_panics(name in "_Z([0-9A-Z_a-z.\u{e9}\u{1f600}\0]|S_|S0_|T_|I|E|N|1a|L|Dp|DT|fp|cv|Ul|sr|C1|D2|P|R|F|M){0,40}") {
        if let Some(text) = demangle(&name) {
            prop_assert!(text.len() <= super::LONGEST_TEXT);
        }
    }
}
