//! What can be compiled: the catalogue, from discovery and from Compiler Explorer's own property files.

pub mod capabilities;
pub mod catalogue;
pub mod compiler;
pub mod discovery;
pub mod entry;
pub mod groups;
pub mod help;
pub mod instruction_set;
pub mod language;
pub mod layers;
pub mod option_rules;
pub mod problems;
pub mod properties;
pub mod settings;
pub mod toolchain;
pub mod views;

pub use capabilities::{Answer, Capabilities, Probe, Question};
pub use catalogue::{Catalogue, CatalogueSettings, Loaded};
pub use compiler::{Compiler, Family};
pub use layers::LoadError;
pub use problems::Problem;
pub use toolchain::Toolchain;
