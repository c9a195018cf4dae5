//! Decides which of two lives to lead (daemon or jail helper), then hands over.

use std::process::ExitCode;

use compilation_worker::sandbox;

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|command| command == sandbox::HELPER_COMMAND) {
        return sandbox::helper_main();
    }
    ExitCode::SUCCESS
}
