//! The Itanium C++ ABI's mangling, read and written out as `c++filt -n` does.
//!
//! [`parse`], [`special`], [`types`] and [`expressions`] turn a name into nodes; [`mod@print`] and [`print_expressions`] turn nodes into text. Template
//! parameters are looked up while printing, because the same node means different things in different functions.

mod expressions;
mod node;
mod operators;
mod parse;
mod print;
mod print_expressions;
mod special;
mod types;

/// A readable name is at most this long, in bytes: back references make some names explode.
pub(super) const LONGEST_TEXT: usize = 256 * 1024;
/// How deeply types and names may nest, so that no name exhausts the stack.
const DEEPEST: usize = 192;

/// What `symbol` means, if it is a mangled name. Adds the steps it takes to `steps`.
pub(super) fn demangle(symbol: &str, steps: &mut usize) -> Option<String> {
    let mut parser = parse::Parser::new(symbol);
    let root = parser.symbol();
    *steps += parser.steps;
    print::print(&parser.nodes, root?, steps)
}

#[cfg(test)]
mod tests;
