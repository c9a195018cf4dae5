//! The status page, as a browser shows it.

mod real;
mod shows;
