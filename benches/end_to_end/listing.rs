//! What becomes of a large listing in this process, beside what the compiler took to print it.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use compilation_worker::domain::filters::Filters;
use compilation_worker::text::{asm, demangle};
use compilation_worker::wire::result;

use crate::common::numbers::{Millis, percentile, row};
use crate::{COMPILER, PLANNED};

/// How many classes make the compiler print a good 50,000 lines that the site's default filters leave.
const CLASSES: usize = 13;
/// How often the compiler runs, and how often its listing is presented after each time.
const ROUNDS: usize = 5;

/// How long each step took.
#[derive(Default)]
struct Steps {
    filter: Vec<Duration>,
    demangle: Vec<Duration>,
    json: Vec<Duration>,
    all: Vec<Duration>,
}

/// Filters, demangles and renders what the compiler prints for a source full of templates.
pub(crate) fn present() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("example.cpp"), templates()).unwrap();
    let mut compiler = Vec::new();
    let mut steps = Steps::default();
    let mut lines = 0;
    for _ in 0..ROUNDS {
        compiler.push(compile(directory.path()));
        let text = std::fs::read_to_string(directory.path().join("output.s")).unwrap();
        for _ in 0..ROUNDS {
            lines = steps.take(&text);
        }
    }
    let compiler = percentile(&mut compiler, 50);
    let print = |figure: &str, times: &mut [Duration], promise: &str| {
        let took = percentile(times, 50);
        let ratio = format!("{:.1} %", took.as_secs_f64() / compiler.as_secs_f64() * 100.0);
        row(figure, &Millis(took).to_string(), &Millis(compiler).to_string(), &ratio, promise);
    };
    print(&format!("{lines} lines: filter, demangle, JSON, p50"), &mut steps.all, "<= 10 %");
    print("  filter", &mut steps.filter, "");
    print("  demangle", &mut steps.demangle, "");
    print("  JSON", &mut steps.json, "");
}

impl Steps {
    /// Presents `text` once; returns how many lines that leaves.
    fn take(&mut self, text: &str) -> usize {
        let begun = Instant::now();
        let mut listing = asm::process(text, Filters::default());
        let filtered = Instant::now();
        demangle::demangle(&mut listing);
        let demangled = Instant::now();
        let json = result::listing(&listing, Duration::ZERO);
        let done = Instant::now();
        assert!(json.len() > text.len() / 10);
        self.filter.push(filtered - begun);
        self.demangle.push(demangled - filtered);
        self.json.push(done - demangled);
        self.all.push(done - begun);
        listing.len()
    }
}

/// Classes in containers: long symbols, and many of them.
fn templates() -> String {
    let mut source =
        String::from("#include <algorithm>\n#include <map>\n#include <string>\n#include <vector>\n");
    for n in 0..CLASSES {
        write!(
            source,
            "namespace space{n} {{\n\
             struct Item {{ int key; std::string text; bool operator<(const Item& other) const {{ return key < other.key; }} }};\n\
             void sort(std::vector<Item>& items) {{ std::sort(items.begin(), items.end()); items.push_back(Item{{{n}, \"x\"}}); }}\n\
             int find(std::map<int, Item>& items) {{ return items[{n}].key; }}\n\
             }}\n"
        )
        .unwrap();
    }
    source
}

/// The compiler's own time for the example, without optimization.
fn compile(directory: &Path) -> Duration {
    let begun = Instant::now();
    let status = Command::new(COMPILER)
        .current_dir(directory)
        .args(PLANNED.iter().filter(|argument| **argument != "-O2"))
        .args(["-o", "output.s", "example.cpp"])
        .stdin(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    begun.elapsed()
}
