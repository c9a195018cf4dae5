//! Exactly the JSON, forms and text other programs see; into domain types, and back.

pub mod envelope;
mod form;
pub mod frame;
mod json;
pub mod relayed;
pub mod request;
pub mod result;
mod scan;
