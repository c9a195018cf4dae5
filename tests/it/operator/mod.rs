//! The commands on a fleet, run as a shell runs them: against a server of the test's for what only Amazon does, and
//! against a third party's emulator for what it does too.

mod cloud;
mod costs;
mod emulated;
mod isolates;
mod logs;
mod patterns;
mod refreshes;
mod rights;
mod scales;
mod status;
mod weights;

/// So that nobody waits for seconds.
const SOON: [&str; 2] = ["--every", "50ms"];
