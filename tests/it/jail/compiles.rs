//! What a jail is for.

use compilation_worker::domain::result::Stop;

use crate::jail::bed::{Bed, file, job, stderr};

#[test]
fn a_real_compiler_compiles_and_its_listing_is_read_back() {
    let bed = Bed::make();
    let mut compile = job("/usr/bin/g++", &["-S", "-O1", "-o", "/app/output.s", "/app/example.cpp"]);
    compile.files = vec![
        file(
            "example.cpp",
            "#include <vector>\n#include \"sub/two.h\"\nint f(std::vector<int>& v) { return v[0] + TWO; }\n",
        ),
        file("sub/two.h", "#define TWO 2\n"),
    ];
    let finished = bed.run(compile);
    assert_eq!(finished.stop, Stop::Exited(0), "{}", stderr(&finished));
    assert!(bed.read(&finished, "output.s").unwrap().contains("_Z1fRSt6vectorIiSaIiEE"));
    println!("{:?}", finished.usage);
}

/// The list of system calls is judged by those who need them: whatever of these is installed must work in every way
/// that a listing can be asked for.
#[test]
fn every_compiler_family_works_under_the_filter() {
    let bed = Bed::make();
    let mut tried = Vec::new();
    let compilers = [
        "gcc",
        "g++",
        "gcc-12",
        "clang-14",
        "clang++-14",
        "clang-16",
        "clang++-16",
        "aarch64-linux-gnu-g++",
        "tcc",
    ];
    for compiler in compilers {
        let program = format!("/usr/bin/{compiler}");
        if !std::path::Path::new(&program).exists() {
            continue;
        }
        let plus = compiler.contains("++");
        let (name, source) = if plus {
            (
                "a.cpp",
                "#include <vector>\n#include <cstdio>\nint main() { std::vector<int> v{2, 1}; v.push_back(3); return std::puts(__DATE__) < v[0]; }\n",
            )
        } else {
            ("a.c", "#include <stdio.h>\nint main(void) { return puts(__DATE__) < 0; }\n")
        };
        let source_path = format!("/app/{name}");
        let mut ways: Vec<Vec<&str>> = vec![vec!["-o", "/app/out"], vec!["-c", "-g", "-o", "/app/out"]];
        if compiler != "tcc" {
            ways.extend([
                vec!["-S", "-g", "-O2", "-o", "/app/out"],
                vec!["-S", "-pipe", "-o", "/app/out"],
                vec!["-save-temps", "-ftime-report", "-o", "/app/out"],
            ]);
        }
        if compiler.starts_with('g') {
            ways.extend([
                vec!["-flto=2", "-o", "/app/out"],
                vec!["-march=native", "-S", "-fopenmp", "-o", "/app/out"],
            ]);
        }
        for mut arguments in ways {
            arguments.push(&source_path);
            let mut compile = job(&program, &arguments);
            compile.files = vec![file(name, source)];
            let finished = bed.run(compile);
            assert_eq!(finished.stop, Stop::Exited(0), "{compiler} {arguments:?}: {}", stderr(&finished));
            let out = bed
                .runtime
                .block_on(finished.workspace.read(&crate::jail::bed::path("out"), 1 << 28))
                .unwrap();
            assert!(out.is_some_and(|bytes| !bytes.is_empty()), "{compiler} {arguments:?} wrote nothing");
        }
        tried.push(compiler);
    }
    println!("worked: {tried:?}");
    assert!(tried.contains(&"g++"), "not even g++ is here");
}
