//! The jail's own side: everything that runs in the helper and in its clones.

mod bpf;
pub(in crate::sandbox) mod filter;
pub(in crate::sandbox) mod helper;
mod init;
mod landlock;
pub(in crate::sandbox) mod protocol;
pub(in crate::sandbox) mod sys;
mod template;
