//! Exactly the JSON, forms and text other programs see; into domain types, and back.

mod form;
mod json;
pub mod request;
pub mod result;
mod scan;
