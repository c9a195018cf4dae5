//! What can be compiled: the catalogue, from discovery and from Compiler Explorer's own property files.

pub mod groups;
pub mod instruction_set;
pub mod language;
pub mod layers;
pub mod problems;
pub mod properties;
pub mod settings;
