//! Any text as a message of the job queue: no panic, and what is a job is a whole one.
#![no_main]

use compilation_worker::text::arguments;
use compilation_worker::wire::envelope::{self, Incoming};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| match envelope::read(text) {
    Ok(Incoming::Job(job)) => {
        if let Ok(request) = job.draft.and_then(|draft| draft.finish(arguments::split)) {
            assert!(request.arguments.iter().all(|argument| !argument.contains('\0')));
        }
    }
    Ok(Incoming::Parked(parked)) => assert!(!parked.bucket.is_empty() && !parked.key.is_empty()),
    Err(error) => assert!(!error.to_string().is_empty()),
});
