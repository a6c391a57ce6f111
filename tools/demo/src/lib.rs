//! The stage: real programs on one machine, each ended by the one who started it.
//!
//! `make run` and the end-to-end tests stand on it. What belongs here: starting displays, the service, the console
//! and GnuCash for a look or a test. What doesn't: anything that ships.

pub mod display;
pub mod gnucash;
pub mod plugins;
pub mod process;
pub mod stage;
pub mod talk;
