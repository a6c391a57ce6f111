//! A whole deployment on one machine: displays, the service, the console and GnuCash, each ended
//! when the value that started it is dropped.
//!
//! `make run` and the end-to-end tests use it. Nothing in here ships.

pub mod deployment;
pub mod display;
pub mod gnucash;
pub mod json_process;
pub mod plugins;
pub mod process;
