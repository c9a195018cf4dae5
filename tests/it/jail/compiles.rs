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
