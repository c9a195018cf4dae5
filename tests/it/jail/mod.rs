//! What must not happen, by name.

mod bed;
mod compiles;
