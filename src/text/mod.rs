//! Pure engines from text to structure. They do no I/O, never fail on odd input, and take time linear in its size.

pub mod ansi;
pub mod arguments;
pub mod asm;
pub mod demangle;
pub mod diagnostics;
pub mod llvm_ir;
pub mod mask;
mod scan;
