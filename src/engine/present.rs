//! What came out of the jail, read: streams to tagged lines, the output file to a listing.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::compilers::Compiler;
use crate::domain::limits::{Limits, MIB};
use crate::domain::request::CompileRequest;
use crate::domain::result::{Asm, CompileResult, JobStatus, OutputLine, Stop};
use crate::engine::plan::{ListingKind, Plan, Refusal};
use crate::engine::run::{RawOutput, Written};
use crate::sandbox::WORK_DIR;
use crate::text;

/// The wire's exit status of a process that was killed.
const KILLED: i32 = -1;

/// Reads `raw` as `request` wants it shown. Pure but for the two durations it measures.
pub(crate) fn present(plan: &Plan, raw: &RawOutput, request: &CompileRequest) -> CompileResult {
    let code = if let Stop::Exited(code) = raw.stop { code } else { KILLED };
    let timed_out = raw.out_of_time || raw.stop == Stop::CpuTime;
    let killed = killing_note(raw.stop, raw.limits);
    let ok_to_cache = killed.is_none();

    let tagging = Instant::now();
    let input = format!("{}/{}", raw.directory, plan.input);
    let stdout = text::diagnostics::parse(&raw.stdout.text, Some(&input));
    let stderr = match &killed {
        None => text::diagnostics::parse(&raw.stderr.text, Some(&input)),
        Some(note) => text::diagnostics::parse(&format!("{}\n{note}\n", raw.stderr.text), Some(&input)),
    };
    let tagging_time = tagging.elapsed();

    let parsing = Instant::now();
    let (asm, language_id) = listing(plan, raw, request, code);
    let asm = if ok_to_cache { asm } else { bare(asm) };
    CompileResult {
        status: raw.status(),
        code,
        ok_to_cache,
        timed_out,
        truncated: raw.stdout.truncated || raw.stderr.truncated,
        input_filename: plan.input.to_string(),
        stdout,
        stderr,
        exec_time: raw.wall,
        tagging_time,
        instruction_set: Arc::clone(&plan.instruction_set),
        compilation_options: options(plan),
        asm_size: match raw.written {
            Written::Nothing => None,
            Written::File(ref bytes) => Some(bytes.len() as u64),
            Written::TooLarge { size, .. } => Some(size),
        },
        asm,
        parsing_time: parsing.elapsed(),
        language_id,
        directory: None,
        skip_popular_arguments: request.backend.skip_popular_arguments,
    }
}

/// The result of a request whose files are no good: nothing ran.
pub(crate) fn refused(refusal: &Refusal, compiler: &Compiler, request: &CompileRequest) -> CompileResult {
    let remark = format!("<{refusal}>");
    let extension = compiler.facts.extensions.first().copied().unwrap_or_default();
    CompileResult {
        status: JobStatus::Rejected,
        code: KILLED,
        ok_to_cache: false,
        timed_out: false,
        truncated: false,
        input_filename: format!("example{extension}"),
        stdout: Vec::new(),
        stderr: vec![OutputLine { text: remark.clone(), tag: None }],
        exec_time: Duration::ZERO,
        tagging_time: Duration::ZERO,
        instruction_set: Arc::clone(&compiler.instruction_set),
        compilation_options: Vec::new(),
        asm_size: None,
        asm: Asm::Raw(remark),
        parsing_time: Duration::ZERO,
        language_id: None,
        directory: Some(WORK_DIR.to_owned()),
        skip_popular_arguments: request.backend.skip_popular_arguments,
    }
}

/// The argument list as clients see it.
fn options(plan: &Plan) -> Vec<String> {
    plan.command.arguments.iter().map(|argument| text::mask::root_dir(argument).into_owned()).collect()
}

/// What a killed job's standard error ends with. The time-out's words are the running system's; the others are ours.
fn killing_note(stop: Stop, limits: Limits) -> Option<Cow<'static, str>> {
    match stop {
        Stop::Exited(_) | Stop::TooMuchOutput => None,
        Stop::WallTime | Stop::CpuTime => Some("Killed - processing time exceeded".into()),
        Stop::OutOfMemory => {
            Some(format!("Killed - memory limit of {} MiB exceeded", limits.memory / MIB).into())
        }
        Stop::TooManyProcesses => {
            Some(format!("Killed - limit of {} processes exceeded", limits.pids).into())
        }
        Stop::DiskLimit => Some("Killed - file size or scratch space limit exceeded".into()),
        Stop::Signalled(signal) => Some(format!("Killed - by signal {signal}").into()),
    }
}

