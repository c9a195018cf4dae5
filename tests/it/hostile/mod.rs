//! Attacks on the real daemon over HTTP, in tables: code that runs inside the jail through the compiler, and sources,
//! names and options that lead a compiler astray. Every reply's status is known beforehand, every byte of every reply
//! is searched for planted secrets, and after every attack an ordinary job must come out right.

mod case;
mod census;
mod daemon;
mod files;
mod ingenuity;
mod isolation;
mod reading;
mod requests;
mod resources;
mod secrets;
mod troubles;
mod unprivileged;
mod vector;
mod writing;
