//! Any bytes as a request body, in each of its three forms: no panic, and what is accepted is a whole request.
#![no_main]

use compilation_worker::text::arguments;
use compilation_worker::wire::request;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((&form, body)) = data.split_first() else { return };
    let draft = match form % 3 {
        0 => request::json(body),
        1 => request::form(body),
        _ => {
            let end = body.iter().position(|&byte| byte == 0).unwrap_or(body.len());
            let (query, body) = body.split_at(end);
            request::text(body, &String::from_utf8_lossy(query))
        }
    };
    if let Ok(request) = draft.and_then(|draft| draft.finish(arguments::split)) {
        assert!(request.arguments.iter().all(|argument| !argument.contains('\0')));
    }
});
