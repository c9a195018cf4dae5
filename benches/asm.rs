//! What the assembly text engine costs per byte, beside what any program must pay to split lines and copy them.
//!
//! Takes the best of several rounds, the two programs in turns, and counts the time for which the processor really ran
//! them, so that a noisy neighbor spoils neither. The listing is what this machine's `g++ -g` makes of a small program;
//! among the arguments, `listing=FILE` names another, and `listing=dense` takes one with the shortest lines and the most
//! labels that such listings have.

use std::fmt::Write as _;
use std::hint::black_box;
use std::io::Write as _;
use std::process::{Command, Stdio};

use compilation_worker::domain::filters::Filters;
use compilation_worker::text::asm;
use rustix::time::{ClockId, clock_gettime};

/// Sizes of the inputs, in bytes.
const SIZES: [usize; 4] = [10 << 10, 100 << 10, 1 << 20, 10 << 20];
/// How many bytes each program reads per round at least, so that a round takes some milliseconds.
const ROUND: usize = 10 << 20;
const ROUNDS: usize = 15;

fn main() -> std::io::Result<()> {
    let named = std::env::args().find_map(|argument| argument.strip_prefix("listing=").map(str::to_owned));
    let listing = match named.as_deref() {
        None => compiled()?,
        Some("dense") => dense(2000),
        Some(file) => std::fs::read_to_string(file)?,
    };
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{:>10} {:>12} {:>12} {:>8} {:>10}",
        "bytes", "filter MB/s", "copy MB/s", "ratio", "ns/byte"
    )?;
    for size in SIZES {
        let text = repeated(&listing, size);
        let [filter, copy] = best(&text);
        writeln!(
            out,
            "{:>10} {:>12.0} {:>12.0} {:>8.3} {:>10.3}",
            text.len(),
            filter,
            copy,
            filter / copy,
            1000.0 / filter
        )?;
    }
    Ok(())
}

/// Megabytes per second of the filter and of the copy.
fn best(text: &str) -> [f64; 2] {
    let turns = (ROUND / text.len()).max(1);
    let mut seconds = [f64::INFINITY; 2];
    for _ in 0..ROUNDS {
        let programs: [&dyn Fn() -> usize; 2] =
            [&|| asm::process(black_box(text), Filters::default()).len(), &|| {
                split_and_copy(black_box(text)).1.len()
            }];
        for (seconds, program) in seconds.iter_mut().zip(programs) {
            let start = seconds_on_processor();
            for _ in 0..turns {
                black_box(program());
            }
            *seconds = seconds.min(seconds_on_processor() - start);
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "megabytes")]
    seconds.map(|seconds| (turns * text.len()) as f64 / 1e6 / seconds)
}

#[expect(clippy::cast_precision_loss, reason = "seconds since the thread began")]
fn seconds_on_processor() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// The floor: every line found and copied once.
fn split_and_copy(text: &str) -> (String, Vec<usize>) {
    let mut texts = String::with_capacity(text.len());
    let mut ends = Vec::new();
    let mut start = 0;
    for end in memchr::memchr_iter(b'\n', text.as_bytes()) {
        texts.push_str(&text[start..end]);
        ends.push(texts.len());
        start = end + 1;
    }
    (texts, ends)
}

/// `text` as often as it takes to reach `size`, cut behind a line.
fn repeated(text: &str, size: usize) -> String {
    let mut all = text.repeat(size / text.len() + 1);
    let end = all.as_bytes()[..size].iter().rposition(|&byte| byte == b'\n').map_or(size, |end| end + 1);
    all.truncate(end);
    all
}

/// What `g++ -g` writes for a program that uses the standard library.
#[expect(clippy::disallowed_methods, reason = "the compiler is asked for its own listing")]
fn compiled() -> std::io::Result<String> {
    const PROGRAM: &str = "#include <algorithm>\n#include <map>\n#include <string>\n#include <vector>\n\
        int main(int count, char **words) {\n    std::map<std::string, std::vector<int>> places;\n\
        for (int i = 0; i < count; ++i) places[words[i]].push_back(i);\n\
        for (auto &[word, at] : places) std::sort(at.begin(), at.end());\n    return places.size();\n}\n";
    let mut compiler = Command::new("g++");
    compiler.args(["-g", "-std=c++17", "-S", "-x", "c++", "-o", "-", "-"]);
    let mut compiler = compiler.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    // Taken, so that it is closed behind the program.
    compiler.stdin.take().map_or(Ok(()), |mut input| input.write_all(PROGRAM.as_bytes()))?;
    let output = compiler.wait_with_output()?;
    if !output.status.success() {
        return Err(std::io::Error::other("g++ failed"));
    }
    String::from_utf8(output.stdout).map_err(std::io::Error::other)
}

/// The shape of GCC's output with `-g`: functions with locations and local labels, and the debug sections behind them.
fn dense(functions: usize) -> String {
    let mut text = String::from(
        "\t.file\t\"example.cpp\"\n\t.intel_syntax noprefix\n\t.text\n.Ltext0:\n\t.file 0 \"/app\" \"example.cpp\"\n\t.file 1 \"/usr/include/c++/12/bits/stl_vector.h\"\n",
    );
    let mut append = |function: usize| -> std::fmt::Result {
        let (line, next) = (function * 3, function + 1);
        write!(
            text,
            "\t.globl\t_Z3fun{function}v\n\t.type\t_Z3fun{function}v, @function\n_Z3fun{function}v:\n.LFB{function}:\n\
             \t.loc 0 {line} 11\n\t.cfi_startproc\n\tpush\trbp\n\t.cfi_def_cfa_offset 16\n\t.cfi_offset 6, -16\n\
             \tmov\trbp, rsp\n\t.cfi_def_cfa_register 6\n\tsub\trsp, 48\n.LBB{function}:\n\t.loc 0 {line} 23 is_stmt 0\n\
             \tmov\tDWORD PTR [rbp-4], edi\n\tcmp\tDWORD PTR [rbp-4], 0\n\tjle\t.L{function}\n\t.loc 1 {line} 7 is_stmt 1\n\
             \tlea\trax, [rbp-32]\n\tmov\trdi, rax\n\tcall\t_Z3fun{next}v\n.LVL{function}:\n.L{function}:\n\
             \t.loc 0 {line} 1 view .LVU{function}\n\tmov\teax, 0\n.LBE{function}:\n\tleave\n\t.cfi_def_cfa 7, 8\n\tret\n\
             \t.cfi_endproc\n.LFE{function}:\n\t.size\t_Z3fun{function}v, .-_Z3fun{function}v\n",
        )
    };
    let functions_written = (0..functions).try_for_each(&mut append);
    text.push_str("\t.section\t.debug_info,\"\",@progbits\n.Ldebug_info0:\n");
    let debug_written = (0..functions * 6).try_for_each(|entry| {
        write!(
            text,
            "\t.uleb128 0x{entry:x}\n\t.long\t.LASF{entry}\n\t.byte\t0x2\n\t.value\t0x{entry:x}\n\t.quad\t.LFB{}\n.LASF{entry}:\n\t.string\t\"_Z{entry}name\"\n",
            entry / 6
        )
    });
    debug_assert!(functions_written.and(debug_written).is_ok(), "writing to a string cannot fail");
    text
}
