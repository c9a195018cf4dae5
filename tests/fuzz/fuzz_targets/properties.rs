//! Any bytes as a properties file: no panic, and every problem names a line of the file.
#![no_main]

use std::path::Path;
use std::sync::Arc;

use compilation_worker::compilers::problems::Problems;
use compilation_worker::compilers::properties::Properties;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let file: Arc<Path> = Path::new("c++.local.properties").into();
    let mut problems = Problems::default();
    Properties::default().lay(&file, data, &mut problems);
    let lines = data.split(|&byte| byte == b'\n').count();
    assert!(problems.into_vec().iter().all(|problem| problem.line as usize <= lines));
});