/// The `asm` member and, for a listing in another language, its name.
fn listing(plan: &Plan, raw: &RawOutput, request: &CompileRequest, code: i32) -> (Asm, Option<&'static str>) {
    if request.backend.skip_asm {
        return (Asm::Skipped, None);
    }
    if code != 0 {
        return (Asm::Remark("<Compilation failed>".to_owned()), None);
    }
    let bytes = match &raw.written {
        Written::File(bytes) => bytes,
        Written::Nothing => return (Asm::Remark("<No output file>".to_owned()), None),
        Written::TooLarge { size, cap } => {
            let remark = format!("<No output: generated assembly was too large ({size} > {cap} bytes)>");
            return (Asm::Remark(remark), None);
        }
    };
    let source = String::from_utf8_lossy(bytes);
    let is_ir = plan.listing == ListingKind::LlvmIr || text::llvm_ir::looks_like(&source);
    let process = if is_ir { text::llvm_ir::process } else { text::asm::process };
    let mut listing = process(&source, plan.filters);
    if plan.filters.demangle {
        text::demangle::demangle(&mut listing);
    }
    (Asm::Listing(listing), is_ir.then_some("llvm-ir"))
}

/// After a kill the listing is one item with nothing but its text.
fn bare(asm: Asm) -> Asm {
    match asm {
        Asm::Remark(text) => Asm::Raw(text),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::domain::filters::Filters;
    use crate::domain::path::JobPath;
    use crate::engine::plan::Command;
    use crate::engine::run::Stream;

    fn plan() -> Plan {
        let path = |name| JobPath::parse(name).unwrap();
        Plan {
            command: Command {
                program: "/usr/bin/g++".into(),
                arguments: ["-o", "/app/output.s", "-I/app/inc", "/app/example.cpp"]
                    .map(str::to_owned)
                    .to_vec(),
                environment: Vec::new(),
            },
            files: Vec::new(),
            input: path("example.cpp"),
            output: path("output.s"),
            filters: Filters::default(),
            instruction_set: "amd64".into(),
            listing: ListingKind::Assembly,
        }
    }

    fn raw(stop: Stop, stderr: &str, written: &str) -> RawOutput {
        let stream = |text: &str| Stream { text: text.to_owned(), truncated: false };
        RawOutput {
            stop,
            limits: Limits::default(),
            out_of_time: stop == Stop::WallTime,
            stdout: stream(""),
            stderr: stream(stderr),
            written: Written::File(Bytes::copy_from_slice(written.as_bytes())),
            start: Duration::ZERO,
            wall: Duration::from_millis(7),
            directory: "/app".to_owned(),
            doubtful: false,
        }
    }

    fn shown(raw: &RawOutput) -> CompileResult {
        present(&plan(), raw, &CompileRequest::default())
    }

    fn texts(lines: &[OutputLine]) -> Vec<&str> {
        lines.iter().map(|line| line.text.as_str()).collect()
    }

    #[test]
    fn a_success_has_a_listing_and_masked_options() {
        let result = shown(&raw(Stop::Exited(0), "", "_Z1fv:\n\tret\n\t.globl _Z1fv\n"));
        assert_eq!((result.status, result.code, result.ok_to_cache), (JobStatus::Ok, 0, true));
        assert_eq!(result.compilation_options, ["-o", "output.s", "-I/app/inc", "example.cpp"]);
        assert_eq!(result.input_filename, "example.cpp");
        assert_eq!(result.asm_size, Some(26));
        let Asm::Listing(listing) = result.asm else { panic!("{:?}", result.asm) };
        assert_eq!(listing.lines().map(|line| line.text).collect::<Vec<_>>(), ["f():", "        ret"]);
    }

    #[test]
    fn demangling_needs_the_filter() {
        let mut plan = plan();
        plan.filters.demangle = false;
        let raw = raw(Stop::Exited(0), "", "\t.globl _Z1fv\n_Z1fv:\n\tret\n");
        let result = present(&plan, &raw, &CompileRequest::default());
        let Asm::Listing(listing) = result.asm else { panic!("{:?}", result.asm) };
        assert_eq!(listing.lines().next().unwrap().text, "_Z1fv:");
    }

    #[test]
    fn a_compile_error_is_a_result() {
        let result = shown(&raw(Stop::Exited(1), "/app/example.cpp:2:5: error: no\n", ""));
        assert_eq!((result.status, result.code, result.ok_to_cache), (JobStatus::CompileError, 1, true));
        assert_eq!(result.asm, Asm::Remark("<Compilation failed>".to_owned()));
        assert_eq!(texts(&result.stderr), ["<source>:2:5: error: no"]);
        assert_eq!(result.stderr[0].tag.as_ref().unwrap().line, 2);
    }

    #[test]
    fn a_time_out_says_so_in_the_known_words() {
        let result = shown(&raw(Stop::WallTime, "partial\n", ""));
        assert_eq!((result.code, result.ok_to_cache, result.timed_out), (-1, false, true));
        assert_eq!(texts(&result.stderr), ["partial", "", "Killed - processing time exceeded"]);
        assert_eq!(result.asm, Asm::Raw("<Compilation failed>".to_owned()));
    }

    #[test]
    fn every_other_kill_names_its_limit() {
        for (stop, status, words) in [
            (Stop::OutOfMemory, JobStatus::Oom, "Killed - memory limit of 1280 MiB exceeded"),
            (Stop::TooManyProcesses, JobStatus::PidsLimit, "Killed - limit of 72 processes exceeded"),
            (Stop::DiskLimit, JobStatus::DiskLimit, "Killed - file size or scratch space limit exceeded"),
            (Stop::Signalled(11), JobStatus::Signalled, "Killed - by signal 11"),
            (Stop::CpuTime, JobStatus::TimeoutCpu, "Killed - processing time exceeded"),
        ] {
            let result = shown(&raw(stop, "", ""));
            assert_eq!((result.status, result.code, result.ok_to_cache), (status, -1, false));
            assert_eq!(texts(&result.stderr), ["", words]);
            assert_eq!(result.timed_out, stop == Stop::CpuTime);
        }
        let stubborn = RawOutput { out_of_time: true, ..raw(Stop::TooManyProcesses, "", "") };
        assert!(shown(&stubborn).timed_out, "the clock struck, whatever came first");
        let flood = shown(&raw(Stop::TooMuchOutput, "x", ""));
        assert_eq!((flood.status, flood.code, flood.ok_to_cache), (JobStatus::OutputTruncated, -1, true));
    }

    #[test]
    fn no_output_and_too_much_of_it_have_their_remarks() {
        let nothing = RawOutput { written: Written::Nothing, ..raw(Stop::Exited(0), "", "") };
        let result = shown(&nothing);
        assert_eq!(result.asm, Asm::Remark("<No output file>".to_owned()));
        assert_eq!((result.asm_size, result.status), (None, JobStatus::Ok));
        let large =
            RawOutput { written: Written::TooLarge { size: 9, cap: 5 }, ..raw(Stop::Exited(0), "", "") };
        let result = shown(&large);
        let remark = "<No output: generated assembly was too large (9 > 5 bytes)>";
        assert_eq!(result.asm, Asm::Remark(remark.to_owned()));
        assert_eq!((result.asm_size, result.status), (Some(9), JobStatus::OutputTruncated));
    }

    #[test]
    fn skipped_assembly_is_empty_whatever_happened() {
        let mut request = CompileRequest::default();
        request.backend.skip_asm = true;
        for stop in [Stop::Exited(0), Stop::Exited(1)] {
            let result = present(&plan(), &raw(stop, "", "x:\n"), &request);
            assert_eq!(result.asm, Asm::Skipped);
        }
    }

    #[test]
    fn llvm_ir_is_known_by_plan_or_by_content() {
        let ir = "define i32 @f() !dbg !4 {\n  ret i32 1\n}\n@llvm.x = !DI\n";
        let result = shown(&raw(Stop::Exited(0), "", ir));
        assert_eq!(result.language_id, Some("llvm-ir"));
        let plan = Plan { listing: ListingKind::LlvmIr, ..plan() };
        let raw = raw(Stop::Exited(0), "", "define i32 @_Z1fv() {\n");
        let result = present(&plan, &raw, &CompileRequest::default());
        assert_eq!(result.language_id, Some("llvm-ir"));
        let Asm::Listing(listing) = result.asm else { panic!("{:?}", result.asm) };
        assert_eq!(listing.lines().next().unwrap().text, "define i32 @f()() {");
    }
}
