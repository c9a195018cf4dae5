//! The public door, over raw sockets. Names such as H05 are rows of the catalogue of attacks.

mod admin;
mod clocks;
mod disconnect;
mod drain;
mod elsewhere;
mod forwarding;
mod places;
mod replies;
mod smuggling;
mod statuses;
