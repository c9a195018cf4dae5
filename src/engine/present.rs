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
pub(crate) fn present(
    plan: &Plan,
    raw: &RawOutput,
    request: &CompileRequest,
    limits: Limits,
) -> CompileResult {
    let code = if let Stop::Exited(code) = raw.stop { code } else { KILLED };
    let timed_out = matches!(raw.stop, Stop::WallTime | Stop::CpuTime);
    let killed = killing_note(raw.stop, limits);
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
    if plan.listing == ListingKind::LlvmIr || text::llvm_ir::looks_like(&source) {
        return (Asm::Listing(text::llvm_ir::process(&source, plan.filters)), Some("llvm-ir"));
    }
    let mut listing = text::asm::process(&source, plan.filters);
    if plan.filters.demangle {
        text::demangle::demangle(&mut listing);
    }
    (Asm::Listing(listing), None)
}

/// After a kill the listing is one item with nothing but its text.
fn bare(asm: Asm) -> Asm {
    match asm {
        Asm::Remark(text) => Asm::Raw(text),
        other => other,
    }
}
