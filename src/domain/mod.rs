//! The words of the trade: no I/O, no wire format, and no clock but that of deadlines and of what is forgotten.

pub mod class;
pub mod filters;
pub mod ids;
pub mod limits;
pub mod listing;
pub mod path;
pub mod recent;
pub mod request;
pub mod result;
pub mod room;
pub mod trace;
