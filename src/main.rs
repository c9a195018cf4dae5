//! Decides which of two lives to lead (daemon or jail helper), then hands over.

use std::process::ExitCode;

use compilation_worker::cli::out::Streams;
use compilation_worker::{app, cli, sandbox};

fn main() -> ExitCode {
    // Before anything else exists: the helper wants a process without threads.
    if std::env::args_os().nth(1).is_some_and(|command| command == sandbox::HELPER_COMMAND) {
        return sandbox::helper_main();
    }
    cli::run(std::env::args_os(), &app::ROLES, &mut Streams::of_the_process())
}
