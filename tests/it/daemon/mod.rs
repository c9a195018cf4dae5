//! The real program, serving: what clients, operators and the machine see of it.

mod compiles;
mod ends;
mod failures;
mod lists;
mod neighbors;
mod notifies;
mod overload;
mod publishes;
mod reloads;
mod remembers;
mod shadows;
mod shares;
mod silence;
mod tells;
mod traces;
